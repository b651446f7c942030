use axum::http::{Method, StatusCode};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::queue::WAITING_MAX;
use crate::testing::{Fake, asking, chat, read, refused, request, send, server, streamed};

fn weather_tool() -> Value {
    json!({ "type": "function", "function": {
        "name": "weather", "description": "Tells the weather.",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
    } })
}

const CALL: &str =
    "I look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";

#[tokio::test]
async fn a_reply_has_everything_that_clients_read() {
    let fake = Fake::saying("Hello there.\nHow are you?");
    let body = asking(
        "hi",
        json!({
            "max_tokens": 50, "temperature": 0.5, "top_p": 0.9, "seed": -1, "stop": ["END"], "top_k": 20, "min_p": 0.1,
            "repetition_penalty": 1.1, "dry_multiplier": 0.8, "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "user": "ann",
            "an_unknown_one": true, "response_format": null,
        }),
    );
    let (status, answer) = chat(&server(fake.clone()), &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("scripted")));
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(answer["created"].as_u64().unwrap() > 1_600_000_000);
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"], json!({ "role": "assistant", "content": "Hello there.\nHow are you?" }));
    assert_eq!((&choice["finish_reason"], &choice["index"]), (&json!("stop"), &json!(0)));
    let usage = &answer["usage"];
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    let sum = usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], sum);
    let asked = fake.request();
    assert_eq!((asked.tokens_max, asked.stop, asked.grammar), (50, vec!["END".to_owned()], None));
    let sampling = asked.sampling;
    assert_eq!((sampling.temperature, sampling.top_p, sampling.min_p), (0.5, 0.9, 0.1));
    assert_eq!((sampling.top_k, sampling.repetition_penalty, sampling.dry_multiplier), (20, 1.1, 0.8));
    assert_eq!(sampling.seed, u64::MAX);
}

#[tokio::test]
async fn what_is_left_out_is_as_with_openai() {
    let fake = Fake::saying("hello");
    chat(&server(fake.clone()), &asking("hi", json!({ "stop": null }))).await;
    let asked = fake.request();
    assert_eq!((asked.tokens_max, asked.sampling.temperature, asked.sampling.top_p), (32768, 1.0, 1.0));
    assert!(asked.stop.is_empty());
}

