//! What can happen in a run. The journal is a list of these; every view is made from them.

use std::collections::BTreeSet;

use edvac_agents::client::{ClientInfo, ModelReply};
use edvac_agents::roles::reviewer::{GivenUp, Opinion};
use edvac_memory::context::Fitted;
use edvac_memory::fault::Fault;
use edvac_memory::ids::{CommitId, InstructionId, RunId, TreeId};
use edvac_memory::journal::Seq;
use edvac_memory::program::{Found, Program};
use edvac_memory::store::Origin;
use edvac_memory::verdict::CheckReport;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::check::integrity::Inventory;
use crate::config::ModelConfig;
use crate::control::budget::{Cap, Tariff};
use crate::control::effect::Purpose;
use crate::dependencies::{Needs, Package};
use crate::ledger::Ledger;
use crate::survey::Survey;

/// Bounds of a run, fixed when it starts and raised only by resuming with larger ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Replies that may be tried until a plan is valid.
    pub plan_turns_max: u32,
    /// Attempts an instruction has.
    pub attempts_max: u32,
    /// Replies an attempt has.
    pub turns_max: u32,
    /// How often one attempt may be summarised and restarted because its window was full.
    pub restarts_max: u32,
    /// Repairs of single parts an attempt has, after its tests failed.
    #[serde(default = "repairs_max")]
    pub repairs_max: u32,
    /// How often what is left is planned again, where a program that a model planned did not meet all requirements.
    #[serde(default)]
    pub replans_max: u32,
    /// Tokens a reply may have.
    pub reply_tokens_max: u32,
    /// Tokens the whole run may send and write; none is unlimited.
    pub tokens_max: Option<u64>,
    /// Milliseconds the run may work; none is unlimited.
    pub wall_ms_max: Option<u64>,
    /// Millionths of the model's currency that the run may cost; none is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros_max: Option<u64>,
    /// Model calls the whole run may make; none is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_max: Option<u64>,
    /// Bytes of files that the whole run may write; none is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// Instructions that may be carried out at the same time, where none stands on another.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parallel: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            plan_turns_max: 4,
            attempts_max: 3,
            turns_max: 6,
            restarts_max: 2,
            repairs_max: repairs_max(),
            replans_max: 1,
            reply_tokens_max: 2048,
            tokens_max: None,
            wall_ms_max: None,
            cost_micros_max: None,
            calls_max: None,
            bytes_max: None,
            parallel: one(),
        }
    }
}

/// For serde, which hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn repairs_max() -> u32 {
    24
}

fn one() -> u32 {
    1
}

/// For serde, which hands a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(number: &u32) -> bool {
    *number == one()
}

/// Why a run does not go on by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StopReason {
    /// A person asked for it.
    Interrupted,
    /// The person wanted the plan only.
    PlanOnly,
    /// The next call could exceed the token limit.
    TokenLimit {
        /// Tokens used.
        used: u64,
        /// The limit.
        limit: u64,
        /// Tokens that the next call could take.
        #[serde(default)]
        next: u64,
    },
    /// The next call could exceed the limit of what the run may cost.
    CostLimit {
        /// What was paid, and what calls without a reply may have cost.
        used_micros: u64,
        /// The limit.
        limit_micros: u64,
        /// What the next call could cost.
        next_micros: u64,
        /// Of all three.
        currency: String,
    },
    /// As many calls as allowed were made.
    CallLimit {
        /// Calls made.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// What the last reply writes would exceed the limit of bytes; the reply is kept, and is carried out once there is room.
    ByteLimit {
        /// Bytes written.
        used: u64,
        /// The limit.
        limit: u64,
        /// Bytes that the reply writes.
        next: u64,
    },
    /// The wall-time limit is reached.
    TimeLimit {
        /// Time worked.
        used_ms: u64,
        /// The limit.
        limit_ms: u64,
    },
    /// No valid plan came out of the planner's turns.
    NoPlan {
        /// What was wrong with the last one.
        problems: Vec<String>,
    },
    /// The model could not be reached or failed.
    Model {
        /// What happened.
        why: String,
        /// Whether the call was refused unread, so that nothing was paid for it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unread: bool,
    },
    /// A person has to say whether the program goes on.
    Approval {
        /// The instruction that asks.
        instruction: InstructionId,
        /// What it asks.
        question: String,
    },
    /// No sandbox that holds; nothing was executed.
    NoSandbox {
        /// What is missing.
        why: String,
    },
    /// The prompt without which nothing can be asked does not fit the window.
    Window {
        /// Its tokens.
        tokens: usize,
        /// The window less the reply's reserve.
        available: usize,
    },
    /// The machine itself failed: disk, store, journal.
    Machine {
        /// What happened.
        why: String,
    },
    /// A person cancelled the run for good.
    Cancelled,
}

