//! Which address shows what to people. [`super::api`] has the same for programs, made of the same [`super::answers`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Html;
use serde::Serialize;
use serde_json::json;

use super::answers::{
    Between, BookAnswer, DiffAnswer, FilesAnswer, Filter, MemoryAnswer, ModelsAnswer, Moment, PlanAnswer,
    PromptAnswer, PromptPath, ReplayAnswer, RunList, RunPage, RunPath, StepAnswer, StepPath, Versions,
    Wanted, Which, Window,
};
use super::asked::{Asked, Place};
use super::desk::Desk;
use super::render;
use super::trouble::OnPage;

/// How long a page waits for a journal that is read for the first time.
const PATIENCE: Duration = Duration::from_millis(250);

pub(super) type Page = Result<Html<String>, OnPage>;
type Told = State<Arc<Desk>>;

/// A page of a template and what it shows.
pub(super) fn html(name: &str, view: &impl Serialize) -> Page {
    Ok(Html(render::page(name, view)?))
}

pub(super) async fn runs(State(desk): Told, Asked(filter): Asked<Filter>) -> Page {
    html("runs.html", &RunList::of(&desk, &filter).await)
}

pub(super) async fn run(State(desk): Told, Place(at): Place<RunPath>, Asked(window): Asked<Window>) -> Page {
    let dir = desk.find(&at.run)?;
    match tokio::time::timeout(PATIENCE, desk.watch(&dir)).await {
        Ok(shared) => {
            let shared = shared?;
            let view = RunPage::of(&*shared.lock().await, &window);
            html("run.html", &view)
        }
        // It is read on; the page looks again.
        Err(_) => html("reading.html", &json!({ "run": { "run": dir.id } })),
    }
}

pub(super) async fn step(State(desk): Told, Place(at): Place<StepPath>) -> Page {
    html("step.html", &StepAnswer::of(&desk, &at).await?)
}

pub(super) async fn prompt(State(desk): Told, Place(at): Place<PromptPath>) -> Page {
    html("prompt.html", &PromptAnswer::of(&desk, &at).await?)
}

pub(super) async fn files(State(desk): Told, Place(at): Place<RunPath>, Asked(which): Asked<Which>) -> Page {
    html("files.html", &FilesAnswer::of(&desk, &at, which).await?)
}

pub(super) async fn diff(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(between): Asked<Between>,
) -> Page {
    html("diff.html", &DiffAnswer::of(&desk, &at, &between).await?)
}

pub(super) async fn plan(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(versions): Asked<Versions>,
) -> Page {
    html("plan.html", &PlanAnswer::of(&desk, &at, &versions).await?)
}

pub(super) async fn replay(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(moment): Asked<Moment>,
) -> Page {
    html("replay.html", &ReplayAnswer::of(&desk, &at, &moment).await?)
}

pub(super) async fn book(State(desk): Told, Place(at): Place<RunPath>) -> Page {
    html("book.html", &BookAnswer::of(&desk, &at).await?)
}

pub(super) async fn memory(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(wanted): Asked<Wanted>,
    Asked(window): Asked<Window>,
) -> Page {
    html("memory.html", &MemoryAnswer::of(&desk, &at, wanted, &window).await?)
}

pub(super) async fn models(State(desk): Told) -> Page {
    html("models.html", &ModelsAnswer::of(&desk).await?)
}
