//! The forward pass of Llama and Qwen2/Qwen3 decoders: our own loop and KV layout over quantised matrices.
//!
//! Llama: Touvron et al. 2023; Qwen2 adds biases to Q, K and V; Qwen3 drops them and normalises Q and K per head.
//! RoPE (`rope`) pairs adjacent elements in Llama GGUF files and halves apart in Qwen ones.

mod on_device;
mod parameters;
mod rope;

use std::sync::{Mutex, PoisonError};

use candle_core::Device;

use crate::error::Error;
use crate::gguf::Gguf;
use crate::kernels::{
    AttentionShape, add_to_rows, attention, by_rows, by_two_rows, rms_norm, rotate, silu_times,
};
use crate::kv::{KvFormat, SequenceKv, Shape};
use crate::weights::{Left, Matrix, Weights};
use parameters::{Layer, Parameters, Place};
use rope::Rope;

/// A loaded model: what computes, on whatever device.
pub(crate) trait Decoder: Send {
    /// Its sizes.
    fn dims(&self) -> &Dims;

    /// What a token's keys and values take.
    fn kv_shape(&self) -> Shape;

    /// Bytes of weights that a pass reads, as far as they are packed by us.
    fn packed_bytes(&self) -> usize {
        0
    }

    /// One pass over some sequences: appends its ids to each and returns the logits of the last that are wanted of them, one
    /// vector for each sequence. After an error no sequence has more ids than before.
    fn forward(&self, parts: &mut [Part<'_>]) -> Result<Vec<Vec<Vec<f32>>>, Error>;
}

/// What one pass appends to one sequence.
pub(crate) struct Part<'a> {
    pub kv: &'a mut SequenceKv,
    pub ids: &'a [u32],
    /// Of how many of the last ids the logits are wanted; at least one.
    pub wanted: usize,
}

impl dyn Decoder + '_ {
    /// A pass over one sequence.
    pub(crate) fn forward_one(
        &self,
        kv: &mut SequenceKv,
        ids: &[u32],
        wanted: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        Ok(self.forward(&mut [Part { kv, ids, wanted }])?.pop().unwrap_or_default())
    }
}

/// Loads a file's model: for our kernels on the CPU, or, on a `device`, for the tensor library's operations there.
pub(crate) fn load(
    gguf: &Gguf,
    device: Option<&Device>,
    format: KvFormat,
) -> Result<Box<dyn Decoder>, Error> {
    Ok(match device {
        None => Box::new(Model::load(gguf, format)?),
        Some(device) => Box::new(on_device::DeviceModel::load(gguf, device, format)?),
    })
}

/// Architectures that can be loaded, as GGUF names them.
pub const KNOWN: &[&str] = &["llama", "qwen2", "qwen3"];

/// How far elements of keys that are large are made small before keys are rounded; by their bias to this power. Of 0, 0.5,
/// 0.75 and 1 it leaves the 0.5b nearest to llama.cpp.
const SMOOTHING: f32 = 0.75;

/// Sizes and constants of a model.
#[derive(Clone, Debug)]
pub struct Dims {
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Longest sequence the model was made for.
    pub window_tokens: usize,
    epsilon: f32,
    rope: Rope,
}

/// Our kernels, on the CPU.
struct Host;

impl Place for Host {
    type Matrix = Matrix;
    type Vector = Vec<f32>;

    fn matrix(
        &self,
        weights: &Weights<'_>,
        name: &str,
        shape: (Option<usize>, usize),
    ) -> Result<Matrix, Error> {
        weights.matrix(name, shape)
    }

    fn vector(&self, numbers: Vec<f32>) -> Result<Vec<f32>, Error> {
        Ok(numbers)
    }
}

