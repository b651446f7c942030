//! What a run does about what its last checks found not to be so: within its bound, what is left is planned again, on the files as
//! they are. A plan that a person or the task itself made is nobody's to change.

use edvac_memory::ids::InstructionId;
use edvac_memory::program::{Control, Instruction, Program, Shortfall};
use edvac_memory::verdict::Verdict;

use crate::control::budget::Cap;
use crate::control::state::{RunState, Start};
use crate::ledger::{Entry, Ledger, Standing};

/// Most steps that such a plan may have.
pub const STEPS_MAX: u32 = 4;
/// Of each limit so much has to be left that it is worth a plan: one part of so many.
const LEFT_SHARE: u64 = 4;
/// Characters of what is said about one requirement.
const WHY_CHARS_MAX: usize = 300;
/// Failed checks that the planner is told of.
const FAILURES_MAX: usize = 6;

/// The program with an instruction behind it that plans what is left again, and why; none where everything is met, nothing can be
/// planned, or it was done often enough.
pub fn once_more(state: &RunState, start: &Start) -> Option<(Program, String)> {
    let (program, reports) = (state.program.as_ref()?, state.final_reports.as_ref()?);
    let was_planned = state.planning_for.is_some();
    let is_cut = state.settled.values().any(|settled| settled.cut.is_some());
    if !was_planned || is_cut || state.replans >= start.limits.replans_max || !has_room(state, start) {
        return None;
    }
    let ledger = Ledger::weigh(program, reports);
    let unmet: Vec<_> = ledger.entries.iter().filter(|entry| entry.standing != Standing::Met).collect();
    if unmet.is_empty() {
        return None;
    }
    let failures = reports.iter().filter_map(|report| match &report.verdict {
        Verdict::Failed { reason } => Some(format!("- {reason}")),
        _ => None,
    });
    let why: Vec<_> = unmet.iter().map(|entry| said(entry)).chain(failures.take(FAILURES_MAX)).collect();
    let (count, all) = (unmet.len(), ledger.entries.len());
    let shortfall =
        Shortfall { requirements: unmet.iter().map(|e| e.id.clone()).collect(), why: why.join("\n") };
    let id = program.all().iter().map(|i| i.id.0).max().unwrap_or(0) + 1;
    let again = Instruction {
        id: InstructionId(id),
        title: "Plan what is left".to_owned(),
        control: Some(Control::Replan { steps_max: STEPS_MAX, shortfall: Some(shortfall) }),
        ..Instruction::default()
    };
    let mut longer = program.clone();
    longer.instructions.push(again);
    Some((longer, format!("{count} of {all} requirements are not met: what is left is planned again")))
}

/// Whether limits leave so much that a plan and its steps have a chance.
fn has_room(state: &RunState, start: &Start) -> bool {
    let used = state.used();
    let leaves = |cap: &Cap| {
        cap.limit(&start.limits).is_none_or(|limit| limit.saturating_sub(cap.of(&used)) >= limit / LEFT_SHARE)
    };
    Cap::ALL.iter().all(leaves)
}

fn said(entry: &Entry) -> String {
    let failed = entry.evidence.iter().find(|evidence| !evidence.passed);
    let why = match (failed, entry.nothing.first()) {
        (Some(evidence), _) => format!("{} {}", evidence.what, evidence.word()),
        (None, Some(nothing)) => format!("{}: {}", nothing.what, nothing.why),
        (None, None) => "nothing shows it".to_owned(),
    };
    let why: String = why.chars().take(WHY_CHARS_MAX).collect();
    format!("{}: {} Not met: {why}.", entry.id, entry.text)
}
