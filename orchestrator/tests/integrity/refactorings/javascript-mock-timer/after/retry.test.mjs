import { mock, test } from 'node:test';
import assert from 'node:assert/strict';
import { retry } from './retry.mjs';

test('tries again', async () => {
  const call = mock.fn(async (n) => {
    if (n < 3) throw new Error('no');
    return n;
  });
  assert.equal(await retry(call, 3), 3);
  assert.equal(call.mock.callCount(), 3);
});

test('gives up', async () => {
  await assert.rejects(retry(async () => { throw new Error('no'); }, 2), /no/);
});
