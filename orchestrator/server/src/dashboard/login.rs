//! The way in: a link that opens the dashboard once, or the token itself.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::asked::Asked;
use super::view::now_ms;
use crate::access::{Access, Login};

/// Seconds after which somebody who guessed too often may try again.
const RETRY_S: &str = "60";

/// What a link carries.
#[derive(Deserialize)]
pub(super) struct ByCode {
    #[serde(default)]
    code: String,
    /// The page to go on to.
    #[serde(default)]
    to: String,
}

/// What the form carries.
#[derive(Deserialize)]
pub(super) struct ByToken {
    #[serde(default)]
    token: String,
}

pub(super) async fn by_code(State(access): State<Arc<Access>>, Asked(sent): Asked<ByCode>) -> Response {
    if sent.code.is_empty() {
        return page(StatusCode::OK, "");
    }
    answer(&access, &sent.code, &sent.to, "This link was used before, or is of a server that has ended.")
}

pub(super) async fn by_token(
    State(access): State<Arc<Access>>,
    sent: Result<Form<ByToken>, FormRejection>,
) -> Response {
    match sent {
        Ok(Form(sent)) => answer(&access, sent.token.trim(), "", "This is not the token."),
        Err(rejection) => page(rejection.status(), &rejection.body_text()),
    }
}

fn answer(access: &Access, sent: &str, to: &str, wrong: &str) -> Response {
    match access.log_in(sent) {
        Login::Granted => {
            // A page of ours leads on: a browser that came from elsewhere would not send a strict cookie with a redirect.
            let to = if is_ours(to) { to } else { "/" };
            let page = match super::render::page("entered.html", &json!({ "to": to })) {
                Ok(page) => page,
                Err(error) => return error.to_string().into_response(),
            };
            let cookie = access.cookie(now_ms() / 1000).to_string();
            ([(SET_COOKIE, cookie)], Html(page)).into_response()
        }
        Login::Wrong => page(StatusCode::UNAUTHORIZED, wrong),
        Login::TooMany => {
            let page = page(StatusCode::TOO_MANY_REQUESTS, "Too many wrong tokens. Try again in a minute.");
            ([(RETRY_AFTER, RETRY_S)], page).into_response()
        }
    }
}

/// Whether an address is one of a run's page, and not of another server.
fn is_ours(to: &str) -> bool {
    let run = to.strip_prefix("/runs/");
    run.is_some_and(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// The page that asks for the token.
pub(super) fn page(status: StatusCode, why: &str) -> Response {
    match super::render::page("login.html", &json!({ "why": why })) {
        Ok(page) => (status, Html(page)).into_response(),
        Err(error) => (status, format!("{why}\n{error}")).into_response(),
    }
}
