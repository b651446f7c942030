//! The fold: one event after the other into the state of the run.

use std::collections::{BTreeMap, BTreeSet};

use edvac_memory::fault::{Fault, PlaceKind};
use edvac_memory::ids::{InstructionId, TreeId};
use edvac_memory::journal::{Record, RecordKind, Seq};
use edvac_memory::program::{Control, Instruction, Program};
use edvac_memory::verdict::{CheckReport, Outcome, TestOutcome, Verdict};
use serde::Deserialize as _;

use crate::check::integrity::Inventory;
use crate::control::budget::{Tariff, Used};
use crate::control::effect::{Purpose, reaching_out};
use crate::control::event::{Event, Settlement, StopReason};
use crate::control::review::{Retired, Review};
use crate::control::state::{
    Answer, Best, Conversation, Ending, Install, Repair, RunState, Settled, Start, Totals, Turn, Work,
};
use crate::control::stuck::{self, Stuck};
use crate::dependencies::Package;

/// Why a journal cannot be folded.
#[derive(Debug, thiserror::Error)]
#[error("record {seq} of the journal is not an event this edvac knows: {message}")]
pub struct FoldError {
    /// The record.
    pub seq: u64,
    /// What the decoder said.
    pub message: String,
}

/// Whether nobody worked on the run before an event: from a stop, or a crash, to the next resume, and to what a person does to a
/// run that no process carries out.
fn is_of_nobody_at_work(event: &Event) -> bool {
    matches!(
        event,
        Event::Resumed { .. }
            | Event::Amended { .. }
            | Event::Answered { .. }
            | Event::Restored { .. }
            | Event::Forked { .. }
    )
}

/// The event of a record; intents have none.
pub fn decoded(record: &Record) -> Result<Option<Event>, FoldError> {
    if record.kind == RecordKind::Intent {
        return Ok(None);
    }
    let event = Event::deserialize(&record.body);
    event.map(Some).map_err(|e| FoldError { seq: record.seq, message: e.to_string() })
}

impl RunState {
    /// Folds one journal record.
    pub fn apply_record(&mut self, record: &Record) -> Result<(), FoldError> {
        self.apply_decoded(record, decoded(record)?.as_ref());
        Ok(())
    }

    /// Folds one journal record whose event is known already. Intents, which have none, change nothing but what is reserved, not
    /// even the clock: the process that wrote them decided before, and a commit's time must be the same for whoever decides again.
    pub fn apply_decoded(&mut self, record: &Record, event: Option<&Event>) {
        let Some(event) = event else {
            self.seq = record.seq;
            self.bill.begin(record);
            if let Some(key) = reaching_out(record) {
                *self.reaching_out.entry(key.clone()).or_default() += 1;
            }
            return;
        };
        if let Some(key) = &record.key {
            self.bill.settle(key);
            self.reaching_out.remove(key);
        }
        self.tick(record, is_of_nobody_at_work(event));
        self.apply(event);
    }

    /// Advances the journal's clock.
    fn tick(&mut self, record: &Record, nobody_worked: bool) {
        if self.seq > 0 && !nobody_worked {
            self.totals.worked_ms += u64::try_from(record.time_ms - self.time_ms).unwrap_or(0);
        }
        self.seq = record.seq;
        self.time_ms = record.time_ms;
    }

    /// Folds one event.
    pub fn apply(&mut self, event: &Event) {
        if !self.apply_beside(event) {
            self.apply_alone(event);
        }
    }

