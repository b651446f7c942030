export const size = (m) => `${m.length}x${m[0].length}`;

export const identity = (n) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => Number(i === j)));

export const transpose = (m) => m[0].map((_, j) => m.map((row) => row[j]));

export function combine(a, b, sign) {
  if (size(a) !== size(b)) throw new Error(`sizes do not fit: ${size(a)} and ${size(b)}`);
  return a.map((row, i) => row.map((x, j) => x + sign * b[i][j]));
}

export function multiply(a, b) {
  if (a[0].length !== b.length) throw new Error(`sizes do not fit: ${size(a)} and ${size(b)}`);
  const columns = transpose(b);
  return a.map((row) => columns.map((column) => row.reduce((sum, x, k) => sum + x * column[k], 0)));
}

function needSquare(m) {
  if (m.length !== m[0].length) throw new Error(`not square: ${size(m)}`);
}

// Gauss-Jordan elimination of m next to an identity matrix.
function eliminate(m) {
  needSquare(m);
  const n = m.length;
  const work = m.map((row, i) => [...row, ...identity(n)[i]]);
  let determinant = 1;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(work[i][k]) > Math.abs(work[pivot][k])) pivot = i;
    if (work[pivot][k] === 0) return { determinant: 0 };
    if (pivot !== k) {
      [work[k], work[pivot]] = [work[pivot], work[k]];
      determinant = -determinant;
    }
    determinant *= work[k][k];
    work[k] = work[k].map((x, _, row) => x / row[k]);
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = work[i][k];
      work[i] = work[i].map((x, j) => x - factor * work[k][j]);
    }
  }
  return { determinant, inverse: work.map((row) => row.slice(n)) };
}

export const determinant = (m) => eliminate(m).determinant;

export function inverse(m) {
  const result = eliminate(m);
  if (Math.abs(result.determinant) < 1e-9) throw new Error('no inverse');
  return result.inverse;
}

export function power(m, n) {
  needSquare(m);
  let result = identity(m.length);
  for (let i = 0; i < n; i++) result = multiply(result, m);
  return result;
}
