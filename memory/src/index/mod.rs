//! The memory index: from a query and a token budget to ranked fragments with their sources, as of a tree.

pub mod chunk;
mod sqlite;

use std::sync::{Mutex, PoisonError};

use crate::context::{Fragment, FragmentKind, TokenCounter};
use crate::ids::TreeId;
use crate::store::{FileStore, StoreError};

pub use sqlite::SqliteIndex;

/// Turns texts into vectors of one fixed length, normalised to length 1.
pub trait Embedder: Send + Sync {
    /// Which model this is. Vectors that another one made are not used.
    fn model(&self) -> &'static str {
        ""
    }
    /// One vector per text, in order.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String>;
}

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedding model.
    #[error("embedding failed: {0}")]
    Embed(String),
    /// SQLite.
    #[error("{context}: {message}")]
    Io {
        /// What was being done.
        context: String,
        /// What it said.
        message: String,
    },
}

/// One ranked piece of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The file.
    pub path: String,
    /// First line, from 1.
    pub line_first: u32,
    /// Last line, inclusive.
    pub line_last: u32,
    /// The symbol or heading it belongs to, where there is one.
    pub symbol: Option<String>,
    /// The text.
    pub text: String,
    /// Fused score; higher is better; comparable only within one answer.
    pub score: f64,
    /// Why it ranks: `words 1, meaning 3`.
    pub reason: String,
}

/// Query and budget to ranked pieces. The same tree and query give the same answer.
#[async_trait::async_trait]
pub trait MemoryIndex: Send + Sync {
    /// Makes the index hold `tree`; pieces already known by content are not embedded again.
    async fn sync(&self, store: &dyn FileStoreView, tree: &TreeId) -> Result<(), IndexError>;
    /// The best pieces for `query` in the synced tree, best first, at most `hits_max`, skipping `exclude`d files.
    async fn search(&self, query: &str, hits_max: usize, exclude: &[String]) -> Result<Vec<Hit>, IndexError>;
    /// The best pieces of one file.
    async fn search_in(&self, path: &str, query: &str, hits_max: usize) -> Result<Vec<Hit>, IndexError>;
}

/// Reading access to trees that may cross threads.
pub trait FileStoreView: Send + Sync {
    /// Paths and sizes.
    fn list(&self, tree: &TreeId) -> Result<std::collections::BTreeMap<String, u64>, StoreError>;
    /// One file.
    fn read(&self, tree: &TreeId, path: &str) -> Result<Vec<u8>, StoreError>;
}

impl<S: FileStore + ?Sized> FileStoreView for Mutex<Box<S>> {
    fn list(&self, tree: &TreeId) -> Result<std::collections::BTreeMap<String, u64>, StoreError> {
        self.lock().unwrap_or_else(PoisonError::into_inner).list(tree)
    }
    fn read(&self, tree: &TreeId, path: &str) -> Result<Vec<u8>, StoreError> {
        self.lock().unwrap_or_else(PoisonError::into_inner).read(tree, path)
    }
}

/// Hits as prompt fragments, best first, as many whole ones as `tokens_max` allows.
pub fn pack(hits: &[Hit], tokens_max: usize, counter: &dyn TokenCounter) -> Vec<Fragment> {
    let mut used = 0;
    let mut packed = Vec::new();
    for hit in hits {
        let source = format!("{}:{}-{}", hit.path, hit.line_first, hit.line_last);
        let text = format!("From {source}:\n```\n{}```\n", hit.text);
        let fragment = Fragment::new(
            FragmentKind::Retrieved,
            source,
            format!("ranked by {}", hit.reason),
            text,
            counter,
        );
        if used + fragment.tokens <= tokens_max {
            used += fragment.tokens;
            packed.push(fragment);
        }
    }
    packed
}
