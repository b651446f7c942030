//! The dashboard: pages over runs, the API that they are clients of, and the streams that keep them up to date.
//!
//! [`view`] says what is shown, [`pages`] which address shows it, [`feed`] what is new; [`actions`] does what a page asks. A page
//! and its JSON are made of the same view: `/runs/RUN` and `/api/runs/RUN`.

pub(crate) mod actions;
mod book;
mod desk;
mod feed;
pub(crate) mod files;
mod highlight;
mod hosted;
mod login;
mod machine;
mod pages;
mod render;
mod search;
mod step;
mod stream;
pub(crate) mod trouble;
pub mod view;
pub(crate) mod watched;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::access::Access;
use crate::refusal::Refusal;

use trouble::{OnPage, Trouble};

pub use desk::{Desk, Opener};

/// What a page may do: show what this server sends, ask this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All addresses of the dashboard.
pub(crate) fn routes(desk: Arc<Desk>, access: Arc<Access>) -> Router {
    let entry = Router::new().route("/login", get(login::by_code).post(login::by_token)).with_state(access);
    let pages = Router::new()
        .route("/", get(pages::runs))
        .route("/assets/{name}", get(asset))
        .route("/runs/{run}", get(pages::run))
        .route("/runs/{run}/steps/{step}", get(pages::step))
        .route("/runs/{run}/prompts/{seq}", get(pages::prompt))
        .route("/runs/{run}/files", get(pages::files))
        .route("/runs/{run}/diff", get(pages::diff))
        .route("/runs/{run}/plan", get(pages::plan))
        .route("/runs/{run}/replay", get(pages::replay))
        .route("/runs/{run}/book", get(pages::book))
        .route("/runs/{run}/memory", get(pages::memory))
        .route("/models", get(pages::models))
        .route("/api/runs", get(pages::api_runs).post(actions::start))
        .route("/api/runs/{run}", get(pages::api_run))
        .route("/api/runs/{run}/events", get(stream::events))
        .route("/api/runs/{run}/steps/{step}", get(pages::api_step))
        .route("/api/runs/{run}/prompts/{seq}", get(pages::api_prompt))
        .route("/api/runs/{run}/files", get(pages::api_files))
        .route("/api/runs/{run}/raw", get(pages::raw))
        .route("/api/runs/{run}/diff", get(pages::api_diff))
        .route("/api/runs/{run}/plan", get(pages::api_plan).put(actions::amend))
        .route("/api/runs/{run}/replay", get(pages::api_replay))
        .route("/api/runs/{run}/book", get(pages::api_book))
        .route("/api/runs/{run}/memory", get(pages::api_memory))
        .route("/api/models", get(pages::api_models))
        .route("/api/runs/{run}/{action}", post(actions::act))
        .with_state(desk);
    entry.merge(pages).layer(from_fn(hardened))
}

/// A file of the pages themselves.
async fn asset(axum::extract::Path(name): axum::extract::Path<String>) -> Response {
    match render::asset(&name) {
        Some((content, kind)) => ([(CONTENT_TYPE, kind)], content).into_response(),
        None => Refusal::no_such_address(&format!("/assets/{name}")).into_response(),
    }
}

/// Whether a browser asks for a page, so that it is answered with one.
pub(crate) fn is_page(request: &Request) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let is_api = request.uri().path().starts_with("/api/") || request.uri().path().starts_with("/v1/");
    !is_api && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// The page for somebody who is not let in.
pub(crate) fn refused(refusal: &Refusal) -> Response {
    let mut response = login::page(refusal.status, &refusal.message);
    harden(&mut response);
    response
}

/// The page for an address that leads nowhere.
pub(crate) fn missing(refusal: &Refusal) -> Response {
    let mut response = OnPage(Trouble::missing(refusal.message.clone())).into_response();
    harden(&mut response);
    response
}

async fn hardened(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    harden(&mut response);
    response
}

/// What browsers are told of everything that comes from here. A header that is there already is stricter, and stays.
fn harden(response: &mut Response) {
    let all = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Stricter, and browsers would not say where a form comes from.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in all {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod feed_tests;
#[cfg(test)]
mod security_tests;
#[cfg(test)]
pub(crate) mod testing;
