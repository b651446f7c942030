//! Pages that show more than one thing: the form of a new run, two runs compared, and what is connected.

use std::path::Path;
use std::process::Command;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use edvac_memory::journal::{Journal as _, Options, SqliteJournal};
use serde_json::{Value, json};

use super::testing::{Board, asked, board};
use crate::testing::{TOKEN, read, send};

async fn ask(board: &Board, method: Method, address: &str, body: &Value) -> (StatusCode, String) {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [(AUTHORIZATION, bearer.as_str()), (CONTENT_TYPE, "application/json")];
    let body = if method == Method::GET { String::new() } else { body.to_string() };
    read(send(&board.server, asked(method, address, &headers, &body)).await).await
}

async fn page(board: &Board, address: &str) -> String {
    let (status, text) = ask(board, Method::GET, address, &Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{address}: {text}");
    text
}

async fn json_of(board: &Board, address: &str) -> Value {
    serde_json::from_str(&page(board, address).await).unwrap()
}

async fn started(board: &Board, form: Value) -> (StatusCode, Value) {
    let (status, text) = ask(board, Method::POST, "/api/runs", &form).await;
    (status, serde_json::from_str(&text).unwrap())
}

fn repository(at: &Path) {
    std::fs::create_dir(at).unwrap();
    std::fs::write(at.join("kept.txt"), "kept\n").unwrap();
    for args in [&["init", "-q"][..], &["add", "--all"], &["commit", "-qm", "one"]] {
        let mut git = Command::new("git");
        git.arg("-C").arg(at).args(["-c", "user.name=a", "-c", "user.email=a@b.example"]).args(args);
        assert!(git.status().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_begins_a_run_with_another_model_in_a_repository() {
    let board = board().await;
    let repo = board.dir.path().join("project");
    repository(&repo);
    let form = json!({
        "task": "Two notes.", "domain": "custom", "plan_only": true, "in": repo,
        "model": "another", "base_url": "http://127.0.0.1:9/v1", "second_model": "large",
        "limits": { "parallel": 3, "replans": 0, "max_calls": 7, "max_minutes": 2 },
    });
    let (status, told) = started(&board, form).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert!(told["notes"][0].as_str().unwrap().contains("works on a copy of"), "{told}");
    let run = told["run"].as_str().unwrap();
    let start = board.desk.find(run).unwrap().state().await.unwrap().start.unwrap();
    assert_eq!((start.reached.name.as_str(), start.reached.provider.as_str()), ("another", "openai"));
    assert_eq!(start.reached.api_key_env, "", "the configuration knows no such endpoint");
    assert_eq!((start.limits.parallel, start.limits.replans_max, start.limits.calls_max), (3, 0, Some(7)));
    let shown = page(&board, &format!("/runs/{run}")).await;
    assert!(shown.contains("works on a copy of") && shown.contains("edvac/"), "{shown}");
    board.desk.stop().await;
}

#[tokio::test]
async fn what_a_form_cannot_have_is_said_at_its_field() {
    let board = board().await;
    let before = board.desk.machine.runs().all().len();
    let at = |name: &str| board.dir.path().join(name).display().to_string();
    std::fs::create_dir(at("plain")).unwrap();
    repository(Path::new(&at("changed")));
    std::fs::write(format!("{}/kept.txt", at("changed")), "changed\n").unwrap();
    let task = |more: Value| {
        let mut form = json!({ "task": "x", "domain": "custom" });
        form.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        form
    };
    for (form, field, why) in [
        (json!({ "in": "project" }), "in", "whole path"),
        (json!({ "in": at("nothing") }), "in", "does not exist"),
        (json!({ "in": at("plain") }), "in", "no git repository"),
        (json!({ "in": at("changed") }), "in", "--include-changes"),
        (json!({ "provider": "scripted:/etc/hostname" }), "provider", "no provider here"),
        (json!({ "base_url": "127.0.0.1:8080" }), "base_url", "no endpoint"),
        (json!({ "second_provider": "openai" }), "second_base_url", "address"),
        (json!({ "name": "../up" }), "name", "letters"),
        (json!({ "limits": { "parallel": 65 } }), "parallel", "1 to 64"),
        (json!({ "limits": { "max_cost": "much" } }), "max_cost", "much"),
        (
            json!({ "base_url": "http://127.0.0.1:9/v1", "limits": { "max_cost": "2.50" } }),
            "max_cost",
            "price",
        ),
    ] {
        let (status, told) = started(&board, task(form)).await;
        assert!(status.is_client_error(), "{status} {told}");
        assert_eq!(told["error"]["param"], field, "{told}");
        assert!(told["error"]["message"].as_str().unwrap().contains(why), "{told}");
    }
    let (status, _) = started(&board, task(json!({ "api_key": "secret" }))).await;
    assert!(status.is_client_error(), "no form takes a key");
    assert_eq!(board.desk.machine.runs().all().len(), before, "nothing was left behind");
}

#[tokio::test]
async fn two_runs_stand_beside_each_other() {
    let board = board().await;
    let run = &board.run;
    let (_, made) =
        ask(&board, Method::POST, &format!("/api/runs/{run}/fork"), &json!({ "step": 2, "paused": true }))
            .await;
    let fork = serde_json::from_str::<Value>(&made).unwrap()["run"].as_str().unwrap().to_owned();
    let both = json_of(&board, &format!("/api/compare?a={run}&b={fork}")).await;
    assert_eq!((&both["a"]["run"], &both["b"]["forked_from"]), (&json!(run), &json!(run)));
    assert_eq!(both["requirements"][0]["id"], "R1");
    assert_eq!(both["requirements"][0]["a"]["word"], "met");
    assert!(both["requirements"][0]["b"].is_null() && both["requirements"][0]["differs"] == false, "{both}");
    // The fork has not written the second note.
    let file = &both["files"][0];
    assert_eq!(
        (&file["path"], &file["what"], &file["removed"]),
        (&json!("notes/b.txt"), &json!("deleted"), &json!(1))
    );
    assert_eq!(both["files"].as_array().unwrap().len(), 1);
    let shown = page(&board, &format!("/compare?a={fork}&b={run}")).await;
    assert!(shown.contains("not checked at the end") && shown.contains("Swap sides"), "{shown}");
    assert!(page(&board, &format!("/runs/{fork}")).await.contains("compare with its parent"));
    for wrong in ["", "?a=x", &format!("?a={run}&b={run}"), &format!("?a={run}&b=nothing")] {
        let (status, _) = ask(&board, Method::GET, &format!("/compare{wrong}"), &Value::Null).await;
        assert!(status.is_client_error(), "{wrong}");
    }
    let (status, _) = ask(&board, Method::GET, &format!("/compare?run={run}&run={fork}"), &Value::Null).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn program_and_memory_are_drawn_as_they_stand_in_their_tables() {
    let board = board().await;
    let run = &board.run;
    let graph = json_of(&board, &format!("/api/runs/{run}/graph")).await;
    assert_eq!(graph["drawing"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!((&graph["rows"][0]["needs"], &graph["rows"][1]["needs"]), (&json!([]), &json!([])));
    let shown = page(&board, &format!("/runs/{run}/graph")).await;
    assert!(shown.contains("<svg class=\"graph\"") && shown.contains("2. Second"), "{shown}");
    let memory = json_of(&board, &format!("/api/runs/{run}/memory")).await;
    let files = memory["connections"]["files"].as_array().unwrap();
    let row = |path: &str| files.iter().find(|file| file["path"] == path).unwrap();
    assert_eq!(row("a.txt")["written_by"], json!([1]));
    assert_eq!(row("notes/b.txt")["written_by"], json!([2]));
    let lines = memory["connections"]["drawing"]["arrows"].as_array().unwrap();
    let wrote = lines.iter().filter(|line| line["class"] == "wrote").count();
    assert_eq!(wrote, 2, "{lines:?}");
    assert!(memory["connections"]["canon"].is_null());
    assert!(page(&board, &format!("/runs/{run}/memory")).await.contains("Steps and files"));
}

#[tokio::test]
async fn an_attempt_of_an_earlier_program_is_called_so() {
    let board = board().await;
    let run = &board.run;
    let plan = json_of(&board, &format!("/api/runs/{run}/plan")).await;
    let toml =
        plan["toml"].as_str().unwrap().replace("Write the second note.", "Write the second note well.");
    let change = json!({ "toml": toml, "why": "better" });
    let (status, told) = ask(&board, Method::PUT, &format!("/api/runs/{run}/plan"), &change).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let attempt = async |step: u32, at: usize| {
        let view = json_of(&board, &format!("/api/runs/{run}/steps/{step}")).await;
        view["step"]["attempts_made"][at].clone()
    };
    assert!(attempt(1, 0).await["past"].is_null(), "the first step is as it was");
    let before = attempt(2, 0).await;
    assert!(before["past"].as_str().unwrap().contains("version 2"), "{before}");
    assert_eq!((&before["number"], &before["version"]), (&json!(1), &json!(1)));
    // It is carried out again, from its first attempt on.
    let dir = board.desk.find(run).unwrap();
    let journal = SqliteJournal::open(&dir.path, Options::default()).await.unwrap();
    let first = dir.history().await.unwrap();
    let prompt = first.iter().rev().find(|(record, _)| record.body["event"] == "assembled").unwrap();
    journal.fact(prompt.0.body.clone()).await.unwrap();
    drop(journal);
    let again = attempt(2, 1).await;
    assert!(again["past"].is_null() && again["number"] == 1 && again["version"] == 2, "{again}");
    let shown = page(&board, &format!("/runs/{run}/steps/2")).await;
    assert!(shown.contains("earlier, version 1") && shown.contains("counts no more"), "{shown}");
    assert!(!shown.contains("i2/a1"), "names of the journal are for scripts");
}
