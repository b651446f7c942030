//! The left side of a product, quantised to eight bits.

use candle_core::quantized::GgmlDType;

use super::avx2::{self, FinePanel, Pair, WidePanel};
use super::{Left, PANEL};

/// 256 numbers with one scale: what k-quants, whose scales within a panel are integers, are multiplied with.
#[derive(Clone)]
#[repr(C, align(32))]
pub(super) struct WideRow {
    pub numbers: [i8; PANEL],
    /// Sums of 16 numbers each.
    pub sums: [i16; 16],
    pub scale: f32,
}

/// 256 numbers with a scale for every 32.
#[derive(Clone)]
#[repr(C, align(32))]
pub(super) struct FineRow {
    pub numbers: [i8; PANEL],
    pub scales: [f32; 8],
    /// Sums of 32 numbers each, times their scale.
    pub sums: [f32; 8],
}

/// Rounds to -127..=127 and returns the scale. Numbers that are not finite become zero; the caller's logits show them.
fn quantise(from: &[f32], to: &mut [i8]) -> f32 {
    let largest = from.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    for (to, from) in to.iter_mut().zip(from) {
        *to = (from * inverse).round_ties_even() as i8;
    }
    largest / 127.0
}

impl Left for WideRow {
    type Panel = WidePanel;
    type Sums = Pair;

    fn quantise(numbers: &[f32]) -> Self {
        let mut row = Self { numbers: [0; PANEL], sums: [0; 16], scale: 0.0 };
        row.scale = quantise(numbers, &mut row.numbers);
        for (sum, numbers) in row.sums.iter_mut().zip(row.numbers.chunks_exact(16)) {
            *sum = numbers.iter().map(|x| i16::from(*x)).sum();
        }
        row
    }

    fn unpack(dtype: GgmlDType, blocks: &[u8], panel: &mut WidePanel) {
        avx2::unpack_wide(dtype, blocks, panel);
    }

    fn multiply(panels: &[WidePanel; 2], left: &[Self], sums: &mut [Pair]) {
        avx2::multiply_wide(panels, left, sums);
    }

    fn total(sums: &Pair, which: usize) -> f32 {
        sums.total(which)
    }
}

impl Left for FineRow {
    type Panel = FinePanel;
    type Sums = Pair;

    fn quantise(numbers: &[f32]) -> Self {
        let mut row = Self { numbers: [0; PANEL], scales: [0.0; 8], sums: [0.0; 8] };
        for (j, numbers) in numbers.chunks(32).enumerate() {
            let to = &mut row.numbers[j * 32..j * 32 + numbers.len()];
            row.scales[j] = quantise(numbers, to);
            row.sums[j] = row.scales[j] * to.iter().map(|x| i32::from(*x)).sum::<i32>() as f32;
        }
        row
    }

    fn unpack(dtype: GgmlDType, blocks: &[u8], panel: &mut FinePanel) {
        avx2::unpack_fine(dtype, blocks, panel);
    }

    fn multiply(panels: &[FinePanel; 2], left: &[Self], sums: &mut [Pair]) {
        avx2::multiply_fine(panels, left, sums);
    }

    fn total(sums: &Pair, which: usize) -> f32 {
        sums.total(which)
    }
}
