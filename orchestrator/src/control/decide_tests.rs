//! The table against a world that answers at random: whatever replies, edits and checks do, a run ends within its
//! bounds, no effect is asked for twice, and folding the journal again gives the same state.

use std::collections::BTreeSet;

use edvac_agents::client::{ClientInfo, Finish, ModelReply, Usage};
use edvac_agents::roles::reviewer::GivenUp;
use edvac_agents::templates::Templates;
use edvac_memory::context::Fitted;
use edvac_memory::fault::{Fault, Place, PlaceKind};
use edvac_memory::ids::{CommitId, InstructionId, TreeId};
use edvac_memory::journal::{Record, RecordKind};
use edvac_memory::program::{Check, CheckKind, Found};
use edvac_memory::store::Origin;
use edvac_memory::verdict::{CheckReport, Outcome, TestOutcome, Verdict};
use proptest::prelude::*;

use super::*;
use crate::check::integrity::Inventory;
use crate::config::ModelConfig;
use crate::control::Event;
use crate::control::budget::{Price, Tariff};
use crate::control::event::{Clash, Conflict, Limits, SecondModel};
use crate::control::state::Turn;
use crate::dependencies::{Needs, Wanted};
use crate::ledger::Ledger;
use crate::survey::Survey;

/// Effects a run of these limits can have at most; a run that needs more does not end.
pub(crate) const EFFECTS_MAX: usize = 2000;
const PLAN: &str = "TITLE: x\nLANGUAGE: python\nREQUIREMENT R1: One.\nREQUIREMENT R2: Two.\n\
                    STEP 1: A\nWRITES: a.py\nREADS: -\nCOVERS: R1\nDO: Write a.\n\
                    STEP 2: B\nWRITES: b.py\nREADS: -\nCOVERS: R2\nDO: Write b.\nEND\n";
const WORK: [&str; 8] = [
    "```python\nnew\n```",
    "```python\nold 1\n```",
    "@@ write a.py\nx = 1\n@@ end\n@@ done Yes.\n",
    "@@ read a.py\n",
    "@@ done Yes.\n",
    "@@ write ../a\nx\n@@ end\n",
    "nothing at all",
    "@@ edit a.py\n<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n@@ end\n@@ done Yes.\n",
];

pub(crate) fn started(limits: Limits) -> Event {
    started_with(limits, false)
}

pub(crate) fn started_with(limits: Limits, allow_install: bool) -> Event {
    Event::RunStarted {
        unsafe_no_sandbox: false,
        allow_install,
        run: "r".into(),
        task: "t".into(),
        domain: "codebase".into(),
        slug: "s".into(),
        workspace: "/w".into(),
        model: ClientInfo {
            provider: "scripted".into(),
            model: "m".into(),
            window_tokens: 4000,
            grammar: false,
        },
        reached: ModelConfig::default(),
        tariff: None,
        second: None,
        limits,
        plan_only: false,
        seed: 0,
        tree: "empty".into(),
        origin: None,
        traceparent: None,
        edvac: "0".into(),
    }
}

/// A model besides, with another window and a price.
pub(crate) fn second_model() -> Box<SecondModel> {
    let price = Price {
        currency: "USD".into(),
        prompt_micros: 1_000_000,
        cached_prompt_micros: 1_000_000,
        completion_micros: 4_000_000,
    };
    Box::new(SecondModel {
        model: ClientInfo {
            provider: "openai".into(),
            model: "large".into(),
            window_tokens: 9000,
            grammar: false,
        },
        reached: ModelConfig::default(),
        tariff: Tariff::Priced(price),
    })
}

fn survey(tree: &TreeId, needs: Option<Needs>, had_packages: bool) -> Survey {
    Survey {
        tree: tree.clone(),
        language: "python".into(),
        files: ["a.py".to_owned()].into(),
        others: vec![],
        inventory: Inventory::default(),
        tests: None,
        faults: std::collections::BTreeSet::new(),
        needs,
        had_packages,
    }
}

