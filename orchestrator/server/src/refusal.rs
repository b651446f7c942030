//! What a client is told when there is no answer, in OpenAI's shape.

use async_openai::error::{ApiError, WrappedError};
use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use edvac_agents::client::ModelError;

use crate::queue::WAITING_MAX;

/// After how many seconds a client that found the queue full may try again.
const RETRY_SECONDS: u64 = 5;

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// OpenAI's class of the error.
    pub kind: &'static str,
    /// What exactly, for programs.
    pub code: &'static str,
    /// The parameter at fault.
    pub param: Option<String>,
    /// What, why, and what to do, for people.
    pub message: String,
}

/// The code of a refusal, kept with its response for the metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub &'static str);

const INVALID: &str = "invalid_request_error";

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code, param: None, message: message.into() }
    }

    fn about(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// A parameter has a value that cannot be used.
    pub fn value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_value", message).about(param)
    }

    /// A parameter asks for something that this server does not do.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, "unsupported_parameter", message).about(param)
    }

    /// The body is no JSON.
    pub fn not_json(why: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_json", format!("The body is not JSON: {why}."))
    }

    /// The body could not be read, or is too large.
    pub fn body(status: StatusCode, why: &str) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let message =
                format!("The body is larger than {} bytes; send less text.", crate::app::BODY_BYTES_MAX);
            return Self::new(status, INVALID, "request_too_large", message);
        }
        Self::new(status, INVALID, "unreadable_body", format!("The body could not be read: {why}."))
    }

    /// A grammar or schema that cannot bind a reply.
    pub fn schema(param: impl Into<String>, why: &str) -> Self {
        let message = format!("This cannot bind a reply: {why}. Simplify it, or leave it out.");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_schema", message).about(param)
    }

    /// A model that is not served here.
    pub fn model(asked: &str, served: &str) -> Self {
        let message =
            format!("There is no model {asked:?} here. This server has {served}; see GET /v1/models.");
        Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message).about("model")
    }

    /// The prompt does not fit.
    pub fn too_long(prompt_tokens: usize, window_tokens: usize) -> Self {
        let message = format!(
            "The messages have {prompt_tokens} tokens and the model's window, which must hold the reply too, has \
             {window_tokens}. Send less text, or serve the model with a larger window."
        );
        Self::new(StatusCode::BAD_REQUEST, INVALID, "context_length_exceeded", message).about("messages")
    }

    /// No such address.
    pub fn no_such_address(path: &str) -> Self {
        let message = format!("There is nothing at {path}.");
        Self::new(StatusCode::NOT_FOUND, INVALID, "not_found", message)
    }

    /// The address exists, but not for this method.
    pub fn method(method: &Method) -> Self {
        let message = format!("This address does not take {method}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed", message)
    }

    /// No token, or a wrong one.
    pub fn token() -> Self {
        let message = "This server wants its token: send it as `Authorization: Bearer TOKEN`.";
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_api_key", message)
    }

    /// A browser was led here by another site.
    pub fn foreign(what: &str) -> Self {
        let message = format!("{what} Only this machine's own programs may ask this server.");
        Self::new(StatusCode::FORBIDDEN, "permission_error", "foreign_request", message)
    }

    /// The server was started without a model.
    pub fn no_model() -> Self {
        let message = "No model is served here. Start `edvac serve` without --no-model.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "no_model", message)
    }

    /// Too many wait.
    pub fn full() -> Self {
        let message = format!("{WAITING_MAX} requests wait for the model already. Try again later.");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "queue_full", message)
    }

    /// The server's own failure.
    pub fn internal(why: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal_error", why)
    }

    /// As it goes over the wire.
    pub fn body_json(&self) -> WrappedError {
        WrappedError {
            error: ApiError {
                message: self.message.clone(),
                r#type: Some(self.kind.to_owned()),
                param: self.param.clone(),
                code: Some(self.code.to_owned()),
                misalignment: None,
            },
        }
    }
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Overflow { prompt_tokens, window_tokens } => {
                Self::too_long(prompt_tokens, window_tokens)
            }
            ModelError::Cancelled => Self::internal("The reply was cancelled."),
            other => Self::internal(other.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body_json())).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        response.extensions_mut().insert(Code(self.code));
        response
    }
}
