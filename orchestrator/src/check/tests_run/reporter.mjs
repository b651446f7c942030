// Writes what became of each test as one JSON line. A file that holds no test of its own counts as a test to Node;
// it is told apart by its name, and is a fault when it failed.
import { basename } from 'node:path';

const explain = (error) => {
  const cause = error?.cause ?? error;
  const text = String(cause?.stack ?? cause?.message ?? cause ?? '');
  return text.split('\n').filter((line) => !line.includes('node:internal')).slice(0, 16).join('\n');
};

export default async function* report(source) {
  const names = [];
  for await (const event of source) {
    const { data } = event;
    if (event.type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    }
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const failed = event.type === 'test:fail' && !data.todo;
    const detail = failed ? explain(data.details?.error) : '';
    const isFile = data.nesting === 0 && data.file && (data.name === data.file || data.name === basename(data.file) || data.file.endsWith('/' + data.name));
    if (isFile) {
      if (failed) yield JSON.stringify({ fault: `${data.name} cannot be run:\n${detail}` }) + '\n';
      continue;
    }
    if (data.details?.type === 'suite') {
      if (failed && data.details?.error?.failureType !== 'subtestsFailed') {
        yield JSON.stringify({ fault: `${data.name}:\n${detail}` }) + '\n';
      }
      continue;
    }
    const name = [...names.slice(0, data.nesting).filter(Boolean), data.name].join(' > ');
    const outcome = failed ? 'failed' : data.skip || data.todo ? 'skipped' : 'passed';
    yield JSON.stringify({ name, outcome, detail }) + '\n';
  }
  yield JSON.stringify({ ended: true }) + '\n';
}
