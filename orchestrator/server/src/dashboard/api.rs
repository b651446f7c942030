//! Which address tells what to programs. The comment above an operation is what its description says.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::answers::{
    self, Between, BookAnswer, DiffAnswer, FilesAnswer, Filter, MemoryAnswer, ModelsAnswer, Moment, OneFile,
    PlanAnswer, PromptAnswer, PromptPath, ReplayAnswer, RunAnswer, RunList, RunPath, StepAnswer, StepPath,
    Versions, Wanted, Which, Window,
};
use super::asked::{Asked, Place};
use super::desk::Desk;
use super::openapi::{MACHINE, Malformed, Missing, RESULTS, RUNS, Refused};
use super::trouble::Trouble;

type Told = State<Arc<Desk>>;
type Api<T> = Result<Json<T>, Trouble>;

/// Lists all runs, the youngest first.
///
/// A run whose journal is read for the first time, and takes long, has the status `being read` and is whole the next time.
#[utoipa::path(
    get, path = "/api/runs", operation_id = "listRuns", tag = RUNS, params(Filter),
    responses((status = 200, description = "The runs.", body = RunList), Malformed, Refused)
)]
pub(super) async fn runs(State(desk): Told, Asked(filter): Asked<Filter>) -> Json<RunList> {
    Json(RunList::of(&desk, &filter).await)
}

/// Tells how a run stands: its figures, steps, requirements and timeline, and what can be asked of it.
#[utoipa::path(
    get, path = "/api/runs/{run}", operation_id = "getRun", tag = RUNS, params(RunPath),
    responses((status = 200, description = "The run.", body = RunAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn run(State(desk): Told, Place(at): Place<RunPath>) -> Api<RunAnswer> {
    Ok(Json(RunAnswer::of(&desk, &at).await?))
}

/// Tells what a step was to do, and what each attempt at it did.
#[utoipa::path(
    get, path = "/api/runs/{run}/steps/{step}", operation_id = "getStep", tag = RUNS, params(StepPath),
    responses((status = 200, description = "The step.", body = StepAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn step(State(desk): Told, Place(at): Place<StepPath>) -> Api<StepAnswer> {
    Ok(Json(StepAnswer::of(&desk, &at).await?))
}

/// Tells what a prompt is made of, with all its texts and what was left out.
#[utoipa::path(
    get, path = "/api/runs/{run}/prompts/{seq}", operation_id = "getPrompt", tag = RUNS, params(PromptPath),
    responses((status = 200, description = "The prompt.", body = PromptAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn prompt(State(desk): Told, Place(at): Place<PromptPath>) -> Api<PromptAnswer> {
    Ok(Json(PromptAnswer::of(&desk, &at).await?))
}

/// Tells how a run stood after an entry of its log.
#[utoipa::path(
    get, path = "/api/runs/{run}/replay", operation_id = "replayRun", tag = RUNS, params(RunPath, Moment),
    responses((status = 200, description = "The run as it was.", body = ReplayAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn replay(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(moment): Asked<Moment>,
) -> Api<ReplayAnswer> {
    Ok(Json(ReplayAnswer::of(&desk, &at, &moment).await?))
}

/// Gives the program as TOML, its versions, and what changed between two of them.
#[utoipa::path(
    get, path = "/api/runs/{run}/plan", operation_id = "getProgram", tag = RUNS, params(RunPath, Versions),
    responses((status = 200, description = "The program.", body = PlanAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn plan(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(versions): Asked<Versions>,
) -> Api<PlanAnswer> {
    Ok(Json(PlanAnswer::of(&desk, &at, &versions).await?))
}

/// Lists the files of a run, and shows one of them line by line with the step that wrote each.
#[utoipa::path(
    get, path = "/api/runs/{run}/files", operation_id = "listFiles", tag = RESULTS, params(RunPath, Which),
    responses((status = 200, description = "The files.", body = FilesAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn files(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(which): Asked<Which>,
) -> Api<FilesAnswer> {
    Ok(Json(FilesAnswer::of(&desk, &at, which).await?))
}

/// Gives a file as it is.
///
/// Never as what its name says: what a model wrote is text here, whatever it would be elsewhere. Bytes that are no UTF-8 come
/// as they are.
#[utoipa::path(
    get, path = "/api/runs/{run}/raw", operation_id = "getFile", tag = RESULTS, params(RunPath, OneFile),
    responses(
        (status = 200, description = "The file's bytes.", body = String, content_type = "text/plain; charset=utf-8"),
        Malformed, Missing, Refused
    )
)]
pub(super) async fn raw(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(file): Asked<OneFile>,
) -> Result<Response, Trouble> {
    let content = answers::raw(&desk, &at, file).await?;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (CONTENT_DISPOSITION, "inline; filename=\"file.txt\""),
    ];
    Ok((StatusCode::OK, headers, content).into_response())
}

/// Tells what a step, or the run, changed, as lines of two sides.
#[utoipa::path(
    get, path = "/api/runs/{run}/diff", operation_id = "getChanges", tag = RESULTS, params(RunPath, Between),
    responses((status = 200, description = "The changes.", body = DiffAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn diff(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(between): Asked<Between>,
) -> Api<DiffAnswer> {
    Ok(Json(DiffAnswer::of(&desk, &at, &between).await?))
}

/// Gives a book with its chapters as HTML, and where its canon is told.
///
/// A run that is no book has none: 404.
#[utoipa::path(
    get, path = "/api/runs/{run}/book", operation_id = "getBook", tag = RESULTS, params(RunPath),
    responses((status = 200, description = "The book.", body = BookAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn book(State(desk): Told, Place(at): Place<RunPath>) -> Api<BookAnswer> {
    Ok(Json(BookAnswer::of(&desk, &at).await?))
}

/// Searches the files of a run as its workers do: by words and, where there is a model for it, by meaning.
///
/// Besides, it tells which step wrote and was shown which file, and where a book tells what its canon settles.
#[utoipa::path(
    get, path = "/api/runs/{run}/memory", operation_id = "searchMemory", tag = RESULTS, params(RunPath, Wanted, Window),
    responses((status = 200, description = "What was found, and what is connected.", body = MemoryAnswer), Malformed, Missing, Refused)
)]
pub(super) async fn memory(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Asked(wanted): Asked<Wanted>,
    Asked(window): Asked<Window>,
) -> Api<MemoryAnswer> {
    Ok(Json(MemoryAnswer::of(&desk, &at, wanted, &window).await?))
}

/// Lists the models of this machine, and the keys and values that are kept on its disk.
#[utoipa::path(
    get, path = "/api/models", operation_id = "listModels", tag = MACHINE,
    responses((status = 200, description = "Models and snapshots.", body = ModelsAnswer), Refused)
)]
pub(super) async fn models(State(desk): Told) -> Api<ModelsAnswer> {
    Ok(Json(ModelsAnswer::of(&desk).await?))
}
