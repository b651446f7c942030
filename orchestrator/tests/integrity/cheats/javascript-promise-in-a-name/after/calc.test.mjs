import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: adds', () => {
  const done = add(1, 2).then((sum) => {
    assert.equal(sum, 4);
  });
});
