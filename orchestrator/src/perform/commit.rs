//! Making an instruction's tree a commit that says where it is from.

use edvac_memory::ids::{CommitId, InstructionId, TreeId};
use edvac_memory::program::CheckKind;
use edvac_memory::store::path::is_test;
use edvac_memory::store::{CommitParts, Edit, FileStore, StoreError};

use super::{Files, Performer, Trouble, locked, program_of};
use crate::control::budget::Cap;
use crate::control::event::Settlement;
use crate::control::{Event, RunState};

/// Most characters of a commit's subject.
const SUBJECT_CHARS_MAX: usize = 72;

/// What is committed.
pub(crate) struct Parts<'a> {
    pub instruction: InstructionId,
    pub attempt: u32,
    pub settlement: Settlement,
    pub cut: Option<Cap>,
    pub parent: Option<&'a CommitId>,
    pub tree: &'a TreeId,
    pub time_s: i64,
}

impl Performer {
    pub(super) async fn commit(&self, parts: &Parts<'_>, state: &RunState) -> Result<Event, Trouble> {
        let tree = &tree_of_end(&self.files, parts, state)?;
        let parts = &Parts { tree, ..*parts };
        let touched = match &state.tree {
            Some(before) => changed(self.files().as_ref(), before, parts.tree)?,
            None => Vec::new(),
        };
        let commit = self.files().commit(&commit_parts(parts, state)?)?;
        let needs = self.needs(parts.tree, state).await?;
        let runner = self.domain.runner(&program_of(state)?.language);
        let inventory = self.inventories.of(self.files.as_ref(), parts.tree, runner)?.as_ref().clone();
        Ok(Event::Committed {
            instruction: parts.instruction,
            settlement: parts.settlement,
            cut: parts.cut,
            commit,
            tree: parts.tree.clone(),
            touched,
            needs,
            inventory,
        })
    }
}

/// The tree that a step leaves. One that was to write tests, and ended unfinished, leaves the code as it was: nothing says that
/// what it changed there for tests that do not pass is any better. What of its tests does not even parse it does not leave.
pub(crate) fn tree_of_end(files: &Files, parts: &Parts<'_>, state: &RunState) -> Result<TreeId, Trouble> {
    let instruction =
        state.instruction(parts.instruction).ok_or(Trouble::Misfit("the program has no such instruction"))?;
    let is_of_tests = !instruction.writes.is_empty() && instruction.writes.iter().all(|path| is_test(path));
    let (Settlement::Unfinished, true, Some(before)) = (parts.settlement, is_of_tests, &state.tree) else {
        return Ok(parts.tree.clone());
    };
    let work = state.open.get(&instruction.id).and_then(|open| open.work.as_ref()).or(state.work.as_ref());
    let reports = work.and_then(|work| work.best.as_ref()).map(|best| best.reports.as_slice());
    let unreadable: Vec<_> = reports
        .unwrap_or_default()
        .iter()
        .filter(|report| !report.verdict.is_passed())
        .filter_map(|report| match &report.check.kind {
            CheckKind::Parses { path } => Some(path),
            _ => None,
        })
        .collect();
    let mut store = locked(files);
    let there = store.list(parts.tree)?;
    let had = store.list(before)?;
    let mut edits = Vec::new();
    for path in &instruction.writes {
        if there.contains_key(path) && !unreadable.contains(&path) {
            let content = String::from_utf8_lossy(&store.read(parts.tree, path)?).into_owned();
            edits.push(Edit::Write { path: path.clone(), content });
        } else if had.contains_key(path) {
            edits.push(Edit::Delete { path: path.clone() });
        }
    }
    Ok(store.apply(before, &edits)?)
}

/// What the commit is made of. The same state gives the same commit.
pub(crate) fn commit_parts(parts: &Parts<'_>, state: &RunState) -> Result<CommitParts, Trouble> {
    Ok(CommitParts {
        parent: parts.parent.cloned(),
        tree: parts.tree.clone(),
        message: message(parts, state)?,
        time_s: parts.time_s,
    })
}

fn message(parts: &Parts<'_>, state: &RunState) -> Result<String, Trouble> {
    let program = program_of(state)?;
    let start = state.start.as_ref().ok_or(Trouble::Misfit("the run has not started"))?;
    let instruction =
        state.instruction(parts.instruction).ok_or(Trouble::Misfit("the program has no such instruction"))?;
    let subject: String = instruction
        .title
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SUBJECT_CHARS_MAX)
        .collect();
    let subject = if subject.trim().is_empty() { format!("Step {}", instruction.id) } else { subject };
    let covers: Vec<_> = instruction.covers.iter().map(edvac_memory::ids::RequirementId::as_str).collect();
    let settlement = match parts.settlement {
        Settlement::Finished => "finished",
        Settlement::Unfinished => "unfinished",
    };
    let second = start.second.as_ref().filter(|_| parts.attempt > instruction.attempts_max);
    let model = second.map_or(&start.model, |second| &second.model);
    Ok(format!(
        "{}\n\nStep {} of {} ({}), {}.\n\nEdvac-Run: {}\nEdvac-Instruction: {}\nEdvac-Attempt: {}\nEdvac-Settlement: {}\nEdvac-Program: {}\nEdvac-Model: {}\n",
        subject.trim(),
        instruction.id,
        program.instructions.len(),
        if covers.is_empty() { "no requirement".to_owned() } else { covers.join(", ") },
        settlement,
        start.run,
        instruction.id,
        parts.attempt,
        settlement,
        state.program_version,
        model.model,
    ))
}

/// Paths whose content differs, those aside that are gone.
fn changed(store: &dyn FileStore, before: &TreeId, after: &TreeId) -> Result<Vec<String>, StoreError> {
    let there = store.list(after)?;
    let changed = store.changed(before, after)?;
    Ok(changed.into_iter().filter(|path| there.contains_key(path)).collect())
}
