//! A run of several instructions at once, in many orders: what is in flight comes to its end in an order that a seed decides.
//! Effects are really performed, by a scripted model over a store in memory, and nothing waits for a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use edvac_agents::client::scripted::ScriptedClient;
use edvac_agents::client::{ModelClient, ModelRequest};
use edvac_agents::templates::Templates;
use edvac_memory::ids::EffectKey;
use edvac_memory::index::SqliteIndex;
use edvac_memory::journal::{Record, RecordKind};
use edvac_memory::program::exchange;
use edvac_memory::store::{FileStore, GitStore};
use tokio::sync::watch;

use crate::control::decide::tests::started;
use crate::control::event::{Clash, Limits};
use crate::control::parallel::next_to_begin;
use crate::control::{Effect, Event, Rules, RunState, decide};
use crate::dependencies::Shelf;
use crate::domain::Domain;
use crate::notice::Notices;
use crate::perform::{Performer, locked};
use crate::replay::replay;
use crate::sandbox::Refusal;

const SCHEDULES: u64 = 100;

/// Eight steps. 2, 4 and 5 change `notes.txt` without saying so: 4 does not see what 2 wrote and collides with it, and 5 only
/// does so once it has seen it. 6 asks for what 4 changes.
const PROGRAM: &str = r#"
title = "letters"
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
[[instructions.checks]]
kind = "exists"
path = "a.txt"
covers = ["R1"]

[[instructions]]
id = 2
title = "B"
text = "Write the letter B."
writes = ["b.txt"]
[[instructions.checks]]
kind = "exists"
path = "b.txt"

[[instructions]]
id = 3
title = "C"
text = "Write the letter C."
writes = ["c.txt"]
reads = ["a.txt"]
[[instructions.checks]]
kind = "exists"
path = "c.txt"

[[instructions]]
id = 4
title = "D"
text = "Write the letter D, and that it was here."
writes = ["d.txt"]
[[instructions.checks]]
kind = "exists"
path = "d.txt"

[[instructions]]
id = 5
title = "E"
text = "Write the letter E, and that it was here."
writes = ["e.txt"]
reads = ["b.txt"]
[[instructions.checks]]
kind = "exists"
path = "e.txt"

[[instructions]]
id = 6
title = "F"
text = "Write the letter F."
writes = ["f.txt"]
reads = ["a.txt"]
[[instructions.checks]]
kind = "exists"
path = "f.txt"

[[instructions]]
id = 7
title = "Mend"
text = "Mend whatever is wrong."

[[instructions]]
id = 8
title = "G"
text = "Write the letter G."
writes = ["g.txt"]
"#;

/// Entries are chosen by what a prompt shows, so a step that saw other files than it should has no reply or another one.
const SCRIPT: &str = r##"
[[reply]]
when = ["Your step now: step 1,"]
must_not_contain = ["b.txt (1 lines"]
text = "@@ write a.txt\nA\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 2,"]
must_not_contain = ["a.txt (1 lines"]
text = "@@ write b.txt\nB\n@@ end\n@@ write notes.txt\nB was here.\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 3,", "# File a.txt"]
must_not_contain = ["b.txt (1 lines"]
text = "@@ write c.txt\nA, C\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 4,", "B was here."]
must_contain = ["c.txt (1 lines"]
text = "@@ write d.txt\nD\n@@ end\n@@ write notes.txt\nB was here. D was here.\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 4,"]
text = "@@ write d.txt\nD\n@@ end\n@@ write notes.txt\nD was here.\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 5,", "D was here."]
text = "@@ write e.txt\nB, E\n@@ end\n@@ write notes.txt\nB was here. D was here. E was here.\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 5,", "# File b.txt"]
must_contain = ["B was here."]
must_not_contain = ["c.txt (1 lines"]
text = "@@ write e.txt\nB, E\n@@ end\n@@ write notes.txt\nE was here.\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 6,"]
text = "@@ read notes.txt\n"

[[reply]]
when = ["Your step now: step 6,", "E was here."]
turn = 1
text = "@@ write f.txt\nA, E, F\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 6,"]
turn = 1
text = "@@ write f.txt\nA, F\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 7,"]
must_contain = ["f.txt (1 lines"]
text = "@@ write h.txt\nH\n@@ end\n@@ done Yes.\n"

