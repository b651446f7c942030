import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLine, tally } from './loglib.mjs';

test('a well-formed line', () => {
  assert.deepEqual(parseLine('2024-05-01T10:05:10 ERROR db Connection lost'), {
    time: '2024-05-01T10:05:10',
    level: 'ERROR',
    component: 'db',
    message: 'Connection lost',
  });
});

test('malformed lines', () => {
  for (const line of ['', 'hello', '2024-05-01T10:05:10 FATAL db x', '2024-05-01T10:05:10 INFO db']) {
    assert.equal(parseLine(line), null);
  }
});

test('tally sorts by number, then by name', () => {
  assert.deepEqual(tally(['b', 'a', 'c', 'c']), [['c', 2], ['a', 1], ['b', 1]]);
});