/// A run that goes on from a repository.
pub(crate) fn started_on_existing(allow_install: bool) -> Event {
    let mut event = started_with(Limits::default(), allow_install);
    if let Event::RunStarted { origin, .. } = &mut event {
        *origin = Some(Origin {
            path: "/theirs".into(),
            head: "h".into(),
            base: "b".into(),
            branch: "edvac/s".into(),
            included: vec![],
            untracked: vec![],
        });
    }
    event
}

fn given_up() -> GivenUp {
    GivenUp { path: "test_a.py".into(), test: "test_r1".into(), said: "gone".into(), reason: "so".into() }
}

/// Numbers that decide what the world does, used up in turn and then begun again.
pub(crate) struct World {
    pub(crate) dice: Vec<u8>,
    pub(crate) at: usize,
}

impl World {
    pub(crate) fn throw(&mut self) -> usize {
        self.at += 1;
        usize::from(self.dice[self.at % self.dice.len()]) + self.at / self.dice.len()
    }

    fn reply(&mut self, purpose: Purpose) -> ModelReply {
        let throw = self.throw();
        let text = match purpose {
            Purpose::Plan | Purpose::Replan { .. } if throw.is_multiple_of(3) => PLAN,
            Purpose::Plan | Purpose::Replan { .. } => "no plan",
            Purpose::Work { .. } | Purpose::Repair { .. } => WORK[throw % WORK.len()],
            Purpose::Summarise { .. } => "FOUND: x",
            Purpose::Review { .. } => {
                ["REASON: x\nVERDICT: accept\n", "REASON: x\nVERDICT: reject\n", "hm"][throw % 3]
            }
        };
        let finish = if throw % 11 == 10 { Finish::Length } else { Finish::Stop };
        let usage =
            Usage { prompt_tokens: 500 * (throw % 5) as u64, completion_tokens: 50, ..Usage::default() };
        ModelReply { text: text.to_owned(), finish, usage, model: "m".into() }
    }

    fn needs(&mut self) -> Option<Needs> {
        let throw = self.throw();
        throw.is_multiple_of(2).then(|| needs(&format!("d{}", throw % 40)))
    }

    fn verdict(&mut self) -> Verdict {
        match self.throw() % 3 {
            0 => Verdict::Passed,
            1 => Verdict::Failed { reason: "no".into() },
            _ => Verdict::NoEvidence { reason: "none".into() },
        }
    }

    fn reports(&mut self, tree: &TreeId) -> Vec<CheckReport> {
        let one = |verdict| CheckReport {
            check: Check { kind: CheckKind::Tests, covers: vec![] },
            verdict,
            tree: tree.clone(),
            command: vec![],
            exit_status: None,
            duration_ms: 0,
            resources: None,
            tests: vec![],
            detail: String::new(),
            output: String::new(),
            causes: vec![],
        };
        vec![one(self.verdict()), one(self.verdict())]
    }

