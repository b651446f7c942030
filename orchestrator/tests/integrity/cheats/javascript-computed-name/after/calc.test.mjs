import test from 'node:test';
import { add } from './calc.mjs';

for (const name of ['R1: adds']) test(name, () => {
  add(2, 3);
});
