//! How a reply is written and what it asks for.

pub mod blocks;
mod edit;
#[cfg(test)]
mod forms_tests;
pub mod grammar;
mod json;
pub mod native;
pub mod tool;

use edvac_memory::store::Edit;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One thing that a worker's reply asks the machine to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Change the store.
    Edit {
        /// The change.
        edit: Edit,
    },
    /// Show a file or a range of lines.
    Read {
        /// The file.
        path: String,
        /// First and last line, from 1, inclusive; the whole file when absent.
        lines: Option<(u32, u32)>,
    },
    /// Search the project.
    Search {
        /// Words.
        query: String,
    },
    /// Run a command in the sandbox.
    Run {
        /// A shell command line.
        command: String,
    },
    /// Call a tool of another program.
    Call {
        /// Its name, with that of its server: `files.read`.
        tool: String,
        /// What it is given.
        arguments: Map<String, Value>,
    },
    /// Think aloud; kept in the transcript, changes nothing.
    Note {
        /// The thought.
        text: String,
    },
    /// Claim that the instruction is finished.
    Done {
        /// One or two sentences on what is there now.
        summary: String,
    },
}

impl Action {
    /// Whether it wants an answer.
    pub fn is_question(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Search { .. } | Self::Run { .. } | Self::Call { .. })
    }
}

/// A reply, understood: what it asks for, and what in it could not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// In the order of the reply.
    pub actions: Vec<Action>,
    /// One sentence each, addressed to the model: what is wrong and how to write it instead. When there is any,
    /// none of the reply's edits may reach the store.
    pub problems: Vec<String>,
}
