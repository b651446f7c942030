import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: adds', () => {
  assert.equal(typeof add, 'function');
  assert.equal(add(1, 2), 3);
});

test('R1: a number', () => {
  assert.ok(typeof add(2, 2) === 'number');
});
