//! The forward pass of Llama and Qwen2/Qwen3 decoders: our own loop and KV layout over quantised matrices.
//!
//! Llama: Touvron et al. 2023; Qwen2 adds biases to Q, K and V; Qwen3 drops them and normalises Q and K per head.
//! RoPE: Su et al. 2021, pairs adjacent elements in Llama GGUF files and halves apart in Qwen ones.

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::sync::Arc;

use crate::error::Error;
use crate::gguf::{Gguf, Header};
use crate::kernels::{AttentionShape, attention};
use crate::kv::SequenceKv;
use crate::weights::{Matrix, Weights};

/// Architectures that [`Model`] runs, as GGUF names them.
pub const KNOWN: &[&str] = &["llama", "qwen2", "qwen3"];

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

#[derive(Clone, Debug)]
struct Rope {
    /// Adjacent pairs instead of halves.
    adjacent: bool,
    /// Rotation per position of each pair.
    frequencies: Vec<f32>,
}

struct Layer {
    attention_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    q_norm: Option<Tensor>,
    k_norm: Option<Tensor>,
    out: Matrix,
    ffn_norm: Tensor,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

struct Linear {
    matrix: Matrix,
    bias: Option<Tensor>,
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

/// A loaded model.
pub(crate) struct Model {
    pub dims: Dims,
    device: Device,
    embedding: Arc<QTensor>,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Matrix,
}

impl Dims {
    fn read(header: &Header) -> Result<Self, Error> {
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
            rope: Rope::read(header, arch, head_dim)?,
        })
    }

