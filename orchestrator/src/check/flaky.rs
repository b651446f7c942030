//! What fails and then passes on the same files is neither: it is reported as such.

use std::collections::BTreeMap;
use std::time::Duration;

use edvac_memory::program::CheckKind;
use edvac_memory::verdict::{CheckReport, Outcome, TestOutcome, Verdict};

use super::Found;

/// A check that took longer is not run a second time; a prompt costs less than that, not more.
const AGAIN_MS_MAX: u128 = 20_000;

/// Whether a second run can tell something: a command failed, and did not take long.
pub(super) fn is_worth_another_run(kind: &CheckKind, found: &Found, took: Duration) -> bool {
    let runs = match kind {
        CheckKind::Tests | CheckKind::Runs { .. } | CheckKind::Starts { .. } | CheckKind::Http { .. } => true,
        CheckKind::Golden { command, .. } => command.is_some(),
        _ => false,
    };
    runs && took.as_millis() <= AGAIN_MS_MAX && matches!(found.verdict, Verdict::Failed { .. })
}

/// A failed run, and what another one right after it makes of it. What fails both times has failed.
pub(super) fn of_two(first: Found, again: &Found) -> Found {
    let changed = changed(&first.tests, &again.tests);
    let mut found = first;
    for test in &mut found.tests {
        if changed.contains(&test.name) {
            test.outcome = Outcome::Flaky;
        }
    }
    if again.verdict.is_passed() {
        found.verdict = Verdict::Flaky { reason: reason(&changed) };
    } else if !changed.is_empty() && !found.tests.iter().any(|t| t.outcome == Outcome::Failed) {
        // Each run failed, and no test did in both.
        found.verdict = Verdict::Flaky { reason: reason(&changed) };
    }
    found
}

/// A report that passes, in the light of earlier ones: if one on the same files failed, it is flaky.
pub(crate) fn with_history<'a>(report: &mut CheckReport, mut earlier: impl Iterator<Item = &'a CheckReport>) {
    let failed = |old: &CheckReport| {
        old.check.kind == report.check.kind
            && old.tree == report.tree
            && matches!(old.verdict, Verdict::Failed { .. } | Verdict::Flaky { .. })
    };
    if !report.verdict.is_passed() {
        return;
    }
    let Some(old) = earlier.find(|old| failed(old)) else { return };
    let changed = changed(&old.tests, &report.tests);
    for test in &mut report.tests {
        if changed.contains(&test.name) {
            test.outcome = Outcome::Flaky;
        }
    }
    report.verdict = Verdict::Flaky { reason: reason(&changed) };
}

/// Tests whose outcomes differ; one that was flaky before remains so.
fn changed(first: &[TestOutcome], again: &[TestOutcome]) -> Vec<String> {
    let then: BTreeMap<_, _> = first.iter().map(|t| (&t.name, t.outcome)).collect();
    let differs = |t: &&TestOutcome| then.get(&t.name).is_some_and(|outcome| *outcome != t.outcome);
    again.iter().filter(differs).map(|t| t.name.clone()).collect()
}

fn reason(tests: &[String]) -> String {
    if tests.is_empty() {
        "it failed and then passed on the same files".to_owned()
    } else {
        format!(
            "{} failed and then passed on the same files; a test must not depend on time, chance or order",
            tests.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(verdict: Verdict, outcomes: &[(&str, Outcome)]) -> Found {
        let test = |&(name, outcome): &(&str, Outcome)| TestOutcome {
            name: name.to_owned(),
            outcome,
            covers: vec![],
            flaw: None,
        };
        Found { tests: outcomes.iter().map(test).collect(), ..Found::of(verdict) }
    }

    fn failed() -> Verdict {
        Verdict::Failed { reason: "it failed".into() }
    }

    #[test]
    fn what_changes_its_mind_is_flaky() {
        use Outcome::{Failed, Flaky, Passed};
        let first = || found(failed(), &[("a", Failed), ("b", Passed)]);
        let both = of_two(first(), &found(Verdict::Passed, &[("a", Passed), ("b", Passed)]));
        assert!(matches!(&both.verdict, Verdict::Flaky { reason } if reason.starts_with("a failed")));
        assert_eq!([both.tests[0].outcome, both.tests[1].outcome], [Flaky, Passed]);
        let other = of_two(first(), &found(failed(), &[("a", Passed), ("b", Failed)]));
        assert!(matches!(other.verdict, Verdict::Flaky { .. }));
        let same = of_two(first(), &found(failed(), &[("a", Failed), ("b", Failed)]));
        assert_eq!(same.verdict, failed());
        assert_eq!([same.tests[0].outcome, same.tests[1].outcome], [Failed, Flaky]);
    }

    #[test]
    fn what_takes_long_or_only_reads_is_not_run_again() {
        let worth = |kind: &CheckKind, ms| {
            is_worth_another_run(kind, &found(failed(), &[]), Duration::from_millis(ms))
        };
        assert!(worth(&CheckKind::Tests, 100));
        assert!(!worth(&CheckKind::Tests, 60_000));
        assert!(!worth(&CheckKind::Exists { path: "a".into() }, 1));
        assert!(!worth(&CheckKind::Golden { command: None, files: BTreeMap::new() }, 1));
    }
}
