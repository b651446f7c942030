//! What went wrong, whose problem it is, and whether trying again can help.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::transport::Refused;
use super::{OpenAiOptions, wire};
use crate::client::ModelError;

/// Most characters of an endpoint's own words.
const WORDS_CHARS_MAX: usize = 500;

/// One try that gave no reply.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: ModelError,
    /// The pause that the endpoint asked for.
    pub(super) after: Option<Duration>,
    /// Whether the same request may fare better later.
    passing: bool,
    /// What a refusal for a bad request said.
    bad_request: Option<String>,
}

impl Failure {
    pub(super) fn is_passing(&self) -> bool {
        self.passing
    }

    /// The parameter that was refused, if it is one that can be left out and was not before.
    pub(super) fn unwanted(&self, before: &BTreeSet<&'static str>) -> Option<&'static str> {
        let words = self.bad_request.as_deref()?;
        wire::DROPPABLE
            .into_iter()
            .find(|name| !before.contains(name) && words.contains(wire::complaint(name)))
    }
}

/// Makes failures of one endpoint: its key never gets into any of them.
pub(super) struct Maker<'a> {
    pub(super) options: &'a OpenAiOptions,
}

impl Maker<'_> {
    /// The endpoint's words, bounded, on one line, without the key.
    fn words(&self, text: &str) -> String {
        let hidden = match &self.options.key {
            Some(key) => text.replace(key.as_str(), "(key)"),
            None => text.to_owned(),
        };
        let line = hidden.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(WORDS_CHARS_MAX).collect()
    }

    /// Nothing came, or nothing more.
    pub(super) fn silent(&self, patience: Duration, consumed: bool) -> Failure {
        self.broken(&format!("it sent nothing for {} s", patience.as_secs_f32()), consumed)
    }

    /// The connection or the reply broke.
    pub(super) fn broken(&self, why: &str, consumed: bool) -> Failure {
        let why = self.words(why);
        let model = format!("{} at {}", self.options.model, self.options.base_url);
        Failure {
            error: ModelError::Unreachable { model, why },
            after: None,
            passing: !consumed,
            bad_request: None,
        }
    }

    /// The endpoint refused.
    pub(super) fn refused(&self, refused: &Refused) -> Failure {
        let parsed: Value = serde_json::from_str(&refused.body).unwrap_or(Value::Null);
        let error = parsed.get("error").unwrap_or(&parsed);
        let message = match error {
            Value::String(text) => text.clone(),
            other => other.get("message").and_then(Value::as_str).unwrap_or(&refused.body).to_owned(),
        };
        Failure { after: refused.after, ..self.classify(refused.status, &message, error) }
    }

    /// The endpoint answered well and then spoke of an error in its reply, as llama.cpp's server does.
    pub(super) fn told(&self, error: &Value, consumed: bool) -> Failure {
        let message = match error {
            Value::String(text) => text.clone(),
            other => other
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("an error without a message")
                .to_owned(),
        };
        let status =
            error.get("code").and_then(Value::as_u64).and_then(|c| u16::try_from(c).ok()).unwrap_or(0);
        let failure = self.classify(status, &message, error);
        Failure { passing: failure.passing && !consumed, ..failure }
    }

    fn classify(&self, status: u16, message: &str, error: &Value) -> Failure {
        let why = self.words(message);
        let model = self.options.model.clone();
        let (error, passing) = match status {
            0 | 400 | 413 | 422 if overflows(message, error) => (self.overflow(message, error), false),
            401 | 403 => (ModelError::Unauthorized { status, why }, false),
            404 => (ModelError::UnknownModel { model, why }, false),
            408 | 409 | 425 | 429 | 500..=599 => (ModelError::Endpoint { status, why }, true),
            _ => (ModelError::Endpoint { status, why }, false),
        };
        let bad_request = matches!(status, 400 | 422).then(|| message.to_owned());
        Failure { error, after: None, passing, bad_request }
    }

    fn overflow(&self, message: &str, error: &Value) -> ModelError {
        let field = |name: &str| error.get(name).and_then(Value::as_u64).map(|n| n as usize);
        // "maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens"
        let mut numbers = message
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse::<usize>().ok())
            .filter(|n| *n >= 256);
        let first = numbers.next();
        let window_tokens = field("n_ctx").or(first).unwrap_or(self.options.window_tokens);
        let counted = field("n_prompt_tokens").or_else(|| numbers.find(|n| *n > window_tokens));
        ModelError::Overflow { prompt_tokens: counted.unwrap_or(window_tokens + 1), window_tokens }
    }
}

fn overflows(message: &str, error: &Value) -> bool {
    let code = ["code", "type"].into_iter().filter_map(|k| error.get(k).and_then(Value::as_str));
    let lower = message.to_lowercase();
    code.into_iter().any(|c| matches!(c, "context_length_exceeded" | "exceed_context_size_error"))
        || ["maximum context", "context length", "context size", "context window", "prompt is too long"]
            .iter()
            .any(|words| lower.contains(words))
}
