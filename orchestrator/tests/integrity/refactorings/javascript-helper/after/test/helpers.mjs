import assert from 'node:assert/strict';
import { slugify } from '../words.mjs';

export function assertSlug(text, expected) {
  assert.equal(slugify(text), expected);
}
