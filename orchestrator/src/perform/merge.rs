//! Putting what an instruction changed onto what was committed since it began.

use edvac_memory::ids::{InstructionId, TreeId};
use edvac_memory::store::{Merge, StoreError};

use super::{Files, Performer, Trouble, locked, program_of};
use crate::check::Counted;
use crate::control::event::{Clash, Conflict, Ended};
use crate::control::{Event, RunState};

/// What is merged.
pub(crate) struct Parts<'a> {
    pub instruction: InstructionId,
    pub ended: &'a Ended,
    pub base: &'a TreeId,
    pub onto: &'a TreeId,
    pub reads: &'a [String],
    pub writes: &'a [String],
    pub admitted: bool,
}

/// Merges, unless there is something to be said first: an instruction that changed what it does not declare, one that read what
/// has changed since, one that changed what others changed. Depends on the parts and the trees alone, so that a replay comes to
/// the same; the state tells whose a change was.
pub(crate) fn merged(files: &Files, parts: &Parts<'_>, state: &RunState) -> Result<Event, StoreError> {
    let Parts { instruction, ended, base, onto, .. } = *parts;
    let mut store = locked(files);
    let changed = store.changed(base, &ended.tree)?;
    let paths: Vec<_> = changed.into_iter().filter(|path| !parts.writes.contains(path)).collect();
    if !parts.admitted && !paths.is_empty() {
        return Ok(Event::Undeclared { instruction, ended: ended.clone(), paths });
    }
    let meanwhile = store.changed(base, onto)?;
    let (tree, written) = match store.merge(base, onto, &ended.tree)? {
        Merge::Tree(tree) => (Some(tree), Vec::new()),
        Merge::Conflict(paths) => (None, paths),
    };
    let read: Vec<_> =
        meanwhile.into_iter().filter(|path| parts.reads.contains(path) && !written.contains(path)).collect();
    match tree {
        Some(tree) if read.is_empty() => Ok(Event::Merged { instruction, ended: ended.clone(), tree }),
        _ => {
            let of =
                |clash, what: &String| Conflict { clash, what: what.clone(), with: changed_by(what, state) };
            let written = written.iter().map(|path| of(Clash::Written, path));
            let conflicts = written.chain(read.iter().map(|path| of(Clash::Read, path))).collect();
            Ok(Event::Conflicted { instruction, conflicts })
        }
    }
}

/// The instruction that changed a file last, of those that are committed.
fn changed_by(path: &String, state: &RunState) -> Option<InstructionId> {
    let order = state.program.iter().flat_map(|program| program.instructions.iter().rev());
    let mut settled = order.filter_map(|i| Some((i.id, state.settled.get(&i.id)?)));
    settled.find(|(_, settled)| settled.touched.contains(path)).map(|(id, _)| id)
}

impl Performer {
    /// Executes the checks of an instruction on a merged tree. It gave up no test: one that may is in progress alone.
    pub(super) async fn check_merged(
        &self,
        id: InstructionId,
        tree: &TreeId,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        let language = program_of(state)?.language.as_str();
        let instruction =
            state.instruction(id).ok_or(Trouble::Misfit("the program has no such instruction"))?;
        let committed = state.inventory.clone();
        let before = self.before(instruction, state).await?;
        let counted = Counted { committed, before, ..Counted::default() };
        let supply = self.supply(tree, state).await?;
        let reports = self.run_all(&instruction.checks, tree, language, &counted, &supply).await?;
        Ok(Event::MergeChecked { instruction: id, reports })
    }
}
