//! Limits against a world that dies in the middle of calls: what is owed to whoever runs the model never passes them.

use edvac_agents::client::{Finish, ModelReply};
use edvac_agents::templates::Templates;
use edvac_memory::context::Fitted;
use edvac_memory::ids::InstructionId;
use edvac_memory::journal::RecordKind;
use edvac_memory::program::Instruction;
use proptest::prelude::*;

use super::*;
use crate::config::ModelConfig;
use crate::control::decide::tests::{World, checked_once, record, started};
use crate::control::state::Work;
use crate::control::{Effect, Event, Purpose, Rules, Settlement, decide};
use crate::domain::Domain;
use crate::raise::raise;

/// What a call of the world in `decide_tests` takes at most beyond what was reserved for it.
const BEYOND_MAX: u64 = 2;

fn codebase() -> Domain {
    Domain::load("codebase", &Templates::load(None).unwrap()).unwrap()
}

fn priced(currency: &str, micros: u64) -> Tariff {
    Tariff::Priced(Price {
        currency: currency.into(),
        prompt_micros: micros,
        cached_prompt_micros: micros / 10,
        completion_micros: micros,
    })
}

fn started_at(limits: Limits, price: Tariff) -> Event {
    let mut event = started(limits);
    if let Event::RunStarted { tariff, .. } = &mut event {
        *tariff = Some(price);
    }
    event
}

fn resumed(limits: Limits, tariff: Tariff) -> Event {
    let Event::RunStarted { model, .. } = started(Limits::default()) else { unreachable!() };
    Event::Resumed {
        unsafe_no_sandbox: false,
        allow_install: false,
        limits,
        model,
        reached: ModelConfig::default(),
        tariff: Some(tariff),
        second: None,
    }
}

/// A journal that is folded while it is written.
#[derive(Default)]
struct Written {
    records: Vec<Record>,
    state: RunState,
}

impl Written {
    fn write(&mut self, kind: RecordKind, key: Option<EffectKey>, event: &Event) {
        let record = record(self.records.len() as u64 + 1, kind, event);
        self.keep(Record { key, ..record });
    }

    fn begin(&mut self, effect: &Effect) {
        let seq = self.records.len() as u64 + 1;
        let key = Some(effect.key(self.state.epoch));
        self.keep(Record { seq, time_ms: 0, kind: RecordKind::Intent, key, body: effect.intent() });
    }

    fn keep(&mut self, record: Record) {
        self.state.apply_record(&record).unwrap();
        self.records.push(record);
    }
}

/// What the model's owner would ask for.
#[derive(Debug, Default, PartialEq)]
struct Owed {
    tokens: u64,
    calls: u64,
    cost_micros: u64,
}

/// Carries a run out; whenever a call begins and `dies` says so, the process dies in it, after the model made all that it may.
fn carried_out(limits: &Limits, dice: Vec<u8>, dies: &mut impl Iterator<Item = bool>) -> (Written, Owed) {
    let domain = codebase();
    let tariff = priced("USD", 3_000_000);
    let mut world = World { dice, at: 0 };
    let mut run = Written::default();
    let mut owed = Owed::default();
    run.write(RecordKind::Fact, None, &started_at(limits.clone(), tariff.clone()));
    while let Some(effect) = decide(&run.state, &Rules { domain: &domain }).into_iter().next() {
        if let Effect::Call { reserve, .. } = &effect {
            run.begin(&effect);
            owed.calls += 1;
            if dies.next() == Some(true) {
                owed.tokens += reserve.tokens();
                owed.cost_micros += reserve.cost_micros.unwrap();
                run.write(RecordKind::Fact, None, &resumed(limits.clone(), tariff.clone()));
                continue;
            }
        }
        let event = world.perform(&effect, &run.state);
        match &event {
            Event::Replied { reply, .. } => {
                owed.tokens += reply.usage.prompt_tokens + reply.usage.completion_tokens;
                owed.cost_micros += tariff.cost_micros(&reply.usage).unwrap();
            }
            // The endpoint counted the prompt and made nothing of it.
            Event::Overflowed { .. } => owed.calls -= 1,
            _ => {}
        }
        run.write(RecordKind::Result, Some(effect.key(run.state.epoch)), &event);
    }
    (run, owed)
}

