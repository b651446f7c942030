//! Making an instruction's tree a commit that says where it is from.

use edvac_memory::ids::{CommitId, InstructionId, TreeId};
use edvac_memory::store::CommitParts;

use super::{Performer, Trouble, program_of};
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
        start.model.model,
    ))
}

/// Paths whose content differs, those aside that are gone.
fn changed(store: &dyn FileStore, before: &TreeId, after: &TreeId) -> Result<Vec<String>, StoreError> {
    let there = store.list(after)?;
    let changed = store.changed(before, after)?;
    Ok(changed.into_iter().filter(|path| there.contains_key(path)).collect())
}
