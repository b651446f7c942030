//! Tools of other programs in a run, and runs for other programs.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use edvac_memory::journal::EXIT_STOPPED_AFTER;
use serde_json::{Value, json};

use crate::home::Home;

/// A run whose only step counts with a tool, and writes what it was told.
const SCRIPT: &str = r#"
[[reply]]
when = ["You write the plan of a project"]
text = """
TITLE: count
REQUIREMENT R1: There is a file count.md.
STEP 1: Count
WRITES: count.md
READS: -
COVERS: R1
DO: Count with the tool.
END
"""

[[reply]]
when = ["`@@ call shelf.count` answered", "1 lines"]
turn = 1
text = """
@@ write count.md
One line.
@@ end
@@ done It is counted.
"""

[[reply]]
when = ["Whether it was made is not known"]
turn = 1
text = """
@@ write count.md
Perhaps one line.
@@ end
@@ done It may be counted.
"""

[[reply]]
when = ["Your step now: step 1,"]
must_contain = ["@@ call shelf.count takes {\"text\": string}"]
text = """
@@ call shelf.count
{"text": "once"}
@@ end
"""
"#;

/// The server of the examples, which Cargo builds beside these tests.
fn server() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_edvac")).with_file_name("examples").join("tool_server")
}

struct Place {
    home: Home,
    provider: String,
}

impl Place {
    fn new() -> Self {
        let home = Home::new();
        let counted = home.path().join("counted");
        std::fs::write(
            home.path().join("config.toml"),
            format!(
                "[mcp.shelf]\ncommand = \"{}\"\nargs = [\"{}\"]\n",
                server().display(),
                counted.display()
            ),
        )
        .unwrap();
        let script = home.path().join("script.toml");
        std::fs::write(&script, SCRIPT).unwrap();
        let provider = format!("scripted:{}", script.display());
        Self { home, provider }
    }

    fn args(&self) -> [&str; 6] {
        ["run", "--domain", "custom", "--provider", &self.provider, "Count"]
    }

    fn counted(&self) -> usize {
        std::fs::read_to_string(self.home.path().join("counted")).map_or(0, |text| text.lines().count())
    }

    fn called(&self) -> Vec<Value> {
        let acted = |record: &Value| record["body"]["called"].as_array().cloned();
        self.home.records().iter().filter_map(acted).flatten().collect()
    }
}

#[test]
fn a_worker_calls_a_tool_that_the_configuration_names() {
    let place = Place::new();
    let listed = place.home.say(&["mcp", "ls", "--json"]).expect(0).json();
    assert_eq!(listed["tools"][0]["name"], "shelf.count", "{listed}");
    let said = place.home.say(&place.args()).expect(0);
    assert!(format!("{}{}", said.stdout, said.stderr).contains("shelf.count answered"), "{}", said.stderr);
    assert_eq!(place.counted(), 1);
    let called = place.called();
    assert_eq!(called.len(), 1);
    assert_eq!(called[0]["arguments"], json!({"text": "once"}));
    let run = place.home.run_dirs()[0].file_name().unwrap().to_str().unwrap().to_owned();
    let context = place.home.say(&["context", &format!("{run}/1"), "--json"]).expect(0).stdout;
    assert!(context.contains("tool shelf.count"), "{context}");
    let trace = place.home.say(&["export", &run, "--format", "otlp-json", "-o", "-"]).expect(0).stdout;
    assert!(trace.contains("execute_tool shelf.count") && !trace.contains("once"), "{trace}");
    // Offline, and without the tool's server: what was recorded is enough.
    std::fs::remove_file(place.home.path().join("config.toml")).unwrap();
    place.home.say(&["replay"]).expect(0);
    assert_eq!(place.counted(), 1);
}

#[test]
fn no_tool_is_called_twice_whenever_the_process_dies() {
    let whole = Place::new();
    whole.home.say(&whole.args()).expect(0);
    let records = whole.home.records();
    // Before the call is begun, when it is begun, when its answer is recorded, and one later.
    let acted = records.iter().position(|record| record["body"]["called"].is_array()).unwrap() + 1;
    for stop_after in acted - 2..=acted + 1 {
        let place = Place::new();
        let died = place
            .home
            .edvac(&place.args())
            .env("EDVAC_TEST_STOP_AFTER", stop_after.to_string())
            .output()
            .unwrap();
        assert_eq!(died.status.code(), Some(EXIT_STOPPED_AFTER), "after record {stop_after}");
        let before = place.counted();
        place.home.say(&["resume", "--last"]).expect(0);
        assert!(
            place.counted() <= 1,
            "died after record {stop_after}: counted {before}, then {}",
            place.counted()
        );
    }
}

