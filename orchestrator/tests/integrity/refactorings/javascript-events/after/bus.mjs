import { EventEmitter } from 'node:events';

export function later(value) {
  const bus = new EventEmitter();
  setTimeout(() => bus.emit('value', value), 1);
  return bus;
}
