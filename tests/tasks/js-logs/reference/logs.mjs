import { readFileSync } from 'node:fs';
import { LEVELS, parseLine, tally } from './loglib.mjs';

const COMMANDS = {
  levels(entries) {
    return LEVELS.map((level) => `${level}: ${entries.filter((e) => e.level === level).length}`);
  },
  components(entries) {
    return tally(entries.map((e) => e.component)).map(([name, n]) => `${name}: ${n}`);
  },
  filter(entries, lines, level = '') {
    return lines.filter((line) => parseLine(line)?.level === level.toUpperCase());
  },
  messages(entries) {
    const errors = entries.filter((e) => e.level === 'ERROR');
    return tally(errors.map((e) => e.message)).map(([message, n]) => `${n} ${message}`);
  },
  hours(entries) {
    return tally(entries.map((e) => e.time.slice(11, 13))).map(([hour, n]) => `${hour}: ${n}`).sort();
  },
  range(entries) {
    if (entries.length === 0) return ['no entries'];
    const times = entries.map((e) => e.time).sort();
    return [`first: ${times[0]}`, `last: ${times.at(-1)}`];
  },
  malformed(entries, lines) {
    return [`malformed: ${lines.length - entries.length}`];
  },
};

function main([command, file, ...rest]) {
  if (!Object.hasOwn(COMMANDS, command ?? '') || file === undefined) {
    console.error(`usage: node logs.mjs {${Object.keys(COMMANDS).join(',')}} FILE [LEVEL]`);
    return 2;
  }
  let text;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch {
    console.error(`error: cannot read ${file}`);
    return 1;
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  const entries = lines.map(parseLine).filter((entry) => entry !== null);
  for (const line of COMMANDS[command](entries, lines, ...rest)) console.log(line);
  return 0;
}

process.exitCode = main(process.argv.slice(2));
