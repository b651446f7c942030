export async function add(a, b) {
  if (a === undefined) throw new TypeError('no number');
  return a + b;
}
