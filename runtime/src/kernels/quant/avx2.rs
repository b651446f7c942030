//! Unpacking and multiplying with AVX2. On other processors nothing here is called: no matrix is built.
//!
//! Layouts are those of ggml's blocks. `maddubs` multiplies unsigned weights with signed left numbers and adds pairs in
//! 16 bits: the largest possible pair is 2 · 128 · 127 = 32,512, so it cannot saturate.

use candle_core::quantized::GgmlDType;

use super::left::{FineRow, WideRow};

pub(super) use imp::*;

/// A k-quant panel: `d * Σ scales * weights * x + offset * Σ corrections * sums(x)`.
#[repr(C, align(32))]
pub(super) struct WidePanel {
    weights: [u8; 256],
    /// For each 32 weights, sixteen factors: one per 16-bit pair.
    scales: [i16; 128],
    /// One per 16 weights.
    corrections: [i16; 16],
    d: f32,
    offset: f32,
}

impl Default for WidePanel {
    fn default() -> Self {
        Self { weights: [0; 256], scales: [0; 128], corrections: [0; 16], d: 0.0, offset: 0.0 }
    }
}

/// Eight blocks: `Σ d[j] * weights * x + mins[j] * sums(x)`.
#[repr(C, align(32))]
pub(super) struct FinePanel {
    weights: [i8; 256],
    d: [f32; 8],
    mins: [f32; 8],
}

impl Default for FinePanel {
    fn default() -> Self {
        Self { weights: [0; 256], d: [0.0; 8], mins: [0.0; 8] }
    }
}

#[cfg(target_arch = "x86_64")]
mod imp {
    #[allow(clippy::wildcard_imports)]
    use std::arch::x86_64::*;

    #[allow(clippy::wildcard_imports)]
    use super::*;

    /// Sums of two weight rows with one left row, in eight lanes each.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Pair([__m256; 2]);

    impl Default for Pair {
        fn default() -> Self {
            // SAFETY: all bits zero are eight zeros.
            Self(unsafe { std::mem::zeroed() })
        }
    }

    impl Pair {
        /// The sum of one of the rows, its lanes added in a fixed order.
        pub(in super::super) fn total(&self, which: usize) -> f32 {
            // SAFETY: a vector of eight floats is eight floats.
            let lanes: [f32; 8] = unsafe { std::mem::transmute(self.0[which]) };
            ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
        }
    }

