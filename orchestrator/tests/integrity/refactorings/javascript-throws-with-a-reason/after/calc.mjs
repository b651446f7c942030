import assert from 'node:assert/strict';

export function add(a, b) {
  if (typeof a === 'string') throw new TypeError('no number');
  assert.ok(a >= 0);
  return a + b;
}
