//! The engine: a loaded model, its store of keys and values, and the loop that makes replies.

mod draft;
mod grammar;
mod reply;
mod sample;
mod shared;
mod stop;

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Device;

use crate::arch::{self, Decoder};
use crate::chat_template::{ChatMessage, ChatTemplate};
use crate::error::Error;
use crate::gguf::Gguf;
use crate::kv::{self, Identity, KvOptions, KvStore, SequenceKv};
use crate::tokenizer::Tokenizer;
use grammar::Grammars;
use reply::Reply;
pub use sample::Sampling;
pub use shared::{REPLIES_MAX, SharedEngine};

/// Prompt tokens computed between two looks at whether the caller still wants the reply.
const PREFILL_CHUNK: usize = 128;
/// Guesses of a pass: with the token before them eight rows, which cost a product little more than one does while
/// weights come from memory.
const DRAFT_TOKENS_MAX: usize = 7;

/// How an engine is opened.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// `cpu`, `cuda`, `metal`; `candle-cpu` computes as the last two do, on the CPU.
    pub device: String,
    /// A smaller window than the model's own.
    pub window_tokens_max: Option<usize>,
    /// What is remembered of the sequences it sees.
    pub kv: KvOptions,
    /// Threads that compute; 0, or more than there are processors, is one for each of them. The first engine of a process decides for all.
    pub threads: usize,
    /// Tokens guessed at once while a reply is written, at most; 0 is off. The reply is the same either way.
    pub draft_tokens_max: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: "cpu".to_owned(),
            window_tokens_max: None,
            kv: KvOptions::default(),
            threads: 0,
            draft_tokens_max: DRAFT_TOKENS_MAX,
        }
    }
}

/// What is known about the loaded model.
#[derive(Clone, Debug)]
pub struct ModelMeta {
    /// The name in the file.
    pub name: String,
    /// `llama`, `qwen2`, `qwen3`.
    pub architecture: String,
    /// Prompt and reply together.
    pub window_tokens: usize,
    /// Size of the file.
    pub file_bytes: u64,
    /// Bytes of packed weights, all of which every pass reads; 0 where the tensor library computes.
    pub packed_bytes: usize,
}

/// What to generate.
#[derive(Clone, Debug, Default)]
pub struct GenerateRequest {
    /// Token ids of the prompt.
    pub prompt: Vec<u32>,
    /// Tokens of the reply that are there already: it goes on behind them. They are part of it, of what it says and of its
    /// limit, and of the text that a grammar binds.
    pub begun: Vec<u32>,
    /// Tokens that may not come first behind `begun`, unless nothing else may.
    pub banned_first: Vec<u32>,
    /// Most tokens of the reply.
    pub tokens_max: usize,
    /// How to choose.
    pub sampling: Sampling,
    /// Texts that end the reply and are not part of it.
    pub stop: Vec<String>,
    /// A Lark grammar in llguidance's dialect.
    pub grammar: Option<String>,
}

/// Something seen while generating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Prompt tokens present, reused ones included.
    Prefill {
        /// So far.
        done: usize,
        /// In all.
        total: usize,
    },
    /// More text; whole characters only.
    Piece {
        /// The text.
        text: String,
        /// Reply tokens so far.
        tokens: usize,
    },
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or the grammar had nothing to add.
    Stop,
    /// A stop text came.
    StopText,
    /// Its token limit or the window's end.
    Length,
    /// The caller.
    Cancelled,
}

/// A reply with its counts.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its tokens, without the one that ended it.
    pub ids: Vec<u32>,
    /// Its text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, not computed: `reused_ram_tokens` and `restored_disk_tokens` together.
    pub reused_tokens: usize,
    /// Taken from a sequence remembered in memory.
    pub reused_ram_tokens: usize,
    /// Read from a snapshot of this or an earlier process.
    pub restored_disk_tokens: usize,
    /// Computed before the reply's first token; with `reused_tokens` the whole prompt, unless it was cancelled.
    pub prefilled_tokens: usize,
    /// Where a remembered sequence that shares most of the prompt has another token: reuse ended there.
    pub diverged_at: Option<usize>,
    /// Forward passes that the reply took; a pass computes one token and the guesses behind it.
    pub passes: usize,
    /// Tokens that were guessed.
    pub drafted_tokens: usize,
    /// Guesses that the model chose.
    pub accepted_tokens: usize,
    /// Until the first token could be chosen.
    pub prefill_ms: u64,
    /// From then to the end.
    pub decode_ms: u64,
}

/// A loaded model with the sequences it remembers. One reply at a time.
pub struct Engine {
    model: Box<dyn Decoder>,
    meta: ModelMeta,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    grammars: Grammars,
    kv: KvStore,
    draft_tokens_max: usize,
    /// Replies that are made together where it is shared.
    replies_max: usize,
}

impl Engine {
    /// Loads the model of a GGUF file.
    pub fn open(path: &Path, options: &EngineOptions) -> Result<Self, Error> {
        let device = device(&options.device)?;
        crate::kernels::use_threads(options.threads);
        let gguf = Gguf::open(path)?;
        let header = &gguf.header;
        let tokenizer = Tokenizer::from_gguf(header)?;
        let text_of =
            |key: &str| header.unsigned(key).map_or(String::new(), |id| tokenizer.decode(&[id as u32]));
        let template = ChatTemplate::new(
            header.string("tokenizer.chat_template"),
            &text_of("tokenizer.ggml.bos_token_id"),
            &text_of("tokenizer.ggml.eos_token_id"),
        )?;
        let model = arch::load(&gguf, device.as_ref(), options.kv.format)?;
        let meta = ModelMeta {
            name: header.string("general.name").unwrap_or_default().to_owned(),
            architecture: header.string("general.architecture").unwrap_or_default().to_owned(),
            window_tokens: options.window_tokens_max.unwrap_or(usize::MAX).min(model.dims().window_tokens),
            file_bytes: gguf.file_bytes,
            packed_bytes: model.packed_bytes(),
        };
        let grammars = Grammars::new(&tokenizer)?;
        let kv = open_kv(model.as_ref(), &meta, &gguf, &options.kv)?;
        Ok(Self {
            model,
            meta,
            tokenizer,
            template,
            grammars,
            kv,
            draft_tokens_max: options.draft_tokens_max,
            // Another device has the rows of one sequence.
            replies_max: if device.is_some() { 1 } else { REPLIES_MAX },
        })
    }