/// A model for our kernels.
struct Model {
    dims: Dims,
    shape: Shape,
    parameters: Parameters<Host>,
    /// What keys of each layer are divided by, and queries multiplied with, before keys are rounded; see [`smoothing`].
    smoothing: Vec<Option<Vec<f32>>>,
    /// Memory of the last forward pass, for the next.
    scratch: Mutex<Scratch>,
}

/// What a forward pass writes to on its way; grown to the most positions computed at once, then reused.
#[derive(Default)]
struct Scratch {
    /// The residual stream.
    x: Vec<f32>,
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// Keys and values as they are kept.
    kept: [Vec<u8>; 2],
    /// Results of attention.
    mixed: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// What is added to the residual stream.
    delta: Vec<f32>,
    /// Sine and cosine of every pair of every position.
    turns: Vec<(f32, f32)>,
    left: Left,
}

impl Dims {
    fn read(gguf: &Gguf) -> Result<Self, Error> {
        let header = &gguf.header;
        let arch = header.string("general.architecture").unwrap_or_default();
        if !KNOWN.contains(&arch) {
            return Err(Error::UnsupportedArchitecture { name: arch.to_owned(), known: KNOWN.join(", ") });
        }
        let key = |name: &str| format!("{arch}.{name}");
        let number = |name: &str| {
            let found = header.unsigned(&key(name)).filter(|n| (1..=1 << 24).contains(n));
            found.map(|n| n as usize).ok_or_else(|| Error::Missing(key(name)))
        };
        let heads = number("attention.head_count")?;
        let kv_heads = number("attention.head_count_kv").unwrap_or(heads);
        let width = number("embedding_length")?;
        let head_dim = number("attention.key_length").unwrap_or(width / heads);
        if heads % kv_heads != 0 || head_dim == 0 || head_dim % 2 != 0 {
            return Err(Error::BadGguf(format!(
                "{heads} heads over {kv_heads} KV heads of {head_dim} elements"
            )));
        }
        Ok(Self {
            layers: number("block_count")?,
            heads,
            kv_heads,
            head_dim,
            window_tokens: number("context_length")?,
            epsilon: header.float(&key("attention.layer_norm_rms_epsilon")).unwrap_or(1e-5) as f32,
            rope: Rope::read(gguf, arch, head_dim)?,
        })
    }

    /// What a token's keys and values take in a format.
    fn kv_shape(&self, format: KvFormat) -> Result<Shape, Error> {
        if !format.takes(self.head_dim) {
            return Err(Error::KvFormat {
                format: format.name(),
                why: format!(
                    "this model's heads have {} elements, which are no whole blocks of 32",
                    self.head_dim
                ),
            });
        }
        Ok(Shape { layers: self.layers, row: self.kv_heads * self.head_dim, format })
    }
}

impl Model {
    fn load(gguf: &Gguf, format: KvFormat) -> Result<Self, Error> {
        let dims = Dims::read(gguf)?;
        let shape = dims.kv_shape(format)?;
        let parameters = Parameters::load(gguf, &dims, &Host)?;
        let smoothing = parameters.layers.iter().map(|layer| smoothing(layer, &dims, format)).collect();
        Ok(Self { dims, shape, parameters, smoothing, scratch: Mutex::default() })
    }

