//! Compute kernels of our own, the only place of this crate where `unsafe` is allowed. Each is chosen at run time and
//! has a portable twin that it is tested against.
#![allow(unsafe_code)]

mod attention;
mod quant;

pub(crate) use attention::{AttentionShape, attention};
pub(crate) use quant::QuantMatrix;
