//! The versioned file store: a working tree on disk, its history as git objects that live elsewhere.

#[cfg(test)]
mod attacks;
mod beneath;
mod clear;
#[cfg(test)]
mod contract;
mod draft;
mod edit;
mod git;
mod origin;
#[cfg(test)]
mod origin_tests;
mod patch;
pub mod path;
mod tree;
mod work;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{CommitId, TreeId};

pub use git::GitStore;
pub use origin::{Found, Origin, OriginError, look};

/// Most bytes one file may have.
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// Most files one tree may have, besides those that were there before the run.
pub const FILES_MAX: usize = 20_000;
/// Most bytes one tree may have, besides those that were there before the run.
pub const TREE_BYTES_MAX: u64 = 256 << 20;

/// One change to the store, as an agent asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Edit {
    /// Replace or create the whole file.
    Write {
        /// Path below the root, `/`-separated, no `..`.
        path: String,
        /// The whole new content.
        content: String,
    },
    /// Put text behind the end of a file, on a line of its own and after an empty one; creates the file.
    Append {
        /// The file.
        path: String,
        /// What comes behind.
        content: String,
    },
    /// Replace exactly one occurrence of `search`.
    Replace {
        /// The file.
        path: String,
        /// Text that must occur exactly once.
        search: String,
        /// What stands there afterwards.
        replace: String,
    },
    /// Replace lines whose place is known, however often their text occurs.
    ReplaceLines {
        /// The file.
        path: String,
        /// The first of them, from 1.
        line_first: usize,
        /// What stands there; anything else is refused.
        old: String,
        /// What stands there afterwards.
        new: String,
    },
    /// Remove the file.
    Delete {
        /// The file.
        path: String,
    },
}

impl Edit {
    /// The file it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Write { path, .. }
            | Self::Append { path, .. }
            | Self::Replace { path, .. }
            | Self::ReplaceLines { path, .. }
            | Self::Delete { path } => path,
        }
    }
}

/// Why an edit or a read was refused. Most of these are a model's mistakes and are shown to it as text.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The path leaves the root, is absolute, names `.git`, or is not plain UTF-8.
    #[error("{path:?} is not a usable path: {why}")]
    BadPath {
        /// What was given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing is there.
    #[error("{path} does not exist")]
    NotFound {
        /// What was asked for.
        path: String,
    },
    /// The search text of a [`Edit::Replace`] occurs not once.
    #[error("the search text occurs {found} times in {path}; it must occur exactly once{hint}")]
    SearchMismatch {
        /// The file.
        path: String,
        /// How often it occurs.
        found: usize,
        /// The nearest text that does occur, where nothing matched; empty otherwise.
        hint: String,
    },
    /// An edit of what is no text, or would put text in its place.
    #[error("{path} is not a text file; it stays as it is")]
    NotText {
        /// The file.
        path: String,
    },
    /// A cap of this module.
    #[error("{what} is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The cap.
        limit: u64,
    },
    /// The head moved under us: neither the expected commit nor an ancestor.
    #[error(
        "the workspace's branch has a commit that is not of this run: it is at {}, the run at {}. Keep it with `git \
         branch mine`, put the branch back with `git reset --soft {}`, then resume",
        shown(.found.as_ref()), shown(.expected.as_ref()), shown(.expected.as_ref())
    )]
    Diverged {
        /// What the journal says.
        expected: Option<CommitId>,
        /// What the reference says.
        found: Option<CommitId>,
    },
    /// The operating system or the object database.
    #[error("{context}: {message}")]
    Io {
        /// What was being done.
        context: String,
        /// What it said.
        message: String,
    },
}

/// A commit's id, as people see it.
fn shown(commit: Option<&CommitId>) -> &str {
    commit.map_or("no commit", CommitId::as_str)
}