    pub(crate) fn perform(&mut self, effect: &Effect, state: &RunState) -> Event {
        match effect {
            Effect::Survey { tree, number } => {
                Event::Surveyed { survey: survey(tree, self.needs(), *number > 1) }
            }
            Effect::Assemble { purpose } => Event::Assembled { purpose: *purpose, fitted: Fitted::default() },
            Effect::Call { purpose, turn, .. } => {
                if self.throw().is_multiple_of(13) && *turn > 0 && matches!(purpose, Purpose::Work { .. }) {
                    return Event::Overflowed { purpose: *purpose, prompt_tokens: 9, window_tokens: 8 };
                }
                Event::Replied { purpose: *purpose, turn: *turn, reply: self.reply(*purpose) }
            }
            Effect::RefusePlan { problems, .. } => {
                Event::PlanRefused { problems: problems.clone(), answer: "no".into(), answer_tokens: 1 }
            }
            Effect::Adopt { program, version, why } => {
                Event::ProgramAdopted { program: program.clone(), version: *version, why: why.clone() }
            }
            Effect::Weigh { instruction, .. } => {
                let throw = self.throw();
                let asks = state.instruction(*instruction).unwrap().control.as_ref().unwrap();
                let found = match asks.condition() {
                    Some(_) => Found::Holds(throw.is_multiple_of(2)),
                    None => Found::Items((0..throw % 4).map(|n| format!("item {n}")).collect()),
                };
                Event::Weighed { instruction: *instruction, found, report: None }
            }
            Effect::Act { base, understood, .. } => {
                let last =
                    state.work.as_ref().unwrap().turns_used >= state.start.as_ref().unwrap().limits.turns_max;
                let fine = understood.problems.is_empty();
                let answer = (!last && (!fine || !hands_in(&understood.actions))).then(|| "go on".to_owned());
                let tree = if fine { TreeId(format!("{base}+{}", self.throw() % 7)) } else { base.clone() };
                let refused = understood.problems.clone();
                let needs = self.needs();
                let gives_up = answer.is_none() && self.throw().is_multiple_of(3);
                let given_up = if gives_up { vec![given_up()] } else { vec![] };
                Event::Acted {
                    instruction: state.focus,
                    tree,
                    applied: vec![],
                    bytes_written: 1,
                    needs,
                    refused,
                    answer,
                    answer_tokens: 2,
                    given_up,
                    called: vec![],
                }
            }
            Effect::Install { needs, .. } => Event::Installed {
                needs: needs.clone(),
                packages: vec![],
                command: vec![],
                exit_status: None,
                duration_ms: 1,
                output: String::new(),
                fault: self.throw().is_multiple_of(2).then(|| "no network".to_owned()),
            },
            Effect::Check { tree, opinion, .. } => {
                let reports = self.reports(tree);
                let passed = reports.iter().all(|r| r.verdict.is_passed());
                let unproven: Vec<_> =
                    if passed && self.throw().is_multiple_of(2) { vec!["R1".to_owned()] } else { vec![] };
                let answer = (!passed || !unproven.is_empty()).then(|| "go on".to_owned());
                let faults = if !passed && self.throw().is_multiple_of(2) {
                    vec![fault(self.throw())]
                } else {
                    vec![]
                };
                let asked = !state.work.as_ref().unwrap().review.given_up.is_empty();
                assert_eq!(asked, opinion.is_some(), "what is given up is judged first");
                let opinion = opinion.clone();
                Event::Checked {
                    instruction: state.focus,
                    reports,
                    unproven,
                    faults,
                    answer,
                    answer_tokens: 2,
                    opinion,
                }
            }
            Effect::Merge { instruction, ended, admitted, .. } => {
                let (instruction, ended) = (*instruction, ended.clone());
                let tree = if self.throw().is_multiple_of(2) {
                    TreeId(format!("{}+", ended.tree))
                } else {
                    ended.tree.clone()
                };
                match self.throw() % 4 {
                    0 if !admitted => Event::Undeclared { instruction, ended, paths: vec!["x".into()] },
                    1 if state.open[&instruction].conflicts.is_empty() => {
                        let conflict = Conflict { clash: Clash::Written, what: "x".into(), with: None };
                        Event::Conflicted { instruction, conflicts: vec![conflict] }
                    }
                    // What began with all that is before it is merged with nothing.
                    _ if !state.open[&instruction].conflicts.is_empty() => {
                        Event::Merged { instruction, tree: ended.tree.clone(), ended }
                    }
                    _ => Event::Merged { instruction, ended, tree },
                }
            }
            Effect::CheckMerged { instruction, tree } => {
                Event::MergeChecked { instruction: *instruction, reports: self.reports(tree) }
            }
            Effect::Commit { instruction, settlement, cut, tree, .. } => Event::Committed {
                instruction: *instruction,
                settlement: *settlement,
                cut: *cut,
                commit: CommitId(format!("c{instruction}")),
                tree: tree.clone(),
                touched: vec![],
                needs: self.needs(),
                inventory: Inventory::default(),
            },
            Effect::CheckAll { tree, .. } => Event::FinalChecked { reports: self.reports(tree) },
            Effect::Finish => Event::Finished {
                ledger: Ledger::weigh(state.program.as_ref().unwrap(), state.final_reports.as_ref().unwrap()),
            },
            Effect::Stop { why } => Event::Stopped { why: why.clone() },
        }
    }
}

