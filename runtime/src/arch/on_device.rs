//! The same forward pass with the tensor library's operations, for devices that our kernels do not know: CUDA, Metal.
//!
//! Weights and the live sequence's keys and values are on the device, in f16, and every new row goes to the host's
//! [`SequenceKv`] as well, which stays what the KV store knows: rows that the device lacks, after a branch or a restart, are
//! copied there. Unlike our kernels the library's results depend on how many positions are computed at once, in the last
//! bits: what is cached equals what is cold only up to them.

use std::sync::{Mutex, PoisonError};

use candle_core::quantized::QMatMul;
use candle_core::{DType, Device, Module, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::{rope, rope_i};
use half::f16;

use super::parameters::{Layer, Linear, Parameters, Place};
use super::{Decoder, Dims, Part};
use crate::error::Error;
use crate::gguf::Gguf;
use crate::kv::{KvFormat, SequenceKv, Shape, common_prefix};
use crate::weights::Weights;

/// Positions a device's buffers have room for at first.
const ROWS_MIN: usize = 1024;

/// A model on a device.
pub(crate) struct DeviceModel {
    dims: Dims,
    shape: Shape,
    device: Device,
    parameters: Parameters<Device>,
    live: Mutex<Live>,
}

/// The sequence whose rows the device has.
#[derive(Default)]
struct Live {
    ids: Vec<u32>,
    room: usize,
    /// Keys and values of each layer, `[kv_heads][room][head_dim]` in f16.
    rows: Vec<[Tensor; 2]>,
}

impl Place for Device {
    type Matrix = QMatMul;
    type Vector = Tensor;

    fn matrix(
        &self,
        weights: &Weights<'_>,
        name: &str,
        shape: (Option<usize>, usize),
    ) -> Result<QMatMul, Error> {
        weights.device_matrix(name, shape, self)
    }

    fn vector(&self, numbers: Vec<f32>) -> Result<Tensor, Error> {
        Ok(Tensor::new(numbers, self)?)
    }
}

impl DeviceModel {
    /// Copies the weights to the device.
    pub(crate) fn load(gguf: &Gguf, device: &Device, format: KvFormat) -> Result<Self, Error> {
        if format != KvFormat::F16 {
            let why = "on this device they are f16".to_owned();
            return Err(Error::KvFormat { format: format.name(), why });
        }
        let dims = Dims::read(gguf)?;
        let shape = dims.kv_shape(format)?;
        let parameters = Parameters::load(gguf, &dims, device)?;
        Ok(Self { dims, shape, device: device.clone(), parameters, live: Mutex::default() })
    }

    fn run(
        &self,
        live: &mut Live,
        kv: &mut SequenceKv,
        ids: &[u32],
        wanted: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let Parameters { embedding, layers, norm, head } = &self.parameters;
        let (first, width) = (kv.ids.len(), embedding.columns());
        live.catch_up(kv, first + ids.len(), &self.dims, &self.device)?;
        let mut x = vec![0.0; ids.len() * width];
        for (id, row) in ids.iter().zip(x.chunks_exact_mut(width)) {
            embedding.read(*id as usize, row)?;
        }
        // After reading, so that no row of a changed file gets any further.
        embedding.is_as_opened()?;
        let mut x = Tensor::from_vec(x, (ids.len(), width), &self.device)?;
        let turns = Turns::of(&self.dims, first, ids.len(), &self.device)?;
        let epsilon = self.dims.epsilon;
        for (layer, rows) in layers.iter().zip(&live.rows) {
            let normed = rms_norm(&x, &layer.attention_norm, epsilon)?;
            x = (x + self.attend(layer, rows, &normed, first, &turns)?)?;
            let normed = rms_norm(&x, &layer.ffn_norm, epsilon)?;
            let gated = (silu(&layer.gate.forward(&normed)?)? * layer.up.forward(&normed)?)?;
            x = (x + layer.down.forward(&gated)?)?;
        }
        live.hand_over(kv, first, ids.len())?;
        let last = x.narrow(0, ids.len() - wanted, wanted)?.contiguous()?;
        let logits = head.forward(&rms_norm(&last, norm, epsilon)?)?.to_vec2()?;
        live.ids.extend_from_slice(ids);
        kv.ids.extend_from_slice(ids);
        Ok(logits)
    }

    /// From normed rows `[positions][width]` to what attention adds to the residual stream.
    fn attend(
        &self,
        layer: &Layer<Device>,
        [keys, values]: &[Tensor; 2],
        normed: &Tensor,
        first: usize,
        turns: &Turns,
    ) -> Result<Tensor, Error> {
        let Dims { heads, kv_heads, head_dim, epsilon, .. } = self.dims;
        let positions = normed.dim(0)?;
        // [1][heads][positions][head_dim]
        let by_heads =
            |linear: &Linear<Device>, heads: usize, norm: &Option<Tensor>| -> Result<Tensor, Error> {
                let x = linear.forward(normed)?.reshape((1, positions, heads, head_dim))?;
                let x = match norm {
                    Some(norm) => rms_norm(&x.contiguous()?, norm, epsilon)?,
                    None => x,
                };
                Ok(x.transpose(1, 2)?.contiguous()?)
            };
        let q = turns.turn(&by_heads(&layer.q, heads, &layer.q_norm)?)?;
        let k = turns.turn(&by_heads(&layer.k, kv_heads, &layer.k_norm)?)?;
        let v = by_heads(&layer.v, kv_heads, &None)?;
        for (rows, new) in [(keys, k), (values, v)] {
            rows.slice_set(&new.squeeze(0)?.to_dtype(DType::F16)?, 1, first)?;
        }
        let present = first + positions;
        let seen = |rows: &Tensor| rows.narrow(1, 0, present)?.to_dtype(DType::F32)?.contiguous();
        // The heads of a group are more rows for their keys.
        let (group, scale) = (heads / kv_heads, 1.0 / (head_dim as f64).sqrt());
        let q = (q.reshape((kv_heads, group * positions, head_dim))? * scale)?;
        let scores = q.matmul(&seen(keys)?.transpose(1, 2)?.contiguous()?)?;
        let scores = scores.reshape((kv_heads, group, positions, present))?;
        let scores = match &turns.unseen {
            Some(unseen) => scores.broadcast_add(unseen)?,
            None => scores,
        };
        let weights = softmax_last_dim(&scores)?.reshape((kv_heads, group * positions, present))?;
        let mixed = weights.matmul(&seen(values)?)?.reshape((heads, positions, head_dim))?;
        let mixed = mixed.transpose(0, 1)?.contiguous()?.reshape((positions, heads * head_dim))?;
        Ok(layer.out.forward(&mixed)?)
    }
}

impl Decoder for DeviceModel {
    fn dims(&self) -> &Dims {
        &self.dims
    }

    fn kv_shape(&self) -> Shape {
        self.shape
    }

    /// One sequence after the other: the device has the rows of one.
    fn forward(&self, parts: &mut [Part<'_>]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let before: Vec<_> = parts.iter().map(|part| part.kv.ids.len()).collect();
        let pass = |part: &mut Part<'_>| self.run(&mut live, part.kv, part.ids, part.wanted);
        let result: Result<_, _> = parts.iter_mut().map(pass).collect();
        if result.is_err() {
            // Which rows were written is not known.
            live.ids.clear();
            parts.iter_mut().zip(before).for_each(|(part, before)| part.kv.truncate(before));
        }
        result
    }
}

impl Live {
    /// Makes the device's rows those of `kv`, with room for `len` positions.
    fn catch_up(&mut self, kv: &SequenceKv, len: usize, dims: &Dims, device: &Device) -> Result<(), Error> {
        if self.room < len {
            self.room = len.max(2 * self.room).max(ROWS_MIN);
            self.ids.clear();
            let shape = (dims.kv_heads, self.room, dims.head_dim);
            let empty = || Tensor::zeros(shape, DType::F16, device);
            self.rows = (0..dims.layers).map(|_| Ok([empty()?, empty()?])).collect::<Result<_, Error>>()?;
        }
        let common = common_prefix(&self.ids, &kv.ids);
        self.ids.truncate(common);
        let missing = kv.ids.len() - common;
        if missing == 0 {
            return Ok(());
        }
        for (layer, rows) in self.rows.iter().enumerate() {
            for (rows, host) in rows.iter().zip(kv.rows(layer, common..kv.ids.len())) {
                let host: &[f16] = bytemuck::cast_slice(host);
                let new = Tensor::from_slice(host, (missing, dims.kv_heads, dims.head_dim), device)?;
                rows.slice_set(&new.transpose(0, 1)?.contiguous()?, 1, common)?;
            }
        }
        self.ids.extend_from_slice(&kv.ids[common..]);
        Ok(())
    }

    /// Copies new rows to the host: one transfer for all layers, since each waits for the device.
    fn hand_over(&self, kv: &mut SequenceKv, first: usize, count: usize) -> Result<(), Error> {
        let new = self.rows.iter().flatten().map(|rows| rows.narrow(1, first, count)?.transpose(0, 1));
        let new = Tensor::stack(&new.collect::<Result<Vec<_>, _>>()?, 0)?;
        let new: Vec<f16> = new.flatten_all()?.to_vec1()?;
        let each = new.len() / (2 * self.rows.len());
        for (layer, rows) in new.chunks_exact(2 * each).enumerate() {
            let (k, v) = rows.split_at(each);
            kv.write(layer, first, bytemuck::cast_slice(k), bytemuck::cast_slice(v));
        }
        Ok(())
    }
}

/// What depends on the positions that are computed: their rotations, and which keys each may not see.
struct Turns {
    adjacent: bool,
    cos: Tensor,
    sin: Tensor,
    /// `[positions][present]`; none for one position, which sees all.
    unseen: Option<Tensor>,
}

impl Turns {
    fn of(dims: &Dims, first: usize, count: usize, device: &Device) -> Result<Self, Error> {
        let mut turns = Vec::new();
        dims.rope.turns(first..first + count, &mut turns);
        let (sin, cos): (Vec<f32>, Vec<f32>) = turns.into_iter().unzip();
        let shape = (count, dims.head_dim / 2);
        let present = first + count;
        let unseen =
            |n: usize| (0..present).map(move |p| if p > first + n { f32::NEG_INFINITY } else { 0.0 });
        let unseen = (count > 1)
            .then(|| Tensor::from_vec((0..count).flat_map(unseen).collect(), (count, present), device))
            .transpose()?;
        Ok(Self {
            adjacent: dims.rope.adjacent,
            cos: Tensor::from_vec(cos, shape, device)?,
            sin: Tensor::from_vec(sin, shape, device)?,
            unseen,
        })
    }

    fn turn(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(if self.adjacent { rope_i(x, &self.cos, &self.sin)? } else { rope(x, &self.cos, &self.sin)? })
    }
}

impl Linear<Device> {
    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let y = self.matrix.forward(x)?;
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}
