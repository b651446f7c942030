//! Tensors of a GGUF file as matrices to multiply with: our kernels' where they apply, the tensor library's elsewhere.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QStorage, QTensor};
use candle_core::{Device, Module, Tensor};

use crate::error::Error;
use crate::gguf::{Gguf, TensorFile, TensorInfo};
use crate::kernels::{LeftRows, PackedMatrix, Product, multiply};

/// A weight matrix.
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    form: Form,
}

enum Form {
    /// For the packed kernels.
    Packed(PackedMatrix),
    /// For the tensor library's.
    Library(QMatMul),
}

/// The left side of products in the forms that matrices take it in; kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct Left {
    wide: LeftRows,
    narrow: LeftRows,
}

impl Matrix {
    /// Elements of a result.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// What a product reads of it, where that is known: of packed ones.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.packed().map_or(0, PackedMatrix::byte_len)
    }

    fn packed(&self) -> Option<&PackedMatrix> {
        match &self.form {
            Form::Packed(matrix) => Some(matrix),
            Form::Library(_) => None,
        }
    }

    /// One product with a matrix that is not packed.
    fn plain(&self, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
        let Form::Library(matrix) = &self.form else { unreachable!("the caller looked") };
        let x = Tensor::from_slice(x, (x.len() / self.columns, self.columns), &Device::Cpu)?;
        out.copy_from_slice(&matrix.forward(&x)?.flatten_all()?.to_vec1()?);
        Ok(())
    }
}

impl Left {
    /// Products of the same rows `x` with several matrices, each into its own `[m][rows]`.
    pub(crate) fn products<const N: usize>(
        &mut self,
        x: &[f32],
        matrices: [(&Matrix, &mut [f32]); N],
    ) -> Result<(), Error> {
        let packed = matrices.iter().map(|(m, _)| m.packed());
        for wide in [true, false] {
            if packed.clone().flatten().any(|m| m.is_wide() == wide) {
                let columns = matrices[0].0.columns;
                if wide { &mut self.wide } else { &mut self.narrow }.fill(wide, x, columns);
            }
        }
        if packed.clone().all(|m| m.is_some()) {
            multiply(
                matrices.map(|(matrix, out)| self.product(matrix.packed().expect("all are packed"), out)),
            );
            return Ok(());
        }
        for (matrix, out) in matrices {
            match matrix.packed() {
                Some(matrix) => multiply([self.product(matrix, out)]),
                None => matrix.plain(x, out)?,
            }
        }
        Ok(())
    }

    fn product<'a>(&'a self, matrix: &'a PackedMatrix, out: &'a mut [f32]) -> Product<'a> {
        Product { matrix, left: if matrix.is_wide() { &self.wide } else { &self.narrow }, out }
    }
}

/// Loads tensors by name.
pub(crate) struct Weights<'a> {
    pub gguf: &'a Gguf,
}

