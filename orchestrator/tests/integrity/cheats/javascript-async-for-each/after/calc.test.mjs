import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: adds', async () => {
  [[1, 2, 4], [2, 2, 5]].forEach(async ([a, b, sum]) => {
    assert.equal(await add(a, b), sum);
  });
});
