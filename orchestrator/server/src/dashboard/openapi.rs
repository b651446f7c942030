//! The API's description as OpenAPI 3.1, made of what answers: operations, parameters and schemas are those of the code.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::{Extension, Json};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, OpenApi};

pub(crate) use super::trouble::Problem;

/// Tags, which are the sections of the description.
pub(super) const RUNS: &str = "Runs";
pub(super) const RESULTS: &str = "Results";
pub(super) const ACTIONS: &str = "Actions";
pub(crate) const MACHINE: &str = "Machine";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "edvac",
        description = "Everything that the dashboard shows is JSON here, made of the same types, and everything that its pages do is \
                       asked for here.\n\n\
                       Requests carry the token of `server/token` in the state directory, which `edvac config` names: \
                       `curl -H \"Authorization: Bearer $(cat STATE/server/token)\" http://127.0.0.1:8765/api/runs`. A browser that \
                       logged in has a cookie instead; what it changes has to come from a page of this server. No answer \
                       carries a CORS header.\n\n\
                       Every answer in JSON has `schema_version`; fields may be added within a version. What is refused or fails has \
                       the status that says so and a `Problem`. Bodies have at most 4 MiB.\n\n\
                       The model itself is served below `/v1`, which is OpenAI's API and is described by OpenAI's own specification.",
        version = env!("CARGO_PKG_VERSION"),
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "The server that this is of.")),
    tags(
        (name = RUNS, description = "What runs are, do and did."),
        (name = RESULTS, description = "What a run made: its files, what changed in them, its book."),
        (name = ACTIONS, description = "What can be asked of runs. It is done to its end, also where nobody waits for the answer."),
        (name = MACHINE, description = "What is there beside runs."),
    ),
    security(("token" = []), ("cookie" = [])),
    components(schemas(Problem)),
)]
struct Description;

/// The description without its operations, for a server whose cookie has this name.
pub(super) fn head(cookie: &str) -> utoipa::openapi::OpenApi {
    let mut head = Description::openapi();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "The token of `server/token` in the state directory, or the one that the server was started with.",
    ));
    let by_browser = ApiKeyValue::with_description(
        cookie,
        "What a browser has that logged in with the token or the link. Its name ends in the server's port.",
    );
    let components = head.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(by_browser)));
    head
}

/// Gives this description.
#[utoipa::path(
    get, path = "/api/openapi.json", operation_id = "getDescription", tag = MACHINE,
    responses((status = 200, description = "OpenAPI 3.1.", body = Object), Refused)
)]
pub(super) async fn describe(
    Extension(description): Extension<Arc<utoipa::openapi::OpenApi>>,
) -> Json<utoipa::openapi::OpenApi> {
    Json(utoipa::openapi::OpenApi::clone(&description))
}

/// Answers of every operation that is guarded.
pub(crate) enum Refused {}
/// Answers to a request whose path, query or body cannot be used.
pub(super) enum Malformed {}
/// Answers where what is asked for is not there.
pub(super) enum Missing {}
/// Answers where what is asked for does not fit how the run stands.
pub(super) enum Conflicting {}
/// Answers to bodies that cannot be understood.
pub(super) enum Unusable {}

impl IntoResponses for Refused {
    fn responses() -> Problems {
        problems(&[
            ("401", "The token is missing or wrong."),
            ("403", "The request comes from another site, or was sent to another host."),
            ("500", "This machine failed; the message says at what."),
        ])
    }
}

impl IntoResponses for Malformed {
    fn responses() -> Problems {
        problems(&[("400", "Something in the request cannot be used; the message says what.")])
    }
}

impl IntoResponses for Missing {
    fn responses() -> Problems {
        problems(&[("404", "It is not there.")])
    }
}

impl IntoResponses for Conflicting {
    fn responses() -> Problems {
        problems(&[("409", "It does not fit how things stand; the message says why.")])
    }
}

impl IntoResponses for Unusable {
    fn responses() -> Problems {
        problems(&[
            ("413", "The body is too large."),
            ("415", "The body is not said to be `application/json`."),
            ("422", "The body has not the fields that it should have; the message names the first."),
        ])
    }
}

type Problems = BTreeMap<String, RefOr<Response>>;

fn problems(all: &[(&str, &str)]) -> Problems {
    let answer = |why: &str| {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        ResponseBuilder::new().description(why).content("application/json", content).build()
    };
    all.iter().map(|(status, why)| ((*status).to_owned(), answer(why).into())).collect()
}