[[reply]]
when = ["Your step now: step 8,"]
must_contain = ["h.txt (1 lines"]
text = "@@ write g.txt\nG\n@@ end\n@@ done Yes.\n"
"##;

/// What came of a run in one order.
struct Ran {
    state: RunState,
    records: Vec<Record>,
    files: BTreeMap<String, String>,
    requests: Vec<ModelRequest>,
    /// Most calls that were in flight together.
    calls_together: usize,
}

/// A generator that is the same everywhere (xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

async fn performer(dir: &Path, client: Arc<ScriptedClient>, domain: Arc<Domain>) -> Performer {
    let store = Box::new(GitStore::ram().unwrap()) as Box<dyn FileStore>;
    let why = "none is needed".to_owned();
    Performer {
        files: Arc::new(Mutex::new(store)),
        client: client as Arc<dyn ModelClient>,
        index: Arc::new(SqliteIndex::open(&dir.join("index.sqlite"), None).await.unwrap()),
        templates: Arc::new(Templates::load(None).unwrap()),
        domain,
        sandbox: Err(Refusal { fix: why.clone(), why }),
        shelf: Shelf::below(dir),
        second: None,
        inventories: Arc::default(),
        left: Arc::default(),
        there: Arc::default(),
        tools: Arc::default(),
        scratch: dir.join("scratch"),
        asking: Arc::default(),
        running: Arc::default(),
        notices: Notices::default(),
        cancel: watch::channel(false).1,
    }
}

async fn ran(parallel: u32, seed: u64) -> Ran {
    let domain = Arc::new(Domain::load("custom", &Templates::load(None).unwrap()).unwrap());
    let rules = Rules { domain: &domain };
    let dir = tempfile::tempdir().unwrap();
    // One after the other, each step sees all that is before it.
    let is_held = |line: &&str| parallel > 1 || !line.starts_with("must_not_contain");
    let script: Vec<_> = SCRIPT.lines().filter(is_held).collect();
    let client = Arc::new(ScriptedClient::parse(&script.join("\n")).unwrap());
    let performer = performer(dir.path(), Arc::clone(&client), Arc::clone(&domain)).await;
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut state = Arc::new(RunState::default());
    let mut records: Vec<Record> = Vec::new();
    let mut time_ms = 1_700_000_000_000;
    let mut note = |state: &mut Arc<RunState>, kind, key: Option<EffectKey>, body: serde_json::Value| {
        // Time passes differently in each order, too.
        time_ms += 1 + i64::try_from(seed % 7).unwrap() * 500;
        let record = Record { seq: records.len() as u64 + 1, time_ms, kind, key, body };
        Arc::make_mut(state).apply_record(&record).unwrap();
        records.push(record);
    };
    let mut start = started(Limits { parallel, ..Limits::default() });
    if let Event::RunStarted { tree, domain, model, .. } = &mut start {
        *tree = performer.files().empty_tree().unwrap();
        "custom".clone_into(domain);
        *model = client.info().clone();
    }
    let program = exchange::from_toml(PROGRAM).unwrap();
    let adopted = Event::ProgramAdopted { program, version: 1, why: "handed in".into() };
    for event in [&start, &adopted] {
        note(&mut state, RecordKind::Fact, None, serde_json::to_value(event).unwrap());
    }
    let mut in_flight: BTreeMap<EffectKey, Effect> = BTreeMap::new();
    let mut scenes: BTreeMap<EffectKey, Arc<RunState>> = BTreeMap::new();
    let mut calls_together = 0;
    loop {
        while let Some((key, effect)) = next_to_begin(&state, decide(&state, &rules), &in_flight) {
            assert!(!matches!(effect, Effect::Stop { .. }), "seed {seed}: {effect:?}");
            note(&mut state, RecordKind::Intent, Some(key.clone()), effect.intent());
            scenes.insert(key.clone(), state.scene(&effect));
            in_flight.insert(key, effect);
        }
        let calls = in_flight.values().filter(|effect| matches!(effect, Effect::Call { .. })).count();
        calls_together = calls_together.max(calls);
        if in_flight.is_empty() {
            break;
        }
        let key = in_flight.keys().nth(dice.throw(in_flight.len())).unwrap().clone();
        let (effect, scene) = (in_flight.remove(&key).unwrap(), scenes.remove(&key).unwrap());
        let event = performer
            .perform(&key, &effect, &scene)
            .await
            .unwrap_or_else(|e| panic!("seed {seed}: {key}: {e}"));
        note(&mut state, RecordKind::Result, Some(key), serde_json::to_value(event).unwrap());
    }
    let tree = state.tree.clone().unwrap();
    let store = locked(&performer.files);
    let text = |path: &String| String::from_utf8(store.read(&tree, path).unwrap()).unwrap();
    let files = store.list(&tree).unwrap().into_keys().map(|path| (path.clone(), text(&path))).collect();
    drop(store);
    let (state, requests) = (Arc::unwrap_or_clone(state), client.requests());
    Ran { state, records, files, requests, calls_together }
}

