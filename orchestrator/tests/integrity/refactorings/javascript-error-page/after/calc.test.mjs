import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add, page } from './calc.mjs';

test('R1: adds', () => {
  assert.equal(add(1, 2), 3);
});

test('R2: a page', () => {
  assert.equal(page(undefined, '/test'), 'test');
});
