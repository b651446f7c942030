//! What a task's own sentences become, against programs that are known to be right: the references of the bench's tasks.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;

use crate::home::Home;

/// Fewest command lines that are executed in all of them together; fewer, and the sentences are not understood any more.
const EXECUTED_MIN: usize = 40;

#[test]
fn references_do_what_is_made_of_their_tasks() {
    let tasks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tasks");
    let mut executed = 0;
    for task in std::fs::read_dir(tasks).unwrap().map(|entry| entry.unwrap().path()) {
        // Those in Rust would have to be built, and nothing is made of their sentences.
        let is_script = ["py-", "js-"]
            .iter()
            .any(|begin| task.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin)));
        if !is_script {
            continue;
        }
        let home = Home::new();
        std::fs::write(home.path().join("script.toml"), "").unwrap();
        let file = task.join("task.md");
        let args = [
            "plan",
            "--task-file",
            file.to_str().unwrap(),
            "--provider",
            "scripted:script.toml",
            "-o",
            "plan.toml",
        ];
        home.say(&args).expect(0);
        let plan: toml::Table =
            std::fs::read_to_string(home.path().join("plan.toml")).unwrap().parse().unwrap();
        let steps = plan["instructions"].as_array().unwrap();
        let checks = steps.iter().filter_map(|step| step.get("checks")?.as_array()).flatten();
        let runs = checks.filter(|check| check["kind"].as_str() == Some("runs"));
        // Each step has those of the steps before it.
        let runs: BTreeMap<_, _> = runs.map(|check| (check["command"].as_str(), check)).collect();
        for check in runs.values() {
            held(check, &task.join("reference"));
            executed += 1;
        }
    }
    assert!(executed >= EXECUTED_MIN, "{executed}");
}

/// Executes a check on a copy of a project.
fn held(check: &toml::Value, project: &Path) {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(project).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let text = |key: &str| check.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    std::fs::write(copy.path().join("typed"), text("input")).unwrap();
    let done = Command::new("sh")
        .args(["-c", &format!("{{ {}\n}} 2>&1", text("command"))])
        .current_dir(copy.path())
        .stdin(Stdio::from(std::fs::File::open(copy.path().join("typed")).unwrap()))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let shown = format!("{}: {check}: {printed}", project.display());
    let status = check.get("exit_status").and_then(toml::Value::as_integer).unwrap_or(0);
    assert_eq!(done.status.code().map(i64::from), Some(status), "{shown}");
    let output = |key: &str| check.get("output").and_then(|output| output.get(key));
    if let Some(equal) = output("equals").and_then(toml::Value::as_str) {
        assert_eq!(printed.trim(), equal.trim(), "{shown}");
    }
    if let Some(pattern) = output("matches").and_then(toml::Value::as_str) {
        assert!(Regex::new(pattern).unwrap().is_match(&printed), "{shown}");
    }
}
