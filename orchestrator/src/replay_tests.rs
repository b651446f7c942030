use edvac_agents::client::{Finish, ModelReply, Usage};
use edvac_agents::templates::Templates;
use edvac_memory::context::Fitted;
use edvac_memory::ids::InstructionId;
use edvac_memory::journal::Record;
use edvac_memory::program::{Instruction, Program, Requirement};

use super::*;
use crate::check::integrity::Inventory;
use crate::control::decide::tests::started;
use crate::control::event::Limits;
use crate::domain::Domain;
use crate::ledger::Ledger;

const REPLY: &str = "@@ write a.py\nx = 1\n@@ end\n@@ done Yes.\n";

fn program() -> Program {
    let instruction = Instruction {
        id: InstructionId(1),
        title: "A".into(),
        text: "Write a.".into(),
        covers: vec!["R1".into()],
        reads: vec![],
        writes: vec!["a.py".into()],
        checks: vec![],
        retires: vec![],
        attempts_max: 1,
        ..Instruction::default()
    };
    Program {
        title: "x".into(),
        task: None,
        domain: "codebase".into(),
        language: "python".into(),
        requirements: vec![Requirement { id: "R1".into(), text: "One.".into() }],
        instructions: vec![instruction],
    }
}

/// A run's records, made by a machine that does what is decided.
fn records(rules: &Rules<'_>) -> Vec<Record> {
    let mut store = GitStore::ram().unwrap();
    let tree = store.empty_tree().unwrap();
    let files: Files = Arc::new(Mutex::new(Box::new(store) as Box<dyn FileStore>));
    let mut state = RunState::default();
    let mut out: Vec<Record> = Vec::new();
    let mut record = |state: &mut RunState, kind, key, event: &Event| {
        let seq = out.len() as u64 + 1;
        let body = serde_json::to_value(event).unwrap();
        let record =
            Record { seq, time_ms: 1_700_000_000_000 + i64::try_from(seq).unwrap(), kind, key, body };
        state.apply_record(&record).unwrap();
        out.push(record);
    };
    let mut start = started(Limits::default());
    if let Event::RunStarted { tree: of_start, .. } = &mut start {
        *of_start = tree;
    }
    record(&mut state, RecordKind::Fact, None, &start);
    let adopted = Event::ProgramAdopted { program: program(), version: 1, why: "handed in".into() };
    record(&mut state, RecordKind::Fact, None, &adopted);
    while let Some(effect) = decide(&state, rules).into_iter().next() {
        let event = match &effect {
            Effect::Assemble { purpose } => Event::Assembled { purpose: *purpose, fitted: Fitted::default() },
            Effect::Call { purpose, turn, .. } => {
                let (usage, finish) = (Usage::default(), Finish::Stop);
                let reply = ModelReply { text: REPLY.into(), finish, usage, model: "m".into() };
                Event::Replied { purpose: *purpose, turn: *turn, reply }
            }
            Effect::Act { base, understood, repeated, .. } => {
                let edited = edited(&files, base, understood, *repeated, &state).unwrap();
                Event::Acted {
                    instruction: None,
                    tree: edited.tree,
                    applied: edited.applied,
                    bytes_written: 0,
                    needs: None,
                    refused: edited.refused,
                    answer: None,
                    answer_tokens: 0,
                    given_up: vec![],
                    called: vec![],
                }
            }
            Effect::Check { .. } => Event::Checked {
                instruction: None,
                opinion: None,
                reports: vec![],
                unproven: vec![],
                faults: vec![],
                answer: None,
                answer_tokens: 0,
            },
            Effect::Commit { instruction, attempt, settlement, cut, parent, tree, time_s } => {
                let parts = Parts {
                    instruction: *instruction,
                    attempt: *attempt,
                    settlement: *settlement,
                    cut: *cut,
                    parent: parent.as_ref(),
                    tree,
                    time_s: *time_s,
                };
                let commit = locked(&files).commit(&commit_parts(&parts, &state).unwrap()).unwrap();
                Event::Committed {
                    cut: *cut,
                    instruction: *instruction,
                    settlement: *settlement,
                    commit,
                    tree: tree.clone(),
                    touched: vec!["a.py".into()],
                    needs: None,
                    inventory: Inventory::default(),
                }
            }
            Effect::CheckAll { .. } => Event::FinalChecked { reports: vec![] },
            Effect::Finish => Event::Finished { ledger: Ledger::weigh(&program(), &[]) },
            other => panic!("{other:?}"),
        };
        record(&mut state, RecordKind::Result, Some(effect.key(0)), &event);
    }
    out
}

#[test]
fn a_journal_comes_to_the_same_files_and_a_changed_one_is_found_out() {
    let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
    let rules = Rules { domain: &domain };
    let records = records(&rules);
    let dir = tempfile::tempdir().unwrap();
    let same = replay(&records, &rules, Path::new("none"), Some(dir.path())).unwrap();
    assert_eq!((same.records, same.trees, same.commits), (records.len(), 1, 1), "{same:?}");
    assert!(same.is_same() && same.decisions == records.len() - 2, "{same:?}");
    assert_eq!(std::fs::read_to_string(dir.path().join("a.py")).unwrap(), "x = 1\n");

    let changed = |from: &str, to: &str| {
        let mut changed = records.clone();
        for record in &mut changed {
            let text = record.body.to_string().replace(from, to);
            record.body = serde_json::from_str(&text).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let replayed = replay(&changed, &rules, Path::new("none"), Some(dir.path())).unwrap();
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing that is not the run's is written"
        );
        replayed.differences.into_iter().map(|d| d.what).collect::<Vec<_>>().join("\n")
    };
    assert!(changed("x = 1", "x = 2").contains("the reply's edits gave the tree"));
    assert!(changed("\"title\":\"A\"", "\"title\":\"B\"").contains("the commit was"));
    assert!(changed("\"answer\":null", "\"answer\":\"Go on.\"").contains("is decided now"));
}
