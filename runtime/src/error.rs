//! What can go wrong between a file and a token.

use std::path::PathBuf;

/// The runtime's error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{path}: {message}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// The file does not begin like a GGUF file.
    #[error("this is not a GGUF file (it begins with {found:02x?})")]
    NotGguf {
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// A GGUF file that breaks off or breaks a rule.
    #[error("the GGUF file is damaged: {0}")]
    BadGguf(String),
    /// A GGUF file without something that inference needs.
    #[error("the GGUF file has no usable {0}")]
    Missing(String),
    /// A model family that this version does not run.
    #[error("the model's architecture is {name:?}; this version runs {known}")]
    UnsupportedArchitecture {
        /// What the file says.
        name: String,
        /// What would work.
        known: String,
    },
    /// A tensor in a format that this version does not read.
    #[error("tensor {tensor} has type {dtype}, which this version does not read")]
    UnsupportedTensor {
        /// Its name.
        tensor: String,
        /// Its GGML type number.
        dtype: u32,
    },
    /// The prompt leaves no room for a reply.
    #[error("the prompt has {prompt_tokens} tokens, the window {window_tokens}")]
    PromptTooLong {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens of the window.
        window_tokens: usize,
    },
    /// An empty prompt predicts nothing.
    #[error("the prompt is empty")]
    PromptEmpty,
    /// The device cannot be used.
    #[error("device {device:?} cannot be used: {why}")]
    Device {
        /// As it was named.
        device: String,
        /// What is missing and how to get it.
        why: String,
    },
    /// Keys and values cannot be kept so.
    #[error("keys and values cannot be kept as {format}, only as f16: {why}")]
    KvFormat {
        /// Its name in settings.
        format: &'static str,
        /// What is in the way.
        why: String,
    },
    /// The grammar is not one, or the reply could not follow it.
    #[error("grammar: {0}")]
    Grammar(String),
    /// The chat template.
    #[error("chat template: {0}")]
    Template(String),
    /// The tokenizer.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A shared engine, or a computation of it, ended.
    #[error("the engine stopped: {0}")]
    Stopped(String),
    /// The tensor library.
    #[error("computing: {0}")]
    Compute(#[from] candle_core::Error),
}
