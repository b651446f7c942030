//! Replay: a run carried out again from its journal alone. No model is asked and nothing is executed. Every decision is made
//! again and compared with what was done, every edit and commit is made again in an empty store, and has to come to the same
//! tree and commit, whose ids are digests of every byte; the ledger is made again of what the checks found. Prompts and what
//! checks found are taken as they were recorded.

use std::path::Path;
use std::sync::{Arc, Mutex};

use edvac_memory::ids::{CommitId, TreeId};
use edvac_memory::journal::{Record, RecordKind, Seq};
use edvac_memory::store::{FileStore, GitStore, StoreError};
use serde::Serialize;

use crate::control::apply::{FoldError, restored_to};
use crate::control::{Effect, Event, Rules, RunState, decide};
use crate::ledger::Ledger;
use crate::perform::commit::{Parts, commit_parts};
use crate::perform::edits::edited;
use crate::perform::{Files, Trouble, locked};

/// Differences after which a replay goes no further.
const DIFFERENCES_MAX: usize = 20;

/// Why a journal cannot be replayed at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A record that this edvac cannot read.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// Performing an effect again failed.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Records read.
    pub records: usize,
    /// Decisions that were made as they had been.
    pub decisions: usize,
    /// Replies whose edits led to the same tree again.
    pub trees: usize,
    /// Commits that have the same id again.
    pub commits: usize,
    /// What came out differently, in order.
    pub differences: Vec<Difference>,
    /// The last tree.
    pub tree: Option<TreeId>,
    /// The last commit.
    pub head: Option<CommitId>,
}

/// One thing that came out differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The record.
    pub seq: Seq,
    /// What, in a sentence.
    pub what: String,
}

/// Replays a journal's records and, where `out` is given, writes the last tree's files into that directory, which has to be
/// empty or not to exist. Takes time linear in the journal; holds all trees in memory.
pub fn replay(records: &[Record], rules: &Rules<'_>, out: Option<&Path>) -> Result<Replayed, ReplayError> {
    let store = GitStore::ram()?;
    let files: Files = Arc::new(Mutex::new(Box::new(store) as Box<dyn FileStore>));
    let mut state = RunState::default();
    let mut replayed = Replayed::default();
    for (at, record) in records.iter().enumerate() {
        if restored_to(record).is_some() {
            state = RunState::of(&records[..=at])?;
            replayed.records += 1;
            continue;
        }
        if record.kind == RecordKind::Result && !once_more(record, &state, rules, &files, &mut replayed)? {
            break;
        }
        if state.start.is_none() {
            locked(&files).empty_tree()?;
        }
        state.apply_record(record)?;
        replayed.records += 1;
    }
    if let (Some(out), Some(tree), true) = (out, &state.tree, replayed.is_same()) {
        locked(&files).export(tree, out)?;
    }
    Ok(Replayed { tree: state.tree, head: state.head, ..replayed })
}

/// Decides and performs once more what led to a result. False where going on would compare nothing.
fn once_more(
    record: &Record,
    state: &RunState,
    rules: &Rules<'_>,
    files: &Files,
    replayed: &mut Replayed,
) -> Result<bool, ReplayError> {
    let decided = decide(state, rules).into_iter().next();
    let key = decided.as_ref().map(|effect| effect.key(state.epoch));
    if key != record.key {
        let name = |key: Option<&edvac_memory::ids::EffectKey>| {
            key.map_or("nothing".to_owned(), |key| key.as_str().to_owned())
        };
        let what =
            format!("{} was done, and {} is decided now", name(record.key.as_ref()), name(key.as_ref()));
        replayed.differ(record, what);
        return Ok(replayed.differences.len() < DIFFERENCES_MAX);
    }
    replayed.decisions += 1;
    let event = serde_json::from_value::<Event>(record.body.clone())
        .map_err(|e| FoldError { seq: record.seq, message: e.to_string() })?;
    match (decided, event) {
        (Some(Effect::Act { base, understood, repeated, .. }), Event::Acted { tree, .. }) => {
            let now = edited(files, &base, &understood, repeated, state)?.tree;
            if now != tree {
                replayed.differ(record, format!("the reply's edits gave the tree {tree}, and now {now}"));
                // Later edits begin with a tree that is not there.
                return Ok(false);
            }
            replayed.trees += 1;
        }
        (
            Some(Effect::Commit { instruction, attempt, settlement, cut, parent, tree, time_s }),
            Event::Committed { commit, .. },
        ) => {
            let parent = parent.as_ref();
            let parts = Parts { instruction, attempt, settlement, cut, parent, tree: &tree, time_s };
            let now = locked(files).commit(&commit_parts(&parts, state)?)?;
            if now != commit {
                replayed.differ(record, format!("the commit was {commit}, and is {now} now"));
                return Ok(false);
            }
            replayed.commits += 1;
        }
        (Some(Effect::Check { opinion: now, .. }), Event::Checked { opinion, .. }) if now != opinion => {
            replayed
                .differ(record, "the reviewer's reply says something else than was made of it".to_owned());
        }
        (Some(Effect::Finish), Event::Finished { ledger }) => {
            let reports = state.final_reports.as_deref().unwrap_or_default();
            let now = state.program.as_ref().map(|program| Ledger::weigh(program, reports));
            if now.as_ref() != Some(&ledger) {
                replayed.differ(record, "what the checks found makes another ledger now".to_owned());
            }
        }
        _ => {}
    }
    Ok(replayed.differences.len() < DIFFERENCES_MAX)
}

impl Replayed {
    /// Whether everything came out as it had.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    fn differ(&mut self, record: &Record, what: String) {
        self.differences.push(Difference { seq: record.seq, what });
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
