//! Plain Rust over arrays, which compilers make vectors of where they can.

use half::f16;

use super::Vectors;

#[derive(Clone, Copy)]
pub(super) struct Portable;

/// Sixteen of something.
#[inline(always)]
fn lanes<T>(of: impl FnMut(usize) -> T) -> [T; 16] {
    std::array::from_fn(of)
}

// The trait says what may be called where.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Vectors for Portable {
    type Floats = [f32; 16];
    type Ints = [i32; 16];
    type Line = [u8; 64];

    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn floats(from: *const f32) -> [f32; 16] {
        unsafe { from.cast::<[f32; 16]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(floats: [f32; 16], to: *mut f32) {
        unsafe { to.cast::<[f32; 16]>().write_unaligned(floats) };
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 16] {
        [x; 16]
    }

    #[inline(always)]
    unsafe fn multiply(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        lanes(|n| a[n] * b[n])
    }

    #[inline(always)]
    unsafe fn add_product(a: [f32; 16], b: [f32; 16], c: [f32; 16]) -> [f32; 16] {
        lanes(|n| a[n].mul_add(b[n], c[n]))
    }

    #[inline(always)]
    unsafe fn take_product(a: [f32; 16], b: [f32; 16], c: [f32; 16]) -> [f32; 16] {
        lanes(|n| (-a[n]).mul_add(b[n], c[n]))
    }

    #[inline(always)]
    unsafe fn halves(from: *const u8) -> [f32; 16] {
        let halves = unsafe { from.cast::<[u16; 16]>().read_unaligned() };
        halves.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    unsafe fn unsigned(from: *const u8) -> [f32; 16] {
        unsafe { from.cast::<[u8; 16]>().read_unaligned() }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn signed(from: *const u8) -> [f32; 16] {
        unsafe { from.cast::<[i8; 16]>().read_unaligned() }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn splat_int(x: i32) -> [i32; 16] {
        [x; 16]
    }

    #[inline(always)]
    unsafe fn to_floats(ints: [i32; 16]) -> [f32; 16] {
        ints.map(|x| x as f32)
    }

    #[inline(always)]
    unsafe fn line(from: *const u8) -> [u8; 64] {
        unsafe { from.cast::<[u8; 64]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store_line(line: [u8; 64], to: *mut u8) {
        unsafe { to.cast::<[u8; 64]>().write_unaligned(line) };
    }

    #[inline(always)]
    unsafe fn masked(line: [u8; 64], mask: u8) -> [u8; 64] {
        line.map(|byte| byte & mask)
    }

    #[inline(always)]
    unsafe fn or(a: [u8; 64], b: [u8; 64]) -> [u8; 64] {
        std::array::from_fn(|n| a[n] | b[n])
    }

    #[inline(always)]
    unsafe fn down(line: [u8; 64], bits: u32) -> [u8; 64] {
        line.map(|byte| byte >> bits)
    }

    #[inline(always)]
    unsafe fn up(line: [u8; 64], bits: u32) -> [u8; 64] {
        line.map(|byte| byte << bits)
    }

    #[inline(always)]
    unsafe fn add_dots(sum: [i32; 16], quads: [[u8; 64]; 2], numbers: *const i8) -> [i32; 16] {
        unsafe { Self::add_dots_of_bytes(sum, quads, numbers) }
    }

    #[inline(always)]
    unsafe fn add_dots_of_bytes(sum: [i32; 16], quads: [[u8; 64]; 2], numbers: *const i8) -> [i32; 16] {
        let numbers = unsafe { numbers.cast::<[[i8; 4]; 2]>().read_unaligned() };
        lanes(|row| {
            let products = quads.iter().zip(numbers).map(|(quad, four)| {
                (0..4).map(|n| i32::from(quad[4 * row + n]) * i32::from(four[n])).sum::<i32>()
            });
            sum[row] + products.sum::<i32>()
        })
    }

    #[inline(always)]
    unsafe fn add_pairs(sum: [i32; 16], pairs: *const u8, with: [i16; 2]) -> [i32; 16] {
        let pairs = unsafe { pairs.cast::<[[u8; 2]; 16]>().read_unaligned() };
        lanes(|n| {
            sum[n] + i32::from(pairs[n][0]) * i32::from(with[0]) + i32::from(pairs[n][1]) * i32::from(with[1])
        })
    }

    #[inline(always)]
    unsafe fn ask_for(_address: *const u8) {}
}
