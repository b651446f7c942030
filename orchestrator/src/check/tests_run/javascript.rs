//! JavaScript: Node's own test runner, with a reporter of ours that writes one JSON line a test.

use std::io::Read;
use std::path::Path;

use edvac_memory::verdict::Outcome;
use serde::Deserialize;

use super::{OUT, One, Results, Runner};
use crate::sandbox::{Outcome as Ran, read_left};

/// Most of a results file that is read.
const RESULTS_BYTES_MAX: u64 = 16 << 20;
const REPORTER: &str = include_str!("reporter.mjs");
const GUARD: &str = include_str!("guard.mjs");
/// Where the key to the results lies until the runner has read it, and beside the directory for whoever reads them.
const KEY: &str = "key";

pub(super) struct JavaScript;

impl Runner for JavaScript {
    fn needs(&self) -> (&'static str, &'static str) {
        ("node", "install Node.js 20 or newer")
    }

    fn command(&self, out: &Path) -> std::io::Result<Vec<String>> {
        std::fs::write(out.join("reporter.mjs"), REPORTER)?;
        std::fs::write(out.join("guard.mjs"), GUARD)?;
        new_key(out)?;
        Ok([
            "node",
            "--import",
            &format!("{OUT}/guard.mjs"),
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
        read_lines(ran, out)
    }
}

/// Makes a key that every line of the results carries, so that nothing else is taken for one: a copy for the runner, which
/// takes it from the disk before any test is loaded, and one that the sandbox does not see. Gives the former's name inside.
pub(super) fn new_key(out: &Path) -> std::io::Result<String> {
    let key = blake3::hash(&seed()?).to_hex();
    std::fs::write(out.join(KEY), key.as_str())?;
    std::fs::write(out.with_file_name(KEY), key.as_str())?;
    Ok(format!("{OUT}/{KEY}"))
}

fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// A line of a results file, and the key that shows who wrote it.
#[derive(Deserialize)]
struct Keyed {
    key: String,
    #[serde(flatten)]
    line: Line,
}

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

/// Reads a results file. Without its last line the run did not get to its end, which is a fault of its own; so is a line
/// that does not carry the key.
pub(super) fn read_lines(ran: &Ran, out: &Path) -> Results {
    let mut results = Results::default();
    let mut ended = false;
    let key = std::fs::read_to_string(out.with_file_name(KEY)).unwrap_or_default();
    let left = read_left(&out.join("results.jsonl"), RESULTS_BYTES_MAX).unwrap_or_default();
    for line in ran.names.inside(&String::from_utf8_lossy(&left)).lines() {
        let keyed = serde_json::from_str::<Keyed>(line).ok().filter(|k| k.key == key && !key.is_empty());
        match keyed.map(|k| k.line).ok_or(()) {
            Ok(_) if ended => results.faults.push("a test wrote into the results of the test run".to_owned()),
            Ok(Line::Test { name, outcome, detail }) => results.tests.push(One { name, outcome, detail }),
            Ok(Line::Fault { fault }) => results.faults.push(fault),
            Ok(Line::Ended { .. }) => ended = true,
            Err(()) => results.faults.push("a test wrote into the results of the test run".to_owned()),
        }
    }
    if !ended && ran.limit.is_none() {
        let end: Vec<_> = ran.output.trim().lines().rev().take(12).collect();
        let end: Vec<_> = end.into_iter().rev().collect();
        results.faults.push(format!("{}\nthe test run was ended before its end", end.join("\n")));
    }
    results
}
