use std::sync::Mutex as StdMutex;

use super::*;
use crate::client::Message;
use crate::testing::{at_once, never, request};

const SCRIPT: &str = r#"
[[reply]]
when = ["step 1"]
must_contain = ["R1:"]
must_not_contain = ["secret"]
text = "@@ write a.py\nx\n@@ end\n"

[[reply]]
when = ["step 1"]
turn = 1
last_must_contain = ["failed"]
text = "@@ done"
finish = "length"

[[reply]]
when = ["step 2"]
text = "two"
"#;

fn client() -> ScriptedClient {
    ScriptedClient::parse(SCRIPT).unwrap()
}

async fn ask(client: &ScriptedClient, request: &ModelRequest) -> Result<ModelReply, ModelError> {
    client.complete(request, &|_| (), never()).await
}

fn with_turn(text: &str, answer: &str) -> ModelRequest {
    let mut request = request(text);
    request.messages.push(Message { speaker: Speaker::Assistant, text: "x".into() });
    request.messages.push(Message { speaker: Speaker::User, text: answer.into() });
    request
}

fn why(result: Result<ModelReply, ModelError>) -> String {
    match result {
        Err(ModelError::Unexpected(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn entries_are_found_by_what_is_asked() {
    let client = client();
    // The second step first: nothing depends on the order.
    assert_eq!(ask(&client, &request("step 2")).await.unwrap().text, "two");
    assert_eq!(client.unused(), [1, 2]);
    for _ in 0..2 {
        let reply = ask(&client, &request("step 1, R1: x")).await.unwrap();
        assert_eq!((reply.finish, reply.model.as_str()), (Finish::Stop, "scripted"));
        assert!(reply.usage.prompt_tokens > 0 && reply.usage.completion_tokens > 0);
    }
    let second = ask(&client, &with_turn("step 1, R1: x", "it failed")).await.unwrap();
    assert_eq!((second.text.as_str(), second.finish), ("@@ done", Finish::Length));
    assert!(client.unused().is_empty());
    assert_eq!(client.requests().len(), 4);
}

#[tokio::test]
async fn what_is_asked_is_checked() {
    let client = client();
    assert!(why(ask(&client, &request("step 1")).await).contains("does not contain \"R1:\""));
    assert!(why(ask(&client, &request("step 1, R1: secret")).await).contains("contains \"secret\""));
    assert!(why(ask(&client, &request("step 3")).await).contains("no reply of the script fits turn 0"));
    let turn = why(ask(&client, &with_turn("step 1, R1: failed", "well")).await);
    assert!(turn.contains("last message does not contain \"failed\""), "{turn}");
}

#[tokio::test]
async fn requests_keep_the_promises_of_the_port() {
    let client = client();
    let broken = |change: &dyn Fn(&mut ModelRequest)| {
        let mut request = request("step 2");
        change(&mut request);
        request
    };
    let say = |speaker, text: &str| Message { speaker, text: text.into() };
    for (request, words) in [
        (broken(&|r| r.messages.clear()), "no message"),
        (broken(&|r| r.tokens_max = 0), "tokens_max"),
        (broken(&|r| r.messages.truncate(1)), "does not end with a user message"),
        (broken(&|r| r.messages.push(say(Speaker::Assistant, "x"))), "does not end with a user message"),
        (broken(&|r| r.messages.push(say(Speaker::User, "x"))), "alternation"),
        (broken(&|r| r.messages.push(say(Speaker::System, "x"))), "alternation"),
        (broken(&|r| r.messages[1].text.clear()), "empty"),
    ] {
        let found = why(ask(&client, &request).await);
        assert!(found.contains(words), "{found}");
    }
}

#[tokio::test]
async fn windows_cancels_and_streams() {
    let client = client();
    let long = request(&"step 2 ".repeat(20_000));
    assert!(matches!(ask(&client, &long).await, Err(ModelError::Overflow { .. })));
    let cancelled = client.complete(&request("step 2"), &|_| (), at_once()).await;
    assert!(matches!(cancelled, Err(ModelError::Cancelled)));
    let seen = StdMutex::new(String::new());
    let sink = |delta: Delta| {
        if let Delta::Text { text, .. } = delta {
            seen.lock().unwrap().push_str(&text);
        }
    };
    let reply = client.complete(&request("step 1 R1:"), &sink, never()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), reply.text);
}

#[test]
fn a_script_that_is_none() {
    assert!(ScriptedClient::parse("[[reply]]\nwen = []\ntext = \"\"").is_err(), "a misspelt key");
    assert!(ScriptedClient::open(Path::new("/nonexistent.toml")).is_err());
}
