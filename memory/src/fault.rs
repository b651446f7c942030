//! Where the cause of a failed test may lie. A suspicion, never evidence.

use serde::{Deserialize, Serialize};

/// One cause of failed tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What failed and the error, as the check says it; the error last.
    pub said: String,
    /// The parts of the program that may hold the cause, the likeliest first; never empty.
    pub places: Vec<Place>,
}

impl Fault {
    /// Whether it is the same test with the same error, wherever their lines are now.
    pub fn is_as(&self, other: &Self) -> bool {
        let ends = |fault: &Self| {
            let mut lines = fault.said.lines().map(str::to_owned);
            (lines.next(), lines.next_back())
        };
        ends(self) == ends(other)
    }
}

/// A part of a file: a function, a method, or its imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub path: String,
    /// Its first line, from 1.
    pub line_first: usize,
    /// Its last line, inclusive.
    pub line_last: usize,
    /// The lines, each with its end.
    pub text: String,
    /// What it is.
    pub kind: PlaceKind,
}

/// What a place is, which says what can be wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlaceKind {
    /// Code that does the wrong thing.
    Code,
    /// A file's imports, where something is missing and nothing need be changed.
    Imports,
    /// A test that expected something else, which nobody may have asked for.
    Expectation {
        /// How its file begins, up to its second test.
        above: String,
    },
}
