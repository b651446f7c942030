//! Go: `go test -json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use edvac_memory::verdict::Outcome;
use serde::Deserialize;

use super::{OUT, One, Results, Runner};
use crate::sandbox::Outcome as Ran;

pub(super) struct Go;

impl Runner for Go {
    fn needs(&self) -> (&'static str, &'static str) {
        ("go", "install Go")
    }

    fn command(&self, _out: &Path) -> std::io::Result<Vec<String>> {
        Ok(["go", "test", "-json", "./..."].map(str::to_owned).to_vec())
    }

    fn env(&self) -> Vec<(String, String)> {
        [
            ("GOCACHE", &format!("{OUT}/cache") as &str),
            ("GOFLAGS", "-mod=mod"),
            ("GOPATH", "/tmp/go"),
            ("GOTOOLCHAIN", "local"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn read(&self, ran: &Ran, _out: &Path) -> Results {
        read(&ran.output)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    test: String,
    #[serde(default)]
    output: String,
}

pub(super) fn read(output: &str) -> Results {
    let mut results = Results::default();
    let mut said: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut loose = String::new();
    for text in output.lines() {
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            loose.push_str(text);
            loose.push('\n');
            continue;
        };
        let outcome = match line.action.as_str() {
            "output" => {
                said.entry((line.package, line.test)).or_default().push_str(&line.output);
                continue;
            }
            "build-output" => {
                loose.push_str(&line.output);
                continue;
            }
            "pass" => Outcome::Passed,
            "fail" => Outcome::Failed,
            "skip" => Outcome::Skipped,
            _ => continue,
        };
        if line.test.is_empty() {
            continue;
        }
        let detail = if outcome == Outcome::Failed {
            said.remove(&(line.package.clone(), line.test.clone())).unwrap_or_default()
        } else {
            String::new()
        };
        if !seen.insert((line.package, line.test.clone())) {
            results.faults.push(format!(
                "the test run was tampered with: {} has two results, so a test prints what looks like one",
                line.test
            ));
            continue;
        }
        results.tests.push(One { name: line.test, outcome, detail });
    }
    if !loose.trim().is_empty() && results.tests.is_empty() {
        results.faults.push(loose);
    }
    results
}
