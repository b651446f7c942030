import assert from 'node:assert/strict';
import { test } from 'node:test';
import { convert } from './units.mjs';

test('lengths and masses', () => {
  assert.equal(convert(1, 'km', 'm'), 1000);
  assert.equal(convert(1, 'lb', 'oz').toFixed(6), '16.000000');
});

test('temperatures', () => {
  assert.equal(convert(100, 'C', 'F'), 212);
  assert.equal(convert(0, 'C', 'K'), 273.15);
});

test('errors', () => {
  assert.throws(() => convert(1, 'm', 'parsec'), { message: 'unknown unit: parsec' });
  assert.throws(() => convert(1, 'm', 'kg'), { message: 'cannot convert m to kg' });
  assert.throws(() => convert(-1, 'K', 'C'), { message: 'below absolute zero' });
});
