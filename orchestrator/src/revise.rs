//! What a person does to a run that no process is carrying out: taking it back, changing its program, answering what it
//! asks. Each is one fact in the journal; what led there stays, so that nothing that was there is lost.

use std::collections::BTreeSet;
use std::path::Path;

use edvac_memory::ids::InstructionId;
use edvac_memory::journal::{Journal, Options, Record, Seq, SqliteJournal};
use edvac_memory::program::{Program, validate::validate};
use edvac_memory::store::{FileStore, GitStore};

use crate::check::unusable;
use crate::control::apply::restored_to;
use crate::control::{Event, RunState, Settlement, StopReason};
use crate::domain::Domain;
use crate::driver::embedded::{DriveError, fold, project, records};
use crate::place::RunDir;
use crate::run::RunError;

/// A point that a run can be taken back to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Operation {
    /// The record after which the run was there.
    pub seq: Seq,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// What was done, in a few words.
    pub what: String,
    /// The instruction that ended with it, if one did.
    pub instruction: Option<InstructionId>,
    /// Whether what is there now came of it.
    pub in_force: bool,
    /// Whether it took the run to another point, which is no step of its own to be taken back.
    #[serde(skip)]
    is_restoration: bool,
}

/// Every operation of a history, the oldest first.
pub fn operations(records: &[Record]) -> Vec<Operation> {
    let mut all: Vec<Operation> = Vec::new();
    // What is in force after each restoration is what was in force at the record it went back to.
    let mut in_force_at: Vec<(Seq, BTreeSet<Seq>)> = Vec::new();
    let mut in_force: BTreeSet<Seq> = BTreeSet::new();
    for record in records {
        if let Some(to) = restored_to(record) {
            let known = in_force_at.iter().rev().find(|(seq, _)| *seq <= to);
            in_force = known.map(|(_, set)| set.clone()).unwrap_or_default();
        }
        let Ok(event) = serde_json::from_value::<Event>(record.body.clone()) else { continue };
        if let Some((what, instruction)) = named(&event) {
            all.push(Operation {
                seq: record.seq,
                time_ms: record.time_ms,
                what,
                instruction,
                in_force: false,
                is_restoration: matches!(event, Event::Restored { .. }),
            });
            in_force.insert(record.seq);
            in_force_at.push((record.seq, in_force.clone()));
        }
    }
    for operation in &mut all {
        operation.in_force = in_force.contains(&operation.seq);
    }
    all
}

fn named(event: &Event) -> Option<(String, Option<InstructionId>)> {
    Some(match event {
        Event::RunStarted { .. } => ("started".to_owned(), None),
        Event::ProgramAdopted { version, why, .. } => (format!("program, version {version}: {why}"), None),
        Event::Amended { version, why, .. } => (format!("program changed, version {version}: {why}"), None),
        Event::Answered { instruction, approved, .. } => {
            let word = if *approved { "approved" } else { "rejected" };
            (format!("step {instruction} {word}"), None)
        }
        Event::Committed { instruction, settlement, commit, .. } => {
            let word = match settlement {
                Settlement::Finished => "finished",
                Settlement::Unfinished => "unfinished",
            };
            let short: String = commit.as_str().chars().take(10).collect();
            (format!("step {instruction} {word}, commit {short}"), Some(*instruction))
        }
        Event::Restored { why, .. } => (why.clone(), None),
        Event::Forked { from, .. } => (format!("forked from {from}"), None),
        _ => return None,
    })
}

/// The operation before a step's work began: before its last commit, or the last one where it has none yet. None where
/// there is none before it.
pub fn before_step(operations: &[Operation], step: InstructionId) -> Option<&Operation> {
    let live: Vec<&Operation> = operations.iter().filter(|o| o.in_force).collect();
    let committed = live.iter().rposition(|o| o.instruction == Some(step));
    live.get(committed.unwrap_or(live.len()).checked_sub(1)?).copied()
}

