//! Tensors of a GGUF file as the tensor library's quantised matrices.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{Device, Tensor};

use crate::error::Error;
use crate::gguf::Gguf;

/// Loads tensors by name.
pub(crate) struct Weights<'a> {
    pub gguf: &'a Gguf,
    pub device: &'a Device,
}

impl Weights<'_> {
    /// The tensor, or an error that names it.
    pub(crate) fn tensor(&self, name: &str) -> Result<Arc<QTensor>, Error> {
        self.optional(name)?.ok_or_else(|| Error::Missing(format!("tensor {name}")))
    }

    /// The tensor, where the file has it.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<Arc<QTensor>>, Error> {
        let Some(info) = self.gguf.header.tensors.get(name) else { return Ok(None) };
        let bytes = self.gguf.read(info)?;
        let storage = QStorage::from_data(Cow::Owned(bytes), self.device, info.dtype)?;
        Ok(Some(Arc::new(QTensor::new(storage, info.dims.as_slice())?)))
    }

    /// A matrix to multiply with.
    pub(crate) fn matrix(&self, name: &str) -> Result<QMatMul, Error> {
        Ok(QMatMul::from_arc(self.tensor(name)?)?)
    }

    /// A small tensor as f32.
    pub(crate) fn vector(&self, name: &str) -> Result<Tensor, Error> {
        Ok(self.tensor(name)?.dequantize(self.device)?)
    }

    /// A small tensor as f32, where the file has it.
    pub(crate) fn vector_optional(&self, name: &str) -> Result<Option<Tensor>, Error> {
        self.optional(name)?.map(|t| t.dequantize(self.device)).transpose().map_err(Error::from)
    }
}
