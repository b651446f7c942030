//! The scalar twin of the vector kernels: the same steps in the same order, one row at a time.

use half::f16;

use super::format::{BLOCK, Format, GROUP, LINE_BYTES, PANEL_BLOCKS, Scaling};
use super::left::LeftAt;

/// The product of row `r` of a packed group with a left row.
///
/// # Safety
/// `left` is a row of as many blocks as the group has.
pub(super) unsafe fn multiply(format: Format, group: &[u8], blocks: usize, r: usize, left: LeftAt) -> f32 {
    let (codes, scales) = group.split_at(blocks * format.block_bytes());
    let code = |b: usize, k: usize| i32::from(code(format.bits, &codes[b * format.block_bytes()..], r, k));
    // SAFETY: the caller's: each index is of a block the row has.
    let number = |b: usize, k: usize| unsafe { i32::from(*left.numbers.add(b * left.stride * BLOCK + k)) };
    let dot = |b: usize, part: std::ops::Range<usize>| part.map(|k| code(b, k) * number(b, k)).sum::<i32>();
    let half = |at: usize| f16::from_le_bytes([scales[at + 2 * r], scales[at + 2 * r + 1]]).to_f32();
    let mut total = 0.0f32;
    let shift = format.offset_bits;
    // SAFETY: as above.
    unsafe {
        match format.scaling {
            Scaling::Block => {
                for b in 0..blocks {
                    let at = b * left.stride;
                    let sum = (*left.sums.add(at) << shift) + dot(b, 0..BLOCK);
                    let scale = half(b * format.scale_bytes()) * *left.scales.add(at);
                    total = (sum as f32).mul_add(scale, total);
                }
            }
            Scaling::BlockMin => {
                for b in 0..blocks {
                    let (at, scales) = (b * left.stride, b * format.scale_bytes());
                    total = (dot(b, 0..BLOCK) as f32).mul_add(half(scales) * *left.scales.add(at), total);
                    let x = f32::from_bits((*left.pairs.add(at)).cast_unsigned());
                    total = half(scales + 2 * GROUP).mul_add(x, total);
                }
            }
            Scaling::PanelMin => {
                for p in 0..blocks / PANEL_BLOCKS {
                    let at = p * format.scale_bytes();
                    let (mut sum, mut min) = (0.0f32, 0);
                    for j in 0..PANEL_BLOCKS {
                        let scale = f32::from(scales[at + (4 + j) * GROUP + r]);
                        sum = (dot(p * PANEL_BLOCKS + j, 0..BLOCK) as f32).mul_add(scale, sum);
                        let both = *left.pairs.add((4 * p + j / 2) * left.stride);
                        let x = i32::from(if j % 2 == 0 { both as i16 } else { (both >> 16) as i16 });
                        min += i32::from(scales[at + (12 + j / 2 * 2) * GROUP + 2 * r + j % 2]) * x;
                    }
                    let x = *left.scales.add(p * left.stride);
                    total = sum.mul_add(half(at) * x, total);
                    total = (-(min as f32)).mul_add(half(at + 2 * GROUP) * x, total);
                }
            }
            Scaling::PanelHalf => {
                for p in 0..blocks / PANEL_BLOCKS {
                    let at = p * format.scale_bytes();
                    let mut sum = 0.0f32;
                    for j in 0..2 * PANEL_BLOCKS {
                        let b = p * PANEL_BLOCKS + j / 2;
                        let start = *left.sums.add((2 * b + j % 2) * left.stride);
                        let part = j % 2 * BLOCK / 2..(j % 2 + 1) * BLOCK / 2;
                        let scale = f32::from(scales[at + (2 + j) * GROUP + r].cast_signed());
                        sum = ((start + dot(b, part)) as f32).mul_add(scale, sum);
                    }
                    total = sum.mul_add(half(at) * *left.scales.add(p * left.stride), total);
                }
            }
        }
    }
    total
}

/// The code of column `k` of a block.
fn code(bits: u8, block: &[u8], r: usize, k: usize) -> u8 {
    let (t, byte) = (k / 4, 4 * r + k % 4);
    let line = |n: usize| block[n * LINE_BYTES + byte];
    if bits == 8 {
        return line(t);
    }
    let low = line(t % 4) >> (t / 4 * 4) & 15;
    match bits {
        5 => low | (line(4) >> t & 1) << 4,
        6 => low | (line(4 + t / 4) >> (t % 4 * 2) & 3) << 4,
        _ => low,
    }
}
