//! AVX2: two registers are sixteen lanes. Bytes are multiplied by the dot product of 256 bits where the processor has it.

#[allow(clippy::wildcard_imports)]
use std::arch::x86_64::*;

use super::{Vectors, Work};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run<W: Work>(work: W) -> W::Result {
    // SAFETY: the caller's.
    unsafe { work.run::<Avx2<false>>() }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(super) unsafe fn run_vnni<W: Work>(work: W) -> W::Result {
    // SAFETY: the caller's.
    unsafe { work.run::<Avx2<true>>() }
}

#[derive(Clone, Copy)]
pub(super) struct Avx2<const VNNI: bool>;

/// Sums of four products each, of codes below 64: at most 4 * 63 * 127, which stays below 2^15.
#[inline(always)]
unsafe fn dots_of_two(sum: __m256i, quads: [__m256i; 2], fours: [__m256i; 2]) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let pairs = _mm256_add_epi16(
            _mm256_maddubs_epi16(quads[0], fours[0]),
            _mm256_maddubs_epi16(quads[1], fours[1]),
        );
        _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}

/// Even and odd columns as sixteen bits: sums of products of whole bytes do not fit into them.
#[inline(always)]
unsafe fn dots_of_bytes(sum: __m256i, codes: __m256i, four: __m256i) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let low = _mm256_set1_epi16(0xff);
        let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(four));
        let even = _mm256_madd_epi16(_mm256_and_si256(codes, low), even);
        let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(codes), _mm256_srai_epi16::<8>(four));
        _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
    }
}

/// Four numbers in every lane.
#[inline(always)]
unsafe fn four(numbers: *const i8) -> __m256i {
    // SAFETY: the caller's: four bytes.
    unsafe { _mm256_set1_epi32(numbers.cast::<i32>().read_unaligned()) }
}

// The trait says what may be called where.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const VNNI: bool> Vectors for Avx2<VNNI> {
    type Floats = [__m256; 2];
    type Ints = [__m256i; 2];
    type Line = [__m256i; 2];

    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn floats(from: *const f32) -> [__m256; 2] {
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(floats: [__m256; 2], to: *mut f32) {
        unsafe {
            _mm256_storeu_ps(to, floats[0]);
            _mm256_storeu_ps(to.add(8), floats[1]);
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [__m256; 2] {
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    unsafe fn multiply(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn add_product(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    unsafe fn take_product(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
        unsafe { [_mm256_fnmadd_ps(a[0], b[0], c[0]), _mm256_fnmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    unsafe fn halves(from: *const u8) -> [__m256; 2] {
        unsafe {
            let (low, high) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(16).cast()));
            [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)]
        }
    }

    #[inline(always)]
    unsafe fn unsigned(from: *const u8) -> [__m256; 2] {
        unsafe {
            let (low, high) = (_mm_loadl_epi64(from.cast()), _mm_loadl_epi64(from.add(8).cast()));
            Self::to_floats([_mm256_cvtepu8_epi32(low), _mm256_cvtepu8_epi32(high)])
        }
    }

    #[inline(always)]
    unsafe fn signed(from: *const u8) -> [__m256; 2] {
        unsafe {
            let (low, high) = (_mm_loadl_epi64(from.cast()), _mm_loadl_epi64(from.add(8).cast()));
            Self::to_floats([_mm256_cvtepi8_epi32(low), _mm256_cvtepi8_epi32(high)])
        }
    }

    #[inline(always)]
    unsafe fn splat_int(x: i32) -> [__m256i; 2] {
        unsafe { [_mm256_set1_epi32(x); 2] }
    }

    #[inline(always)]
    unsafe fn to_floats(ints: [__m256i; 2]) -> [__m256; 2] {
        unsafe { [_mm256_cvtepi32_ps(ints[0]), _mm256_cvtepi32_ps(ints[1])] }
    }

    #[inline(always)]
    unsafe fn line(from: *const u8) -> [__m256i; 2] {
        unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] }
    }

    #[inline(always)]
    unsafe fn store_line(line: [__m256i; 2], to: *mut u8) {
        unsafe {
            _mm256_storeu_si256(to.cast(), line[0]);
            _mm256_storeu_si256(to.add(32).cast(), line[1]);
        }
    }

    #[inline(always)]
    unsafe fn masked(line: [__m256i; 2], mask: u8) -> [__m256i; 2] {
        unsafe {
            let mask = _mm256_set1_epi8(mask.cast_signed());
            [_mm256_and_si256(line[0], mask), _mm256_and_si256(line[1], mask)]
        }
    }

    #[inline(always)]
    unsafe fn or(a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn down(line: [__m256i; 2], bits: u32) -> [__m256i; 2] {
        unsafe {
            let bits = _mm_cvtsi32_si128(bits.cast_signed());
            [_mm256_srl_epi16(line[0], bits), _mm256_srl_epi16(line[1], bits)]
        }
    }

    #[inline(always)]
    unsafe fn up(line: [__m256i; 2], bits: u32) -> [__m256i; 2] {
        unsafe {
            let bits = _mm_cvtsi32_si128(bits.cast_signed());
            [_mm256_sll_epi16(line[0], bits), _mm256_sll_epi16(line[1], bits)]
        }
    }

    #[inline(always)]
    unsafe fn add_dots(sum: [__m256i; 2], quads: [[__m256i; 2]; 2], numbers: *const i8) -> [__m256i; 2] {
        if VNNI {
            return unsafe { Self::add_dots_of_bytes(sum, quads, numbers) };
        }
        unsafe {
            let fours = [four(numbers), four(numbers.add(4))];
            [
                dots_of_two(sum[0], [quads[0][0], quads[1][0]], fours),
                dots_of_two(sum[1], [quads[0][1], quads[1][1]], fours),
            ]
        }
    }

    #[inline(always)]
    unsafe fn add_dots_of_bytes(
        mut sum: [__m256i; 2],
        quads: [[__m256i; 2]; 2],
        numbers: *const i8,
    ) -> [__m256i; 2] {
        for n in 0..2 {
            unsafe {
                let four = four(numbers.add(4 * n));
                for half in 0..2 {
                    sum[half] = if VNNI {
                        _mm256_dpbusd_avx_epi32(sum[half], quads[n][half], four)
                    } else {
                        dots_of_bytes(sum[half], quads[n][half], four)
                    };
                }
            }
        }
        sum
    }

    #[inline(always)]
    unsafe fn add_pairs(sum: [__m256i; 2], pairs: *const u8, with: [i16; 2]) -> [__m256i; 2] {
        unsafe {
            let with = _mm256_set1_epi32(super::both(with));
            let low = _mm256_cvtepu8_epi16(_mm_loadu_si128(pairs.cast()));
            let high = _mm256_cvtepu8_epi16(_mm_loadu_si128(pairs.add(16).cast()));
            [
                _mm256_add_epi32(sum[0], _mm256_madd_epi16(low, with)),
                _mm256_add_epi32(sum[1], _mm256_madd_epi16(high, with)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn ask_for(address: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
}
