//! The prompt program: requirements taken from the task, and the instructions that are to meet them.

pub mod check;
pub mod exchange;
pub mod validate;

pub use check::{Check, CheckKind, Expected, Request};
use serde::{Deserialize, Serialize};

use crate::ids::{InstructionId, RequirementId};

/// An ordered, typed list of instructions with the requirements they cover.
///
/// A program is a value: it is amended only by a journaled event that carries the new program and says why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// A short name for people.
    pub title: String,
    /// The task it was planned for, in a program's file, so that the file can be carried out by itself; a run keeps its
    /// task elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The domain it was planned in: `codebase`, `book`, or a custom one.
    pub domain: String,
    /// The main language, as the domain spells it (`python`, `javascript`, `rust`, …); empty for prose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// What must be true at the end.
    pub requirements: Vec<Requirement>,
    /// What is done, in this order.
    pub instructions: Vec<Instruction>,
}

/// One sentence taken from the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// `R1`, `R2`, …
    pub id: RequirementId,
    /// The sentence.
    pub text: String,
}

/// One self-contained step, executed by a fresh agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instruction {
    /// Its number; stable across amendments.
    pub id: InstructionId,
    /// A few words for lists and commit subjects.
    pub title: String,
    /// What is to be done.
    pub text: String,
    /// Requirements it is to meet.
    #[serde(default)]
    pub covers: Vec<RequirementId>,
    /// Files it needs to see.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Files it is to leave behind.
    #[serde(default)]
    pub writes: Vec<String>,
    /// What must hold before it counts as finished.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Tests of earlier steps that it may give up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retires: Vec<Retirement>,
    /// How often it may be tried.
    pub attempts_max: u32,
}

/// A test that counted and need not any more, because something else is wanted now. Saying so does not do: the reviewer has
/// to agree when it sees the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// Its name, the last part of what its runner calls it; `path::name` where several files have one of this name.
    pub test: String,
    /// Why, in a sentence.
    pub reason: String,
}

impl Retirement {
    /// Whether it is about the test `name` of the file `path`.
    pub fn is_of(&self, path: &str, name: &str) -> bool {
        match self.test.rsplit_once("::") {
            Some((file, own)) => file == path && own == name,
            None => self.test == name,
        }
    }
}
