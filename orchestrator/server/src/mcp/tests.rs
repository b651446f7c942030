use std::collections::BTreeSet;

use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::service::{RoleClient, RunningService};

use super::*;
use crate::dashboard::testing::{Board, board};

/// A client of the official kind, with a run to talk about.
struct Talk {
    board: Board,
    client: RunningService<RoleClient, ClientConfig>,
}

impl Talk {
    async fn new() -> Self {
        let board = board().await;
        let (here, there) = tokio::io::duplex(1 << 16);
        tokio::spawn(serve(Arc::clone(&board.desk), there));
        let client = ClientConfig::default().serve(here).await.unwrap();
        Self { board, client }
    }

    async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        let request = CallToolRequestParams::new(tool.to_owned())
            .with_arguments(arguments.as_object().unwrap().clone());
        self.client.call_tool(request).await.unwrap()
    }

    async fn good(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {result:?}");
        result.structured_content.clone().unwrap_or_else(|| text_of(&result).into())
    }

    async fn bad(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {result:?}");
        text_of(&result)
    }
}

fn text_of(result: &CallToolResult) -> String {
    result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.as_str()).collect()
}

#[tokio::test]
async fn a_run_is_looked_at_by_tools() {
    let talk = Talk::new().await;
    let run = talk.board.run.clone();
    let runs = talk.good("run_list", json!({})).await;
    assert_eq!((&runs["all"], &runs["runs"][0]["run"]), (&json!(1), &json!(run)));
    assert_eq!(talk.good("run_list", json!({"status": "died"})).await["all"], 0);
    let status = talk.good("run_status", json!({ "run": run })).await;
    assert_eq!((&status["status"], &status["goes_on"]), (&json!("done"), &json!(false)));
    assert_eq!(status["steps"].as_array().unwrap().len(), 2);
    assert_eq!(status["requirements"][0]["standing"], "met");
    let files = talk.good("run_files", json!({ "run": run })).await;
    assert_eq!(files["files"][0], json!({"path": "a.txt", "bytes": 4}));
    let before = talk.good("run_files", json!({"run": run, "at": "step-1"})).await;
    assert_eq!(before["files"].as_array().unwrap().len(), 1);
    let file = talk.good("run_read", json!({"run": run, "path": "notes/b.txt"})).await;
    assert_eq!(file, "two\n");
    let report = talk.good("run_report", json!({ "run": run })).await;
    assert!(report.as_str().unwrap().contains("R1"), "{report}");
    assert!(
        talk.good("run_plan", json!({ "run": run })).await.as_str().unwrap().contains("[[instructions]]")
    );
    // A run that has ended is waited for no longer.
    let waited = talk.good("run_wait", json!({"run": run, "after": status["seq"]})).await;
    assert_eq!((&waited["log"], &waited["seq"]), (&json!([]), &status["seq"]));
}

