//! The state of a run: what folding its journal gives.

use std::collections::{BTreeMap, BTreeSet};

use edvac_agents::client::{ClientInfo, Finish, Usage};
use edvac_memory::context::Fitted;
use edvac_memory::fault::{Fault, Place, PlaceKind};
use edvac_memory::ids::{CommitId, EffectKey, InstructionId, RunId, TreeId};
use edvac_memory::journal::Seq;
use edvac_memory::program::{Found, Instruction, Program};
use edvac_memory::store::Origin;
use edvac_memory::verdict::CheckReport;
use serde::{Deserialize, Serialize};

use crate::check::integrity::Inventory;
use crate::config::ModelConfig;
use crate::control::budget::{Bill, Cap, Share, Tariff, Used, share_used};
use crate::control::effect::Purpose;
use crate::control::event::{Conflict, Limits, SecondModel, Settlement, StopReason};
use crate::control::parallel::{Course, Open};
use crate::control::review::{Retired, Review};
use crate::control::stuck::{self, Stuck};
use crate::dependencies::{Needs, Package};
use crate::ledger::Ledger;
use crate::survey::Survey;

/// Everything `decide` may look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    /// The last record folded in.
    pub seq: Seq,
    /// Its time; the only clock decisions have.
    pub time_ms: i64,
    /// How the run was started.
    pub start: Option<Start>,
    /// Whether code of this run may ever have been executed without a sandbox.
    pub unsafe_no_sandbox: bool,
    /// Whether packages of others may be installed by the process that goes on with the run.
    pub allow_install: bool,
    /// Whether any process was ever allowed to.
    pub install_was_allowed: bool,
    /// What was installed, and what could not be, by its needs' digest.
    pub installs: BTreeMap<String, Install>,
    /// What the last committed tree asks for.
    pub needs: Option<Needs>,
    /// How often a person took the run back or changed its program.
    pub epoch: u32,
    /// What was there before the run, where it goes on from something.
    pub survey: Option<Survey>,
    /// How often that was looked at.
    pub surveys: u32,
    /// The planner's conversation, of the first plan or the present one.
    pub planning: Conversation,
    /// What that conversation is for.
    pub planning_for: Option<Purpose>,
    /// How often what was left was planned again because not all was met.
    pub replans: u32,
    /// The program in force.
    pub program: Option<Program>,
    /// Its version.
    pub program_version: u32,
    /// What was found for a control instruction whose turn it is.
    pub weighed: Option<(InstructionId, Found)>,
    /// What a person said to the instruction that asked.
    pub answer: Option<Answer>,
    /// Instructions that ended.
    pub settled: BTreeMap<InstructionId, Settled>,
    /// The instruction being executed.
    pub work: Option<Work>,
    /// Instructions being executed beside one another, in a run that may.
    pub open: BTreeMap<InstructionId, Open>,
    /// Where those begin.
    pub course: Option<Course>,
    /// Of a view: the instruction that sees the run like this.
    pub focus: Option<InstructionId>,
    /// The last commit.
    pub head: Option<CommitId>,
    /// The last committed tree.
    pub tree: Option<TreeId>,
    /// The tests that counted last: those of the last commit, unless they had been tampered with.
    pub inventory: Inventory,
    /// What was used so far by what is there.
    pub totals: Totals,
    /// What was used besides, by what was taken back.
    pub taken_back: Totals,
    /// What it cost, and what is reserved.
    pub bill: Bill,
    /// How often an effect without a result was begun that calls tools of other programs.
    pub reaching_out: BTreeMap<EffectKey, u32>,
    /// Commits that the branch may still be at, because they were taken back.
    pub left: BTreeSet<CommitId>,
    /// The run that this one is a fork of.
    pub forked_from: Option<RunId>,
    /// Why the run is not going on, if so.
    pub stopped: Option<StopReason>,
    /// The last tree's reports.
    pub final_reports: Option<Vec<CheckReport>>,
    /// Set when the run is over.
    pub ledger: Option<Ledger>,
}

/// A person's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// To which instruction.
    pub instruction: InstructionId,
    /// Whether the program goes on as it is.
    pub approved: bool,
    /// What they said.
    pub reason: String,
}

