// Writes what became of each test as one JSON line. A file that holds no test of its own counts as a test to Node;
// it is told apart by its name, and is a fault when it failed.
import { readFileSync, unlinkSync } from 'node:fs';
import { basename } from 'node:path';

// Every line carries it; it is gone from the disk before a test is loaded.
const place = new URL('./key', import.meta.url);
const key = readFileSync(place, 'utf8');
unlinkSync(place);
const lineOf = (what) => JSON.stringify({ ...what, key }) + '\n';

const clean = (text) => {
  // Neither Node's own lines nor the fields of an error behind its message, which ends the text then.
  const nodes = /node:internal|^Node\.js v|^\s*throw new ERR_|^\s*code: '|^\}$/;
  const theirs = (line) => line.trim() && !nodes.test(line);
  return text.split('\n').filter(theirs).slice(0, 16).join('\n');
};

const explain = (error) => {
  const cause = error?.cause ?? error;
  return clean(String(cause?.stack ?? cause?.message ?? cause ?? ''));
};

export default async function* report(source) {
  const names = [];
  // What a file wrote to stderr: where it could not even be loaded, only that says why.
  const said = new Map();
  for await (const event of source) {
    const { data } = event;
    if (event.type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    }
    if (event.type === 'test:stderr') said.set(data.file, (said.get(data.file) ?? '') + data.message);
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const failed = event.type === 'test:fail' && !data.todo;
    const detail = failed ? explain(data.details?.error) : '';
    const isFile = data.nesting === 0 && data.file && (data.name === data.file || data.name === basename(data.file) || data.file.endsWith('/' + data.name));
    if (isFile) {
      // Where it happened stands at the top; without the way there the error is the last line, as elsewhere.
      const why = clean((said.get(data.file) ?? '').replace(/^\s+at .*$/gm, '')) || detail;
      if (failed) yield lineOf({ fault: `${data.name} cannot be run:\n${why}` });
      continue;
    }
    if (data.details?.type === 'suite') {
      if (failed && data.details?.error?.failureType !== 'subtestsFailed') {
        yield lineOf({ fault: `${data.name}:\n${detail}` });
      }
      continue;
    }
    const name = [...names.slice(0, data.nesting).filter(Boolean), data.name].join(' > ');
    const outcome = failed ? 'failed' : data.skip || data.todo ? 'skipped' : 'passed';
    yield lineOf({ name, outcome, detail });
  }
  yield lineOf({ ended: true });
}