    /// Folds an event of the run, or of the only instruction in progress.
    pub(super) fn apply_alone(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                unsafe_no_sandbox,
                allow_install,
                run,
                task,
                domain,
                slug,
                workspace,
                model,
                reached,
                tariff,
                second,
                limits,
                plan_only,
                seed,
                tree,
                origin,
                traceparent: _,
                edvac: _,
            } => {
                self.unsafe_no_sandbox = *unsafe_no_sandbox;
                self.may_install(*allow_install);
                self.tree = Some(tree.clone());
                self.head = origin.as_ref().map(|origin| origin.base.clone());
                self.start = Some(Start {
                    origin: origin.clone(),
                    run: run.clone(),
                    task: task.clone(),
                    domain: domain.clone(),
                    slug: slug.clone(),
                    workspace: workspace.clone(),
                    model: model.clone(),
                    reached: reached.clone(),
                    tariff: tariff.clone().unwrap_or_else(|| Tariff::unsaid(&model.provider)),
                    second: second.clone(),
                    limits: limits.clone(),
                    seed: *seed,
                    plan_only: *plan_only,
                    time_ms: self.time_ms,
                });
            }
            Event::Resumed { limits, model, reached, tariff, second, unsafe_no_sandbox, allow_install } => {
                self.unsafe_no_sandbox |= unsafe_no_sandbox;
                self.may_install(*allow_install);
                self.stopped = None;
                self.take_up(limits);
                if let Some(start) = &mut self.start {
                    self.bill.give_up(start);
                    start.second.clone_from(second);
                    start.tariff = tariff.clone().unwrap_or_else(|| Tariff::unsaid(&model.provider));
                    start.limits = limits.clone();
                    start.model = model.clone();
                    start.reached = reached.clone();
                    start.plan_only = false;
                }
                self.may_go_side_by_side();
            }
            Event::Stopped { why } => {
                if why.is_unread() {
                    self.bill.open.clear();
                }
                self.stopped = Some(why.clone());
            }
            Event::Assembled { purpose, fitted } => self.assembled(*purpose, fitted),
            Event::Replied { purpose, reply, turn: _ } => {
                self.totals.add(reply);
                if let Some(start) = &self.start {
                    let is_second = self.asks_second(*purpose);
                    self.bill.paid.pay(start.tariff_of(is_second), &reply.usage);
                    self.bill.second_calls += u64::from(is_second);
                }
                self.replied(*purpose, reply);
            }
            Event::Overflowed { .. } => {
                if let Some(work) = &mut self.work {
                    work.overflowed = true;
                }
            }
            Event::PlanRefused { answer, answer_tokens, problems: _ } => {
                if let Some(turn) = self.planning.turns.last_mut() {
                    turn.answer = Some(answer.clone());
                    turn.answer_tokens = *answer_tokens;
                }
            }
            Event::Surveyed { survey } => {
                self.surveys += 1;
                self.inventory = survey.inventory.clone();
                self.needs.clone_from(&survey.needs);
                self.survey = Some(survey.clone());
            }
            Event::ProgramAdopted { program, version, why: _ } => self.adopt(program, *version),
            Event::Amended { program, version, stale, why: _ } => {
                self.adopt(program, *version);
                self.amended(stale);
            }
            Event::Weighed { instruction, found, report: _ } => {
                self.weighed = Some((*instruction, found.clone()));
            }
            Event::Answered { instruction, approved, reason } => {
                let (instruction, approved, reason) = (*instruction, *approved, reason.clone());
                self.answer = Some(Answer { instruction, approved, reason });
                self.stopped = Some(StopReason::Interrupted);
            }
            Event::Forked { from, run, slug, workspace, at: _ } => {
                self.forked_from = Some(from.clone());
                // What was in flight there is answered there.
                self.bill.open.clear();
                if let Some(start) = &mut self.start {
                    start.run.clone_from(run);
                    start.slug.clone_from(slug);
                    start.workspace.clone_from(workspace);
                }
            }
            Event::Acted {
                instruction: _,
                tree,
                refused,
                answer,
                answer_tokens,
                given_up,
                needs,
                bytes_written,
                applied: _,
                called: _,
            } => {
                self.bill.bytes_written = self.bill.bytes_written.saturating_add(*bytes_written);
                if let Some(work) = &mut self.work {
                    work.review.begin(given_up);
                    work.needs.clone_from(needs);
                    work.acted(tree, !refused.is_empty(), answer.as_deref(), *answer_tokens);
                }
            }
            Event::Checked { instruction: _, reports, unproven, faults, answer, answer_tokens, opinion } => {
                if let Some(work) = &mut self.work {
                    work.review.settle(opinion.as_ref());
                    let is_new = work.seen.insert(work.tree.clone());
                    work.checked(reports, unproven, faults);
                    work.answered(answer.as_deref(), *answer_tokens);
                    work.weigh_repair(is_new);
                }
            }
            Event::Installed { needs, packages, fault, .. } => {
                let install = self.installs.entry(needs.digest.clone()).or_default();
                install.tried(packages, fault.as_deref());
            }
            Event::Committed { instruction, settlement, cut, commit, tree, touched, needs, inventory } => {
                self.needs.clone_from(needs);
                let Conclusion { attempts, reports, rewritten, retired, stopped } =
                    self.work.take().map(|work| work.conclude(*settlement)).unwrap_or_default();
                let (settlement, cut, touched) = (*settlement, *cut, touched.clone());
                let (commit, tree) = (commit.clone(), tree.clone());
                let settled = Settled {
                    settlement,
                    cut,
                    commit,
                    tree,
                    touched,
                    attempts,
                    reports,
                    rewritten,
                    retired,
                    stopped,
                    conflicts: Vec::new(),
                    undeclared: Vec::new(),
                };
                self.settle(*instruction, settled, inventory);
                if !self.is_parallel() {
                    self.course = None;
                }
            }
            // Read by `RunState::of`, which has the records that it is about; the others are of instructions that are carried out
            // beside others.
            Event::Restored { .. }
            | Event::Undeclared { .. }
            | Event::Merged { .. }
            | Event::Conflicted { .. }
            | Event::MergeChecked { .. } => {}
            Event::FinalChecked { reports } => self.final_reports = Some(reports.clone()),
            Event::Finished { ledger } => self.ledger = Some(ledger.clone()),
        }
    }

    /// A program is in force: what led to it is over.
    fn adopt(&mut self, program: &Program, version: u32) {
        self.program = Some(program.clone());
        self.program_version = version;
        self.weighed = None;
        self.answer = None;
        let falls_short =
            |i: &Instruction| matches!(i.control, Some(Control::Replan { shortfall: Some(_), .. }));
        self.replans += u32::from(program.instructions.iter().any(falls_short));
        // What was found at the end is out of date once there is work again.
        let is_open = |i: &Instruction| i.control.is_none() && !self.settled.contains_key(&i.id);
        if program.instructions.iter().any(is_open) {
            self.final_reports = None;
        }
        self.set_out();
    }

    /// A person changed the program: what is stale is done again, on the files as they are, and so is what was found at the
    /// end. What is being worked on begins anew if it is another instruction now, or none.
    fn amended(&mut self, stale: &BTreeSet<InstructionId>) {
        self.epoch += 1;
        self.settled.retain(|id, _| !stale.contains(id));
        if self.work.as_ref().is_some_and(|work| {
            stale.contains(&work.instruction) || self.instruction(work.instruction).is_none()
        }) {
            self.work = None;
        }
        self.open.clear();
        self.set_out();
        self.planning = Conversation::default();
        self.final_reports = None;
        self.ledger = None;
        // It waits for whoever goes on, whatever it stopped for.
        self.stopped = Some(StopReason::Interrupted);
    }

    /// The state that records lead to. Going back to an earlier one takes time linear in the records before it.
    pub fn of(records: &[Record]) -> Result<Self, FoldError> {
        let mut state = Self::default();
        for (at, record) in records.iter().enumerate() {
            match restored_to(record) {
                Some(to) => state = state.restored(&records[..at], to, record)?,
                None => state.apply_record(record)?,
            }
        }
        Ok(state)
    }

    /// This state taken back to record `to` of those before `record`. What was paid since stays paid.
    fn restored(&self, before: &[Record], to: Seq, record: &Record) -> Result<Self, FoldError> {
        let count = before.partition_point(|earlier| earlier.seq <= to);
        let then = Self::of(&before[..count])?;
        let mut left = self.left.clone();
        left.extend(self.head.clone());
        left.extend(then.left.iter().cloned());
        let mut start = then.start.clone();
        if let (Some(start), Some(now)) = (&mut start, &self.start) {
            start.limits.clone_from(&now.limits);
            start.tariff.clone_from(&now.tariff);
            start.second.clone_from(&now.second);
        }
        Ok(Self {
            // Bounds that a person raised stay raised, and what was paid stays paid.
            start,
            bill: self.bill.clone(),
            seq: record.seq,
            time_ms: record.time_ms,
            epoch: self.epoch + 1,
            taken_back: self.spent().beyond(then.totals),
            left,
            // As it is now, not as it was: what code may have done and what was installed is no matter of the program's.
            unsafe_no_sandbox: self.unsafe_no_sandbox,
            install_was_allowed: self.install_was_allowed,
            installs: self.installs.clone(),
            // A stop that was taken back is none, and the run waits for whoever goes on.
            stopped: Some(StopReason::Interrupted),
            // What was in progress beside what ended with that record had not ended: it begins anew.
            open: BTreeMap::new(),
            ..then
        })
    }

    /// An instruction ended. Tests count from now on, unless they had been tampered with.
    fn settle(&mut self, instruction: InstructionId, settled: Settled, inventory: &Inventory) {
        if !settled.reports.iter().any(|r| matches!(r.verdict, Verdict::Integrity { .. })) {
            self.inventory = inventory.clone();
        }
        self.head = Some(settled.commit.clone());
        self.tree = Some(settled.tree.clone());
        self.settled.insert(instruction, settled);
    }

    /// A person's word for the process that takes the run up. It may try again what failed, and sees for itself what of the
    /// rest is still there.
    fn may_install(&mut self, allowed: bool) {
        self.allow_install = allowed;
        self.install_was_allowed |= allowed;
        if allowed {
            for install in self.installs.values_mut() {
                *install = Install { tries_now: 0, done: false, ..std::mem::take(install) };
            }
        }
    }

    fn assembled(&mut self, purpose: Purpose, fitted: &edvac_memory::context::Fitted) {
        match purpose {
            Purpose::Plan | Purpose::Replan { .. } => {
                self.planning = Conversation { context: Some(fitted.clone()), turns: Vec::new() };
                self.planning_for = Some(purpose);
            }
            Purpose::Summarise { .. } => {
                if let Some(work) = &mut self.work {
                    work.summing = Some(fitted.clone());
                }
            }
            Purpose::Repair { repair, .. } => {
                if let Some(work) = &mut self.work {
                    work.begin_repair(repair, fitted);
                }
            }
            Purpose::Review { .. } => {
                if let Some(work) = &mut self.work {
                    work.review.talk.context = Some(fitted.clone());
                }
            }
            Purpose::Work { instruction, attempt, .. } => {
                let Some(base) = self.tree.clone() else { return };
                let used = self.used();
                let is_candidate = self.instruction(instruction).is_some_and(|i| i.candidates);
                let new = || Work { is_candidate, ..Work::new(instruction, base.clone(), used) };
                let work = self.work.get_or_insert_with(new);
                // The next candidate is told nothing of this one.
                if is_candidate && attempt > work.attempt {
                    work.stopped_for();
                    work.begin_anew(base);
                }
                work.talk = Conversation { context: Some(fitted.clone()), turns: Vec::new() };
            }
        }
    }

    fn replied(&mut self, purpose: Purpose, reply: &edvac_agents::client::ModelReply) {
        let turn = Turn::new(reply);
        match purpose {
            Purpose::Plan | Purpose::Replan { .. } => self.planning.turns.push(turn),
            Purpose::Work { .. } => {
                if let Some(work) = &mut self.work {
                    work.turns_used += 1;
                    work.talk.turns.push(turn);
                }
            }
            Purpose::Review { .. } => {
                if let Some(work) = &mut self.work {
                    work.review.replied(turn);
                }
            }
            Purpose::Repair { .. } => {
                if let Some(work) = &mut self.work {
                    work.talk.turns.push(turn);
                }
            }
            Purpose::Summarise { .. } => {
                let window_tokens = self.window_tokens(purpose);
                let (Some(work), Some(start), Some(base)) = (&mut self.work, &self.start, &self.tree) else {
                    return;
                };
                let ending = work.ending(&start.limits, window_tokens);
                work.go_on(ending.unwrap_or(Ending::Full), &turn.reply, base);
            }
        }
    }
}