/// An installation of packages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Install {
    /// The packages; none where it failed.
    pub packages: Vec<Package>,
    /// Why it failed the last time.
    pub fault: Option<String>,
    /// How often it was tried.
    pub tries: u32,
    /// How often since the run was last taken up.
    pub tries_now: u32,
    /// Whether it is there, since the run was last taken up.
    pub done: bool,
}

/// How the run was started.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The run.
    pub run: RunId,
    /// The task, verbatim.
    pub task: String,
    /// The domain's name.
    pub domain: String,
    /// Directory name below the workspaces root.
    pub slug: String,
    /// Where the files appear.
    pub workspace: String,
    /// The model in use.
    pub model: ClientInfo,
    /// How it is reached.
    pub reached: ModelConfig,
    /// What it costs.
    pub tariff: Tariff,
    /// The model that is asked where this one comes to nothing.
    pub second: Option<Box<SecondModel>>,
    /// Bounds.
    pub limits: Limits,
    /// Which replies are asked for: 0 for the most likely ones first.
    pub seed: u64,
    /// Stop once the program is adopted.
    pub plan_only: bool,
    /// When the run started.
    pub time_ms: i64,
    /// The repository that it goes on from.
    pub origin: Option<Origin>,
}

/// A prompt and what followed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// The prompt, once assembled.
    pub context: Option<Fitted>,
    /// Replies and answers, in order.
    pub turns: Vec<Turn>,
}

impl Conversation {
    /// Most tokens of a reply: what a run allows, and what a grammar writes of it.
    pub fn reply_tokens_max(&self, limits: &Limits) -> u32 {
        let given = self.context.as_ref().map_or(0, |context| context.given_tokens);
        limits.reply_tokens_max.saturating_add(u32::try_from(given).unwrap_or(u32::MAX))
    }

    /// Tokens the next prompt has at least.
    pub fn tokens(&self) -> usize {
        let Some(last) = self.turns.last() else {
            return self.context.as_ref().map_or(0, |c| c.fragments.iter().map(|f| f.tokens).sum());
        };
        (last.usage.prompt_tokens + last.usage.completion_tokens) as usize + last.answer_tokens
    }
}

/// One reply and the machine's answer to it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "what happened to a reply, each by itself")]
pub struct Turn {
    /// What the model wrote.
    pub reply: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost.
    pub usage: Usage,
    /// Whether what it asked for was done.
    pub acted: bool,
    /// Whether that left something refused or broken.
    pub refused: bool,
    /// Whether it changed any file.
    pub changed: bool,
    /// Whether checks were executed after it.
    pub checked: bool,
    /// What the machine said back.
    pub answer: Option<String>,
    /// Its tokens.
    pub answer_tokens: usize,
}

/// An instruction being executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Which.
    pub instruction: InstructionId,
    /// Whether its attempts are candidates; see [`Instruction::candidates`].
    pub is_candidate: bool,
    /// From 1.
    pub attempt: u32,
    /// Restarts of this attempt.
    pub restart: u32,
    /// Replies of this attempt, over all its restarts.
    pub turns_used: u32,
    /// The conversation.
    pub talk: Conversation,
    /// Its tree so far.
    pub tree: TreeId,
    /// What the tree asked for that the last reply left.
    pub needs: Option<Needs>,
    /// What the last check round found on `tree`.
    pub reports: Vec<CheckReport>,
    /// Requirements that no passing test names, after the last check round.
    pub unproven: Vec<String>,
    /// Whether the last check round found nothing left to do.
    pub passed: bool,
    /// What the last check round found about where the faults of `tree` lie.
    pub faults: Vec<Fault>,
    /// The repair being made; none in a conversation about the whole instruction.
    pub repair: Option<Repair>,
    /// Repairs of this attempt.
    pub repairs_used: u32,
    /// Repairs in a row that changed nothing for the better.
    pub stale: u32,
    /// Tests of this attempt that expect something else since they failed.
    pub rewritten: BTreeSet<String>,
    /// Trees of this attempt that were checked: a repair that leads back to one leads round in a circle.
    pub seen: BTreeSet<TreeId>,
    /// Tests of this attempt that failed when they were last run, and on which tree. They may not vanish.
    pub failing: BTreeMap<String, TreeId>,
    /// Questions of this attempt's repairs whose answers did no good.
    pub in_vain: BTreeSet<String>,
    /// Turns of this attempt's earlier conversations.
    pub past: Vec<Turn>,
    /// What earlier attempts or restarts found out.
    pub summary: Option<String>,
    /// Whether the endpoint said that the conversation does not fit its window.
    pub overflowed: bool,
    /// Tests that it gives up, and what the reviewer says of it.
    pub review: Review,
    /// The summariser's prompt, once the present conversation is to be summed up.
    pub summing: Option<Fitted>,
    /// The best tree any attempt had.
    pub best: Option<Best>,
    /// Attempts that were stopped, and what for.
    pub stopped: Vec<(u32, Stuck)>,
    /// What the run had used when it began.
    pub began: Used,
    /// What it used itself; not its time, which passes for others, too.
    pub used: Used,
}

