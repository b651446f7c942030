//! From a file's blocks to packed groups. Layouts of the sources are those of ggml's blocks.

use candle_core::quantized::GgmlDType;

use super::format::{BLOCK, Format, GROUP, LINE_BYTES, PANEL, PANEL_BLOCKS, Scaling};

/// What one row has in a panel (or in one block, where scales are per block).
struct Decoded {
    codes: [[u8; BLOCK]; PANEL_BLOCKS],
    /// f16 bits: factor of scales, factor of minima.
    factors: [u16; 2],
    /// Scales of blocks or, as i8, of half blocks.
    scales: [u8; 16],
    minima: [u8; PANEL_BLOCKS],
}

/// Packs the rows in `source`, at most 16 of them, of `row_bytes` each; `to` is zero and a group long.
pub(super) fn group(dtype: GgmlDType, format: Format, source: &[u8], row_bytes: usize, to: &mut [u8]) {
    let blocks = row_bytes / dtype.type_size() * dtype.block_size() / BLOCK;
    let (codes, scales) = to.split_at_mut(blocks * format.block_bytes());
    let step = if format.is_wide() { PANEL_BLOCKS } else { 1 };
    let mut row = Decoded {
        codes: [[0; BLOCK]; PANEL_BLOCKS],
        factors: [0; 2],
        scales: [0; 16],
        minima: [0; PANEL_BLOCKS],
    };
    let mut unpacked = [[[0u8; BLOCK]; GROUP]; PANEL_BLOCKS];
    let units = codes
        .chunks_exact_mut(step * format.block_bytes())
        .zip(scales.chunks_exact_mut(format.scale_bytes()))
        .enumerate();
    for (unit, (codes, scales)) in units {
        for (r, source) in source.chunks_exact(row_bytes).enumerate() {
            let at = unit * dtype.type_size();
            decode(dtype, &source[at..at + dtype.type_size()], &mut row);
            for (block, codes) in unpacked.iter_mut().zip(&row.codes) {
                block[r] = *codes;
            }
            write_scales(format.scaling, &row, r, scales);
        }
        for (block, codes) in unpacked.iter().zip(codes.chunks_exact_mut(format.block_bytes())) {
            pack(format.bits, block, codes);
        }
    }
}

fn write_scales(scaling: Scaling, row: &Decoded, r: usize, to: &mut [u8]) {
    let mut half = |at: usize, bits: u16| to[at + 2 * r..at + 2 * r + 2].copy_from_slice(&bits.to_le_bytes());
    half(0, row.factors[0]);
    if matches!(scaling, Scaling::BlockMin | Scaling::PanelMin) {
        half(2 * GROUP, row.factors[1]);
    }
    match scaling {
        Scaling::Block | Scaling::BlockMin => {}
        Scaling::PanelMin => {
            for j in 0..PANEL_BLOCKS {
                to[(4 + j) * GROUP + r] = row.scales[j];
                to[12 * GROUP + j / 2 * 2 * GROUP + 2 * r + j % 2] = row.minima[j];
            }
        }
        Scaling::PanelHalf => {
            for (j, scale) in row.scales.iter().enumerate() {
                to[(2 + j) * GROUP + r] = *scale;
            }
        }
    }
}

/// One block of 16 rows into its lines.
fn pack(bits: u8, rows: &[[u8; BLOCK]; GROUP], to: &mut [u8]) {
    let (lines, _) = to.as_chunks_mut::<LINE_BYTES>();
    for (r, row) in rows.iter().enumerate() {
        let (quads, _) = row.as_chunks::<4>();
        let quad = |t: usize| u32::from_le_bytes(quads[t]);
        let mut put = |line: usize, value: u32| {
            lines[line][4 * r..4 * r + 4].copy_from_slice(&value.to_le_bytes());
        };
        if bits == 8 {
            (0..8).for_each(|t| put(t, quad(t)));
            continue;
        }
        let low = |t: usize| quad(t) & 0x0f0f_0f0f;
        (0..4).for_each(|t| put(t, low(t) | low(t + 4) << 4));
        match bits {
            5 => put(4, (0..8).fold(0, |line, t| line | (quad(t) >> 4 & 0x0101_0101) << t)),
            6 => (0..2).for_each(|half| {
                let high = |t: usize| (quad(4 * half + t) >> 4 & 0x0303_0303) << (2 * t);
                put(4 + half, (0..4).fold(0, |line, t| line | high(t)));
            }),
            _ => {}
        }
    }
}

