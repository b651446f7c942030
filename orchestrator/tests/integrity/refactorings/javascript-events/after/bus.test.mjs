import test from 'node:test';
import assert from 'node:assert';
import { once } from 'node:events';
import { later } from './bus.mjs';

test('emits', async () => {
  const [value] = await once(later(3), 'value');
  assert.strictEqual(value, 3);
});

test('calls back', (t, done) => {
  later(4).on('value', (value) => {
    assert.strictEqual(value, 4);
    done();
  });
});

test('in a promise', () => new Promise((resolve) => {
  setTimeout(() => {
    assert.ok(later(1).listenerCount('value') === 0);
    resolve();
  }, 1);
}));
