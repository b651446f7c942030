//! The model in this process: the runtime's engine, shared by all who ask, on blocking threads.
//!
//! What the model wrote is never tokenised again. The text of a reply can be cut into tokens in more than one way,
//! and a prompt that cuts it differently than the model did shares no prefix with what the engine remembers. So the
//! token ids of every conversation are kept with their text, and a new prompt takes them over as far as it begins
//! with that text.

mod loops;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use edvac_runtime::chat_template::ChatMessage;
use edvac_runtime::gguf::Gguf;
use edvac_runtime::tokenizer::Tokenizer;
use edvac_runtime::{Engine, EngineOptions, Error, GenerateRequest, Generation, Progress, SharedEngine};

use super::{
    Cancel, ClientInfo, Delta, Finish, Message, ModelClient, ModelError, ModelReply, ModelRequest, Sink,
    Speaker, Usage,
};
use loops::{Rewinding, Seen};

/// Conversations whose tokens are kept. The engine remembers fewer sequences than that.
const REMEMBERED_MAX: usize = 8;
/// Stands for a message's text while the template is rendered around it; a private-use character no text has.
const PLACE: char = '\u{F8F4}';

/// A local model.
pub struct LocalClient {
    engine: SharedEngine,
    /// One of its own: counting must not wait until a reply is finished.
    tokenizer: Arc<Tokenizer>,
    memo: Mutex<Memo>,
    info: ClientInfo,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime(error: Error) -> ModelError {
    match error {
        Error::PromptTooLong { prompt_tokens, window_tokens } => {
            ModelError::Overflow { prompt_tokens, window_tokens }
        }
        other => ModelError::Runtime(other.to_string()),
    }
}

impl LocalClient {
    /// Loads the model of a GGUF file; takes seconds, so call it where blocking is allowed.
    pub fn open(path: &Path, options: &EngineOptions) -> Result<Self, ModelError> {
        let gguf = Gguf::open(path).map_err(runtime)?;
        let tokenizer = Tokenizer::from_gguf(&gguf.header).map_err(runtime)?;
        let engine = Engine::open(path, options).map_err(runtime)?;
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let info = ClientInfo {
            provider: "local".to_owned(),
            model: stem,
            window_tokens: engine.meta().window_tokens,
            grammar: true,
        };
        Ok(Self {
            engine: SharedEngine::new(engine).map_err(runtime)?,
            tokenizer: Arc::new(tokenizer),
            memo: Mutex::default(),
            info,
        })
    }

    /// The prompt's text and its tokens.
    fn prompt(&self, messages: &[Message]) -> Result<(String, Vec<u32>), ModelError> {
        let spans = render(messages, |said| self.engine.render_chat(said, true))?;
        let text = joined(&spans);
        let (known_bytes, mut ids) = locked(&self.memo).longest_prefix(&text);
        let mut at = 0;
        for span in &spans {
            let from = known_bytes.saturating_sub(at).min(span.text.len());
            if let Some(rest) = span.text.get(from..).filter(|rest| !rest.is_empty()) {
                ids.extend(self.tokenizer.encode(rest, span.template).map_err(runtime)?);
            }
            at += span.text.len();
        }
        if let Some(begin) = self.tokenizer.begin_id.filter(|id| ids.first() != Some(id)) {
            ids.insert(0, begin);
        }
        Ok((text, ids))
    }

    /// Keeps a finished conversation, if its text really is what its tokens say.
    fn remember(&self, prompt: String, mut ids: Vec<u32>, generation: &Generation) {
        let mut text = prompt;
        if self.tokenizer.decode(&generation.ids) == generation.text {
            text.push_str(&generation.text);
            ids.extend_from_slice(&generation.ids);
        }
        locked(&self.memo).keep(text, ids);
    }
}

/// A part of a prompt: what the template wrote, or what a message says. Only in the first are control tokens meant:
/// a file that contains `<|im_end|>` must not end a message.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    text: String,
    template: bool,
}

/// The prompt as spans. Each message's text is replaced by a mark while the template is rendered, so that it is known
/// where it ends up; a template that changes texts (some trim them) is rendered with texts it leaves alone.
fn render(
    messages: &[Message],
    template: impl Fn(&[ChatMessage]) -> Result<String, Error>,
) -> Result<Vec<Span>, ModelError> {
    let say = |text: &dyn Fn(usize, &Message) -> String| -> Vec<ChatMessage> {
        messages
            .iter()
            .enumerate()
            .map(|(n, m)| ChatMessage { role: role(m.speaker), content: text(n, m) })
            .collect()
    };
    let marked = template(&say(&|n, _| format!("{PLACE}{n}{PLACE}"))).map_err(runtime)?;
    for trim in [false, true] {
        let text = |m: &Message| if trim { m.text.trim().to_owned() } else { m.text.clone() };
        let spans = fill(&marked, |n| messages.get(n).map(text));
        let plain = template(&say(&|_, m| text(m))).map_err(runtime)?;
        if joined(&spans) == plain {
            return Ok(spans);
        }
    }
    Err(ModelError::Runtime(
        "the model's chat template changes the messages in a way that is not known".to_owned(),
    ))
}

fn joined(spans: &[Span]) -> String {
    spans.iter().map(|s| s.text.as_str()).collect()
}