/// A repair of one place, and what it has to do better than.
#[derive(Clone, Debug, PartialEq)]
pub struct Repair {
    /// The tree it began with.
    pub tree: TreeId,
    /// What was found on it.
    pub reports: Vec<CheckReport>,
    /// Requirements that no passing test named.
    pub unproven: Vec<String>,
    /// Tests that had failed.
    pub failing: BTreeMap<String, TreeId>,
    /// Its faults.
    pub faults: Vec<Fault>,
    /// The test that it writes again because of what it expects, if it does.
    pub test: Option<String>,
    /// Whether every place had been tried before, so that it is one guess of several: it has to do better, not only other.
    pub guessed: bool,
}

/// Replies that a candidate has: it is written, and what its checks found may be put right, one thing after the other.
const CANDIDATE_TURNS_MAX: u32 = 4;
/// Repairs of a candidate in a row that come to nothing; the next candidate may need none.
const CANDIDATE_VAIN_MAX: u32 = 3;

/// Why a conversation cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its window is full: summed up, it goes on with the same tree.
    Full,
    /// Its turns are used up: the next attempt starts from the committed tree.
    Exhausted,
}

impl Work {
    /// The limit of which it has used its share, once it was asked.
    pub fn share_used(&self, used: &Used, limits: &Limits, share: Share) -> Option<Cap> {
        share_used(&self.began, used, limits, share).filter(|_| self.turns_used > 0)
    }

    /// The purpose of its present conversation.
    pub fn purpose(&self) -> Purpose {
        let Self { instruction, attempt, restart, .. } = *self;
        match self.repair {
            None => Purpose::Work { instruction, attempt, restart },
            Some(_) => Purpose::Repair { instruction, attempt, repair: self.repairs_used },
        }
    }

    /// What the next or present repair is about: the fault, and which of its places is written again. Each place of each
    /// fault has its turn, the likeliest first; then they are gone through again from the other end, where the tests are:
    /// by then the functions that they use were left as they are.
    pub fn target(&self) -> Option<(&Fault, &Place)> {
        let targets = || self.faults.iter().flat_map(|f| f.suspects().map(move |p| (f, p)));
        let at = self.stale as usize;
        let count = targets().count();
        if at < count {
            return targets().nth(at);
        }
        targets().collect::<Vec<_>>().into_iter().rev().nth(at.checked_rem(count)?)
    }

    /// Whether every place was tried before.
    pub fn tried_all(&self) -> bool {
        self.stale as usize >= self.faults.iter().map(|f| f.suspects().count()).sum()
    }

    /// Whether the repair writes a test or a function anew instead of mending it: one that was gone through with
    /// everything else and still fails is copied by a model that sees it.
    pub fn writes_anew(&self) -> bool {
        self.tried_all()
            && self
                .target()
                .is_some_and(|(_, p)| matches!(p.kind, PlaceKind::Expectation { .. }) || p.is_function())
    }

    /// The last repair did no good: its question is not asked again, until all were.
    pub(super) fn came_to_nothing(&mut self) {
        let question =
            self.target().filter(|_| !self.tried_all()).map(|(fault, place)| fault.question(place));
        self.in_vain.extend(question);
        self.turn_to(self.stale + 1);
    }

