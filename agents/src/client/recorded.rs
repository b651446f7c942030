//! Cassettes: any client recorded to a file, and replayed from it byte for byte without a model.
//!
//! A cassette is JSON Lines: first the client's [`ClientInfo`], then one line for each counted text and each answered
//! request. Counts are kept because prompts are fitted by them: another count could fit another prompt, and the
//! request would not be found again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use edvac_memory::ids::Digest;
use serde::{Deserialize, Serialize};

use super::{Cancel, ClientInfo, Delta, ModelClient, ModelError, ModelReply, ModelRequest, Sink, estimate};

/// The format that this version writes.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    Cassette { format: u32, info: ClientInfo },
    Count { text: Digest, tokens: usize },
    Reply { request: Digest, reply: ModelReply },
}

/// The digest under which a request is found again: of everything in it.
pub fn digest(request: &ModelRequest) -> Digest {
    // Serialising plain data to memory cannot fail; if it ever did, an empty digest finds nothing.
    Digest::of(&serde_json::to_vec(request).unwrap_or_default())
}

fn fault(path: &Path, what: impl std::fmt::Display) -> ModelError {
    ModelError::Unexpected(format!("cassette {}: {what}", path.display()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes everything on to another client and writes down what it says.
pub struct RecordingClient {
    inner: Arc<dyn ModelClient>,
    path: PathBuf,
    tape: Mutex<Tape>,
}

struct Tape {
    file: File,
    counted: HashMap<Digest, usize>,
    /// A count that could not be written; reported by the next reply, since counting cannot fail.
    broken: Option<String>,
}

impl Tape {
    fn write(&mut self, line: &Line) -> Result<(), String> {
        let mut text = serde_json::to_string(line).map_err(|e| e.to_string())?;
        text.push('\n');
        // One write a line: a process that dies leaves whole lines and at most one broken one, the last.
        self.file.write_all(text.as_bytes()).map_err(|e| e.to_string())
    }
}

impl RecordingClient {
    /// Records `inner` to a new file.
    pub fn create(inner: Arc<dyn ModelClient>, path: &Path) -> Result<Self, ModelError> {
        let file =
            OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| fault(path, error))?;
        let mut tape = Tape { file, counted: HashMap::new(), broken: None };
        let head = Line::Cassette { format: FORMAT, info: inner.info().clone() };
        tape.write(&head).map_err(|why| fault(path, why))?;
        Ok(Self { inner, path: path.to_owned(), tape: Mutex::new(tape) })
    }
}

#[async_trait]
impl ModelClient for RecordingClient {
    fn info(&self) -> &ClientInfo {
        self.inner.info()
    }

    fn count_tokens(&self, text: &str) -> usize {
        let digest = Digest::of(text.as_bytes());
        if let Some(tokens) = locked(&self.tape).counted.get(&digest) {
            return *tokens;
        }
        let tokens = self.inner.count_tokens(text);
        let mut tape = locked(&self.tape);
        if let Err(why) = tape.write(&Line::Count { text: digest.clone(), tokens }) {
            tape.broken = Some(why);
        }
        tape.counted.insert(digest, tokens);
        tokens
    }

    async fn complete(
        &self,
        request: &ModelRequest,
        sink: Sink<'_>,
        cancel: Cancel,
    ) -> Result<ModelReply, ModelError> {
        let reply = self.inner.complete(request, sink, cancel).await?;
        let mut tape = locked(&self.tape);
        if let Some(why) = tape.broken.take() {
            return Err(fault(&self.path, why));
        }
        tape.write(&Line::Reply { request: digest(request), reply: reply.clone() })
            .map_err(|why| fault(&self.path, why))?;
        Ok(reply)
    }
}

/// Answers from a cassette.
pub struct ReplayingClient {
    info: ClientInfo,
    path: PathBuf,
    counts: HashMap<Digest, usize>,
    replies: HashMap<Digest, Vec<ModelReply>>,
    asked: Mutex<HashMap<Digest, usize>>,
}

impl ReplayingClient {
    /// Opens a cassette. A last line that a dying process left broken is ignored; any other is an error.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|error| fault(path, error))?;
        let lines: Vec<String> =
            BufReader::new(file).lines().collect::<Result<_, _>>().map_err(|error| fault(path, error))?;
        let mut info = None;
        let (mut counts, mut replies) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for (number, text) in lines.iter().enumerate() {
            match serde_json::from_str(text) {
                Ok(Line::Cassette { format, .. }) if format > FORMAT => {
                    return Err(fault(
                        path,
                        format_args!("it has format {format}, this edvac knows up to {FORMAT}"),
                    ));
                }
                Ok(Line::Cassette { info: recorded, .. }) => info = Some(recorded),
                Ok(Line::Count { text, tokens }) => _ = counts.insert(text, tokens),
                Ok(Line::Reply { request, reply }) => replies.entry(request).or_default().push(reply),
                Err(_) if number > 0 && number + 1 == lines.len() => {}
                Err(error) => return Err(fault(path, format_args!("line {}: {error}", number + 1))),
            }
        }
        let info = info.ok_or_else(|| fault(path, "it has no first line that says what was recorded"))?;
        Ok(Self { info, path: path.to_owned(), counts, replies, asked: Mutex::default() })
    }

    /// The n-th answer to the n-th time of asking; the last one from then on.
    fn reply(&self, digest: &Digest) -> Option<ModelReply> {
        let replies = self.replies.get(digest)?;
        let mut asked = locked(&self.asked);
        let times = asked.entry(digest.clone()).or_default();
        let reply = replies.get(*times).or_else(|| replies.last()).cloned();
        *times += 1;
        reply
    }
}

#[async_trait]
impl ModelClient for ReplayingClient {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.counts.get(&Digest::of(text.as_bytes())).copied().unwrap_or_else(|| estimate::tokens(text))
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
        let digest = digest(request);
        let reply = self.reply(&digest).ok_or_else(|| {
            fault(
                &self.path,
                format_args!("it has no reply to request {digest}; the prompt has changed since"),
            )
        })?;
        sink(Delta::Text { text: reply.text.clone(), tokens: reply.usage.completion_tokens as usize });
        Ok(reply)
    }
}

#[cfg(test)]
#[path = "recorded_tests.rs"]
mod tests;
