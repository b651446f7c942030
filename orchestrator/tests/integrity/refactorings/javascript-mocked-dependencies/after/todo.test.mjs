import { mock, test } from 'node:test';
import assert from 'node:assert/strict';
import { clock } from './todo.mjs';

test('R1: totals', async () => {
  mock.module('./store.mjs', { namedExports: { read: () => [1, 2] } });
  const { total } = await import('./todo.mjs');
  assert.equal(total(), 2);
});

test('R2: logs', () => {
  mock.method(console, 'log', () => {});
  assert.equal(clock.log('abc'), 3);
});

test('R3: the rest of the module is its own', async () => {
  const real = await import('./store.mjs');
  mock.module('./store.mjs', { namedExports: { ...real, write: () => {} } });
  const { read } = await import('./store.mjs');
  assert.deepEqual(read(), []);
});
