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

use super::{Decoder, Dims, Part};
use crate::error::Error;
use crate::gguf::Gguf;
use crate::kv::{SequenceKv, common_prefix};
use crate::weights::{RowReader, Weights};

/// Positions a device's buffers have room for at first.
const ROWS_MIN: usize = 1024;

/// A model on a device.
pub(crate) struct DeviceModel {
    dims: Dims,
    device: Device,
    /// On the host: a few rows of it are used.
    embedding: RowReader,
    layers: Vec<Layer>,
    norm: Tensor,
    head: QMatMul,
    live: Mutex<Live>,
}

struct Layer {
    attention_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    q_norm: Option<Tensor>,
    k_norm: Option<Tensor>,
    out: QMatMul,
    ffn_norm: Tensor,
    gate: QMatMul,
    up: QMatMul,
    down: QMatMul,
}

struct Linear {
    matrix: QMatMul,
    bias: Option<Tensor>,
}

/// The sequence whose rows the device has.
#[derive(Default)]
struct Live {
    ids: Vec<u32>,
    room: usize,
    /// Keys and values of each layer, `[kv_heads][room][head_dim]` in f16.
    rows: Vec<[Tensor; 2]>,
}

impl DeviceModel {
    /// Copies the weights to the device.
    pub(crate) fn load(gguf: &Gguf, device: &Device) -> Result<Self, Error> {
        let dims = Dims::read(gguf)?;
        let weights = Weights { gguf };
        let embedding = RowReader::new(&weights, "token_embd.weight")?;
        let width = embedding.columns();
        let layers = (0..dims.layers)
            .map(|n| Layer::load(&weights, &dims, width, n, device))
            .collect::<Result<_, _>>()?;
        let own = gguf.header.tensors.contains_key("output.weight");
        let head = if own { "output.weight" } else { "token_embd.weight" };
        let head = weights.device_matrix(head, (None, width), device)?;
        let norm = Tensor::new(weights.vector("output_norm.weight", width)?, device)?;
        Ok(Self { dims, device: device.clone(), embedding, layers, norm, head, live: Mutex::default() })
    }

    fn run(
        &self,
        live: &mut Live,
        kv: &mut SequenceKv,
        ids: &[u32],
        wanted: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let (first, width) = (kv.ids.len(), self.embedding.columns());
        live.catch_up(kv, first + ids.len(), &self.dims, &self.device)?;
        let mut x = vec![0.0; ids.len() * width];
        for (id, row) in ids.iter().zip(x.chunks_exact_mut(width)) {
            self.embedding.read(*id as usize, row)?;
        }
        // After reading, so that no row of a changed file gets any further.
        self.embedding.is_as_opened()?;
        let mut x = Tensor::from_vec(x, (ids.len(), width), &self.device)?;
        let turns = Turns::of(&self.dims, first, ids.len(), &self.device)?;
        let epsilon = self.dims.epsilon;
        for (layer, rows) in self.layers.iter().zip(&live.rows) {
            let normed = rms_norm(&x, &layer.attention_norm, epsilon)?;
            x = (x + self.attend(layer, rows, &normed, first, &turns)?)?;
            let normed = rms_norm(&x, &layer.ffn_norm, epsilon)?;
            let gated = (silu(&layer.gate.forward(&normed)?)? * layer.up.forward(&normed)?)?;
            x = (x + layer.down.forward(&gated)?)?;
        }
        live.hand_over(kv, first, ids.len())?;
        let last = x.narrow(0, ids.len() - wanted, wanted)?.contiguous()?;
        let logits = self.head.forward(&rms_norm(&last, &self.norm, epsilon)?)?.to_vec2()?;
        live.ids.extend_from_slice(ids);
        kv.ids.extend_from_slice(ids);
        Ok(logits)
    }

    /// From normed rows `[positions][width]` to what attention adds to the residual stream.
    fn attend(
        &self,
        layer: &Layer,
        [keys, values]: &[Tensor; 2],
        normed: &Tensor,
        first: usize,
        turns: &Turns,
    ) -> Result<Tensor, Error> {
        let Dims { heads, kv_heads, head_dim, epsilon, .. } = self.dims;
        let positions = normed.dim(0)?;
        // [1][heads][positions][head_dim]
        let by_heads = |linear: &Linear, heads: usize, norm: &Option<Tensor>| -> Result<Tensor, Error> {
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
            kv.write(layer, first, k, v);
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

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let y = self.matrix.forward(x)?;
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}

impl Layer {
    fn load(
        weights: &Weights<'_>,
        dims: &Dims,
        width: usize,
        number: usize,
        device: &Device,
    ) -> Result<Self, Error> {
        let name = |part: &str| format!("blk.{number}.{part}");
        let vector = |part: &str, len: usize| -> Result<Tensor, Error> {
            Ok(Tensor::new(weights.vector(&name(part), len)?, device)?)
        };
        let optional = |part: &str, len: usize| -> Result<Option<Tensor>, Error> {
            let found = weights.vector_optional(&name(part), len)?;
            Ok(found.map(|numbers| Tensor::new(numbers, device)).transpose()?)
        };
        let matrix = |part: &str, rows: Option<usize>, columns: usize| {
            weights.device_matrix(&name(part), (rows, columns), device)
        };
        let linear = |part: &str, heads: usize| -> Result<Linear, Error> {
            let rows = heads * dims.head_dim;
            Ok(Linear {
                matrix: matrix(&format!("{part}.weight"), Some(rows), width)?,
                bias: optional(&format!("{part}.bias"), rows)?,
            })
        };
        let hidden = weights.info(&name("ffn_gate.weight"))?.dims.first().copied().unwrap_or_default();
        Ok(Self {
            attention_norm: vector("attn_norm.weight", width)?,
            q: linear("attn_q", dims.heads)?,
            k: linear("attn_k", dims.kv_heads)?,
            v: linear("attn_v", dims.kv_heads)?,
            q_norm: optional("attn_q_norm.weight", dims.head_dim)?,
            k_norm: optional("attn_k_norm.weight", dims.head_dim)?,
            out: matrix("attn_output.weight", Some(width), dims.heads * dims.head_dim)?,
            ffn_norm: vector("ffn_norm.weight", width)?,
            gate: matrix("ffn_gate.weight", None, width)?,
            up: matrix("ffn_up.weight", Some(hidden), width)?,
            down: matrix("ffn_down.weight", Some(width), hidden)?,
        })
    }
}
