import { test } from 'node:test';
import { strictEqual, deepStrictEqual, throws } from 'node:assert';
import { Counter, load, slugify } from './words.mjs';

test('R1: slugify lowers and joins', () => {
  strictEqual(slugify('Hello World'), 'hello-world');
  strictEqual(slugify('  A  b!'), 'a-b');
});

test('R2: counts words', () => {
  const counter = new Counter();
  counter.add('a');
  strictEqual(counter.add('a'), 2);
  counter.add('b');
  deepStrictEqual(counter.top(1), ['a']);
});

test('R3: refuses an empty word', () => {
  throws(() => new Counter().add(''), TypeError);
});

test('R4: loads', async () => {
  const data = await load(async () => '{"a": 1}');
  deepStrictEqual(data, { a: 1 });
});
