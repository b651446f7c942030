//! The ledger: which requirement is met, shown by what. Derived from the program and executed checks, never asserted.

use edvac_agents::roles::words::part;
use edvac_memory::ids::{InstructionId, RequirementId};
use edvac_memory::program::{CheckKind, Program};
use edvac_memory::verdict::{CheckReport, Outcome, TestOutcome, Verdict};
use serde::{Deserialize, Serialize};

/// Where a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// At least one executed check shows it, and none speaks against it.
    Met,
    /// An executed check speaks against it.
    Unmet,
    /// Nothing that was executed speaks for or against it.
    NoEvidence,
}

/// One executed check, or one test of it, that speaks for or against a requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The test's name, or the check in a few words.
    pub what: String,
    /// Whether it speaks for the requirement.
    pub passed: bool,
    /// Whether it is a test that passed in a run which was tampered with or asks less than one that counted: its passing
    /// speaks against the requirement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disbelieved: bool,
    /// What was run; empty for checks that run no command.
    pub command: Vec<String>,
}

/// One requirement with everything that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: RequirementId,
    /// Its sentence.
    pub text: String,
    /// Where it stands.
    pub standing: Standing,
    /// Why.
    pub evidence: Vec<Evidence>,
    /// What looks like evidence and is none, each with the reason: a test that cannot fail, one that changes its mind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nothing: Vec<Nothing>,
    /// Instructions that were to meet it.
    pub instructions: Vec<InstructionId>,
}

/// An executed check, or one test of it, that names a requirement and shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {
    /// The test's name, or the check in a few words.
    pub what: String,
    /// Why it shows nothing.
    pub why: String,
}

impl Evidence {
    /// What became of it, in words that go before what it is.
    pub fn word(&self) -> &'static str {
        match (self.passed, self.disbelieved) {
            (true, _) => "passed",
            (false, true) => "passed in a run without integrity:",
            (false, false) => "failed",
        }
    }
}

/// All requirements of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// In the program's order.
    pub entries: Vec<Entry>,
}

impl Ledger {
    /// Weighs `reports` (all made on the same tree) for every requirement of `program`.
    pub fn weigh(program: &Program, reports: &[CheckReport]) -> Self {
        let entries = program
            .requirements
            .iter()
            .map(|requirement| {
                let evidence: Vec<_> =
                    reports.iter().flat_map(|r| evidence_for(&requirement.id, r)).collect();
                Entry {
                    id: requirement.id.clone(),
                    text: requirement.text.clone(),
                    standing: standing(&evidence),
                    evidence,
                    nothing: reports.iter().flat_map(|r| nothing_for(&requirement.id, r)).collect(),
                    instructions: program
                        .instructions
                        .iter()
                        .filter(|i| i.covers.contains(&requirement.id))
                        .map(|i| i.id)
                        .collect(),
                }
            })
            .collect();
        Self { entries }
    }

    /// True when there is a requirement and every one is met.
    pub fn all_met(&self) -> bool {
        !self.entries.is_empty() && self.entries.iter().all(|e| e.standing == Standing::Met)
    }

    /// How many stand like this.
    pub fn count(&self, standing: Standing) -> usize {
        self.entries.iter().filter(|e| e.standing == standing).count()
    }
}

fn standing(evidence: &[Evidence]) -> Standing {
    if evidence.iter().any(|e| !e.passed) {
        Standing::Unmet
    } else if evidence.is_empty() {
        Standing::NoEvidence
    } else {
        Standing::Met
    }
}

/// Whether a report speaks for a requirement and nothing in it speaks against it.
pub fn shows(id: &RequirementId, report: &CheckReport) -> bool {
    standing(&evidence_for(id, report)) == Standing::Met
}

/// A test run is evidence for what its tests name, one by one; every check for what it declares. A check that
/// shows nothing (no test found, a limit that stopped it) is evidence for nothing. Neither are the passing tests of such
/// a run, nor those of one that failed before its end, nor a test that passes without showing anything, nor one that changes
/// its mind. Where the tests were tampered with, none of them passes.
fn evidence_for(id: &RequirementId, report: &CheckReport) -> Vec<Evidence> {
    if matches!(report.verdict, Verdict::Stopped { .. } | Verdict::NoEvidence { .. }) {
        return Vec::new();
    }
    let is_sound = !matches!(report.verdict, Verdict::Integrity { .. });
    // Where a run failed although no test did, it did not come to its end: what else it would have found is not known.
    if matches!(report.verdict, Verdict::Failed { .. })
        && !report.tests.is_empty()
        && report.tests.iter().all(|t| t.outcome != Outcome::Failed)
    {
        return Vec::new();
    }
    let mut evidence: Vec<_> = report
        .tests
        .iter()
        .filter(|t| t.covers.contains(id) && !matches!(t.outcome, Outcome::Skipped | Outcome::Flaky))
        .filter(|t| t.outcome == Outcome::Failed || t.flaw.is_none())
        .map(|t| Evidence {
            what: t.name.clone(),
            passed: t.outcome == Outcome::Passed && is_sound,
            disbelieved: t.outcome == Outcome::Passed && !is_sound,
            command: report.command.clone(),
        })
        .collect();
    if report.check.covers.contains(id) && !matches!(report.verdict, Verdict::Flaky { .. }) {
        let passed = report.verdict.is_passed();
        let what = describe(&report.check.kind);
        evidence.push(Evidence { what, passed, disbelieved: false, command: report.command.clone() });
    }
    evidence
}

