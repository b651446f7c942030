//! Running a project's own tests in the sandbox, and reading what became of each.

mod go;
mod javascript;
mod python;
mod rust;
mod vitest;

use std::path::Path;

use edvac_memory::ids::RequirementId;
use edvac_memory::verdict::{Outcome, TestOutcome, Verdict};

use super::bench::{Bench, OUT, not_of_the_project};
use super::text::{DETAIL_LINES_MAX, some_lines, steady};
use super::{Found, Ground};
use crate::sandbox::{Job, Outcome as Ran};
use crate::survey::Before;

/// Wall time of a whole test run.
const TESTS_MS_MAX: u64 = 180_000;
/// Characters of a test's name.
const NAME_CHARS_MAX: usize = 300;
/// By these words a runner says that it, or its results, were interfered with.
const TAMPERED: [&str; 3] = [
    "tampered with the test run",
    "the test run was tampered with",
    "wrote into the results of the test run",
];
/// Failed tests whose details are kept.
const FAILURES_MAX: usize = 4;

/// How one language's tests are run and read.
trait Runner: Sync {
    /// The program without which nothing can be run, and how it is had.
    fn needs(&self) -> (&'static str, &'static str);
    /// A package of others without which nothing can be run.
    fn needs_package(&self) -> Option<&'static str> {
        None
    }
    /// The command, in the project's directory; `out` is a directory of ours that the command sees as [`OUT`].
    fn command(&self, out: &Path) -> std::io::Result<Vec<String>>;
    /// Variables it needs.
    fn env(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    /// How a person would run them, where it is not the language's usual way.
    fn run_by(&self) -> Option<&'static str> {
        None
    }
    /// What became of each test.
    fn read(&self, ran: &Ran, out: &Path) -> Results;
}

/// What a runner read out of a test run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Results {
    tests: Vec<One>,
    /// Faults outside any test: a file that cannot be imported, a program that does not compile.
    faults: Vec<String>,
}

/// One test.
#[derive(Debug, PartialEq, Eq)]
struct One {
    name: String,
    outcome: Outcome,
    detail: String,
}

/// The runner of a language, for the project in a directory.
fn runner(name: &str, project: &Path) -> Option<&'static dyn Runner> {
    Some(match name {
        "python" if python::wants_pytest(project) => &python::Pytest,
        "python" => &python::Python,
        "javascript" if vitest::is_named(project) => &vitest::Vitest,
        "javascript" => &javascript::JavaScript,
        "rust" => &rust::Rust,
        "go" => &go::Go,
        _ => return None,
    })
}

/// Runs the tests of a tree.
pub(super) async fn tests(ground: &Ground<'_>) -> Found {
    let tried = async {
        let bench = Bench::of(ground)?;
        let runner = runner(ground.domain.runner(ground.language), &bench.work);
        let runner =
            runner.ok_or_else(|| format!("there is no way to run tests of {:?}", ground.language))?;
        bench.needs(runner.needs())?;
        if let Some(package) = runner.needs_package() {
            bench.needs_package(package)?;
        }
        let command = runner.command(&bench.out);
        let command = command.map_err(|e| format!("no directory for the tests: {e}"))?;
        let job = Job { env: runner.env(), ..bench.job(command, TESTS_MS_MAX) };
        let ran = bench.run(&job).await?;
        Ok::<_, String>((bench, runner, ran))
    };
    let (bench, runner, ran) = match tried.await {
        Ok(tried) => tried,
        Err(reason) => return Found::nothing(reason),
    };
    let mut results = runner.read(&ran, &bench.out);
    let mut ran = ran;
    let faults = results.faults.iter().map(|fault| known_by(fault)).collect();
    let failed_before = results.take_failed_before(&ground.counted.before);
    if !failed_before.is_empty() && ran.exit_status.is_some() {
        // The runner says that something failed; whether anything else did is said by the rest.
        ran.exit_status = Some(0);
    }
    let causes = causes(&results);
    let run_by = runner.run_by().unwrap_or_else(|| ground.domain.tests_run_by(ground.language));
    let command = run_by.split_whitespace().map(str::to_owned).collect();
    Found {
        verdict: verdict(&results, &ran, &bench.changed_code(ground)),
        command,
        exit_status: ran.exit_status,
        resources: Some(ran.resources),
        detail: detail(&causes, &results, &ran),
        output: ran.output,
        causes: causes.iter().map(|(text, _)| some_lines(text, 0)).collect(),
        tests: results
            .tests
            .into_iter()
            .map(|t| (plain_name(&t.name), t.outcome))
            .map(|(name, outcome)| {
                // A test that was there before shows nothing of what was asked for since.
                let is_old = ground.counted.before.tests.contains(&name);
                let covers = if is_old { Vec::new() } else { named_in(&name) };
                TestOutcome { covers, name, outcome, flaw: None }
            })
            .collect(),
        faults,
    }
}

impl Results {
    /// Takes out what failed before anybody worked on the project and still does, and says what that was.
    fn take_failed_before(&mut self, before: &Before) -> Vec<String> {
        let mut taken = Vec::new();
        self.tests.retain(|test| {
            let name = plain_name(&test.name);
            let is_old = test.outcome == Outcome::Failed && before.failing.contains(&name);
            if is_old {
                taken.push(name);
            }
            !is_old
        });
        self.faults.retain(|fault| {
            let known = known_by(fault);
            let is_old = before.faults.contains(&known);
            if is_old {
                taken.push(known);
            }
            !is_old
        });
        taken
    }
}