impl Weights<'_> {
    /// The tensor, or an error that names it.
    pub(crate) fn info(&self, name: &str) -> Result<&TensorInfo, Error> {
        self.gguf.header.tensors.get(name).ok_or_else(|| Error::Missing(format!("tensor {name}")))
    }

    /// A matrix of `columns` (and of so many rows, where given) to multiply with.
    pub(crate) fn matrix(&self, name: &str, shape: (Option<usize>, usize)) -> Result<Matrix, Error> {
        let info = self.matrix_info(name, shape)?;
        Ok(Matrix { rows: info.dims[0], columns: info.dims[1], form: self.form(info)? })
    }

    /// The same on a device, for the tensor library's products.
    pub(crate) fn device_matrix(
        &self,
        name: &str,
        shape: (Option<usize>, usize),
        device: &Device,
    ) -> Result<QMatMul, Error> {
        let info = self.matrix_info(name, shape)?;
        let storage = QStorage::from_data(Cow::Owned(self.gguf.read(info)?), device, info.dtype)?;
        Ok(QMatMul::from_arc(Arc::new(QTensor::new(storage, info.dims.as_slice())?))?)
    }

    fn matrix_info(&self, name: &str, (rows, columns): (Option<usize>, usize)) -> Result<&TensorInfo, Error> {
        let info = self.info(name)?;
        match *info.dims.as_slice() {
            [found, width]
                if found > 0 && width > 0 && width == columns && rows.is_none_or(|r| r == found) =>
            {
                Ok(info)
            }
            [found, width] => {
                let rows = rows.unwrap_or(found);
                Err(Error::BadGguf(format!(
                    "tensor {name} has {found} rows of {width}; with the others it would have {rows} of {columns}"
                )))
            }
            _ => Err(Error::BadGguf(format!("tensor {name} is not a matrix"))),
        }
    }

    fn form(&self, info: &TensorInfo) -> Result<Form, Error> {
        if PackedMatrix::takes(info.dtype, &info.dims) {
            let read = |range| self.gguf.read_part(info, range);
            return PackedMatrix::pack(info.dtype, &info.dims, &read).map(Form::Packed);
        }
        let tensor = tensor(self.gguf.read(info)?, info, &info.dims)?;
        Ok(Form::Library(QMatMul::from_arc(Arc::new(tensor))?))
    }

    /// A small tensor of `len` numbers as f32.
    pub(crate) fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, Error> {
        let info = self.info(name)?;
        let numbers = tensor(self.gguf.read(info)?, info, &info.dims)?.dequantize(&Device::Cpu)?;
        let numbers: Vec<f32> = numbers.flatten_all()?.to_vec1()?;
        if numbers.len() == len {
            Ok(numbers)
        } else {
            Err(Error::BadGguf(format!("tensor {name} has {} numbers, not {len}", numbers.len())))
        }
    }

    /// A small tensor as f32, where the file has it.
    pub(crate) fn vector_optional(&self, name: &str, len: usize) -> Result<Option<Vec<f32>>, Error> {
        let has = self.gguf.header.tensors.contains_key(name);
        has.then(|| self.vector(name, len)).transpose()
    }
}

/// Rows of a matrix, read from the file when they are asked for: an embedding is too large to hold for the few rows
/// that are used, and often the file's other copy of it is the output matrix.
pub(crate) struct RowReader {
    file: TensorFile,
    rows: usize,
    columns: usize,
}

impl RowReader {
    pub(crate) fn new(weights: &Weights<'_>, name: &str) -> Result<Self, Error> {
        let info = weights.info(name)?;
        match *info.dims.as_slice() {
            [rows, columns] if rows > 0 && columns > 0 && columns.is_multiple_of(info.dtype.block_size()) => {
                Ok(Self { file: weights.gguf.tensor_file(info)?, rows, columns })
            }
            _ => Err(Error::BadGguf(format!("tensor {name} is not a matrix of whole blocks"))),
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// An error if the file's rows are not those it had when it was opened.
    pub(crate) fn is_as_opened(&self) -> Result<(), Error> {
        self.file.is_as_opened()
    }

    /// Decodes row `n`.
    pub(crate) fn read(&self, n: usize, to: &mut [f32]) -> Result<(), Error> {
        if n >= self.rows {
            return Err(Error::Compute(candle_core::Error::Msg(format!("no token has the id {n}"))));
        }
        let info = &self.file.info;
        let bytes = info.bytes as usize / self.rows;
        let bytes = self.file.read_part(n * bytes..(n + 1) * bytes)?;
        let row = tensor(bytes, info, &[1, self.columns])?.dequantize(&Device::Cpu)?;
        to.copy_from_slice(&row.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }
}

fn tensor(bytes: Vec<u8>, info: &TensorInfo, dims: &[usize]) -> Result<QTensor, Error> {
    let storage = QStorage::from_data(Cow::Owned(bytes), &Device::Cpu, info.dtype)?;
    Ok(QTensor::new(storage, dims)?)
}