/// What of a report names a requirement and is no evidence.
fn nothing_for(id: &RequirementId, report: &CheckReport) -> Vec<Nothing> {
    let tests = report.tests.iter().filter(|t| t.covers.contains(id));
    let why = |t: &TestOutcome| match t.outcome {
        Outcome::Skipped => Some("it was skipped".to_owned()),
        Outcome::Flaky => Some("it failed and passed on the same files".to_owned()),
        Outcome::Passed => t.flaw.clone(),
        Outcome::Failed => None,
    };
    let mut out: Vec<_> =
        tests.filter_map(|t| Some(Nothing { what: t.name.clone(), why: why(t)? })).collect();
    let shows_nothing = !report.verdict.is_passed() && !report.verdict.speaks_against();
    if shows_nothing && report.check.covers.contains(id) {
        let why = format!("{}: {}", report.verdict.name(), report.verdict.reason());
        out.push(Nothing { what: describe(&report.check.kind), why });
    }
    out
}

/// A check in a few words, for people.
pub fn describe(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Exists { path } => format!("{path} exists"),
        CheckKind::Parses { path } => format!("{path} parses"),
        CheckKind::Tests => "the project's tests pass".to_owned(),
        CheckKind::Words { path, section, min, max } => {
            format!("{} has {min} to {max} words", part(path, *section))
        }
        CheckKind::Headings { path, sections_min } => {
            format!("{path} has a title and {sections_min}+ sections")
        }
        CheckKind::Outline { path, section, beats } => match beats.as_slice() {
            [beat] => format!("{} speaks of: {beat}", part(path, *section)),
            _ => format!("{} speaks of its {} outline points", part(path, *section), beats.len()),
        },
        CheckKind::Canon { path, canon } => format!("{path} agrees with {canon}"),
        CheckKind::Variety { path, .. } => format!("{path} does not go in circles"),
        CheckKind::Repetition { path, .. } => format!("{path} says nothing twice"),
        CheckKind::Links { path } => format!("the links of {path} lead somewhere"),
        CheckKind::Builds => "the project builds".to_owned(),
        CheckKind::Lints => "the linter finds nothing".to_owned(),
        CheckKind::Runs { command, .. } => {
            format!("`{}` does what it should", command.lines().collect::<Vec<_>>().join("; "))
        }
        CheckKind::Starts { commands, .. } => match commands.as_slice() {
            [command] => format!("`{command}` starts"),
            _ => format!("{} command lines start", commands.len()),
        },
        CheckKind::Http { start, requests, .. } => {
            format!("`{start}` answers {} request(s)", requests.len())
        }
        CheckKind::Golden { files, .. } => {
            format!("{} as expected", files.keys().cloned().collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use edvac_memory::ids::TreeId;
    use edvac_memory::program::Check;

    use super::*;

    fn report(verdict: Verdict, tests: &[(&str, Outcome, bool)]) -> CheckReport {
        let test = |&(name, outcome, hollow): &(&str, Outcome, bool)| TestOutcome {
            name: name.to_owned(),
            outcome,
            covers: vec!["R1".into()],
            flaw: hollow.then(|| "it asserts nothing".to_owned()),
        };
        CheckReport {
            check: Check { kind: CheckKind::Tests, covers: vec![] },
            verdict,
            tree: TreeId("t".into()),
            command: vec![],
            exit_status: Some(0),
            duration_ms: 0,
            resources: None,
            tests: tests.iter().map(test).collect(),
            detail: String::new(),
            output: String::new(),
            causes: vec![],
        }
    }

    fn stands(verdict: Verdict, tests: &[(&str, Outcome, bool)]) -> Standing {
        standing(&evidence_for(&"R1".into(), &report(verdict, tests)))
    }

    #[test]
    fn a_test_that_passed_is_not_said_to_have_failed() {
        let tests = [("a", Outcome::Passed, false), ("b", Outcome::Failed, false)];
        let verdict = Verdict::Integrity { reason: "a conftest.py changes the results".to_owned() };
        let evidence = evidence_for(&"R1".into(), &report(verdict, &tests));
        let words: Vec<_> = evidence.iter().map(|e| (e.word(), e.what.as_str(), e.passed)).collect();
        assert_eq!(words, [("passed in a run without integrity:", "a", false), ("failed", "b", false)]);
    }

    #[test]
    fn what_tests_are_evidence_for() {
        use Outcome::{Failed, Flaky, Passed, Skipped};
        let because = || "why".to_owned();
        let failed = || Verdict::Failed { reason: because() };
        let (met, unmet, nothing) = (Standing::Met, Standing::Unmet, Standing::NoEvidence);
        for (verdict, tests, standing) in [
            (Verdict::Passed, vec![("a", Passed, false)], met),
            (Verdict::Passed, vec![("a", Passed, true)], nothing),
            (Verdict::Passed, vec![("a", Passed, true), ("b", Passed, false)], met),
            (Verdict::Passed, vec![("a", Skipped, false)], nothing),
            (failed(), vec![("a", Passed, false), ("b", Failed, false)], unmet),
            // It failed before its end: an import, an early exit.
            (failed(), vec![("a", Passed, false)], nothing),
            (Verdict::Flaky { reason: because() }, vec![("a", Flaky, false)], nothing),
            (Verdict::Flaky { reason: because() }, vec![("a", Flaky, false), ("b", Passed, false)], met),
            (Verdict::Integrity { reason: because() }, vec![("a", Passed, false)], unmet),
            (Verdict::NoEvidence { reason: because() }, vec![("a", Passed, false)], nothing),
            (
                Verdict::Stopped { limit: edvac_memory::verdict::Limit::WallTime, reason: because() },
                vec![("a", Passed, false)],
                nothing,
            ),
        ] {
            assert_eq!(stands(verdict.clone(), &tests), standing, "{verdict:?} {tests:?}");
        }
    }
}
