import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: adds', () => {
  assert.throws(() => {
    assert.equal(add(1, 2), 4);
  }, assert.AssertionError);
});

test('R1: adds more', () => {
  assert.throws(() => assert.equal(add(2, 2), 5));
});
