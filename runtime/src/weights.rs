//! Tensors of a GGUF file as matrices to multiply with: our kernels' where they apply, the tensor library's elsewhere.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{Device, Module, Tensor};

use crate::error::Error;
use crate::gguf::Gguf;
use crate::kernels::QuantMatrix;

/// A weight matrix.
pub(crate) enum Matrix {
    /// For our kernels.
    Own(QuantMatrix),
    /// For the tensor library's.
    Library(QMatMul),
}

impl Matrix {
    /// `x` is `[m][columns]`; the result is `[m][rows]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        match self {
            Self::Own(matrix) => {
                let (m, columns) = x.dims2()?;
                if columns != matrix.columns() {
                    let found = format!("a row of {columns} meets a matrix of {} columns", matrix.columns());
                    return Err(Error::Compute(candle_core::Error::Msg(found)));
                }
                let product = matrix.multiply(&x.flatten_all()?.to_vec1()?);
                Ok(Tensor::from_vec(product, (m, matrix.rows()), x.device())?)
            }
            Self::Library(matrix) => Ok(matrix.forward(x)?),
        }
    }
}

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
    pub(crate) fn matrix(&self, name: &str) -> Result<Matrix, Error> {
        self.matrix_optional(name)?.ok_or_else(|| Error::Missing(format!("tensor {name}")))
    }

    /// A matrix to multiply with, where the file has it.
    pub(crate) fn matrix_optional(&self, name: &str) -> Result<Option<Matrix>, Error> {
        let Some(info) = self.gguf.header.tensors.get(name) else { return Ok(None) };
        let bytes = self.gguf.read(info)?;
        let bytes = if self.device.is_cpu() {
            match QuantMatrix::new(bytes, info.dtype, &info.dims) {
                Ok(matrix) => return Ok(Some(Matrix::Own(matrix))),
                Err(bytes) => bytes,
            }
        } else {
            bytes
        };
        let storage = QStorage::from_data(Cow::Owned(bytes), self.device, info.dtype)?;
        let tensor = QTensor::new(storage, info.dims.as_slice())?;
        Ok(Some(Matrix::Library(QMatMul::from_arc(Arc::new(tensor))?)))
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
