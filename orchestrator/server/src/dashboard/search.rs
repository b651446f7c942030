//! What a run's workers would find: a search of its files by words and, where there is a model for it, by meaning.

use std::sync::{Arc, Mutex};

use edvac_memory::ids::TreeId;
use edvac_memory::index::{Embedder, MemoryIndex as _, SqliteIndex};
use edvac_memory::store::{FileStore, GitStore};
use edvac_orchestrator::place::RunDir;
use serde::Serialize;
use utoipa::ToSchema;

use super::trouble::Trouble;

/// Pieces that are shown.
const HITS_MAX: usize = 20;

/// A piece that was found.
#[derive(Serialize, ToSchema)]
pub(super) struct Found {
    /// The file that has it.
    path: String,
    /// The path as a part of an address.
    query: String,
    /// Its first line, from 1.
    line_first: u32,
    /// Its last line.
    line_last: u32,
    /// The function, class or heading that it is.
    #[schema(required)]
    symbol: Option<String>,
    /// How well it fits, beside the others of this search.
    score: f64,
    /// Why it was found.
    reason: String,
    /// Its text.
    text: String,
}

/// Searches the files of a tree.
pub(super) async fn search(
    dir: &RunDir,
    tree: &TreeId,
    query: &str,
    embedder: Option<Arc<dyn Embedder>>,
) -> Result<Vec<Found>, Trouble> {
    let store = GitStore::view(&dir.git_dir())?;
    let store = Mutex::new(Box::new(store) as Box<dyn FileStore>);
    // An index of its own: the run's may be in use.
    let scratch = tempfile::tempdir().map_err(Trouble::machine)?;
    let index =
        SqliteIndex::open(&scratch.path().join("index.sqlite"), embedder).await.map_err(Trouble::machine)?;
    index.sync(&store, tree).await.map_err(Trouble::machine)?;
    let found = index.search(query, HITS_MAX, &[]).await.map_err(Trouble::machine)?;
    let shown = found.into_iter().map(|hit| Found {
        query: super::files::encoded(&hit.path),
        path: hit.path,
        line_first: hit.line_first,
        line_last: hit.line_last,
        symbol: hit.symbol,
        score: hit.score,
        reason: hit.reason,
        text: hit.text,
    });
    Ok(shown.collect())
}
