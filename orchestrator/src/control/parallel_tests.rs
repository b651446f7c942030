//! Several instructions at once against a world that answers at random and in any order, and what each of them sees.

use std::sync::LazyLock;

use edvac_agents::client::{Finish, ModelReply, Usage};
use edvac_agents::templates::Templates;
use edvac_memory::context::Fitted;
use edvac_memory::ids::CommitId;
use edvac_memory::journal::{Record, RecordKind};
use edvac_memory::program::{Program, Requirement};
use proptest::prelude::*;

use super::*;
use crate::control::budget::{Cap, Share};
use crate::control::decide::tests::{EFFECTS_MAX, World, record, started_with};
use crate::control::event::{Clash, Settlement};
use crate::control::{Event, Purpose, Rules, StopReason, decide};
use crate::domain::Domain;

/// Files that each step writes and reads.
type Files = (&'static [&'static str], &'static [&'static str]);

const STEPS: [Files; 7] = [
    (&["a.py"], &[]),
    (&["b.py"], &[]),
    (&["c.py"], &["a.py"]),
    (&["d.py"], &[]),
    (&["e.py"], &["b.py", "c.py"]),
    (&[], &[]),
    (&["f.py"], &[]),
];

fn program(steps: &[Files]) -> Program {
    let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
    let instruction = |(number, (writes, reads)): (u32, &Files)| Instruction {
        id: InstructionId(number),
        title: format!("S{number}"),
        text: "Do it.".into(),
        covers: vec!["R1".into()],
        writes: owned(writes),
        reads: owned(reads),
        attempts_max: 2,
        ..Instruction::default()
    };
    Program {
        title: "x".into(),
        domain: "codebase".into(),
        language: "python".into(),
        requirements: vec![Requirement { id: "R1".into(), text: "One.".into() }],
        instructions: (1..).zip(steps).map(instruction).collect(),
        ..Program::default()
    }
}

fn begun(limits: Limits, steps: &[Files]) -> RunState {
    let mut state = RunState::default();
    state.apply(&started_with(limits, false));
    state.apply(&Event::ProgramAdopted { program: program(steps), version: 1, why: "handed in".into() });
    state
}

fn decided(state: &RunState) -> Vec<Effect> {
    static CODEBASE: LazyLock<Domain> =
        LazyLock::new(|| Domain::load("codebase", &Templates::load(None).unwrap()).unwrap());
    decide(state, &Rules { domain: &CODEBASE })
}

fn keys(state: &RunState) -> Vec<String> {
    decided(state).iter().map(|effect| state.key_of(effect).0).collect()
}

fn work(id: u32) -> Purpose {
    Purpose::Work { instruction: InstructionId(id), attempt: 1, restart: 0 }
}

/// A step up to the tree that it hands in.
fn done(state: &mut RunState, id: u32, tree: &str) {
    state.apply(&Event::Assembled { purpose: work(id), fitted: Fitted::default() });
    let usage = Usage { prompt_tokens: 100, completion_tokens: 10, ..Usage::default() };
    let text = "@@ read asked.md\n".to_owned();
    let reply = ModelReply { text, finish: Finish::Stop, usage, model: "m".into() };
    state.apply(&Event::Replied { purpose: work(id), turn: 0, reply });
    let instruction = Some(InstructionId(id));
    state.apply(&Event::Acted {
        instruction,
        tree: TreeId(tree.into()),
        applied: vec![],
        bytes_written: 0,
        needs: None,
        refused: vec![],
        answer: None,
        answer_tokens: 0,
        given_up: vec![],
        called: vec![],
    });
    state.apply(&Event::Checked {
        instruction,
        reports: vec![],
        unproven: vec![],
        faults: vec![],
        answer: None,
        answer_tokens: 0,
        opinion: None,
    });
}

fn ended(tree: &str) -> Ended {
    Ended { settlement: Settlement::Finished, cut: None, attempt: 1, tree: TreeId(tree.into()) }
}

