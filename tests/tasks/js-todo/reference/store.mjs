import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const FILE = 'todo.json';

export function nextId(tasks) {
  return tasks.reduce((highest, task) => Math.max(highest, task.id), 0) + 1;
}

export function render(task) {
  return `#${task.id} [${task.done ? 'x' : ' '}] ${task.text}`;
}

export function stats(tasks) {
  const done = tasks.filter((task) => task.done).length;
  return `total: ${tasks.length}, done: ${done}, open: ${tasks.length - done}`;
}

export function load() {
  return existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : [];
}

export function save(tasks) {
  writeFileSync(FILE, JSON.stringify(tasks, null, 2) + '\n');
}
