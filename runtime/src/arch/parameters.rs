//! A model's tensors by their names in GGUF files, in whatever form a place computes with them.

use super::Dims;
use crate::error::Error;
use crate::gguf::Gguf;
use crate::weights::{RowReader, Weights};

/// Where weights are computed with.
pub(super) trait Place {
    /// A matrix to multiply with.
    type Matrix;
    /// A norm's weights, or a bias.
    type Vector;

    /// A matrix of `columns`, and of so many rows, where given.
    fn matrix(
        &self,
        weights: &Weights<'_>,
        name: &str,
        shape: (Option<usize>, usize),
    ) -> Result<Self::Matrix, Error>;

    /// These numbers, there.
    fn vector(&self, numbers: Vec<f32>) -> Result<Self::Vector, Error>;
}

/// All of a model.
pub(super) struct Parameters<P: Place> {
    /// On the host: a few rows of it are used.
    pub embedding: RowReader,
    pub layers: Vec<Layer<P>>,
    pub norm: P::Vector,
    pub head: P::Matrix,
}

/// One decoder layer.
pub(super) struct Layer<P: Place> {
    pub attention_norm: P::Vector,
    pub q: Linear<P>,
    pub k: Linear<P>,
    pub v: Linear<P>,
    pub q_norm: Option<P::Vector>,
    pub k_norm: Option<P::Vector>,
    pub out: P::Matrix,
    pub ffn_norm: P::Vector,
    pub gate: P::Matrix,
    pub up: P::Matrix,
    pub down: P::Matrix,
}

/// A product and what is added to it.
pub(super) struct Linear<P: Place> {
    pub matrix: P::Matrix,
    pub bias: Option<P::Vector>,
}

impl<P: Place> Parameters<P> {
    /// Loads them; matrices that do not fit each other are an error that names the tensor.
    pub(super) fn load(gguf: &Gguf, dims: &Dims, place: &P) -> Result<Self, Error> {
        let weights = Weights { gguf };
        let embedding = RowReader::new(&weights, "token_embd.weight")?;
        let width = embedding.columns();
        let layer = |number| LayerLoader { weights: &weights, place, number }.load(dims, width);
        let own = gguf.header.tensors.contains_key("output.weight");
        let head = if own { "output.weight" } else { "token_embd.weight" };
        Ok(Self {
            layers: (0..dims.layers).map(layer).collect::<Result<_, _>>()?,
            norm: place.vector(weights.vector("output_norm.weight", width)?)?,
            head: place.matrix(&weights, head, (None, width))?,
            embedding,
        })
    }
}

struct LayerLoader<'a, P> {
    weights: &'a Weights<'a>,
    place: &'a P,
    number: usize,
}

impl<P: Place> LayerLoader<'_, P> {
    fn load(&self, dims: &Dims, width: usize) -> Result<Layer<P>, Error> {
        let hidden = self.weights.info(&self.name("ffn_gate.weight"))?.dims.first().copied();
        let hidden = hidden.unwrap_or_default();
        Ok(Layer {
            attention_norm: self.vector("attn_norm.weight", width)?,
            q: self.linear("attn_q", dims.heads * dims.head_dim, width)?,
            k: self.linear("attn_k", dims.kv_heads * dims.head_dim, width)?,
            v: self.linear("attn_v", dims.kv_heads * dims.head_dim, width)?,
            q_norm: self.optional("attn_q_norm.weight", dims.head_dim)?,
            k_norm: self.optional("attn_k_norm.weight", dims.head_dim)?,
            out: self.matrix("attn_output.weight", width, dims.heads * dims.head_dim)?,
            ffn_norm: self.vector("ffn_norm.weight", width)?,
            gate: self.matrix("ffn_gate.weight", hidden, width)?,
            up: self.matrix("ffn_up.weight", hidden, width)?,
            down: self.matrix("ffn_down.weight", width, hidden)?,
        })
    }

    fn name(&self, part: &str) -> String {
        format!("blk.{}.{part}", self.number)
    }

    fn matrix(&self, part: &str, rows: usize, columns: usize) -> Result<P::Matrix, Error> {
        self.place.matrix(self.weights, &self.name(part), (Some(rows), columns))
    }

    fn vector(&self, part: &str, len: usize) -> Result<P::Vector, Error> {
        self.place.vector(self.weights.vector(&self.name(part), len)?)
    }

    fn optional(&self, part: &str, len: usize) -> Result<Option<P::Vector>, Error> {
        let found = self.weights.vector_optional(&self.name(part), len)?;
        found.map(|numbers| self.place.vector(numbers)).transpose()
    }

    fn linear(&self, part: &str, rows: usize, columns: usize) -> Result<Linear<P>, Error> {
        Ok(Linear {
            matrix: self.matrix(&format!("{part}.weight"), rows, columns)?,
            bias: self.optional(&format!("{part}.bias"), rows)?,
        })
    }
}
