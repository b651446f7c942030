//! `POST /v1/chat/completions`.
//!
//! `request` turns a body into what the model is asked and how it is answered, with `conversation`, `tools` and `bind`;
//! `making` has the model make the reply; `reply` and `stream` say it.

mod bind;
mod calls;
mod conversation;
mod making;
mod reply;
mod request;
mod stream;
mod tools;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};

use super::json;
use crate::app::App;
use crate::refusal::Refusal;
use making::Making;

pub(crate) async fn completions(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let ask = request::read(json(body)?, app.client.info())?;
    let mut making = Making::begin(&app, ask.request).await?;
    // Whatever can be refused is refused before a stream begins: its status cannot be taken back.
    making.begun().await?;
    if ask.shape.stream {
        return Ok(stream::stream(app, making, &ask.shape).into_response());
    }
    let reply = making.whole().await?;
    Ok(Json(reply::completion(&reply, &ask.shape.tools)).into_response())
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
