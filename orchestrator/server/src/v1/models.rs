//! `GET /v1/models`: what is served here, with what a client of edvac's own wants to know.

use std::sync::Arc;

use async_openai::types::models::Model;
use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use crate::app::App;
use crate::refusal::Refusal;

/// A model as OpenAI lists it, and an extension.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    model: Model,
    /// Absent for models that write nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    edvac: Option<Abilities>,
}

/// What edvac's client needs to use a model as if it were in its own process.
#[derive(Debug, Serialize)]
struct Abilities {
    /// Whether `response_format` may be `{"type": "grammar", "grammar": …}`.
    grammar: bool,
    /// Prompt and reply together.
    window_tokens: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct List {
    object: &'static str,
    data: Vec<Entry>,
}

fn entry(app: &App, id: &str, edvac: Option<Abilities>) -> Entry {
    let created = app.since.try_into().unwrap_or(u32::MAX);
    let model = Model {
        id: id.to_owned(),
        object: "model".to_owned(),
        created,
        owned_by: "edvac".to_owned(),
        ..Model::default()
    };
    Entry { model, edvac }
}

fn entries(app: &App) -> Vec<Entry> {
    let info = app.client.info();
    let abilities = Abilities { grammar: info.grammar, window_tokens: info.window_tokens };
    let mut all = vec![entry(app, &info.model, Some(abilities))];
    all.extend(app.embeddings.as_ref().map(|e| entry(app, e.model(), None)));
    all
}

pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<List> {
    Json(List { object: "list", data: entries(&app) })
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Path(asked): Path<String>,
) -> Result<Json<Entry>, Refusal> {
    let mut all = entries(&app);
    if let Some(at) = all.iter().position(|e| e.model.id == asked) {
        return Ok(Json(all.swap_remove(at)));
    }
    let served: Vec<_> = all.iter().map(|e| e.model.id.as_str()).collect();
    Err(Refusal::model(&asked, &served.join(" and ")))
}
