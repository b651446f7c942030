import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Counter, load, slugify } from './words.mjs';

test('R1: slugify lowers and joins', () => {
  assert.equal(slugify('Hello World'), 'hello-world');
  assert.equal(slugify('  A  b!'), 'a-b');
});

test('R2: counts words', () => {
  const counter: Counter = new Counter();
  counter.add('a');
  assert.equal(counter.add('a'), 2);
  counter.add('b');
  assert.deepEqual(counter.top(1), ['a']);
});

test('R3: refuses an empty word', () => {
  assert.throws(() => new Counter().add(''), TypeError);
});

test('R4: loads', async () => {
  const data = await load(async () => '{"a": 1}');
  assert.deepEqual(data, { a: 1 });
});
