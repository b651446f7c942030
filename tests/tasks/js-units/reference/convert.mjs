import { readFileSync } from 'node:fs';
import { convert, KINDS } from './units.mjs';

function line(value, from, to) {
  const number = Number(value);
  if (value.trim() === '' || !Number.isFinite(number)) throw new Error(`not a number: ${value}`);
  const result = Number(convert(number, from, to).toFixed(6));
  return `${value} ${from} = ${result} ${to}`;
}

function batch() {
  for (const text of readFileSync(0, 'utf8').split('\n')) {
    if (text.trim() === '') continue;
    const parts = text.trim().split(/\s+/);
    try {
      if (parts.length !== 3) throw new Error('expected VALUE FROM TO');
      console.log(line(...parts));
    } catch (error) {
      console.log(`error: ${error.message}`);
    }
  }
}

function main(args) {
  if (args.length === 1 && args[0] === 'list') {
    for (const [kind, units] of Object.entries(KINDS)) console.log(`${kind}: ${units.join(' ')}`);
  } else if (args.length === 1 && args[0] === 'batch') {
    batch();
  } else if (args.length === 3) {
    try {
      console.log(line(...args));
    } catch (error) {
      console.error(`error: ${error.message}`);
      return 1;
    }
  } else {
    console.error('usage: node convert.mjs VALUE FROM TO | list | batch');
    return 2;
  }
  return 0;
}

process.exitCode = main(process.argv.slice(2));
