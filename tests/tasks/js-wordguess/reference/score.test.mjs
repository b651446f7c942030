import assert from 'node:assert/strict';
import { test } from 'node:test';
import { score } from './score.mjs';

test('single letters', () => {
  assert.equal(score('crane', 'nacho'), '???..');
  assert.equal(score('crane', 'CRANE'), '+++++');
});

test('repeated letters', () => {
  assert.equal(score('apple', 'papal'), '??+.?');
  assert.equal(score('apple', 'ppppp'), '.++..');
});

test('wrong length', () => {
  assert.throws(() => score('crane', 'cran'), { message: 'wrong length' });
});
