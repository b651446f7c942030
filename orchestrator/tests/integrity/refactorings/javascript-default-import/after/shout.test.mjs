import { describe, it } from 'node:test';
import assert from 'node:assert';
import shout from './shout.mjs';

describe('shout', () => {
  it('is loud', () => assert.strictEqual(shout('hi'), 'HI!'));
  for (const text of ['', '?']) {
    it(`ends with a mark: ${text}`, () => {
      assert.ok(shout(text).endsWith('!'));
    });
  }
});
