//! The store: the live sequence, what is remembered in memory, and what is remembered on disk.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use rayon::prelude::*;

use super::page::{Disk, PAGE_TOKENS, Page, Shape};
use super::sequence::{RowsMut, SequenceKv, common_prefix};
use super::shelf::{Shelf, discard};
use super::snapshot::{Head, Id, Snapshot, SnapshotError};
use super::tree::{Piece, Tree, Walk};
use super::writer::{Event, Writer, no_snapshots};
use super::{KvOptions, SnapshotOptions};

/// Most tokens of one snapshot: a long prompt becomes several, so that its end can go without its beginning.
const SNAPSHOT_TOKENS_MAX: usize = 2048;
/// Fewer new tokens are not written after a reply but with those of the next, or at the end.
const SNAPSHOT_TOKENS_MIN: usize = 8;

/// Whose rows they are.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// What they depend on besides their tokens.
    pub kv_key: [u8; 32],
    /// The model's name.
    pub model: String,
    /// Size of the model's file.
    pub model_bytes: u64,
}

/// What of a prompt did not have to be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Tokens whose rows were in memory.
    pub memory_tokens: usize,
    /// Tokens whose rows were read from snapshots.
    pub disk_tokens: usize,
    /// Where a remembered sequence that shares most of the prompt has another token.
    pub diverged_at: Option<usize>,
}

/// Remembers the rows of every sequence it saw, as far as its budgets allow.
pub(crate) struct KvStore {
    tree: Tree,
    live: SequenceKv,
    disk: Option<DiskTier>,
}

struct DiskTier {
    identity: Identity,
    writer: Writer,
}

impl KvStore {
    /// A store of a model; without an identity, or where snapshots cannot be written, for this process alone.
    pub(crate) fn open(shape: Shape, options: &KvOptions, identity: Option<Identity>) -> Self {
        let mut tree = Tree::new(shape, options.memory_bytes_max);
        let snapshots = options.snapshots.as_ref().filter(|s| s.bytes_max > 0);
        let disk = snapshots.zip(identity).and_then(|(options, identity)| {
            DiskTier::open(options, identity, &mut tree)
                .inspect_err(|error| no_snapshots(&options.dir, error))
                .ok()
        });
        Self { tree, live: SequenceKv::new(shape), disk }
    }

    /// Makes the live sequence the longest remembered prefix of `prompt`, which is not empty, and lends it until
    /// [`finish`](Self::finish). At least the last token is left to be computed, since its logits choose the next.
    pub(crate) fn begin(&mut self, prompt: &[u32]) -> (SequenceKv, Found) {
        self.tree.now += 1;
        self.hear();
        let most = &prompt[..prompt.len() - 1];
        let whole = self.tree.find(prompt);
        let diverged = whole.goes_on && 2 * whole.matched >= prompt.len();
        let mut found = Found { diverged_at: diverged.then_some(whole.matched), ..Found::default() };
        found.memory_tokens = common_prefix(&self.live.ids, most);
        self.live.truncate(found.memory_tokens);
        let walk = self.tree.find(most);
        self.tree.touch(&walk);
        if walk.matched > found.memory_tokens {
            self.import(most, &walk, &mut found);
        }
        // One that is not given back, because a computation panicked, is not missed.
        let shape = self.tree.shape;
        (std::mem::replace(&mut self.live, SequenceKv::new(shape)), found)
    }

    /// Takes the live sequence back and remembers its rows: valid up to its last id, also after an error.
    pub(crate) fn finish(&mut self, live: SequenceKv) {
        self.live = live;
        self.hear();
        let ids = &self.live.ids;
        let walk = self.tree.find(ids);
        let tail = self.tree.end_of(&walk);
        self.tree.touch(&walk);
        let (mut tail, mut at) = (tail, walk.matched);
        if at < ids.len() {
            (tail, at) = self.tree.reopen_last_page(tail, at);
        }
        while at < ids.len() {
            let end = ids.len().min((at + 1).next_multiple_of(PAGE_TOKENS));
            if !self.tree.make_room((end - at) as u64 * self.tree.shape.token_bytes()) {
                break;
            }
            let memory = Some(self.live.copy_out(at, end).into());
            let page = Page { rows: end - at, memory, disk: Disk::Nowhere };
            tail = self.tree.append(tail, &ids[at..end], page);
            at = end;
        }
        self.write(SNAPSHOT_TOKENS_MIN, false);
    }

    /// Waits until everything that the live sequence has is on disk, as far as it fits there.
    pub(crate) fn flush(&mut self) {
        self.write(1, true);
        if let Some(disk) = &self.disk {
            disk.writer.wait();
        }
        self.hear();
    }