fn prompts(ran: &Ran) -> BTreeSet<String> {
    ran.requests.iter().map(|request| serde_json::to_string(request).unwrap()).collect()
}

fn events(ran: &Ran) -> impl Iterator<Item = Event> {
    let results = ran.records.iter().filter(|record| record.kind == RecordKind::Result);
    results.map(|record| serde_json::from_value(record.body.clone()).unwrap())
}

#[tokio::test]
async fn a_hundred_schedules_give_the_same_tree() {
    let domain = Domain::load("custom", &Templates::load(None).unwrap()).unwrap();
    let rules = Rules { domain: &domain };
    let one_by_one = ran(1, 1).await;
    let first = ran(3, 1).await;
    let notes = "B was here. D was here. E was here.\n";
    assert_eq!(first.files["notes.txt"], notes);
    assert_eq!(first.files["f.txt"], "A, E, F\n");
    assert_eq!(first.state.tree, one_by_one.state.tree, "the same as one after the other");
    let mut orders = BTreeSet::new();
    let mut with_calls_together = 0;
    for seed in 1..=SCHEDULES {
        // Also with more or fewer at once.
        let ran = ran(2 + u32::try_from(seed % 4).unwrap(), seed).await;
        assert_eq!(ran.state.tree, first.state.tree, "seed {seed}");
        assert_eq!(ran.files, first.files, "seed {seed}");
        assert_eq!(prompts(&ran), prompts(&first), "seed {seed}: every step saw the same");
        assert_eq!(ran.state.ledger, first.state.ledger, "seed {seed}");
        with_calls_together += u64::from(ran.calls_together > 1);
        let again: Vec<_> = ran.state.settled.iter().filter(|(_, s)| !s.conflicts.is_empty()).collect();
        let again: Vec<_> = again.iter().map(|(id, s)| (id.0, s.conflicts[0].clash)).collect();
        assert_eq!(again, [(4, Clash::Written), (5, Clash::Written), (6, Clash::Read)], "seed {seed}");
        let undeclared = events(&ran).filter(|e| matches!(e, Event::Undeclared { .. })).count();
        assert_eq!(undeclared, 5, "seed {seed}: 2; 4 and 5 twice");
        let commits: Vec<_> = events(&ran)
            .filter_map(|event| match event {
                Event::Committed { instruction, .. } => Some(instruction.0),
                _ => None,
            })
            .collect();
        assert_eq!(commits, [1, 2, 3, 4, 5, 6, 7, 8], "seed {seed}");
        assert_eq!(RunState::of(&ran.records).unwrap(), ran.state, "seed {seed}");
        let replayed = replay(&ran.records, &rules, Path::new(""), None).unwrap();
        assert!(replayed.is_same() && replayed.commits == 8, "seed {seed}: {replayed:?}");
        let keys = ran.records.iter().filter(|r| r.kind == RecordKind::Result).map(|r| r.key.clone());
        orders.insert(keys.collect::<Vec<_>>());
    }
    assert!(with_calls_together > SCHEDULES / 2, "{with_calls_together} had calls together");
    assert!(orders.len() > 50, "{} orders were really different", orders.len());
}
