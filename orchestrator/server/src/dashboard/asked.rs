//! What a request says: in its path, in its query, in its body. What cannot be understood is answered as everything else that
//! cannot be done: with JSON below `/api`, with a page elsewhere.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::trouble::{OnPage, Trouble};

/// Where everything is for programs.
const API: &str = "/api/";

/// The parts of a path. What cannot be one is not found.
pub(crate) struct Place<T>(pub T);

/// The query.
pub(crate) struct Asked<T>(pub T);

/// The body, as JSON.
pub(crate) struct Sent<T>(pub T);

/// Why a request was not understood, for whoever made it.
pub(crate) struct NotUnderstood {
    trouble: Trouble,
    on_page: bool,
}

impl NotUnderstood {
    fn of(parts: &Parts, trouble: Trouble) -> Self {
        Self { trouble, on_page: !parts.uri.path().starts_with(API) }
    }
}

impl IntoResponse for NotUnderstood {
    fn into_response(self) -> Response {
        if self.on_page { OnPage(self.trouble).into_response() } else { self.trouble.into_response() }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = NotUnderstood;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NotUnderstood> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        found
            .map(|Path(place)| Self(place))
            .map_err(|error| NotUnderstood::of(parts, Trouble::missing(error.body_text())))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = NotUnderstood;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NotUnderstood> {
        let found = Query::<T>::from_request_parts(parts, state).await;
        found
            .map(|Query(asked)| Self(asked))
            .map_err(|error| NotUnderstood::of(parts, Trouble::bad(error.body_text())))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Trouble;

    async fn from_request(request: Request, state: &S) -> Result<Self, Trouble> {
        let found = Json::<T>::from_request(request, state).await;
        found.map(|Json(sent)| Self(sent)).map_err(|rejection| Trouble {
            status: rejection.status(),
            why: rejection.body_text(),
            field: None,
        })
    }
}
