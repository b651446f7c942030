//! Products of packed groups with AVX-512 and its byte dot product. Every function computes the same steps in the same
//! order as [`super::portable`], so results agree bit for bit.

#[allow(clippy::wildcard_imports)]
use std::arch::x86_64::*;

use super::format::{BLOCK, Format, GROUP, LINE_BYTES, PANEL_BLOCKS, Scaling};
use super::left::LeftAt;

/// Whether this processor has what the kernels are compiled for.
pub(in super::super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

/// Sums of the 16 rows of a group with one left row.
pub(super) type Lanes = [f32; GROUP];

pub(super) const BLOCK_KIND: u8 = 0;
pub(super) const BLOCK_MIN: u8 = 1;
pub(super) const PANEL_MIN: u8 = 2;
pub(super) const PANEL_HALF: u8 = 3;

/// Where a group's (or a part's) codes and scales lie.
#[derive(Clone, Copy)]
pub(super) struct GroupAt {
    pub codes: *const u8,
    pub scales: *const u8,
    /// Blocks to go over; whole panels where scales are per panel.
    pub blocks: usize,
}

/// Adds the products of a group with `totals.len()` left rows, at most 8 at a time. With `plain`, the codes are bytes,
/// as [`unpack`] leaves them.
///
/// # Safety
/// [`is_available`]; the addresses are those of `group.blocks` blocks in `format` and of as many blocks of rows that
/// exist.
pub(super) unsafe fn multiply(
    format: Format,
    plain: bool,
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes],
) {
    let bits = if plain { 8 } else { format.bits };
    // SAFETY: the caller's.
    unsafe {
        match (bits, format.scaling) {
            (4, Scaling::Block) => rows::<4, BLOCK_KIND>(format, group, left, totals),
            (4, Scaling::BlockMin) => rows::<4, BLOCK_MIN>(format, group, left, totals),
            (4, Scaling::PanelMin) => rows::<4, PANEL_MIN>(format, group, left, totals),
            (5, Scaling::Block) => rows::<5, BLOCK_KIND>(format, group, left, totals),
            (5, Scaling::BlockMin) => rows::<5, BLOCK_MIN>(format, group, left, totals),
            (5, Scaling::PanelMin) => rows::<5, PANEL_MIN>(format, group, left, totals),
            (6, Scaling::PanelHalf) => rows::<6, PANEL_HALF>(format, group, left, totals),
            (_, Scaling::Block) => rows::<8, BLOCK_KIND>(format, group, left, totals),
            (_, Scaling::BlockMin) => rows::<8, BLOCK_MIN>(format, group, left, totals),
            (_, Scaling::PanelMin) => rows::<8, PANEL_MIN>(format, group, left, totals),
            (_, Scaling::PanelHalf) => rows::<8, PANEL_HALF>(format, group, left, totals),
        }
    }
}

/// Cuts the left rows into passes.
unsafe fn rows<const BITS: u8, const SCALING: u8>(
    format: Format,
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes],
) {
    let (eights, rest) = totals.as_chunks_mut::<8>();
    let done = 8 * eights.len();
    // SAFETY: the caller's; each pass begins at a row of the tile and has as many as there are totals.
    unsafe {
        for (n, totals) in eights.iter_mut().enumerate() {
            span::<BITS, SCALING, 8>(format, group, left.skip(8 * n), totals);
        }
        let (four, rest) = rest.split_at_mut(rest.len() & 4);
        if let Ok(totals) = <&mut [Lanes; 4]>::try_from(&mut *four) {
            span::<BITS, SCALING, 4>(format, group, left.skip(done), totals);
        }
        let (two, one) = rest.split_at_mut(rest.len() & 2);
        if let Ok(totals) = <&mut [Lanes; 2]>::try_from(&mut *two) {
            span::<BITS, SCALING, 2>(format, group, left.skip(done + four.len()), totals);
        }
        if let Ok(totals) = <&mut [Lanes; 1]>::try_from(one) {
            span::<BITS, SCALING, 1>(format, group, left.skip(done + four.len() + two.len()), totals);
        }
    }
}

