use std::sync::Mutex as StdMutex;

use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::client::Finish;
use crate::testing::{at_once, never, request};

const KEY: &str = "sk-very-secret";

async fn server() -> MockServer {
    MockServer::start().await
}

fn client_with(server: &MockServer, change: impl FnOnce(&mut OpenAiOptions)) -> OpenAiClient {
    let mut options = OpenAiOptions::new(&format!("{}/v1/", server.uri()), Some(KEY.into()), "m", 8192);
    options.pause_min = Duration::from_millis(1);
    change(&mut options);
    OpenAiClient::new(options).unwrap()
}

fn client(server: &MockServer) -> OpenAiClient {
    client_with(server, |_| ())
}

fn sse(events: &[Value]) -> ResponseTemplate {
    let events: Vec<_> = events.iter().map(|e| format!("data: {e}\n\n")).collect();
    stream(&(events.concat() + "data: [DONE]\n\n"))
}

fn stream(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body.to_owned(), "text/event-stream")
}

fn piece(text: &str) -> Value {
    json!({ "model": "m-1", "choices": [{ "delta": { "content": text }, "finish_reason": null }] })
}

fn last(finish: &str) -> Value {
    json!({ "choices": [{ "delta": {}, "finish_reason": finish }] })
}

fn counts(prompt: u64, cached: u64, completion: u64) -> Value {
    json!({ "choices": [], "usage": {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "prompt_tokens_details": { "cached_tokens": cached },
    }})
}

fn hello() -> ResponseTemplate {
    sse(&[piece("Hel"), piece("lo"), last("stop"), counts(12, 8, 2)])
}

/// Answers in turn; the last answer again and again.
async fn answers(server: &MockServer, answers: Vec<ResponseTemplate>) {
    let count = answers.len();
    for (n, answer) in answers.into_iter().enumerate() {
        let mock = Mock::given(method("POST")).and(path("/v1/chat/completions")).respond_with(answer);
        let mock = if n + 1 < count { mock.up_to_n_times(1) } else { mock };
        mock.with_priority(n as u8 + 1).mount(server).await;
    }
}

async fn ask(client: &OpenAiClient) -> Result<ModelReply, ModelError> {
    client.complete(&request("Say hello."), &|_| (), never()).await
}

async fn calls(server: &MockServer) -> usize {
    server.received_requests().await.unwrap_or_default().len()
}

fn refusal(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({ "error": { "message": message } }))
}

#[tokio::test]
async fn a_reply_is_streamed() {
    let server = server().await;
    Mock::given(method("POST"))
        .and(header("authorization", format!("Bearer {KEY}").as_str()))
        .and(body_partial_json(json!({
            "model": "m", "stream": true, "stream_options": { "include_usage": true }, "max_tokens": 100,
            "temperature": 0.0,
            "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "Say hello." }],
        })))
        .respond_with(hello())
        .mount(&server)
        .await;
    let seen = StdMutex::new(Vec::new());
    let client = client(&server);
    let sink = |delta| seen.lock().unwrap().push(delta);
    let reply = client.complete(&request("Say hello."), &sink, never()).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.finish, reply.model.as_str()), ("Hello", Finish::Stop, "m-1"));
    assert_eq!(
        (reply.usage.prompt_tokens, reply.usage.reused_tokens, reply.usage.completion_tokens),
        (12, 8, 2)
    );
    assert!(!reply.usage.estimated);
    let piece = |text: &str, tokens| Delta::Text { text: text.into(), tokens };
    assert_eq!(*seen.lock().unwrap(), [piece("Hel", 1), piece("lo", 2)]);
    let sent: Request = server.received_requests().await.unwrap().remove(0);
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    for absent in ["tools", "seed", "top_k", "repetition_penalty", "dry_multiplier"] {
        assert!(sent.get(absent).is_none(), "{absent} was sent");
    }
}

#[test]
fn every_seed_is_one_that_the_api_takes() {
    let options = OpenAiOptions::new("http://127.0.0.1:1/v1", None, "m", 8192);
    for seed in [0, 7, u64::MAX, 1 << 63] {
        let sampling = crate::client::Sampling { seed, temperature: 0.5, ..Default::default() };
        let body = wire::body(&ModelRequest { sampling, ..request("hi") }, &options, &BTreeSet::new());
        assert_eq!(body["seed"].as_i64().map(i64::cast_unsigned), Some(seed), "and the server takes it back");
    }
}