/// The record that a record takes the run back to.
pub fn restored_to(record: &Record) -> Option<Seq> {
    let is_restored = record.body.get("event").is_some_and(|event| event == "restored");
    if is_restored { record.body.get("to").and_then(serde_json::Value::as_u64) } else { None }
}

impl Install {
    /// It was tried once more.
    fn tried(&mut self, packages: &[Package], fault: Option<&str>) {
        self.tries += 1;
        self.tries_now += 1;
        self.done = fault.is_none();
        self.packages = packages.to_vec();
        self.fault = fault.map(str::to_owned);
    }
}

impl Turn {
    /// A reply that nothing was done about yet.
    pub(super) fn new(reply: &edvac_agents::client::ModelReply) -> Self {
        Self {
            reply: reply.text.clone(),
            finish: reply.finish,
            usage: reply.usage,
            acted: false,
            refused: false,
            changed: false,
            checked: false,
            answer: None,
            answer_tokens: 0,
        }
    }
}

/// What is known of an instruction's best tree at its end.
#[derive(Default)]
struct Conclusion {
    attempts: u32,
    reports: Vec<CheckReport>,
    rewritten: BTreeSet<String>,
    retired: Vec<Retired>,
    stopped: Vec<(u32, Stuck)>,
}

impl Work {
    fn new(instruction: InstructionId, tree: TreeId, began: Used) -> Self {
        Self {
            instruction,
            is_candidate: false,
            attempt: 1,
            restart: 0,
            turns_used: 0,
            talk: Conversation::default(),
            tree,
            needs: None,
            reports: Vec::new(),
            unproven: Vec::new(),
            passed: false,
            faults: Vec::new(),
            repair: None,
            repairs_used: 0,
            stale: 0,
            rewritten: BTreeSet::new(),
            seen: BTreeSet::new(),
            failing: BTreeMap::new(),
            in_vain: BTreeSet::new(),
            past: Vec::new(),
            summary: None,
            overflowed: false,
            review: Review::default(),
            summing: None,
            best: None,
            stopped: Vec::new(),
            began,
            used: Used::default(),
        }
    }