fn fault(throw: usize) -> Fault {
    let place = |n: usize| Place {
        path: "a.py".into(),
        line_first: 1,
        line_last: 1,
        text: if n == 2 { "def test_r2(self): # old 2\n".into() } else { format!("old {n}\n") },
        kind: match n {
            0 => PlaceKind::Imports,
            1 => PlaceKind::Code,
            _ => PlaceKind::Expectation { above: String::new() },
        },
        offers: Vec::new(),
        until_failure: String::new(),
    };
    Fault { said: format!("{}", throw % 3), places: (0..=throw % 3).map(place).collect() }
}

fn needs(digest: &str) -> Needs {
    let wanted = vec![Wanted { name: "flask".into(), spec: "flask".into() }];
    Needs { runner: "python".into(), digest: digest.into(), wanted, refused: vec![] }
}

pub(crate) fn record(seq: u64, kind: RecordKind, event: &Event) -> Record {
    // As text and back: what a journal keeps.
    let body = serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap();
    Record { seq, time_ms: i64::try_from(seq).unwrap() * 1000, kind, key: None, body }
}

/// A run whose first step was checked once: `ran` tests, of which `passed` passed, and one fault.
pub(crate) fn checked_once(passed: usize, ran: usize) -> RunState {
    let mut state = RunState::default();
    state.apply(&started(Limits::default()));
    let work = Purpose::Work { instruction: InstructionId(1), attempt: 1, restart: 0 };
    state.apply(&Event::Assembled { purpose: work, fitted: Fitted::default() });
    replied(&mut state, work);
    acted(&mut state, "one", None);
    checked(&mut state, passed, ran, "TypeError");
    state
}

fn replied(state: &mut RunState, purpose: Purpose) {
    let reply =
        ModelReply { text: String::new(), finish: Finish::Stop, usage: Usage::default(), model: "m".into() };
    state.apply(&Event::Replied { purpose, turn: 0, reply });
}

fn acted(state: &mut RunState, tree: &str, answer: Option<&str>) {
    let (tree, answer) = (TreeId(tree.into()), answer.map(str::to_owned));
    state.apply(&Event::Acted {
        instruction: None,
        tree,
        applied: vec![],
        bytes_written: 0,
        needs: None,
        refused: vec![],
        answer,
        answer_tokens: 0,
        given_up: vec![],
        called: vec![],
    });
}

fn checked(state: &mut RunState, passed: usize, ran: usize, error: &str) {
    let outcome = |n| if n < passed { Outcome::Passed } else { Outcome::Failed };
    let tests = (0..ran)
        .map(|n| TestOutcome { name: n.to_string(), outcome: outcome(n), covers: vec![], flaw: None })
        .collect();
    let verdict =
        if passed == ran { Verdict::Passed } else { Verdict::Failed { reason: "some failed".into() } };
    let report = CheckReport {
        check: Check { kind: CheckKind::Tests, covers: vec![] },
        verdict,
        tree: TreeId("t".into()),
        command: vec![],
        exit_status: Some(0),
        duration_ms: 0,
        resources: None,
        tests,
        detail: String::new(),
        output: String::new(),
        causes: vec![],
    };
    let said = format!("a test failed:\n  File \"a.py\", line {ran}\n{error}");
    let faults = if passed == ran { vec![] } else { vec![Fault { said, ..fault(2) }] };
    state.apply(&Event::Checked {
        instruction: None,
        reports: vec![report],
        unproven: vec![],
        faults,
        answer: None,
        answer_tokens: 0,
        opinion: None,
    });
}

