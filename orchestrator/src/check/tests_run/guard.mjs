// Loaded before each test file: a file that ends itself has not passed, and neither has one after which assertions no longer
// fail. What a test starts does as it likes: a program does not get this file, a forked process and a thread are told apart.
import assert from 'node:assert';
import { isMainThread } from 'node:worker_threads';

if (isMainThread && process.env.NODE_TEST_CONTEXT && !process.send) {
  const leave = process.reallyExit.bind(process);
  const say = process.stderr.write.bind(process.stderr);
  const known = [];
  for (const [owner, name] of [[assert, 'assert'], [assert.strict, 'assert.strict']]) {
    for (const key of Object.keys(owner)) {
      if (typeof owner[key] === 'function') known.push([owner, key, owner[key], `${name}.${key}`]);
    }
  }
  const changed = () => known.find(([owner, key, value]) => owner[key] !== value)?.[3];
  const fails = (call) => {
    try {
      call();
    } catch {
      return true;
    }
    return false;
  };
  const bites = () => fails(() => assert.equal(1, 2)) && fails(() => assert(false)) && fails(() => assert.deepStrictEqual([1], [2]));
  // `process.exit` goes through here; the natural end of a file does not.
  process.reallyExit = (code) => {
    if (!code) say('the test run was ended before its end\n');
    leave(code || 97);
  };
  process.on('exit', () => {
    const what = changed() ?? (bites() ? undefined : 'assert');
    if (what === undefined) return;
    say(`the test run was tampered with: ${what} is not what it was; take that out\n`);
    leave(98);
  });
}
