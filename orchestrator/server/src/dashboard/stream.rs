//! The stream of a run: one a tab, from any record on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use super::answers::RunPath;
use super::asked::{Asked, Place};
use super::desk::Desk;
use super::message::{Message, Nothing};
use super::openapi::{Malformed, Missing, RUNS, Refused};
use super::trouble::Trouble;
use crate::app::KEEP_ALIVE;

/// After how many milliseconds a browser whose stream broke asks again.
const RETRY_MS: u64 = 500;
/// What a browser that was cut off says of where it was.
const LAST_EVENT_ID: &str = "last-event-id";

/// From where on.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct From {
    /// The last record that is known already; 0 is none. The header `Last-Event-ID` goes before it.
    #[serde(default)]
    after: u64,
}

/// Follows a run: what happened after a record, then what happens, as it happens.
///
/// Server-sent events, as `EventSource` reads them: `event` has the kind, `data` has JSON. It does not end by itself. One who lags
/// too far behind is cut off, and goes on from its last record by asking again; browsers do so by themselves.
#[utoipa::path(
    get, path = "/api/runs/{run}/events", operation_id = "followRun", tag = RUNS,
    params(
        RunPath, From,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last record that is known already, as browsers send it that come again."),
    ),
    responses(
        (status = 200, description = "Messages, one after the other.", body = Message, content_type = "text/event-stream"),
        Malformed, Missing, Refused
    )
)]
pub(super) async fn events(
    State(desk): State<Arc<Desk>>,
    Place(at): Place<RunPath>,
    Asked(from): Asked<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Trouble> {
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
    let dir = desk.find(&at.run)?;
    let after = last.unwrap_or(from.after);
    let mut heard = desk.feed(&dir).await?.listen(after).await;
    if heard.is_none() {
        // It had just ended because nobody listened; a new one begins.
        heard = desk.feed(&dir).await?.listen(after).await;
    }
    let Some((missed, receiver)) = heard else { return Err(Trouble::machine("the server is ending")) };
    let hello = Event::from(Message::Hello(Nothing {})).retry(std::time::Duration::from_millis(RETRY_MS));
    // One who lags too far behind is cut off, comes again, and goes on from its last record.
    let coming = stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(_) | RecvError::Closed) => None,
        }
    });
    let all = stream::once(async { hello }).chain(stream::iter(missed)).chain(coming);
    let ended = desk.stopping.clone().cancelled_owned();
    let all = all.take_until(ended).map(Ok);
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
