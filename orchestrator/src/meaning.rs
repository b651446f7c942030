//! Joins the runtime's embeddings to the memory's index: the two crates do not know each other.

use std::path::Path;

use edvac_memory::index::Embedder;
use edvac_runtime::embed::SentenceEmbedder;

/// The name of the embedding model, in the manifest and in the index.
pub const MODEL: &str = "all-minilm-l6-v2";

/// Embeddings for the index.
pub struct Meaning(SentenceEmbedder);

impl Meaning {
    /// Loads the model of a models directory; the error says why it cannot be used.
    pub fn open(models_dir: &Path) -> Result<Self, edvac_runtime::Error> {
        Ok(Self(SentenceEmbedder::open(&models_dir.join(MODEL))?))
    }
}

impl Embedder for Meaning {
    fn model(&self) -> &'static str {
        MODEL
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
        self.0.embed(texts).map_err(|e| e.to_string())
    }
}