fn fill(marked: &str, text: impl Fn(usize) -> Option<String>) -> Vec<Span> {
    // Between marks every second part is a number.
    marked
        .split(PLACE)
        .enumerate()
        .filter_map(|(n, part)| match part.parse().ok().filter(|_| n % 2 == 1).and_then(&text) {
            Some(text) => Some(Span { text, template: false }),
            None => (!part.is_empty()).then(|| Span { text: part.to_owned(), template: true }),
        })
        .collect()
}

fn role(speaker: Speaker) -> String {
    match speaker {
        Speaker::System => "system",
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    }
    .to_owned()
}

/// Texts with the tokens they were made of; most recently used last.
#[derive(Default)]
struct Memo {
    kept: VecDeque<(String, Vec<u32>)>,
}

impl Memo {
    /// Bytes of the longest kept text that `text` begins with, and its tokens.
    fn longest_prefix(&mut self, text: &str) -> (usize, Vec<u32>) {
        let best = (0..self.kept.len())
            .filter(|&n| text.starts_with(&self.kept[n].0))
            .max_by_key(|&n| self.kept[n].0.len());
        let Some(entry) = best.and_then(|n| self.kept.remove(n)) else { return (0, Vec::new()) };
        let found = (entry.0.len(), entry.1.clone());
        self.kept.push_back(entry);
        found
    }

    fn keep(&mut self, text: String, ids: Vec<u32>) {
        self.kept.retain(|(kept, _)| *kept != text);
        self.kept.push_back((text, ids));
        if self.kept.len() > REMEMBERED_MAX {
            self.kept.pop_front();
        }
    }
}

/// Generates on a blocking thread. What is seen on the way comes back through a channel, since the sink does not
/// outlive the call.
async fn generate(
    client: &LocalClient,
    request: GenerateRequest,
    rewinding: Rewinding,
    sink: Sink<'_>,
    cancel: Cancel,
) -> Result<Generation, ModelError> {
    let (seen, mut seen_by_us) = tokio::sync::mpsc::unbounded_channel();
    let (engine, tokenizer) = (client.engine.clone(), Arc::clone(&client.tokenizer));
    let task = tokio::task::spawn_blocking(move || {
        loops::generate(&engine, &tokenizer, request, rewinding, &mut |what| {
            let gone = seen.send(what).is_err();
            if gone || *cancel.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    });
    while let Some(what) = seen_by_us.recv().await {
        sink(match what {
            Seen::Progress(Progress::Prefill { done, total }) => Delta::Prefill { done, total },
            Seen::Progress(Progress::Piece { text, tokens }) => Delta::Text { text, tokens },
            Seen::Withdrawn { tokens } => Delta::Withdrawn { tokens },
        });
    }
    task.await.map_err(|error| ModelError::Runtime(error.to_string()))?.map_err(runtime)
}

#[async_trait]
impl ModelClient for LocalClient {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.tokenizer.count(text)
    }

    fn replies_max(&self) -> usize {
        self.engine.replies_max()
    }

    async fn complete(
        &self,
        request: &ModelRequest,
        sink: Sink<'_>,
        cancel: Cancel,
    ) -> Result<ModelReply, ModelError> {
        if *cancel.borrow() {
            return Err(ModelError::Cancelled);
        }
        let (text, ids) = self.prompt(&request.messages)?;
        let sampling = &request.sampling;
        let ask = GenerateRequest {
            prompt: ids.clone(),
            tokens_max: request.tokens_max as usize,
            sampling: edvac_runtime::Sampling {
                temperature: sampling.temperature,
                top_k: sampling.top_k,
                top_p: sampling.top_p,
                min_p: sampling.min_p,
                repetition_penalty: sampling.repetition_penalty,
                dry_multiplier: sampling.dry_multiplier,
                seed: sampling.seed,
            },
            stop: request.stop.clone(),
            grammar: request.grammar.clone(),
            ..GenerateRequest::default()
        };
        let told = || {
            let others = request.messages.iter().filter(|m| m.speaker != Speaker::Assistant);
            others.map(|m| m.text.as_str()).collect::<Vec<_>>().join("\n")
        };
        let rewinding = Rewinding {
            rewinds_max: request.loop_rewinds_max,
            sentences_once: request.sentences_once.then(told),
        };
        let generation = generate(self, ask, rewinding, sink, cancel).await?;
        if let Some(at) = generation.diverged_at {
            tracing::debug!(
                "{at} tokens of the prompt are remembered; then it differs from what was expected"
            );
        }
        let finish = match generation.finish {
            edvac_runtime::Finish::Stop | edvac_runtime::Finish::StopText => Finish::Stop,
            edvac_runtime::Finish::Length => Finish::Length,
            edvac_runtime::Finish::Cancelled => return Err(ModelError::Cancelled),
        };
        self.remember(text, ids, &generation);
        Ok(ModelReply {
            finish,
            usage: Usage {
                prompt_tokens: generation.prompt_tokens as u64,
                reused_tokens: generation.reused_tokens as u64,
                restored_tokens: generation.restored_disk_tokens as u64,
                completion_tokens: generation.ids.len() as u64,
                prefill_ms: generation.prefill_ms,
                decode_ms: generation.decode_ms,
                estimated: false,
            },
            model: self.info.model.clone(),
            text: generation.text,
        })
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
