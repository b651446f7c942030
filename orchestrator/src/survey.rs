//! What was there before the run: its language, its files, and what became of its tests when nobody had changed anything.

use std::collections::BTreeSet;

use edvac_memory::ids::TreeId;
use edvac_memory::verdict::{CheckReport, Outcome, TestOutcome};
use serde::{Deserialize, Serialize};

use crate::check::integrity::{Breach, Inventory};
use crate::dependencies::Needs;

/// A survey of the tree that a run goes on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// The tree.
    pub tree: TreeId,
    /// Its language, as the domain spells it; empty where the domain knows none of its files.
    pub language: String,
    /// Its files.
    pub files: BTreeSet<String>,
    /// What is in it besides, and stays as it is: symbolic links, submodules, names that no path may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Its tests and what they assert.
    pub inventory: Inventory,
    /// What came of running them; none in a language whose tests nobody can run.
    pub tests: Option<CheckReport>,
    /// Faults outside any test, in one line each: files that could not be imported, code that did not compile.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub faults: BTreeSet<String>,
    /// Packages that it asks for and that are not there by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// Whether they had been installed when the tests were run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub had_packages: bool,
}

/// What nobody who works on the project is to be held to, or may take credit for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Tests that ran.
    pub tests: BTreeSet<String>,
    /// Of them, those that failed.
    pub failing: BTreeSet<String>,
    /// Faults outside any test.
    pub faults: BTreeSet<String>,
    /// What looks as if a run were interfered with.
    pub tampering: Vec<Breach>,
}

impl Survey {
    /// Tests with this outcome, by name.
    pub fn tests_that(&self, outcome: Outcome) -> impl Iterator<Item = &str> {
        let all = self.tests.iter().flat_map(|report| &report.tests);
        all.filter(move |test| test.outcome == outcome).map(|test| test.name.as_str())
    }

    /// What came of its tests, for people; none where nobody can run them.
    pub fn standing(&self) -> Option<String> {
        let report = self.tests.as_ref()?;
        let passed = self.tests_that(Outcome::Passed).count();
        Some(match report.verdict.reason() {
            "" => format!("{passed} passed"),
            reason if report.tests.is_empty() => reason.to_owned(),
            reason => format!("{passed} of {} passed; {reason}", report.tests.len()),
        })
    }

    /// What there was before the run.
    pub fn before(&self) -> Before {
        let names = |tests: &mut dyn Iterator<Item = &TestOutcome>| tests.map(|t| t.name.clone()).collect();
        let tests = || self.tests.iter().flat_map(|report| &report.tests);
        Before {
            tests: names(&mut tests()),
            failing: failing(tests()),
            faults: self.faults.clone(),
            tampering: self.inventory.tampering().to_vec(),
        }
    }
}

/// The names of tests that did not pass.
pub fn failing<'a>(tests: impl IntoIterator<Item = &'a TestOutcome>) -> BTreeSet<String> {
    let failed = tests.into_iter().filter(|t| matches!(t.outcome, Outcome::Failed | Outcome::Flaky));
    failed.map(|t| t.name.clone()).collect()
}
