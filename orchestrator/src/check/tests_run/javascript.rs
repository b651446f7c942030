//! JavaScript: Node's own test runner, with a reporter of ours that writes one JSON line a test.

use std::path::Path;

use edvac_memory::verdict::Outcome;
use serde::Deserialize;

use super::{OUT, One, Results, Runner};
use crate::sandbox::Outcome as Ran;

const REPORTER: &str = include_str!("reporter.mjs");

pub(super) struct JavaScript;

impl Runner for JavaScript {
    fn needs(&self) -> (&'static str, &'static str) {
        ("node", "install Node.js 20 or newer")
    }

    fn command(&self, out: &Path) -> std::io::Result<Vec<String>> {
        std::fs::write(out.join("reporter.mjs"), REPORTER)?;
        Ok([
            "node",
            "--test",
            "--test-reporter",
            &format!("{OUT}/reporter.mjs"),
            "--test-reporter-destination",
            &format!("{OUT}/results.jsonl"),
        ]
        .map(str::to_owned)
        .to_vec())
    }

    fn read(&self, ran: &Ran, out: &Path) -> Results {
        read_lines(ran, &out.join("results.jsonl"))
    }
}

/// A line of a results file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Test {
        name: String,
        outcome: Outcome,
        #[serde(default)]
        detail: String,
    },
    Fault {
        fault: String,
    },
    Ended {
        #[serde(rename = "ended")]
        _ended: bool,
    },
}

/// Reads a results file. Without its last line the run did not get to its end, which is a fault of its own.
pub(super) fn read_lines(ran: &Ran, file: &Path) -> Results {
    let mut results = Results::default();
    let mut ended = false;
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        match serde_json::from_str(line) {
            Ok(Line::Test { name, outcome, detail }) => results.tests.push(One { name, outcome, detail }),
            Ok(Line::Fault { fault }) => results.faults.push(fault),
            Ok(Line::Ended { .. }) => ended = true,
            Err(_) => results.faults.push("a test wrote into the results of the test run".to_owned()),
        }
    }
    if !ended && ran.limit.is_none() {
        let end: Vec<_> = ran.output.trim().lines().rev().take(12).collect();
        let end: Vec<_> = end.into_iter().rev().collect();
        results.faults.push(format!("{}\nthe test run was ended before its end", end.join("\n")));
    }
    results
}