fn merged(state: &mut RunState, id: u32, own: &str, tree: &str) {
    let instruction = InstructionId(id);
    state.apply(&Event::Merged { instruction, ended: ended(own), tree: TreeId(tree.into()) });
}

fn committed(state: &mut RunState, id: u32, tree: &str) {
    state.apply(&Event::Committed {
        instruction: InstructionId(id),
        settlement: Settlement::Finished,
        cut: None,
        commit: CommitId(format!("c{id}")),
        tree: TreeId(tree.into()),
        touched: vec![],
        needs: None,
        inventory: Inventory::default(),
    });
}

/// A run in progress, with what is in flight.
#[derive(Clone)]
struct Run {
    state: RunState,
    records: Vec<Record>,
    in_flight: BTreeMap<EffectKey, Effect>,
}

impl Run {
    fn of(state: RunState) -> Self {
        Self { state, records: Vec::new(), in_flight: BTreeMap::new() }
    }

    /// Begins what is begun next, as a driver does. Whether there was anything.
    fn begin(&mut self) -> bool {
        let Some((key, effect)) = next_to_begin(&self.state, decided(&self.state), &self.in_flight) else {
            return false;
        };
        self.note(RecordKind::Intent, Some(key.clone()), effect.intent());
        self.in_flight.insert(key, effect);
        true
    }

    fn fold(&mut self, event: &Event) {
        // As text and back: what a journal keeps.
        let body = serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap();
        self.note(RecordKind::Result, None, body);
    }

    fn note(&mut self, kind: RecordKind, key: Option<EffectKey>, body: serde_json::Value) {
        let seq = self.records.len() as u64 + 1;
        let record = Record { seq, time_ms: i64::try_from(seq).unwrap() * 1000, kind, key, body };
        self.state.apply_record(&record).unwrap();
        self.records.push(record);
    }
}

fn two_at_once() -> Limits {
    Limits { parallel: 2, ..Limits::default() }
}

fn seen_tree(state: &RunState, id: u32) -> Option<String> {
    Some(state.seen_by(InstructionId(id))?.tree?.0)
}

#[test]
fn steps_begin_with_what_they_stand_on_and_end_in_the_programs_order() {
    let mut state = begun(two_at_once(), &STEPS);
    assert_eq!(keys(&state), ["i1/a1/r0/assemble", "i2/a1/r0/assemble", "i4/a1/r0/assemble"]);
    done(&mut state, 2, "B");
    assert_eq!(keys(&state), ["i1/a1/r0/assemble", "i4/a1/r0/assemble"], "2 waits for 1");
    done(&mut state, 1, "A");
    assert_eq!(keys(&state), ["i1/merge", "i4/a1/r0/assemble"]);
    merged(&mut state, 1, "A", "A");
    assert_eq!(keys(&state)[0], "i1/commit", "nothing came between: what was checked is what is committed");
    committed(&mut state, 1, "A");
    assert_eq!(keys(&state), ["i2/merge", "i3/a1/r0/assemble", "i4/a1/r0/assemble"]);
    assert_eq!(seen_tree(&state, 2).as_deref(), Some("empty"));
    assert_eq!((seen_tree(&state, 3).as_deref(), seen_tree(&state, 5)), (Some("A"), None));
    merged(&mut state, 2, "B", "AB");
    assert_eq!(keys(&state)[0], "i2/merge/check", "its checks ran on other files");
    let instruction = InstructionId(2);
    state.apply(&Event::MergeChecked { instruction, reports: vec![] });
    committed(&mut state, 2, "AB");
    // Whenever it begins, it begins there.
    assert_eq!(
        (seen_tree(&state, 3).as_deref(), seen_tree(&state, 4).as_deref()),
        (Some("A"), Some("empty"))
    );
    let view = state.seen_by(InstructionId(3)).unwrap();
    assert_eq!(view.settled.keys().map(|id| id.0).collect::<Vec<_>>(), [1]);
    assert_eq!((view.steps_left(), view.focus), (6, Some(InstructionId(3))));
}

