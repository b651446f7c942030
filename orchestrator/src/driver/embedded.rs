//! The embedded driver: one process, a SQLite journal, nothing to set up.
//!
//! For each effect: the intent is recorded, the effect performed, its result recorded (the commit point), folded
//! into the state, and only then projected to what people see (git reference, working tree). An effect with a
//! recorded result is never performed again; one with only an intent is performed again under the same key.

use std::sync::Arc;

use edvac_memory::ids::CommitId;
use edvac_memory::journal::{Journal, JournalError, Record, Recorded};
use edvac_memory::store::{FileStore, StoreError};
use tokio::sync::watch;

use crate::control::apply::FoldError;
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

/// Drives a run until it is over, stopped, or a person wishes otherwise.
pub async fn drive(
    mut state: RunState,
    journal: Arc<dyn Journal>,
    rules: &Rules<'_>,
    performer: &Performer,
    mut wish: watch::Receiver<Wish>,
    notices: &Notices,
) -> Result<RunState, DriveError> {
    project(&state, performer.files().as_mut())?;
    loop {
        let effects = decide(&state, rules);
        if effects.is_empty() {
            return Ok(state);
        }
        for effect in effects {
            let asked = *wish.borrow_and_update();
            let outcome = match asked {
                Wish::Stop => Err(StopReason::Interrupted),
                Wish::Cancel => Err(StopReason::Cancelled),
                Wish::Run => step(&mut state, &effect, journal.as_ref(), performer, notices).await?,
            };
            let outcome = match outcome {
                // The person gave up while a reply was being made.
                Err(StopReason::Interrupted) if *wish.borrow() == Wish::Cancel => Err(StopReason::Cancelled),
                // What the person wanted to wait for did not come.
                Err(StopReason::Model { .. }) if *wish.borrow() == Wish::Stop => Err(StopReason::Interrupted),
                other => other,
            };
            let record = match outcome {
                Ok(record) => record,
                Err(why) => journal.fact(serde_json::to_value(Event::Stopped { why })?).await?,
            };
            let head = state.head.clone();
            state.apply_record(&record)?;
            notices.send(Notice::Recorded(Arc::new(record)));
            if state.head != head {
                project(&state, performer.files().as_mut())?;
            }
            if state.stopped.is_some() {
                return Ok(state);
            }
        }
    }
}

/// Performs one effect between its intent and its result.
async fn step(
    state: &mut RunState,
    effect: &Effect,
    journal: &dyn Journal,
    performer: &Performer,
    notices: &Notices,
) -> Result<Result<Record, StopReason>, DriveError> {
    if let Effect::Stop { why } = effect {
        return Ok(Err(why.clone()));
    }
    let key = effect.key(state.epoch);
    let intent = journal.intent(&key, effect.intent()).await?;
    state.apply_record(&intent)?;
    notices.send(Notice::Recorded(Arc::new(intent)));
    notices.send(Notice::Performing(Arc::new(effect.clone())));
    match performer.perform(effect, state).await {
        Ok(event) => {
            let (Recorded::First(record) | Recorded::Winner(record)) =
                journal.result(&key, serde_json::to_value(event)?).await?;
            Ok(Ok(record))
        }
        Err(Trouble::Journal(error)) => Err(error.into()),
        Err(trouble) => Ok(Err(trouble.into_stop())),
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
