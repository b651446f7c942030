//! NEON: four registers are sixteen lanes. Bytes are multiplied by the dot product of four where the processor has it.

#[allow(clippy::wildcard_imports)]
use std::arch::aarch64::*;
use std::arch::asm;

use super::{Vectors, Work};

#[target_feature(enable = "neon")]
pub(super) unsafe fn run<W: Work>(work: W) -> W::Result {
    // SAFETY: the caller's.
    unsafe { work.run::<Neon<false>>() }
}

#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn run_dot<W: Work>(work: W) -> W::Result {
    // SAFETY: the caller's.
    unsafe { work.run::<Neon<true>>() }
}

#[derive(Clone, Copy)]
pub(super) struct Neon<const DOT: bool>;

/// Something of each quarter.
#[inline(always)]
fn quarters<R>(of: impl FnMut(usize) -> R) -> [R; 4] {
    std::array::from_fn(of)
}

/// `sum + ` products of signed bytes, four to a lane.
#[inline(always)]
unsafe fn dot<const DOT: bool>(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers only, and instructions that the set has.
    unsafe {
        if DOT {
            // The compiler's intrinsic is not stable.
            asm!(
                ".arch_extension dotprod",
                "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
                sum = inout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags),
            );
            return sum;
        }
        let low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
        let high = vpaddlq_s16(vmull_high_s8(a, b));
        vaddq_s32(sum, vpaddq_s32(low, high))
    }
}

/// Four numbers in every lane.
#[inline(always)]
unsafe fn four(numbers: *const i8) -> int8x16_t {
    // SAFETY: the caller's: four bytes.
    unsafe { vreinterpretq_s8_s32(vdupq_n_s32(numbers.cast::<i32>().read_unaligned())) }
}