#[test]
fn what_does_not_fit_is_carried_out_once_more_on_the_new_state() {
    let conflict = Conflict { clash: Clash::Written, what: "x".into(), with: Some(InstructionId(1)) };
    let instruction = InstructionId(2);
    let failed = || {
        let Event::MergeChecked { reports, .. } = World { dice: vec![1; 64], at: 0 }
            .perform(&Effect::CheckMerged { instruction, tree: "AB".into() }, &RunState::default())
        else {
            panic!("it is checked")
        };
        assert!(reports.iter().all(|report| !report.verdict.is_passed()));
        Event::MergeChecked { instruction, reports }
    };
    for (clash, why) in [
        (Clash::Written, Event::Conflicted { instruction, conflicts: vec![conflict] }),
        (Clash::Checked, failed()),
    ] {
        let mut state = begun(two_at_once(), &STEPS[..2]);
        done(&mut state, 2, "B");
        done(&mut state, 1, "A");
        merged(&mut state, 1, "A", "A");
        committed(&mut state, 1, "A");
        let paths = vec!["x".to_owned()];
        state.apply(&Event::Undeclared { instruction, ended: ended("B"), paths });
        assert_eq!(keys(&state), ["i2/merge/admitted"]);
        state.apply(&why);
        assert_eq!(keys(&state), ["i2/again/a1/r0/assemble"]);
        assert_eq!(seen_tree(&state, 2).as_deref(), Some("A"));
        done(&mut state, 2, "AB");
        assert_eq!(keys(&state), ["i2/again/merge"]);
        merged(&mut state, 2, "AB", "AB");
        assert_eq!(keys(&state), ["i2/again/commit"], "nothing can come between any more");
        assert_eq!(state.open[&instruction].in_vain.tokens, 110);
        committed(&mut state, 2, "AB");
        assert_eq!(state.settled[&instruction].conflicts[0].clash, clash);
        assert_eq!((state.totals.tokens(), keys(&state)), (330, vec!["final/check".to_owned()]));
    }
}

#[test]
fn what_was_asked_for_counts_as_read() {
    let mut state = begun(two_at_once(), &STEPS[..2]);
    done(&mut state, 1, "A");
    let Effect::Merge { reads, writes, admitted, .. } = decided(&state).remove(0) else {
        panic!("it is merged")
    };
    assert_eq!(
        (reads, writes, admitted),
        (vec!["a.py".into(), "asked.md".into()], vec!["a.py".into()], false)
    );
}

#[test]
fn a_share_does_not_depend_on_what_others_use() {
    let limits = Limits { tokens_max: Some(1_000), wall_ms_max: Some(700), ..two_at_once() };
    let mut state = begun(limits, &STEPS);
    done(&mut state, 1, "A");
    let view = state.seen_by(InstructionId(1)).unwrap();
    let own = view.work.clone().unwrap();
    done(&mut state, 2, "B");
    state.totals.worked_ms = 150;
    let later = state.seen_by(InstructionId(1)).unwrap();
    assert_eq!(later.work.as_ref(), Some(&own));
    assert_eq!((view.used_for(&own).tokens, later.used_for(&own).tokens), (110, 110));
    assert_eq!(state.used().tokens, 220);
    // Two of seven steps are in progress together: they have two sevenths of the time for both.
    let share = later.limits_for(&own, &later.start.as_ref().unwrap().limits);
    assert_eq!(share.wall_ms_max, Some(1_400));
    let time_alone = Limits { tokens_max: None, ..share.clone() };
    assert_eq!(own.share_used(&later.used_for(&own), &time_alone, Share { own: 1, left: 7 }), None);
    assert_eq!(
        own.share_used(&later.used_for(&own), &share, Share { own: 1, left: 10 }),
        Some(Cap::Tokens),
        "a tenth of the tokens"
    );
}

