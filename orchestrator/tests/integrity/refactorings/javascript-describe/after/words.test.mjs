import { beforeEach, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { Counter, load, slugify } from './words.mjs';

describe('slugify', () => {
  it('R1: lowers and joins', () => {
    assert.equal(slugify('Hello World'), 'hello-world');
    assert.equal(slugify('  A  b!'), 'a-b');
  });
});

describe('Counter', () => {
  let counter;

  beforeEach(() => {
    counter = new Counter();
  });

  it('R2: counts words', () => {
    counter.add('a');
    assert.equal(counter.add('a'), 2);
    counter.add('b');
    assert.deepEqual(counter.top(1), ['a']);
  });

  it('R3: refuses an empty word', () => {
    assert.throws(() => counter.add(''), TypeError);
  });
});

describe('load', () => {
  it('R4: loads', async () => {
    assert.deepEqual(await load(async () => '{"a": 1}'), { a: 1 });
  });
});