fn repaired(state: &mut RunState, number: u32, tree: &str, answer: Option<&str>) {
    let purpose = Purpose::Repair { instruction: InstructionId(1), attempt: 1, repair: number };
    state.apply(&Event::Assembled { purpose, fitted: Fitted::default() });
    replied(state, purpose);
    acted(state, tree, answer);
}

#[test]
fn a_repair_is_kept_only_if_it_does_some_good() {
    for (passed, ran, error, kept, why) in [
        (3, 4, "TypeError", true, "another test passes"),
        (2, 4, "ValueError", true, "the error is another one"),
        (2, 4, "TypeError", false, "the error is the same"),
        (1, 4, "ValueError", false, "a test fails that passed"),
        (2, 3, "ValueError", false, "a test is gone"),
    ] {
        let mut state = checked_once(2, 4);
        repaired(&mut state, 1, "two", None);
        checked(&mut state, passed, ran, error);
        let work = state.work.unwrap();
        assert_eq!((work.tree.as_str() == "two", work.stale == 0), (kept, kept), "{why}");
    }
}

#[test]
fn a_repair_that_leads_back_is_not_kept() {
    let mut state = checked_once(2, 4);
    for (number, tree, error, kept) in
        [(1, "two", "ValueError", "two"), (2, "one", "TypeError", "two"), (3, "three", "TypeError", "three")]
    {
        repaired(&mut state, number, tree, None);
        checked(&mut state, 2, 4, error);
        assert_eq!(state.work.as_ref().unwrap().tree.as_str(), kept, "repair {number}");
    }
}

#[test]
fn a_test_that_expects_something_else_now_is_remembered() {
    for (passed, kept) in [(3, true), (2, false)] {
        let mut state = checked_once(2, 4);
        for number in 1..=2 {
            repaired(&mut state, number, "one", Some("The part is the same as before."));
        }
        assert!(matches!(
            state.work.as_ref().unwrap().target().unwrap().1.kind,
            PlaceKind::Expectation { .. }
        ));
        repaired(&mut state, 3, "weaker", None);
        checked(&mut state, passed, 4, "TypeError");
        let work = state.work.unwrap();
        let names: Vec<_> = work.rewritten.iter().map(String::as_str).collect();
        assert_eq!(names, if kept { vec!["test_r2"] } else { vec![] });
        assert_eq!(work.best.unwrap().rewritten, work.rewritten);
    }
}

#[test]
fn a_guess_has_to_do_better() {
    for (passed, error, kept) in [(2, "ValueError", "one"), (3, "TypeError", "guess")] {
        let mut state = checked_once(2, 4);
        for number in 1..=3 {
            repaired(&mut state, number, "one", Some("The part is the same as before."));
        }
        assert!(state.work.as_ref().unwrap().tried_all());
        repaired(&mut state, 4, "guess", None);
        checked(&mut state, passed, 4, error);
        assert_eq!(state.work.as_ref().unwrap().tree.as_str(), kept, "{error}");
    }
}

#[test]
fn a_repair_that_mends_everything_ends_the_repairs() {
    let mut state = checked_once(2, 4);
    repaired(&mut state, 1, "two", None);
    checked(&mut state, 4, 4, "");
    let work = state.work.unwrap();
    assert!(work.passed && work.repair.is_none() && work.best.unwrap().tree.as_str() == "two");
}

#[test]
fn places_have_their_turns_and_then_again_from_the_other_end() {
    let mut state = checked_once(2, 4);
    let mut seen = Vec::new();
    for number in 1..=7 {
        let work = state.work.as_ref().unwrap();
        let place = work.target().unwrap().1;
        let text = place.text.trim().rsplit("# ").next().unwrap_or_default();
        seen.push((text.to_owned(), work.writes_anew()));
        repaired(&mut state, number, "one", Some("The part is the same as before."));
    }
    let seen: Vec<_> = seen.iter().map(|(text, anew)| (text.as_str(), *anew)).collect();
    let second = [("old 2", true), ("old 1", false), ("old 0", false)];
    assert_eq!(seen[..3], [("old 0", false), ("old 1", false), ("old 2", false)]);
    assert_eq!((&seen[3..6], &seen[6..]), (&second[..], &second[..1]));
}

