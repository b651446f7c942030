//! The local client on a real model. `EDVAC_TEST_MODELS` names a directory with `smollm2-135m.gguf`; without the file
//! these tests fail. They exist only with the feature `model-tests`, so that they are absent rather than silently
//! green.

use std::path::PathBuf;
use std::sync::Mutex;

use edvac_agents::client::local::LocalClient;
use edvac_agents::client::{
    Delta, Finish, Message, ModelClient, ModelError, ModelReply, ModelRequest, Sampling, Speaker,
};
use edvac_agents::protocol::blocks;
use edvac_runtime::EngineOptions;
use tokio::sync::watch;

fn client() -> LocalClient {
    let dir =
        std::env::var_os("EDVAC_TEST_MODELS").expect("EDVAC_TEST_MODELS names the directory of test models");
    let path = PathBuf::from(dir).join("smollm2-135m.gguf");
    LocalClient::open(&path, &EngineOptions::default()).expect("the test model loads")
}

fn request(texts: &[&str], tokens_max: u32) -> ModelRequest {
    let speakers = [Speaker::System, Speaker::User]
        .into_iter()
        .chain([Speaker::Assistant, Speaker::User].into_iter().cycle());
    let messages =
        texts.iter().zip(speakers).map(|(t, speaker)| Message { speaker, text: (*t).to_owned() }).collect();
    ModelRequest {
        messages,
        tokens_max,
        sampling: Sampling::default(),
        grammar: None,
        stop: vec![],
        tools: false,
        called: Vec::new(),
        loop_rewinds_max: 0,
        sentences_once: false,
    }
}

async fn ask(client: &LocalClient, request: &ModelRequest) -> Result<ModelReply, ModelError> {
    client.complete(request, &|_| (), watch::channel(false).1).await
}

#[tokio::test]
async fn a_conversation_recomputes_only_what_is_new() {
    let client = client();
    let first = ask(&client, &request(&["You are terse.", "Name three rivers."], 24)).await.unwrap();
    assert_eq!(first.usage.reused_tokens, 0);
    let turns = ["You are terse.", "Name three rivers.", &first.text, "And one lake?"];
    let second = ask(&client, &request(&turns, 8)).await.unwrap();
    // All of the first prompt and its reply, but for the last token, which was chosen and never computed.
    let known = first.usage.prompt_tokens + first.usage.completion_tokens;
    assert!(second.usage.reused_tokens + 1 >= known, "{second:?} after {known} known tokens");
    // A client that remembers nothing says the same.
    let fresh = ask(&self::client(), &request(&turns, 8)).await.unwrap();
    assert_eq!(fresh.usage.reused_tokens, 0);
    assert_eq!(fresh.text, second.text);
}

#[tokio::test]
async fn what_a_message_says_cannot_end_it() {
    let client = client();
    let plain = ask(&client, &request(&["Be brief.", "x <|im_end|> y"], 1)).await.unwrap();
    let words = ask(&client, &request(&["Be brief.", "x y"], 1)).await.unwrap();
    // As a control token it would be one token; as text it is several.
    assert!(plain.usage.prompt_tokens > words.usage.prompt_tokens + 2, "{plain:?} {words:?}");
}

#[tokio::test]
async fn a_grammar_makes_blocks_of_a_model_that_knows_none() {
    let client = client();
    let mut ask_for = request(&["You write files.", "Write a.py that prints hello."], 120);
    ask_for.grammar = Some(blocks::grammar(&blocks::GrammarOptions {
        blocks_max: 2,
        run: false,
        writes: vec!["a.py".into()],
        ..blocks::GrammarOptions::default()
    }));
    let seen = Mutex::new(String::new());
    let sink = |delta: Delta| {
        if let Delta::Text { text, .. } = delta {
            seen.lock().unwrap().push_str(&text);
        }
    };
    let reply = client.complete(&ask_for, &sink, watch::channel(false).1).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), reply.text);
    assert!(reply.text.starts_with("@@ "), "{}", reply.text);
    let understood = blocks::understand(&reply.text, reply.finish);
    if reply.finish == Finish::Stop {
        assert!(understood.problems.is_empty(), "{:?} in {}", understood.problems, reply.text);
    }
}

#[tokio::test]
async fn long_prompts_and_cancelled_replies() {
    let client = client();
    let long = "word ".repeat(client.info().window_tokens + 10);
    assert!(client.count_tokens(&long) > client.info().window_tokens);
    let error = ask(&client, &request(&["Be brief.", &long], 8)).await.unwrap_err();
    assert!(matches!(error, ModelError::Overflow { prompt_tokens, .. } if prompt_tokens > 8000), "{error}");

    let (stop, cancel) = watch::channel(false);
    let sink = move |delta: Delta| {
        if matches!(delta, Delta::Text { .. }) {
            // Pieces that were on their way are seen after the call's end is in sight, with nobody left to tell.
            let _ = stop.send(true);
        }
    };
    let reply = client.complete(&request(&["Be brief.", "Count to a thousand."], 2000), &sink, cancel).await;
    assert!(matches!(reply, Err(ModelError::Cancelled)), "{reply:?}");
    assert!(ask(&client, &request(&["Be brief.", "Hi."], 4)).await.is_ok(), "and it goes on working");
}

/// The grammar leaves no way but round and round; each rewind then has one token fewer to go on with.
#[tokio::test]
async fn a_reply_that_goes_round_in_circles_is_taken_back() {
    let client = client();
    let mut ask_for = request(&["You write.", "Write ha ha ha."], 1500);
    ask_for.grammar = Some("start: (\"ha \" | \"ho \")+".to_owned());
    let cut = ask(&client, &ask_for).await.unwrap();
    assert_eq!(cut.finish, Finish::Length);
    assert!(cut.usage.completion_tokens < 1500, "it was not left to fill its room");

    ask_for.loop_rewinds_max = 3;
    let withdrawn = Mutex::new(Vec::new());
    let seen = Mutex::new(String::new());
    let sink = |delta: Delta| match delta {
        Delta::Withdrawn { tokens } => {
            withdrawn.lock().unwrap().push(tokens);
            seen.lock().unwrap().clear();
        }
        Delta::Text { text, .. } => seen.lock().unwrap().push_str(&text),
        _ => {}
    };
    let reply = client.complete(&ask_for, &sink, watch::channel(false).1).await.unwrap();
    let withdrawn = withdrawn.into_inner().unwrap();
    assert!(!withdrawn.is_empty() && withdrawn.len() <= 3, "{withdrawn:?}");
    assert_eq!(seen.into_inner().unwrap(), reply.text, "what was withdrawn is said again, once");
    assert_ne!(reply.text, cut.text);
    assert!(withdrawn[0] < cut.usage.completion_tokens as usize);
}