    /// Elements of one position's keys (and of its values) in one layer.
    pub(crate) fn kv_row(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

impl Rope {
    fn read(header: &Header, arch: &str, head_dim: usize) -> Result<Self, Error> {
        let key = |name: &str| format!("{arch}.rope.{name}");
        let base = header.float(&key("freq_base")).unwrap_or(10_000.0);
        let factor = match header.string(&key("scaling.type")).unwrap_or("none") {
            "none" => 1.0,
            "linear" => header.float(&key("scaling.factor")).filter(|f| *f > 0.0).unwrap_or(1.0),
            other => {
                return Err(Error::Missing(format!(
                    "RoPE scaling: {other:?} is not supported by this version"
                )));
            }
        };
        let frequencies = (0..head_dim / 2)
            .map(|i| (base.powf(-2.0 * i as f64 / head_dim as f64) / factor) as f32)
            .collect();
        Ok(Self { adjacent: arch == "llama", frequencies })
    }

    /// Rotates every head of `rows` (`[positions][heads][head_dim]`) by its position.
    fn apply(&self, rows: &mut [f32], heads: usize, first: usize) {
        let half = self.frequencies.len();
        let dim = 2 * half;
        let mut turns = vec![(0.0, 0.0); half];
        for (row, position) in rows.chunks_exact_mut(heads * dim).zip(first..) {
            for (turn, frequency) in turns.iter_mut().zip(&self.frequencies) {
                // In f64: at position 100,000 the product in f32 is off by hundredths of a radian.
                let (sin, cos) = (position as f64 * f64::from(*frequency)).sin_cos();
                *turn = (sin as f32, cos as f32);
            }
            for head in row.chunks_exact_mut(dim) {
                for (i, (sin, cos)) in turns.iter().enumerate() {
                    let (a, b) = if self.adjacent { (2 * i, 2 * i + 1) } else { (i, i + half) };
                    let (x, y) = (head[a], head[b]);
                    head[a] = x * cos - y * sin;
                    head[b] = x * sin + y * cos;
                }
            }
        }
    }
}

impl Model {
    pub(crate) fn load(gguf: &Gguf, device: &Device) -> Result<Self, Error> {
        let dims = Dims::read(&gguf.header)?;
        if gguf.header.tensors.contains_key("rope_freqs.weight") {
            // Llama 3.1 and later: without them the model computes, and writes worse and worse with length.
            return Err(Error::Missing(
                "RoPE scaling: rope_freqs is not supported by this version".to_owned(),
            ));
        }
        let weights = Weights { gguf, device };
        let layers = (0..dims.layers).map(|n| Layer::load(&weights, n)).collect::<Result<_, _>>()?;
        let embedding = weights.tensor("token_embd.weight")?;
        let head = match weights.matrix_optional("output.weight")? {
            Some(head) => head,
            None => weights.matrix("token_embd.weight")?,
        };
        let norm = weights.vector("output_norm.weight")?;
        Ok(Self { dims, device: device.clone(), embedding, layers, norm, head })
    }

    /// Appends `ids` to the sequence and returns the logits of the last `wanted` of them.
    pub(crate) fn forward(
        &self,
        kv: &mut SequenceKv,
        ids: &[u32],
        wanted: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let first = kv.ids.len();
        let mut x = self.embedding.embedding(&Tensor::new(ids, &self.device)?)?;
        for (number, layer) in self.layers.iter().enumerate() {
            let normed = norm(&x, &layer.attention_norm, self.dims.epsilon)?;
            x = (x + self.attend(layer, number, &normed, kv, first)?)?;
            let normed = norm(&x, &layer.ffn_norm, self.dims.epsilon)?;
            let gate = candle_nn::ops::silu(&layer.gate.forward(&normed)?)?;
            x = (x + layer.down.forward(&(gate * layer.up.forward(&normed)?)?)?)?;
        }
        kv.ids.extend_from_slice(ids);
        let last = x.narrow(0, ids.len() - wanted, wanted)?.contiguous()?;
        Ok(self.head.forward(&norm(&last, &self.norm, self.dims.epsilon)?)?.to_vec2()?)
    }

    fn attend(
        &self,
        layer: &Layer,
        number: usize,
        x: &Tensor,
        kv: &mut SequenceKv,
        first: usize,
    ) -> Result<Tensor, Error> {
        let Dims { heads, kv_heads, head_dim, ref rope, epsilon, .. } = self.dims;
        let rows = |linear: &Linear, norm_weight: &Option<Tensor>, heads: usize| -> Result<Vec<f32>, Error> {
            let mut y = linear.forward(x)?;
            if let Some(weight) = norm_weight {
                let split = y.reshape(((), heads, head_dim))?.contiguous()?;
                y = norm(&split, weight, epsilon)?;
            }
            Ok(y.flatten_all()?.to_vec1()?)
        };
        let mut q = rows(&layer.q, &layer.q_norm, heads)?;
        let mut k = rows(&layer.k, &layer.k_norm, kv_heads)?;
        let v = rows(&layer.v, &None, kv_heads)?;
        let positions = x.dim(0)?;
        let lengths = [heads, kv_heads, kv_heads].map(|heads| positions * heads * head_dim);
        if [q.len(), k.len(), v.len()] != lengths {
            return Err(Error::BadGguf(format!(
                "attention matrices of layer {number} do not match its {heads} and {kv_heads} heads"
            )));
        }
        rope.apply(&mut q, heads, first);
        rope.apply(&mut k, kv_heads, first);
        let (mut k16, mut v16) = (vec![f16::ZERO; k.len()], vec![f16::ZERO; v.len()]);
        k16.convert_from_f32_slice(&k);
        v16.convert_from_f32_slice(&v);
        let stored = kv.write(number, first, &k16, &v16);
        let shape = AttentionShape { heads, kv_heads, head_dim, first };
        let mixed = attention(&q, &stored.k, &stored.v, shape);
        let mixed = Tensor::from_vec(mixed, (x.dim(0)?, heads * head_dim), &self.device)?;
        layer.out.forward(&mixed)
    }
}

impl Layer {
    fn load(weights: &Weights<'_>, number: usize) -> Result<Self, Error> {
        let name = |part: &str| format!("blk.{number}.{part}");
        let linear = |part: &str| -> Result<Linear, Error> {
            Ok(Linear {
                matrix: weights.matrix(&name(&format!("{part}.weight")))?,
                bias: weights.vector_optional(&name(&format!("{part}.bias")))?,
            })
        };
        Ok(Self {
            attention_norm: weights.vector(&name("attn_norm.weight"))?,
            q: linear("attn_q")?,
            k: linear("attn_k")?,
            v: linear("attn_v")?,
            q_norm: weights.vector_optional(&name("attn_q_norm.weight"))?,
            k_norm: weights.vector_optional(&name("attn_k_norm.weight"))?,
            out: weights.matrix(&name("attn_output.weight"))?,
            ffn_norm: weights.vector(&name("ffn_norm.weight"))?,
            gate: weights.matrix(&name("ffn_gate.weight"))?,
            up: weights.matrix(&name("ffn_up.weight"))?,
            down: weights.matrix(&name("ffn_down.weight"))?,
        })
    }
}

fn norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor, Error> {
    Ok(candle_nn::ops::rms_norm(x, weight, epsilon)?)
}