fn half_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// Sixteen bytes with the codes of a block of 32: the first half in the low nibbles.
fn nibbles(packed: &[u8], codes: &mut [u8; BLOCK]) {
    let (first, second) = codes.split_at_mut(16);
    for ((a, b), packed) in first.iter_mut().zip(second).zip(packed) {
        (*a, *b) = (packed & 15, packed >> 4);
    }
}

fn high_bits(bytes: &[u8], codes: &mut [u8; BLOCK]) {
    let high = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    for (bit, code) in codes.iter_mut().enumerate() {
        *code |= ((high >> bit & 1) << 4) as u8;
    }
}

fn decode(dtype: GgmlDType, block: &[u8], row: &mut Decoded) {
    row.factors[0] = half_at(block, 0);
    match dtype {
        GgmlDType::Q4_0 => nibbles(&block[2..18], &mut row.codes[0]),
        GgmlDType::Q4_1 => {
            row.factors[1] = half_at(block, 2);
            nibbles(&block[4..20], &mut row.codes[0]);
        }
        GgmlDType::Q5_0 => {
            nibbles(&block[6..22], &mut row.codes[0]);
            high_bits(&block[2..6], &mut row.codes[0]);
        }
        GgmlDType::Q5_1 => {
            row.factors[1] = half_at(block, 2);
            nibbles(&block[8..24], &mut row.codes[0]);
            high_bits(&block[4..8], &mut row.codes[0]);
        }
        GgmlDType::Q8_0 => {
            for (code, byte) in row.codes[0].iter_mut().zip(&block[2..34]) {
                *code = byte ^ 0x80;
            }
        }
        GgmlDType::Q4K => {
            k_scales(block, row);
            k_nibbles(&block[16..144], row);
        }
        GgmlDType::Q5K => {
            k_scales(block, row);
            k_nibbles(&block[48..176], row);
            for (j, codes) in row.codes.iter_mut().enumerate() {
                for (code, high) in codes.iter_mut().zip(&block[16..48]) {
                    *code |= (high >> j & 1) << 4;
                }
            }
        }
        _ => six_bits(block, row),
    }
}

/// Eight scales and minima of six bits in twelve bytes.
fn k_scales(block: &[u8], row: &mut Decoded) {
    row.factors[1] = half_at(block, 2);
    let packed = &block[4..16];
    for j in 0..PANEL_BLOCKS {
        (row.scales[j], row.minima[j]) = if j < 4 {
            (packed[j] & 63, packed[j + 4] & 63)
        } else {
            let high = packed[j + 4];
            ((high & 15) | (packed[j - 4] >> 6 << 4), (high >> 4) | (packed[j] >> 6 << 4))
        };
    }
}

fn k_nibbles(packed: &[u8], row: &mut Decoded) {
    let (pairs, _) = row.codes.as_chunks_mut::<2>();
    for ([first, second], packed) in pairs.iter_mut().zip(packed.chunks_exact(32)) {
        for ((a, b), packed) in first.iter_mut().zip(second).zip(packed) {
            (*a, *b) = (packed & 15, packed >> 4);
        }
    }
}

/// A Q6_K block: the low nibbles of 128 weights in 64 bytes, their high bits in 32.
fn six_bits(block: &[u8], row: &mut Decoded) {
    row.factors[0] = half_at(block, 208);
    row.scales.copy_from_slice(&block[192..208]);
    let (parts, _) = row.codes.as_chunks_mut::<4>();
    for (part, codes) in parts.iter_mut().enumerate() {
        let (low, high) = (&block[64 * part..64 * part + 64], &block[128 + 32 * part..160 + 32 * part]);
        for (quarter, codes) in codes.iter_mut().enumerate() {
            let low = &low[quarter % 2 * 32..quarter % 2 * 32 + 32];
            for ((code, low), high) in codes.iter_mut().zip(low).zip(high) {
                *code = (low >> (quarter / 2 * 4) & 15) | (high >> (2 * quarter) & 3) << 4;
            }
        }
    }
}

/// The bytes of one row of a file's format; `None` where `columns` are not whole blocks.
pub(super) fn row_bytes(dtype: GgmlDType, columns: usize) -> Option<usize> {
    // Wide formats have blocks of a panel, the others of a block.
    debug_assert!(matches!(dtype.block_size(), BLOCK | PANEL));
    columns
        .is_multiple_of(dtype.block_size())
        .then(|| (columns / dtype.block_size()).checked_mul(dtype.type_size()))
        .flatten()
}