// The trait says what may be called where.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const DOT: bool> Vectors for Neon<DOT> {
    type Floats = [float32x4_t; 4];
    type Ints = [int32x4_t; 4];
    type Line = [uint8x16_t; 4];

    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn floats(from: *const f32) -> [float32x4_t; 4] {
        quarters(|n| unsafe { vld1q_f32(from.add(4 * n)) })
    }

    #[inline(always)]
    unsafe fn store(floats: [float32x4_t; 4], to: *mut f32) {
        for (n, floats) in floats.into_iter().enumerate() {
            unsafe { vst1q_f32(to.add(4 * n), floats) };
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [float32x4_t; 4] {
        unsafe { [vdupq_n_f32(x); 4] }
    }

    #[inline(always)]
    unsafe fn multiply(a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        quarters(|n| unsafe { vmulq_f32(a[n], b[n]) })
    }

    #[inline(always)]
    unsafe fn add_product(a: [float32x4_t; 4], b: [float32x4_t; 4], c: [float32x4_t; 4]) -> [float32x4_t; 4] {
        quarters(|n| unsafe { vfmaq_f32(c[n], a[n], b[n]) })
    }

    #[inline(always)]
    unsafe fn take_product(
        a: [float32x4_t; 4],
        b: [float32x4_t; 4],
        c: [float32x4_t; 4],
    ) -> [float32x4_t; 4] {
        quarters(|n| unsafe { vfmsq_f32(c[n], a[n], b[n]) })
    }

    #[inline(always)]
    unsafe fn halves(from: *const u8) -> [float32x4_t; 4] {
        quarters(|n| unsafe {
            let mut floats =
                vreinterpretq_f32_u16(vcombine_u16(vld1_u16(from.add(8 * n).cast()), vdup_n_u16(0)));
            // The compiler's intrinsic wants a type that is not stable.
            asm!(
                "fcvtl {floats:v}.4s, {floats:v}.4h",
                floats = inout(vreg) floats,
                options(pure, nomem, nostack, preserves_flags),
            );
            floats
        })
    }

    #[inline(always)]
    unsafe fn unsigned(from: *const u8) -> [float32x4_t; 4] {
        unsafe {
            let bytes = vld1q_u8(from);
            let halves = [vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes)];
            let words = halves.map(|half| [vmovl_u16(vget_low_u16(half)), vmovl_high_u16(half)]);
            quarters(|n| vcvtq_f32_u32(words[n / 2][n % 2]))
        }
    }

    #[inline(always)]
    unsafe fn signed(from: *const u8) -> [float32x4_t; 4] {
        unsafe {
            let bytes = vld1q_s8(from.cast());
            let halves = [vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes)];
            let words = halves.map(|half| [vmovl_s16(vget_low_s16(half)), vmovl_high_s16(half)]);
            quarters(|n| vcvtq_f32_s32(words[n / 2][n % 2]))
        }
    }

    #[inline(always)]
    unsafe fn splat_int(x: i32) -> [int32x4_t; 4] {
        unsafe { [vdupq_n_s32(x); 4] }
    }

    #[inline(always)]
    unsafe fn to_floats(ints: [int32x4_t; 4]) -> [float32x4_t; 4] {
        ints.map(|ints| unsafe { vcvtq_f32_s32(ints) })
    }

    #[inline(always)]
    unsafe fn line(from: *const u8) -> [uint8x16_t; 4] {
        quarters(|n| unsafe { vld1q_u8(from.add(16 * n)) })
    }

    #[inline(always)]
    unsafe fn store_line(line: [uint8x16_t; 4], to: *mut u8) {
        for (n, bytes) in line.into_iter().enumerate() {
            unsafe { vst1q_u8(to.add(16 * n), bytes) };
        }
    }

    #[inline(always)]
    unsafe fn masked(line: [uint8x16_t; 4], mask: u8) -> [uint8x16_t; 4] {
        line.map(|bytes| unsafe { vandq_u8(bytes, vdupq_n_u8(mask)) })
    }

    #[inline(always)]
    unsafe fn or(a: [uint8x16_t; 4], b: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        quarters(|n| unsafe { vorrq_u8(a[n], b[n]) })
    }

    #[inline(always)]
    unsafe fn down(line: [uint8x16_t; 4], bits: u32) -> [uint8x16_t; 4] {
        line.map(|bytes| unsafe { vshlq_u8(bytes, vdupq_n_s8(-(bits as i8))) })
    }

    #[inline(always)]
    unsafe fn up(line: [uint8x16_t; 4], bits: u32) -> [uint8x16_t; 4] {
        line.map(|bytes| unsafe { vshlq_u8(bytes, vdupq_n_s8(bits as i8)) })
    }

    #[inline(always)]
    unsafe fn add_dots(
        sum: [int32x4_t; 4],
        quads: [[uint8x16_t; 4]; 2],
        numbers: *const i8,
    ) -> [int32x4_t; 4] {
        unsafe {
            let fours = [four(numbers), four(numbers.add(4))];
            quarters(|n| {
                let sum = dot::<DOT>(sum[n], vreinterpretq_s8_u8(quads[0][n]), fours[0]);
                dot::<DOT>(sum, vreinterpretq_s8_u8(quads[1][n]), fours[1])
            })
        }
    }

    #[inline(always)]
    unsafe fn add_dots_of_bytes(
        mut sum: [int32x4_t; 4],
        quads: [[uint8x16_t; 4]; 2],
        numbers: *const i8,
    ) -> [int32x4_t; 4] {
        unsafe {
            for (at, quad) in quads.iter().enumerate() {
                let four = four(numbers.add(4 * at));
                // Bytes are signed here: less 128 first, and 128 times the numbers after.
                let top = vdupq_n_u8(0x80);
                let less = dot::<DOT>(vdupq_n_s32(0), vreinterpretq_s8_u8(top), four);
                sum = quarters(|n| {
                    let codes = vreinterpretq_s8_u8(veorq_u8(quad[n], top));
                    dot::<DOT>(vsubq_s32(sum[n], less), codes, four)
                });
            }
            sum
        }
    }

    #[inline(always)]
    unsafe fn add_pairs(sum: [int32x4_t; 4], pairs: *const u8, with: [i16; 2]) -> [int32x4_t; 4] {
        unsafe {
            let with = vreinterpretq_s16_s32(vdupq_n_s32(super::both(with)));
            quarters(|n| {
                let pairs = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(pairs.add(8 * n))));
                let low = vmull_s16(vget_low_s16(pairs), vget_low_s16(with));
                vaddq_s32(sum[n], vpaddq_s32(low, vmull_high_s16(pairs, with)))
            })
        }
    }

    #[inline(always)]
    unsafe fn ask_for(address: *const u8) {
        unsafe {
            asm!("prfm pldl1keep, [{0}]", in(reg) address, options(readonly, nostack, preserves_flags));
        }
    }
}