    fn run(&self, s: &mut Scratch, parts: &mut [Part<'_>]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let Parameters { embedding, layers, norm, head } = &self.parameters;
        let (width, epsilon) = (embedding.columns(), self.dims.epsilon);
        let positions: usize = parts.iter().map(|part| part.ids.len()).sum();
        s.x.resize(positions * width, 0.0);
        s.delta.resize(positions * width, 0.0);
        let ids = parts.iter().flat_map(|part| part.ids);
        for (id, row) in ids.zip(s.x.chunks_exact_mut(width)) {
            embedding.read(*id as usize, row)?;
        }
        // After reading, so that no row of a changed file gets any further.
        embedding.is_as_opened()?;
        s.turns.clear();
        for Part { kv, ids, .. } in parts.iter() {
            self.dims.rope.turns(kv.ids.len()..kv.ids.len() + ids.len(), &mut s.turns);
        }
        for (number, layer) in layers.iter().enumerate() {
            s.normed.clone_from(&s.x);
            by_rows(&mut s.normed, width, |rows| rms_norm(rows, &layer.attention_norm, epsilon));
            self.attend(s, layer, number, parts)?;
            add_to_rows(&mut s.x, &s.delta);
            s.normed.clone_from(&s.x);
            by_rows(&mut s.normed, width, |rows| rms_norm(rows, &layer.ffn_norm, epsilon));
            let hidden = layer.gate.rows();
            s.gate.resize(positions * hidden, 0.0);
            s.up.resize(positions * hidden, 0.0);
            s.left.products(&s.normed, [(&layer.gate, &mut s.gate), (&layer.up, &mut s.up)])?;
            by_two_rows(&mut s.gate, &s.up, hidden, silu_times);
            s.left.products(&s.gate, [(&layer.down, &mut s.delta)])?;
            add_to_rows(&mut s.x, &s.delta);
        }
        s.normed.clear();
        let mut end = 0;
        for Part { ids, wanted, .. } in parts.iter() {
            end += ids.len();
            s.normed.extend_from_slice(&s.x[(end - wanted) * width..end * width]);
        }
        rms_norm(&mut s.normed, norm, epsilon);
        let mut logits = vec![0.0; s.normed.len() / width * head.rows()];
        s.left.products(&s.normed, [(head, &mut logits)])?;
        let mut rows = logits.chunks_exact(head.rows()).map(<[f32]>::to_vec);
        Ok(parts
            .iter_mut()
            .map(|Part { kv, ids, wanted }| {
                kv.ids.extend_from_slice(ids);
                rows.by_ref().take(*wanted).collect()
            })
            .collect())
    }

    /// From normed rows to what attention adds to the residual stream.
    fn attend(
        &self,
        s: &mut Scratch,
        layer: &Layer<Host>,
        number: usize,
        parts: &mut [Part<'_>],
    ) -> Result<(), Error> {
        let Dims { heads, kv_heads, head_dim, ref rope, epsilon, .. } = self.dims;
        let positions = s.normed.len() / layer.attention_norm.len();
        s.q.resize(positions * heads * head_dim, 0.0);
        s.k.resize(positions * kv_heads * head_dim, 0.0);
        s.v.resize(positions * kv_heads * head_dim, 0.0);
        s.left.products(
            &s.normed,
            [(&layer.q.matrix, &mut s.q), (&layer.k.matrix, &mut s.k), (&layer.v.matrix, &mut s.v)],
        )?;
        let rows = [(&layer.q, &mut s.q), (&layer.k, &mut s.k), (&layer.v, &mut s.v)];
        for (linear, rows) in rows {
            if let Some(bias) = &linear.bias {
                add_to_rows(rows, bias);
            }
        }
        for (norm, rows) in [(&layer.q_norm, &mut s.q), (&layer.k_norm, &mut s.k)] {
            if let Some(weight) = norm {
                rms_norm(rows, weight, epsilon);
            }
        }
        for (rows, heads) in [(&mut s.q, heads), (&mut s.k, kv_heads)] {
            let turns = s.turns.chunks_exact(head_dim / 2);
            for (row, turns) in rows.chunks_exact_mut(heads * head_dim).zip(turns) {
                rotate(row, turns, rope.adjacent);
            }
        }
        if let Some(factors) = &self.smoothing[number] {
            smooth(&mut s.q, &mut s.k, factors, head_dim);
        }
        let (format, row_bytes) = (self.shape.format, self.shape.row_bytes());
        for (rows, kept) in [&s.k, &s.v].into_iter().zip(&mut s.kept) {
            kept.clear();
            format.encode(rows, self.shape.row, kept);
        }
        s.mixed.resize(s.q.len(), 0.0);
        let mut end = 0;
        for Part { kv, ids, .. } in parts {
            let (at, first) = (end, kv.ids.len());
            end += ids.len();
            let [k, v] = s.kept.each_ref().map(|kept| &kept[at * row_bytes..end * row_bytes]);
            let stored = kv.write(number, first, k, v);
            let shape = AttentionShape { heads, kv_heads, head_dim, first, format };
            let of = at * heads * head_dim..end * heads * head_dim;
            attention(&s.q[of.clone()], &stored.k, &stored.v, shape, &mut s.mixed[of]);
        }
        s.left.products(&s.mixed, [(&layer.out, &mut s.delta)])
    }
}

impl Decoder for Model {
    fn dims(&self) -> &Dims {
        &self.dims
    }

    fn kv_shape(&self) -> Shape {
        self.shape
    }

    fn packed_bytes(&self) -> usize {
        let of_layer = |layer: &Layer<Host>| {
            let Layer { q, k, v, out, gate, up, down, .. } = layer;
            let matrices = [&q.matrix, &k.matrix, &v.matrix, out, gate, up, down];
            matrices.iter().map(|matrix| matrix.packed_bytes()).sum::<usize>()
        };
        self.parameters.layers.iter().map(of_layer).sum::<usize>() + self.parameters.head.packed_bytes()
    }

    fn forward(&self, parts: &mut [Part<'_>]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        self.run(&mut scratch, parts)
    }
}

/// What the keys of a layer are divided by before they are rounded to eight bits, and its queries multiplied with, so that
/// their products stay (smoothed attention, after Lin et al. 2024, "QServe"). Qwen2's biases make a few elements of a key
/// hundreds of times larger than the others, which share a scale with them and would be lost.
fn smoothing(layer: &Layer<Host>, dims: &Dims, format: KvFormat) -> Option<Vec<f32>> {
    let bias = layer.k.bias.as_ref().filter(|_| format == KvFormat::Q8)?;
    let (head_dim, half) = (dims.head_dim, dims.head_dim / 2);
    let factor = |n: usize| {
        let (head, at) = (n / head_dim * head_dim, n % head_dim);
        // Both elements that a rotation mixes have one factor.
        let other = head + if dims.rope.adjacent { at ^ 1 } else { (at + half) % head_dim };
        bias[n].abs().max(bias[other].abs()).powf(SMOOTHING).max(1.0)
    };
    Some((0..bias.len()).map(factor).collect())
}

/// Moves factors of each KV head from its keys to the queries of its group.
fn smooth(q: &mut [f32], k: &mut [f32], factors: &[f32], head_dim: usize) {
    let group = q.len() / k.len();
    for keys in k.chunks_exact_mut(factors.len()) {
        keys.iter_mut().zip(factors).for_each(|(key, factor)| *key /= factor);
    }
    for queries in q.chunks_exact_mut(factors.len() * group) {
        let heads = queries.chunks_exact_mut(head_dim * group).zip(factors.chunks_exact(head_dim));
        for (queries, factors) in heads {
            for (x, factor) in queries.iter_mut().zip(factors.iter().cycle()) {
                *x *= factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp)] // powers of two change no bit
    fn smoothing_leaves_products_as_they_are() {
        let factors = [2.0, 1.0, 4.0, 8.0];
        // Two KV heads of two elements, two query heads for each.
        let (mut q, mut k) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0]);
        let dots = |q: &[f32; 8], k: &[f32; 4]| -> Vec<f32> {
            let head = |n: usize| q[2 * n] * k[n / 2 * 2] + q[2 * n + 1] * k[n / 2 * 2 + 1];
            (0..4).map(head).collect()
        };
        let before = dots(&q, &k);
        smooth(&mut q, &mut k, &factors, 2);
        assert_eq!(dots(&q, &k), before);
        assert_eq!(k, [0.5, 2.0, 0.75, 0.5]);
    }
}