/// The exit code of a run that a limit stopped.
pub const EXIT_LIMIT: u8 = 4;

impl StopReason {
    /// Whether the next call, or what came of the last one, was refused unread, so that it cost nothing.
    pub fn is_unread(&self) -> bool {
        matches!(self, Self::Model { unread: true, .. } | Self::Window { .. })
    }

    /// The process exit code that tells a script what happened.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::PlanOnly => 0,
            Self::Approval { .. } => 3,
            Self::Interrupted => 130,
            Self::TokenLimit { .. }
            | Self::CostLimit { .. }
            | Self::CallLimit { .. }
            | Self::ByteLimit { .. }
            | Self::TimeLimit { .. } => EXIT_LIMIT,
            Self::NoPlan { .. } | Self::Cancelled | Self::Window { .. } => 1,
            Self::Model { .. } => 5,
            Self::NoSandbox { .. } => 78,
            Self::Machine { .. } => 70,
        }
    }

    /// Whether `edvac resume` can go on from here.
    pub fn resumable(&self) -> bool {
        !matches!(self, Self::Cancelled)
    }
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// All its checks passed.
    Finished,
    /// Its attempts ran out; the best tree was kept.
    Unfinished,
}

/// What an instruction ends with, before it is put onto what was committed since it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub settlement: Settlement,
    /// The limit of which it had used its share; none where it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cap>,
    /// The attempt whose tree it is.
    pub attempt: u32,
    /// Its tree.
    pub tree: TreeId,
}

/// One thing for which an instruction does not fit onto what was committed since it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// What the two did.
    pub clash: Clash,
    /// The file, or the check in a few words.
    pub what: String,
    /// The instruction that came between, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<InstructionId>,
}

/// How an instruction and one that was committed since it began get in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clash {
    /// Both changed a file, each to something else.
    Written,
    /// It read a file that the other one changed.
    Read,
    /// A check that passed on its own files does not on both together.
    Checked,
}

/// A model that is asked where the run's own came to nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondModel {
    /// The model.
    pub model: ClientInfo,
    /// How it is reached.
    pub reached: ModelConfig,
    /// What it costs.
    pub tariff: Tariff,
}

