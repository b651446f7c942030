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
    /// Nothing was shown either way: no test found, a missing tool, a time-out. Never counts as a pass.
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
    /// The tests that the runner named.
    pub tests: Vec<TestOutcome>,
    /// The useful part of the output, failures first, bounded; what a model is shown.
    pub detail: String,
    /// What failed, one text for each cause that could be told apart; bounded in number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}
