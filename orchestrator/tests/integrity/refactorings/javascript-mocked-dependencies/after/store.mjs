export function read() {
  return [];
}