/// A call of a tool of another program. What it answered is in the message that goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCalled {
    /// The tool, with its server: `files.read`.
    pub tool: String,
    /// What it was given.
    pub arguments: Map<String, Value>,
    /// Whether it did not do what was asked, or was not reached.
    pub failed: bool,
    /// Bytes of its answer.
    pub bytes: u64,
    /// How long it took.
    pub duration_ms: u64,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first record of every journal.
    RunStarted {
        /// Whether a person said that code may run without a sandbox.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsafe_no_sandbox: bool,
        /// Whether a person said that packages of others may be installed for the project.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allow_install: bool,
        /// The run.
        run: RunId,
        /// What the user asked for, verbatim.
        task: String,
        /// `codebase`, `book`, or a custom domain.
        domain: String,
        /// Directory name below the workspaces root.
        slug: String,
        /// Where the files appear.
        workspace: String,
        /// The model that was chosen.
        model: ClientInfo,
        /// How it is reached; a resume asks it again in the same way.
        reached: ModelConfig,
        /// What it costs; none in journals that were written before there were prices.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tariff: Option<Tariff>,
        /// The model that is asked where this one comes to nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        second: Option<Box<SecondModel>>,
        /// Bounds.
        limits: Limits,
        /// Which replies are asked for: 0 for the most likely ones first.
        #[serde(default)]
        seed: u64,
        /// Stop once the program is adopted.
        plan_only: bool,
        /// The tree the run starts from: an empty one, unless it goes on from what was there.
        tree: TreeId,
        /// The repository that it goes on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
        /// The trace that it was begun in: W3C's `traceparent` of whoever asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceparent: Option<String>,
        /// The version that started it.
        edvac: String,
    },
    /// A process took the run up again.
    Resumed {
        /// Whether a person said that code may run without a sandbox from now on; it has to be said each time.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsafe_no_sandbox: bool,
        /// Whether a person said that packages of others may be installed for the project; it has to be said each time, too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allow_install: bool,
        /// Bounds from now on.
        limits: Limits,
        /// The model from now on.
        model: ClientInfo,
        /// How it is reached.
        reached: ModelConfig,
        /// What it costs from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tariff: Option<Tariff>,
        /// The model that is asked from now on where this one comes to nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        second: Option<Box<SecondModel>>,
    },
    /// The run stopped before its end.
    Stopped {
        /// Why.
        #[serde(flatten)]
        why: StopReason,
    },
    /// A prompt was put together.
    Assembled {
        /// For what.
        purpose: Purpose,
        /// What is in it, and what was left out.
        fitted: Fitted,
    },
    /// The model answered.
    Replied {
        /// To what.
        purpose: Purpose,
        /// Which turn of that conversation, from 0.
        turn: u32,
        /// The reply with its usage.
        reply: ModelReply,
    },
    /// The endpoint refused a conversation as too long for its window.
    Overflowed {
        /// Which conversation.
        purpose: Purpose,
        /// Tokens it counted.
        prompt_tokens: usize,
        /// Its window.
        window_tokens: usize,
    },
    /// A plan could not be used; the planner is told why.
    PlanRefused {
        /// What is wrong, one sentence each.
        problems: Vec<String>,
        /// The message that goes back.
        answer: String,
        /// Its tokens.
        answer_tokens: usize,
    },
    /// What was there before the run was looked at, and its tests were run.
    Surveyed {
        /// What was found.
        survey: Survey,
    },
    /// The program is in force.
    ProgramAdopted {
        /// The whole program.
        program: Program,
        /// 1 for the first.
        version: u32,
        /// Why it was (re)written.
        why: String,
    },
    /// A person changed the program of a run that nobody was carrying out.
    Amended {
        /// The whole program from now on.
        program: Program,
        /// Its version.
        version: u32,
        /// Why, in a few words.
        why: String,
        /// Instructions that had ended and have to be carried out again.
        stale: BTreeSet<InstructionId>,
    },
    /// What a control instruction depends on was found.
    Weighed {
        /// The instruction.
        instruction: InstructionId,
        /// What was found.
        found: Found,
        /// The check that its condition is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<CheckReport>,
    },
    /// A person answered an instruction that asks for approval.
    Answered {
        /// The instruction.
        instruction: InstructionId,
        /// Whether the program goes on as it is. If not, what comes next is planned again.
        approved: bool,
        /// What they said.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A person took the run back to what it was at an earlier record, or forward again to what had been taken back. Files,
    /// program and ledger are as they were then; what was paid stays paid.
    Restored {
        /// That record.
        to: Seq,
        /// What was done, in a few words.
        why: String,
    },
    /// This journal began as a copy of another run's.
    Forked {
        /// The other run.
        from: RunId,
        /// Its last record that was copied.
        at: Seq,
        /// This run.
        run: RunId,
        /// Directory name below the workspaces root.
        slug: String,
        /// Where the files appear.
        workspace: String,
    },
    /// What a reply asked for was done, or refused.
    Acted {
        /// Whose reply, in a run that carries out several instructions at the same time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instruction: Option<InstructionId>,
        /// The tree after it.
        tree: TreeId,
        /// Edits applied, one line each.
        applied: Vec<String>,
        /// Bytes of the files that they wrote.
        #[serde(default, skip_serializing_if = "is_zero")]
        bytes_written: u64,
        /// Packages that the tree asks for and that are not there by themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needs: Option<Needs>,
        /// What could not be done, one sentence each, as told to the model.
        refused: Vec<String>,
        /// The message that goes back; none when the checks come next.
        answer: Option<String>,
        /// Its tokens.
        answer_tokens: usize,
        /// Tests that it gives up and the step may give up, if the reviewer agrees.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        given_up: Vec<GivenUp>,
        /// Tools of other programs that it called.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        called: Vec<ToolCalled>,
    },
    /// Packages were installed, or could not be.
    Installed {
        /// What was needed.
        needs: Needs,
        /// The packages, with those that they need themselves.
        packages: Vec<Package>,
        /// What was run; empty where another run had installed the same.
        command: Vec<String>,
        /// Its exit status.
        exit_status: Option<i32>,
        /// How long it took.
        duration_ms: u64,
        /// What it printed, as far as it is kept.
        output: String,
        /// Why there is nothing, in one sentence.
        fault: Option<String>,
    },
    /// An instruction's checks were executed.
    Checked {
        /// Whose, in a run that carries out several instructions at the same time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instruction: Option<InstructionId>,
        /// What the reviewer thought of the tests that were given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opinion: Option<Opinion>,
        /// One for each check.
        reports: Vec<CheckReport>,
        /// Requirements of the instruction that no passing test names.
        unproven: Vec<String>,
        /// What the failed tests say about where their cause lies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        faults: Vec<Fault>,
        /// The message that goes back; none when all passed.
        answer: Option<String>,
        /// Its tokens.
        answer_tokens: usize,
    },
    /// An instruction that others were carried out beside changed files which it does not declare. Whether that is in anybody's
    /// way is found out when it is merged.
    Undeclared {
        /// The instruction.
        instruction: InstructionId,
        /// What it ends with.
        ended: Ended,
        /// The files.
        paths: Vec<String>,
    },
    /// What an instruction changed was put onto what was committed since it began.
    Merged {
        /// The instruction.
        instruction: InstructionId,
        /// What it ends with.
        ended: Ended,
        /// Both together.
        tree: TreeId,
    },
    /// It could not be. The instruction is carried out again, on the new state.
    Conflicted {
        /// The instruction.
        instruction: InstructionId,
        /// Why.
        conflicts: Vec<Conflict>,
    },
    /// An instruction's checks were executed on the merged tree. Where one does not pass any more, it is carried out again, on
    /// the new state.
    MergeChecked {
        /// The instruction.
        instruction: InstructionId,
        /// One for each check.
        reports: Vec<CheckReport>,
    },
    /// An instruction ended; its tree is a commit.
    Committed {
        /// The instruction.
        instruction: InstructionId,
        /// How it ended.
        settlement: Settlement,
        /// The limit of which it had used its share; none where it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut: Option<Cap>,
        /// Its commit.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
        /// Files that differ from the commit before, deleted ones aside.
        touched: Vec<String>,
        /// Packages that it asks for and that are not there by themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needs: Option<Needs>,
        /// Its tests and what they assert.
        #[serde(default)]
        inventory: Inventory,
    },
    /// All checks of the program were executed on the last tree.
    FinalChecked {
        /// One for each check.
        reports: Vec<CheckReport>,
    },
    /// The run is over.
    Finished {
        /// Each requirement and its evidence.
        ledger: Ledger,
    },
}

impl Event {
    /// The instruction that it is a part of carrying out, as far as the event says so.
    pub fn instruction(&self) -> Option<InstructionId> {
        match self {
            Self::Assembled { purpose, .. }
            | Self::Replied { purpose, .. }
            | Self::Overflowed { purpose, .. } => purpose.instruction(),
            Self::Acted { instruction, .. } | Self::Checked { instruction, .. } => *instruction,
            Self::Undeclared { instruction, .. }
            | Self::Merged { instruction, .. }
            | Self::Conflicted { instruction, .. }
            | Self::MergeChecked { instruction, .. }
            | Self::Committed { instruction, .. } => Some(*instruction),
            _ => None,
        }
    }
}
