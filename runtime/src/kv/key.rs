//! What rows depend on besides their tokens. Rows are used again only under the same key.

use super::page::Shape;
use crate::error::Error;
use crate::gguf::Gguf;

/// Raised when a change of the kernels changes results in a way that a few tokens do not show.
const NUMERICS: &str = "1";

/// The first tokens of the vocabulary, whose rows are part of the key.
pub(crate) const PROBE: [u32; 4] = [0, 1, 2, 3];

/// The key of a loaded model: its weights as they were read, what the architecture says, the rows' format, and how
/// this machine computes. The last is measured: `probe` are the rows of [`PROBE`], and another processor, kernel or
/// library that changes a bit of them makes another key. Tokenizer and chat template have no part in it.
pub(crate) fn kv_key(gguf: &Gguf, shape: Shape, probe: &[u8]) -> Result<[u8; 32], Error> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(b"edvac kv 1");
    part(NUMERICS.as_bytes());
    part(if cfg!(target_endian = "little") { b"little" } else { b"big" });
    part(&gguf.weights_digest()?);
    let architecture = gguf.header.string("general.architecture").unwrap_or_default();
    part(architecture.as_bytes());
    let prefix = format!("{architecture}.");
    for (key, value) in gguf.header.metadata.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        part(format!("{key}={value:?}").as_bytes());
    }
    part(format!("{shape:?}").as_bytes());
    part(probe);
    Ok(*hasher.finalize().as_bytes())
}