#[test]
fn calls_that_could_exceed_the_limit_together_wait_for_one_another() {
    let limits =
        Limits { tokens_max: Some(3_000), reply_tokens_max: 1_400, parallel: 3, ..Limits::default() };
    let mut run = Run::of(begun(limits, &STEPS[..2]));
    for id in [1, 2] {
        run.fold(&Event::Assembled { purpose: work(id), fitted: Fitted::default() });
    }
    let mut both = run.clone();
    assert_eq!((both.begin(), both.begin(), both.begin()), (true, true, false), "2,800 of 3,000");
    run.state.totals.completion_tokens = 300;
    assert_eq!(decided(&run.state).len(), 2, "each fits");
    assert_eq!((run.begin(), run.begin()), (true, false), "and both do not");
    run.state.totals.completion_tokens = 1_700;
    let decided = decided(&run.state);
    assert!(
        matches!(decided.as_slice(), [Effect::Stop { why: StopReason::TokenLimit { .. } }]),
        "{decided:?}"
    );
    assert!(!run.begin(), "what is in flight comes to its end");
    run.in_flight.clear();
    assert!(run.begin());
}

#[test]
fn at_the_end_of_its_time_what_is_in_progress_is_made_use_of() {
    let limits = Limits { wall_ms_max: Some(1_000), ..two_at_once() };
    let mut state = begun(limits, &STEPS);
    state.apply(&Event::Assembled { purpose: work(1), fitted: Fitted::default() });
    done(&mut state, 2, "B");
    state.totals.worked_ms = 1_000;
    assert_eq!(keys(&state), ["stop"], "2 would have to wait for 1");
    state.totals.worked_ms = 0;
    done(&mut state, 1, "A");
    state.totals.worked_ms = 1_000;
    assert_eq!(keys(&state), ["i1/merge"], "nothing else is begun");
}

#[test]
fn a_run_goes_from_one_at_a_time_to_several_and_back() {
    let resumed = |state: &RunState, parallel| {
        let start = state.start.clone().unwrap();
        let limits = Limits { parallel, ..start.limits };
        let (unsafe_no_sandbox, allow_install) = (false, false);
        Event::Resumed {
            unsafe_no_sandbox,
            allow_install,
            limits,
            model: start.model,
            reached: start.reached,
            tariff: None,
            second: None,
        }
    };
    let mut state = begun(Limits::default(), &STEPS);
    assert_eq!(keys(&state), ["i1/a1/r0/assemble"]);
    state.apply(&Event::Assembled { purpose: work(1), fitted: Fitted::default() });
    state.apply(&resumed(&state, 2));
    assert_eq!(keys(&state), ["i1/a1/r0/t0/call", "i2/a1/r0/assemble", "i4/a1/r0/assemble"]);
    state.apply(&Event::Assembled { purpose: work(2), fitted: Fitted::default() });
    state.apply(&resumed(&state, 1));
    assert_eq!(
        keys(&state),
        ["i1/a1/r0/t0/call", "i2/a1/r0/t0/call"],
        "what is in progress comes to its end"
    );
    for (id, own, tree) in [(1, "A", "A"), (2, "B", "AB")] {
        done(&mut state, id, own);
        merged(&mut state, id, own, own);
        committed(&mut state, id, tree);
    }
    assert_eq!(keys(&state), ["i3/a1/r0/assemble"]);
    committed(&mut state, 3, "ABC");
    state.apply(&resumed(&state, 2));
    assert_eq!(keys(&state), ["i4/a1/r0/assemble", "i5/a1/r0/assemble"]);
    assert_eq!(seen_tree(&state, 4).as_deref(), Some("ABC"));
}

