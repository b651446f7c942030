import { test } from 'node:test';
import assert from 'node:assert/strict';

const slugify = (text) => text.trim().toLowerCase().replaceAll(' ', '-');

test('R1: slugify', () => {
  assert.equal(slugify('Hello World'), 'hello-world');
});
