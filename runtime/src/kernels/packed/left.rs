//! The left side of a product, quantised to eight bits: rows of activations.

use std::ptr::from_ref;

use super::format::{BLOCK, PANEL, PANEL_BLOCKS};
use crate::kernels::isa::{Isa, Vectors, Work};
use crate::kernels::{Disjoint, team};

/// Rows whose blocks lie together.
pub(super) const TILE: usize = 16;

/// What half blocks' sums are multiplied with when wide: the one such format that has an offset has this one, negated.
const WIDE_OFFSET: i32 = -32;

/// Left rows in the form one family of formats is multiplied with. Rows are cut into blocks of 32 numbers; the blocks
/// of up to [`TILE`] rows lie together, so that an offset from one address finds the same block of every row.
#[derive(Debug, Default)]
pub(crate) struct LeftRows {
    /// One scale per panel, as k-quants want, instead of one per block.
    wide: bool,
    rows: usize,
    blocks: usize,
    /// `[tile][block][row]`
    numbers: Vec<Numbers>,
    /// `[tile][block][row]`, or `[tile][panel][row]` when wide.
    scales: Vec<f32>,
    /// Negated sums of numbers: `[tile][block][row]`; when wide, times [`WIDE_OFFSET`]: `[tile][half block][row]`.
    sums: Vec<i32>,
    /// `[tile][block][row]`: the bits of an f32, sum times scale. When wide, `[tile][panel][pair of blocks][row]`: the
    /// sums of two blocks as i16.
    pairs: Vec<i32>,
}

/// A block of a row; aligned, or half of the matrix unit's loads would cross lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
#[cfg_attr(not(test), expect(dead_code, reason = "read through addresses"))]
struct Numbers([i8; BLOCK]);

/// Addresses of a row of a tile, from some block on.
#[derive(Clone, Copy)]
pub(super) struct LeftAt {
    pub numbers: *const i8,
    pub scales: *const f32,
    pub sums: *const i32,
    pub pairs: *const i32,
    /// Rows of the tile: the distance between blocks.
    pub stride: usize,
}

impl LeftRows {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(super) fn is_wide(&self) -> bool {
        self.wide
    }

    /// Rows of the tile that begins at `first`.
    pub(super) fn tile_rows(&self, first: usize) -> usize {
        TILE.min(self.rows - first)
    }

    /// Row `first + offset`, where a tile begins at `first`, from block `block` on (when wide, a panel's first).
    pub(super) fn at(&self, first: usize, offset: usize, block: usize) -> LeftAt {
        let stride = self.tile_rows(first);
        assert!(first.is_multiple_of(TILE) && offset < stride && block < self.blocks);
        let at = first * self.blocks + block * stride + offset;
        let (scale, sum, pair) = if self.wide {
            let panels = self.blocks / PANEL_BLOCKS;
            let panel = first * panels + block / PANEL_BLOCKS * stride + offset;
            (panel, first * self.blocks * 2 + block * 2 * stride + offset, 4 * (panel - offset) + offset)
        } else {
            (at, at, at)
        };
        LeftAt {
            numbers: from_ref(&self.numbers[at]).cast(),
            scales: from_ref(&self.scales[scale]),
            sums: from_ref(&self.sums[sum]),
            pairs: from_ref(&self.pairs[pair]),
            stride,
        }
    }

    /// Quantises `[rows][columns]`, reusing the memory of what was here.
    pub(crate) fn fill(&mut self, wide: bool, numbers: &[f32], columns: usize) {
        assert!(columns > 0 && columns.is_multiple_of(if wide { PANEL } else { BLOCK }));
        assert!(numbers.len().is_multiple_of(columns), "whole rows on the left");
        (self.wide, self.rows, self.blocks) = (wide, numbers.len() / columns, columns / BLOCK);
        let all = self.rows * self.blocks;
        let (scales, sums, pairs) = if wide { (all / 8, all * 2, all / 2) } else { (all, all, all) };
        // Only ever grown: a shorter call must not pay for zeroing what it overwrites.
        grow(&mut self.numbers, all);
        grow(&mut self.scales, scales);
        grow(&mut self.sums, sums);
        grow(&mut self.pairs, pairs);
        let to = Targets {
            numbers: Disjoint::new(&mut self.numbers),
            scales: Disjoint::new(&mut self.scales),
            sums: Disjoint::new(&mut self.sums),
            pairs: Disjoint::new(&mut self.pairs),
        };
        let (rows, blocks) = (self.rows, self.blocks);
        let one = |(r, row): (usize, &[f32])| {
            let (first, offset) = (r / TILE * TILE, r % TILE);
            let stride = TILE.min(rows - first);
            to.row(wide, row, first * blocks, offset, stride);
        };
        if rows < 4 {
            numbers.chunks_exact(columns).enumerate().for_each(one);
        } else {
            team::for_each(rows, |r| one((r, &numbers[r * columns..(r + 1) * columns])));
        }
    }