    /// What is known about the model.
    pub fn meta(&self) -> &ModelMeta {
        &self.meta
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The conversation as text for the model.
    pub fn render_chat(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        self.template.render(messages, add_generation_prompt)
    }

    /// Log-probabilities of the next token after each of the last `wanted` ids, computed cold.
    pub fn logits(&mut self, ids: &[u32], wanted: usize) -> Result<Vec<Vec<f32>>, Error> {
        if ids.is_empty() || wanted > ids.len() {
            return Err(Error::PromptEmpty);
        }
        let mut kv = SequenceKv::new(self.model.kv_shape());
        self.model.forward_one(&mut kv, ids, wanted)
    }

    /// Logits of the next token after `ids`, computed as for a reply: what is remembered of them is not
    /// computed again. Bit for bit those of [`logits`](Self::logits).
    pub fn logits_reusing(&mut self, ids: &[u32]) -> Result<Vec<f32>, Error> {
        if ids.is_empty() {
            return Err(Error::PromptEmpty);
        }
        let (mut kv, _) = self.kv.begin(ids);
        let rest = ids[kv.ids.len()..].to_vec();
        let logits = self.model.forward_one(&mut kv, &rest, 1);
        self.kv.finish(kv);
        Ok(logits?.pop().unwrap_or_default())
    }

    /// Waits until what was computed is in the snapshots, as far as it fits there.
    pub fn flush_kv(&mut self) {
        self.kv.flush();
    }

    /// Makes one reply, streaming it to `on_progress`, which may end it.
    pub fn generate(
        &mut self,
        request: &GenerateRequest,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generation, Error> {
        let mut reply = self.begin(request)?;
        let mut run = || {
            while let Some(feed) = reply.next(&self.tokenizer, PREFILL_CHUNK, on_progress)? {
                let rows = self.model.forward_one(&mut reply.kv, &feed.ids, feed.wanted)?;
                reply.computed(&feed, rows);
            }
            Ok(())
        };
        let result = run();
        let (generation, kv) = reply.end();
        self.kv.finish(kv);
        result.map(|()| generation)
    }

    /// A reply that is to be made, with what is remembered of its prompt.
    fn begin(&mut self, request: &GenerateRequest) -> Result<Reply, Error> {
        if request.prompt.is_empty() {
            return Err(Error::PromptEmpty);
        }
        let present = [request.prompt.as_slice(), &request.begun].concat();
        if present.len() >= self.meta.window_tokens {
            return Err(Error::PromptTooLong {
                prompt_tokens: present.len(),
                window_tokens: self.meta.window_tokens,
            });
        }
        let mut constraint = request.grammar.as_deref().map(|g| self.grammars.constraint(g)).transpose()?;
        if let Some(constraint) = &mut constraint {
            constraint.consume(&request.begun)?;
        }
        let limits = (self.meta.window_tokens, self.draft_tokens_max);
        let found = self.kv.begin(&present);
        Ok(Reply::new(request, present, found, constraint, &self.tokenizer, limits))
    }
}

/// The store of a model's keys and values. Its key is made only where something outlives the process.
fn open_kv(
    model: &dyn Decoder,
    meta: &ModelMeta,
    gguf: &Gguf,
    options: &KvOptions,
) -> Result<KvStore, Error> {
    let shape = model.kv_shape();
    let mut identity = None;
    if options.snapshots.as_ref().is_some_and(|s| s.bytes_max > 0) {
        let mut probe = SequenceKv::new(shape);
        model.forward_one(&mut probe, &kv::PROBE, 1)?;
        let kv_key = kv::kv_key(gguf, shape, &probe.copy_out(0, kv::PROBE.len()))?;
        identity = Some(Identity { kv_key, model: meta.name.clone(), model_bytes: meta.file_bytes });
    }
    Ok(KvStore::open(shape, options, identity))
}

/// Whether engines can be opened on a device of this name.
pub fn check_device(name: &str) -> Result<(), Error> {
    device(name).map(drop)
}

/// The device of a name, for the tensor library; none for our own kernels.
fn device(name: &str) -> Result<Option<Device>, Error> {
    let refused = |why: String| Error::Device { device: name.to_owned(), why };
    let opened = |device: candle_core::Result<Device>| device.map(Some).map_err(|e| refused(e.to_string()));
    match name {
        "cpu" => Ok(None),
        "cuda" if cfg!(feature = "cuda") => opened(Device::new_cuda(0)),
        "cuda" => Err(refused(
            "this build has no CUDA; build with --features cuda, which needs CUDA's compiler (nvcc)"
                .to_owned(),
        )),
        "metal" if cfg!(feature = "metal") => opened(Device::new_metal(0)),
        "metal" => Err(refused("this build has no Metal; build with --features metal, on a Mac".to_owned())),
        // What CUDA and Metal would compute, computed here: slow, and good for comparing.
        "candle-cpu" => Ok(Some(Device::Cpu)),
        _ => Err(refused("it is none of cpu, cuda, metal and candle-cpu".to_owned())),
    }
}
