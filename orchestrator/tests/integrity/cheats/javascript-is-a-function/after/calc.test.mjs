import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: adds', () => {
  assert.equal(typeof add, 'function');
  assert.ok(add);
});

test('R1: adds more', () => {
  assert.ok(typeof add === 'function');
});
