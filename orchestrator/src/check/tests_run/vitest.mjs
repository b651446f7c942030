// Starts vitest on the project and writes what became of each test as one JSON line. Every line carries a key that is gone
// from the disk before the project's own configuration is loaded, and that nothing but this file holds.
import { closeSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

const LINES_MAX = 16;
const root = process.cwd();
const place = new URL('./key', import.meta.url);
const key = readFileSync(place, 'utf8');
unlinkSync(place);
// At the end of what is there: a line that another wrote is not written over, and shows.
const results = openSync(new URL('./results.jsonl', import.meta.url), 'a');
// What writes is held before anything of the project is loaded.
const [put, text] = [writeSync, JSON.stringify];
const write = (what) => put(results, text({ ...what, key }) + '\n');

const shown = (lines) => lines.join('\n').replaceAll(root + '/', '');
// The frames in the project, and the error last: it is what failures are told apart by.
const explain = (errors) => {
  const [error] = errors ?? [];
  if (!error) return '';
  const message = String(error.message ?? error).split('\n').filter((line) => line.trim());
  const frames = String(error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line) && line.includes(root) && !line.includes('node_modules'));
  const [first, ...more] = message;
  return shown([...frames.slice(0, 3), ...more.slice(0, LINES_MAX), `${error.name ?? 'Error'}: ${first ?? ''}`]);
};

let told = false;
const tell = (files, others) => {
  if (told) return;
  told = true;
  for (const { name, errors, tests } of files) {
    if (errors.length) write({ fault: `${name} cannot be run:\n${explain(errors)}` });
    for (const one of tests) write({ ...one, detail: one.outcome === 'failed' ? one.detail : '' });
  }
  for (const error of others ?? []) write({ fault: `outside of any test:\n${explain([error])}` });
};

// Versions 3 and later tell what was run in modules, earlier ones in tasks.
const ofModule = (module) => ({
  name: relative(root, module.moduleId),
  errors: module.errors?.() ?? [],
  tests: [...module.children.allTests()].map((test) => {
    const { state, errors } = test.result() ?? {};
    return { name: path(test), outcome: state === 'passed' || state === 'failed' ? state : 'skipped', detail: explain(errors) };
  }),
});
const path = (test) => (test.parent && test.parent.type === 'suite' ? `${path(test.parent)} > ` : '') + test.name;
const ofTask = (task, above = []) => (task.tasks ?? []).flatMap((one) => {
  const names = [...above, one.name];
  if (one.type === 'suite') return ofTask(one, names);
  const outcome = { pass: 'passed', fail: 'failed' }[one.result?.state] ?? 'skipped';
  return [{ name: names.join(' > '), outcome, detail: explain(one.result?.errors) }];
});
const ofFile = (file) => ({
  name: file.name,
  errors: file.result?.state === 'fail' && !file.tasks?.length ? file.result.errors ?? [] : [],
  tests: ofTask(file),
});
const reporter = {
  onTestRunEnd: (modules, others) => tell(modules.map(ofModule), others),
  onFinished: (files = [], others) => tell(files.map(ofFile), others),
};

try {
  // What it makes of its configuration goes into the nearest of these, and the one with the packages cannot be written to.
  mkdirSync(join(root, 'node_modules'), { recursive: true });
  const resolve = createRequire(join(root, 'package.json')).resolve;
  const { startVitest } = await import(pathToFileURL(resolve('vitest/node')).href);
  const options = { root, run: true, watch: false, ui: false, open: false, reporters: [reporter], coverage: { enabled: false }, cache: false, allowOnly: false };
  // Nothing resolves names in the sandbox, not even the machine's own.
  const vitest = await startVitest('test', [], options, { server: { host: '127.0.0.1' } });
  await vitest?.close();
  write({ ended: true });
} catch (error) {
  write({ fault: `vitest cannot be run:\n${explain([error])}` });
  write({ ended: true });
  process.exitCode ||= 1;
} finally {
  closeSync(results);
}
// What a test left open does not keep the run from its end.
process.exit(process.exitCode ?? 0);
