//! Several instructions at the same time.
//!
//! Each is carried out as if it were the next one of a run in which only what it stands on, and what comes before that in the
//! program, has ended: on that tree, with the tests that counted then and the share of the limits that was left then
//! ([`RunState::seen_by`]). Commits are made in the program's order; what an instruction changed is put onto what was
//! committed since it began ([`next`]). So nothing that an instruction sees depends on which other one was faster.

mod fold;
mod next;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use edvac_memory::ids::{EffectKey, InstructionId, TreeId};
use edvac_memory::program::Instruction;
use edvac_memory::verdict::CheckReport;

use crate::check::integrity::Inventory;
use crate::control::budget::{Bill, Used};
use crate::control::effect::Effect;
use crate::control::event::{Conflict, Ended, Limits};
use crate::control::state::{RunState, Work};

pub use next::next_to_begin;
pub(super) use next::{last_of_several, next_of_several};

/// A point of a run that instructions begin at.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// The tree.
    pub tree: TreeId,
    /// The tests that counted then.
    pub inventory: Inventory,
    /// Instructions that had ended.
    pub settled: BTreeSet<InstructionId>,
    /// What they, and planning them, had used.
    pub used: Used,
}

/// Where the instructions of a program begin, since it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// What was there then: instructions that stand on nothing that was still to be done begin here.
    first: Base,
    /// What was there after an instruction, as long as others that stand on it have not ended.
    after: BTreeMap<InstructionId, Base>,
    /// The last instruction that another one stands on.
    stands_on: BTreeMap<InstructionId, InstructionId>,
}

/// An instruction in progress beside others.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// Where it began.
    pub base: Base,
    /// What was done; none where it begins anew after a conflict.
    pub work: Option<Work>,
    /// Files that it asked to see.
    pub asked: BTreeSet<String>,
    /// What it ends with, once nothing is left to do but to merge it.
    pub ended: Option<Ended>,
    /// Files that it changes and does not declare.
    pub undeclared: Vec<String>,
    /// It, put onto what was committed since it began.
    pub merged: Option<TreeId>,
    /// What its checks found on that.
    pub reports: Option<Vec<CheckReport>>,
    /// Why it is carried out once more. That time it begins with all that is before it, so there is no third time.
    pub conflicts: Vec<Conflict>,
    /// What it had used before that.
    pub in_vain: Used,
}

impl Open {
    fn beginning_at(base: Base) -> Self {
        Self {
            base,
            work: None,
            asked: BTreeSet::new(),
            ended: None,
            undeclared: Vec::new(),
            merged: None,
            reports: None,
            conflicts: Vec::new(),
            in_vain: Used::default(),
        }
    }

    /// What it used.
    fn used(&self) -> Used {
        self.in_vain.plus(self.work.as_ref().map(|work| work.used).unwrap_or_default())
    }
}

impl RunState {
    /// Instructions that may be in progress at the same time.
    pub fn parallel(&self) -> u32 {
        self.start.as_ref().map_or(1, |start| start.limits.parallel)
    }

    /// Whether instructions are carried out beside one another, or those that were so are brought to their end.
    pub(super) fn is_parallel(&self) -> bool {
        self.course.is_some() && (self.parallel() > 1 || !self.open.is_empty())
    }

    /// The key under which an effect's result is recorded.
    pub fn key_of(&self, effect: &Effect) -> EffectKey {
        let open = effect.instruction().and_then(|id| self.open.get(&id));
        match open {
            Some(open) if !open.conflicts.is_empty() => effect.key_again(self.epoch),
            _ => effect.key(self.epoch),
        }
    }

    /// What an effect is performed on: its instruction's view of the run, where it has one of its own.
    pub fn scene(self: &Arc<Self>, effect: &Effect) -> Arc<Self> {
        let ends =
            matches!(effect, Effect::Merge { .. } | Effect::CheckMerged { .. } | Effect::Commit { .. });
        match effect.instruction().filter(|_| self.is_parallel() && !ends) {
            Some(id) => self.seen_by(id).map_or_else(|| Arc::clone(self), Arc::new),
            None => Arc::clone(self),
        }
    }

    /// The run as an instruction sees it that is carried out beside others: as if only what it stands on, and what comes before
    /// that, had ended. None where it cannot have begun yet.
    pub fn seen_by(&self, id: InstructionId) -> Option<Self> {
        let open = self.open.get(&id);
        let base = open.map_or_else(|| self.base_of(id), |open| Some(&open.base))?;
        let settled = self.settled.iter().filter(|(id, _)| base.settled.contains(id));
        Some(Self {
            focus: Some(id),
            tree: Some(base.tree.clone()),
            inventory: base.inventory.clone(),
            settled: settled.map(|(id, settled)| (*id, settled.clone())).collect(),
            work: open.and_then(|open| open.work.clone()),
            open: BTreeMap::new(),
            // Whether a call fits beside those in flight is another question than whether it fits at all.
            bill: Bill { open: BTreeMap::new(), ..self.bill.clone() },
            ..self.clone()
        })
    }

    /// Where an instruction begins; none before what it stands on has ended.
    fn base_of(&self, id: InstructionId) -> Option<&Base> {
        let course = self.course.as_ref()?;
        match course.stands_on.get(&id) {
            None => Some(&course.first),
            Some(on) => course.after.get(on),
        }
    }

    /// The last instruction that has to end before this one begins, of those that have not ended or ended since the program is
    /// in force.
    pub fn stands_on(&self, id: InstructionId) -> Option<InstructionId> {
        self.course.as_ref()?.stands_on.get(&id).copied()
    }

    /// What was used as far as the share of the work in progress is concerned: of what others use beside it, nothing but the
    /// time that passes.
    pub(super) fn used_for(&self, work: &Work) -> Used {
        let used = self.used();
        match self.focus {
            None => used,
            Some(_) => Used { worked_ms: used.worked_ms, ..work.began.plus(work.used) },
        }
    }

    /// The limits of which the work in progress has a share. Time passes for all that are in progress beside it at once, so
    /// that each has the time of them all.
    pub(super) fn limits_for(&self, work: &Work, limits: &Limits) -> Limits {
        let began = work.began.worked_ms;
        let of_all = |limit: u64| began + limit.saturating_sub(began).saturating_mul(self.beside());
        let wall_ms_max =
            limits.wall_ms_max.map(|limit| if self.focus.is_some() { of_all(limit) } else { limit });
        Limits { wall_ms_max, ..limits.clone() }
    }

    /// Of a view: how many instructions can begin where this one began, and be in progress together.
    fn beside(&self) -> u64 {
        let Some(course) = &self.course else { return 1 };
        let is_ready = |i: &&Instruction| {
            let on = course.stands_on.get(&i.id);
            !self.settled.contains_key(&i.id) && on.is_none_or(|on| self.settled.contains_key(on))
        };
        let all = self.program.iter().flat_map(|program| &program.instructions);
        (all.filter(is_ready).count() as u64).clamp(1, u64::from(self.parallel()))
    }
}

#[cfg(test)]
#[path = "parallel_tests.rs"]
mod tests;
