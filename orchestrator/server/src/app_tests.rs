use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode, header};
use edvac_agents::client::scripted::ScriptedClient;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;
use crate::testing::{Fake, TOKEN, asking, chat, get, guarded, post, read, request, send, server};
use crate::{Options, ServeError, Served, Server};

#[tokio::test]
async fn models_are_listed_with_what_they_can_do() {
    let server = server(Fake::saying("hello"));
    let (status, list) = get(&server, "/v1/models").await;
    assert_eq!((status, &list["object"]), (StatusCode::OK, &json!("list")));
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|m| m["id"].clone()).collect();
    assert_eq!(ids, ["scripted", "lengths"]);
    assert_eq!(list["data"][0]["edvac"], json!({ "grammar": true, "window_tokens": 32768 }));
    assert_eq!(list["data"][0]["object"], "model");
    let (status, one) = get(&server, "/v1/models/lengths").await;
    assert_eq!((status, &one["id"], &one["edvac"]), (StatusCode::OK, &json!("lengths"), &json!(null)));
    let (status, none) = get(&server, "/v1/models/gpt-4o").await;
    assert_eq!((status, &none["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
}

#[tokio::test]
async fn what_does_not_exist_is_refused_in_the_same_shape() {
    let server = server(Fake::saying("hello"));
    let (status, answer) = get(&server, "/v2/anything").await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (404, &json!("not_found")));
    let (status, answer) = get(&server, "/v1/anything").await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (404, &json!("not_found")));
    let (status, answer) = get(&server, "/v1/chat/completions").await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (405, &json!("method_not_allowed")));
    assert_eq!(answer["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn every_address_wants_the_token_before_it_reads_a_body() {
    let server = guarded(Fake::saying("hello"), Some(TOKEN));
    for path in
        ["/metrics", "/v1/models", "/v1/models/x", "/v1/chat/completions", "/v1/embeddings", "/", "/none"]
    {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            // A body that never comes: whoever read it would wait for ever.
            let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
            let response = send(&server, request(method.clone(), path, body)).await;
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
            assert!(!response.headers().keys().any(|k| k.as_str().starts_with("access-control")));
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    assert_eq!(get(&server, "/healthz").await.0, StatusCode::OK);
    let mut asked = request(Method::GET, "/v1/models", "");
    asked.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {TOKEN}").parse().unwrap());
    assert_eq!(send(&server, asked).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn pages_of_other_sites_are_kept_out() {
    let server = server(Fake::saying("hello"));
    let mut asked = request(Method::POST, "/v1/chat/completions", asking("hi", json!({})).to_string());
    asked.headers_mut().insert(header::ORIGIN, "http://evil.example".parse().unwrap());
    let (status, text) = read(send(&server, asked).await).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    let mut asked = request(Method::GET, "/v1/models", "");
    asked.headers_mut().insert(header::HOST, "evil.example:8765".parse().unwrap());
    assert_eq!(send(&server, asked).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = server(Fake::saying("hello"));
    let body = asking(&"x".repeat(BODY_BYTES_MAX), json!({}));
    let (status, answer) = chat(&server, &body).await;
    assert_eq!((status.as_u16(), &answer["error"]["code"]), (413, &json!("request_too_large")));
    assert!(answer["error"]["message"].as_str().unwrap().contains(&BODY_BYTES_MAX.to_string()));
    // Without a length that is told beforehand too.
    let pieces = (0..65).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16])));
    let body = Body::from_stream(futures::stream::iter(pieces));
    let response = send(&server, request(Method::POST, "/v1/embeddings", body)).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = server(Fake::saying("hello there"));
    chat(&server, &asking("hi", json!({}))).await;
    chat(&server, &json!({ "model": "other", "messages": [] })).await;
    post(&server, "/v1/embeddings", &json!({ "model": "lengths", "input": ["a", "b"] })).await;
    let (status, text) = read(send(&server, request(Method::GET, "/metrics", "")).await).await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        "edvac_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1",
        "edvac_requests_total{route=\"/v1/chat/completions\",status=\"404\"} 1",
        "edvac_errors_total{code=\"model_not_found\"} 1",
        "edvac_embedded_tokens_total 2",
        "edvac_prefill_seconds_count 1",
        "edvac_decode_seconds_count 1",
        "edvac_in_flight{queue=\"chat\"} 0",
        "edvac_waiting{queue=\"chat\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    let counted = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok());
    assert!(counted("edvac_completion_tokens_total").unwrap() > 0, "{text}");
    assert!(counted("edvac_prompt_tokens_total").unwrap() > 0, "{text}");
    assert_eq!(counted("edvac_reused_tokens_total"), Some(0));
}

#[tokio::test]
async fn addresses_that_others_reach_need_a_good_token() {
    let serving =
        || Served { client: Some(Arc::new(ScriptedClient::parse("").unwrap())), ..Served::default() };
    let bind = |bind: &str, token: Option<&str>| {
        let options = Options { bind: bind.parse().unwrap(), port: 0, token: token.map(str::to_owned) };
        async move { Server::bind(&options, serving()).await.map(|s| s.address().ip().to_string()) }
    };
    assert!(matches!(bind("0.0.0.0", None).await, Err(ServeError::NoToken { .. })));
    assert!(matches!(bind("::", None).await, Err(ServeError::NoToken { .. })));
    assert!(matches!(bind("127.0.0.1", Some("short")).await, Err(ServeError::ShortToken { bytes: 5 })));
    assert!(matches!(bind("127.0.0.1", Some("with a space inside")).await, Err(ServeError::BadToken)));
    assert_eq!(bind("0.0.0.0", Some(TOKEN)).await.unwrap(), "0.0.0.0");
    assert_eq!(bind("127.0.0.1", None).await.unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn a_connection_that_is_closed_ends_its_reply() {
    let (fake, mut told) = Fake::new("[[reply]]\ntext = \"hello\"\n");
    let server =
        Server::bind(&Options::default(), Served { client: Some(fake.clone()), ..Served::default() })
            .await
            .unwrap();
    let address = server.address();
    assert_eq!(server.base_url(), format!("http://{address}/v1"));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));
    let ask = |body: serde_json::Value| async move {
        let body = body.to_string();
        let mut connection = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(body.as_bytes()).await.unwrap();
        connection
    };
    for stream in [false, true] {
        let connection = ask(asking("hold", json!({ "stream": stream }))).await;
        assert_eq!(told.began.recv().await.unwrap(), "hold");
        drop(connection);
        assert_eq!(told.cancelled.recv().await.unwrap(), "hold", "stream {stream}");
    }
    let mut answer = String::new();
    ask(asking("hi", json!({}))).await.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello"), "{answer}");
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}