/// The line by which a fault is known again: the one that names its file, or the error, which is the last.
fn known_by(fault: &str) -> String {
    let first = fault.lines().next().unwrap_or_default().trim();
    if first.ends_with(':') { first.to_owned() } else { first_line(fault) }
}

/// A test's name as one line that says nothing to a terminal.
fn plain_name(name: &str) -> String {
    let first = name.lines().next().unwrap_or_default();
    first.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

fn verdict(results: &Results, ran: &Ran, changed: &[String]) -> Verdict {
    let count = |outcome| results.tests.iter().filter(|t| t.outcome == outcome).count();
    let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
    let failure = |reason: String| Verdict::Failed { reason };
    let nothing = |reason: &str| Verdict::NoEvidence { reason: reason.to_owned() };
    // Where the run came to its end all the same, failures speak for themselves.
    if ran.limit.is_some()
        && (ran.exit_status.is_none() || failed == 0)
        && let Some(stopped) = not_of_the_project(ran)
    {
        return stopped;
    }
    if let Some(path) = changed.first() {
        let reason = format!(
            "the tests changed {path} while they ran, so they did not test the files that there are; a test must leave code as it is"
        );
        return Verdict::Integrity { reason };
    }
    let is_tampering = |fault: &&String| TAMPERED.iter().any(|words| fault.contains(words));
    if let Some(fault) = results.faults.iter().find(is_tampering) {
        return Verdict::Integrity { reason: first_line(fault) };
    }
    match (results.faults.first(), failed, passed, ran.exit_status) {
        (Some(fault), 0, ..) => failure(first_line(fault)),
        (_, 1.., ..) => failure(format!("{failed} of {} tests failed", results.tests.len())),
        (None, 0, 0, Some(0)) if results.tests.is_empty() => nothing("no test was found"),
        (None, 0, 0, Some(0)) => nothing("every test was skipped"),
        (None, 0, 0, _) => nothing("no test was run"),
        (None, 0, _, Some(0)) => Verdict::Passed,
        (None, 0, _, _) => failure("the test run failed although no test did".to_owned()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("the tests could not be run").trim().to_owned()
}

/// Faults, then failures, one for each cause: the text, and the names of other tests that failed in the same way.
fn causes(results: &Results) -> Vec<(String, Vec<&str>)> {
    let faults = results.faults.iter().take(FAILURES_MAX).map(|fault| (steady(fault), Vec::new()));
    let mut failures: Vec<(String, Vec<&str>)> = Vec::new();
    // Those that end with the same error go together: one cause needs to be read once.
    let error = |text: &str| text.lines().next_back().unwrap_or_default().to_owned();
    for test in results.tests.iter().filter(|t| t.outcome == Outcome::Failed) {
        let text = format!("{} failed:\n{}", test.name, steady(&test.detail));
        match failures
            .iter_mut()
            .find(|(first, _)| error(first) == error(&text) && error(&text).contains(':'))
        {
            Some((_, others)) => others.push(&test.name),
            None => failures.push((text, Vec::new())),
        }
    }
    faults.chain(failures.into_iter().take(FAILURES_MAX)).collect()
}

/// What is shown of the causes; the output itself where there are none.
fn detail(causes: &[(String, Vec<&str>)], results: &Results, ran: &Ran) -> String {
    let mut parts: Vec<_> = causes
        .iter()
        .map(|(text, others)| match others.as_slice() {
            [] => text.clone(),
            names => format!("{text}\nIn the same way failed: {}", names.join(", ")),
        })
        .collect();
    if parts.is_empty() && (ran.exit_status != Some(0) || results.tests.is_empty()) {
        parts.push(steady(&ran.output));
    }
    let text = parts.join("\n\n");
    let lines = text.lines().count();
    let nothing_read = results.faults.is_empty() && results.tests.is_empty();
    let from = if nothing_read { lines.saturating_sub(DETAIL_LINES_MAX) } else { 0 };
    some_lines(&text, from)
}

/// Requirements that a test's own name (not its file's) names: `test_r2_x`, `R2: x`, `TestR2X`, `r2_x`.
pub(super) fn named_in(name: &str) -> Vec<RequirementId> {
    let is_sentence = name.contains(char::is_whitespace);
    let own = if is_sentence { name } else { name.rsplit(['.', ':']).next().unwrap_or(name) };
    let chars: Vec<_> = own.chars().collect();
    let mut found: Vec<RequirementId> = Vec::new();
    for (at, c) in chars.iter().enumerate().filter(|(_, c)| matches!(c, 'R' | 'r')) {
        let before = at.checked_sub(1).map(|n| chars[n]);
        let begins = before.is_none_or(|b| !b.is_alphanumeric() || (*c == 'R' && b.is_lowercase()));
        let digits: String = chars[at + 1..].iter().take_while(|d| d.is_ascii_digit()).collect();
        let after = chars.get(at + 1 + digits.len());
        let ends = after.is_none_or(|a| !a.is_lowercase());
        let id = RequirementId(format!("R{digits}"));
        if begins && ends && !digits.is_empty() && !digits.starts_with('0') && !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

#[cfg(test)]
#[path = "tests_run_tests.rs"]
mod tests_of_runs;

#[cfg(test)]
pub(super) use tests_of_runs::verdict_of;
