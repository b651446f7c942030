import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const html = await readFile(new URL('./index.html', import.meta.url), 'utf8');

test('has a title', () => {
  assert.match(html, /<title>Words<\/title>/);
});

test('begins with nothing', () => {
  assert.ok(html.includes('<p id="count">0</p>'));
});
