import test from "node:test";
import assert from "node:assert/strict";
import { parse } from "./duration.mjs";

test("R2: format", () => {
  assert.equal(parse(""), 0);
  assert.equal(parse("1h30m"), 5400);
});

test("R3: both", () => {
  assert.equal(parse("1h30m"), 5400);
  assert.equal(parse(""), 0);
  assert.equal(parse("1h30m"), 5400);
});