    /// Goes on with the place of this number, or the next whose question was not asked in vain before.
    pub(super) fn turn_to(&mut self, stale: u32) {
        self.stale = stale;
        let known = |work: &Self| {
            work.target().is_some_and(|(fault, place)| work.in_vain.contains(&fault.question(place)))
        };
        while !self.tried_all() && known(self) {
            self.stale += 1;
        }
    }

    /// Whether the last check round found nothing to mend: every check passed, and tests show what they name.
    fn is_done(&self) -> bool {
        self.passed && self.unproven.is_empty()
    }

    /// The number of the next repair, if one comes next: the last reply was checked, or was a repair that came to nothing,
    /// and the checks say where to look.
    pub fn next_repair(&self, limits: &Limits) -> Option<u32> {
        let goes_on = !self.is_candidate || self.stale < CANDIDATE_VAIN_MAX;
        let last = self.talk.turns.last()?;
        let failed = (last.checked || self.repair.is_some()) && !self.is_done() && !self.faults.is_empty();
        (failed && goes_on && self.repairs_used < limits.repairs_max).then_some(self.repairs_used + 1)
    }

    /// Whether the last two replies came to the same answer.
    fn stands_still(&self) -> bool {
        let answers: Vec<_> = self.talk.turns.iter().rev().take(2).map(|turn| turn.answer.as_ref()).collect();
        matches!(answers.as_slice(), [Some(last), Some(before)] if last == before)
    }

    /// Whether, and why, the conversation cannot have another turn.
    pub fn ending(&self, limits: &Limits, window_tokens: usize) -> Option<Ending> {
        if self.repair.is_some() {
            return (!self.talk.turns.is_empty()).then_some(Ending::Exhausted);
        }
        let full = self.overflowed
            || (!self.talk.turns.is_empty()
                && self.talk.tokens() + self.talk.reply_tokens_max(limits) as usize > window_tokens);
        let turns_max =
            if self.is_candidate { CANDIDATE_TURNS_MAX.min(limits.turns_max) } else { limits.turns_max };
        let is_spent = full && (self.is_candidate || self.restart >= limits.restarts_max);
        if self.turns_used >= turns_max
            || (self.is_candidate && self.stands_still())
            || is_spent
            || stuck::of(&self.talk.turns).is_some()
        {
            Some(Ending::Exhausted)
        } else if full {
            Some(Ending::Full)
        } else {
            None
        }
    }
}

/// The best tree of an instruction so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The attempt it is from.
    pub attempt: u32,
    /// The tree.
    pub tree: TreeId,
    /// Its reports.
    pub reports: Vec<CheckReport>,
    /// Its tests that expect something else since they failed.
    pub rewritten: BTreeSet<String>,
    /// Tests of earlier steps that it gave up, with the reviewer's consent.
    pub retired: Vec<Retired>,
    /// Whether every check passed.
    pub all_passed: bool,
}

/// An instruction that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// How.
    pub settlement: Settlement,
    /// The limit of which it had used its share; none where it ended by itself.
    pub cut: Option<Cap>,
    /// Its commit.
    pub commit: CommitId,
    /// Its tree.
    pub tree: TreeId,
    /// Files it changed.
    pub touched: Vec<String>,
    /// Attempts it took.
    pub attempts: u32,
    /// What its checks found.
    pub reports: Vec<CheckReport>,
    /// Its tests that expect something else since they failed.
    pub rewritten: BTreeSet<String>,
    /// Tests of earlier steps that it gave up, with the reviewer's consent.
    pub retired: Vec<Retired>,
    /// Attempts that were stopped, and what for.
    pub stopped: Vec<(u32, Stuck)>,
    /// Why it was carried out once more, where others were carried out beside it.
    pub conflicts: Vec<Conflict>,
    /// Files that it changed and does not declare, where others were carried out beside it.
    pub undeclared: Vec<String>,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Model calls with a recorded reply.
    pub calls: u64,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Of these, reused from a KV cache.
    pub reused_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Time until first tokens.
    pub prefill_ms: u64,
    /// Time from first tokens to last.
    pub decode_ms: u64,
    /// Time processes worked on the run, by the journal's clock.
    pub worked_ms: u64,
}

