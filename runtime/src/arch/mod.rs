//! The forward pass of Llama and Qwen2/Qwen3 decoders: our own loop and KV layout over quantised matrices.
//!
//! Llama: Touvron et al. 2023; Qwen2 adds biases to Q, K and V; Qwen3 drops them and normalises Q and K per head.
//! RoPE (`rope`) pairs adjacent elements in Llama GGUF files and halves apart in Qwen ones.

mod on_device;
mod rope;

use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::error::Error;
use crate::gguf::Gguf;
use crate::kernels::{
    AttentionShape, add_to_rows, attention, by_rows, by_two_rows, rms_norm, rotate, silu_times,
};
use crate::kv::SequenceKv;
use crate::weights::{Left, Matrix, RowReader, Weights};
use rope::Rope;

/// A loaded model: what computes, on whatever device.
pub(crate) trait Decoder: Send {
    /// Its sizes.
    fn dims(&self) -> &Dims;

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
pub(crate) fn load(gguf: &Gguf, device: Option<&Device>) -> Result<Box<dyn Decoder>, Error> {
    Ok(match device {
        None => Box::new(Model::load(gguf)?),
        Some(device) => Box::new(on_device::DeviceModel::load(gguf, device)?),
    })
}

/// Architectures that can be loaded, as GGUF names them.
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

struct Layer {
    attention_norm: Vec<f32>,
    q: Linear,
    k: Linear,
    v: Linear,
    q_norm: Option<Vec<f32>>,
    k_norm: Option<Vec<f32>>,
    out: Matrix,
    ffn_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

struct Linear {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
}

/// A model for our kernels.
struct Model {
    dims: Dims,
    embedding: RowReader,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Matrix,
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
    k16: Vec<f16>,
    v16: Vec<f16>,
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

    /// Elements of one position's keys (and of its values) in one layer.
    pub(crate) fn kv_row(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}

impl Model {
    fn load(gguf: &Gguf) -> Result<Self, Error> {
        let dims = Dims::read(gguf)?;
        let weights = Weights { gguf };
        let embedding = RowReader::new(&weights, "token_embd.weight")?;
        let width = embedding.columns();
        let layers =
            (0..dims.layers).map(|n| Layer::load(&weights, &dims, width, n)).collect::<Result<_, _>>()?;
        let own = gguf.header.tensors.contains_key("output.weight");
        let head = weights.matrix(if own { "output.weight" } else { "token_embd.weight" }, width)?;
        let norm = weights.vector("output_norm.weight", width)?;
        Ok(Self { dims, embedding, layers, norm, head, scratch: Mutex::default() })
    }

    fn run(&self, s: &mut Scratch, parts: &mut [Part<'_>]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let (width, epsilon) = (self.embedding.columns(), self.dims.epsilon);
        let positions: usize = parts.iter().map(|part| part.ids.len()).sum();
        s.x.resize(positions * width, 0.0);
        s.delta.resize(positions * width, 0.0);
        let ids = parts.iter().flat_map(|part| part.ids);
        for (id, row) in ids.zip(s.x.chunks_exact_mut(width)) {
            self.embedding.read(*id as usize, row)?;
        }
        // After reading, so that no row of a changed file gets any further.
        self.embedding.is_as_opened()?;
        s.turns.clear();
        for Part { kv, ids, .. } in parts.iter() {
            self.dims.rope.turns(kv.ids.len()..kv.ids.len() + ids.len(), &mut s.turns);
        }
        for (number, layer) in self.layers.iter().enumerate() {
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
        rms_norm(&mut s.normed, &self.norm, epsilon);
        let mut logits = vec![0.0; s.normed.len() / width * self.head.rows()];
        s.left.products(&s.normed, [(&self.head, &mut logits)])?;
        let mut rows = logits.chunks_exact(self.head.rows()).map(<[f32]>::to_vec);
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
        layer: &Layer,
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
        s.k16.resize(s.k.len(), f16::ZERO);
        s.v16.resize(s.v.len(), f16::ZERO);
        s.k16.convert_from_f32_slice(&s.k);
        s.v16.convert_from_f32_slice(&s.v);
        s.mixed.resize(s.q.len(), 0.0);
        let mut end = 0;
        for Part { kv, ids, .. } in parts {
            let (at, first) = (end, kv.ids.len());
            end += ids.len();
            let of = |heads: usize| at * heads * head_dim..end * heads * head_dim;
            let stored = kv.write(number, first, &s.k16[of(kv_heads)], &s.v16[of(kv_heads)]);
            let shape = AttentionShape { heads, kv_heads, head_dim, first };
            attention(&s.q[of(heads)], &stored.k, &stored.v, shape, &mut s.mixed[of(heads)]);
        }
        s.left.products(&s.mixed, [(&layer.out, &mut s.delta)])
    }
}

impl Decoder for Model {
    fn dims(&self) -> &Dims {
        &self.dims
    }

    fn packed_bytes(&self) -> usize {
        let of_layer = |layer: &Layer| {
            let Layer { q, k, v, out, gate, up, down, .. } = layer;
            let matrices = [&q.matrix, &k.matrix, &v.matrix, out, gate, up, down];
            matrices.iter().map(|matrix| matrix.packed_bytes()).sum::<usize>()
        };
        self.layers.iter().map(of_layer).sum::<usize>() + self.head.packed_bytes()
    }

    fn forward(&self, parts: &mut [Part<'_>]) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        self.run(&mut scratch, parts)
    }
}

impl Layer {
    fn load(weights: &Weights<'_>, dims: &Dims, width: usize, number: usize) -> Result<Self, Error> {
        let name = |part: &str| format!("blk.{number}.{part}");
        let linear = |part: &str, heads: usize| -> Result<Linear, Error> {
            let rows = heads * dims.head_dim;
            let matrix = weights.matrix(&name(&format!("{part}.weight")), width)?;
            if matrix.rows() != rows {
                return Err(Error::BadGguf(format!("{} does not match its {heads} heads", name(part))));
            }
            Ok(Linear { matrix, bias: weights.vector_optional(&name(&format!("{part}.bias")), rows)? })
        };
        let gate = weights.matrix(&name("ffn_gate.weight"), width)?;
        let layer = Self {
            attention_norm: weights.vector(&name("attn_norm.weight"), width)?,
            q: linear("attn_q", dims.heads)?,
            k: linear("attn_k", dims.kv_heads)?,
            v: linear("attn_v", dims.kv_heads)?,
            q_norm: weights.vector_optional(&name("attn_q_norm.weight"), dims.head_dim)?,
            k_norm: weights.vector_optional(&name("attn_k_norm.weight"), dims.head_dim)?,
            out: weights.matrix(&name("attn_output.weight"), dims.heads * dims.head_dim)?,
            ffn_norm: weights.vector(&name("ffn_norm.weight"), width)?,
            up: weights.matrix(&name("ffn_up.weight"), width)?,
            down: weights.matrix(&name("ffn_down.weight"), gate.rows())?,
            gate,
        };
        let shapes =
            [layer.up.rows() == layer.gate.rows(), layer.out.rows() == width, layer.down.rows() == width];
        if shapes.contains(&false) {
            return Err(Error::BadGguf(format!("the matrices of layer {number} do not fit each other")));
        }
        Ok(layer)
    }
}
