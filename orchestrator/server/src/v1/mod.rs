//! OpenAI's API: which address is answered by which file, and how a body is read.

pub(crate) mod chat;
pub(crate) mod embeddings;
mod models;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::App;
use crate::refusal::Refusal;

/// Everything below `/v1`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/models", get(models::list))
        .route("/models/{model}", get(models::one))
        .route("/chat/completions", post(chat::completions))
        .route("/embeddings", post(embeddings::embeddings))
}

/// The body as JSON.
fn json(body: Result<Bytes, BytesRejection>) -> Result<Value, Refusal> {
    let bytes = body.map_err(|rejection| Refusal::body(rejection.status(), &rejection.body_text()))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| Refusal::not_json(&e.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(Refusal::not_json("it is not an object")) }
}

/// A value as what it should be; the refusal names the place that is not.
fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { "The body".to_owned() } else { path.clone() };
        Refusal::value(path, format!("{place} cannot be used: {}.", error.inner()))
    })
}

/// An id as OpenAI makes them: a prefix that says of what, then letters and digits.
fn id(prefix: &str) -> String {
    /// 24 letters and digits: 142 bits.
    const CHARS: usize = 24;
    let random =
        rand::distr::SampleString::sample_string(&rand::distr::Alphanumeric, &mut rand::rng(), CHARS);
    format!("{prefix}{random}")
}

/// Now, in OpenAI's unit.
fn now_seconds() -> u32 {
    jiff::Timestamp::now().as_second().try_into().unwrap_or(u32::MAX)
}