    fn conclude(mut self, settlement: Settlement) -> Conclusion {
        if settlement == Settlement::Unfinished {
            self.stopped_for();
        }
        let (attempts, stopped) = (self.attempt, self.stopped);
        match self.best {
            Some(Best { reports, rewritten, retired, .. }) => {
                Conclusion { attempts, reports, rewritten, retired, stopped }
            }
            None => Conclusion {
                attempts,
                stopped,
                reports: self.reports,
                rewritten: self.rewritten,
                retired: self.review.agreed,
            },
        }
    }

    /// Takes a summary and starts the next conversation: of the same attempt when the window was full, of the next
    /// one, from the committed tree, when its turns were used up.
    fn go_on(&mut self, ending: Ending, summary: &str, base: &edvac_memory::ids::TreeId) {
        self.summary = Some(summary.to_owned());
        self.summing = None;
        self.overflowed = false;
        self.stopped_for();
        self.talk = Conversation::default();
        match ending {
            Ending::Full => self.restart += 1,
            Ending::Exhausted => self.begin_anew(base.clone()),
        }
    }

    /// Notes what the attempt was stopped for, if it was.
    fn stopped_for(&mut self) {
        let stuck = stuck::of(&self.talk.turns).filter(|_| self.repair.is_none());
        self.stopped.extend(stuck.map(|stuck| (self.attempt, stuck)));
    }

