use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use edvac_agents::client::scripted::ScriptedClient;
use edvac_memory::journal::{Journal as _, Record, RecordKind, SqliteJournal};
use edvac_memory::program::exchange;
use edvac_orchestrator::config::{Config, PathsConfig};
use edvac_orchestrator::control::event::Limits;
use edvac_orchestrator::run::{Machine, ModelClients, Order};
use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use serde_json::json;

use super::{Options, spans_of};
use crate::semconv::{self as name, Names};

/// Milliseconds between two records of the journals here.
const STEP_MS: i64 = 10;
const RUN: &str = "20261122-235501-3f9a";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Its second step does nothing at first, and is refused by its check.
const SCRIPT: &str = r#"
model = "tiny"

[[reply]]
when = ["You write the plan of a project"]
text = """
TITLE: notes
REQUIREMENT R1: There is a file a.md.
REQUIREMENT R2: There is a file b.md.
STEP 1: First
WRITES: a.md
READS: -
COVERS: R1
DO: Write the first note.
STEP 2: Second
WRITES: b.md
READS: -
COVERS: R2
DO: Write the second note.
END
"""

[[reply]]
when = ["Your step now: step 1,"]
text = "@@ write a.md\n# One\n\nThe first secret.\n@@ end\n@@ done It is there."

[[reply]]
when = ["Your step now: step 2,"]
text = "@@ write c.md\n# Three\n\nThe third secret.\n@@ end\n@@ done It is there."

[[reply]]
when = ["Your step now: step 2,"]
turn = 1
text = "@@ write b.md\n# Two\n\nThe second secret.\n@@ end\n@@ done It is there."
"#;

/// Three steps of which the last two write the same file.
const PROGRAM: &str = r#"
title = "letters"
task = "Letters."
domain = "custom"

[[requirements]]
id = "R1"
text = "There are letters."

[[instructions]]
id = 1
title = "A"
text = "Write the letter A."
covers = ["R1"]
writes = ["a.txt"]
checks = [{ kind = "exists", path = "a.txt", covers = ["R1"] }]

[[instructions]]
id = 2
title = "B"
text = "Write the letter B."
writes = ["b.txt"]

[[instructions]]
id = 3
title = "C"
text = "Write the letter C."
writes = ["c.txt"]
"#;

const LETTERS: &str = r#"
[[reply]]
when = ["Your step now: step 1,"]
text = "@@ write a.txt\na\n@@ end\n@@ done"

[[reply]]
when = ["Your step now: step 2,"]
text = "@@ write b.txt\nb\n@@ end\n@@ write n.txt\nb\n@@ end\n@@ done"

[[reply]]
when = ["Your step now: step 3,", "n.txt (1 lines"]
text = "@@ write c.txt\nc\n@@ end\n@@ write n.txt\nb c\n@@ end\n@@ done"

[[reply]]
when = ["Your step now: step 3,"]
text = "@@ write c.txt\nc\n@@ end\n@@ write n.txt\nc\n@@ end\n@@ done"
"#;

/// The journal of a run that a script answers, as if it had always begun at the same time under the same name.
async fn journal(script: &str, program: Option<&str>, parallel: u32) -> Vec<Record> {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let paths = PathsConfig { state: at("state"), workspaces: at("workspaces"), ..PathsConfig::default() };
    let machine = Machine::new(Config { paths, ..Config::default() }).unwrap();
    let order = Order {
        task: "Notes.".into(),
        domain: "custom".into(),
        program: program.map(|text| exchange::from_toml(text).unwrap()),
        limits: Limits { parallel, ..Limits::default() },
        ..Order::default()
    };
    let prepared = machine.prepare(order).await.unwrap();
    let own = Arc::new(ScriptedClient::parse(script).unwrap());
    let mut handle = machine.start(prepared, ModelClients { own, second: None }, None).await.unwrap();
    handle.join().await.unwrap();
    let journal = SqliteJournal::view(&handle.dir.path).await.unwrap();
    let mut records = journal.read(0, 10_000).await.unwrap();
    records[0].body["run"] = json!(RUN);
    numbered(records)
}

fn journal_of(script: &str, program: Option<&str>, parallel: u32) -> Vec<Record> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(journal(script, program, parallel))
}

/// Records in this order, one after the other in time.
fn numbered(mut records: Vec<Record>) -> Vec<Record> {
    for (record, seq) in records.iter_mut().zip(1..) {
        record.seq = seq;
        record.time_ms = 1_700_000_000_000 + seq as i64 * STEP_MS;
    }
    records
}

