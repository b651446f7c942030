//! A model for tests that answers from a script, and checks what it is asked.
//!
//! ```toml
//! [[reply]]
//! when = ["Your step now: step 2"]   # all of these occur somewhere in the conversation
//! turn = 0                           # replies of the model that the conversation has already; 0 by default
//! must_contain = ["R4:"]             # otherwise the request is refused as unexpected
//! must_not_contain = ["Traceback"]
//! last_must_contain = ["R4:"]        # the same for the last message alone
//! text = """
//! @@ done nothing to do
//! """
//! finish = "stop"                    # or "length", "content_filter"
//! ```
//!
//! An entry is chosen by what the request contains, never by how many requests there were before: the first whose
//! `turn` and `when` fit. A resumed run asks only for what it does not have yet, and gets the same answers.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::{
    Cancel, ClientInfo, Delta, Finish, ModelClient, ModelError, ModelReply, ModelRequest, Sink, Speaker,
    Usage, cancelled, estimate,
};

/// A script as it stands in its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The model's name.
    #[serde(default = "model_default")]
    pub model: String,
    /// Prompt and reply together, in estimated tokens.
    #[serde(default = "window_default")]
    pub window_tokens: usize,
    /// A pause before each reply, for tests that interrupt a run.
    #[serde(default)]
    pub delay_ms: u64,
    /// The replies.
    #[serde(default, rename = "reply")]
    pub replies: Vec<Entry>,
}

/// One reply and the requests it belongs to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Texts that all occur in the conversation.
    #[serde(default)]
    pub when: Vec<String>,
    /// Replies of the model that the conversation has already.
    #[serde(default)]
    pub turn: usize,
    /// Texts that must occur in the conversation.
    #[serde(default)]
    pub must_contain: Vec<String>,
    /// Texts that must not.
    #[serde(default)]
    pub must_not_contain: Vec<String>,
    /// Texts that must occur in the last message.
    #[serde(default)]
    pub last_must_contain: Vec<String>,
    /// The reply.
    pub text: String,
    /// Why it ends.
    #[serde(default = "finish_default")]
    pub finish: Finish,
}

fn model_default() -> String {
    "scripted".to_owned()
}

fn window_default() -> usize {
    32_768
}

fn finish_default() -> Finish {
    Finish::Stop
}

/// The client of a [`Script`].
pub struct ScriptedClient {
    script: Script,
    info: ClientInfo,
    used: Mutex<HashSet<usize>>,
    requests: Mutex<Vec<ModelRequest>>,
}

impl ScriptedClient {
    /// A client of a script.
    pub fn new(script: Script) -> Self {
        let info = ClientInfo {
            provider: "scripted".to_owned(),
            model: script.model.clone(),
            window_tokens: script.window_tokens,
            grammar: false,
        };
        Self { script, info, used: Mutex::default(), requests: Mutex::default() }
    }

    /// A client of a script in TOML.
    pub fn parse(toml: &str) -> Result<Self, ModelError> {
        toml::from_str(toml)
            .map(Self::new)
            .map_err(|error| ModelError::Unexpected(format!("the script is not one: {error}")))
    }

