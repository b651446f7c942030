//! The fold of what happens to instructions that are carried out beside others.

use std::collections::BTreeMap;

use edvac_agents::client::ModelReply;
use edvac_agents::protocol::{Action, blocks};
use edvac_memory::ids::{InstructionId, TreeId};
use edvac_memory::program::Program;
use edvac_memory::verdict::CheckReport;

use super::{Base, Course, Open};
use crate::control::budget::Used;
use crate::control::effect::Purpose;
use crate::control::event::{Clash, Conflict, Event};
use crate::control::state::RunState;
use crate::ledger::describe;

impl RunState {
    /// From now on instructions begin at what is there now, or at what comes of it. Those in progress began where they did.
    pub(in crate::control) fn set_out(&mut self) {
        self.course = None;
        for open in self.open.values_mut() {
            // Something that comes before it may be carried out again first.
            (open.merged, open.reports) = (None, None);
        }
        let (Some(program), Some(tree)) = (&self.program, &self.tree) else { return };
        if self.parallel() > 1 {
            let left = program.instructions.iter().filter(|i| !self.settled.contains_key(&i.id));
            let left = Program { instructions: left.cloned().collect(), ..Program::default() };
            let pairs = left.instructions.iter().zip(left.stands_on());
            let stands_on = pairs.filter_map(|(i, on)| Some((i.id, left.instructions[on?].id)));
            let (first, stands_on) = (self.base(tree), stands_on.collect());
            self.course = Some(Course { first, after: BTreeMap::new(), stands_on });
        }
    }

    /// A process takes the run up. One that was carried out one by one until now begins here to be carried out otherwise, with
    /// what is in progress as the first.
    pub(in crate::control) fn may_go_side_by_side(&mut self) {
        if self.parallel() <= 1 || (self.course.is_some() && self.work.is_none()) {
            return;
        }
        self.set_out();
        if let (Some(course), Some(work)) = (&self.course, self.work.take()) {
            let id = work.instruction;
            let begun = Open { work: Some(work), ..Open::beginning_at(course.first.clone()) };
            self.open.insert(id, begun);
        }
    }

    /// What is there now, as others may begin with it.
    fn base(&self, tree: &TreeId) -> Base {
        let in_progress = self.open.values().map(Open::used).fold(Used::default(), Used::plus);
        Base {
            tree: tree.clone(),
            inventory: self.inventory.clone(),
            settled: self.settled.keys().copied().collect(),
            used: self.used().beyond(in_progress),
        }
    }

    /// Folds an event of an instruction that is carried out beside others. False where it is of no such instruction.
    pub(in crate::control) fn apply_beside(&mut self, event: &Event) -> bool {
        let Some(id) = event.instruction().filter(|_| self.is_parallel()) else { return false };
        let Some(mut open) = self.open.remove(&id).or_else(|| self.begun(id, event)) else { return false };
        match event {
            Event::Undeclared { ended, paths, .. } => {
                open.ended = Some(ended.clone());
                open.undeclared.clone_from(paths);
            }
            Event::Merged { ended, tree, .. } => {
                open.ended = Some(ended.clone());
                open.merged = Some(tree.clone());
            }
            Event::MergeChecked { reports, .. } if reports.iter().all(|r| r.verdict.is_passed()) => {
                open.reports = Some(reports.clone());
            }
            Event::MergeChecked { reports, .. } => open = self.anew(&open, &not_passed(reports)),
            Event::Conflicted { conflicts, .. } => open = self.anew(&open, conflicts),
            Event::Committed { .. } => {
                self.committed_beside(id, open, event);
                return true;
            }
            _ => self.go_on_beside(&mut open, event),
        }
        self.open.insert(id, open);
        true
    }

    /// The first that happens to an instruction is that its prompt is put together.
    fn begun(&self, id: InstructionId, event: &Event) -> Option<Open> {
        let begins = matches!(event, Event::Assembled { purpose: Purpose::Work { .. }, .. });
        self.base_of(id).filter(|_| begins).cloned().map(Open::beginning_at)
    }

    /// The instruction begins once more, with what is there now.
    fn anew(&self, open: &Open, conflicts: &[Conflict]) -> Open {
        let Some(tree) = &self.tree else { return open.clone() };
        // What this one used so far is nobody else's.
        let mut base = self.base(tree);
        base.used = base.used.beyond(open.used());
        Open { conflicts: conflicts.to_vec(), in_vain: open.used(), ..Open::beginning_at(base) }
    }

    /// Whatever happens in an attempt happens to it as if it were the only one.
    fn go_on_beside(&mut self, open: &mut Open, event: &Event) {
        let begins = open.work.is_none();
        let is_second = matches!(event, Event::Replied { purpose, .. } if self.asks_second(*purpose));
        let now = self.tree.replace(open.base.tree.clone());
        self.work = open.work.take();
        self.apply_alone(event);
        open.work = self.work.take();
        self.tree = now;
        let Some(work) = &mut open.work else { return };
        if begins {
            work.began = Used { worked_ms: work.began.worked_ms, ..open.base.used };
        }
        if let (Event::Replied { purpose, reply, .. }, Some(start)) = (event, &self.start) {
            let tariff = start.tariff_of(is_second);
            work.used = work.used.plus(Used::by(tariff, start.currency(), &reply.usage));
            if matches!(purpose, Purpose::Work { .. }) {
                open.asked.extend(asked_for(reply));
            }
        }
    }

    fn committed_beside(&mut self, id: InstructionId, open: Open, event: &Event) {
        self.work = open.work;
        self.apply_alone(event);
        if let Some(settled) = self.settled.get_mut(&id) {
            settled.reports = open.reports.unwrap_or_else(|| std::mem::take(&mut settled.reports));
            settled.conflicts = open.conflicts;
            settled.undeclared = open.undeclared;
        }
        let Some(tree) = self.tree.clone() else { return };
        let base = self.base(&tree);
        let Some(course) = &mut self.course else { return };
        course.after.insert(id, base);
        let settled = &self.settled;
        let stands_on = &course.stands_on;
        // Also of those in progress: taken back, they begin there anew.
        course
            .after
            .retain(|on, _| stands_on.iter().any(|(id, other)| other == on && !settled.contains_key(id)));
    }
}

/// Files that a reply asks to see.
fn asked_for(reply: &ModelReply) -> impl Iterator<Item = String> {
    let actions = blocks::understand(&reply.text, reply.finish).actions.into_iter();
    actions.filter_map(|action| match action {
        Action::Read { path, .. } => Some(path),
        _ => None,
    })
}

/// Checks that did not pass on a merged tree, as conflicts.
fn not_passed(reports: &[CheckReport]) -> Vec<Conflict> {
    let failed = reports.iter().filter(|report| !report.verdict.is_passed());
    failed.map(|r| Conflict { clash: Clash::Checked, what: describe(&r.check.kind), with: None }).collect()
}
