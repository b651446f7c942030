//! Why there is no page, and no JSON: the same words for both.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use edvac_memory::store::StoreError;
use edvac_orchestrator::place::PlaceError;
use edvac_orchestrator::price::example;
use edvac_orchestrator::run::RunError;
use serde_json::json;

/// Why something cannot be shown or done.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub status: StatusCode,
    /// What, and where it is known why and what to do.
    pub why: String,
    /// The field of a form that it is about.
    pub field: Option<&'static str>,
}

impl Trouble {
    /// Something that is not there.
    pub fn missing(why: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, why: why.into(), field: None }
    }

    /// A request that cannot be understood.
    pub fn bad(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into(), field: None }
    }

    /// A request that does not fit how the run stands.
    pub fn conflict(why: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, why: why.into(), field: None }
    }

    /// A failure of this machine.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub fn machine(why: impl ToString) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, why: why.to_string(), field: None }
    }

    /// The same, about a field of a form.
    pub fn at(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }
}

impl From<PlaceError> for Trouble {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Unknown { .. } | PlaceError::None { .. } => Self::missing(error.to_string()),
            PlaceError::Ambiguous { .. } => Self::bad(error.to_string()),
            PlaceError::Journal(_) | PlaceError::Drive(_) => Self::machine(error),
        }
    }
}

impl From<RunError> for Trouble {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Place(error) => error.into(),
            RunError::Store(_) | RunError::Index(_) | RunError::Drive(_) | RunError::Io { .. } => {
                Self::machine(error)
            }
            RunError::BadName { .. } => Self::bad(
                "This cannot be the name of a directory: use letters, digits, dashes and dots, not too many of them.",
            )
            .at("name"),
            RunError::Existing(error) => Self::conflict(format!("{error}. {}", error.fix())).at("in"),
            RunError::WorkspaceExists { .. } => {
                Self::conflict(format!("{error}. Choose another name, or leave it out and one is made."))
                    .at("name")
            }
            RunError::UnknownPrice { ref model } => {
                let fix = format!("Write it into the configuration: {}; or limit something else.", example(model));
                Self::bad(format!("{error}. {fix}")).at("max_cost")
            }
            RunError::EmptyTask
            | RunError::LongTask { .. }
            | RunError::BadProgram { .. }
            | RunError::Domain(_) => Self::bad(error.to_string()),
            other => Self::conflict(other.to_string()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadPath { .. } => Self::bad(error.to_string()),
            StoreError::NotFound { .. } => Self::missing(error.to_string()),
            other => Self::machine(other),
        }
    }
}

impl From<tera::Error> for Trouble {
    fn from(error: tera::Error) -> Self {
        // The chain names the template and the place in it.
        Self::machine(format!("this page cannot be made: {error:?}"))
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut error = json!({ "message": self.why });
        if let Some(field) = self.field {
            error["field"] = field.into();
        }
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}

/// The same for people.
pub(crate) struct OnPage(pub Trouble);

impl<T: Into<Trouble>> From<T> for OnPage {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for OnPage {
    fn into_response(self) -> Response {
        let Trouble { status, why, .. } = self.0;
        let title = status.canonical_reason().unwrap_or("Trouble");
        let view = json!({ "title": title, "why": why });
        match super::render::page("problem.html", &view) {
            Ok(page) => (status, Html(page)).into_response(),
            Err(error) => (status, format!("{why}\n{error}")).into_response(),
        }
    }
}

/// A path's parts, for a page. What cannot be one is not found.
pub(crate) struct Place<T>(pub T);

impl<T: serde::de::DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Trouble> {
        let found = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        found.map(|path| Self(path.0)).map_err(|error| Trouble::missing(error.body_text()))
    }
}
