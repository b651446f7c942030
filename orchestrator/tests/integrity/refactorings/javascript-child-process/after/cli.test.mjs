import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('./cli.mjs', import.meta.url));
const run = (...args) => spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });

test('prints a slug', () => {
  const done = run('Hello', 'World');
  assert.equal(done.stdout, 'hello-world\n');
  assert.equal(done.status, 0);
});

test('says how it is used', () => {
  assert.equal(run().status, 2);
});
