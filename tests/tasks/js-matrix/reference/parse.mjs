export function parseMatrix(text) {
  const rows = text.split(';').map((row) => row.trim().split(/\s+/));
  const good = rows.every((row) => row.length === rows[0].length && row.every((n) => /^-?\d+(\.\d+)?$/.test(n)));
  if (!good) throw new Error(`not a matrix: ${text}`);
  return rows.map((row) => row.map(Number));
}

export function formatNumber(number) {
  return String(Number(number.toFixed(4)) + 0);
}

export function formatMatrix(matrix) {
  return matrix.map((row) => row.map(formatNumber).join(' ')).join('\n');
}
