//! `memory search`.

use std::sync::Mutex;

use edvac_memory::index::{MemoryIndex, SqliteIndex};
use edvac_memory::store::{FileStore, GitStore};
use edvac_orchestrator::config::Config;
use serde_json::json;

use super::{SCHEMA_VERSION, find, models, print_json};
use crate::args::{Json, Memory, OneRun};
use crate::failure::{Failure, Outcome};
use crate::terminal::tell;

pub async fn memory(config: &Config, memory: Memory) -> Outcome {
    let Memory::Search { query, run, hits, json } = memory;
    let (dir, _) = find(config, &OneRun { run, last: false, json: Json { json: false } })?;
    let Some(tree) = dir.state().await?.tree else {
        return Err(Failure::usage(
            format!("run {} has no files yet", dir.id),
            "`edvac status` shows how far it is.",
        ));
    };
    let machine = |e: &dyn std::fmt::Display| Failure::machine(e.to_string());
    let store = GitStore::view(&dir.git_dir()).map_err(|e| machine(&e))?;
    let store = Mutex::new(Box::new(store) as Box<dyn FileStore>);
    // An index of its own: the run's may be in use.
    let scratch = tempfile::tempdir().map_err(|e| machine(&e))?;
    let index = SqliteIndex::open(&scratch.path().join("index.sqlite"), models::open_embedder(config))
        .await
        .map_err(|e| machine(&e))?;
    index.sync(&store, &tree).await.map_err(|e| machine(&e))?;
    let found = index.search(&query, hits, &[]).await.map_err(|e| machine(&e))?;
    if json.json {
        let hits: Vec<_> = found
            .iter()
            .map(|h| {
                json!({
                    "path": h.path, "line_first": h.line_first, "line_last": h.line_last, "symbol": h.symbol,
                    "score": h.score, "reason": h.reason, "text": h.text,
                })
            })
            .collect();
        return Ok(print_json(&json!({ "schema_version": SCHEMA_VERSION, "hits": hits })));
    }
    if found.is_empty() {
        tell!("nothing found for {query:?}");
    }
    for hit in found {
        tell!("{}:{}-{}  ({})", hit.path, hit.line_first, hit.line_last, hit.reason);
        hit.text.lines().take(8).for_each(|line| tell!("    {line}"));
    }
    Ok(0)
}
