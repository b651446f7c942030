//! Replay: a run carried out again from its journal alone. No model is asked and nothing is executed. Every decision is made
//! again and compared with what was done, every edit and commit is made again in an empty store, and has to come to the same
//! tree and commit, whose ids are digests of every byte; the ledger is made again of what the checks found. Prompts and what
//! checks found are taken as they were recorded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use edvac_memory::ids::{CommitId, EffectKey, TreeId};
use edvac_memory::journal::{Record, RecordKind, Seq};
use edvac_memory::store::{FileStore, GitStore, StoreError};
use serde::Serialize;

use crate::control::apply::{FoldError, restored_to};
use crate::control::{Effect, Event, Rules, RunState, decide};
use crate::ledger::Ledger;
use crate::perform::commit::{Parts, commit_parts, tree_of_end};
use crate::perform::edits::edited;
use crate::perform::merge::{self, merged};
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
/// empty or not to exist. `git_dir` is the run's: what was there before a run is read from it, since the journal does not hold
/// that. Takes time linear in the journal; holds all trees in memory.
pub fn replay(
    records: &[Record],
    rules: &Rules<'_>,
    git_dir: &Path,
    out: Option<&Path>,
) -> Result<Replayed, ReplayError> {
    let began = RunState::of(records.get(..1).unwrap_or_default())?;
    let store = if began.origin().is_some() { GitStore::ram_over(git_dir)? } else { GitStore::ram()? };
    let files: Files = Arc::new(Mutex::new(Box::new(store) as Box<dyn FileStore>));
    let mut again = Again { rules, files: &files, begun: BTreeMap::new(), replayed: Replayed::default() };
    let mut state = Arc::new(RunState::default());
    for (at, record) in records.iter().enumerate() {
        if restored_to(record).is_some() {
            state = Arc::new(RunState::of(&records[..=at])?);
            again.replayed.records += 1;
            continue;
        }
        match record.kind {
            RecordKind::Intent => again.begin(record, &state),
            RecordKind::Result if !again.once_more(record, &state)? => break,
            RecordKind::Result | RecordKind::Fact => {}
        }
        if state.start.is_none() {
            locked(&files).empty_tree()?;
        }
        Arc::make_mut(&mut state).apply_record(record)?;
        again.replayed.records += 1;
    }
    let replayed = again.replayed;
    if let (Some(out), Some(tree), true) = (out, &state.tree, replayed.is_same()) {
        locked(&files).export(tree, out)?;
    }
    Ok(Replayed { tree: state.tree.clone(), head: state.head.clone(), ..replayed })
}

/// A decision, and the state that it is performed on.
type Decided = (Effect, Arc<RunState>);

/// A replay in progress.
struct Again<'a> {
    rules: &'a Rules<'a>,
    files: &'a Files,
    /// What was decided again and begun, by its key: what is in flight may have been decided some records before its result.
    begun: BTreeMap<EffectKey, Decided>,
    replayed: Replayed,
}

impl Again<'_> {
    /// Decides once more what was begun. What is not decided any more is found out by its result.
    fn begin(&mut self, record: &Record, state: &Arc<RunState>) {
        let decided = decide(state, self.rules).into_iter().find(|e| record.key == Some(state.key_of(e)));
        if let (Some(effect), Some(key)) = (decided, &record.key) {
            let scene = state.scene(&effect);
            self.begun.insert(key.clone(), (effect, scene));
        }
    }

    /// Performs once more what led to a result. False where going on would compare nothing.
    fn once_more(&mut self, record: &Record, state: &Arc<RunState>) -> Result<bool, ReplayError> {
        if record.key.as_ref().is_none_or(|key| !self.begun.contains_key(key)) {
            self.begin(record, state);
        }
        let Some((effect, scene)) = record.key.as_ref().and_then(|key| self.begun.remove(key)) else {
            let now: Vec<_> = decide(state, self.rules).iter().map(|e| state.key_of(e).0).collect();
            let now = if now.is_empty() { "nothing".to_owned() } else { now.join(", ") };
            let done = record.key.as_ref().map_or("nothing", EffectKey::as_str);
            self.replayed.differ(record, format!("{done} was done, and {now} is decided now"));
            return Ok(self.replayed.differences.len() < DIFFERENCES_MAX);
        };
        self.replayed.decisions += 1;
        let event = serde_json::from_value::<Event>(record.body.clone())
            .map_err(|e| FoldError { seq: record.seq, message: e.to_string() })?;
        let is_whole = self.compare(record, effect, &event, &scene)?;
        Ok(is_whole && self.replayed.differences.len() < DIFFERENCES_MAX)
    }

    /// Compares what comes of an effect with what came of it. False where later records begin with what is not there.
    fn compare(
        &mut self,
        record: &Record,
        effect: Effect,
        event: &Event,
        state: &RunState,
    ) -> Result<bool, ReplayError> {
        let Self { files, replayed, .. } = self;
        match (effect, event) {
            (Effect::Act { base, understood, repeated, .. }, Event::Acted { tree, .. }) => {
                let now = edited(files, &base, &understood, repeated, state)?.tree;
                if now != *tree {
                    replayed.differ(record, format!("the reply's edits gave the tree {tree}, and now {now}"));
                    return Ok(false);
                }
                replayed.trees += 1;
            }
            (Effect::Merge { instruction, ended, base, onto, reads, writes, admitted }, event) => {
                let (ended, base, onto, reads, writes) = (&ended, &base, &onto, &reads, &writes);
                let parts = merge::Parts { instruction, ended, base, onto, reads, writes, admitted };
                if merged(files, &parts, state)? != *event {
                    let what = format!("what step {instruction} changed is merged otherwise now");
                    replayed.differ(record, what);
                    return Ok(false);
                }
            }
            (
                Effect::Commit { instruction, attempt, settlement, cut, parent, tree, time_s },
                Event::Committed { commit, .. },
            ) => {
                let parent = parent.as_ref();
                let parts = Parts { instruction, attempt, settlement, cut, parent, tree: &tree, time_s };
                let tree = tree_of_end(files, &parts, state)?;
                let parts = Parts { tree: &tree, ..parts };
                let now = locked(files).commit(&commit_parts(&parts, state)?)?;
                if now != *commit {
                    replayed.differ(record, format!("the commit was {commit}, and is {now} now"));
                    return Ok(false);
                }
                replayed.commits += 1;
            }
            (Effect::Check { opinion: now, .. }, Event::Checked { opinion, .. }) if now != *opinion => {
                let what = "the reviewer's reply says something else than was made of it";
                replayed.differ(record, what.to_owned());
            }
            (Effect::Finish, Event::Finished { ledger }) => {
                let reports = state.final_reports.as_deref().unwrap_or_default();
                let now = state.program.as_ref().map(|program| Ledger::weigh(program, reports));
                if now.as_ref() != Some(ledger) {
                    replayed.differ(record, "what the checks found makes another ledger now".to_owned());
                }
            }
            _ => {}
        }
        Ok(true)
    }
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
