//! The prompt program: requirements taken from the task, and the instructions that are to meet them.

pub mod exchange;
pub mod validate;

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
    /// How often it may be tried.
    pub attempts_max: u32,
}

/// One thing that can be executed to find out whether a step did its work, and what it is evidence for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is executed.
    #[serde(flatten)]
    pub kind: CheckKind,
    /// Requirements it is evidence for when it passes. A test run is evidence only for those that its tests name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<RequirementId>,
}

/// The kinds of check this version executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CheckKind {
    /// The file exists and is not empty.
    Exists {
        /// The file.
        path: String,
    },
    /// The file parses in the language of its name.
    Parses {
        /// The file.
        path: String,
    },
    /// The project's own tests run, at least one does, and none fails.
    Tests,
    /// The prose has between `min` and `max` words.
    Words {
        /// The file.
        path: String,
        /// Fewest words.
        min: u32,
        /// Most words.
        max: u32,
    },
    /// The Markdown begins with one level-1 heading and has at least `sections_min` level-2 headings.
    Headings {
        /// The file.
        path: String,
        /// Fewest level-2 headings.
        sections_min: u32,
    },
    /// Each beat's content words appear in the file.
    Outline {
        /// The file.
        path: String,
        /// What the text must speak of.
        beats: Vec<String>,
    },
    /// The names and terms that the canon file fixes are spelt the same way in the file.
    Canon {
        /// The file.
        path: String,
        /// The canon file.
        canon: String,
    },
}