#[test]
fn a_tool_that_is_not_there_is_said_before_anything_is_paid() {
    let place = Place::new();
    std::fs::write(place.home.path().join("config.toml"), "[mcp.shelf]\ncommand = \"no-such-program\"\n")
        .unwrap();
    let said = place.home.say(&place.args()).expect(2);
    assert!(said.stderr.contains("the tools of mcp.shelf are not there"), "{}", said.stderr);
    assert!(place.home.run_dirs().is_empty());
    let doctor = place.home.say(&["doctor"]);
    assert!(doctor.stdout.contains("mcp.shelf"), "{}", doctor.stdout);
    for (config, said) in [
        ("[mcp.shelf]\n", "it needs a command or a url"),
        ("[mcp.Shelf]\ncommand = \"x\"\n", "small letters"),
        ("[mcp.shelf]\ncommand = \"x\"\nurl = \"http://127.0.0.1:1\"\n", "only one of both"),
        ("[mcp.shelf]\ncomand = \"x\"\n", "unknown field"),
    ] {
        std::fs::write(place.home.path().join("config.toml"), config).unwrap();
        let failed = place.home.say(&["mcp", "ls"]).expect(2);
        assert!(failed.stderr.contains(said), "{config}: {}", failed.stderr);
    }
}

#[test]
fn runs_are_started_and_followed_over_the_protocol() {
    let place = Place::new();
    let mut child = place
        .home
        .edvac(&["mcp", "--provider", &place.provider])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = |id: u32, method: &str, params: Value| -> Value {
        writeln!(to, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
        from.by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|message| message["id"] == id)
            .unwrap()
    };
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    });
    assert_eq!(ask(1, "initialize", hello)["result"]["serverInfo"]["name"], "edvac");
    let begun = ask(
        2,
        "tools/call",
        json!({"name": "run_start", "arguments": {"task": "Count", "domain": "custom"}}),
    );
    let run =
        begun["result"]["structuredContent"]["run"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
    let waited =
        ask(3, "tools/call", json!({"name": "run_wait", "arguments": {"run": run, "timeout_s": 120}}));
    let status = &waited["result"]["structuredContent"];
    assert_eq!((&status["status"], &status["goes_on"]), (&json!("done"), &json!(false)), "{waited}");
    let read = ask(4, "resources/read", json!({"uri": format!("run://{run}/files/count.md")}));
    assert_eq!(read["result"]["contents"][0]["text"], "One line.\n", "{read}");
    drop(to);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_run_whose_client_leaves_in_the_middle_of_a_reply_stops_and_goes_on() {
    let place = Place::new();
    let script = place.home.path().join("script.toml");
    // Longer than any client waits for a server to end.
    std::fs::write(&script, format!("delay_ms = 600000\n{SCRIPT}")).unwrap();
    for by_signal in [false, true] {
        let mut child = place
            .home
            .edvac(&["mcp", "--provider", &place.provider])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut to = child.stdin.take().unwrap();
        let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
        });
        writeln!(to, "{}", json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}))
            .unwrap();
        let start = json!({"name": "run_start", "arguments": {"task": "Count", "domain": "custom"}});
        writeln!(to, "{}", json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": start}))
            .unwrap();
        let begun =
            from.by_ref().map(Result::unwrap).find(|line| line.contains("structuredContent")).unwrap();
        let run =
            serde_json::from_str::<Value>(&begun).unwrap()["result"]["structuredContent"]["run"].clone();
        if by_signal {
            rustix::process::kill_process(
                rustix::process::Pid::from_child(&child),
                rustix::process::Signal::TERM,
            )
            .unwrap();
        } else {
            drop(to);
        }
        assert!(child.wait().unwrap().success());
        let runs = place.home.say(&["runs", "--json"]).expect(0).json();
        let row = runs["runs"].as_array().unwrap().iter().find(|row| row["run"] == run).unwrap().clone();
        assert_eq!(row["status"], "stopped", "by a signal: {by_signal}; {row}");
    }
    std::fs::write(&script, SCRIPT).unwrap();
    place.home.say(&["resume", "--last"]).expect(0);
    assert_eq!(place.counted(), 1);
}
