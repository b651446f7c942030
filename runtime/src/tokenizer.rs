//! The model's own tokenizer, built from the GGUF metadata.

use std::collections::HashMap;
use std::sync::Arc;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::error::Error;
use crate::gguf::{Header, Value};

/// The key that names how text is cut.
const PRE: &str = "tokenizer.ggml.pre";
/// GGUF token types that are never part of ordinary text.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// How a family cuts text into words before merging; facts of the published tokenizers.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Text to token ids and back.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    plain: Arc<tokenizers::Tokenizer>,
    bytes: Vec<Vec<u8>>,
    special: Vec<bool>,
    /// Ids that end a reply.
    pub end_ids: Vec<u32>,
    /// The id that begins every prompt, where the model wants one.
    pub begin_id: Option<u32>,
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Tokenizer(error.to_string())
}

impl Tokenizer {
    /// Builds the tokenizer that `header` describes.
    pub fn from_gguf(header: &Header) -> Result<Self, Error> {
        let model = header.string("tokenizer.ggml.model").unwrap_or_default();
        if model != "gpt2" {
            return Err(Error::Tokenizer(format!(
                "model {model:?} is not supported; byte-level BPE (gpt2) is"
            )));
        }
        let tokens = strings(header, "tokenizer.ggml.tokens")?;
        let merges = strings(header, "tokenizer.ggml.merges")?
            .into_iter()
            .map(|m| {
                m.split_once(' ')
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .ok_or_else(|| other("a merge has no space"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let types: Vec<u64> = header
            .array("tokenizer.ggml.token_type")
            .unwrap_or_default()
            .iter()
            .map(|v| if let Value::Unsigned(n) = v { *n } else { 1 })
            .collect();
        let special: Vec<bool> =
            (0..tokens.len()).map(|i| matches!(types.get(i), Some(&(CONTROL | USER_DEFINED)))).collect();
        let pre = pre_tokenizers(header.string(PRE).unwrap_or("gpt-2"))?;
        let plain = Arc::new(build(
            &tokens,
            merges,
            pre,
            matches!(header.string(PRE), Some("llama-bpe" | "llama3" | "llama-v3")),
        )?);
        let mut inner = tokenizers::Tokenizer::clone(&plain);
        let added = tokens
            .iter()
            .zip(&special)
            .filter(|(_, s)| **s)
            .map(|(t, _)| AddedToken::from(t.clone(), true).normalized(false));
        inner.add_special_tokens(added).map_err(other)?;
        let map = byte_map();
        let bytes = tokens
            .iter()
            .zip(&special)
            .map(|(t, s)| {
                if *s {
                    t.clone().into_bytes()
                } else {
                    t.chars().map(|c| map.get(&c).copied().unwrap_or(b'?')).collect()
                }
            })
            .collect();
        let id = |key: &str| header.unsigned(key).map(|n| n as u32);
        let mut end_ids: Vec<u32> = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
            .iter()
            .filter_map(|k| id(k))
            .collect();
        for name in ["<|im_end|>", "<|endoftext|>", "<|eot_id|>"] {
            end_ids.extend(tokens.iter().position(|t| t == name).map(|i| i as u32));
        }
        end_ids.sort_unstable();
        end_ids.dedup();
        let wants_begin = header.bool("tokenizer.ggml.add_bos_token").unwrap_or(false);
        let begin_id = id("tokenizer.ggml.bos_token_id").filter(|_| wants_begin);
        Ok(Self { inner, plain, bytes, special, end_ids, begin_id })
    }

    /// Token ids of `text`. With `allow_special`, texts like `<|im_start|>` become their control token; without, they
    /// are ordinary text: what a file contains cannot end a message.
    pub fn encode(&self, text: &str, allow_special: bool) -> Result<Vec<u32>, Error> {
        let tokenizer = if allow_special { &self.inner } else { &self.plain };
        Ok(tokenizer.encode_fast(text, false).map_err(other)?.get_ids().to_vec())
    }

    /// How many tokens `text` has as ordinary text.
    pub fn count(&self, text: &str) -> usize {
        self.encode(text, false).map_or(text.len(), |ids| ids.len())
    }

    /// The bytes of one token; a token boundary need not be a character boundary.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// The text of `ids`, control tokens included.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| self.bytes(*id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The tokenizer of ordinary text, shared.
    pub(crate) fn plain(&self) -> Arc<tokenizers::Tokenizer> {
        self.plain.clone()
    }

    /// Whether `id` is a control token.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }

    /// Tokens of the vocabulary.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the vocabulary is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn strings(header: &Header, key: &str) -> Result<Vec<String>, Error> {
    let values = header.array(key).ok_or_else(|| Error::Missing(key.to_owned()))?;
    values
        .iter()
        .map(|v| if let Value::String(s) = v { Ok(s.clone()) } else { Err(Error::Missing(key.to_owned())) })
        .collect()
}

fn build(
    tokens: &[String],
    merges: Vec<(String, String)>,
    pre: Vec<PreTokenizerWrapper>,
    ignore_merges: bool,
) -> Result<tokenizers::Tokenizer, Error> {
    let vocab: HashMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let bpe = BPE::builder()
        .vocab_and_merges(vocab.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        // Llama 3 takes a word that is itself a token whole.
        .ignore_merges(ignore_merges)
        .build()
        .map_err(other)?;
    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(pre)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}

fn pre_tokenizers(name: &str) -> Result<Vec<PreTokenizerWrapper>, Error> {
    let split = |pattern: &str| {
        Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map(PreTokenizerWrapper::from)
            .map_err(other)
    };
    let mut steps = match name {
        "smollm" => vec![split(r"\p{N}")?, split(GPT2)?],
        "qwen2" | "qwen35" | "deepseek-r1-qwen" => vec![split(QWEN2)?],
        "llama-bpe" | "llama3" | "llama-v3" => vec![split(LLAMA3)?],
        "gpt-2" | "gpt2" | "default" => vec![split(GPT2)?],
        unknown => {
            return Err(Error::Tokenizer(format!("pre-tokenizer {unknown:?} is not known to this version")));
        }
    };
    steps.push(PreTokenizerWrapper::from(tokenizers::pre_tokenizers::byte_level::ByteLevel::new(
        false, false, false,
    )));
    Ok(steps)
}

/// GPT-2's stand-ins: each byte is one printable character in the vocabulary.
fn byte_map() -> HashMap<char, u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 256;
    (0..=255u8)
        .map(|byte| {
            let code = if printable(byte) {
                u32::from(byte)
            } else {
                next += 1;
                next - 1
            };
            (char::from_u32(code).unwrap_or('\u{fffd}'), byte)
        })
        .collect()
}
