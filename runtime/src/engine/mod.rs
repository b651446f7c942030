//! The engine: a loaded model, its store of keys and values, and the loop that makes replies.

mod draft;
mod grammar;
mod sample;
mod stop;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use candle_core::Device;

use crate::arch::{self, Decoder};
use crate::chat_template::{ChatMessage, ChatTemplate};
use crate::error::Error;
use crate::gguf::Gguf;
use crate::kv::{self, Identity, KvOptions, KvStore, SequenceKv, Shape};
use crate::tokenizer::Tokenizer;
use draft::Drafter;
use grammar::{Constraint, Grammars};
use sample::Sampler;
pub use sample::Sampling;
use stop::StopFilter;

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
    /// Threads that compute; 0 is one for each processor. The first engine of a process decides for all.
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
        let model = arch::load(&gguf, device.as_ref())?;
        let meta = ModelMeta {
            name: header.string("general.name").unwrap_or_default().to_owned(),
            architecture: header.string("general.architecture").unwrap_or_default().to_owned(),
            window_tokens: options.window_tokens_max.unwrap_or(usize::MAX).min(model.dims().window_tokens),
            file_bytes: gguf.file_bytes,
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
        let mut kv = SequenceKv::new(self.model.dims().layers, self.model.dims().kv_row());
        self.model.forward(&mut kv, ids, wanted)
    }

    /// Logits of the next token after `ids`, computed as for a reply: what is remembered of them is not
    /// computed again. Bit for bit those of [`logits`](Self::logits).
    pub fn logits_reusing(&mut self, ids: &[u32]) -> Result<Vec<f32>, Error> {
        if ids.is_empty() {
            return Err(Error::PromptEmpty);
        }
        let (mut kv, _) = self.kv.begin(ids);
        let rest = ids[kv.ids.len()..].to_vec();
        let logits = self.model.forward(&mut kv, &rest, 1);
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
        let (mut kv, found) = self.kv.begin(&present);
        let result = self.run(request, &present, &mut kv, constraint.as_mut(), on_progress);
        self.kv.finish(kv);
        result.map(|generation| Generation {
            reused_tokens: found.memory_tokens + found.disk_tokens,
            reused_ram_tokens: found.memory_tokens,
            restored_disk_tokens: found.disk_tokens,
            diverged_at: found.diverged_at,
            ..generation
        })
    }

    fn run(
        &self,
        request: &GenerateRequest,
        present: &[u32],
        kv: &mut SequenceKv,
        constraint: Option<&mut Constraint>,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Generation, Error> {
        let total = present.len();
        let mut out = Generation {
            ids: request.begun.clone(),
            text: String::new(),
            finish: Finish::Length,
            prompt_tokens: request.prompt.len(),
            reused_tokens: 0,
            reused_ram_tokens: 0,
            restored_disk_tokens: 0,
            prefilled_tokens: 0,
            diverged_at: None,
            passes: 0,
            drafted_tokens: 0,
            accepted_tokens: 0,
            prefill_ms: 0,
            decode_ms: 0,
        };
        let started = Instant::now();
        let mut rows = VecDeque::new();
        while kv.ids.len() < total {
            if on_progress(Progress::Prefill { done: kv.ids.len(), total }).is_break() {
                out.finish = Finish::Cancelled;
                return Ok(out);
            }
            let end = total.min(kv.ids.len() + PREFILL_CHUNK);
            let chunk = present[kv.ids.len()..end].to_vec();
            rows = self.model.forward(kv, &chunk, 1)?.into();
            out.prefilled_tokens += chunk.len();
        }
        out.prefill_ms = started.elapsed().as_millis() as u64;
        let started = Instant::now();
        self.decode(request, kv, rows, constraint, &mut out, on_progress)?;
        // What was guessed and not chosen is no part of the sequence.
        kv.truncate(kv.ids.len().min(request.prompt.len() + out.ids.len()));
        out.decode_ms = started.elapsed().as_millis() as u64;
        Ok(out)
    }

    /// Writes the reply. `rows` are the logits after the last token that is present.
    fn decode(
        &self,
        request: &GenerateRequest,
        kv: &mut SequenceKv,
        mut rows: VecDeque<Vec<f32>>,
        mut constraint: Option<&mut Constraint>,
        out: &mut Generation,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let total = request.prompt.len();
        let tokens_max = request.tokens_max.min(self.meta.window_tokens - total);
        let mut sampler = Sampler::new(&request.sampling);
        let mut filter = StopFilter::new(&request.stop);
        let mut drafter = Drafter::new(&request.prompt, self.draft_tokens_max);
        for id in &request.begun {
            drafter.push(*id);
            filter.push(self.tokenizer.bytes(*id));
        }
        // Tokens in `kv` that are not chosen yet; `rows` begins with the logits before the first of them.
        let mut guesses: VecDeque<u32> = VecDeque::new();
        let (mut guessed, mut right) = (0, 0);
        while out.ids.len() < tokens_max {
            let mut logits = rows.pop_front().unwrap_or_default();
            let forced = constraint.as_deref_mut().map_or_else(Vec::new, Constraint::forced);
            let chosen = if forced.is_empty() {
                let allowed = constraint.as_deref_mut().map(Constraint::mask).transpose()?;
                if out.ids.len() == request.begun.len() {
                    sample::ban(&mut logits, &request.banned_first);
                }
                vec![sampler.choose(&mut logits, &out.ids, allowed.as_ref())]
            } else {
                forced.into_iter().take(tokens_max - out.ids.len()).collect()
            };
            if let Some(constraint) = constraint.as_deref_mut() {
                constraint.consume(&chosen)?;
            }
            if chosen.iter().any(|id| self.tokenizer.end_ids.contains(id)) {
                out.finish = Finish::Stop;
                break;
            }
            let mut ended = false;
            for id in &chosen {
                out.ids.push(*id);
                drafter.push(*id);
                ended |= filter.push(self.tokenizer.bytes(*id));
            }
            let text = filter.take();
            if !text.is_empty() {
                out.text.push_str(&text);
                if on_progress(Progress::Piece { text, tokens: out.ids.len() }).is_break() {
                    out.finish = Finish::Cancelled;
                    break;
                }
            }
            if ended {
                out.finish = Finish::StopText;
                break;
            }
            if constraint.as_deref_mut().is_some_and(|c| c.is_over()) {
                out.finish = Finish::Stop;
                break;
            }
            let known = chosen.iter().zip(&guesses).take_while(|(chosen, guess)| chosen == guess).count();
            guesses.drain(..known);
            right += known;
            out.accepted_tokens += known;
            if known == chosen.len() {
                // The row after the last of them is there already; those between are of tokens that are settled.
                rows.drain(..known - 1);
                continue;
            }
            if guessed > 0 {
                drafter.judged(guessed, right);
            }
            kv.truncate(total + out.ids.len() - (chosen.len() - known));
            let room = tokens_max - out.ids.len();
            let draft = if room > 1 { drafter.draft(room - 1) } else { &[] };
            let feed: Vec<u32> = chosen[known..].iter().chain(draft).copied().collect();
            guesses = draft.iter().copied().collect();
            (guessed, right) = (guesses.len(), 0);
            rows = self.model.forward(kv, &feed, guessed + 1)?.into();
            out.passes += 1;
            out.drafted_tokens += guessed;
        }
        if out.finish != Finish::StopText {
            let text = filter.finish();
            if !text.is_empty() {
                out.text.push_str(&text);
                // The pieces together are the text; that the caller may want to end it changes nothing any more.
                let _ = on_progress(Progress::Piece { text, tokens: out.ids.len() });
            }
        }
        Ok(())
    }
}

/// The store of a model's keys and values. Its key is made only where something outlives the process.
fn open_kv(
    model: &dyn Decoder,
    meta: &ModelMeta,
    gguf: &Gguf,
    options: &KvOptions,
) -> Result<KvStore, Error> {
    let shape = Shape { layers: model.dims().layers, row: model.dims().kv_row() };
    let mut identity = None;
    if options.snapshots.as_ref().is_some_and(|s| s.bytes_max > 0) {
        let mut probe = SequenceKv::new(shape.layers, shape.row);
        model.forward(&mut probe, &kv::PROBE, 1)?;
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
        _ => Err(refused("it is none of cpu, cuda and metal".to_owned())),
    }
}