#[tokio::test]
async fn a_stream_says_the_same() {
    let server = server(Fake::saying("Hello\nthere."));
    let events =
        streamed(&server, &asking("hi", json!({ "stream_options": { "include_usage": true } }))).await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    assert!(chunks.iter().all(|c| c["object"] == "chat.completion.chunk" && c["id"] == chunks[0]["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "Hello\nthere.");
    let (usage, rest) = chunks.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    assert_eq!(rest.last().unwrap()["choices"][0]["finish_reason"], "stop");
    assert!(rest.iter().all(|c| c["usage"].is_null()));
    let plain = streamed(&server, &asking("hi", json!({}))).await;
    assert!(plain.iter().all(|c| c["usage"].is_null()));
}

#[tokio::test]
async fn a_reply_that_was_cut_says_so() {
    let script = "[[reply]]\ntext = \"Hello\"\nfinish = \"length\"\n";
    let server = server(Fake::new(script).0);
    let (_, answer) = chat(&server, &asking("hi", json!({}))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let events = streamed(&server, &asking("hi", json!({}))).await;
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn tools_are_told_and_calls_are_read() {
    let fake = Fake::saying(CALL);
    let (status, answer) =
        chat(&server(fake.clone()), &asking("Weather in Rome?", json!({ "tools": [weather_tool()] }))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "I look.");
    let call = &choice["message"]["tool_calls"][0];
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    assert_eq!(call["type"], "function");
    assert_eq!(call["function"], json!({ "name": "weather", "arguments": "{\"city\": \"Rome\"}" }));
    let asked = fake.request();
    assert_eq!(asked.grammar, None, "with auto the model is free");
    let rules = &asked.messages[0].text;
    let line = "\n<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": \"Tells the \
                weather.\", \"parameters\": {\"type\": \"object\", ";
    assert!(rules.contains(line) && rules.contains("\n</tools>\n"), "{rules}");
}

#[tokio::test]
async fn calls_are_streamed() {
    let server = server(Fake::saying(CALL));
    let events = streamed(&server, &asking("Weather?", json!({ "tools": [weather_tool()] }))).await;
    let deltas: Vec<&Value> = events.iter().map(|e| &e["choices"][0]["delta"]).collect();
    let calls: Vec<&Value> = deltas.iter().filter_map(|d| d["tool_calls"].get(0)).collect();
    assert_eq!(calls.len(), 1);
    assert_eq!((&calls[0]["index"], &calls[0]["type"]), (&json!(0), &json!("function")));
    assert_eq!(calls[0]["function"], json!({ "name": "weather", "arguments": "{\"city\": \"Rome\"}" }));
    let text: String = deltas.iter().filter_map(|d| d["content"].as_str()).collect();
    assert_eq!(text, "I look.");
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_choice_binds_the_reply() {
    let named = json!({ "type": "function", "function": { "name": "weather" } });
    for choice in [json!("required"), named] {
        let fake = Fake::saying(CALL);
        let more = json!({ "tools": [weather_tool()], "tool_choice": choice });
        let (status, answer) = chat(&server(fake.clone()), &asking("Weather?", more)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let grammar = fake.request().grammar.unwrap();
        assert!(grammar.starts_with("start: calls\n"), "{grammar}");
    }
    let fake = Fake::saying(CALL);
    let more = json!({ "tools": [weather_tool()], "tool_choice": "none" });
    let (_, answer) = chat(&server(fake.clone()), &asking("Weather?", more)).await;
    assert_eq!(answer["choices"][0]["message"]["content"], CALL, "what must not call is not read as a call");
    assert_eq!(fake.request().messages.len(), 1, "and is told of no tools");
}

#[tokio::test]
async fn formats_bind_the_reply() {
    let grammar = async |format: Value| {
        let fake = Fake::saying("{}");
        let (status, answer) =
            chat(&server(fake.clone()), &asking("hi", json!({ "response_format": format }))).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        fake.request().grammar
    };
    assert_eq!(grammar(json!({ "type": "text" })).await, None);
    let object = grammar(json!({ "type": "json_object" })).await.unwrap();
    assert!(object.starts_with("start: answer\nanswer: %json {\"type\":\"object\""), "{object}");
    let schema = json!({ "name": "s", "strict": true, "schema": { "type": "object", "properties": { "a": { "type": "integer" } } } });
    let schema = grammar(json!({ "type": "json_schema", "json_schema": schema })).await.unwrap();
    assert!(schema.contains("\"a\":{\"type\":\"integer\"}"), "{schema}");
    let own = "start: \"yes\" | \"no\"";
    assert_eq!(grammar(json!({ "type": "grammar", "grammar": own })).await.as_deref(), Some(own));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let server = server(Fake::saying("never"));
    for (body, code) in [("{", "invalid_json"), ("[]", "invalid_json"), ("\u{1}", "invalid_json")] {
        let response = send(&server, request(Method::POST, "/v1/chat/completions", body)).await;
        let (status, text) = read(response).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.contains(code) && text.contains("invalid_request_error"), "{text}");
    }
    let other = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "hi" }] });
    let message = refused(&other, 404, "model_not_found", "model").await;
    assert!(message.contains("gpt-4o") && message.contains("scripted"), "{message}");
    let image = json!([{ "type": "image_url", "image_url": { "url": "data:," } }]);
    let with_image = json!({ "model": "scripted", "messages": [{ "role": "user", "content": image }] });
    refused(&with_image, 400, "unsupported_parameter", "messages[0].content[0]").await;
    for (more, code, param) in [
        (json!({ "n": 2 }), "unsupported_parameter", "n"),
        (json!({ "frequency_penalty": 0.5 }), "unsupported_parameter", "frequency_penalty"),
        (json!({ "presence_penalty": -0.5 }), "unsupported_parameter", "presence_penalty"),
        (json!({ "logprobs": true }), "unsupported_parameter", "logprobs"),
        (json!({ "functions": [] }), "unsupported_parameter", "functions"),
        (json!({ "modalities": ["audio"] }), "unsupported_parameter", "modalities"),
        (json!({ "temperature": 3 }), "invalid_value", "temperature"),
        (json!({ "temperature": "warm" }), "invalid_value", "temperature"),
        (json!({ "top_p": 1.5 }), "invalid_value", "top_p"),
        (json!({ "min_p": -0.1 }), "invalid_value", "min_p"),
        (json!({ "top_k": -1 }), "invalid_value", "top_k"),
        (json!({ "repetition_penalty": 0 }), "invalid_value", "repetition_penalty"),
        (json!({ "dry_multiplier": -1 }), "invalid_value", "dry_multiplier"),
        (json!({ "max_tokens": 0 }), "invalid_value", "max_completion_tokens"),
        (json!({ "max_completion_tokens": -5 }), "invalid_value", "max_completion_tokens"),
        (json!({ "stop": ["a", "b", "c", "d", "e"] }), "invalid_value", "stop"),
        (json!({ "stop": "" }), "invalid_value", "stop"),
        (json!({ "messages": [] }), "invalid_value", "messages"),
        (json!({ "messages": "hi" }), "invalid_value", "messages"),
        (json!({ "messages": [{ "role": "king", "content": "hi" }] }), "invalid_value", "messages[0].role"),
        (json!({ "tool_choice": "required" }), "invalid_value", "tool_choice"),
        (json!({ "tools": [weather_tool(), weather_tool()] }), "invalid_value", "tools[1].function.name"),
        (json!({ "response_format": { "type": "xml" } }), "invalid_value", "response_format.type"),
        (json!({ "response_format": { "type": "grammar" } }), "invalid_value", "response_format.grammar"),
        (
            json!({ "response_format": { "type": "grammar", "grammar": "start: nowhere" } }),
            "invalid_schema",
            "response_format.grammar",
        ),
        (
            json!({ "response_format": { "type": "grammar", "grammar": "start: \"a\"" }, "tools": [weather_tool()] }),
            "unsupported_parameter",
            "response_format",
        ),
    ] {
        let message = refused(&asking("hi", more), 400, code, param).await;
        assert!(message.len() > 15, "{param}: {message}");
    }
    let schema = json!({ "name": "s", "schema": { "type": "colour" } });
    let more = json!({ "response_format": { "type": "json_schema", "json_schema": schema } });
    let message =
        refused(&asking("hi", more), 400, "invalid_schema", "response_format.json_schema.schema").await;
    assert!(message.contains("colour"), "{message}");
    let mut tool = weather_tool();
    tool["function"]["name"] = json!("bad name\"");
    refused(&asking("hi", json!({ "tools": [tool] })), 400, "invalid_value", "tools[0].function.name").await;
    let other = json!({ "type": "function", "function": { "name": "other" } });
    let more = json!({ "tools": [weather_tool()], "tool_choice": other });
    refused(&asking("hi", more), 400, "invalid_value", "tool_choice").await;
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_refused_with_both_numbers() {
    for stream in [false, true] {
        let server = server(Fake::new("window_tokens = 10\n").0);
        let (status, answer) =
            chat(&server, &asking(&"word ".repeat(100), json!({ "stream": stream }))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(answer["error"]["code"], "context_length_exceeded");
        let message = answer["error"]["message"].as_str().unwrap();
        let numbers: Vec<usize> =
            message.split(' ').filter_map(|w| w.trim_end_matches('.').parse().ok()).collect();
        assert!(numbers.len() == 2 && numbers[0] > 100 && numbers[1] == 10, "{message}");
    }
}

#[tokio::test]
async fn the_servers_own_failures_are_told_as_such() {
    let server = server(Fake::saying("never"));
    for question in ["break", "break late", "panic"] {
        let (status, answer) = chat(&server, &asking(question, json!({}))).await;
        assert_eq!((status.as_u16(), &answer["error"]["type"]), (500, &json!("server_error")), "{question}");
    }
    // Nothing was said yet: the status can still tell it.
    assert_eq!(chat(&server, &asking("break", json!({ "stream": true }))).await.0.as_u16(), 500);
    let events = streamed(&server, &asking("break late", json!({}))).await;
    assert_eq!(events.last().unwrap()["error"]["code"], "internal_error");
    // And the turn was given back each time.
    assert_eq!(chat(&server, &asking("hi", json!({}))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_reply() {
    let (fake, mut told) = Fake::new("[[reply]]\ntext = \"hello\"\n");
    let server = server(fake);
    let ask = |stream: bool| {
        let body = asking("hold", json!({ "stream": stream })).to_string();
        let server = server.clone();
        async move { send(&server, request(Method::POST, "/v1/chat/completions", body)).await }
    };
    // While it waits for the whole reply.
    let waiting = tokio::spawn(ask(false));
    assert_eq!(told.began.recv().await.unwrap(), "hold");
    waiting.abort();
    assert_eq!(told.cancelled.recv().await.unwrap(), "hold");
    // In the middle of a stream.
    let mut body = ask(true).await.into_body().into_data_stream();
    assert_eq!(told.began.recv().await.unwrap(), "hold");
    body.next().await.unwrap().unwrap();
    drop(body);
    assert_eq!(told.cancelled.recv().await.unwrap(), "hold");
    // The next one proceeds.
    assert_eq!(chat(&server, &asking("hi", json!({}))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn requests_take_turns_and_not_too_many_wait() {
    let (fake, mut told) = Fake::new("[[reply]]\ntext = \"hello\"\n");
    let server = server(fake.clone());
    let ask = |question: String| {
        let server = server.clone();
        tokio::spawn(async move { chat(&server, &asking(&question, json!({}))).await })
    };
    let mut running = vec![ask("hold 0".to_owned())];
    assert_eq!(told.began.recv().await.unwrap(), "hold 0");
    for n in 1..=WAITING_MAX {
        running.push(ask(format!("hold {n}")));
        // Each is in line before the next comes.
        let waiting = format!("edvac_waiting{{queue=\"chat\"}} {n}");
        loop {
            let (_, text) = read(send(&server, request(Method::GET, "/metrics", "")).await).await;
            if text.contains(&waiting) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let response =
        send(&server, request(Method::POST, "/v1/chat/completions", asking("late", json!({})).to_string()))
            .await;
    assert_eq!(response.headers()["retry-after"], "5");
    let (status, text) = read(response).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("queue_full") && text.contains("32 requests"), "{text}");
    for n in 1..=WAITING_MAX {
        fake.go.notify_one();
        assert_eq!(told.began.recv().await.unwrap(), format!("hold {n}"), "first come, first served");
    }
    fake.go.notify_one();
    for task in running {
        assert_eq!(task.await.unwrap().0, StatusCode::OK);
    }
}
