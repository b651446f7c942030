use axum::http::StatusCode;
use base64::Engine as _;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Fake, post, server, serving};

async fn embed(body: Value) -> (StatusCode, Value) {
    post(&server(Fake::saying("never")), "/v1/embeddings", &body).await
}

#[tokio::test]
async fn texts_become_vectors_in_order() {
    // More than one batch.
    let texts: Vec<String> = (1..40).map(|n| "x".repeat(n)).collect();
    let (status, answer) = embed(json!({ "model": "lengths", "input": texts })).await;
    assert_eq!(status, StatusCode::OK);
    let data = answer["data"].as_array().unwrap();
    assert_eq!(data.len(), 39);
    for (n, entry) in data.iter().enumerate() {
        let expected = json!({ "index": n, "object": "embedding", "embedding": [(n + 1) as f32, 0.5] });
        assert_eq!(*entry, expected);
    }
    assert_eq!(answer["usage"], json!({ "prompt_tokens": 39, "total_tokens": 39 }));
    assert_eq!((&answer["object"], &answer["model"]), (&json!("list"), &json!("lengths")));
}

#[tokio::test]
async fn base64_holds_the_same_numbers() {
    let (status, answer) =
        embed(json!({ "model": "lengths", "input": "abc", "encoding_format": "base64", "dimensions": 2 }))
            .await;
    assert_eq!(status, StatusCode::OK);
    let bytes = STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let numbers: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(numbers, [3.0, 0.5]);
}

#[tokio::test]
async fn what_cannot_be_embedded_is_refused() {
    let cases = [
        (json!({ "model": "other", "input": "a" }), 404, "model_not_found", json!("model")),
        (json!({ "model": "lengths", "input": [] }), 400, "invalid_value", json!("input")),
        (json!({ "model": "lengths", "input": ["a", ""] }), 400, "invalid_value", json!("input[1]")),
        (json!({ "model": "lengths", "input": [1, 2] }), 400, "unsupported_parameter", json!("input")),
        (
            json!({ "model": "lengths", "input": "a", "dimensions": 3 }),
            400,
            "unsupported_parameter",
            json!("dimensions"),
        ),
        (
            json!({ "model": "lengths", "input": vec!["a"; TEXTS_MAX + 1] }),
            400,
            "invalid_value",
            json!("input"),
        ),
        (
            json!({ "model": "lengths", "input": "a", "encoding_format": "hex" }),
            400,
            "invalid_value",
            json!("encoding_format"),
        ),
        (json!({ "model": "lengths", "input": "break" }), 500, "internal_error", Value::Null),
    ];
    for (body, status, code, param) in cases {
        let (got, answer) = embed(body).await;
        let error = &answer["error"];
        assert_eq!(
            (got.as_u16(), &error["code"], &error["param"]),
            (status, &json!(code), &param),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn without_a_model_it_is_said_how_to_get_one() {
    let server = serving(Fake::saying("never"), None, None);
    let (status, answer) =
        post(&server, "/v1/embeddings", &json!({ "model": meaning::MODEL, "input": "a" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("edvac models pull all-minilm-l6-v2"),
        "{answer}"
    );
}