/// What a commit is made of. The same parts give the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitParts {
    /// The commit before it; none for the first.
    pub parent: Option<CommitId>,
    /// The content.
    pub tree: TreeId,
    /// Subject, body and trailers.
    pub message: String,
    /// Seconds since the epoch, taken from the journal, never from the clock.
    pub time_s: i64,
}

/// What came of putting one tree's changes onto another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// The tree with both.
    Tree(TreeId),
    /// Paths that both change, each to something else; or that are a file in one and a directory in the other.
    Conflict(Vec<String>),
}

/// Versioned files. Implemented over git objects on disk and in RAM; one contract suite runs over both.
///
/// Promises: a tree never changes; nothing outside the root is read or written; an edit list is applied whole or
/// not at all; `write_tree` and `commit` are durable when they return. Does not promise to notice changes made
/// to the working tree by others between calls.
pub trait FileStore: Send {
    /// The tree that holds no file.
    fn empty_tree(&mut self) -> Result<TreeId, StoreError>;
    /// Applies `edits` in order to `base` and returns the new tree; the working tree is not touched.
    fn apply(&mut self, base: &TreeId, edits: &[Edit]) -> Result<TreeId, StoreError>;
    /// Puts what differs between `base` and `theirs` onto `ours`, which began as `base`, too. A file is taken whole from one side
    /// or the other: one that both changed differently is a conflict, even where the changes lie far apart in it.
    fn merge(&mut self, base: &TreeId, ours: &TreeId, theirs: &TreeId) -> Result<Merge, StoreError>;
    /// Paths whose content differs between two trees, those included that only one of them has; sorted.
    fn changed(&self, from: &TreeId, to: &TreeId) -> Result<Vec<String>, StoreError>;
    /// All files of a tree: path to size in bytes, sorted.
    fn list(&self, tree: &TreeId) -> Result<BTreeMap<String, u64>, StoreError>;
    /// What is in a tree besides: symbolic links, submodules, files with names that no path may have. Nobody changes them,
    /// and trees made of this one have them as they are.
    fn others(&self, tree: &TreeId) -> Result<Vec<String>, StoreError>;
    /// One file of a tree.
    fn read(&self, tree: &TreeId, path: &str) -> Result<Vec<u8>, StoreError>;
    /// Writes a commit object. Durable, but no reference points at it yet.
    fn commit(&mut self, parts: &CommitParts) -> Result<CommitId, StoreError>;
    /// The commit that the branch points at.
    fn head(&self) -> Result<Option<CommitId>, StoreError>;
    /// The tree of a commit.
    fn tree_of(&self, commit: &CommitId) -> Result<TreeId, StoreError>;
    /// Moves the branch from `from` to `to`, or does nothing when it is at `to` already. Rolls forward over a
    /// crash when the head is an ancestor of `to`; refuses with [`StoreError::Diverged`] otherwise.
    fn advance(&mut self, from: Option<&CommitId>, to: &CommitId) -> Result<(), StoreError>;
    /// Moves the branch from `from`, where it must be, to `to`, which may be anywhere, or takes it away. Git still finds what
    /// was at `from`: a reference below `refs/edvac/left/` points there. Does nothing when the branch is at `to` already.
    fn reset(&mut self, from: &CommitId, to: Option<&CommitId>) -> Result<(), StoreError>;
    /// Makes the working tree (where there is one) show exactly `tree`.
    fn check_out(&mut self, tree: &TreeId) -> Result<(), StoreError>;
    /// Captures a directory made elsewhere (the working tree, an imported project) as a tree, by our own walker.
    fn import(&mut self, dir: &std::path::Path) -> Result<TreeId, StoreError>;
    /// Writes the files of `tree` into an empty directory outside the store, for a sandbox to run in.
    fn export(&self, tree: &TreeId, dir: &std::path::Path) -> Result<(), StoreError>;
    /// A unified diff between two trees.
    fn diff(&self, from: &TreeId, to: &TreeId) -> Result<String, StoreError>;
}
