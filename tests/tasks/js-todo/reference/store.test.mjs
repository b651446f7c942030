import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextId, render, stats } from './store.mjs';

test('nextId of an empty list is 1', () => {
  assert.equal(nextId([]), 1);
});

test('nextId is one more than the highest id', () => {
  assert.equal(nextId([{ id: 4 }, { id: 2 }]), 5);
});

test('render marks tasks that are done', () => {
  assert.equal(render({ id: 1, text: 'a', done: true }), '#1 [x] a');
  assert.equal(render({ id: 2, text: 'b', done: false }), '#2 [ ] b');
});

test('stats counts open and done tasks', () => {
  assert.equal(stats([{ done: true }, { done: false }]), 'total: 2, done: 1, open: 1');
});
