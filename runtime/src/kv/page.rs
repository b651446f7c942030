//! A page: the rows of up to 32 consecutive tokens, in memory, in a snapshot, or in both.

use std::sync::Arc;

use super::snapshot::{Id, Snapshot};
use crate::kernels::KvFormat;

/// Most rows of a page. Pages end where the position is a multiple of this, or where a branch or a reply does.
pub(crate) const PAGE_TOKENS: usize = 32;

/// What one token takes. A page's bytes are ordered layer, keys before values, row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Decoder layers.
    pub layers: usize,
    /// Elements of one position's keys, and of its values, in one layer.
    pub row: usize,
    /// How rows are kept.
    pub format: KvFormat,
}

impl Shape {
    /// Bytes of one position's keys, and of its values, in one layer.
    pub(crate) fn row_bytes(self) -> usize {
        self.format.row_bytes(self.row)
    }

    /// Bytes of one token.
    pub(crate) fn token_bytes(self) -> u64 {
        (2 * self.layers * self.row_bytes()) as u64
    }
}

/// Rows of consecutive tokens. Each page belongs to one node of the tree; its bytes may also be in the writer's queue,
/// which is why they are counted references.
#[derive(Debug)]
pub(super) struct Page {
    /// How many rows.
    pub rows: usize,
    /// The rows in memory.
    pub memory: Option<Arc<[u8]>>,
    /// The rows on disk.
    pub disk: Disk,
}

/// Where a page is on disk.
#[derive(Clone, Debug)]
pub(super) enum Disk {
    /// Nowhere.
    Nowhere,
    /// Handed to the writer, to become this snapshot; `index` and `offset` as in `At`.
    Pending { id: Id, index: usize, offset: usize },
    /// In a page of a snapshot, from that page's row `offset` on.
    At { snapshot: Arc<Snapshot>, index: usize, offset: usize },
}

impl Disk {
    fn later(&self, rows: usize) -> Self {
        match self.clone() {
            Self::Nowhere => Self::Nowhere,
            Self::Pending { id, index, offset } => Self::Pending { id, index, offset: offset + rows },
            Self::At { snapshot, index, offset } => Self::At { snapshot, index, offset: offset + rows },
        }
    }
}

impl Page {
    /// Bytes it takes in memory.
    pub(super) fn memory_bytes(&self, shape: Shape) -> u64 {
        if self.memory.is_some() { self.rows as u64 * shape.token_bytes() } else { 0 }
    }

    /// The snapshot that has its rows, or will have them.
    pub(super) fn snapshot(&self) -> Option<Id> {
        match &self.disk {
            Disk::Nowhere => None,
            Disk::Pending { id, .. } => Some(*id),
            Disk::At { snapshot, .. } => Some(snapshot.id),
        }
    }

    /// Whether its rows can be had from a snapshot.
    pub(super) fn is_on_disk(&self) -> bool {
        matches!(self.disk, Disk::At { .. })
    }

    /// Whether the writer has it: until it answered, the page stays in memory.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.disk, Disk::Pending { .. })
    }

    /// Keeps the first `rows` and returns the others.
    pub(super) fn split_off(&mut self, rows: usize, shape: Shape) -> Self {
        let whole = self.memory.take();
        let part = |from: usize, to: usize| -> Option<Arc<[u8]>> {
            let pieces = whole.as_ref()?.chunks_exact(self.rows * shape.row_bytes());
            Some(
                pieces
                    .flat_map(|piece| &piece[from * shape.row_bytes()..to * shape.row_bytes()])
                    .copied()
                    .collect(),
            )
        };
        let (head, tail) = (part(0, rows), part(rows, self.rows));
        let rest = Self { rows: self.rows - rows, memory: tail, disk: self.disk.later(rows) };
        self.memory = head;
        self.rows = rows;
        rest
    }
}
