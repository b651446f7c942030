import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: adds', () => {
  setTimeout(() => assert.equal(add(1, 2), 4), 10);
});
