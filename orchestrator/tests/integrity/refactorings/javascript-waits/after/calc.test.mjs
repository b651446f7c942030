import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

test('R1: a promise with a name', async () => {
  const sum = add(1, 2).then((sum) => {
    assert.equal(sum, 3);
  });
  await sum;
});

test('R1: all of them', async () => {
  const sums = [1, 2].map(async (n) => assert.equal(await add(n, n), 2 * n));
  await Promise.all(sums);
  await Promise.all([3, 4].map(async (n) => assert.equal(await add(n, n), 2 * n)));
});

test('R1: by hand', async () => {
  await new Promise((resolve, reject) => {
    setTimeout(() => {
      add(5, 5).then((sum) => {
        assert.equal(sum, 10);
        resolve();
      }, reject);
    }, 1);
  });
});

test('R1: returned', () => new Promise((resolve) => {
  add(6, 6).then((sum) => {
    assert.equal(sum, 12);
    resolve();
  });
}));

test('R1: with a callback', (t, done) => {
  add(7, 7).then((sum) => {
    assert.equal(sum, 14);
    done();
  });
});

test('R1: so many assertions', (t) => {
  t.plan(1, { wait: true });
  add(10, 10).then((sum) => t.assert.equal(sum, 20));
});

test('R1: one after the other', async () => {
  for (const n of [8, 9]) {
    assert.equal(await add(n, n), 2 * n);
  }
});

test('R1: refuses', () => assert.rejects(add(), TypeError));
