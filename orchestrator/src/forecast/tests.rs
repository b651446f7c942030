use edvac_memory::ids::InstructionId;
use edvac_memory::program::CheckKind;
use proptest::prelude::*;

use super::*;
use crate::control::budget::{Money, Price};

fn step(id: u32) -> Instruction {
    Instruction { id: InstructionId(id), attempts_max: 3, ..Instruction::default() }
}

fn deciding(control: Control) -> Instruction {
    Instruction { control: Some(control), ..step(9) }
}

fn priced() -> Tariff {
    Tariff::Priced(Price {
        currency: "USD".into(),
        prompt_micros: 1_000_000,
        cached_prompt_micros: 100_000,
        completion_micros: 4_000_000,
    })
}

fn spent(calls: u64, prompt_tokens: u64, completion_tokens: u64) -> Spent {
    let usage = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
    let mut money = Money::default();
    money.pay(&priced(), &usage);
    Spent { calls, prompt_tokens, reused_tokens: 0, completion_tokens, work_ms: 10 * calls, money }
}

fn history(steps: Vec<Spent>) -> History {
    let runs = usize::from(!steps.is_empty());
    History { runs, steps, ..History::default() }
}

fn ask(instructions: Option<&[&Instruction]>, limits: &Limits, history: &History) -> Forecast {
    let model = ModelConfig::default();
    Question { instructions, limits, model: &model, tariff: &priced(), replans_max: 0 }.forecast(history)
}

fn ordered(forecast: &Forecast) -> bool {
    let Needs { calls, prompt_tokens, completion_tokens, cost_micros, work_ms } = forecast.needs;
    [forecast.steps, forecast.tokens, calls, prompt_tokens, completion_tokens, work_ms, cost_micros.unwrap()]
        .iter()
        .all(|range| range.low <= range.expected && range.expected <= range.high)
}

#[test]
fn steps_that_decide_are_counted_by_what_may_follow() {
    let body = vec![step(1), step(2)];
    let condition = CheckKind::Tests;
    for (control, low, expected, high) in [
        (Control::ForEach { list: "l".into(), items_max: 5, body: body.clone() }, 0, 6, 10),
        (
            Control::While { condition: condition.clone(), rounds_max: 4, body: body.clone(), rounds: 1 },
            0,
            4,
            6,
        ),
        (Control::If { condition, then: body, otherwise: vec![] }, 0, 1, 2),
        (Control::Replan { steps_max: 3, shortfall: None }, 0, 2, 3),
        (Control::Approve { question: "?".into() }, 0, 0, 0),
    ] {
        let instructions = [deciding(control)];
        assert_eq!(steps_of(instructions.iter()), Range { low, expected, high }, "{instructions:?}");
    }
}

#[test]
fn what_was_seen_is_what_is_forecast() {
    let (a, b) = (step(1), step(2));
    let seen = history(vec![spent(1, 100, 10), spent(3, 500, 50)]);
    let forecast = ask(Some(&[&a, &b]), &Limits::default(), &seen);
    assert_eq!(forecast.needs.calls, Range { low: 2, expected: 4, high: 6 });
    assert_eq!(forecast.tokens, Range { low: 220, expected: 660, high: 1_100 });
    let cost = forecast.needs.cost_micros.unwrap();
    assert_eq!((cost.low, cost.high), (2 * 140, 2 * 700));
    assert_eq!(forecast.basis, Basis::History { runs: 1, steps: 2 });
}

