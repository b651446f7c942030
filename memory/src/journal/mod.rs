//! The append-only record of a run. Folding it gives the run's state; every view is made from it.

mod blob;
mod clock;
#[cfg(test)]
mod contract;
mod ram;
mod sqlite;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{Digest, EffectKey};

pub use clock::{Clock, FixedClock, SystemClock};
pub use ram::RamJournal;
pub use sqlite::{EXIT_STOPPED_AFTER, Options, SqliteJournal};

/// Position in the journal; the first record has 1.
pub type Seq = u64;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// Something that happened outside any effect: the run began, a person asked to stop.
    Fact,
    /// An effect is about to be performed.
    Intent,
    /// An effect was performed; at most one per key.
    Result,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its position.
    pub seq: Seq,
    /// When it was written, milliseconds since the epoch.
    pub time_ms: i64,
    /// Fact, intent or result.
    pub kind: RecordKind,
    /// The effect it belongs to; none for facts.
    pub key: Option<EffectKey>,
    /// The event, as its writer serialised it. Large bodies are kept as blobs and put back when read.
    pub body: Value,
}

/// What became of a result that was handed in.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// It is the recorded one.
    First(Record),
    /// Another was there before; this is it. The one handed in is discarded.
    Winner(Record),
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Written by a newer edvac.
    #[error("the journal has format {found}, this edvac knows up to {known}")]
    Newer {
        /// What the file says.
        found: i64,
        /// What we know.
        known: i64,
    },
    /// Another process has the run open.
    #[error("run is in use by another edvac process{}", .pid.map(|p| format!(" (pid {p})")).unwrap_or_default())]
    InUse {
        /// Its process id, where it left one.
        pid: Option<u32>,
    },
    /// A blob that a record names is missing or does not have its digest.
    #[error("blob {digest} is missing or damaged")]
    Blob {
        /// Its digest.
        digest: Digest,
    },
    /// SQLite cannot read the file.
    #[error("the journal is damaged, or no journal ({message})")]
    Damaged {
        /// What SQLite said.
        message: String,
    },
    /// A view of a journal cannot write.
    #[error("this journal was opened for reading only")]
    ReadOnly,
    /// SQLite or the file system.
    #[error("{context}: {message}")]
    Io {
        /// What was being done.
        context: String,
        /// What it said.
        message: String,
    },
}

/// The journal of one run.
///
/// Promises: a call that returned is durable; sequence numbers have no gaps; at most one result a key, and the
/// first one stays; reading returns records in order. Does not promise that an intent is followed by a result.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Records a fact.
    async fn fact(&self, body: Value) -> Result<Record, JournalError>;
    /// Records that an effect is about to be performed. A second intent for the same key is recorded too: it shows
    /// that the effect was performed again.
    async fn intent(&self, key: &EffectKey, body: Value) -> Result<Record, JournalError>;
    /// Records an effect's result, unless its key has one.
    async fn result(&self, key: &EffectKey, body: Value) -> Result<Recorded, JournalError>;
    /// The result of a key.
    async fn find(&self, key: &EffectKey) -> Result<Option<Record>, JournalError>;
    /// Up to `limit` records after `after`, in order.
    async fn read(&self, after: Seq, limit: u32) -> Result<Vec<Record>, JournalError>;
    /// Keeps bytes by their digest; durable when it returns.
    async fn put_blob(&self, bytes: &[u8]) -> Result<Digest, JournalError>;
    /// The bytes of a digest, verified.
    async fn get_blob(&self, digest: &Digest) -> Result<Vec<u8>, JournalError>;
}

/// A body's text, and the body as that text reads.
///
/// What a writer gets back is what every later reader gets: a number that its text does not carry exactly, or nesting
/// that cannot be parsed again, shows when it is written and not when the run is resumed.
fn normal(body: &Value) -> Result<(String, Value), JournalError> {
    let text = body.to_string();
    let read = parse(text.as_bytes())?;
    Ok((text, read))
}

fn parse(text: &[u8]) -> Result<Value, JournalError> {
    serde_json::from_slice(text).map_err(|e| JournalError::Io {
        context: "reading a record's body".to_owned(),
        message: e.to_string(),
    })
}
