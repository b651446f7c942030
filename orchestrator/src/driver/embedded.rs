//! The embedded driver: one process, a SQLite journal, nothing to set up.
//!
//! For each effect: the intent is recorded, the effect performed, its result recorded (the commit point), folded
//! into the state, and only then projected to what people see (git reference, working tree). An effect with a
//! recorded result is never performed again; one with only an intent is performed again under the same key. Several effects
//! may be in flight; their results are recorded and folded one by one, as they come.

use std::collections::BTreeMap;
use std::sync::Arc;

use edvac_memory::ids::{CommitId, EffectKey};
use edvac_memory::journal::{Journal, JournalError, Record};
use edvac_memory::store::{FileStore, StoreError};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::control::apply::FoldError;
use crate::control::parallel::next_to_begin;
use crate::control::{Effect, Event, Rules, RunState, StopReason, decide};
use crate::notice::{Notice, Notices};
use crate::perform::{Performer, Trouble};

/// Records read from the journal at once when folding.
const FOLD_BATCH: u32 = 512;

/// Why a run could not be driven on. What was recorded before stays.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A journal this edvac cannot read.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The file store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event could not be written as JSON.
    #[error("an event could not be serialised: {0}")]
    Json(#[from] serde_json::Error),
}

/// What a person can ask of a running run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Run,
    /// Finish the effect in progress, then stop; resumable.
    Stop,
    /// Stop for good.
    Cancel,
}

/// The state that a journal folds to.
pub async fn fold(journal: &dyn Journal) -> Result<RunState, DriveError> {
    Ok(RunState::of(&records(journal).await?)?)
}

/// Every record of a journal.
pub async fn records(journal: &dyn Journal) -> Result<Vec<Record>, DriveError> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let after = records.last().map_or(0, |record| record.seq);
        let batch = journal.read(after, FOLD_BATCH).await?;
        if batch.is_empty() {
            return Ok(records);
        }
        records.extend(batch);
    }
}

/// An effect in flight, and what came of it.
struct Performed {
    key: EffectKey,
    outcome: Result<Event, Trouble>,
}

/// Drives a run until it is over, stopped, or a person wishes otherwise. What is in flight when the run stops comes to its
/// end and is recorded first.
pub async fn drive(
    state: RunState,
    journal: Arc<dyn Journal>,
    rules: &Rules<'_>,
    performer: &Performer,
    mut wish: watch::Receiver<Wish>,
    notices: &Notices,
) -> Result<RunState, DriveError> {
    project(&state, performer.files().as_mut())?;
    // Shared with what is in flight, which goes on with the state it began with.
    let mut state = Arc::new(state);
    let mut in_flight: BTreeMap<EffectKey, Effect> = BTreeMap::new();
    let mut performing = FuturesUnordered::new();
    let mut stop: Option<StopReason> = None;
    loop {
        while stop.is_none() {
            let Some((key, effect)) = next_to_begin(&state, decide(&state, rules), &in_flight) else { break };
            stop = match (*wish.borrow_and_update(), &effect) {
                (Wish::Stop, _) => Some(StopReason::Interrupted),
                (Wish::Cancel, _) => Some(StopReason::Cancelled),
                (Wish::Run, Effect::Stop { why }) => Some(why.clone()),
                (Wish::Run, _) => None,
            };
            if stop.is_some() {
                break;
            }
            let intent = journal.intent(&key, effect.intent()).await?;
            Arc::make_mut(&mut state).apply_record(&intent)?;
            notices.send(Notice::Recorded(Arc::new(intent)));
            notices.send(Notice::Performing(Arc::new(effect.clone())));
            in_flight.insert(key.clone(), effect.clone());
            let scene = state.scene(&effect);
            performing.push(async move {
                let outcome = performer.perform(&key, &effect, &scene).await;
                Performed { key, outcome }
            });
        }
        let record = match (performing.next().await, &stop) {
            (Some(Performed { key, outcome }), _) => {
                in_flight.remove(&key);
                match outcome {
                    Ok(event) => journal.result(&key, serde_json::to_value(event)?).await?.into_record(),
                    Err(Trouble::Journal(error)) => return Err(error.into()),
                    Err(trouble) => {
                        stop.get_or_insert(trouble.into_stop());
                        continue;
                    }
                }
            }
            (None, Some(why)) => {
                let why = as_wished(why.clone(), *wish.borrow());
                journal.fact(serde_json::to_value(Event::Stopped { why })?).await?
            }
            (None, None) => return Ok(Arc::unwrap_or_clone(state)),
        };
        let head = state.head.clone();
        Arc::make_mut(&mut state).apply_record(&record)?;
        notices.send(Notice::Recorded(Arc::new(record)));
        if state.head != head {
            project(&state, performer.files().as_mut())?;
        }
        if state.stopped.is_some() {
            return Ok(Arc::unwrap_or_clone(state));
        }
    }
}

/// The reason of a stop in the light of what a person wished meanwhile.
fn as_wished(why: StopReason, wish: Wish) -> StopReason {
    match (why, wish) {
        // The person gave up while a reply was being made.
        (StopReason::Interrupted, Wish::Cancel) => StopReason::Cancelled,
        // What the person wanted to wait for did not come.
        (StopReason::Model { .. }, Wish::Stop) => StopReason::Interrupted,
        (why, _) => why,
    }
}

/// Makes git's reference and the working tree show what the journal says. Idempotent; also the recovery.
pub(crate) fn project(state: &RunState, files: &mut dyn FileStore) -> Result<(), StoreError> {
    let Some(tree) = &state.tree else { return Ok(()) };
    let from: Option<CommitId> = files.head()?;
    match (&from, &state.head) {
        (Some(from), head) if state.left.contains(from) => files.reset(from, head.as_ref())?,
        (from, Some(head)) => files.advance(from.as_ref(), head)?,
        (_, None) if state.epoch == 0 => return Ok(()),
        (_, None) => {}
    }
    files.check_out(tree)
}
