//! AVX-512 with VNNI: a register is sixteen lanes.

use std::arch::asm;
#[allow(clippy::wildcard_imports)]
use std::arch::x86_64::*;
use std::sync::OnceLock;

use super::{Vectors, Work};

pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

/// Whether a processor with AVX-512 has the unit too and the system lets this process use it.
pub(super) fn has_matrix_unit() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
        let leaf = __cpuid_count(7, 0);
        leaf.edx & TILE_AND_INT8 == TILE_AND_INT8 && may_use()
    })
}

/// Asks the system for the tiles' state, which it saves only for processes that asked.
fn may_use() -> bool {
    #[cfg(target_os = "linux")]
    {
        /// `arch_prctl`, its request for a permission, and the number of the tiles' data.
        const CALL: [i64; 3] = [158, 0x1023, 18];
        let mut result = CALL[0];
        // SAFETY: the call changes nothing but the permission; registers it overwrites are named.
        unsafe {
            asm!("syscall", inlateout("rax") result, in("rdi") CALL[1], in("rsi") CALL[2], out("rcx") _, out("r11") _);
        }
        result == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn run<W: Work>(work: W) -> W::Result {
    // SAFETY: the caller's.
    unsafe { work.run::<Avx512>() }
}

#[derive(Clone, Copy)]
pub(in super::super) struct Avx512;

// The trait says what may be called where.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Vectors for Avx512 {
    type Floats = __m512;
    type Ints = __m512i;
    type Line = __m512i;

    const ROWS: usize = 8;

    #[inline(always)]
    unsafe fn floats(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(floats: __m512, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, floats) };
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn multiply(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn add_product(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn take_product(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn halves(from: *const u8) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn unsigned(from: *const u8) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn signed(from: *const u8) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn splat_int(x: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    unsafe fn to_floats(ints: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(ints) }
    }

    #[inline(always)]
    unsafe fn line(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store_line(line: __m512i, to: *mut u8) {
        unsafe { _mm512_storeu_si512(to.cast(), line) };
    }

    #[inline(always)]
    unsafe fn masked(line: __m512i, mask: u8) -> __m512i {
        unsafe { _mm512_and_si512(line, _mm512_set1_epi8(mask.cast_signed())) }
    }

    #[inline(always)]
    unsafe fn or(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_or_si512(a, b) }
    }

    #[inline(always)]
    unsafe fn down(line: __m512i, bits: u32) -> __m512i {
        unsafe { _mm512_srl_epi16(line, _mm_cvtsi32_si128(bits.cast_signed())) }
    }

    #[inline(always)]
    unsafe fn up(line: __m512i, bits: u32) -> __m512i {
        unsafe { _mm512_sll_epi16(line, _mm_cvtsi32_si128(bits.cast_signed())) }
    }

    #[inline(always)]
    unsafe fn add_dots(sum: __m512i, quads: [__m512i; 2], numbers: *const i8) -> __m512i {
        unsafe { Self::add_dots_of_bytes(sum, quads, numbers) }
    }

    #[inline(always)]
    unsafe fn add_dots_of_bytes(sum: __m512i, quads: [__m512i; 2], numbers: *const i8) -> __m512i {
        unsafe {
            // Read one by one, which is part of the instruction.
            let four = numbers.cast::<i32>().read_unaligned();
            let sum = _mm512_dpbusd_epi32(sum, quads[0], _mm512_set1_epi32(four));
            let four = numbers.add(4).cast::<i32>().read_unaligned();
            _mm512_dpbusd_epi32(sum, quads[1], _mm512_set1_epi32(four))
        }
    }

    #[inline(always)]
    unsafe fn add_pairs(sum: __m512i, pairs: *const u8, with: [i16; 2]) -> __m512i {
        unsafe {
            let pairs = _mm512_cvtepu8_epi16(_mm256_loadu_si256(pairs.cast()));
            _mm512_dpwssd_epi32(sum, pairs, _mm512_set1_epi32(super::both(with)))
        }
    }

    #[inline(always)]
    unsafe fn ask_for(address: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
}
