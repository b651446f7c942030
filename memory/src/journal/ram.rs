//! A journal in memory, for tests and dry runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use super::{Clock, Journal, JournalError, Record, RecordKind, Recorded, Seq, normal};
use crate::ids::{Digest, EffectKey};

/// Keeps everything in memory; durable for as long as the process lives.
pub struct RamJournal {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    records: Vec<Record>,
    blobs: HashMap<Digest, Vec<u8>>,
}

impl RamJournal {
    /// An empty journal.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, kind: RecordKind, key: Option<&EffectKey>, body: Value) -> Record {
        let mut inner = self.lock();
        let seq = inner.records.len() as Seq + 1;
        let record = Record { seq, time_ms: self.clock.now_ms(), kind, key: key.cloned(), body };
        inner.records.push(record.clone());
        record
    }

    fn result_of(&self, key: &EffectKey) -> Option<Record> {
        let matches = |r: &&Record| r.kind == RecordKind::Result && r.key.as_ref() == Some(key);
        self.lock().records.iter().find(matches).cloned()
    }
}

#[async_trait]
impl Journal for RamJournal {
    async fn fact(&self, body: Value) -> Result<Record, JournalError> {
        Ok(self.append(RecordKind::Fact, None, normal(&body)?.1))
    }

    async fn intent(&self, key: &EffectKey, body: Value) -> Result<Record, JournalError> {
        Ok(self.append(RecordKind::Intent, Some(key), normal(&body)?.1))
    }

    async fn result(&self, key: &EffectKey, body: Value) -> Result<Recorded, JournalError> {
        let (_, body) = normal(&body)?;
        match self.result_of(key) {
            Some(winner) => Ok(Recorded::Winner(winner)),
            None => Ok(Recorded::First(self.append(RecordKind::Result, Some(key), body))),
        }
    }

    async fn find(&self, key: &EffectKey) -> Result<Option<Record>, JournalError> {
        Ok(self.result_of(key))
    }

    async fn read(&self, after: Seq, limit: u32) -> Result<Vec<Record>, JournalError> {
        Ok(self.lock().records.iter().filter(|r| r.seq > after).take(limit as usize).cloned().collect())
    }

    async fn put_blob(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        let digest = Digest::of(bytes);
        self.lock().blobs.insert(digest.clone(), bytes.to_vec());
        Ok(digest)
    }

    async fn get_blob(&self, digest: &Digest) -> Result<Vec<u8>, JournalError> {
        self.lock().blobs.get(digest).cloned().ok_or_else(|| JournalError::Blob { digest: digest.clone() })
    }
}