    /// The next attempt, on the tree that the step began with.
    fn begin_anew(&mut self, base: edvac_memory::ids::TreeId) {
        self.attempt += 1;
        self.restart = 0;
        self.turns_used = 0;
        self.tree = base;
        self.needs = None;
        self.reports.clear();
        self.unproven.clear();
        self.passed = false;
        self.faults.clear();
        self.repair = None;
        self.repairs_used = 0;
        self.stale = 0;
        self.rewritten.clear();
        self.seen.clear();
        self.failing.clear();
        self.in_vain.clear();
        self.past.clear();
        self.review = Review::default();
        self.overflowed = false;
    }

    fn begin_repair(&mut self, number: u32, fitted: &edvac_memory::context::Fitted) {
        let turns = std::mem::take(&mut self.talk.turns);
        self.past.extend(turns);
        self.talk.context = Some(fitted.clone());
        self.repairs_used = number;
        self.repair = Some(Repair {
            tree: self.tree.clone(),
            reports: self.reports.clone(),
            unproven: self.unproven.clone(),
            failing: self.failing.clone(),
            faults: self.faults.clone(),
            test: self
                .target()
                .filter(|(_, p)| matches!(p.kind, PlaceKind::Expectation { .. } | PlaceKind::Hollow { .. }))
                .and_then(|(_, place)| place.test_name().map(str::to_owned)),
            guessed: self.tried_all(),
        });
    }

