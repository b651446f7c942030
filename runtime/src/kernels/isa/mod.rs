//! Instruction sets: the few vector operations that kernels are written in, once for each.
//!
//! All sets compute the same: integers are exact, and floats go through the same steps, rounded alike. So a product has
//! the same bits on every processor.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;

/// What a processor has, of what the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// AVX-512 with VNNI, and the matrix unit AMX with its products of bytes.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 with the VNNI of 256 bits.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX2 with FMA and F16C: every x86 server since 2013, nearly every desktop since 2015.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// NEON with the dot product of bytes.
    #[cfg(target_arch = "aarch64")]
    NeonDot,
    /// NEON, which all of aarch64 has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Plain Rust.
    Portable,
}

impl Isa {
    /// Best first.
    const ALL: &[Self] = &[
        #[cfg(target_arch = "x86_64")]
        Self::Amx,
        #[cfg(target_arch = "x86_64")]
        Self::Avx512,
        #[cfg(target_arch = "x86_64")]
        Self::AvxVnni,
        #[cfg(target_arch = "x86_64")]
        Self::Avx2,
        #[cfg(target_arch = "aarch64")]
        Self::NeonDot,
        #[cfg(target_arch = "aarch64")]
        Self::Neon,
        Self::Portable,
    ];

    /// The best that this processor has, or the one that `EDVAC_ISA` names, where it has that: for comparing.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let best = Self::available().next().unwrap_or(Self::Portable);
            let Ok(wanted) = std::env::var("EDVAC_ISA") else { return best };
            Self::available().find(|isa| isa.name() == wanted).unwrap_or_else(|| {
                let names: Vec<_> = Self::available().map(Self::name).collect();
                tracing::warn!("EDVAC_ISA is {wanted:?}; this processor has {}", names.join(", "));
                best
            })
        })
    }

    /// Its name, for people and for `EDVAC_ISA`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "amx",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => "dotprod",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// Those that this processor has, best first.
    pub(crate) fn available() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|isa| isa.is_here())
    }

    fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => avx512::is_available() && avx512::has_matrix_unit(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx2::is_available() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
        }
    }

    /// Whether it has AVX-512.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn has_avx512(self) -> bool {
        matches!(self, Self::Amx | Self::Avx512)
    }

    /// Runs what is written in vector operations, compiled for this set.
    ///
    /// # Safety
    /// The processor has it: it is [`best`](Self::best) or one of [`available`](Self::available).
    pub(super) unsafe fn run<W: Work>(self, work: W) -> W::Result {
        // SAFETY: the caller's.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Amx | Self::Avx512 => avx512::run(work),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::run_vnni(work),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::run(work),
                #[cfg(target_arch = "aarch64")]
                Self::NeonDot => neon::run_dot(work),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::run(work),
                Self::Portable => work.run::<portable::Portable>(),
            }
        }
    }
}

/// Something written in vector operations.
pub(super) trait Work {
    type Result;

    /// Does it. Implementations are `inline(always)`, or they would not be compiled for the set.
    ///
    /// # Safety
    /// The processor has the set; and what the implementation says.
    unsafe fn run<V: Vectors>(self) -> Self::Result;
}

/// Operations on sixteen lanes, one for each row of a group.
///
/// Every method may be called only where the processor has the set, and from inside a [`Work`]; addresses are those of
/// as many bytes as the method reads or writes, aligned or not.
pub(super) trait Vectors: Copy {
    /// Sixteen f32.
    type Floats: Copy;
    /// Sixteen i32.
    type Ints: Copy;
    /// Sixty-four bytes: four columns of sixteen rows.
    type Line: Copy;

    /// Left rows whose sums fit into the registers, at most 8.
    const ROWS: usize;

    unsafe fn floats(from: *const f32) -> Self::Floats;
    unsafe fn store(floats: Self::Floats, to: *mut f32);
    unsafe fn splat(x: f32) -> Self::Floats;
    unsafe fn multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once.
    unsafe fn add_product(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// `c - a * b`, rounded once.
    unsafe fn take_product(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// Sixteen f16.
    unsafe fn halves(from: *const u8) -> Self::Floats;
    /// Sixteen u8.
    unsafe fn unsigned(from: *const u8) -> Self::Floats;
    /// Sixteen i8.
    unsafe fn signed(from: *const u8) -> Self::Floats;

    unsafe fn splat_int(x: i32) -> Self::Ints;
    unsafe fn to_floats(ints: Self::Ints) -> Self::Floats;

    unsafe fn line(from: *const u8) -> Self::Line;
    unsafe fn store_line(line: Self::Line, to: *mut u8);
    /// The bits of `mask` of every byte.
    unsafe fn masked(line: Self::Line, mask: u8) -> Self::Line;
    unsafe fn or(a: Self::Line, b: Self::Line) -> Self::Line;
    /// Bits moved down, less than eight. What comes in from above is not defined.
    unsafe fn down(line: Self::Line, bits: u32) -> Self::Line;
    /// Bits moved up, less than eight. What comes in from below is not defined.
    unsafe fn up(line: Self::Line, bits: u32) -> Self::Line;

    /// `sum + ` the products of two quads of codes below 64 with eight numbers within -127..=127.
    unsafe fn add_dots(sum: Self::Ints, quads: [Self::Line; 2], numbers: *const i8) -> Self::Ints;
    /// As `add_dots` for any codes.
    unsafe fn add_dots_of_bytes(sum: Self::Ints, quads: [Self::Line; 2], numbers: *const i8) -> Self::Ints;
    /// `sum + ` the products of sixteen pairs of u8 with one of i16.
    unsafe fn add_pairs(sum: Self::Ints, pairs: *const u8, with: [i16; 2]) -> Self::Ints;

    /// Asks for a line that is soon read; also one that is not there.
    unsafe fn ask_for(address: *const u8);
}

/// Two i16 in one i32, the first in its low half.
#[inline(always)]
fn both([low, high]: [i16; 2]) -> i32 {
    i32::from(high) << 16 | i32::from(low.cast_unsigned())
}