#[test]
fn without_history_it_says_what_it_assumes() {
    let a = step(1);
    let forecast = ask(Some(&[&a]), &Limits::default(), &History::default());
    assert!(matches!(&forecast.basis, Basis::Assumed { assumptions } if assumptions.len() == 4));
    assert_eq!(forecast.needs.calls.high, 3 * (6 + 24 + 2 + 1), "all that its limits allow");
    let unplanned = ask(None, &Limits::default(), &History::default());
    assert!(!unplanned.is_planned && unplanned.steps.low < unplanned.steps.high);
    assert!(unplanned.needs.calls.low > forecast.needs.calls.low, "planning is a call, too");
    let model = ModelConfig { provider: "openai".into(), ..ModelConfig::default() };
    let limits = Limits::default();
    let question = Question {
        instructions: Some(&[&a]),
        limits: &limits,
        model: &model,
        tariff: &Tariff::Unknown,
        replans_max: 0,
    };
    assert_eq!(question.forecast(&History::default()).needs.cost_micros, None, "no price is no 0");
    assert_eq!(question.forecast(&history(vec![spent(1, 1, 1)])).needs.cost_micros, None);
}

#[test]
fn limits_that_are_too_small_are_warned_about() {
    let a = step(1);
    let seen = history(vec![spent(2, 1_000, 0), spent(4, 3_000, 0)]);
    let warned = |limits| ask(Some(&[&a]), &limits, &seen).warnings.join("\n");
    let none = Limits::default();
    assert_eq!(warned(none.clone()), "");
    assert_eq!(warned(Limits { tokens_max: Some(2_000), ..none.clone() }), "", "as much as is expected");
    let less = warned(Limits { tokens_max: Some(999), calls_max: Some(2), ..none.clone() });
    assert!(less.contains("token limit of 999 is less than the 1000 that are needed at least"), "{less}");
    assert!(less.contains("limit of calls of 2 is less than the 3 that are expected"), "{less}");
    let cost = warned(Limits { cost_micros_max: Some(500), ..none });
    assert!(cost.contains("cost limit of 0.0005 USD is less than the 0.001 USD"), "{cost}");
}

prop_compose! {
    fn any_spent()(calls in 1_u64..9, prompt in 0_u64..90_000, written in 0_u64..9_000) -> Spent {
        spent(calls, prompt, written)
    }
}

proptest! {
    #[test]
    fn at_least_is_never_more_than_probably_and_that_never_more_than_at_most(
        steps in prop::collection::vec(any_spent(), 0..8),
        count in prop::option::of(0_u32..9),
        items_max in 0_u32..20,
        window_tokens in 0_usize..40_000,
        reply_tokens_max in 1_u32..9_000,
        repairs_max in 0_u32..30,
    ) {
        let mut program: Vec<_> = (0..count.unwrap_or(0)).map(step).collect();
        program.push(deciding(Control::ForEach { list: "l".into(), items_max, body: vec![step(1)] }));
        program.push(deciding(Control::Replan { steps_max: items_max, shortfall: None }));
        let instructions: Vec<_> = program.iter().collect();
        let limits = Limits { repairs_max, reply_tokens_max, ..Limits::default() };
        let model = ModelConfig { window_tokens, ..ModelConfig::default() };
        let instructions = count.is_some().then_some(&instructions[..]);
        let question = Question { instructions, limits: &limits, model: &model, tariff: &priced(), replans_max: 0 };
        prop_assert!(ordered(&question.forecast(&history(steps))));
    }

    #[test]
    fn what_it_was_counted_from_lies_in_it(steps in prop::collection::vec(any_spent(), 1..8)) {
        let program: Vec<_> = (0..steps.len() as u32).map(step).collect();
        let instructions: Vec<_> = program.iter().collect();
        let forecast = ask(Some(&instructions), &Limits::default(), &history(steps.clone()));
        let lies_in = |range: Range, of: fn(&Spent) -> u64| {
            (range.low..=range.high).contains(&steps.iter().map(of).sum())
        };
        prop_assert!(lies_in(forecast.needs.calls, |s| s.calls));
        prop_assert!(lies_in(forecast.tokens, |s| s.prompt_tokens + s.completion_tokens));
        prop_assert!(lies_in(forecast.needs.cost_micros.unwrap(), |s| s.money.amount_in(priced().currency())));
    }
}
