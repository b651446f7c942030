//! The one command that raises a limit which stopped a run, or cut steps of it short, and goes on.

use crate::config::MINUTE_MS;
use crate::control::budget::Cap;
use crate::control::{RunState, StopReason};
use crate::price::amount;

/// A limit and a figure with which the run gets further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The flag of `edvac resume`.
    pub flag: &'static str,
    /// Its value.
    pub value: String,
}

/// How a run goes on that a limit stopped or cut short; none where no limit did.
///
/// The figure is what the steps that are left would take if they took as much as those that are done, and at least half as much
/// again as before: a guess that is enough for the next call, not a promise that it is enough for all.
pub fn raise(state: &RunState) -> Option<Raise> {
    let start = state.start.as_ref()?;
    let used = state.used_with(&state.bill.clone().given_up(start));
    let cut = state.settled.values().filter_map(|settled| settled.cut);
    let (cap, next) = match (&state.stopped, state.is_over()) {
        (Some(StopReason::ByteLimit { used, limit, next }), false) => {
            let value = wanted(*used, *limit, *next, state).to_string();
            return Some(Raise { flag: "--max-bytes", value });
        }
        (Some(StopReason::TokenLimit { next, .. }), false) => (Cap::Tokens, *next),
        (Some(StopReason::CostLimit { next_micros, .. }), false) => (Cap::Cost, *next_micros),
        (Some(StopReason::CallLimit { .. }), false) => (Cap::Calls, 1),
        (Some(StopReason::TimeLimit { .. }), false) => (Cap::Time, 0),
        (_, true) => (cut.min_by_key(|cap| *cap as u8)?, 0),
        _ => return None,
    };
    let more = wanted(cap.of(&used), cap.limit(&start.limits)?, next, state);
    let (flag, value) = match cap {
        Cap::Tokens => ("--max-tokens", more.to_string()),
        Cap::Cost => ("--max-cost", amount(more, "")),
        Cap::Calls => ("--max-calls", more.to_string()),
        Cap::Time => ("--max-minutes", more.div_ceil(MINUTE_MS).to_string()),
    };
    Some(Raise { flag, value })
}

/// The command itself.
pub fn command(state: &RunState) -> Option<String> {
    let run = &state.start.as_ref()?.run;
    raise(state).map(|Raise { flag, value }| format!("edvac resume {run} {flag} {value}"))
}

fn wanted(used: u64, limit: u64, next: u64, state: &RunState) -> u64 {
    let cut = state.settled.values().filter(|settled| settled.cut.is_some()).count() as u64;
    let done = (state.settled.len() as u64 - cut).max(1);
    let left = (state.steps_left() + cut).max(1);
    let at_this_pace = used.saturating_add((used / done).saturating_mul(left));
    let least = limit.saturating_add(limit / 2).max(used.saturating_add(next)).max(limit + 1);
    round_up(at_this_pace.max(least))
}

/// The next number that has two digits and then only zeros.
fn round_up(number: u64) -> u64 {
    let mut unit = 1_u64;
    while number / unit >= 100 {
        unit = unit.saturating_mul(10);
    }
    number.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::decide::tests::started;
    use crate::control::event::{Event, Limits};

    fn stopped(limits: Limits, why: StopReason) -> RunState {
        let mut state = RunState::default();
        state.apply(&started(limits));
        state.apply(&Event::Stopped { why });
        state
    }

    #[test]
    fn figures_are_round_and_enough_for_the_next_call() {
        assert_eq!([0, 99, 100, 101, 12_345].map(round_up), [0, 99, 100, 110, 13_000]);
        let limits = Limits { tokens_max: Some(1_000), ..Limits::default() };
        let why = StopReason::TokenLimit { used: 0, limit: 1_000, next: 4_321 };
        let raised = raise(&stopped(limits, why)).unwrap();
        assert_eq!((raised.flag, raised.value.as_str()), ("--max-tokens", "4400"));
        let limits = Limits { wall_ms_max: Some(60_000), ..Limits::default() };
        let why = StopReason::TimeLimit { used_ms: 0, limit_ms: 60_000 };
        assert_eq!(
            command(&stopped(limits, why)).as_deref(),
            Some("edvac resume r --max-minutes 2"),
            "a minute and a half"
        );
        let limits = Limits { cost_micros_max: Some(2_500_000), ..Limits::default() };
        let why = StopReason::CostLimit {
            used_micros: 0,
            limit_micros: 2_500_000,
            next_micros: 0,
            currency: "USD".into(),
        };
        assert_eq!(raise(&stopped(limits, why)).unwrap().value, "3.80");
        assert_eq!(raise(&stopped(Limits::default(), StopReason::Interrupted)), None);
    }
}