impl LeftAt {
    /// The row `count` rows further in the same tile.
    ///
    /// # Safety
    /// The tile has it.
    #[inline]
    unsafe fn skip(self, count: usize) -> Self {
        Self {
            numbers: self.numbers.wrapping_add(count * BLOCK),
            scales: self.scales.wrapping_add(count),
            sums: self.sums.wrapping_add(count),
            pairs: self.pairs.wrapping_add(count),
            stride: self.stride,
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn span<const BITS: u8, const SCALING: u8, const M: usize>(
    format: Format,
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes; M],
) {
    // SAFETY: the caller's.
    unsafe {
        match SCALING {
            BLOCK_KIND | BLOCK_MIN => narrow::<BITS, SCALING, M>(format.offset_bits, group, left, totals),
            _ => wide::<BITS, SCALING, M>(group, left, totals),
        }
    }
}

/// How far ahead codes are asked for. Processors look ahead by themselves, but not across pages of 4 KiB, and the codes of
/// a group are some of them.
const AHEAD_BYTES: usize = 2048;

/// Asks for the codes that come up, behind the matrix's end for what lies there: a hint reads nothing.
#[inline]
#[target_feature(enable = "avx512f")]
fn ahead<const BITS: u8>(codes: *const u8) {
    for line in 0..usize::from(BITS) {
        _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(AHEAD_BYTES + line * LINE_BYTES).cast());
    }
}

/// Formats with scales per block, on both sides.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn narrow<const BITS: u8, const SCALING: u8, const M: usize>(
    offset_bits: u8,
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes; M],
) {
    let has_min = SCALING == BLOCK_MIN;
    let scale_bytes = if has_min { 4 * GROUP } else { 2 * GROUP };
    let shift = _mm_cvtsi32_si128(i32::from(offset_bits));
    // SAFETY: the caller's: each address is of block `b` of a group or of a row.
    unsafe {
        let mut sums: [__m512; M] = std::array::from_fn(|r| _mm512_loadu_ps(totals[r].as_ptr()));
        for b in 0..group.blocks {
            let codes = group.codes.add(b * usize::from(BITS) * LINE_BYTES);
            ahead::<BITS>(codes);
            let weights = load::<BITS>(codes);
            let scales = group.scales.add(b * scale_bytes);
            let d = halves(scales);
            let min = if has_min { halves(scales.add(2 * GROUP)) } else { _mm512_setzero_ps() };
            let at = b * left.stride;
            for r in 0..M {
                let start = if has_min {
                    _mm512_setzero_si512()
                } else {
                    _mm512_sll_epi32(_mm512_set1_epi32(*left.sums.add(at + r)), shift)
                };
                let sum = dot(start, &weights, left.numbers.add((at + r) * BLOCK));
                let scale = _mm512_mul_ps(d, _mm512_set1_ps(*left.scales.add(at + r)));
                sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, sums[r]);
                if has_min {
                    let x = _mm512_castsi512_ps(_mm512_set1_epi32(*left.pairs.add(at + r)));
                    sums[r] = _mm512_fmadd_ps(min, x, sums[r]);
                }
            }
        }
        for r in 0..M {
            _mm512_storeu_ps(totals[r].as_mut_ptr(), sums[r]);
        }
    }
}

/// Formats with integer scales within a panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn wide<const BITS: u8, const SCALING: u8, const M: usize>(
    group: GroupAt,
    left: LeftAt,
    totals: &mut [Lanes; M],
) {
    let scale_bytes = if SCALING == PANEL_MIN { 20 * GROUP } else { 18 * GROUP };
    // SAFETY: the caller's: each address is of panel `p` or of a block in it, of a group or of a row.
    unsafe {
        for p in 0..group.blocks / PANEL_BLOCKS {
            let scales = group.scales.add(p * scale_bytes);
            let mut sums = [_mm512_setzero_ps(); M];
            for j in 0..PANEL_BLOCKS {
                let b = p * PANEL_BLOCKS + j;
                let codes = group.codes.add(b * usize::from(BITS) * LINE_BYTES);
                ahead::<BITS>(codes);
                let weights = load::<BITS>(codes);
                let at = b * left.stride;
                if SCALING == PANEL_MIN {
                    let scale = _mm_loadu_si128(scales.add((4 + j) * GROUP).cast());
                    let scale = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(scale));
                    for r in 0..M {
                        let sum = dot(_mm512_setzero_si512(), &weights, left.numbers.add((at + r) * BLOCK));
                        sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, sums[r]);
                    }
                } else {
                    for half in 0..2 {
                        let scale = _mm_loadu_si128(scales.add((2 + 2 * j + half) * GROUP).cast());
                        let scale = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scale));
                        let weights = &weights[4 * half..4 * half + 4];
                        for r in 0..M {
                            let start = *left.sums.add((2 * b + half) * left.stride + r);
                            let start = _mm512_set1_epi32(start);
                            let numbers = left.numbers.add((at + r) * BLOCK + half * BLOCK / 2);
                            let sum = dot(start, weights, numbers);
                            sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, sums[r]);
                        }
                    }
                }
            }
            finish::<SCALING, M>(scales, left, p, &sums, totals);
        }
    }
}

