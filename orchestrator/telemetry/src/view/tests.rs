use edvac_memory::journal::{Record, RecordKind};
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use serde_json::json;

use super::testing::{
    LETTERS, PROGRAM, RUN, SCRIPT, TRACEPARENT, died, hold, journal_of, numbered, text_of, tree,
};
use super::{Options, View, spans_of};
use crate::measure::Measure;
use crate::semconv::{self as name, Names};

#[test]
fn a_run_is_a_tree() {
    let records = journal_of(SCRIPT, None, 1);
    let spans = spans_of(&records, Options::default(), true).unwrap();
    hold(&spans);
    let keys = [name::STEP_ID, name::ATTEMPT, name::TURN, name::CHECK_VERDICT, name::RUN_STATUS];
    insta::assert_snapshot!(tree(&spans, &keys), @r"
    invoke_workflow custom [0..360] ok status=done !edvac.program.adopted
      invoke_agent planner [10..40]
        retrieval workspace [10..20]
        chat tiny [30..40] turn=0
      edvac.step [70..160] ok id=1 !edvac.committed
        edvac.attempt [70..140] id=1 attempt=1
          invoke_agent worker [70..140]
            retrieval workspace [70..80] id=1
            chat tiny [90..100] id=1 turn=0
            execute_tool act [110..120] id=1
            execute_tool check [130..140] id=1
              execute_tool exists [130..130] verdict=passed
              execute_tool parses [130..130] verdict=passed
      edvac.step [170..320] ok id=2 !edvac.committed
        edvac.attempt [170..300] id=2 attempt=1
          invoke_agent worker [170..300]
            retrieval workspace [170..180] id=2
            chat tiny [190..200] id=2 turn=0
            execute_tool act [210..220] id=2
            execute_tool check [230..240] id=2
              execute_tool exists [230..230] error=failed verdict=failed
              execute_tool parses [230..230] error=failed verdict=failed
            chat tiny [250..260] id=2 turn=1
            execute_tool act [270..280] id=2
            execute_tool check [290..300] id=2
              execute_tool exists [290..290] verdict=passed
              execute_tool parses [290..290] verdict=passed
      execute_tool check [330..340]
        execute_tool exists [330..330] verdict=passed
        execute_tool parses [330..330] verdict=passed
        execute_tool exists [330..330] verdict=passed
        execute_tool parses [330..330] verdict=passed
    ");
}

#[test]
fn a_call_says_what_it_took() {
    let records = journal_of(SCRIPT, None, 1);
    let of = |options| {
        let spans = spans_of(&records, options, true).unwrap();
        let call = spans.iter().find(|span| span.name == "chat tiny").unwrap().clone();
        let run = spans.iter().find(|span| span.name.starts_with(name::INVOKE_WORKFLOW)).unwrap().clone();
        let keys = |span: &SpanData| -> Vec<String> {
            let mut keys: Vec<_> = span.attributes.iter().map(|kv| kv.key.to_string()).collect();
            keys.sort();
            keys
        };
        format!("run\n  {}\ncall\n  {}", keys(&run).join("\n  "), keys(&call).join("\n  "))
    };
    insta::assert_snapshot!(of(Options::default()), @r"
    run
      edvac.journal.seq
      edvac.requirements.count
      edvac.requirements.met
      edvac.run.domain
      edvac.run.seed
      edvac.run.status
      edvac.run.version
      gen_ai.conversation.id
      gen_ai.operation.name
      gen_ai.workflow.name
    call
      edvac.effect.key
      edvac.journal.seq
      edvac.turn
      gen_ai.conversation.id
      gen_ai.operation.name
      gen_ai.output.type
      gen_ai.provider.name
      gen_ai.request.max_tokens
      gen_ai.request.model
      gen_ai.request.seed
      gen_ai.response.finish_reasons
      gen_ai.response.model
      gen_ai.usage.cache_read.input_tokens
      gen_ai.usage.input_tokens
      gen_ai.usage.output_tokens
    ");
    insta::assert_snapshot!(of(Options { names: Names::Latest, content: true }), @r"
    run
      edvac.journal.seq
      edvac.requirements.count
      edvac.requirements.met
      edvac.run.domain
      edvac.run.seed
      edvac.run.status
      edvac.run.task
      edvac.run.version
      gen_ai.agent.name
      gen_ai.conversation.id
      gen_ai.operation.name
    call
      edvac.effect.key
      edvac.journal.seq
      edvac.turn
      gen_ai.conversation.id
      gen_ai.input.messages
      gen_ai.operation.name
      gen_ai.output.messages
      gen_ai.output.type
      gen_ai.provider.name
      gen_ai.request.max_tokens
      gen_ai.request.model
      gen_ai.request.seed
      gen_ai.response.finish_reasons
      gen_ai.response.model
      gen_ai.system_instructions
      gen_ai.usage.cache_read.input_tokens
      gen_ai.usage.input_tokens
      gen_ai.usage.output_tokens
    ");
}

#[test]
fn what_is_counted_is_what_happened() {
    let records = journal_of(SCRIPT, None, 1);
    let mut view = View::new(Options::default());
    let all: Vec<_> = records.iter().flat_map(|record| view.see(record).unwrap().measures).collect();
    let of = |wanted: &Measure| all.iter().filter(|measure| *measure == wanted).count();
    assert_eq!(of(&Measure::Run { status: "done" }), 1);
    assert_eq!(of(&Measure::Step { outcome: "finished" }), 2);
    let exists = |verdict| Measure::Check { kind: "exists".to_owned(), verdict };
    assert_eq!((of(&exists("passed")), of(&exists("failed"))), (4, 1));
    let calls: Vec<_> =
        all.iter().filter_map(|m| if let Measure::Call(call) = m { Some(call) } else { None }).collect();
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|call| call.error.is_none() && call.request_model == "tiny"));
    assert!(calls.iter().all(|call| (call.seconds - 0.01).abs() < 1e-9));
}

#[test]
fn what_a_run_stops_for_is_said_of_what_failed() {
    let without = SCRIPT.split("[[reply]]").take(3).collect::<Vec<_>>().join("[[reply]]");
    let records = journal_of(&without, None, 1);
    let spans = spans_of(&records, Options::default(), true).unwrap();
    hold(&spans);
    let failed = spans.iter().filter(|span| span.status != Status::Unset && span.status != Status::Ok);
    let failed: Vec<_> =
        failed.map(|span| (span.name.as_ref(), text_of(span, name::ERROR_TYPE).unwrap())).collect();
    assert_eq!(failed, [("chat tiny", "model".to_owned()), ("invoke_workflow custom", "model".to_owned())]);
    let run = spans.last().unwrap();
    assert_eq!(text_of(run, name::RUN_STATUS).unwrap(), "stopped");
}

#[test]
fn content_is_there_only_when_it_is_asked_for() {
    let records = journal_of(SCRIPT, None, 1);
    let all = |content| {
        let spans = spans_of(&records, Options { content, ..Options::default() }, true).unwrap();
        format!("{spans:?}")
    };
    let (without, with) = (all(false), all(true));
    for text in ["secret", "There is a file", "Write the", "Notes.", "Second", "a.md"] {
        assert!(!without.contains(text), "{text}");
        assert!(with.contains(text), "{text}");
    }
    // The second turn is told what was said before it.
    let spans = spans_of(&records, Options { content: true, ..Options::default() }, true).unwrap();
    let told = spans.iter().filter_map(|span| text_of(span, name::INPUT_MESSAGES)).next_back().unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let roles: Vec<_> = told.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert!(told[1]["parts"][0]["content"].as_str().unwrap().contains("The third secret."));
}

#[test]
fn steps_beside_one_another_are_beside_one_another() {
    let records = journal_of(LETTERS, Some(PROGRAM), 3);
    let spans = spans_of(&records, Options::default(), true).unwrap();
    hold(&spans);
    let steps: Vec<_> = spans.iter().filter(|span| span.name == name::STEP).collect();
    assert_eq!(steps.len(), 3);
    let overlap = |a: &SpanData, b: &SpanData| a.start_time < b.end_time && b.start_time < a.end_time;
    assert!(overlap(steps[0], steps[1]) && overlap(steps[1], steps[2]));
    // The conflict has the third step carried out once more: a second attempt span, though its number is 1 again.
    let third: Vec<_> = spans
        .iter()
        .filter(|span| span.name == name::ATTEMPT_SPAN && text_of(span, name::STEP_ID).unwrap() == "3")
        .collect();
    assert_eq!(third.len(), 2);
    assert!(spans.iter().any(|span| span.status == Status::error("conflict")));
}

#[test]
fn a_death_ends_what_was_open_and_the_trace_goes_on() {
    let records = journal_of(SCRIPT, None, 1);
    let is_second_call = |r: &Record| {
        r.kind == RecordKind::Intent && r.key.as_ref().is_some_and(|key| key.as_str() == "i2/a1/r0/t1/call")
    };
    let at = records.iter().position(is_second_call).unwrap() + 1;
    let spans = spans_of(&died(&records, at), Options::default(), true).unwrap();
    hold(&spans);
    assert!(spans.iter().all(|s| s.span_context.trace_id() == spans[0].span_context.trace_id()));
    insta::assert_snapshot!(tree(&spans, &[name::STEP_ID, name::RUN_STATUS]), @r"
    invoke_workflow custom [0..250] error=interrupted status=interrupted !edvac.program.adopted
      invoke_agent planner [10..40]
        retrieval workspace [10..20]
        chat tiny [30..40]
      edvac.step [70..160] ok id=1 !edvac.committed
        edvac.attempt [70..140] id=1
          invoke_agent worker [70..140]
            retrieval workspace [70..80] id=1
            chat tiny [90..100] id=1
            execute_tool act [110..120] id=1
            execute_tool check [130..140] id=1
              execute_tool exists [130..130]
              execute_tool parses [130..130]
      edvac.step [170..250] error=interrupted id=2
        edvac.attempt [170..250] error=interrupted id=2
          invoke_agent worker [170..250] error=interrupted
            retrieval workspace [170..180] id=2
            chat tiny [190..200] id=2
            execute_tool act [210..220] id=2
            execute_tool check [230..240] id=2
              execute_tool exists [230..230] error=failed
              execute_tool parses [230..230] error=failed
            chat tiny [250..250] error=interrupted id=2
    invoke_workflow custom [260..380] ok status=done ->before
      edvac.step [270..340] ok id=2 !edvac.committed
        edvac.attempt [270..320] id=2
          invoke_agent worker [270..320]
            chat tiny [270..280] id=2
            execute_tool act [290..300] id=2
            execute_tool check [310..320] id=2
              execute_tool exists [310..310]
              execute_tool parses [310..310]
      execute_tool check [350..360]
        execute_tool exists [350..350]
        execute_tool parses [350..350]
        execute_tool exists [350..350]
        execute_tool parses [350..350]
    ");
}

#[test]
fn what_a_death_left_is_the_same_before_and_after_the_next_process() {
    let records = journal_of(SCRIPT, None, 1);
    let left = spans_of(&records[..15], Options::default(), true).unwrap();
    let resumed = spans_of(&died(&records, 15), Options::default(), true).unwrap();
    assert_eq!(left[..], resumed[..left.len()]);
}

#[test]
fn whoever_asks_for_a_run_has_it_in_their_trace() {
    let mut records = journal_of(LETTERS, Some(PROGRAM), 1);
    records[0].body["traceparent"] = json!(TRACEPARENT);
    let spans = spans_of(&records, Options::default(), true).unwrap();
    assert!(spans.iter().all(|s| TRACEPARENT.contains(&s.span_context.trace_id().to_string())));
    let run = spans.last().unwrap();
    assert_eq!(run.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert!(run.parent_span_is_remote);
}

#[test]
fn a_fork_is_a_trace_of_its_own() {
    let records = journal_of(LETTERS, Some(PROGRAM), 1);
    let fact = |body| Record { kind: RecordKind::Fact, key: None, body, ..records[0].clone() };
    let start = &records[0].body;
    let forked = fact(
        json!({ "event": "forked", "from": RUN, "at": 9, "run": "fork", "slug": "s", "workspace": "/w" }),
    );
    let copied = [&records[..9], &[forked]].concat();
    assert!(spans_of(&numbered(copied.clone()), Options::default(), true).unwrap().is_empty());
    let resumed = fact(json!({
        "event": "resumed", "limits": start["limits"], "model": start["model"], "reached": start["reached"],
    }));
    let spans = spans_of(&numbered([copied, vec![resumed]].concat()), Options::default(), true).unwrap();
    let [run] = spans.as_slice() else { panic!("{spans:?}") };
    assert_ne!(run.span_context.trace_id(), crate::ids::trace_of(&RUN.into()));
    assert_eq!(run.links.links[0].span_context.trace_id(), crate::ids::trace_of(&RUN.into()));
    assert_eq!(text_of(run, name::CONVERSATION_ID).unwrap(), "fork");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However often a run's process died, and wherever: every span has a parent that encloses it, no id is there twice, and what
    /// ended before a death is the same as without it.
    #[test]
    fn deaths_leave_a_tree(cuts in proptest::collection::vec(0.0..1.0f64, 0..4), beside in any::<bool>()) {
        static ALONE: std::sync::OnceLock<Vec<Record>> = std::sync::OnceLock::new();
        static BESIDE: std::sync::OnceLock<Vec<Record>> = std::sync::OnceLock::new();
        let whole = if beside {
            BESIDE.get_or_init(|| journal_of(LETTERS, Some(PROGRAM), 3))
        } else {
            ALONE.get_or_init(|| journal_of(SCRIPT, None, 1))
        };
        let mut records = whole.clone();
        for cut in &cuts {
            records = died(&records, (cut * records.len() as f64) as usize);
        }
        let spans = spans_of(&records, Options::default(), true).unwrap();
        hold(&spans);
        // One span for each time that an effect of some kind was begun, and one for each process.
        let begun = records.iter().filter(|r| r.kind == RecordKind::Intent && r.body["effect"] == "call").count();
        prop_assert_eq!(spans.iter().filter(|s| s.name.starts_with(name::CHAT)).count(), begun);
        let processes = spans.iter().filter(|s| s.name.starts_with(name::INVOKE_WORKFLOW)).count();
        prop_assert_eq!(processes, cuts.len() + 1);
        // Whoever saw only the beginning handed out the same spans first.
        let half = records.len() / 2;
        let first = spans_of(&records[..half], Options::default(), false).unwrap();
        prop_assert_eq!(&spans[..first.len()], first.as_slice());
    }
}
