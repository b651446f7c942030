//! The KV store: keys and values that were computed once are found again, in this process and in the next.
//!
//! The live sequence is contiguous (`sequence`). What was computed is remembered in pages of up to 32 tokens (`page`)
//! under a radix tree over token ids (`tree`), which makes room by value (`evict`). A thread (`writer`) writes the
//! pages to a directory (`shelf`) as checked files (`snapshot`), under a key of everything else that rows depend on
//! (`key`). `store` puts it together.

mod evict;
mod key;
mod page;
mod sequence;
mod shelf;
mod snapshot;
mod store;
mod tree;
mod writer;

use std::path::PathBuf;

pub use crate::kernels::KvFormat;
pub(crate) use key::{PROBE, kv_key};
pub(crate) use page::Shape;
pub(crate) use sequence::SequenceKv;
pub(crate) use sequence::common_prefix;
pub use shelf::{SnapshotInfo, flush, list, next_out, verify};
pub use snapshot::SnapshotError;
pub(crate) use store::{Found, Identity, KvStore};

/// What may be remembered.
#[derive(Clone, Debug)]
pub struct KvOptions {
    /// Bytes of remembered rows in memory, the live sequence aside.
    pub memory_bytes_max: u64,
    /// How rows are kept.
    pub format: KvFormat,
    /// Where rows outlive the process; nowhere if absent.
    pub snapshots: Option<SnapshotOptions>,
}

/// Where rows outlive the process.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// A directory of its own. Several processes may use it.
    pub dir: PathBuf,
    /// Bytes of all files in it; with 0 there are none.
    pub bytes_max: u64,
}

impl Default for KvOptions {
    fn default() -> Self {
        Self { memory_bytes_max: 2 << 30, format: KvFormat::default(), snapshots: None }
    }
}

#[cfg(test)]
mod tests;
