//! The stream of a run: one a tab, from any record on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::desk::Desk;
use super::trouble::{Place, Trouble};
use crate::app::KEEP_ALIVE;

/// After how many milliseconds a browser whose stream broke asks again.
const RETRY_MS: u64 = 500;
/// What a browser that was cut off says of where it was.
const LAST_EVENT_ID: &str = "last-event-id";

/// From where on.
#[derive(Deserialize)]
pub(super) struct From {
    /// The last record that the page shows.
    #[serde(default)]
    after: u64,
}

/// Everything from a record on: first what was missed, then what comes.
pub(super) async fn events(
    State(desk): State<Arc<Desk>>,
    Place(run): Place<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Trouble> {
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
    let dir = desk.find(&run)?;
    let after = last.unwrap_or(from.after);
    let mut heard = desk.feed(&dir).await?.listen(after).await;
    if heard.is_none() {
        // It had just ended because nobody listened; a new one begins.
        heard = desk.feed(&dir).await?.listen(after).await;
    }
    let Some((missed, receiver)) = heard else { return Err(Trouble::machine("the server is ending")) };
    let retry = Event::default().retry(std::time::Duration::from_millis(RETRY_MS)).event("hello").data("{}");
    // One who lags too far behind is cut off, comes again, and goes on from its last record.
    let coming = stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(event) => Some((event, receiver)),
            Err(RecvError::Lagged(_) | RecvError::Closed) => None,
        }
    });
    let all = stream::once(async { retry }).chain(stream::iter(missed)).chain(coming);
    let ended = desk.stopping.clone().cancelled_owned();
    let all = all.take_until(ended).map(Ok);
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
