//! Ctrl-C, `edvac cancel`, and two processes on one run.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use crate::cases::folder;
use crate::home::{Home, Said};

/// A run whose model takes `delay_ms` for each reply, seen up to the beginning of its first call.
fn begun(home: &Home, delay_ms: u64) -> (Child, BufReader<ChildStdout>) {
    let script = std::fs::read_to_string(folder("todo-python").join("script.toml")).unwrap();
    let path = home.path().join("script.toml");
    std::fs::write(&path, format!("delay_ms = {delay_ms}\n{script}")).unwrap();
    let provider = format!("scripted:{}", path.display());
    let task = "A small todo list in Python";
    let mut child = home
        .edvac(&["run", "--json", "--domain", "codebase", "--provider", &provider, task])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"effect\":\"call\"") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the run ended before its first call");
    }
    (child, out)
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn once_finishes_what_is_in_progress() {
    let home = Home::new();
    let (child, out) = begun(&home, 300);
    interrupt(&child);
    let lines: Vec<_> = out.lines().map_while(Result::ok).collect();
    let said: Said = child.wait_with_output().unwrap().into();
    let said = said.expect(130);
    assert!(said.stderr.contains("go on: edvac resume"), "{}", said.stderr);
    assert!(
        lines.iter().any(|l| l.contains("\"event\":\"replied\"")),
        "the reply in progress was kept: {lines:?}"
    );
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(home.calls(), (3, 3), "no call was made twice");
}

#[test]
fn twice_stops_at_once() {
    let home = Home::new();
    let (mut child, out) = begun(&home, 600_000);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    interrupt(&child);
    let mut line = String::new();
    while !line.contains("Ctrl-C again") {
        line.clear();
        assert!(err.read_line(&mut line).unwrap() > 0, "the first Ctrl-C says what it does");
    }
    interrupt(&child);
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let path = home.path().join("script.toml");
    let quick = std::fs::read_to_string(&path).unwrap().replace("delay_ms = 600000", "delay_ms = 0");
    std::fs::write(&path, quick).unwrap();
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(home.calls(), (3, 4), "only the call in flight was made again");
}

#[test]
fn one_run_has_one_process() {
    let home = Home::new();
    let (mut child, _out) = begun(&home, 600_000);
    let said = home.say(&["resume", "--last"]).expect(2);
    assert!(
        said.stderr.contains("in use") && said.stderr.contains(&child.id().to_string()),
        "{}",
        said.stderr
    );
    assert!(home.say(&["status"]).expect(0).stdout.contains("running in process"));
    let said = home.say(&["cancel", "--last"]).expect(0);
    assert!(said.stdout.contains("asked to end"), "{}", said.stdout);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(home.say(&["runs", "--json"]).json()["runs"][0]["status"], "cancelled");
}
