//! `edvac serve`: what it says, whom it lets in, and how it ends. Its answers are tested in its own crate.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::home::{Home, Said};

/// A token that is long enough.
const TOKEN: &str = "a-token-that-nobody-guesses";

/// A server that has its address, and what it said first.
fn serving(home: &Home, args: &[&str]) -> (Child, String) {
    std::fs::write(home.path().join("script.toml"), "[[reply]]\ntext = \"hello\"\n").unwrap();
    let mut command = home.edvac(&["serve", "--port", "0", "--provider", "scripted:script.toml"]);
    let mut child = command
        .args(args)
        .env("SERVE_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim_end().to_owned())
}

fn ask(base_url: &str, head: &str, body: &str) -> String {
    let host = base_url.strip_prefix("http://").and_then(|u| u.strip_suffix("/v1")).unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        connection,
        "{head} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn end(child: Child, signal: Signal) -> Said {
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn it_says_where_it_is_answers_and_ends() {
    let home = Home::new();
    for signal in [Signal::INT, Signal::TERM] {
        let (child, url) = serving(&home, &[]);
        assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/v1"), "{url}");
        let body = r#"{"model": "scripted", "messages": [{"role": "user", "content": "hi"}]}"#;
        let answer = ask(&url, "POST /v1/chat/completions", body);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello"), "{answer}");
        let said = end(child, signal).expect(0);
        assert!(said.stderr.contains("serving scripted"), "{}", said.stderr);
    }
}

#[test]
fn scripts_are_told_in_json_and_a_token_is_kept() {
    let home = Home::new();
    let (child, line) = serving(&home, &["--json", "--quiet", "--token-env", "SERVE_TOKEN"]);
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = said["base_url"].as_str().unwrap();
    assert!(url.ends_with(&format!(":{}/v1", said["port"])), "{said}");
    assert_eq!((&said["model"], &said["token"]), (&"scripted".into(), &true.into()));
    assert!(ask(url, "GET /v1/models", "").starts_with("HTTP/1.1 401"));
    assert!(ask(url, "GET /healthz", "").starts_with("HTTP/1.1 200"));
    let said = end(child, Signal::TERM).expect(0);
    assert_eq!(said.stderr, "");
    assert!(!line.contains(TOKEN) && !said.stdout.contains(TOKEN));
}

#[test]
fn it_is_not_opened_to_others_without_a_token() {
    let home = Home::new();
    let refused = |args: &[&str]| home.say(&[&["serve", "--port", "0"], args].concat()).expect(2).stderr;
    let said = refused(&["--bind", "0.0.0.0"]);
    assert!(said.contains("no token is set") && said.contains("--token-env"), "{said}");
    let said = refused(&["--token-env", "NOT_SET_ANYWHERE"]);
    assert!(said.contains("NOT_SET_ANYWHERE"), "{said}");
    std::fs::write(home.path().join("config.toml"), "[server]\nbind = \"::\"\n").unwrap();
    assert!(refused(&[]).contains("no token is set"));
    std::fs::write(home.path().join("config.toml"), "[server]\nbind = \"everywhere\"\n").unwrap();
    assert!(refused(&[]).contains("config.toml"));
}

/// A server of the smallest real model, and its base URL.
#[cfg(feature = "model-tests")]
fn serving_model(home: &Home) -> (Child, String) {
    let mut child = home
        .edvac(&["serve", "--port", "0", "--model", "smollm2-135m", "--token-env", "SERVE_TOKEN"])
        .env("EDVAC_MODELS", crate::models::models())
        .env("SERVE_TOKEN", TOKEN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    (child, url.trim_end().to_owned())
}

/// OpenAI's own Python client against a real model. `EDVAC_TEST_PYTHON` is a Python that has the package `openai`;
/// `scripts/test` makes one.
#[cfg(feature = "model-tests")]
#[test]
fn openais_own_client_is_served() {
    let home = Home::new();
    let python =
        std::env::var("EDVAC_TEST_PYTHON").expect("EDVAC_TEST_PYTHON is a Python with the package openai");
    let (child, url) = serving_model(&home);
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openai_conformance.py");
    let checked: Said = std::process::Command::new(python)
        .arg(script)
        .args([&url, TOKEN, "smollm2-135m"])
        .output()
        .unwrap()
        .into();
    end(child, Signal::TERM).expect(0);
    checked.expect(0);
}

/// That every reply begins with a block shows that the grammar went over the wire.
#[cfg(feature = "model-tests")]
#[test]
fn a_run_over_the_server_is_bound_as_in_one_process() {
    let home = Home::new();
    let (child, url) = serving_model(&home);
    std::fs::write(home.path().join("program.toml"), crate::models::PROGRAM).unwrap();
    std::fs::write(home.path().join("config.toml"), "[limits]\nreply_tokens_max = 40\nturns_max = 1\n")
        .unwrap();
    let args = ["run", "Notes", "--program", "program.toml", "--base-url", &url, "--model", "smollm2-135m"];
    let said: Said = home.edvac(&args).env("OPENAI_API_KEY", TOKEN).output().unwrap().into();
    end(child, Signal::TERM).expect(0);
    assert!(matches!(said.code, Some(0 | 1)), "{}\n{}", said.stdout, said.stderr);
    let records = home.records();
    let replies: Vec<_> = records.iter().map(|r| &r["body"]["reply"]).filter(|r| r.is_object()).collect();
    assert_eq!(replies.len(), 2);
    for reply in &replies {
        assert!(reply["text"].as_str().unwrap().starts_with("@@ "), "{reply}");
    }
    assert!(replies[1]["usage"]["reused_tokens"].as_u64().unwrap() > 200, "{}", replies[1]);
}

#[test]
fn the_api_is_described_without_a_server() {
    let home = Home::new();
    let description = home.say(&["serve", "--openapi", "--port", "4711"]).expect(0).json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(description["paths"]["/api/runs/{run}"]["get"].is_object());
    assert_eq!(description["components"]["securitySchemes"]["cookie"]["name"], "edvac-4711");
    assert!(!home.path().join("state/server/token").exists(), "nothing was served");
}

#[test]
fn the_dashboard_wants_its_token_and_needs_no_model() {
    let home = Home::new();
    let mut command = home.edvac(&["ui", "--no-model", "--port", "0", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = said["base_url"].as_str().unwrap();
    assert!(ask(url, "GET /api/runs", "").starts_with("HTTP/1.1 401"));
    assert!(ask(url, "GET /v1/models", "").starts_with("HTTP/1.1 503"));
    let token = std::fs::read_to_string(home.path().join("state/server/token")).unwrap();
    let answer = ask(url, &format!("GET /api/runs HTTP/1.1\r\nauthorization: Bearer {token}\r\nx:"), "");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"runs\":[]"), "{answer}");
    let path = said["dashboard_url"].as_str().unwrap();
    let path = &path[path.find("/login").unwrap()..];
    let once = ask(url, &format!("GET {path}"), "");
    assert!(once.contains("HttpOnly; SameSite=Strict"), "{once}");
    assert!(ask(url, &format!("GET {path}"), "").starts_with("HTTP/1.1 401"), "it opens once");
    end(child, Signal::TERM).expect(0);
}
