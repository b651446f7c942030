//! The part of a report that is about a repository which was there before the run.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use edvac_memory::store::Origin;
use edvac_memory::verdict::Outcome;
use serde::Serialize;

use crate::control::RunState;
use crate::existing::{commands, some};
use crate::survey::Survey;

/// What was there, and how what was made is taken over.
#[derive(Clone, Debug, Serialize)]
pub struct ExistingPart {
    /// The repository.
    pub origin: Origin,
    /// How the branch is fetched into it.
    pub fetch: String,
    /// How the same is applied to it as a patch.
    pub patch: String,
    /// Whether anything was committed.
    pub has_commits: bool,
    /// What came of its tests before the run, in a word; none before they were run, or where nobody can run them.
    pub tests_before: Option<String>,
    /// Tests that failed then.
    pub failed_before: Vec<String>,
    /// Of them, those that pass now.
    pub mended: Vec<String>,
    /// Faults outside any test that there were then.
    pub faults_before: Vec<String>,
    /// What is in it that nobody can change by its path.
    pub others: Vec<String>,
}

impl ExistingPart {
    /// The part of a run that works on what exists.
    pub fn of(state: &RunState) -> Option<Self> {
        let start = state.start.as_ref()?;
        let origin = start.origin.clone()?;
        let (fetch, patch) = commands(&origin, &start.workspace, start.run.as_str());
        let survey = state.survey.as_ref();
        let names = |outcome| -> Vec<String> {
            survey.iter().flat_map(|s| s.tests_that(outcome)).map(str::to_owned).collect()
        };
        let failed_before = names(Outcome::Failed);
        let tests = state.final_reports.iter().flatten().flat_map(|report| &report.tests);
        let passed: BTreeSet<&str> =
            tests.filter(|t| t.outcome == Outcome::Passed).map(|t| t.name.as_str()).collect();
        Some(Self {
            fetch,
            patch,
            has_commits: state.head.as_ref().is_some_and(|head| *head != origin.base),
            tests_before: survey.and_then(Survey::standing),
            mended: failed_before.iter().filter(|name| passed.contains(name.as_str())).cloned().collect(),
            failed_before,
            faults_before: survey.iter().flat_map(|s| s.faults.iter().cloned()).collect(),
            others: survey.map(|s| s.others.clone()).unwrap_or_default(),
            origin,
        })
    }

    /// How it is taken over, as Markdown.
    pub fn take_over(&self, out: &mut String) {
        let Origin { path, base, branch, .. } = &self.origin;
        let base: String = base.as_str().chars().take(10).collect();
        let _ = writeln!(out, "\n## Take it over\n");
        if !self.has_commits {
            let _ = writeln!(out, "Nothing was committed yet. {path} is as it was.");
            return;
        }
        let _ = writeln!(out, "The work is on branch `{branch}`, behind {base}. {path} is as it was.\n");
        let _ = writeln!(out, "- as a branch: `{}`", self.fetch);
        let _ = writeln!(out, "- as a patch: `{}`", self.patch);
    }

    /// What was so before, as Markdown.
    pub fn before(&self, out: &mut String) {
        if self.tests_before.is_none() && self.others.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n## Before the run\n");
        if let Some(standing) = &self.tests_before {
            let _ = writeln!(out, "- its tests: {standing}");
        }
        let still: Vec<_> =
            self.failed_before.iter().filter(|name| !self.mended.contains(name)).cloned().collect();
        for (what, names) in [
            ("failed then, and is not held against the run", &still),
            ("failed then, and pass now", &self.mended),
            ("could not be run then, and is not held against the run", &self.faults_before),
            ("stays as it is, since it is no file that has a plain name", &self.others),
        ] {
            if !names.is_empty() {
                let _ = writeln!(out, "- {what}: {}", some(names));
            }
        }
    }
}