impl Totals {
    /// Tokens sent and written.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is used here and not there.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            calls: of(self.calls, other.calls),
            prompt_tokens: of(self.prompt_tokens, other.prompt_tokens),
            reused_tokens: of(self.reused_tokens, other.reused_tokens),
            completion_tokens: of(self.completion_tokens, other.completion_tokens),
            prefill_ms: of(self.prefill_ms, other.prefill_ms),
            decode_ms: of(self.decode_ms, other.decode_ms),
            worked_ms: of(self.worked_ms, other.worked_ms),
        }
    }
}

impl RunState {
    /// What was used so far, by what is there and what was taken back.
    pub fn spent(&self) -> Totals {
        self.totals.plus(self.taken_back)
    }

    /// The repository that the run goes on from.
    pub fn origin(&self) -> Option<&Origin> {
        self.start.as_ref()?.origin.as_ref()
    }

    /// Whether a conversation is held with the second model: that of an attempt beyond those that the run's own model has.
    pub fn asks_second(&self, purpose: Purpose) -> bool {
        let has_second = self.start.as_ref().is_some_and(|start| start.second.is_some());
        let (Some(id), Some(attempt)) = (purpose.instruction(), purpose.attempt()) else { return false };
        has_second && self.instruction(id).is_some_and(|i| attempt > i.attempts_max)
    }

    /// Tokens of the window of the model that a conversation is held with.
    pub fn window_tokens(&self, purpose: Purpose) -> usize {
        let Some(start) = &self.start else { return 0 };
        let second = start.second.as_ref().filter(|_| self.asks_second(purpose));
        second.map_or(&start.model, |second| &second.model).window_tokens
    }

    /// The program's next instruction that has not ended.
    pub fn next_instruction(&self) -> Option<&Instruction> {
        self.program.as_ref()?.instructions.iter().find(|i| !self.settled.contains_key(&i.id))
    }

    /// Instructions that have not ended.
    pub fn steps_left(&self) -> u64 {
        let all = self.program.iter().flat_map(|program| &program.instructions);
        all.filter(|i| !self.settled.contains_key(&i.id)).count() as u64
    }

    /// An instruction of the program in force.
    pub fn instruction(&self, id: InstructionId) -> Option<&Instruction> {
        self.program.as_ref()?.instructions.iter().find(|i| i.id == id)
    }

    /// The tree before an instruction: of the one before it in the program. None for the first, and while that one has none.
    pub fn tree_before(&self, id: InstructionId) -> Option<TreeId> {
        let steps = &self.program.as_ref()?.instructions;
        let at = steps.iter().position(|i| i.id == id)?;
        let previous = at.checked_sub(1).and_then(|n| steps.get(n))?;
        self.settled.get(&previous.id).map(|s| s.tree.clone())
    }

    /// Packages that were installed for the run, each once.
    pub fn installed(&self) -> Vec<Package> {
        let all: BTreeSet<_> = self.installs.values().flat_map(|i| i.packages.iter().cloned()).collect();
        all.into_iter().collect()
    }

    /// Whether nothing is left to decide.
    pub fn is_over(&self) -> bool {
        self.ledger.is_some()
    }

    /// How many checks of the last tree found something wrong, whatever they are evidence for.
    pub fn spoken_against(&self) -> usize {
        self.final_reports.iter().flatten().filter(|r| r.verdict.speaks_against()).count()
    }

    /// One word for lists: `running` here means that its journal has no end yet.
    pub fn status(&self) -> &'static str {
        match (&self.ledger, &self.stopped) {
            (Some(ledger), _) if ledger.all_met() && self.spoken_against() == 0 => "done",
            (Some(_), _) => "unmet",
            (None, Some(StopReason::PlanOnly)) => "planned",
            (None, Some(StopReason::Cancelled)) => "cancelled",
            (None, Some(StopReason::Approval { .. })) => "waiting",
            (None, Some(_)) => "stopped",
            (None, None) => "running",
        }
    }
}
