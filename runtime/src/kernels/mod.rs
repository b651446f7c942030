//! Compute kernels of our own, the only place of this crate where `unsafe` is allowed. Each is chosen at run time and
//! has a portable twin that it is tested against.
#![allow(unsafe_code)]

mod attention;
mod disjoint;
mod packed;
mod quant;
mod vector;

pub(crate) use attention::{AttentionShape, attention};
use disjoint::Disjoint;
pub(crate) use packed::{LeftRows, PackedMatrix, Product, multiply};
pub(crate) use quant::QuantMatrix;
pub(crate) use vector::{add_to_rows, rms_norm, rotate, silu_times};