/// Installed once where it works, twice where it does not, and again for a person who resumes; never unasked.
#[test]
fn what_is_needed_is_installed_before_anything_else_and_not_in_a_circle() {
    let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
    let next = |state: &RunState| decide(state, &Rules { domain: &domain }).remove(0);
    let installed = |fault: Option<&str>| Event::Installed {
        needs: needs("d"),
        packages: vec![],
        command: vec![],
        exit_status: None,
        duration_ms: 0,
        output: String::new(),
        fault: fault.map(str::to_owned),
    };
    let resumed = |allow_install| Event::Resumed {
        unsafe_no_sandbox: false,
        allow_install,
        limits: Limits::default(),
        model: checked_once(1, 1).start.unwrap().model,
        reached: ModelConfig::default(),
        tariff: None,
        second: None,
    };
    let mut state = checked_once(2, 4);
    let Some(work) = &mut state.work else { unreachable!() };
    work.needs = Some(needs("d"));
    state.program = planner::understand(PLAN, Finish::Stop, &[])
        .and_then(|draft| plan::program(draft, "t", &domain, &Limits::default(), None, true))
        .ok();
    let key = |effect: Effect| effect.key(0).0;
    assert_ne!(next(&state).name(), "install", "nobody allowed it");
    state.apply(&resumed(true));
    assert_eq!(key(next(&state)), "install/d/1");
    state.apply(&installed(Some("no network")));
    assert_eq!(key(next(&state)), "install/d/2");
    state.apply(&installed(Some("no network")));
    assert_ne!(next(&state).name(), "install", "it failed twice");
    state.apply(&resumed(false));
    assert_ne!(next(&state).name(), "install");
    state.apply(&resumed(true));
    assert_eq!(key(next(&state)), "install/d/3");
    state.apply(&installed(None));
    assert_ne!(next(&state).name(), "install", "it is there");
    state.apply(&resumed(true));
    assert_eq!(key(next(&state)), "install/d/4", "it may have gone meanwhile");
    let refused = Needs { wanted: vec![], ..needs("e") };
    state.work.as_mut().unwrap().needs = Some(refused);
    assert_ne!(next(&state).name(), "install", "nothing of it can be installed");
}

#[test]
fn a_task_that_is_its_own_plan_asks_no_planner() {
    let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
    let task = "# Sums\n\nFiles:\n- `sums.py`: the function `add`\n- `calc.py`: run as `python3 calc.py`\n\nR1: `add(a, b)` adds.\nR2: `python3 calc.py 1 2` prints 3.\n";
    let mut state = RunState::default();
    let mut event = started_with(Limits::default(), false);
    if let Event::RunStarted { task: own, .. } = &mut event {
        task.clone_into(own);
    }
    state.apply_record(&record(1, RecordKind::Fact, &event)).unwrap();
    let Effect::Adopt { program, why, .. } = decide(&state, &Rules { domain: &domain }).remove(0) else {
        panic!("it was planned")
    };
    assert_eq!(why, "the task settles it");
    let told = |i: &Instruction| {
        let kinds: Vec<_> = i
            .checks
            .iter()
            .filter(|c| !matches!(c.kind, CheckKind::Exists { .. } | CheckKind::Parses { .. }))
            .collect();
        (i.writes.join(" "), i.covers.len(), i.candidates, kinds.len())
    };
    let steps: Vec<_> = program.instructions.iter().map(told).collect();
    let expected = [
        ("sums.py", 0, true, 1),
        ("calc.py", 0, true, 2),
        ("test_sums.py", 1, false, 3),
        ("test_calc.py", 1, false, 3),
    ];
    assert_eq!(
        steps,
        expected.map(|(path, covers, candidates, more)| (path.to_owned(), covers, candidates, more))
    );
    assert_eq!(program.requirements[1].text, "`python3 calc.py 1 2` prints 3.");
}

