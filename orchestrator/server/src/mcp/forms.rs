//! What tools are given. Field by field it is what a page asks for.

use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;

use crate::dashboard::actions::LimitsForm;

/// A run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    /// Its id, or the beginning of it.
    pub run: String,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Find {
    /// Words that have to be in the title, the task, the id or the model.
    pub find: String,
    /// A status: running, done, unmet, waiting, stopped, cancelled, planned, died.
    pub status: String,
}

/// A run that is waited for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Its id, or the beginning of it.
    pub run: String,
    /// The `seq` of the last answer; what happened since is told.
    #[serde(default)]
    pub after: Option<u64>,
    /// Seconds to wait at most; 50 when absent.
    #[serde(default)]
    pub timeout_s: Option<u64>,
}

/// Files of a run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    /// Its id, or the beginning of it.
    pub run: String,
    /// `step-3` for what that step left; what is committed last when absent.
    #[serde(default)]
    pub at: String,
}

/// A file of a run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    /// Its id, or the beginning of it.
    pub run: String,
    /// The file's path, as run_files names it.
    pub path: String,
    /// `step-3` for what that step left; what is committed last when absent.
    #[serde(default)]
    pub at: String,
    /// First line, from 1.
    #[serde(default)]
    pub first: Option<usize>,
    /// Last line.
    #[serde(default)]
    pub last: Option<usize>,
}

/// A changed program.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePlan {
    /// The run's id, or the beginning of it.
    pub run: String,
    /// The whole program, as TOML.
    pub toml: String,
    /// Why, in a few words.
    #[serde(default)]
    pub why: String,
}

/// A run that goes on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Resume {
    /// Its id, or the beginning of it.
    pub run: String,
    /// Bounds from now on.
    #[serde(default)]
    pub limits: LimitsForm,
}

/// A no.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reject {
    /// The run's id, or the beginning of it.
    pub run: String,
    /// What should be otherwise.
    pub why: String,
}

/// A step of a run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfStep {
    /// The run's id, or the beginning of it.
    pub run: String,
    /// The step's number.
    pub step: u32,
}

/// A fork.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fork {
    /// The run's id, or the beginning of it.
    pub run: String,
    /// The step where it begins; the end when absent.
    #[serde(default)]
    pub step: Option<u32>,
    /// The new workspace's name; one is made when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether the fork is only made, and does not go on.
    #[serde(default)]
    pub paused: bool,
    /// Bounds from now on.
    #[serde(default)]
    pub limits: LimitsForm,
}