/// The operation that is left after the last `count` were taken back. The start and a fork cannot be. Going somewhere counts as
/// nothing: whoever takes back twice is two steps further back.
pub fn before_last(operations: &[Operation], count: usize) -> Option<&Operation> {
    let live: Vec<&Operation> = operations.iter().filter(|o| o.in_force && !o.is_restoration).collect();
    live.get(live.len().checked_sub(count + 1)?).copied()
}

/// A run's journal, taken for writing by this process; refused while another carries the run out.
struct Held {
    journal: SqliteJournal,
    state: RunState,
}

async fn hold(dir: &RunDir) -> Result<Held, RunError> {
    let journal = SqliteJournal::open(&dir.path, Options::default()).await?;
    let state = fold(&journal).await?;
    if state.start.is_none() {
        return Err(RunError::NeverStarted { run: dir.id.clone() });
    }
    Ok(Held { journal, state })
}

/// Every record of a run.
pub async fn history(dir: &RunDir) -> Result<Vec<Record>, RunError> {
    Ok(records(&SqliteJournal::view(&dir.path).await?).await?)
}

/// Takes a run to what it was after record `to`: files, program and what is met. What was paid stays paid.
pub async fn restore(dir: &RunDir, to: Seq, why: String) -> Result<RunState, RunError> {
    let Held { journal, .. } = hold(dir).await?;
    let all = records(&journal).await?;
    if !operations(&all).iter().any(|operation| operation.seq == to) {
        return Err(RunError::NoSuchOperation { run: dir.id.clone(), seq: to });
    }
    record(&journal, &Event::Restored { to, why }).await?;
    let state = fold(&journal).await?;
    show(dir, &state)?;
    Ok(state)
}

/// Puts a changed program in force. Instructions that are new or were changed, and those that read what one of them writes,
/// are carried out again; the others stay as they are.
pub async fn amend(
    dir: &RunDir,
    program: Program,
    domain: &Domain,
    why: String,
) -> Result<BTreeSet<InstructionId>, RunError> {
    let Held { journal, state } = hold(dir).await?;
    let Some(before) = &state.program else { return Err(RunError::NoProgram { run: dir.id.clone() }) };
    let program = Program { task: None, ..program };
    let mut problems: Vec<_> = validate(&program)
        .into_iter()
        .chain(unusable(&program))
        .map(|p| format!("{}: {} {}", p.place, p.what, p.fix))
        .collect();
    if program.domain != before.domain {
        problems.push(format!(
            "program: Its domain is {}, not {}. A run stays in its domain.",
            program.domain, before.domain
        ));
    }
    if !domain.knows(&program.language) {
        problems.push(format!("program: {:?} is no language of {}.", program.language, domain.name));
    }
    if !problems.is_empty() {
        return Err(RunError::BadProgram { problems });
    }
    if program == *before {
        return Err(RunError::SameProgram { run: dir.id.clone() });
    }
    let again: BTreeSet<_> =
        before.stale_in(&program).into_iter().filter(|id| state.settled.contains_key(id)).collect();
    let version = state.program_version + 1;
    record(&journal, &Event::Amended { program, version, why, stale: again.clone() }).await?;
    Ok(again)
}

/// Answers the instruction that a run waits for.
pub async fn answer(dir: &RunDir, approved: bool, reason: String) -> Result<InstructionId, RunError> {
    let Held { journal, state } = hold(dir).await?;
    let Some(StopReason::Approval { instruction, .. }) = state.stopped else {
        return Err(RunError::NothingAsked { run: dir.id.clone(), status: state.status() });
    };
    record(&journal, &Event::Answered { instruction, approved, reason }).await?;
    Ok(instruction)
}

async fn record(journal: &dyn Journal, event: &Event) -> Result<(), RunError> {
    journal.fact(serde_json::to_value(event).map_err(DriveError::from)?).await?;
    Ok(())
}

/// Lets the branch and the working tree show a state.
pub(crate) fn show(dir: &RunDir, state: &RunState) -> Result<(), RunError> {
    let workspace = state.start.as_ref().map_or("", |start| start.workspace.as_str());
    let mut store = GitStore::open(&dir.git_dir(), Some(Path::new(workspace)), state.origin())?;
    project(state, &mut store as &mut dyn FileStore)?;
    Ok(())
}