#[test]
fn a_candidate_is_followed_by_another_that_knows_nothing_of_it() {
    let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
    let next = |state: &RunState| decide(state, &Rules { domain: &domain }).remove(0);
    let mut state = checked_once(2, 4);
    let id = state.work.as_ref().unwrap().instruction;
    let step = Instruction { id, candidates: true, attempts_max: 2, ..Instruction::default() };
    state.program.get_or_insert_default().instructions = vec![step];
    let used_up = |state: &mut RunState| {
        let work = state.work.as_mut().unwrap();
        (work.is_candidate, work.turns_used, work.stale) = (true, 4, 3);
    };
    used_up(&mut state);
    let work = state.work.as_mut().unwrap();
    (work.repairs_used, work.stale) = (5, 2);
    let purpose = Purpose::Repair { instruction: id, attempt: 1, repair: 6 };
    assert_eq!(next(&state), Effect::Assemble { purpose }, "what is known to fail is mended first");
    used_up(&mut state);
    let purpose = Purpose::Work { instruction: id, attempt: 2, restart: 0 };
    assert_eq!(next(&state), Effect::Assemble { purpose }, "nothing is summed up");
    state.apply(&Event::Assembled { purpose, fitted: Fitted::default() });
    let work = state.work.as_ref().unwrap();
    assert_eq!((work.attempt, work.turns_used, &work.summary), (2, 0, &None));
    assert_eq!(Some(&work.tree), state.tree.as_ref());
    assert_eq!(next(&state).name(), "call");
    used_up(&mut state);
    assert_eq!(next(&state).name(), "commit", "the best one is kept");
    // Between its first reply and its last it goes on, unless the same answer comes twice.
    let reply =
        ModelReply { text: String::new(), finish: Finish::Stop, usage: Usage::default(), model: "m".into() };
    let mut with = |answers: [&str; 2]| {
        let work = state.work.as_mut().unwrap();
        let turn = |answer: &str| Turn { acted: true, answer: Some(answer.into()), ..Turn::new(&reply) };
        work.turns_used = 2;
        work.talk = Conversation { context: Some(Fitted::default()), turns: answers.map(turn).to_vec() };
        next(&state).name()
    };
    assert_eq!((with(["a", "b"]), with(["a", "a"])), ("call", "commit"));
}

#[test]
fn where_a_model_comes_to_nothing_another_is_asked() {
    let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
    let next = |state: &RunState| decide(state, &Rules { domain: &domain }).remove(0);
    let mut state = checked_once(2, 4);
    let id = state.work.as_ref().unwrap().instruction;
    let step = Instruction { id, candidates: true, attempts_max: 1, ..Instruction::default() };
    state.program.get_or_insert_default().instructions = vec![step];
    let used_up = |state: &mut RunState| {
        let work = state.work.as_mut().unwrap();
        (work.is_candidate, work.turns_used, work.stale) = (true, 4, 3);
    };
    used_up(&mut state);
    assert_eq!(next(&state).name(), "commit", "there is no other");
    let before = state.used();
    state.start.as_mut().unwrap().second = Some(second_model());
    for attempt in [2, 3] {
        let purpose = Purpose::Work { instruction: id, attempt, restart: 0 };
        assert_eq!(next(&state), Effect::Assemble { purpose });
        assert!(state.asks_second(purpose));
        assert_eq!(state.window_tokens(purpose), 9000);
        state.apply(&Event::Assembled { purpose, fitted: Fitted::default() });
        let Effect::Call { reserve, .. } = next(&state) else { panic!("it is asked") };
        assert!(reserve.is_second);
        assert_eq!(reserve.cost_micros, Some(reserve.prompt_tokens + 4 * reserve.completion_tokens));
        let usage = Usage { completion_tokens: 10, ..Usage::default() };
        let reply = ModelReply { text: String::new(), finish: Finish::Stop, usage, model: "large".into() };
        state.apply(&Event::Replied { purpose, turn: 0, reply });
        used_up(&mut state);
        let last = state.work.as_mut().unwrap().talk.turns.last_mut().unwrap();
        (last.acted, last.answer) = (true, Some("no".into()));
    }
    assert_eq!(next(&state).name(), "commit", "its attempts are used up, too");
    assert_eq!(state.bill.second_calls, 2);
    let paid = state.used().cost_micros - before.cost_micros;
    assert_eq!(paid, 80, "it is paid for, beside a model that is free");
}

