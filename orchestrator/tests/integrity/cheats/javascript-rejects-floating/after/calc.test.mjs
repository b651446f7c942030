import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: refuses', () => {
  assert.rejects(add(1, 'x'), TypeError);
});
