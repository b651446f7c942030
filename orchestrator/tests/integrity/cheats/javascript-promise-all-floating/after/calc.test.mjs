import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: adds', () => {
  Promise.all([1, 2].map(async (n) => assert.equal(await add(n, n), 5)));
});
