//! The port to a model: one request, one streamed reply with usage.

pub mod estimate;
pub mod local;
pub mod openai;
pub mod recorded;
pub mod scripted;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The rules.
    System,
    /// The machine.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said. For an assistant message that came as native tool calls, their text-protocol form.
    pub text: String,
}

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// 0 is off.
    pub top_k: usize,
    /// 1 is off.
    pub top_p: f32,
    /// 0 is off.
    pub min_p: f32,
    /// 1 is off.
    pub repetition_penalty: f32,
    /// Against passages that come again; 0 is off.
    #[serde(default)]
    pub dry_multiplier: f32,
    /// Same seed, same choice (local models; endpoints may ignore it).
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            dry_multiplier: 0.0,
            seed: 0,
        }
    }
}

/// One request. The client adds no text of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// The conversation, ending with a user message.
    pub messages: Vec<Message>,
    /// Most tokens of the reply.
    pub tokens_max: u32,
    /// How to sample.
    pub sampling: Sampling,
    /// A Lark grammar (llguidance's dialect) that the reply must match; ignored by clients that cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    /// Texts that end the reply and are not part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Whether native tool calls may be used for the block protocol's verbs, where the client supports them.
    pub tools: bool,
    /// Names of the tools of other programs that may be called beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub called: Vec<String>,
    /// How often a reply that goes round in circles is taken back to where it began to, where the client can; its pieces
    /// are then withdrawn ([`Delta::Withdrawn`]). After that, and with 0, it is cut: [`Finish::Length`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub loop_rewinds_max: u32,
    /// Whether a sentence that was there before, in the reply or in what the model is told, counts as such a circle: for
    /// prose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sentences_once: bool,
}

/// Why the reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It was cut at `tokens_max` or the window's end. Nothing of such a reply may reach the store.
    Length,
    /// The provider withheld it.
    ContentFilter,
}

/// For serde, which hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero<N: Copy + Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// What a reply cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Of these, not computed again (KV cache or provider's prompt cache).
    pub reused_tokens: u64,
    /// Of the reused, read from disk: computed by an earlier process, or moved out of memory.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restored_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Until the first token of the reply.
    pub prefill_ms: u64,
    /// From the first token to the last.
    pub decode_ms: u64,
    /// Whether the token counts are estimates, because the endpoint gave none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// One complete reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReply {
    /// The text, native tool calls already put into the block protocol's form.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost.
    pub usage: Usage,
    /// The model that answered, as it names itself.
    pub model: String,
}

/// What the client can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// `local`, `openai`, `scripted`, `recorded`.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// Prompt and reply together.
    pub window_tokens: usize,
    /// Whether a grammar binds the reply.
    pub grammar: bool,
}

/// Something seen while a reply is made; for people, never for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// Prompt tokens computed so far.
    Prefill {
        /// So far, reused ones included.
        done: usize,
        /// In all.
        total: usize,
    },
    /// More of the reply.
    Text {
        /// The piece.
        text: String,
        /// Reply tokens so far.
        tokens: usize,
    },
    /// The reply's end is taken back; the text that stays is said again, as the next piece.
    Withdrawn {
        /// Tokens that stay.
        tokens: usize,
    },
    /// The transport failed and is tried again.
    Retry {
        /// What went wrong.
        why: String,
        /// When it goes on.
        after: Duration,
    },
}

/// Receives [`Delta`]s; must not block.
pub type Sink<'a> = &'a (dyn Fn(Delta) + Send + Sync);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Nobody answers at the address, or not in time, after all retries.
    #[error("{model} cannot be reached: {why}")]
    Unreachable {
        /// The model.
        model: String,
        /// What happened.
        why: String,
    },
    /// 401 or 403.
    #[error("the endpoint refused the key ({status}): {why}")]
    Unauthorized {
        /// HTTP status.
        status: u16,
        /// Its words.
        why: String,
    },
    /// 404: no such model or path.
    #[error("the endpoint does not know {model}: {why}")]
    UnknownModel {
        /// The model.
        model: String,
        /// Its words.
        why: String,
    },
    /// The prompt does not fit; never retried as it is.
    #[error("the prompt has {prompt_tokens} tokens, the window {window_tokens}")]
    Overflow {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens of the window.
        window_tokens: usize,
    },
    /// Another refusal or failure of the endpoint, after all retries.
    #[error("the endpoint failed ({status}): {why}")]
    Endpoint {
        /// HTTP status; 0 where there was none.
        status: u16,
        /// Its words.
        why: String,
    },
    /// The local runtime.
    #[error("the local model failed: {0}")]
    Runtime(String),
    /// A scripted or recorded client got a request it does not expect.
    #[error("unexpected request: {0}")]
    Unexpected(String),
    /// Cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
}

impl ModelError {
    /// Whether the request was refused before anything was made of it, so that nothing was paid for it. False where that is
    /// not certain.
    pub fn is_unread(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized { .. }
                | Self::UnknownModel { .. }
                | Self::Overflow { .. }
                | Self::Unexpected(_)
        )
    }
}

/// Turns true when the reply is no longer wanted.
pub type Cancel = watch::Receiver<bool>;

/// Ends when the reply is no longer wanted; never when nobody is left who could say so.
pub(crate) async fn cancelled(mut cancel: Cancel) {
    if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// One request, one reply.
///
/// Promises: the request's messages are sent as they are; only the transport is retried, within named bounds;
/// an error means that no reply was consumed. Does not promise the same reply to the same request.
#[async_trait]
pub trait ModelClient: Send + Sync {
    /// What it is and can do.
    fn info(&self) -> &ClientInfo;
    /// Tokens of `text` as this model counts them; an estimate where the tokenizer is not known.
    fn count_tokens(&self, text: &str) -> usize;
    /// Replies it makes at the same time without one of them waiting for another; more are no mistake.
    fn replies_max(&self) -> usize {
        1
    }
    /// Makes the reply.
    async fn complete(
        &self,
        request: &ModelRequest,
        sink: Sink<'_>,
        cancel: Cancel,
    ) -> Result<ModelReply, ModelError>;
}