proptest! {
    #[test]
    fn no_limit_is_passed_however_often_a_run_dies(
        dice in prop::collection::vec(any::<u8>(), 8..64),
        deaths in prop::collection::vec(any::<bool>(), 0..40),
        tokens_max in prop::option::of(0_u64..80_000),
        cost_micros_max in prop::option::of(0_u64..240_000),
        calls_max in prop::option::of(0_u64..40),
    ) {
        let limits = Limits { tokens_max, cost_micros_max, calls_max, repairs_max: 3, ..Limits::default() };
        let (run, owed) = carried_out(&limits, dice, &mut deaths.into_iter());
        let used = run.state.used();
        prop_assert_eq!(
            &owed,
            &Owed { tokens: used.tokens, calls: used.calls, cost_micros: used.cost_micros },
            "what counts as used is what is owed"
        );
        prop_assert!(tokens_max.is_none_or(|max| owed.tokens <= max + BEYOND_MAX));
        prop_assert!(cost_micros_max.is_none_or(|max| owed.cost_micros <= max + 3 * BEYOND_MAX));
        prop_assert!(calls_max.is_none_or(|max| owed.calls <= max));
        prop_assert!(run.state.is_over() || run.state.stopped.is_some());
        prop_assert_eq!(RunState::of(&run.records).unwrap(), run.state);
    }

    #[test]
    fn the_limit_that_a_run_is_told_to_raise_lets_it_go_on(
        dice in prop::collection::vec(any::<u8>(), 8..64),
        tokens_max in 0_u64..40_000,
    ) {
        let limits = Limits { tokens_max: Some(tokens_max), repairs_max: 3, ..Limits::default() };
        let (mut run, _) = carried_out(&limits, dice, &mut std::iter::empty());
        let Some(StopReason::TokenLimit { .. }) = run.state.stopped else { return Ok(()) };
        let raised = raise(&run.state).unwrap();
        let limits = Limits { tokens_max: Some(raised.value.parse().unwrap()), ..limits };
        run.write(RecordKind::Fact, None, &resumed(limits, priced("USD", 3_000_000)));
        let next = decide(&run.state, &Rules { domain: &codebase() }).remove(0);
        prop_assert_ne!(next.name(), "stop");
    }
}

#[test]
fn a_run_that_dies_in_every_call_comes_to_its_limit() {
    let limits = Limits { tokens_max: Some(50_000), ..Limits::default() };
    let (run, owed) = carried_out(&limits, vec![3; 8], &mut std::iter::repeat(true));
    assert!(matches!(run.state.stopped, Some(StopReason::TokenLimit { .. })), "{:?}", run.state.stopped);
    assert!(run.state.program.is_none() && run.state.totals.calls == 0, "nothing ever came back");
    assert!((40_000..=50_000).contains(&owed.tokens), "{owed:?}");
    assert_eq!(run.state.bill.unanswered.calls, owed.calls);
}

fn call(state: &RunState, id: u32) -> Effect {
    let purpose = Purpose::Work { instruction: InstructionId(id), attempt: 1, restart: 0 };
    let context = Some(Fitted { given_tokens: 1_000, ..Fitted::default() });
    let talk = Conversation { context, turns: Vec::new() };
    Effect::Call { purpose, turn: 0, reserve: state.start.as_ref().unwrap().reserve(&talk, false) }
}

fn replied(tokens: u64) -> Event {
    let purpose = Purpose::Work { instruction: InstructionId(1), attempt: 1, restart: 0 };
    let usage = Usage { prompt_tokens: tokens, ..Usage::default() };
    let reply = ModelReply { text: String::new(), finish: Finish::Stop, usage, model: "m".into() };
    Event::Replied { purpose, turn: 0, reply }
}

#[test]
fn calls_in_flight_are_counted_beside_each_other() {
    let limits = Limits { tokens_max: Some(7_000), reply_tokens_max: 2_000, ..Limits::default() };
    let mut run = Written::default();
    run.write(RecordKind::Fact, None, &started_at(limits, priced("USD", 1_000_000)));
    let refusal = |run: &Written, id| {
        let Effect::Call { reserve, .. } = call(&run.state, id) else { unreachable!() };
        let start = run.state.start.as_ref().unwrap();
        refusal(&run.state, start, &call(&run.state, id).key(0), &reserve)
    };
    for id in [1, 2] {
        assert_eq!(refusal(&run, id), None);
        run.begin(&call(&run.state, id));
    }
    assert!(matches!(refusal(&run, 3), Some(StopReason::TokenLimit { used: 6_000, next: 3_000, .. })));
    assert_eq!(refusal(&run, 2), None, "a call is not in its own way");
    run.write(RecordKind::Result, Some(call(&run.state, 1).key(0)), &replied(500));
    assert_eq!(refusal(&run, 3), None, "settled for less");
    assert_eq!(run.state.used().tokens, 500);
}

