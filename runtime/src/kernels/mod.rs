//! Compute kernels of our own, the only place of this crate where `unsafe` is allowed. Each is chosen at run time and
//! has a portable twin that it is tested against.
#![allow(unsafe_code)]
// A body that is not inlined into the function compiled for wide vectors is not compiled for them; and rows of several
// arrays are indexed side by side.
#![allow(clippy::inline_always, clippy::needless_range_loop)]

mod attention;
mod disjoint;
mod isa;
mod packed;
mod rows;
mod team;
mod vector;

pub use attention::KvFormat;
pub(crate) use attention::{AttentionShape, attention};
use disjoint::Disjoint;
use isa::Isa;
pub(crate) use packed::{LeftRows, PackedMatrix, Product, multiply};
pub(crate) use rows::{by_rows, by_two_rows};
pub(crate) use team::use_threads;
pub(crate) use vector::{add_to_rows, rms_norm, rotate, silu_times};

/// What the kernels are compiled for on this processor: `amx`, `avx512`, `avxvnni`, `avx2`, `dotprod`, `neon` or `portable`.
pub fn instruction_set() -> &'static str {
    Isa::best().name()
}

#[cfg(test)]
mod testing;