    /// After the checks of a repair: keeps it if it did any good, or, unless it was a guess, led to another fault on a tree
    /// that `is_new`, and takes it back otherwise. Where nothing says any more in which part the fault lies, the instruction's own conversation goes
    /// on, afresh.
    fn weigh_repair(&mut self, is_new: bool) {
        let Some(repair) = self.repair.clone() else { return };
        let (now, before) = (standing(&self.reports), standing(&repair.reports));
        let other = is_new && !repair.guessed && faults_differ(&self.faults, &repair.faults);
        if now > before || (now == before && other) {
            self.rewritten.extend(repair.test);
            if let Some(best) = self.best.as_mut().filter(|best| best.tree == self.tree) {
                best.rewritten.clone_from(&self.rewritten);
            }
            self.turn_to(0);
        } else {
            self.tree = repair.tree;
            self.reports = repair.reports;
            self.unproven = repair.unproven;
            self.failing = repair.failing;
            self.faults = repair.faults;
            self.came_to_nothing();
        }
        if self.faults.is_empty() {
            let turns = std::mem::take(&mut self.talk).turns;
            self.summary = turns.last().and_then(|turn| turn.answer.clone());
            self.past.extend(turns);
            self.repair = None;
            self.restart += 1;
        }
    }

    fn acted(&mut self, tree: &TreeId, refused: bool, answer: Option<&str>, answer_tokens: usize) {
        let changed = *tree != self.tree;
        self.tree = tree.clone();
        // A repair that is answered was not checked: its reply could not be used.
        if self.repair.is_some() && answer.is_some() {
            self.came_to_nothing();
        }
        if let Some(turn) = self.talk.turns.last_mut() {
            turn.acted = true;
            turn.refused = refused;
            turn.changed = changed;
        }
        self.answered(answer, answer_tokens);
    }

    fn answered(&mut self, answer: Option<&str>, answer_tokens: usize) {
        if let (Some(turn), Some(answer)) = (self.talk.turns.last_mut(), answer) {
            turn.answer = Some(answer.to_owned());
            turn.answer_tokens = answer_tokens;
        }
    }

    fn checked(&mut self, reports: &[CheckReport], unproven: &[String], faults: &[Fault]) {
        self.faults = faults.to_vec();
        self.reports = reports.to_vec();
        self.unproven = unproven.to_vec();
        self.passed = reports.iter().all(|r| r.verdict.is_passed());
        for test in reports.iter().flat_map(|r| &r.tests) {
            if test.outcome == Outcome::Failed {
                self.failing.insert(test.name.clone(), self.tree.clone());
            } else {
                self.failing.remove(&test.name);
            }
        }
        if let Some(turn) = self.talk.turns.last_mut() {
            turn.checked = true;
        }
        if self.best.as_ref().is_none_or(|best| standing(reports) >= standing(&best.reports)) {
            self.best = Some(Best {
                attempt: self.attempt,
                tree: self.tree.clone(),
                reports: reports.to_vec(),
                rewritten: self.rewritten.clone(),
                retired: self.review.agreed.clone(),
                all_passed: self.passed,
            });
        }
    }
}

fn faults_differ(now: &[Fault], before: &[Fault]) -> bool {
    now.len() != before.len() || now.iter().zip(before).any(|(now, before)| !now.is_as(before))
}

/// How good a tree is: checks that passed, tests that passed and show something, tests that ran at all. Tests that were
/// tampered with are none.
fn standing(reports: &[CheckReport]) -> (usize, usize, usize) {
    let passed = reports.iter().filter(|r| r.verdict.is_passed()).count();
    let sound = reports.iter().filter(|r| !matches!(r.verdict, Verdict::Integrity { .. }));
    let tests = || sound.clone().flat_map(|r| &r.tests);
    let shows = |t: &&TestOutcome| t.outcome == Outcome::Passed && t.flaw.is_none();
    (passed, tests().filter(shows).count(), tests().count())
}

impl Totals {
    fn add(&mut self, reply: &edvac_agents::client::ModelReply) {
        self.calls += 1;
        self.prompt_tokens += reply.usage.prompt_tokens;
        self.reused_tokens += reply.usage.reused_tokens;
        self.completion_tokens += reply.usage.completion_tokens;
        self.prefill_ms += reply.usage.prefill_ms;
        self.decode_ms += reply.usage.decode_ms;
    }
}
