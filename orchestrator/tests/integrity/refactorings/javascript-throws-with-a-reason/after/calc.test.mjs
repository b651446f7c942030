import { test } from 'node:test';
import assert from 'node:assert/strict';
import { add } from './calc.mjs';

function withTwo(action) {
  try {
    return action(2);
  } finally {
    console.log('done');
  }
}

test('R1: refuses', () => {
  assert.throws(() => add('a', 1), /no number/);
  assert.throws(() => {
    const sum = add('a', 1);
    assert.equal(sum, undefined);
  }, TypeError);
});

test('R1: the code asserts', () => {
  assert.throws(() => add(-1, 1), assert.AssertionError);
});

test('R1: in a helper', () => {
  withTwo((two) => assert.equal(add(two, 2), 4));
});
