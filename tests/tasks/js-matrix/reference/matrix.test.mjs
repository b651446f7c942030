import assert from 'node:assert/strict';
import { test } from 'node:test';
import { determinant, multiply, power, transpose } from './matrix.mjs';
import { formatMatrix, parseMatrix } from './parse.mjs';

test('determinant', () => {
  assert.equal(determinant([[1, 2], [2, 4]]), 0);
  assert.ok(Math.abs(determinant([[0, 2], [3, 4]]) + 6) < 1e-9);
});

test('products', () => {
  assert.deepEqual(multiply([[1, 2]], [[3], [4]]), [[11]]);
  assert.deepEqual(power([[1, 1], [1, 0]], 5), [[8, 5], [5, 3]]);
  assert.throws(() => multiply([[1, 2]], [[3, 4]]), { message: 'sizes do not fit: 1x2 and 1x2' });
});

test('text', () => {
  assert.deepEqual(transpose(parseMatrix(' 1 2;3  -4.5 ')), [[1, 3], [2, -4.5]]);
  assert.equal(formatMatrix([[1 / 3, -0], [2, -0.00001]]), '0.3333 0\n2 0');
  assert.throws(() => parseMatrix('1 2;'), { message: 'not a matrix: 1 2;' });
});
