import { test } from 'node:test';
import { add } from './calc.mjs';

test('R1: does not throw for numbers', () => {
  add(1, 2);
});