#[test]
fn what_was_refused_unread_costs_nothing() {
    let left = |why: StopReason| {
        let mut run = Written::default();
        run.write(RecordKind::Fact, None, &started_at(Limits::default(), priced("USD", 1_000_000)));
        run.begin(&call(&run.state, 1));
        run.write(RecordKind::Fact, None, &Event::Stopped { why });
        run.write(RecordKind::Fact, None, &resumed(Limits::default(), priced("EUR", 1_000_000)));
        run.state.bill.unanswered
    };
    let failed = |unread| StopReason::Model { why: "no".into(), unread };
    assert_eq!(left(failed(true)), Unanswered::default());
    let lost = left(failed(false));
    assert_eq!((lost.calls, lost.prompt_tokens, lost.completion_tokens), (1, 0, 3_048), "with what is given");
    assert_eq!(lost.money.micros["USD"], 3_048, "in the currency in which it was begun");
    assert_eq!(left(StopReason::Interrupted).calls, 1);
}

#[test]
fn each_call_has_the_price_that_its_model_had() {
    let mut run = Written::default();
    run.write(RecordKind::Fact, None, &started_at(Limits::default(), priced("USD", 2_000_000)));
    for (tariff, calls) in
        [(None, 1), (Some(priced("EUR", 5_000_000)), 2), (Some(Tariff::Unknown), 3), (Some(Tariff::Free), 1)]
    {
        if let Some(tariff) = tariff {
            run.write(RecordKind::Fact, None, &resumed(Limits::default(), tariff));
        }
        for _ in 0..calls {
            run.state.apply(&replied(100));
        }
    }
    let paid = &run.state.bill.paid;
    assert_eq!((paid.micros["USD"], paid.micros["EUR"], paid.unpriced_calls), (200, 1_000, 3));
}

#[test]
fn a_journal_from_before_there_were_prices_can_be_read() {
    for (provider, tariff) in [("local", Tariff::Free), ("openai", Tariff::Unknown)] {
        let mut event = started(Limits::default());
        if let Event::RunStarted { model, .. } = &mut event {
            provider.clone_into(&mut model.provider);
        }
        let mut record = record(1, RecordKind::Fact, &event);
        assert!(record.body.get("tariff").is_none());
        record.body["limits"] = serde_json::json!({
            "plan_turns_max": 4, "attempts_max": 3, "turns_max": 6, "restarts_max": 2, "reply_tokens_max": 2048,
            "tokens_max": null, "wall_ms_max": null,
        });
        assert_eq!(RunState::of(&[record]).unwrap().start.unwrap().tariff, tariff);
    }
}

fn tokens(tokens: u64) -> Used {
    Used { tokens, ..Used::default() }
}

#[test]
fn a_step_has_its_share_of_a_limited_run() {
    let limits = Limits { tokens_max: Some(10_000), calls_max: Some(100), ..Limits::default() };
    let of = |left| Share { own: 1, left };
    let share = |now, left| share_used(&tokens(2_000), &tokens(now), &limits, of(left));
    assert_eq!(share(3_999, 4), None);
    assert_eq!(share(4_000, 4), Some(Cap::Tokens), "a quarter of the 8,000 that were left");
    assert_eq!(share(9_999, 1), None, "the last one has what is left");
    let code = |now| share_used(&tokens(2_000), &tokens(now), &limits, Share { own: 3, left: 4 });
    assert_eq!((code(7_999), code(8_000)), (None, Some(Cap::Tokens)), "three shares of four");
    assert_eq!(share_used(&tokens(0), &tokens(9_999), &Limits::default(), of(4)), None, "nothing is limited");
    let calls = Used { calls: 25, ..Used::default() };
    assert_eq!(share_used(&Used::default(), &calls, &limits, of(4)), Some(Cap::Calls));
    let mut work = checked_once(2, 4).work.unwrap();
    work.turns_used = 0;
    assert_eq!(work.share_used(&tokens(9_999), &limits, of(4)), None, "it was not asked yet");
}

/// A run of two steps, the first of which has used its share.
fn used_up(limits: &Limits) -> RunState {
    let mut state = checked_once(2, 4);
    let start = state.start.as_mut().unwrap();
    start.limits = limits.clone();
    state.totals.prompt_tokens = 600_000;
    state.work.as_mut().unwrap().turns_used = 1;
    let program = state.program.get_or_insert_default();
    for id in [1, 99] {
        program.instructions.push(Instruction { id: InstructionId(id), ..Instruction::default() });
    }
    state
}

fn next(state: &RunState) -> Effect {
    decide(state, &Rules { domain: &codebase() }).remove(0)
}

fn committed(effect: &Effect) -> Event {
    let Effect::Commit { instruction, settlement, cut, tree, .. } = effect else { panic!("{effect:?}") };
    Event::Committed {
        instruction: *instruction,
        settlement: *settlement,
        cut: *cut,
        commit: "c".into(),
        tree: tree.clone(),
        touched: vec![],
        needs: None,
        inventory: crate::check::integrity::Inventory::default(),
    }
}

