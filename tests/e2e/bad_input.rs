//! Whatever is wrong: a clear error with its own exit code, and nothing lost.

use crate::cases::{arguments, folder};
use crate::home::{Home, Said};

/// What failed is said on stderr, in words and with a way on, and stdout stays clean.
fn refused(said: Said, code: i32, what: &[&str]) {
    let said = said.expect(code);
    assert_eq!(said.stdout, "");
    for text in what {
        assert!(said.stderr.contains(text), "no {text:?} in {}", said.stderr);
    }
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

fn scripted(home: &Home, script: &str) -> String {
    let path = home.path().join("script.toml");
    std::fs::write(&path, script).unwrap();
    format!("scripted:{}", path.display())
}

#[test]
fn tasks() {
    let home = Home::new();
    let provider = scripted(&home, "");
    let run = |args: &[&str]| home.say(&[&["run", "--provider", &provider], args].concat());
    refused(run(&["  "]), 2, &["the task is empty", "fix:"]);
    refused(run(&[]), 2, &["the task is empty"]);
    std::fs::write(home.path().join("big.txt"), "word ".repeat(400_000)).unwrap();
    refused(run(&["--task-file", "big.txt"]), 2, &["2000000 bytes", "fix:"]);
    refused(run(&["--task-file", "none.txt"]), 2, &["none.txt"]);
    refused(run(&["A todo app", "--domain", "opera"]), 2, &["opera", "codebase"]);
    refused(run(&["A todo app", "--name", "../up"]), 2, &["cannot be the name"]);
    std::fs::create_dir_all(home.path().join("workspaces/mine")).unwrap();
    refused(run(&["A todo app", "--name", "mine"]), 2, &["exists already", "--name"]);
    assert_eq!(home.run_dirs().len(), 0, "nothing was started");
}

#[test]
fn configuration() {
    let home = Home::new();
    std::fs::write(home.path().join("config.toml"), "[model]\nprovidr = \"local\"\n").unwrap();
    refused(home.say(&["runs"]), 2, &["config.toml", "providr", "line 2"]);
    std::fs::write(home.path().join("config.toml"), "[limits]\nturns_max = \"many\"\n").unwrap();
    refused(home.say(&["runs"]), 2, &["turns_max"]);
    let doctor = home.say(&["doctor", "--json"]).expect(1).json();
    let names: Vec<_> = doctor["checks"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(
        names,
        ["configuration", "sandbox", "git", "the rest"],
        "what depends on the configuration is not guessed at"
    );
    for (text, said) in [
        ("[limits]\nattempts_max = 0\n", "limits.attempts_max"),
        ("[model]\nwindow_tokens = 10\n", "at least 1024"),
    ] {
        std::fs::write(home.path().join("config.toml"), text).unwrap();
        refused(home.say(&["runs"]), 2, &[said]);
    }
    for (device, said) in [("cuda", "--features cuda"), ("abacus", "none of cpu, cuda")] {
        std::fs::write(home.path().join("config.toml"), format!("[model]\ndevice = \"{device}\"\n")).unwrap();
        refused(home.say(&["run", "--provider", "local", "A todo"]), 2, &[said, "model.device"]);
    }
    refused(home.say(&["--config", "none.toml", "runs"]), 2, &["none.toml"]);
}

#[test]
fn what_is_named() {
    let home = Home::new();
    for args in [["status", ""], ["show", "/1"]] {
        refused(home.say(&args), 2, &["no run is named", "--last"]);
    }
    for args in [["status", "--lst"], ["logs", "-x"], ["resume", "--allow-instal"]] {
        refused(home.say(&args), 2, &["is no flag here", "--help"]);
    }
    for limit in ["--attempts", "--turns"] {
        refused(home.say(&["run", "A todo app", limit, "0"]), 2, &[limit]);
    }
    refused(
        home.say(&["run", "A todo app", "--base-url", "ftp://127.0.0.1/v1"]),
        2,
        &["ftp://127.0.0.1/v1", "http://"],
    );
    refused(home.say(&["plan", "A todo app", "--out", "none/plan.toml"]), 2, &["none is no directory"]);
    std::fs::write(home.path().join("plan.toml"), "mine").unwrap();
    refused(home.say(&["plan", "A todo app", "--out", "plan.toml"]), 2, &["plan.toml exists", "--force"]);
    assert_eq!(std::fs::read_to_string(home.path().join("plan.toml")).unwrap(), "mine");
}

#[test]
fn models() {
    let home = Home::new();
    std::fs::write(home.path().join("cut.gguf"), b"GGUF\x03\0\0\0").unwrap();
    refused(home.say(&["run", "A todo app", "--model", "cut.gguf"]), 5, &["cut.gguf"]);
    refused(home.say(&["run", "A todo app", "--model", "none.gguf"]), 5, &["none.gguf"]);
    refused(home.say(&["run", "A todo app", "--model", "gpt-99"]), 5, &["gpt-99", "edvac models ls"]);
    refused(home.say(&["run", "A todo app", "--provider", "cloud"]), 2, &["cloud", "openai"]);
    refused(home.say(&["run", "A todo app", "--provider", "openai"]), 2, &["is no endpoint", "--base-url"]);
}

#[test]
fn runs() {
    let home = Home::new();
    refused(home.say(&["status"]), 2, &["no run", "edvac run"]);
    refused(home.say(&["resume", "--last"]), 2, &["no run"]);
    let args = arguments(&folder("todo-python"), "codebase");
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    refused(home.say(&["status", "19990101"]), 2, &["19990101", "edvac runs"]);
    refused(home.say(&["context", "--last/9"]), 2, &["no step 9"]);
    refused(home.say(&["show", "last/9"]), 2, &["no step 9", "1 to 2"]);
    refused(home.say(&["resume", "--last"]), 2, &["is over (done)"]);
}

#[test]
fn a_journal_from_a_newer_edvac() {
    let home = Home::new();
    let args = arguments(&folder("todo-python"), "codebase");
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    let journal = home.run_dirs()[0].join("journal.sqlite");
    let python = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')";
    let done = std::process::Command::new("python3").args(["-c", python]).arg(&journal).status().unwrap();
    assert!(done.success());
    refused(home.say(&["resume", "--last"]), 2, &["format 99"]);
    refused(home.say(&["status"]), 2, &["format 99"]);
    assert!(home.say(&["runs"]).expect(0).stdout.contains("unreadable"));
}

#[test]
fn a_damaged_journal() {
    let home = Home::new();
    let args = arguments(&folder("todo-python"), "codebase");
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    let dir = &home.run_dirs()[0];
    for name in ["journal.sqlite-wal", "journal.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.join(name));
    }
    std::fs::write(dir.join("journal.sqlite"), "no database ".repeat(1000)).unwrap();
    refused(home.say(&["status"]), 70, &["the journal is damaged", "fix:", "git"]);
    refused(home.say(&["resume", "--last"]), 70, &["the journal is damaged"]);
    assert!(home.say(&["runs"]).expect(0).stdout.contains("unreadable"));
}

#[test]
fn scripts_get_errors_as_objects() {
    let home = Home::new();
    let said = home.say(&["status", "--json"]).expect(2);
    let error = &said.json()["error"];
    assert!(error["what"].as_str().unwrap().contains("there is no run"), "{error}");
    assert!(error["fix"].as_str().unwrap().contains("edvac run"), "{error}");
    assert_eq!((error["exit_code"].as_u64(), said.json()["schema_version"].as_u64()), (Some(2), Some(1)));
    assert!(said.stderr.contains("there is no run"), "{}", said.stderr);
    home.say(&["models", "verify", "nothing", "--json"]).expect(5).json();
}

#[test]
fn no_sandbox_no_code() {
    let home = Home::new();
    let args = arguments(&folder("todo-python"), "codebase");
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let said: Said = home.edvac(&args).env("PATH", &empty).output().unwrap().into();
    refused(said, 78, &["bubblewrap", "fix:", "install"]);
    assert_eq!(home.run_dirs().len(), 0, "nothing was started");
}

#[test]
fn a_model_that_fails_leaves_a_run_that_can_go_on() {
    let home = Home::new();
    let folder = folder("todo-python");
    let script = std::fs::read_to_string(folder.join("script.toml")).unwrap();
    let broken = script.replace("Your step now: step 2,", "Your step now: step 99,");
    let provider = scripted(&home, &broken);
    let said =
        home.say(&["run", "--domain", "codebase", "--provider", &provider, "A small todo list in Python"]);
    let said = said.expect(5);
    assert!(said.stderr.contains("no reply of the script fits") && said.stderr.contains("edvac resume"));
    scripted(&home, &script);
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(home.calls(), (3, 4), "the call that failed is the only one begun twice");
}

/// Answers every request on loopback with one HTTP status.
fn endpoint(status: &'static str, body: &'static str) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The head, and whatever of the body came with it; the answer does not depend on it.
            let _ = stream.read(&mut vec![0; 64 << 10]);
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
        }
    });
    url
}

#[test]
fn endpoints_that_refuse() {
    for (status, body, says) in [
        ("401 Unauthorized", r#"{"error":{"message":"bad key"}}"#, "refused the key (401): bad key"),
        ("404 Not Found", r#"{"error":{"message":"no model x"}}"#, "does not know x: no model x"),
    ] {
        let home = Home::new();
        let url = endpoint(status, body);
        let said = home.say(&["run", "A todo app in Python", "--base-url", &url, "--model", "x"]).expect(5);
        assert!(said.stderr.contains(says) && said.stderr.contains("edvac resume"), "{}", said.stderr);
        assert_eq!(home.say(&["runs", "--json"]).json()["runs"][0]["status"], "stopped");
    }
    let home = Home::new();
    let said = home.say(&["run", "A todo app in Python", "--base-url", "gopher", "--model", "x"]).expect(2);
    assert!(said.stderr.contains("gopher"), "{}", said.stderr);
}