#[tokio::test]
async fn tool_calls_become_blocks() {
    let server = server().await;
    let call = |index, name: Option<&str>, arguments: &str| {
        json!({ "choices": [{ "delta": { "tool_calls": [
            { "index": index, "function": { "name": name, "arguments": arguments } }
        ] } }] })
    };
    answers(
        &server,
        vec![sse(&[
            piece("I write."),
            call(0, Some("write"), "{\"path\":\"a.py\","),
            call(0, None, "\"content\":\"x\\n\"}"),
            call(1, Some("done"), "{\"summary\":\"There.\"}"),
            last("tool_calls"),
        ])],
    )
    .await;
    let client = client_with(&server, |o| o.native_tools = true);
    let mut asked = request("Write.");
    asked.tools = true;
    let reply = client.complete(&asked, &|_| (), never()).await.unwrap();
    assert_eq!(reply.text, "I write.\n@@ write a.py\nx\n@@ end\n@@ done There.\n");
    assert!(reply.usage.estimated && reply.usage.prompt_tokens > 0, "no usage came");
    let sent: Value = serde_json::from_slice(&server.received_requests().await.unwrap()[0].body).unwrap();
    assert_eq!(sent["tools"][0]["function"]["name"], "write");
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    for (answer, expected) in [
        (refusal(401, &format!("Incorrect API key provided: {KEY}")), "the endpoint refused the key (401): Incorrect API key provided: (key)"),
        (refusal(403, "no"), "the endpoint refused the key (403): no"),
        (refusal(404, "model m not found"), "the endpoint does not know m: model m not found"),
        (refusal(400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."), "the prompt has 9001 tokens, the window 8192"),
        (ResponseTemplate::new(400).set_body_json(json!({ "error": { "code": 400, "type": "exceed_context_size_error", "message": "too big", "n_prompt_tokens": 5000, "n_ctx": 4096 } })), "the prompt has 5000 tokens, the window 4096"),
        (refusal(400, "bad request"), "the endpoint failed (400): bad request"),
        (ResponseTemplate::new(418).set_body_string("a teapot"), "the endpoint failed (418): a teapot"),
    ] {
        let server = server().await;
        answers(&server, vec![answer]).await;
        let error = ask(&client(&server)).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains(KEY));
        assert_eq!(calls(&server).await, 1, "{expected}");
    }
}

#[tokio::test]
async fn passing_failures_are_repeated() {
    let server = server().await;
    let wait = refusal(429, "slow down").insert_header("retry-after", "0");
    answers(&server, vec![wait, refusal(503, "busy"), hello()]).await;
    let pauses = StdMutex::new(Vec::new());
    let sink = |delta| {
        if let Delta::Retry { why, after } = delta {
            pauses.lock().unwrap().push((why, after));
        }
    };
    let reply = client(&server).complete(&request("Say hello."), &sink, never()).await.unwrap();
    assert_eq!(reply.text, "Hello");
    let pauses = pauses.into_inner().unwrap();
    assert_eq!(pauses.len(), 2);
    assert_eq!(pauses[0], ("the endpoint failed (429): slow down".to_owned(), Duration::ZERO));
    assert!(pauses[1].1 > Duration::ZERO);
}

#[tokio::test]
async fn repeating_has_an_end() {
    let server = server().await;
    answers(&server, vec![ResponseTemplate::new(500).set_body_string("broken")]).await;
    let error = ask(&client(&server)).await.unwrap_err();
    assert_eq!(error.to_string(), "the endpoint failed (500): broken");
    assert_eq!(calls(&server).await, ATTEMPTS_MAX);
}

#[tokio::test]
async fn silence_is_a_failure() {
    let server = server().await;
    answers(&server, vec![hello().set_delay(Duration::from_mins(10)), hello()]).await;
    let client = client_with(&server, |o| o.first_byte_timeout = Duration::from_millis(50));
    assert_eq!(ask(&client).await.unwrap().text, "Hello");
    assert_eq!(calls(&server).await, 2);
}

#[tokio::test]
async fn broken_streams() {
    let cut = stream(&format!("data: {}\n\n", piece("Hel")));
    for (answer, words, tries) in [
        // Something was seen: the reply is lost, and asking again is for those who know what that costs.
        (cut, "the reply broke off", 1),
        (stream(&format!("data: {}\n\ndata: {{nonsense\n\n", piece("Hel"))), "failed to deserialize", 1),
        // Nothing was seen.
        (stream("data: {nonsense\n\n"), "failed to deserialize", ATTEMPTS_MAX),
        (stream(""), "the reply broke off", ATTEMPTS_MAX),
        (ResponseTemplate::new(200).set_body_string("<html>"), "failed to deserialize", ATTEMPTS_MAX),
    ] {
        let server = server().await;
        answers(&server, vec![answer]).await;
        let error = ask(&client(&server)).await.unwrap_err();
        assert!(matches!(&error, ModelError::Unreachable { why, .. } if why.contains(words)), "{error}");
        assert_eq!(calls(&server).await, tries, "{words}");
    }
}

#[tokio::test]
async fn errors_in_a_good_answer() {
    let context = json!({ "error": { "code": 400, "message": "the request exceeds the available context size", "n_ctx": 4096, "n_prompt_tokens": 5000 } });
    let busy = json!({ "error": { "code": 503, "message": "Loading model" } });
    let server = server().await;
    answers(&server, vec![ResponseTemplate::new(200).set_body_json(&busy), sse(&[busy]), sse(&[context])])
        .await;
    let error = ask(&client(&server)).await.unwrap_err();
    assert!(matches!(error, ModelError::Overflow { prompt_tokens: 5000, window_tokens: 4096 }), "{error}");
    assert_eq!(calls(&server).await, 3);
}

#[tokio::test]
async fn an_endpoint_that_does_not_stream() {
    let server = server().await;
    let whole = json!({
        "model": "m-1", "usage": { "prompt_tokens": 3, "completion_tokens": 1 },
        "choices": [{ "message": { "role": "assistant", "content": "Hello" }, "finish_reason": "length" }],
    });
    answers(&server, vec![ResponseTemplate::new(200).set_body_json(whole)]).await;
    let reply = ask(&client(&server)).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.finish, reply.usage.prompt_tokens), ("Hello", Finish::Length, 3));
}

