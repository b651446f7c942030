//! The dashboard: pages over runs, the API that they are clients of, and the streams that keep them up to date.
//!
//! [`view`] and [`answers`] say what is shown, [`pages`] which address shows it to people and [`api`] which to programs, [`feed`]
//! what is new; [`actions`] does what a page asks. A page and its JSON are made of the same answer: `/runs/RUN` and
//! `/api/runs/RUN`. [`openapi`] describes all of `/api` as it is declared here.

pub(crate) mod actions;
mod answers;
mod api;
mod asked;
mod begin;
mod book;
mod compare;
mod connected;
mod desk;
mod feed;
pub(crate) mod files;
mod graph;
mod highlight;
mod hosted;
mod login;
mod machine;
mod manual;
mod message;
pub(crate) mod openapi;
mod pages;
mod program_graph;
mod render;
mod search;
mod step;
mod stream;
pub(crate) mod trouble;
pub mod view;
pub(crate) mod watched;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app;
use crate::refusal::Refusal;

use asked::Place;
use trouble::{OnPage, Trouble};

pub use desk::{Desk, Opener};

/// What a page may do: show what this server sends, ask this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The addresses for programs. One that is not described cannot be declared: `routes!` takes nothing else.
fn api() -> OpenApiRouter<Arc<Desk>> {
    OpenApiRouter::default()
        .routes(routes!(api::runs, actions::start))
        .routes(routes!(api::run))
        .routes(routes!(stream::events))
        .routes(routes!(api::step))
        .routes(routes!(api::prompt))
        .routes(routes!(api::files))
        .routes(routes!(api::raw))
        .routes(routes!(api::diff))
        .routes(routes!(api::plan, actions::amend))
        .routes(routes!(api::replay))
        .routes(routes!(api::book))
        .routes(routes!(api::memory))
        .routes(routes!(program_graph::json))
        .routes(routes!(compare::json))
        .routes(routes!(api::models))
        .routes(routes!(actions::act))
        .routes(routes!(openapi::describe))
}

/// The description of everything for programs but `/v1`, for a server whose cookie has this name.
pub(crate) fn description(cookie: &str) -> OpenApi {
    let mut all = openapi::head(cookie);
    all.merge(api().into_openapi());
    all.merge(app::health().into_openapi());
    all.merge(app::measured().into_openapi());
    all
}

/// All addresses of the dashboard.
pub(crate) fn routes(desk: Arc<Desk>, access: Arc<Access>) -> Router {
    let description = Arc::new(description(access.cookie_name()));
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
        .route("/runs/{run}/graph", get(program_graph::page))
        .route("/compare", get(compare::page))
        .route("/api", get(manual::page))
        .merge(Router::from(api()))
        .with_state(desk);
    entry.merge(pages).layer(Extension(description)).layer(from_fn(hardened))
}

/// A file of the pages themselves.
async fn asset(Place(name): Place<String>) -> Response {
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
mod api_tests;
#[cfg(test)]
mod feed_tests;
#[cfg(test)]
mod security_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod views_tests;