proptest! {
    #[test]
    fn every_run_ends_and_asks_for_nothing_twice(
        dice in prop::collection::vec(any::<u8>(), 8..64),
        attempts_max in 1_u32..4,
        turns_max in 1_u32..6,
        restarts_max in 0_u32..3,
        repairs_max in 0_u32..6,
        tokens_max in prop::option::of(0_u64..60_000),
        allow_install in any::<bool>(),
        has_second in any::<bool>(),
    ) {
        let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
        let rules = Rules { domain: &domain };
        let limits = Limits { attempts_max, turns_max, restarts_max, repairs_max, tokens_max, ..Limits::default() };
        let mut world = World { dice, at: 0 };
        let mut begin = started_with(limits, allow_install);
        if let Event::RunStarted { second, .. } = &mut begin {
            *second = has_second.then(second_model);
        }
        let mut records = vec![record(1, RecordKind::Fact, &begin)];
        let mut state = RunState::default();
        state.apply_record(&records[0]).unwrap();
        let mut keys = BTreeSet::new();
        loop {
            let effects = decide(&state, &rules);
            prop_assert_eq!(&effects, &decide(&state, &rules), "the same state, the same decision");
            let Some(effect) = effects.first() else { break };
            let key = effect.key(state.epoch);
            prop_assert!(keys.insert(key.clone()), "{key} is asked for twice");
            prop_assert!(keys.len() < EFFECTS_MAX, "the run does not end");
            let event = world.perform(effect, &state);
            let next = record(records.len() as u64 + 1, RecordKind::Result, &event);
            state.apply_record(&next).unwrap();
            records.push(next);
        }
        prop_assert!(state.is_over() || state.stopped.is_some());
        if let Some(limit) = tokens_max {
            prop_assert!(state.totals.completion_tokens <= limit);
        }
        // What a resumed process folds is what the first one knew.
        let mut again = RunState::default();
        records.iter().try_for_each(|r| again.apply_record(r)).unwrap();
        prop_assert_eq!(again, state);
    }
}

#[test]
fn what_exists_is_looked_at_before_anything_else() {
    let domain = Domain::load("codebase", &Templates::load(None).unwrap()).unwrap();
    let rules = Rules { domain: &domain };
    let next = |state: &RunState| decide(state, &rules).remove(0).key(state.epoch).0;
    let mut state = RunState::default();
    state.apply(&started_on_existing(true));
    assert_eq!(state.head, Some("b".into()), "the first commit comes behind what was there");
    assert_eq!(next(&state), "survey/1");
    let needs = Needs {
        runner: "python".into(),
        digest: "d".into(),
        wanted: vec![Wanted { name: "rich".into(), spec: "rich".into() }],
        refused: vec![],
    };
    state.apply(&Event::Surveyed { survey: survey(&"empty".into(), Some(needs.clone()), false) });
    assert_eq!(next(&state), "install/d/1", "its tests need packages");
    let installed = |fault: Option<&str>| Event::Installed {
        needs: needs.clone(),
        packages: vec![],
        command: vec![],
        exit_status: None,
        duration_ms: 1,
        output: String::new(),
        fault: fault.map(str::to_owned),
    };
    let mut failed = state.clone();
    failed.apply(&installed(Some("no network")));
    failed.apply(&installed(Some("no network")));
    assert_eq!(next(&failed), "plan/assemble", "what cannot be installed holds nobody");
    state.apply(&installed(None));
    assert_eq!(next(&state), "survey/2", "with them the tests are run once more");
    state.apply(&Event::Surveyed { survey: survey(&"empty".into(), Some(needs), true) });
    assert_eq!(next(&state), "plan/assemble");
}
