//! The prompt program: requirements taken from the task, and the instructions that are to meet them.

pub mod check;
pub mod control;
pub mod exchange;
mod graph;
pub mod validate;

pub use check::{Check, CheckKind, Expected, Request};
pub use control::{Control, Found, Shortfall};
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

/// One self-contained step, executed by a fresh agent; or, with [`Instruction::control`], a decision on what comes next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instruction {
    /// Its number; stable across amendments.
    pub id: InstructionId,
    /// A few words for lists and commit subjects.
    pub title: String,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
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
    #[serde(default = "attempts_max")]
    pub attempts_max: u32,
    /// Whether its attempts are candidates: each begins anew and knows nothing of the others, and the one is kept of which
    /// most checks pass. Without it, an attempt is told what the one before found out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub candidates: bool,
    /// Of which control instruction it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<InstructionId>,
    /// What it decides instead of working on files; none for a step that does work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
}

/// What a file that does not say it means.
fn attempts_max() -> u32 {
    3
}

/// A test that counted and need not any more, because something else is wanted now. Saying so does not do: the reviewer has
/// to agree when it sees the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// Its name: as its file has it, as its runner prints it, or `path::name`. A bare name is of every file that has it.
    pub test: String,
    /// Why, in a sentence.
    pub reason: String,
}

impl Instruction {
    /// The requirements for which a test of their own has to be there: not those that all its tests show together.
    pub fn named_by_tests(&self) -> Vec<RequirementId> {
        let by_all = |id: &&RequirementId| {
            self.checks.iter().any(|c| c.kind == CheckKind::Tests && c.covers.contains(id))
        };
        self.covers.iter().filter(|id| !by_all(id)).cloned().collect()
    }

    /// The section of a chapter that it writes behind those that are there; none where it writes whole files.
    pub fn section(&self) -> Option<u32> {
        self.checks.iter().find_map(|check| match check.kind {
            CheckKind::Words { section, .. } => section,
            _ => None,
        })
    }
}

impl Retirement {
    /// Whether it is about the test `name` of the file `path`.
    pub fn is_of(&self, path: &str, name: &str) -> bool {
        let Some(before) = self.test.strip_suffix(name) else { return false };
        let stem = path.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or(path);
        let module = before.trim_end_matches(['.', ':', '>', ' ']);
        // `test_a.TestA.test_x` of Python, `suite > x` of JavaScript, `tests::x` of Rust.
        before.is_empty()
            || before.ends_with("::") && (module == path || !module.contains('/') && !module.contains('.'))
            || before.ends_with(" > ")
            || before.ends_with('.') && module.split('.').any(|part| part == stem)
    }
}

#[cfg(test)]
mod tests {
    use super::Retirement;

    #[test]
    fn a_retired_test_has_the_name_that_reports_give_it() {
        let is_of = |said: &str, path: &str, name: &str| {
            Retirement { test: said.into(), reason: String::new() }.is_of(path, name)
        };
        for said in ["test_x", "tests/test_a.py::test_x", "tests.test_a.TestA.test_x"] {
            assert!(is_of(said, "tests/test_a.py", "test_x"), "{said}");
        }
        assert!(is_of("edge > R1: none", "a.test.mjs", "R1: none"));
        assert!(is_of("tests::r1_none", "src/lib.rs", "r1_none"));
        for said in ["test_y", "my_test_x", "test_b.TestA.test_x", "tests/test_b.py::test_x"] {
            assert!(!is_of(said, "tests/test_a.py", "test_x"), "{said}");
        }
    }
}