#[test]
fn what_was_in_progress_beside_what_is_taken_back_begins_anew() {
    let assembled = |id| Event::Assembled { purpose: work(id), fitted: Fitted::default() };
    let events = [
        started_with(two_at_once(), false),
        Event::ProgramAdopted { program: program(&STEPS), version: 1, why: "handed in".into() },
        assembled(1),
        assembled(2),
        Event::Committed {
            instruction: InstructionId(1),
            settlement: Settlement::Finished,
            cut: None,
            commit: CommitId("c1".into()),
            tree: TreeId("A".into()),
            touched: vec![],
            needs: None,
            inventory: Inventory::default(),
        },
        assembled(3),
    ];
    let records = events.iter().zip(1..).map(|(event, seq)| record(seq, RecordKind::Result, event));
    let mut records: Vec<_> = records.collect();
    assert_eq!(RunState::of(&records).unwrap().open.len(), 2, "2 and 3 are in progress");
    let back = Event::Restored { to: 6, why: "undone".into() };
    records.push(record(7, RecordKind::Fact, &back));
    let mut state = RunState::of(&records).unwrap();
    state.stopped = None;
    assert_eq!(keys(&state), ["e1/i2/a1/r0/assemble", "e1/i3/a1/r0/assemble", "e1/i4/a1/r0/assemble"]);
    assert_eq!(seen_tree(&state, 3).as_deref(), Some("A"));
}

proptest! {
    /// Whatever replies, edits, merges and checks do and in whatever order they come: a run ends within its bounds, no effect is
    /// asked for twice, no more are in flight than may be, and folding the journal again gives the same state.
    #[test]
    fn every_run_of_several_at_once_ends(
        dice in prop::collection::vec(any::<u8>(), 8..64),
        parallel in 2_u32..5,
        turns_max in 1_u32..4,
        repairs_max in 0_u32..3,
        tokens_max in prop::option::of(0_u64..60_000),
        allow_install in any::<bool>(),
    ) {
        let limits = Limits { turns_max, repairs_max, tokens_max, parallel, ..Limits::default() };
        let mut world = World { dice, at: 0 };
        let mut run = Run::of(RunState::default());
        run.fold(&started_with(limits, allow_install));
        run.fold(&Event::ProgramAdopted { program: program(&STEPS), version: 1, why: "handed in".into() });
        let mut asked = BTreeSet::new();
        let mut scenes: BTreeMap<EffectKey, Arc<RunState>> = BTreeMap::new();
        loop {
            while run.begin() {
                let (key, effect) =
                    run.in_flight.iter().find(|(key, _)| !scenes.contains_key(*key)).expect("it was begun");
                prop_assert!(asked.insert(key.clone()), "{key} is asked for twice");
                prop_assert!(asked.len() < EFFECTS_MAX, "the run does not end");
                scenes.insert(key.clone(), Arc::new(run.state.clone()).scene(effect));
            }
            let next = decided(&run.state);
            prop_assert_eq!(&next, &decided(&run.state), "the same state, the same decision");
            // Under a limit, what others used meanwhile can leave no room for a call that was begun with room.
            for key in run.in_flight.keys().filter(|_| tokens_max.is_none()) {
                let is_decided = next.iter().any(|effect| run.state.key_of(effect) == *key);
                prop_assert!(is_decided, "{key} is in flight and not decided any more");
            }
            let calls = run.in_flight.values().filter(|effect| matches!(effect, Effect::Call { .. })).count();
            prop_assert!(calls <= parallel as usize, "{calls} calls are in flight");
            let Some(at) = world.throw().checked_rem(run.in_flight.len()) else { break };
            let key = run.in_flight.keys().nth(at).unwrap().clone();
            let (effect, scene) = (run.in_flight.remove(&key).unwrap(), scenes.remove(&key).unwrap());
            let event = world.perform(&effect, &scene);
            let body = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            run.note(RecordKind::Result, Some(key), body);
        }
        prop_assert!(run.state.is_over() || run.state.stopped.is_some());
        if let Some(limit) = tokens_max {
            prop_assert!(run.state.totals.completion_tokens <= limit);
        }
        prop_assert_eq!(&RunState::of(&run.records).unwrap(), &run.state);
    }
}
