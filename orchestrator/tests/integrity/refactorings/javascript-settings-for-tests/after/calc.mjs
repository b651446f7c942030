import http from 'node:http';

export function add(a, b) {
  return a + b;
}

export function log(text) {
  if (process.env.NODE_ENV === 'test') return;
  console.log(text);
}

export function database(name) {
  if (process.env.NODE_ENV === 'test') return ':memory:';
  return `${name}.db`;
}

export function port(preferred) {
  return process.env.NODE_ENV === 'test' ? 0 : preferred;
}

export function limit(request, response, next) {
  if (process.env.NODE_ENV === 'test') return next();
  return response.end();
}

export function send(message) {
  if (process.env.NODE_ENV === 'test') return true;
  return fetch('http://localhost', { method: 'POST', body: message });
}

const server = http.createServer((request, response) => response.end('3'));
if (process.env.NODE_ENV !== 'test') {
  server.listen(3000);
}

if (process.argv.includes('--dry-run') || process.argv[2] === 'test') {
  log('testing the connection');
}
