//! What a check found. A verdict is evidence: it names the command, the tree it ran on and what came out.

use serde::{Deserialize, Serialize};

use crate::ids::{RequirementId, TreeId};
use crate::program::Check;

/// The outcome of one executed (or not executable) check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Something was executed and it holds.
    Passed,
    /// Something was executed and it does not hold.
    Failed {
        /// One line for a person.
        reason: String,
    },
    /// The tests were weakened since they last counted, or the run was tampered with: what it says is worth nothing.
    Integrity {
        /// One line for a person.
        reason: String,
    },
    /// It failed and passed on the same files.
    Flaky {
        /// One line for a person.
        reason: String,
    },
    /// It was stopped by a limit, which shows nothing either way.
    Stopped {
        /// Which.
        limit: Limit,
        /// One line for a person.
        reason: String,
    },
    /// Nothing was shown either way: no test found, a missing tool. Never counts as a pass.
    NoEvidence {
        /// One line for a person.
        reason: String,
    },
}

impl Verdict {
    /// True only for [`Verdict::Passed`].
    pub fn is_passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    /// Whether something was executed whose outcome says that the thing checked is not as it should be.
    pub fn speaks_against(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Integrity { .. })
    }

    /// Why it is no pass, in one line; empty for a pass.
    pub fn reason(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed { reason }
            | Self::Integrity { reason }
            | Self::Flaky { reason }
            | Self::Stopped { reason, .. }
            | Self::NoEvidence { reason } => reason,
        }
    }

    /// Its name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed { .. } => "failed",
            Self::Integrity { .. } => "failed (integrity)",
            Self::Flaky { .. } => "flaky",
            Self::Stopped { limit, .. } => limit.verdict(),
            Self::NoEvidence { .. } => "no evidence",
        }
    }

    /// One sign for lists.
    pub fn mark(&self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Failed { .. } | Self::Integrity { .. } => "✗",
            Self::Flaky { .. } => "~",
            Self::Stopped { .. } | Self::NoEvidence { .. } => "?",
        }
    }
}

/// What a command may use only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Time by the clock.
    WallTime,
    /// Processor time of all its processes together.
    CpuTime,
    /// Memory of all its processes together, or of one.
    Memory,
    /// Processes and threads at once.
    Processes,
    /// The size of one file.
    FileSize,
    /// All that it writes.
    DiskSpace,
    /// What it prints.
    Output,
}

impl Limit {
    /// The verdict's name where this limit was hit.
    pub fn verdict(self) -> &'static str {
        match self {
            Self::WallTime => "out of time",
            Self::CpuTime => "out of processor time",
            Self::Memory => "out of memory",
            Self::Processes => "too many processes",
            Self::FileSize => "file too large",
            Self::DiskSpace => "out of disk space",
            Self::Output => "too much output",
        }
    }
}

/// What a command used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time of all processes.
    pub cpu_ms: u64,
    /// Most memory at once, of all processes together, as far as it was looked at.
    pub memory_bytes: u64,
    /// Most processes at once, as far as they were looked at.
    pub processes: u32,
    /// Bytes printed.
    pub output_bytes: u64,
}

/// One test as its runner reported it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestOutcome {
    /// The runner's full name for the test.
    pub name: String,
    /// What happened to it.
    pub outcome: Outcome,
    /// Requirements the test names (`test_r2_…` names `R2`).
    pub covers: Vec<RequirementId>,
    /// Why its passing shows nothing: it asserts nothing, it touches nothing of the project. None for a sound test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<String>,
}

/// What happened to one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and passed.
    Passed,
    /// It ran and failed, or raised.
    Failed,
    /// It did not run.
    Skipped,
    /// It failed and passed on the same files.
    Flaky,
}

/// A verdict with everything needed to believe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// What was checked.
    pub check: Check,
    /// What was found.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The tree it ran on.
    pub tree: TreeId,
    /// The command line, where one was run.
    pub command: Vec<String>,
    /// Its exit status; none when nothing ran or a signal ended it.
    pub exit_status: Option<i32>,
    /// Wall time.
    pub duration_ms: u64,
    /// What the command used, where one was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The tests that the runner named.
    pub tests: Vec<TestOutcome>,
    /// The useful part of the output, failures first, bounded; what a model is shown.
    pub detail: String,
    /// All that the command printed, as far as it was kept, where it did not pass.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// What failed, one text for each cause that could be told apart; bounded in number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}
