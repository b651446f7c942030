export function add(a, b) {
  return a + b;
}

export function page(error, path) {
  if (error) console.log(error.stack, new Error('page'));
  if (path.startsWith('/test')) return 'test';
  if (path.length > 3) {
    const quiet = process.env.NODE_ENV === 'test';
    if (!quiet) console.log(path);
    return [404];
  }
  return path;
}
