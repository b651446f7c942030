//! Sentence embeddings with all-MiniLM-L6-v2: a small BERT, its token vectors averaged and normalised
//! (Reimers and Gurevych, "Sentence-BERT", 2019).

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

use crate::error::Error;

/// Tokens of a text that count; the model was trained on no more.
pub const TOKENS_MAX: usize = 256;
/// Texts computed at once. All of a batch are padded to its longest.
const BATCH_MAX: usize = 16;

/// A loaded embedding model.
pub struct SentenceEmbedder {
    model: BertModel,
    tokenizer: Tokenizer,
    dims: usize,
}

fn tokenizer_error(error: &(dyn std::error::Error + Send + Sync)) -> Error {
    Error::Tokenizer(error.to_string())
}

impl SentenceEmbedder {
    /// Loads `model.safetensors`, `tokenizer.json` and `config.json` of a directory.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).map_err(|e| Error::Io { path, message: e.to_string() })
        };
        let config: Config = serde_json::from_slice(&read("config.json")?)
            .map_err(|e| Error::Missing(format!("config.json: {e}")))?;
        let mut tokenizer =
            Tokenizer::from_bytes(read("tokenizer.json")?).map_err(|e| tokenizer_error(e.as_ref()))?;
        tokenizer.with_padding(Some(PaddingParams::default()));
        tokenizer
            .with_truncation(Some(TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() }))
            .map_err(|e| tokenizer_error(e.as_ref()))?;
        let weights =
            VarBuilder::from_buffered_safetensors(read("model.safetensors")?, DType::F32, &Device::Cpu)?;
        Ok(Self { model: BertModel::load(weights, &config)?, tokenizer, dims: config.hidden_size })
    }

    /// Length of its vectors.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// One vector of length 1 a text, in order. A text of more than [`TOKENS_MAX`] tokens counts by its beginning.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        let mut out = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH_MAX) {
            out.extend(self.embed_batch(batch)?);
        }
        Ok(out)
    }

    /// Tokens of `texts` that count.
    pub fn count_tokens(&self, texts: &[&str]) -> Result<usize, Error> {
        let encoded = self
            .tokenizer
            .encode_batch_fast(texts.to_vec(), true)
            .map_err(|e| tokenizer_error(e.as_ref()))?;
        Ok(encoded.iter().map(|e| e.get_attention_mask().iter().filter(|m| **m == 1).count()).sum())
    }

    fn embed_batch(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        let encoded =
            self.tokenizer.encode_batch(texts.to_vec(), true).map_err(|e| tokenizer_error(e.as_ref()))?;
        let rows = |of: fn(&tokenizers::Encoding) -> &[u32]| -> Result<Tensor, Error> {
            let length = encoded.first().map_or(0, |e| of(e).len());
            let ids: Vec<u32> = encoded.iter().flat_map(|e| of(e).iter().copied()).collect();
            Ok(Tensor::from_vec(ids, (texts.len(), length), &Device::Cpu)?)
        };
        let ids = rows(tokenizers::Encoding::get_ids)?;
        let mask = rows(tokenizers::Encoding::get_attention_mask)?;
        let vectors = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let mean = vectors.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?;
        let length = mean.sqr()?.sum_keepdim(1)?.sqrt()?;
        Ok(mean.broadcast_div(&length)?.to_vec2()?)
    }
}