#[tokio::test]
async fn a_run_is_begun_forked_and_followed() {
    let talk = Talk::new().await;
    let toml = talk.good("run_plan", json!({ "run": talk.board.run })).await;
    let fork = talk.good("run_fork", json!({"run": talk.board.run, "step": 2, "paused": true})).await;
    let fork = fork["run"].clone();
    let changed = toml.as_str().unwrap().replace("Write the second note.", "Write the second note. Shortly.");
    talk.good("run_change_plan", json!({"run": fork, "toml": changed})).await;
    talk.good("run_resume", json!({"run": fork, "limits": {"max_tokens": 100_000}})).await;
    let mut after = 0;
    let mut told = BTreeSet::new();
    for _ in 0..100 {
        let now = talk.good("run_wait", json!({"run": fork, "after": after, "timeout_s": 60})).await;
        for line in now["log"].as_array().unwrap() {
            assert!(told.insert(line["seq"].as_u64().unwrap()), "{line} was told before");
        }
        after = now["seq"].as_u64().unwrap();
        if now["goes_on"] == false && now["log_left"] == 0 {
            assert_eq!(now["status"], "done", "{now}");
            return;
        }
    }
    panic!("the fork does not end");
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let talk = Talk::new().await;
    let run = talk.board.run.clone();
    for (tool, arguments, said) in [
        ("run_status", json!({"run": "nothing"}), "nothing"),
        ("run_start", json!({"task": " "}), "the task is empty"),
        ("run_start", json!({"task": "x", "domain": "codebase", "limits": {"max_cost": "much"}}), "max_cost"),
        ("run_read", json!({"run": run, "path": "../../etc/passwd"}), "../../etc/passwd"),
        ("run_read", json!({"run": run, "path": "c.txt"}), "c.txt"),
        ("run_files", json!({"run": run, "at": "step-x"}), "step-3"),
        ("run_read", json!({"run": run, "path": "a.txt", "first": 2}), "lines 1 to 1"),
        ("run_read", json!({"run": run, "path": "a.txt", "first": 5, "last": 2}), "lines 1 to 1"),
        ("run_read", json!({"run": run, "path": "a.txt", "last": 0}), "lines 1 to 1"),
        ("run_reject", json!({"run": run, "why": " "}), "a no needs a reason"),
        ("run_approve", json!({ "run": run }), "asks nothing"),
        ("run_pause", json!({ "run": run }), "is not going on"),
        ("run_resume", json!({ "run": run }), "is over"),
        ("run_retry", json!({"run": run, "step": 9}), "no step 9"),
        ("run_change_plan", json!({"run": run, "toml": "x ="}), "x ="),
    ] {
        let why = talk.bad(tool, arguments.clone()).await;
        assert!(why.contains(said), "{tool} {arguments}: {why}");
    }
    let why = talk.bad("run_status", json!({"run": "x".repeat(1 << 20)})).await;
    assert!(why.chars().count() <= WHY_CHARS_MAX + 1, "{} characters come back", why.len());
}

#[tokio::test]
async fn reports_and_files_are_resources() {
    let talk = Talk::new().await;
    let run = &talk.board.run;
    let all = talk.client.list_all_resources().await.unwrap();
    assert_eq!(all.iter().map(|r| r.uri.clone()).collect::<Vec<_>>(), [format!("run://{run}/report")]);
    assert_eq!(talk.client.list_all_resource_templates().await.unwrap().len(), 3);
    let read = |uri: String| {
        let request = ReadResourceRequestParams::new(uri);
        async { talk.client.read_resource(request).await.map(|read| format!("{:?}", read.contents)) }
    };
    assert!(read(format!("run://{run}/report")).await.unwrap().contains("R1"));
    assert!(read(format!("run://{run}/plan")).await.unwrap().contains("instructions"));
    assert!(read(format!("run://{run}/files/notes/b.txt")).await.unwrap().contains("two"));
    assert!(read(format!("run://{run}/files/notes%2Fb%2Etxt")).await.unwrap().contains("two"));
    assert!(read(format!("run://{run}/files/%2e%2e/journal.sqlite")).await.is_err());
    for uri in
        ["run://none/report", "file:///etc/passwd", "run://", &format!("run://{run}/files/../journal.sqlite")]
    {
        assert!(read(uri.to_owned()).await.is_err(), "{uri}");
    }
}

#[tokio::test]
async fn every_tool_says_what_it_does_and_takes() {
    let talk = Talk::new().await;
    let tools = talk.client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 16);
    for tool in tools {
        assert!(tool.description.as_ref().is_some_and(|about| about.len() > 20), "{}", tool.name);
        let schema = Value::Object((*tool.input_schema).clone());
        for (name, about) in schema["properties"].as_object().into_iter().flatten() {
            // What is a form of its own has its words there.
            let says = about["description"].is_string() || about["$ref"].is_string();
            assert!(says, "{}.{name}: {about}", tool.name);
        }
        assert!(tool.annotations.is_some(), "{}", tool.name);
    }
}