/// The same run, whose process died after record `at` and was followed by another.
fn died(records: &[Record], at: usize) -> Vec<Record> {
    let at = at.clamp(1, records.len() - 1);
    let (before, after) = records.split_at(at);
    let start = &records[0].body;
    let mut resumed = json!({ "event": "resumed" });
    for key in ["limits", "model", "reached", "tariff"] {
        resumed[key] = start[key].clone();
    }
    let fact = Record { kind: RecordKind::Fact, key: None, body: resumed, ..records[0].clone() };
    let has_result = |intent: &&Record| {
        before.iter().any(|r| r.kind == RecordKind::Result && r.key == intent.key)
    };
    let in_flight = before.iter().filter(|r| r.kind == RecordKind::Intent).filter(|r| !has_result(r));
    // A second death may find an effect begun twice; it is begun once more.
    let mut again: BTreeMap<_, Record> = BTreeMap::new();
    for intent in in_flight {
        again.insert(intent.key.clone(), intent.clone());
    }
    let again: Vec<_> = again.into_values().collect();
    numbered([before, &[fact], &again, after].concat())
}

fn text_of(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|kv| kv.key.as_str() == key)?;
    Some(found.value.as_str().into_owned())
}

/// The spans as a tree: times since the first, and of the attributes those that are asked for.
fn tree(spans: &[SpanData], keys: &[&str]) -> String {
    let mut below: HashMap<SpanId, Vec<&SpanData>> = HashMap::new();
    let ids: HashSet<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
    for span in spans {
        let parent = Some(span.parent_span_id).filter(|id| ids.contains(id)).unwrap_or(SpanId::INVALID);
        below.entry(parent).or_default().push(span);
    }
    for children in below.values_mut() {
        children.sort_by_key(|span| span.start_time);
    }
    let first = spans.iter().map(|span| span.start_time).min().unwrap();
    let ms = |time: std::time::SystemTime| time.duration_since(first).unwrap().as_millis();
    let mut out = String::new();
    let mut open: Vec<(usize, &SpanData)> = Vec::new();
    let push = |open: &mut Vec<_>, depth, of: SpanId| {
        open.extend(below.get(&of).into_iter().flatten().rev().map(|span| (depth, *span)));
    };
    push(&mut open, 0, SpanId::INVALID);
    while let Some((depth, span)) = open.pop() {
        out += &format!(
            "{}{} [{}..{}]",
            "  ".repeat(depth),
            span.name,
            ms(span.start_time),
            ms(span.end_time)
        );
        match &span.status {
            Status::Error { description } => out += &format!(" error={description}"),
            Status::Ok => out += " ok",
            Status::Unset => {}
        }
        for key in keys {
            if let Some(value) = text_of(span, key) {
                out += &format!(" {}={value}", key.rsplit('.').next().unwrap());
            }
        }
        for event in span.events.iter() {
            out += &format!(" !{}", event.name);
        }
        out += if span.links.links.is_empty() { "" } else { " ->before" };
        out.push('\n');
        push(&mut open, depth + 1, span.span_context.span_id());
    }
    out
}

/// What must hold of the spans of any journal.
fn hold(spans: &[SpanData]) {
    let mut known: HashMap<SpanId, &SpanData> = HashMap::new();
    for span in spans {
        assert!(known.insert(span.span_context.span_id(), span).is_none(), "{} has an id twice", span.name);
        assert!(span.start_time <= span.end_time, "{}", span.name);
        assert!(text_of(span, name::CONVERSATION_ID).is_some(), "{}", span.name);
    }
    for span in spans.iter().filter(|span| span.parent_span_id != SpanId::INVALID) {
        let parent = known.get(&span.parent_span_id).unwrap_or_else(|| panic!("{} has no parent", span.name));
        assert!(
            parent.start_time <= span.start_time && span.end_time <= parent.end_time,
            "{} is not within {}",
            span.name,
            parent.name
        );
    }
}

#[test]
fn a_run_is_a_tree() {
    let records = journal_of(SCRIPT, None, 1);
    let spans = spans_of(&records, Options::default(), true).unwrap();
    hold(&spans);
    let keys = [name::STEP_ID, name::ATTEMPT, name::TURN, name::CHECK_VERDICT, name::RUN_STATUS];
    insta::assert_snapshot!(tree(&spans, &keys), @"");
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
    insta::assert_snapshot!(of(Options::default()), @"");
    insta::assert_snapshot!(of(Options { names: Names::Latest, content: true }), @"");
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
    insta::assert_snapshot!(tree(&spans, &[name::STEP_ID, name::RUN_STATUS]), @"");
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
    let forked = fact(json!({ "event": "forked", "from": RUN, "at": 9, "run": "fork", "slug": "s", "workspace": "/w" }));
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
