//! Products of f32 rows with quantised matrices in the file's format, on x86 processors with AVX2 but without what
//! [`super::packed`] needs.
//!
//! A weight row is cut into panels of 256 weights. A panel is unpacked once into bytes and then meets all rows of the
//! left side: two weight rows and four left rows at a time, so the integer sums stay in registers. Sums over a panel
//! are integers, and panels are added in order, so a row's result has the same bits whatever rows it is computed with:
//! a prompt computed in one go, in pieces, or one token at a time gives the same logits. (The tensor library takes
//! different paths for one row and for many.)
//!
//! Elsewhere, and for formats not listed in [`QuantMatrix::new`], the tensor library's own matrices are used.

mod avx2;
mod left;

use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

use super::team;
use left::{FineRow, WideRow};

/// Weights per panel.
const PANEL: usize = 256;
/// Weight rows of one task.
const TASK_ROWS: usize = 8;
/// Left rows that pass over an unpacked panel; with them and their sums a task stays near the first-level cache.
const LEFT_ROWS: usize = 64;

/// How a format's panels meet the left side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// K-quants: integer scales within a panel, the left side has one scale per 256.
    Wide,
    /// Blocks of 32 with a float scale each, on both sides.
    Fine,
}

/// A matrix of `rows` × `columns` in a quantised format.
#[derive(Debug)]
pub(crate) struct QuantMatrix {
    bytes: Vec<u8>,
    dtype: GgmlDType,
    family: Family,
    rows: usize,
    columns: usize,
}

impl QuantMatrix {
    /// The matrix, unless this processor, its format or its shape is not one for these kernels; then the bytes come
    /// back.
    pub(crate) fn new(bytes: Vec<u8>, dtype: GgmlDType, dims: &[usize]) -> Result<Self, Vec<u8>> {
        let family = match dtype {
            GgmlDType::Q4K | GgmlDType::Q6K => Family::Wide,
            GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q8_0 => Family::Fine,
            _ => return Err(bytes),
        };
        let &[rows, columns] = dims else { return Err(bytes) };
        let length = columns
            .is_multiple_of(dtype.block_size())
            .then(|| (columns / dtype.block_size()).checked_mul(dtype.type_size())?.checked_mul(rows))
            .flatten();
        if !avx2::is_available() || length != Some(bytes.len()) || bytes.is_empty() {
            return Err(bytes);
        }
        Ok(Self { bytes, dtype, family, rows, columns })
    }

    /// `left` is `[m][columns]`; the result is `[m][rows]`.
    pub(crate) fn multiply(&self, left: &[f32]) -> Vec<f32> {
        assert!(left.len().is_multiple_of(self.columns), "whole rows on the left");
        match self.family {
            Family::Wide => self.run::<WideRow>(left),
            Family::Fine => self.run::<FineRow>(left),
        }
    }

    fn run<L: Left>(&self, left: &[f32]) -> Vec<f32> {
        let m = left.len() / self.columns;
        let panels = self.columns.div_ceil(PANEL);
        // By panel first: the rows that meet a panel lie together.
        let rows: Vec<Vec<L>> =
            left.par_chunks(self.columns).map(|row| row.chunks(PANEL).map(L::quantise).collect()).collect();
        let left: Vec<L> = (0..panels).flat_map(|p| rows.iter().map(move |row| row[p].clone())).collect();
        let mut out = vec![0.0f32; m * self.rows];
        let target = Columns { start: out.as_mut_ptr(), rows: self.rows, m };
        team::for_each(self.rows.div_ceil(TASK_ROWS), |task| {
            let first = task * TASK_ROWS;
            let last = (first + TASK_ROWS).min(self.rows);
            for start in (0..m).step_by(LEFT_ROWS) {
                let count = LEFT_ROWS.min(m - start);
                let sums = self.task(&left, m, first..last, start..start + count);
                for (n, column) in (first..last).zip(sums.chunks_exact(count)) {
                    // SAFETY: tasks own disjoint ranges of columns, and `out` outlives the loop.
                    unsafe { target.write(n, start, column) };
                }
            }
        });
        out
    }

    /// Sums of some weight rows with some left rows: `[weight row][left row]`.
    fn task<L: Left>(
        &self,
        left: &[L],
        m: usize,
        weight_rows: std::ops::Range<usize>,
        left_rows: std::ops::Range<usize>,
    ) -> Vec<f32> {
        let row_bytes = self.bytes.len() / self.rows;
        let panel_bytes = PANEL / self.dtype.block_size() * self.dtype.type_size();
        let count = left_rows.len();
        let mut sums = vec![L::Sums::default(); weight_rows.len().div_ceil(2) * count];
        let mut panels = [L::Panel::default(), L::Panel::default()];
        for (p, rows) in left.chunks_exact(m).enumerate() {
            for (pair, sums) in weight_rows.clone().step_by(2).zip(sums.chunks_exact_mut(count)) {
                // An odd last row is computed twice rather than specially.
                for (n, panel) in [pair, (pair + 1).min(weight_rows.end - 1)].into_iter().zip(&mut panels) {
                    let row = &self.bytes[n * row_bytes..(n + 1) * row_bytes];
                    let blocks = &row[p * panel_bytes..row_bytes.min((p + 1) * panel_bytes)];
                    L::unpack(self.dtype, blocks, panel);
                }
                L::multiply(&panels, &rows[left_rows.clone()], sums);
            }
        }
        weight_rows
            .clone()
            .flat_map(|n| {
                let at = n - weight_rows.start;
                sums[at / 2 * count..(at / 2 + 1) * count].iter().map(move |s| L::total(s, at % 2))
            })
            .collect()
    }
}

/// Rows of the left side in one of the two forms, with the panels they meet.
trait Left: Clone + Send + Sync {
    type Panel: Default;
    type Sums: Clone + Default;
    /// Up to [`PANEL`] numbers; missing ones are zero.
    fn quantise(numbers: &[f32]) -> Self;
    /// The blocks of one weight row that make up a panel; at a row's end there may be fewer.
    fn unpack(dtype: GgmlDType, blocks: &[u8], panel: &mut Self::Panel);
    /// Adds the products of two panels with each left row.
    fn multiply(panels: &[Self::Panel; 2], left: &[Self], sums: &mut [Self::Sums]);
    /// The sum of one of the two weight rows.
    fn total(sums: &Self::Sums, which: usize) -> f32;
}

/// Where tasks write their columns of the result.
struct Columns {
    start: *mut f32,
    rows: usize,
    m: usize,
}

// SAFETY: tasks write to disjoint columns only.
unsafe impl Send for Columns {}
// SAFETY: as above.
unsafe impl Sync for Columns {}

impl Columns {
    /// # Safety
    /// The result lives, and no one else writes or reads column `n` meanwhile.
    unsafe fn write(&self, n: usize, first: usize, column: &[f32]) {
        assert!(n < self.rows && first + column.len() <= self.m);
        for (offset, value) in column.iter().enumerate() {
            // SAFETY: within `m * rows`, by the assertion.
            unsafe { *self.start.add((first + offset) * self.rows + n) = *value };
        }
    }
}

#[cfg(test)]
mod tests;