    /// The numbers as the kernels see them, row by row.
    #[cfg(test)]
    pub(super) fn rounded(&self) -> Vec<f32> {
        let mut all = Vec::new();
        for r in 0..self.rows {
            let (first, offset) = (r / TILE * TILE, r % TILE);
            let stride = self.tile_rows(first);
            for block in 0..self.blocks {
                let at = first * self.blocks + block * stride + offset;
                let scale = if self.wide {
                    self.scales[first * self.blocks / 8 + block / 8 * stride + offset]
                } else {
                    self.scales[at]
                };
                all.extend(self.numbers[at].0.iter().map(|n| f32::from(*n) * scale));
            }
        }
        all
    }
}

fn grow<T: Clone + Default>(vector: &mut Vec<T>, len: usize) {
    if vector.len() < len {
        vector.resize(len, T::default());
    }
}

/// Where rows write what they become.
struct Targets<'a> {
    numbers: Disjoint<'a, Numbers>,
    scales: Disjoint<'a, f32>,
    sums: Disjoint<'a, i32>,
    pairs: Disjoint<'a, i32>,
}

impl Targets<'_> {
    /// `base` is the tile's first block of all.
    fn row(&self, wide: bool, row: &[f32], base: usize, offset: usize, stride: usize) {
        let mut sums = [0i32; 2 * PANEL_BLOCKS];
        for (p, panel) in row.chunks(if wide { PANEL } else { BLOCK }).enumerate() {
            let mut numbers = [0i8; PANEL];
            // SAFETY: the best set is there; the work is safe.
            let scale = unsafe { Isa::best().run(Quantise { from: panel, to: &mut numbers }) };
            for (sum, half) in sums.iter_mut().zip(numbers.chunks_exact(BLOCK / 2)) {
                *sum = half.iter().map(|n| i32::from(*n)).sum();
            }
            // SAFETY: each index belongs to this row alone, and one task writes a row.
            unsafe {
                for (j, block) in numbers[..panel.len()].as_chunks::<BLOCK>().0.iter().enumerate() {
                    let at = base + (if wide { p * PANEL_BLOCKS + j } else { p }) * stride + offset;
                    self.numbers.write(at, &[Numbers(*block)]);
                    if wide {
                        let half = (base + (p * PANEL_BLOCKS + j) * stride) * 2 + offset;
                        self.sums.write(half, &[WIDE_OFFSET * sums[2 * j]]);
                        self.sums.write(half + stride, &[WIDE_OFFSET * sums[2 * j + 1]]);
                    }
                }
                if wide {
                    let at = base / PANEL_BLOCKS + p * stride;
                    self.scales.write(at + offset, &[scale]);
                    for pair in 0..4 {
                        let sum = |block: usize| sums[2 * block] + sums[2 * block + 1];
                        let both = (sum(2 * pair) & 0xffff) | sum(2 * pair + 1) << 16;
                        self.pairs.write(4 * at + pair * stride + offset, &[both]);
                    }
                } else {
                    let sum = sums[0] + sums[1];
                    let at = base + p * stride + offset;
                    self.scales.write(at, &[scale]);
                    self.sums.write(at, &[-sum]);
                    self.pairs.write(at, &[(scale * sum as f32).to_bits().cast_signed()]);
                }
            }
        }
    }
}

/// Rounds to -127..=127 and returns the scale. Numbers that are not finite become zero; the caller's logits show them.
struct Quantise<'a> {
    from: &'a [f32],
    to: &'a mut [i8; PANEL],
}

impl Work for Quantise<'_> {
    type Result = f32;

    // Loops over lanes: to be compiled for wide vectors is all they need.
    #[inline(always)]
    unsafe fn run<V: Vectors>(self) -> f32 {
        quantise(self.from, self.to)
    }
}

#[inline(always)]
fn quantise(from: &[f32], to: &mut [i8; PANEL]) -> f32 {
    // Eight maxima side by side: one chain of comparisons could not be computed as a vector.
    let mut lanes = [0.0f32; 16];
    for chunk in from.chunks_exact(16) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            let size = x.abs();
            *lane = if size > *lane { size } else { *lane };
        }
    }
    let largest = lanes.iter().fold(0.0f32, |m, x| m.max(*x));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    for (to, from) in to.chunks_exact_mut(16).zip(from.chunks_exact(16)) {
        for (to, from) in to.iter_mut().zip(from) {
            // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, ties to even.
            const SHIFT: f32 = 12_582_912.0;
            let shifted = from * inverse + SHIFT;
            *to = shifted.to_bits() as i8;
        }
    }
    largest / 127.0
}
