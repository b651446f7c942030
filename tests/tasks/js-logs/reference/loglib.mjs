export const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'];

const LINE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d) (DEBUG|INFO|WARN|ERROR) (\S+) (.*\S.*)$/;

export function parseLine(line) {
  const match = LINE.exec(line);
  if (!match) return null;
  const [, time, level, component, message] = match;
  return { time, level, component, message };
}

// A list of [value, number], the highest number first, then in alphabetical order.
export function tally(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}