    pub(in super::super) fn is_available() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
    }

    pub(in super::super) fn unpack_wide(dtype: GgmlDType, block: &[u8], panel: &mut WidePanel) {
        // SAFETY: matrices exist only where the features do; both functions check the block's length.
        unsafe { if dtype == GgmlDType::Q4K { unpack_q4k(block, panel) } else { unpack_q6k(block, panel) } }
    }

    pub(in super::super) fn unpack_fine(dtype: GgmlDType, blocks: &[u8], panel: &mut FinePanel) {
        // SAFETY: matrices exist only where the features do; the code itself is safe.
        unsafe { unpack_blocks(dtype, blocks, panel) }
    }

    pub(in super::super) fn multiply_wide(panels: &[WidePanel; 2], left: &[WideRow], sums: &mut [Pair]) {
        let (rows, rest) = left.as_chunks::<4>();
        let (totals, totals_rest) = sums.as_chunks_mut::<4>();
        for (row, total) in rows.iter().zip(totals) {
            // SAFETY: matrices exist only where the features do.
            unsafe { wide(panels, row, total) };
        }
        for (row, total) in rest.iter().zip(totals_rest) {
            // SAFETY: as above.
            unsafe { wide(panels, std::array::from_ref(row), std::array::from_mut(total)) };
        }
    }

    pub(in super::super) fn multiply_fine(panels: &[FinePanel; 2], left: &[FineRow], sums: &mut [Pair]) {
        let (rows, rest) = left.as_chunks::<4>();
        let (totals, totals_rest) = sums.as_chunks_mut::<4>();
        for (row, total) in rows.iter().zip(totals) {
            // SAFETY: matrices exist only where the features do.
            unsafe { fine(panels, row, total) };
        }
        for (row, total) in rest.iter().zip(totals_rest) {
            // SAFETY: as above.
            unsafe { fine(panels, std::array::from_ref(row), std::array::from_mut(total)) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    fn half(bytes: &[u8]) -> f32 {
        let bits = i32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))
    }

    #[target_feature(enable = "avx2,f16c")]
    fn unpack_q4k(block: &[u8], panel: &mut WidePanel) {
        let block: &[u8; 144] = block.try_into().expect("a whole Q4_K block");
        (panel.d, panel.offset) = (half(&block[0..2]), -half(&block[2..4]));
        let packed = &block[4..16];
        let low = _mm256_set1_epi8(0x0f);
        for j in 0..8 {
            let (scale, min) = if j < 4 {
                (packed[j] & 63, packed[j + 4] & 63)
            } else {
                let high = packed[j + 4];
                ((high & 15) | (packed[j - 4] >> 6 << 4), (high >> 4) | (packed[j] >> 6 << 4))
            };
            panel.scales[j * 16..(j + 1) * 16].fill(i16::from(scale));
            panel.corrections[j * 2..(j + 1) * 2].fill(i16::from(min));
        }
        for chunk in 0..4 {
            // SAFETY: 32 bytes from 16 + 32 * chunk lie within the 144; 64 bytes from 64 * chunk within the 256.
            unsafe {
                let both = _mm256_loadu_si256(block.as_ptr().add(16 + 32 * chunk).cast());
                let to = panel.weights.as_mut_ptr().add(64 * chunk);
                _mm256_store_si256(to.cast(), _mm256_and_si256(both, low));
                _mm256_store_si256(to.add(32).cast(), _mm256_and_si256(_mm256_srli_epi16(both, 4), low));
            }
        }
    }

    #[target_feature(enable = "avx2,f16c")]
    fn unpack_q6k(block: &[u8], panel: &mut WidePanel) {
        let block: &[u8; 210] = block.try_into().expect("a whole Q6_K block");
        let d = half(&block[208..210]);
        (panel.d, panel.offset) = (d, -32.0 * d);
        for g in 0..16 {
            let scale = i16::from(block[192 + g].cast_signed());
            panel.scales[g * 8..(g + 1) * 8].fill(scale);
            panel.corrections[g] = scale;
        }
        let (low, two) = (_mm256_set1_epi8(0x0f), _mm256_set1_epi8(0x30));
        for part in 0..2 {
            // SAFETY: the four low bits are 64 bytes per half at 0, the two high bits 32 bytes per half at 128; 128
            // bytes from 128 * part lie within the 256.
            unsafe {
                let a = _mm256_loadu_si256(block.as_ptr().add(64 * part).cast());
                let b = _mm256_loadu_si256(block.as_ptr().add(64 * part + 32).cast());
                let h = _mm256_loadu_si256(block.as_ptr().add(128 + 32 * part).cast());
                let to = panel.weights.as_mut_ptr().add(128 * part);
                let join =
                    |bits, high| _mm256_or_si256(_mm256_and_si256(bits, low), _mm256_and_si256(high, two));
                _mm256_store_si256(to.cast(), join(a, _mm256_slli_epi16(h, 4)));
                _mm256_store_si256(to.add(32).cast(), join(b, _mm256_slli_epi16(h, 2)));
                _mm256_store_si256(to.add(64).cast(), join(_mm256_srli_epi16(a, 4), h));
                _mm256_store_si256(to.add(96).cast(), join(_mm256_srli_epi16(b, 4), _mm256_srli_epi16(h, 2)));
            }
        }
    }

    #[target_feature(enable = "avx2,f16c")]
    fn unpack_blocks(dtype: GgmlDType, blocks: &[u8], panel: &mut FinePanel) {
        // Fewer blocks leave the rest zero.
        *panel = FinePanel::default();
        for (j, block) in blocks.chunks_exact(dtype.type_size()).enumerate() {
            let weights = &mut panel.weights[j * 32..(j + 1) * 32];
            panel.d[j] = half(&block[0..2]);
            let nibbles = |weights: &mut [i8], packed: &[u8]| {
                let (first, second) = weights.split_at_mut(16);
                for ((a, b), packed) in first.iter_mut().zip(second).zip(packed) {
                    (*a, *b) = ((packed & 15).cast_signed(), (packed >> 4).cast_signed());
                }
            };
            match dtype {
                GgmlDType::Q4_0 => {
                    nibbles(weights, &block[2..18]);
                    weights.iter_mut().for_each(|w| *w -= 8);
                }
                GgmlDType::Q4_1 => {
                    panel.mins[j] = half(&block[2..4]);
                    nibbles(weights, &block[4..20]);
                }
                GgmlDType::Q5_0 => {
                    nibbles(weights, &block[6..22]);
                    let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
                    for (bit, w) in weights.iter_mut().enumerate() {
                        *w = (*w | ((high >> bit & 1) << 4) as i8) - 16;
                    }
                }
                _ => {
                    for (w, byte) in weights.iter_mut().zip(&block[2..34]) {
                        *w = byte.cast_signed();
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn wide<const M: usize>(panels: &[WidePanel; 2], left: &[WideRow; M], sums: &mut [Pair; M]) {
        let mut totals = [[_mm256_setzero_si256(); 2]; M];
        // SAFETY: all loads are of whole vectors within arrays of 256 bytes, 128 or 16 words, whose structures are aligned
        // to 32 bytes, as are the arrays in them.
        unsafe {
            for j in 0..8 {
                let weights = [0, 1].map(|n: usize| load(panels[n].weights.as_ptr().add(32 * j).cast()));
                let scales = [0, 1].map(|n: usize| load(panels[n].scales.as_ptr().add(16 * j).cast()));
                for m in 0..M {
                    let x = load(left[m].numbers.as_ptr().add(32 * j).cast());
                    for n in 0..2 {
                        let product = _mm256_madd_epi16(_mm256_maddubs_epi16(weights[n], x), scales[n]);
                        totals[m][n] = _mm256_add_epi32(totals[m][n], product);
                    }
                }
            }
            for m in 0..M {
                let x_sums = load(left[m].sums.as_ptr().cast());
                for n in 0..2 {
                    let corrections = _mm256_madd_epi16(load(panels[n].corrections.as_ptr().cast()), x_sums);
                    let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(totals[m][n]), _mm256_set1_ps(panels[n].d));
                    let offset = _mm256_set1_ps(panels[n].offset);
                    let sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(corrections), offset, sum);
                    sums[m].0[n] = _mm256_fmadd_ps(sum, _mm256_set1_ps(left[m].scale), sums[m].0[n]);
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn fine<const M: usize>(panels: &[FinePanel; 2], left: &[FineRow; M], sums: &mut [Pair; M]) {
        let ones = _mm256_set1_epi16(1);
        // SAFETY: all loads are of whole vectors within arrays of 256 bytes or 8 floats, whose structures are aligned to
        // 32 bytes, as are the arrays in them.
        unsafe {
            for m in 0..M {
                let x_sums = _mm256_load_ps(left[m].sums.as_ptr());
                for n in 0..2 {
                    let mins = _mm256_load_ps(panels[n].mins.as_ptr());
                    sums[m].0[n] = _mm256_fmadd_ps(mins, x_sums, sums[m].0[n]);
                }
            }
            for j in 0..8 {
                let weights = [0, 1].map(|n: usize| load(panels[n].weights.as_ptr().add(32 * j).cast()));
                let sizes = weights.map(|w| _mm256_abs_epi8(w));
                let d = [0, 1].map(|n: usize| _mm256_set1_ps(panels[n].d[j]));
                for m in 0..M {
                    let x = load(left[m].numbers.as_ptr().add(32 * j).cast());
                    let scale = _mm256_set1_ps(left[m].scales[j]);
                    for n in 0..2 {
                        let pairs = _mm256_maddubs_epi16(sizes[n], _mm256_sign_epi8(x, weights[n]));
                        let product = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, ones));
                        sums[m].0[n] = _mm256_fmadd_ps(product, _mm256_mul_ps(d[n], scale), sums[m].0[n]);
                    }
                }
            }
        }
    }

    /// An aligned load: the unaligned one carries overlap checks in builds with debug assertions, which cost more than
    /// the arithmetic.
    ///
    /// # Safety
    /// 32 bytes can be read, and the address is a multiple of 32.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(from: *const __m256i) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_load_si256(from) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    #[allow(clippy::wildcard_imports)]
    use super::*;

    /// Never made.
    #[derive(Clone, Copy, Default)]
    pub(in super::super) struct Pair;

    impl Pair {
        pub(in super::super) fn total(&self, _: usize) -> f32 {
            unreachable!("no matrix exists here")
        }
    }

    pub(in super::super) fn is_available() -> bool {
        false
    }

    pub(in super::super) fn unpack_wide(_: GgmlDType, _: &[u8], _: &mut WidePanel) {
        unreachable!("no matrix exists here")
    }

    pub(in super::super) fn unpack_fine(_: GgmlDType, _: &[u8], _: &mut FinePanel) {
        unreachable!("no matrix exists here")
    }

    pub(in super::super) fn multiply_wide(_: &[WidePanel; 2], _: &[WideRow], _: &mut [Pair]) {}

    pub(in super::super) fn multiply_fine(_: &[FinePanel; 2], _: &[FineRow], _: &mut [Pair]) {}
}
