//! Why there is no page, and no JSON: the same words for both.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use edvac_memory::store::StoreError;
use edvac_orchestrator::place::PlaceError;
use edvac_orchestrator::price::example;
use edvac_orchestrator::run::RunError;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

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

/// An answer other than the one that was asked for, in the shape that OpenAI's API has, too.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    error: ProblemDetail,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
struct ProblemDetail {
    /// What, why and what to do, for people.
    message: String,
    /// The class: `invalid_request_error`, `authentication_error`, `permission_error` or `server_error`.
    r#type: &'static str,
    /// The parameter, or the field of a form, that is at fault, where one is told apart.
    #[schema(required)]
    param: Option<String>,
    /// What exactly, for programs.
    code: &'static str,
}

impl From<Trouble> for Problem {
    fn from(trouble: Trouble) -> Self {
        let code = match trouble.status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::CONFLICT => "conflict",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::UNPROCESSABLE_ENTITY => "invalid_body",
            status if status.is_client_error() => "invalid_request",
            _ => "internal_error",
        };
        let r#type = if trouble.status.is_client_error() { "invalid_request_error" } else { "server_error" };
        Self {
            error: ProblemDetail {
                message: trouble.why,
                r#type,
                param: trouble.field.map(str::to_owned),
                code,
            },
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        (self.status, Json(Problem::from(self))).into_response()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::refusal::Refusal;

    #[test]
    fn whoever_refuses_uses_the_same_shape() {
        let keys = |value: Value| {
            let error = value["error"].as_object().unwrap();
            error.keys().cloned().collect::<BTreeSet<_>>()
        };
        let at_the_door = keys(json!(Refusal::token().body_json()));
        let inside = keys(json!(Problem::from(Trouble::missing("there is nothing"))));
        assert_eq!(inside, at_the_door);
    }
}