    /// A client of a script file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ModelError::Unexpected(format!("script {}: {error}", path.display())))?;
        Self::parse(&text)
    }

    /// The requests that were answered, in order.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Entries that no request asked for, by their position from 1.
    pub fn unused(&self) -> Vec<usize> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (0..self.script.replies.len()).filter(|n| !used.contains(n)).map(|n| n + 1).collect()
    }

    fn entry(&self, request: &ModelRequest) -> Result<(usize, &Entry), ModelError> {
        let turn = request.messages.iter().filter(|m| m.speaker == Speaker::Assistant).count();
        let said = |text: &String| request.messages.iter().any(|m| m.text.contains(text));
        let fits = |entry: &&Entry| entry.turn == turn && entry.when.iter().all(said);
        let found = self.script.replies.iter().position(|e| fits(&e));
        let Some(number) = found else {
            return Err(unexpected(&format!("no reply of the script fits turn {turn}"), request));
        };
        let entry = &self.script.replies[number];
        let last = |text: &String| request.messages.last().is_some_and(|m| m.text.contains(text));
        let missing = entry.must_contain.iter().find(|t| !said(t));
        let missing_last = entry.last_must_contain.iter().find(|t| !last(t));
        let present = entry.must_not_contain.iter().find(|t| said(t));
        let fault = match (missing, missing_last, present) {
            (Some(text), ..) => format!("the conversation does not contain {text:?}"),
            (_, Some(text), _) => format!("the last message does not contain {text:?}"),
            (.., Some(text)) => format!("the conversation contains {text:?}"),
            (None, None, None) => return Ok((number, entry)),
        };
        Err(unexpected(&format!("reply {} of the script: {fault}", number + 1), request))
    }
}

/// Most characters of the last message that an error quotes.
const QUOTED_CHARS_MAX: usize = 400;

fn unexpected(what: &str, request: &ModelRequest) -> ModelError {
    let last = request.messages.last().map(|m| m.text.as_str()).unwrap_or_default();
    let skip = last.chars().count().saturating_sub(QUOTED_CHARS_MAX);
    let end: String = last.chars().skip(skip).collect();
    ModelError::Unexpected(format!("{what}; the last message ends: {end}"))
}

/// Whether `request` keeps the promises that every client may rely on.
pub fn validate(request: &ModelRequest) -> Result<(), ModelError> {
    let fault = |what: &str| Err(ModelError::Unexpected(what.to_owned()));
    let (system, rest) = match request.messages.split_first() {
        None => return fault("the request has no message"),
        Some((first, rest)) if first.speaker == Speaker::System => (Some(first), rest),
        Some(_) => (None, request.messages.as_slice()),
    };
    if request.tokens_max == 0 {
        return fault("tokens_max is 0");
    }
    if system.into_iter().chain(rest).any(|m| m.text.trim().is_empty() && m.speaker != Speaker::Assistant) {
        return fault("a message is empty");
    }
    let expected = [Speaker::User, Speaker::Assistant].into_iter().cycle();
    if let Some(position) = rest.iter().zip(expected).position(|(m, speaker)| m.speaker != speaker) {
        return fault(&format!(
            "message {position} after the system message breaks the alternation of user and assistant"
        ));
    }
    match rest.last() {
        Some(last) if last.speaker == Speaker::User => Ok(()),
        _ => fault("the request does not end with a user message"),
    }
}

#[async_trait]
impl ModelClient for ScriptedClient {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimate::tokens(text)
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
        validate(request)?;
        let prompt_tokens: usize = request.messages.iter().map(|m| estimate::tokens(&m.text)).sum();
        if prompt_tokens >= self.info.window_tokens {
            return Err(ModelError::Overflow { prompt_tokens, window_tokens: self.info.window_tokens });
        }
        let (number, entry) = self.entry(request)?;
        if self.script.delay_ms > 0 {
            let pause = tokio::time::sleep(Duration::from_millis(self.script.delay_ms));
            tokio::select! {
                () = pause => {}
                () = cancelled(cancel) => return Err(ModelError::Cancelled),
            }
        }
        sink(Delta::Prefill { done: prompt_tokens, total: prompt_tokens });
        let mut tokens = 0;
        for line in entry.text.split_inclusive('\n') {
            tokens += estimate::tokens(line);
            sink(Delta::Text { text: line.to_owned(), tokens });
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        Ok(ModelReply {
            text: entry.text.clone(),
            finish: entry.finish,
            usage: Usage {
                prompt_tokens: prompt_tokens as u64,
                completion_tokens: tokens as u64,
                ..Usage::default()
            },
            model: self.info.model.clone(),
        })
    }
}

#[cfg(test)]
#[path = "scripted_tests.rs"]
mod tests;
