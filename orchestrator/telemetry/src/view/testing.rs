//! Journals of scripted runs, and spans as text.

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
use serde_json::json;

use crate::semconv as name;

/// Milliseconds between two records of the journals here.
pub(super) const STEP_MS: i64 = 10;
pub(super) const RUN: &str = "20261122-235501-3f9a";
pub(super) const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Its second step does nothing at first, and is refused by its check.
pub(super) const SCRIPT: &str = r#"
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
pub(super) const PROGRAM: &str = r#"
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

pub(super) const LETTERS: &str = r#"
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
pub(super) async fn journal(script: &str, program: Option<&str>, parallel: u32) -> Vec<Record> {
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

pub(super) fn journal_of(script: &str, program: Option<&str>, parallel: u32) -> Vec<Record> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(journal(script, program, parallel))
}

/// Records in this order, one after the other in time.
pub(super) fn numbered(mut records: Vec<Record>) -> Vec<Record> {
    for ((record, seq), count) in records.iter_mut().zip(1..).zip(1..) {
        record.seq = seq;
        record.time_ms = 1_700_000_000_000 + count * STEP_MS;
    }
    records
}

/// The same run, whose process died after record `at` and was followed by another.
pub(super) fn died(records: &[Record], at: usize) -> Vec<Record> {
    let at = at.clamp(1, records.len() - 1);
    let (before, after) = records.split_at(at);
    let start = &records[0].body;
    let mut resumed = json!({ "event": "resumed" });
    for key in ["limits", "model", "reached", "tariff"] {
        resumed[key] = start[key].clone();
    }
    let fact = Record { kind: RecordKind::Fact, key: None, body: resumed, ..records[0].clone() };
    let has_result =
        |intent: &&Record| before.iter().any(|r| r.kind == RecordKind::Result && r.key == intent.key);
    let in_flight = before.iter().filter(|r| r.kind == RecordKind::Intent).filter(|r| !has_result(r));
    // A second death may find an effect begun twice; it is begun once more.
    let mut again: BTreeMap<_, Record> = BTreeMap::new();
    for intent in in_flight {
        again.insert(intent.key.clone(), intent.clone());
    }
    // Where the first one had not begun it again when the second came, it is begun once, and not twice by the same process.
    let is_twice = |record: &&Record| record.kind == RecordKind::Intent && again.contains_key(&record.key);
    let after: Vec<_> = after.iter().filter(|record| !is_twice(record)).cloned().collect();
    let again: Vec<_> = again.into_values().collect();
    numbered([before, &[fact], &again, &after].concat())
}

pub(super) fn text_of(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|kv| kv.key.as_str() == key)?;
    Some(found.value.as_str().into_owned())
}

/// The spans as a tree: times since the first, and of the attributes those that are asked for.
pub(super) fn tree(spans: &[SpanData], keys: &[&str]) -> String {
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
        out +=
            &format!("{}{} [{}..{}]", "  ".repeat(depth), span.name, ms(span.start_time), ms(span.end_time));
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
pub(super) fn hold(spans: &[SpanData]) {
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