#[test]
fn a_step_that_was_cut_short_is_taken_up_where_the_limit_is_raised() {
    let limits = Limits { tokens_max: Some(1_000_000), ..Limits::default() };
    let mut state = used_up(&limits);
    let cut = next(&state);
    assert!(
        matches!(cut, Effect::Commit { settlement: Settlement::Unfinished, cut: Some(Cap::Tokens), .. }),
        "what it has is kept, and the next step begins: {cut:?}"
    );
    state.apply(&committed(&cut));
    let id = |state: &RunState| state.next_instruction().unwrap().id.0;
    assert_eq!(id(&state), 99);
    let with = |limits: Limits| {
        let mut state = state.clone();
        state.apply(&resumed(limits, Tariff::Free));
        (id(&state), state.epoch, next(&state).key(state.epoch).0)
    };
    let first = "i99/a1/r0/assemble".to_owned();
    assert_eq!(with(limits.clone()), (99, 0, first.clone()), "as it was");
    assert_eq!(with(Limits { calls_max: Some(9), ..limits.clone() }), (99, 0, first), "another limit");
    let again = "e1/i1/a1/r0/assemble".to_owned();
    assert_eq!(with(Limits { tokens_max: Some(2_000_000), ..limits.clone() }), (1, 1, again.clone()));
    assert_eq!(with(Limits { tokens_max: None, ..limits }), (1, 1, again), "lifted");
}

#[test]
fn at_a_limit_what_is_good_is_committed_before_the_run_stops() {
    let limits = Limits { tokens_max: Some(1), ..Limits::default() };
    let mut good = used_up(&limits);
    good.program.as_mut().unwrap().instructions.pop();
    let mut bad = good.clone();
    let best = good.work.as_mut().unwrap();
    best.best.as_mut().unwrap().all_passed = true;
    best.unproven = vec!["R1".into()];
    best.faults.clear();
    bad.work.as_mut().unwrap().faults.clear();
    assert!(matches!(next(&good), Effect::Commit { settlement: Settlement::Finished, cut: None, .. }));
    assert!(matches!(next(&bad), Effect::Stop { why: StopReason::TokenLimit { .. } }));
    let stopped = {
        let mut state = good.clone();
        state.apply(&committed(&next(&good)));
        state
    };
    assert_eq!(stopped.settled[&InstructionId(1)].settlement, Settlement::Finished);
}

#[test]
fn when_the_time_is_up_the_last_reply_is_still_made_use_of() {
    let mut state = used_up(&Limits { wall_ms_max: Some(1), ..Limits::default() });
    state.totals.worked_ms = 5;
    assert!(matches!(next(&state), Effect::Stop { why: StopReason::TimeLimit { .. } }));
    let Work { talk, .. } = state.work.as_mut().unwrap();
    talk.turns[0].acted = false;
    assert_eq!(next(&state).name(), "act");
    talk_acted(&mut state);
    assert_eq!(next(&state).name(), "check");
    state.work.as_mut().unwrap().review.begin(&[edvac_agents::roles::reviewer::GivenUp {
        path: "test_a.py".into(),
        test: "t".into(),
        said: "gone".into(),
        reason: "so".into(),
    }]);
    assert_eq!(next(&state).name(), "stop", "the reviewer would have to be asked");
}

fn talk_acted(state: &mut RunState) {
    let turn = &mut state.work.as_mut().unwrap().talk.turns[0];
    (turn.acted, turn.checked) = (true, false);
}

#[test]
fn taking_a_run_back_takes_back_no_limit_and_no_money() {
    let mut run = Written::default();
    let price = || priced("USD", 1_000_000);
    let small = Limits { tokens_max: Some(1_000), ..Limits::default() };
    run.write(RecordKind::Fact, None, &started_at(small, price()));
    let large = Limits { tokens_max: Some(9_000), ..Limits::default() };
    run.write(RecordKind::Fact, None, &resumed(large.clone(), price()));
    run.write(
        RecordKind::Fact,
        None,
        &Event::Assembled { purpose: Purpose::Plan, fitted: Fitted::default() },
    );
    run.write(RecordKind::Result, Some("plan/t0/call".into()), &replied(700));
    let mut records = run.records;
    let back = Event::Restored { to: 1, why: "back".into() };
    records.push(record(records.len() as u64 + 1, RecordKind::Fact, &back));
    let state = RunState::of(&records).unwrap();
    assert_eq!(state.start.as_ref().unwrap().limits, large);
    assert_eq!((state.bill.paid.micros["USD"], state.used().tokens), (700, 700));
}