#[tokio::test]
async fn parameters_that_are_not_wanted_are_given_up() {
    let server = server().await;
    answers(
        &server,
        vec![
            refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            refusal(400, "Unsupported value: 'temperature' does not support 0.0 with this model."),
            hello(),
        ],
    )
    .await;
    let client = client(&server);
    for _ in 0..2 {
        assert_eq!(ask(&client).await.unwrap().text, "Hello");
    }
    let sent = server.received_requests().await.unwrap();
    assert_eq!(sent.len(), 4, "what was learnt is kept");
    let last: Value = serde_json::from_slice(&sent[3].body).unwrap();
    assert_eq!(last["max_completion_tokens"], 100);
    assert!(last.get("max_tokens").is_none() && last.get("temperature").is_none());
}

#[tokio::test]
async fn nobody_there_and_nobody_waiting() {
    let server = server().await;
    let client = client(&server);
    assert!(matches!(client.complete(&request("x"), &|_| (), at_once()).await, Err(ModelError::Cancelled)));
    drop(server);
    let mut options = OpenAiOptions::new("http://127.0.0.1:9/v1", None, "m", 8192);
    options.pause_min = Duration::from_millis(1);
    let error = ask(&OpenAiClient::new(options).unwrap()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_request_in_flight_is_cancelled() {
    let server = server().await;
    answers(&server, vec![hello().set_delay(Duration::from_mins(10))]).await;
    let (stop, cancel) = tokio::sync::watch::channel(false);
    let client = client(&server);
    let asked = request("x");
    let (reply, ()) = tokio::join!(client.complete(&asked, &|_| (), cancel), async {
        while calls(&server).await == 0 {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
    });
    assert!(matches!(reply, Err(ModelError::Cancelled)));
}

#[test]
fn the_key_is_never_shown() {
    let options = OpenAiOptions::new("http://x/v1", Some(KEY.into()), "m", 1);
    assert!(!format!("{options:?}").contains(KEY));
    let broken = OpenAiClient::new(OpenAiOptions { key: Some(format!("{KEY}\n")), ..options.clone() });
    let error = broken.err().unwrap().to_string();
    assert!(error.contains("copied whole") && !error.contains(KEY), "{error}");
    assert!(OpenAiClient::new(OpenAiOptions { base_url: "nonsense".into(), ..options }).is_err());
}

#[tokio::test]
async fn a_grammar_goes_to_whoever_says_it_takes_one() {
    let server = server().await;
    let list = json!({ "object": "list", "data": [
        { "id": "other", "object": "model", "edvac": { "grammar": false, "window_tokens": 1 } },
        { "id": "m", "object": "model", "edvac": { "grammar": true, "window_tokens": 2048 } },
    ] });
    let listing = Mock::given(method("GET"))
        .and(path("/v1/models"))
        .and(header("authorization", format!("Bearer {KEY}")));
    listing.respond_with(ResponseTemplate::new(200).set_body_json(list)).expect(1).mount(&server).await;
    answers(&server, vec![hello()]).await;
    let mut client = client_with(&server, |options| options.native_tools = true);
    assert!(!client.info().grammar);
    client.learn().await;
    assert_eq!((client.info().grammar, client.info().window_tokens), (true, 2048));
    let ask = ModelRequest {
        grammar: Some("start: \"a\"".to_owned()),
        stop: vec!["END".to_owned()],
        tools: true,
        called: Vec::new(),
        ..request("hi")
    };
    client.complete(&ask, &|_| (), never()).await.unwrap();
    let sent: Vec<Request> = server.received_requests().await.unwrap();
    let body: Value = sent.last().unwrap().body_json().unwrap();
    assert_eq!(body["response_format"], json!({ "type": "grammar", "grammar": "start: \"a\"" }));
    assert_eq!((&body["stop"], &body["tools"]), (&json!(["END"]), &Value::Null));
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_is_used_as_it_is() {
    for answer in [
        ResponseTemplate::new(404),
        ResponseTemplate::new(200).set_body_string("no JSON"),
        ResponseTemplate::new(200).set_body_json(json!({ "data": [{ "id": "m" }] })),
    ] {
        let server = server().await;
        Mock::given(method("GET")).and(path("/v1/models")).respond_with(answer).mount(&server).await;
        let mut client = client(&server);
        client.learn().await;
        assert_eq!((client.info().grammar, client.info().window_tokens), (false, 8192));
    }
}
