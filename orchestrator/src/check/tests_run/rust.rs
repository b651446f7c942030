//! Rust: `cargo test`, read line by line; the test harness has no machine-readable output on stable.

use std::path::Path;
use std::sync::LazyLock;

use edvac_memory::verdict::Outcome;
use regex::Regex;

use super::{OUT, One, Results, Runner};
use crate::sandbox::Outcome as Ran;

/// Lines of a compiler error that are kept.
const ERROR_LINES_MAX: usize = 30;

/// Output that is longer may have lost its middle.
const WHOLE_BYTES_MAX: usize = 256 << 10;

pub(super) struct Rust;

impl Runner for Rust {
    fn needs(&self) -> (&'static str, &'static str) {
        ("cargo", "install Rust")
    }

    fn command(&self, _out: &Path) -> std::io::Result<Vec<String>> {
        Ok([
            "cargo",
            "test",
            "--offline",
            "--no-fail-fast",
            "--quiet",
            "--",
            "--format=pretty",
            "--color=never",
        ]
        .map(str::to_owned)
        .to_vec())
    }

    fn env(&self) -> Vec<(String, String)> {
        [
            ("CARGO_HOME", "/tmp/cargo"),
            ("CARGO_TARGET_DIR", &format!("{OUT}/target") as &str),
            ("CARGO_TERM_COLOR", "never"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn read(&self, ran: &Ran, _out: &Path) -> Results {
        read(&ran.output, ran.exit_status)
    }
}

pub(super) fn read(output: &str, exit_status: Option<i32>) -> Results {
    static TEST: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\btest (\S+)(?: - [^.]*)? \.\.\. (ok|FAILED|ignored)").ok());
    static BEGUN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^running \d+ tests?$").ok());
    static ENDED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored").ok());
    let mut results = Results::default();
    for line in output.lines() {
        let Some(hit) = TEST.as_ref().and_then(|t| t.captures(line)) else { continue };
        let name = hit[1].to_owned();
        let outcome = match &hit[2] {
            "ok" => Outcome::Passed,
            "FAILED" => Outcome::Failed,
            _ => Outcome::Skipped,
        };
        let detail = if outcome == Outcome::Failed { stdout_of(output, &name) } else { String::new() };
        results.tests.push(One { name, outcome, detail });
    }
    // A test that ends its process takes the rest of them, and says success.
    let count = |begins: &Regex| output.lines().filter(|l| begins.is_match(l)).count();
    let counts = BEGUN.as_ref().zip(ENDED.as_ref()).map(|(begun, ended)| (count(begun), count(ended)));
    if exit_status == Some(0)
        && counts.is_some_and(|(begun, ended)| begun > ended)
        && output.len() < WHOLE_BYTES_MAX
    {
        results.faults.push("the test run was ended before its end".to_owned());
    }
    // A test can print what the harness prints, or in its midst; then its lines and its counts are not the same.
    let counted = |n: usize| -> usize {
        let hits = ENDED.iter().flat_map(|ended| output.lines().filter_map(|l| ended.captures(l)));
        hits.filter_map(|hit| hit[n].parse::<usize>().ok()).sum()
    };
    let read = |outcome| results.tests.iter().filter(|t| t.outcome == outcome).count();
    let of = [Outcome::Passed, Outcome::Failed, Outcome::Skipped].map(read);
    let is_whole =
        output.len() < WHOLE_BYTES_MAX && counts.is_some_and(|(begun, ended)| ended > 0 && begun == ended);
    if is_whole && of != [counted(1), counted(2), counted(3)] {
        results.faults.push(
            "what the tests print cannot be told from their results; print nothing that looks like them"
                .to_owned(),
        );
    }
    if results.tests.is_empty() && exit_status != Some(0) {
        let from = output.lines().position(|l| l.starts_with("error")).unwrap_or(0);
        let lines: Vec<_> = output.lines().skip(from).take(ERROR_LINES_MAX).collect();
        let first = lines.first().copied().unwrap_or("cargo test failed").to_owned();
        results.faults.push(format!("{}\n{first}", lines.join("\n")));
    }
    results
}

/// What the harness shows under `---- name stdout ----`.
fn stdout_of(output: &str, name: &str) -> String {
    let head = format!("---- {name} stdout ----");
    let lines = output.lines().skip_while(|l| *l != head).skip(1);
    let lines = lines.take_while(|l| !l.starts_with("---- ") && *l != "failures:");
    lines
        .filter(|l| !l.is_empty() && !l.starts_with("note: run with"))
        .take(16)
        .collect::<Vec<_>>()
        .join("\n")
}
