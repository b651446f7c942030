//! What comes next where several instructions may be in progress, and what of it is begun.

use std::collections::{BTreeMap, BTreeSet};

use edvac_memory::ids::EffectKey;
use edvac_memory::program::Instruction;

use super::Open;
use crate::control::budget;
use crate::control::decide::{at_cap, next_of_work};
use crate::control::effect::{Effect, Purpose};
use crate::control::event::{Ended, Settlement, StopReason};
use crate::control::state::{RunState, Start};

/// Steps in progress for each that may be at the same time, those included that wait for an earlier one to be committed.
const AHEAD_MAX: usize = 4;

/// One effect for every instruction that can go on, in the program's order. Where a limit keeps all of them from going on,
/// the run stops for the first one's reason.
pub(in crate::control) fn next_of_several(state: &RunState, start: &Start) -> Vec<Effect> {
    // Where only one may be in progress from now on, those that are come to their end first.
    let ahead_max = if state.parallel() > 1 { AHEAD_MAX * state.parallel() as usize } else { 0 };
    let mut room = ahead_max.saturating_sub(state.open.len());
    let effects = left(state).filter_map(|instruction| match state.open.get(&instruction.id) {
        Some(open) => next_of_open(state, instruction, open, |view| next_of_work(view, start, instruction)),
        None => begin(state, instruction, &mut room),
    });
    one_stop_at_most(state, effects, "no step can go on".to_owned())
}

/// The same at a limit of the whole run: nothing is begun, and what is in progress comes to its end as [`at_cap`] says.
pub(in crate::control) fn last_of_several(state: &RunState, start: &Start, why: &StopReason) -> Vec<Effect> {
    let effects = left(state).filter_map(|instruction| {
        let open = state.open.get(&instruction.id)?;
        next_of_open(state, instruction, open, |view| at_cap(view, start, why.clone()))
    });
    let effects: Vec<_> = effects.filter(|effect| !matches!(effect, Effect::Stop { .. })).collect();
    if effects.is_empty() { vec![Effect::Stop { why: why.clone() }] } else { effects }
}

/// Instructions that have not ended, up to the first that decides what comes next.
fn left(state: &RunState) -> impl Iterator<Item = &Instruction> {
    let all = state.program.iter().flat_map(|program| &program.instructions);
    all.filter(|i| !state.settled.contains_key(&i.id)).take_while(|i| i.control.is_none())
}

/// Effects, each once: packages that two instructions need are installed once. A stop only where nothing else is left.
fn one_stop_at_most(
    state: &RunState,
    effects: impl Iterator<Item = Effect>,
    otherwise: String,
) -> Vec<Effect> {
    let mut keys = BTreeSet::new();
    let (stops, mut effects): (Vec<_>, Vec<_>) = effects
        .filter(|effect| matches!(effect, Effect::Stop { .. }) || keys.insert(state.key_of(effect)))
        .partition(|effect| matches!(effect, Effect::Stop { .. }));
    if effects.is_empty() {
        let stuck = Effect::Stop { why: StopReason::Machine { why: otherwise } };
        effects.push(stops.into_iter().next().unwrap_or(stuck));
    }
    effects
}

/// The first that an instruction needs is its prompt; none where it has to wait for what it stands on, or for room.
fn begin(state: &RunState, instruction: &Instruction, room: &mut usize) -> Option<Effect> {
    state.base_of(instruction.id)?;
    *room = room.checked_sub(1)?;
    let purpose = Purpose::Work { instruction: instruction.id, attempt: 1, restart: 0 };
    Some(Effect::Assemble { purpose })
}

/// What is next of an instruction in progress, as `of_view` decides on its view of the run; none where it has to wait for
/// those before it.
fn next_of_open(
    state: &RunState,
    instruction: &Instruction,
    open: &Open,
    of_view: impl FnOnce(&RunState) -> Effect,
) -> Option<Effect> {
    if let Some(ended) = &open.ended {
        return next_of_end(state, instruction, open, ended.clone());
    }
    match of_view(&state.seen_by(instruction.id)?) {
        Effect::Commit { settlement, cut, attempt, tree, .. } => {
            next_of_end(state, instruction, open, Ended { settlement, cut, attempt, tree })
        }
        effect => Some(effect),
    }
}

/// An instruction that is done waits for those before it in the program. Then it is merged, its checks are executed once more
/// where they passed on something else than what is committed, and it is committed.
fn next_of_end(state: &RunState, instruction: &Instruction, open: &Open, ended: Ended) -> Option<Effect> {
    if state.next_instruction().map(|next| next.id) != Some(instruction.id) {
        return None;
    }
    let onto = state.tree.clone()?;
    let id = instruction.id;
    let Some(tree) = &open.merged else {
        let reads: BTreeSet<String> = instruction.uses().into_iter().chain(open.asked.clone()).collect();
        return Some(Effect::Merge {
            instruction: id,
            ended,
            base: open.base.tree.clone(),
            onto,
            reads: reads.into_iter().collect(),
            writes: instruction.writes.clone(),
            // One that declares nothing is in progress alone.
            admitted: !open.undeclared.is_empty() || instruction.writes.is_empty(),
        });
    };
    let counts = ended.settlement == Settlement::Finished && *tree != ended.tree;
    if counts && open.reports.is_none() {
        return Some(Effect::CheckMerged { instruction: id, tree: tree.clone() });
    }
    Some(Effect::Commit {
        instruction: id,
        attempt: ended.attempt,
        settlement: ended.settlement,
        cut: ended.cut,
        parent: state.head.clone(),
        tree: tree.clone(),
        time_s: state.time_ms.div_euclid(1000),
    })
}

/// Which of the decided effects is begun next beside those in flight, with its key: the first that there is room for. Each has
/// to be folded before the next one is decided, so that what it reserves counts. A stop waits until nothing is in flight any
/// more. What ends an instruction always has room: others wait for it.
pub fn next_to_begin(
    state: &RunState,
    decided: Vec<Effect>,
    in_flight: &BTreeMap<EffectKey, Effect>,
) -> Option<(EffectKey, Effect)> {
    let beside = in_flight.values().filter(|effect| !effect.is_end()).count();
    let is_full = beside >= state.parallel().max(1) as usize;
    decided.into_iter().map(|effect| (state.key_of(&effect), effect)).find(|(key, effect)| {
        let is_next = !in_flight.contains_key(key) && (effect.is_end() || !is_full);
        is_next && (in_flight.is_empty() || fits_beside(state, key, effect, in_flight))
    })
}

/// Whether an effect, which fits into the run's limits alone, fits beside those in flight.
fn fits_beside(
    state: &RunState,
    key: &EffectKey,
    effect: &Effect,
    in_flight: &BTreeMap<EffectKey, Effect>,
) -> bool {
    let Some(start) = &state.start else { return false };
    match effect {
        Effect::Stop { .. } => false,
        Effect::Call { reserve, .. } => budget::refusal(state, start, key, reserve).is_none(),
        // What a reply writes is known when it is carried out.
        Effect::Act { .. } if start.limits.bytes_max.is_some() => {
            !in_flight.values().any(|other| matches!(other, Effect::Act { .. }))
        }
        _ => true,
    }
}