    /// Fills the live sequence behind what it has with the rows that were found.
    fn import(&mut self, ids: &[u32], walk: &Walk, found: &mut Found) {
        let at = self.live.ids.len();
        let pieces = self.tree.pieces(walk, at);
        let rows: Vec<_> = pieces.iter().map(|piece| piece.rows.len()).collect();
        let mut files: HashMap<Id, Option<File>> = HashMap::new();
        for piece in &pieces {
            if let (None, Disk::At { snapshot, .. }) = (&piece.page.memory, &piece.page.disk) {
                files.entry(snapshot.id).or_insert_with(|| File::open(&snapshot.path).ok());
            }
        }
        let shape = self.tree.shape;
        let parts = self.live.parts_mut(at, &rows);
        let filled: Vec<_> = parts
            .into_par_iter()
            .zip(&pieces)
            .map_init(Vec::new, |page, (part, piece)| fill(part, piece, &files, shape, page))
            .collect();
        let mut damaged = Vec::new();
        for (filled, rows) in filled.into_iter().zip(rows) {
            match filled {
                Ok(_) if !damaged.is_empty() => {}
                Ok(From::Memory) => found.memory_tokens += rows,
                Ok(From::Disk) => found.disk_tokens += rows,
                Err(error) => damaged.push(error),
            }
        }
        self.live.ids.extend_from_slice(&ids[at..found.memory_tokens + found.disk_tokens]);
        let mut said: Vec<Id> = Vec::new();
        for (snapshot, error) in damaged {
            if !said.contains(&snapshot.id) {
                said.push(snapshot.id);
                discard(&snapshot.path, &error);
                self.tree.forget(snapshot.id);
            }
        }
        if let Some(disk) = self.disk.as_ref().filter(|_| !files.is_empty()) {
            disk.writer.used(files.into_keys().filter(|id| !said.contains(id)).collect());
        }
    }

    /// Hands the pages of the live sequence that are not on disk to the writer, in runs of at least `tokens_min`.
    fn write(&mut self, tokens_min: usize, wait: bool) {
        let Some(disk) = &self.disk else { return };
        let ids = &self.live.ids;
        let walk = self.tree.find(ids);
        let shape = self.tree.shape;
        let mut pages = self.tree.path_pages(&walk).into_iter().peekable();
        let mut before = None;
        while let Some((start, first)) = pages.next() {
            if let Some(id) = first.snapshot() {
                before = Some(id);
                continue;
            }
            let mut end = start + first.rows;
            let mut run = vec![first];
            while end - start < SNAPSHOT_TOKENS_MAX
                && let Some((_, page)) = pages.next_if(|(_, page)| page.snapshot().is_none())
            {
                end += page.rows;
                run.push(page);
            }
            // The walk ends where the live sequence does; its last node may go on.
            if end > ids.len() || end - start < tokens_min {
                return;
            }
            let head = disk.head(shape, before, start, &ids[..end]);
            let id = head.id();
            let memory: Vec<_> = run.iter().filter_map(|page| page.memory.clone()).collect();
            if memory.len() < run.len() || !disk.writer.write(head, memory, wait) {
                return;
            }
            for (index, page) in run.into_iter().enumerate() {
                page.disk = Disk::Pending { id, index, offset: 0 };
            }
            before = Some(id);
        }
    }

    /// Learns what the writer did meanwhile.
    fn hear(&mut self) {
        for event in self.disk.iter().flat_map(|disk| disk.writer.events()).collect::<Vec<_>>() {
            match event {
                Event::Settled { id, written } => self.tree.settle(id, written.as_ref()),
                Event::Removed { id } => self.tree.forget(id),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }
}

impl Drop for KvStore {
    fn drop(&mut self) {
        // The writer is waited for when it is dropped.
        self.write(1, true);
    }
}

impl DiskTier {
    fn open(options: &SnapshotOptions, identity: Identity, tree: &mut Tree) -> Result<Self, std::io::Error> {
        let mut shelf = Shelf::open(&options.dir)?;
        for (head, snapshot) in shelf.scan(&identity.kv_key) {
            if head.shape == tree.shape {
                tree.attach(&head.ids, &Arc::new(snapshot));
            }
        }
        let writer = Writer::start(shelf, options.bytes_max)?;
        Ok(Self { identity, writer })
    }

    fn head(&self, shape: Shape, before: Option<Id>, start: usize, ids: &[u32]) -> Head {
        let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Head {
            kv_key: self.identity.kv_key,
            before,
            shape,
            start,
            ids: ids.to_vec(),
            created_s: created.as_secs(),
            model_bytes: self.identity.model_bytes,
            model: self.identity.model.clone(),
        }
    }
}

/// Where rows came from.
enum From {
    Memory,
    Disk,
}

/// Fills a part of the live sequence. `scratch` is a page that is read and checked before it is used.
fn fill(
    mut part: RowsMut<'_>,
    piece: &Piece<'_>,
    files: &HashMap<Id, Option<File>>,
    shape: Shape,
    scratch: &mut Vec<u8>,
) -> Result<From, (Arc<Snapshot>, SnapshotError)> {
    if let Some(memory) = &piece.page.memory {
        part.fill(memory, piece.page.rows, piece.rows.start, shape);
        return Ok(From::Memory);
    }
    let Disk::At { snapshot, index, offset } = &piece.page.disk else {
        unreachable!("a page is in memory or on disk");
    };
    let gone = || SnapshotError::Io(std::io::ErrorKind::NotFound.into());
    let read = match files.get(&snapshot.id) {
        Some(Some(file)) => snapshot.read_page(file, *index, shape, scratch),
        _ => Err(gone()),
    };
    let rows = read.map_err(|error| (Arc::clone(snapshot), error))?;
    part.fill(scratch, rows, offset + piece.rows.start, shape);
    Ok(From::Disk)
}