/// Adds a panel's sums to the totals: times the factors of both sides, less the minima.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn finish<const SCALING: u8, const M: usize>(
    scales: *const u8,
    left: LeftAt,
    p: usize,
    sums: &[__m512; M],
    totals: &mut [Lanes; M],
) {
    // SAFETY: the caller's.
    unsafe {
        let d = halves(scales);
        let least = if SCALING == PANEL_MIN { halves(scales.add(2 * GROUP)) } else { _mm512_setzero_ps() };
        let minima: [__m512i; 4] = std::array::from_fn(|pair| {
            if SCALING == PANEL_MIN {
                let bytes = _mm256_loadu_si256(scales.add((12 + 2 * pair) * GROUP).cast());
                _mm512_cvtepu8_epi16(bytes)
            } else {
                _mm512_setzero_si512()
            }
        });
        for r in 0..M {
            let x = _mm512_set1_ps(*left.scales.add(p * left.stride + r));
            let mut total = _mm512_loadu_ps(totals[r].as_ptr());
            total = _mm512_fmadd_ps(sums[r], _mm512_mul_ps(d, x), total);
            if SCALING == PANEL_MIN {
                let mut min = _mm512_setzero_si512();
                for (pair, minima) in minima.iter().enumerate() {
                    let both = *left.pairs.add((4 * p + pair) * left.stride + r);
                    min = _mm512_dpwssd_epi32(min, *minima, _mm512_set1_epi32(both));
                }
                total = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(min), _mm512_mul_ps(least, x), total);
            }
            _mm512_storeu_ps(totals[r].as_mut_ptr(), total);
        }
    }
}

/// Adds the products of quads with as many four numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn dot(start: __m512i, weights: &[__m512i], numbers: *const i8) -> __m512i {
    let mut sum = start;
    for (t, weights) in weights.iter().enumerate() {
        // SAFETY: the caller's: the numbers are four for each quad.
        let four = unsafe { numbers.add(4 * t).cast::<i32>().read_unaligned() };
        sum = _mm512_dpbusd_epi32(sum, *weights, _mm512_set1_epi32(four));
    }
    sum
}

/// Sixteen f16.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn halves(from: *const u8) -> __m512 {
    // SAFETY: the caller's: 32 bytes can be read.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(from.cast()) })
}

/// The quads of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load<const BITS: u8>(from: *const u8) -> [__m512i; 8] {
    // SAFETY: the caller's: the block has `BITS` lines.
    let line = |n: usize| unsafe { _mm512_loadu_si512(from.add(n * LINE_BYTES).cast()) };
    if BITS == 8 {
        return std::array::from_fn(line);
    }
    let low = _mm512_set1_epi8(0x0f);
    let mut quads = [_mm512_setzero_si512(); 8];
    for t in 0..4 {
        let both = line(t);
        quads[t] = _mm512_and_si512(both, low);
        quads[t + 4] = _mm512_and_si512(_mm512_srli_epi16::<4>(both), low);
    }
    if BITS == 5 {
        let (high, bit) = (line(4), _mm512_set1_epi8(0x10));
        // Bit t to bit 4; what the shift brings from the next byte is masked away.
        let moved = [
            _mm512_slli_epi16::<4>(high),
            _mm512_slli_epi16::<3>(high),
            _mm512_slli_epi16::<2>(high),
            _mm512_slli_epi16::<1>(high),
            high,
            _mm512_srli_epi16::<1>(high),
            _mm512_srli_epi16::<2>(high),
            _mm512_srli_epi16::<3>(high),
        ];
        for (quad, moved) in quads.iter_mut().zip(moved) {
            *quad = _mm512_ternarylogic_epi64::<OR_MASKED>(*quad, moved, bit);
        }
    }
    if BITS == 6 {
        let two = _mm512_set1_epi8(0x30);
        for half in 0..2 {
            let high = line(4 + half);
            let moved = [
                _mm512_slli_epi16::<4>(high),
                _mm512_slli_epi16::<2>(high),
                high,
                _mm512_srli_epi16::<2>(high),
            ];
            for (quad, moved) in quads[4 * half..].iter_mut().zip(moved) {
                *quad = _mm512_ternarylogic_epi64::<OR_MASKED>(*quad, moved, two);
            }
        }
    }
    quads
}

/// `a | (b & c)`.
const OR_MASKED: i32 = 0xf8;

/// Unpacks blocks to bytes, eight lines each.
///
/// # Safety
/// [`is_available`]; `from` has as many blocks as `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn unpack(bits: u8, from: *const u8, to: &mut [[[u8; LINE_BYTES]; 8]]) {
    for (b, block) in to.iter_mut().enumerate() {
        // SAFETY: the caller's.
        unsafe {
            let from = from.add(b * usize::from(bits) * LINE_BYTES);
            let quads = match bits {
                4 => load::<4>(from),
                5 => load::<5>(from),
                6 => load::<6>(from),
                _ => load::<8>(from),
            };
            for (line, quad) in block.iter_mut().zip(quads) {
                _mm512_storeu_si512(line.as_mut_ptr().cast(), quad);
            }
        }
    }
}
