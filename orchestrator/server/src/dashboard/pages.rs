//! Which address shows what. Each page has its JSON beside it, made of the same view.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use edvac_memory::ids::InstructionId;
use edvac_memory::program::{Program, exchange};
use edvac_orchestrator::control::Event;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::run::RunError;
use edvac_orchestrator::story::talk;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use similar::TextDiff;

use super::connected::Known;
use super::desk::Desk;
use super::files::{self, At};
use super::render;
use super::step;
use super::trouble::{OnPage, Place, Trouble};
use super::view::now_ms;
use super::view::{self, RunView, StepRow};
use super::watched::Watched;
use super::{begin, book as books, machine, search};

/// Version of all JSON below `/api`.
const SCHEMA_VERSION: u32 = 1;
/// Steps that a page of the program shows.
const STEPS_SHOWN: usize = 100;
/// How long a page waits for a journal that is read for the first time.
const PATIENCE: Duration = Duration::from_millis(250);
/// Lines of the log that a page shows.
const LOG_SHOWN: usize = 200;

type Page = Result<Html<String>, OnPage>;
type Api = Result<Json<Value>, Trouble>;
type Told = State<Arc<Desk>>;

fn html(name: &str, view: &impl Serialize) -> Page {
    Ok(Html(render::page(name, view)?))
}

pub(super) fn api(view: impl Serialize) -> Api {
    let mut value = serde_json::to_value(view).map_err(Trouble::machine)?;
    value["schema_version"] = SCHEMA_VERSION.into();
    Ok(Json(value))
}

/// Which runs of all.
#[derive(Deserialize)]
pub(super) struct Filter {
    /// Words that have to be in the title, the task, the id or the model.
    #[serde(default)]
    find: String,
    /// A status.
    #[serde(default)]
    status: String,
}

async fn runs_view(desk: &Arc<Desk>, filter: &Filter) -> Value {
    let mut rows = desk.rows(now_ms()).await;
    let words = filter.find.to_lowercase();
    let all = rows.len();
    rows.retain(|row| {
        let text =
            format!("{} {} {} {} {}", row.run, row.title, row.task, row.model, row.domain).to_lowercase();
        words.split_whitespace().all(|word| text.contains(word))
            && (filter.status.is_empty() || filter.status == row.status)
    });
    json!({
        "runs": rows, "all": all, "find": filter.find, "status": filter.status,
        "form": begin::view(&desk.config),
    })
}

pub(super) async fn runs(State(desk): Told, Query(filter): Query<Filter>) -> Page {
    html("runs.html", &runs_view(&desk, &filter).await)
}

pub(super) async fn api_runs(State(desk): Told, Query(filter): Query<Filter>) -> Api {
    api(runs_view(&desk, &filter).await)
}

/// Which part of a long program.
#[derive(Deserialize)]
pub(super) struct Window {
    /// The number of steps before the first that is shown.
    steps: Option<usize>,
}

impl Window {
    /// The first of `count` steps at once: as asked for, or those with what is in progress or comes next.
    pub fn from(&self, steps: &[StepRow], count: usize) -> usize {
        let open = steps.iter().position(|step| matches!(step.status, "running" | "waiting")).unwrap_or(0);
        self.steps.unwrap_or(open / count * count).min(steps.len())
    }
}

fn run_view(watched: &Watched, window: &Window) -> Value {
    let steps = view::steps(watched);
    let from = window.from(&steps, STEPS_SHOWN);
    let log = &watched.log[watched.log.len().saturating_sub(LOG_SHOWN)..];
    json!({
        "run": RunView::of(watched, now_ms()),
        "requirements": view::requirements(&watched.state),
        "timeline": view::timeline(watched, now_ms() - watched.began_ms()),
        "log": log, "log_hidden": watched.log.len() - log.len(),
        "steps_all": steps.len(), "steps_from": from,
        "steps_before": (from > 0).then(|| from.saturating_sub(STEPS_SHOWN)),
        "steps_after": (from + STEPS_SHOWN < steps.len()).then_some(from + STEPS_SHOWN),
        "steps": steps.into_iter().skip(from).take(STEPS_SHOWN).collect::<Vec<_>>(),
    })
}

pub(super) async fn run(State(desk): Told, Place(run): Place<String>, Query(window): Query<Window>) -> Page {
    let dir = desk.find(&run)?;
    match tokio::time::timeout(PATIENCE, desk.watch(&dir)).await {
        Ok(shared) => {
            let shared = shared?;
            let view = run_view(&*shared.lock().await, &window);
            html("run.html", &view)
        }
        // It is read on; the page looks again.
        Err(_) => html("reading.html", &json!({ "run": { "run": dir.id } })),
    }
}

pub(super) async fn api_run(State(desk): Told, Place(run): Place<String>) -> Api {
    let shared = desk.watch(&desk.find(&run)?).await?;
    let watched = shared.lock().await;
    api(json!({
        "run": RunView::of(&watched, now_ms()),
        "steps": view::steps(&watched),
        "requirements": view::requirements(&watched.state),
        "timeline": view::timeline(&watched, now_ms() - watched.began_ms()),
    }))
}

async fn step_view(desk: &Desk, run: &str, step: u32) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let watched = shared.lock().await;
    let view = step::view(&watched, InstructionId(step)).await?;
    Ok(json!({ "run": RunView::of(&watched, now_ms()), "step": view }))
}

pub(super) async fn step(State(desk): Told, Place((run, step)): Place<(String, u32)>) -> Page {
    html("step.html", &step_view(&desk, &run, step).await?)
}

pub(super) async fn api_step(State(desk): Told, Place((run, step)): Place<(String, u32)>) -> Api {
    api(step_view(&desk, &run, step).await?)
}

async fn prompt_view(desk: &Desk, run: &str, seq: u64) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let watched = shared.lock().await;
    match watched.event(seq).await? {
        Some(Event::Assembled { purpose, fitted }) => Ok(json!({
            "run": { "run": watched.dir.id }, "seq": seq, "conversation": purpose.to_string(),
            "about": talk(purpose),
            "step": purpose.instruction(), "prompt": step::composition(&fitted),
        })),
        _ => Err(Trouble::missing(format!("record {seq} of this run is no prompt"))),
    }
}

pub(super) async fn prompt(State(desk): Told, Place((run, seq)): Place<(String, u64)>) -> Page {
    html("prompt.html", &prompt_view(&desk, &run, seq).await?)
}

pub(super) async fn api_prompt(State(desk): Told, Place((run, seq)): Place<(String, u64)>) -> Api {
    api(prompt_view(&desk, &run, seq).await?)
}

/// A file, and when.
#[derive(Deserialize)]
pub(super) struct Which {
    /// Its path; none for the list.
    path: Option<String>,
    /// `step-3` for what that step left; what is committed last when absent.
    #[serde(default)]
    at: String,
}

async fn files_view(desk: &Desk, run: &str, which: &Which) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let (at, history, dir, head) = {
        let watched = shared.lock().await;
        let at = At::of(&watched.state, &which.at)?;
        (at, files::history(&watched.state), watched.dir.clone(), json!({ "run": watched.dir.id }))
    };
    let path = which.path.clone();
    let view = files::in_background(move || files::view(&dir, &at, &history, path.as_deref())).await?;
    Ok(json!({ "run": head, "files": view, "at": which.at, "path": which.path }))
}

pub(super) async fn files(State(desk): Told, Place(run): Place<String>, Query(which): Query<Which>) -> Page {
    html("files.html", &files_view(&desk, &run, &which).await?)
}

pub(super) async fn api_files(
    State(desk): Told,
    Place(run): Place<String>,
    Query(which): Query<Which>,
) -> Api {
    api(files_view(&desk, &run, &which).await?)
}

/// A file as it is. Never as what its name says: what a model wrote is text here, whatever it would be elsewhere.
pub(super) async fn raw(
    State(desk): Told,
    Place(run): Place<String>,
    Query(which): Query<Which>,
) -> Result<Response, Trouble> {
    let shared = desk.watch(&desk.find(&run)?).await?;
    let (at, dir) = {
        let watched = shared.lock().await;
        (At::of(&watched.state, &which.at)?, watched.dir.clone())
    };
    let path = which.path.ok_or_else(|| Trouble::bad("no path is given: ?path=FILE"))?;
    let content = files::in_background(move || files::content(&dir, &at, &path)).await?;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (CONTENT_DISPOSITION, "inline; filename=\"file.txt\""),
    ];
    Ok((StatusCode::OK, headers, content).into_response())
}

/// What changed, and since when.
#[derive(Deserialize)]
pub(super) struct Between {
    /// The step whose changes are meant; all of the run when absent.
    step: Option<u32>,
}

async fn diff_view(desk: &Desk, run: &str, between: &Between) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let (ends, dir, step) = {
        let watched = shared.lock().await;
        let step = between.step.map(InstructionId);
        let title = step.and_then(|id| watched.state.instruction(id)).map(|i| i.title.clone());
        (
            files::ends(&watched.state, step)?,
            watched.dir.clone(),
            json!({ "id": between.step, "title": title }),
        )
    };
    let id = dir.id.clone();
    let changes = files::in_background(move || files::changes(&dir, &ends)).await?;
    Ok(json!({ "run": { "run": id }, "step": step, "changes": changes }))
}

pub(super) async fn diff(
    State(desk): Told,
    Place(run): Place<String>,
    Query(between): Query<Between>,
) -> Page {
    html("diff.html", &diff_view(&desk, &run, &between).await?)
}

pub(super) async fn api_diff(
    State(desk): Told,
    Place(run): Place<String>,
    Query(between): Query<Between>,
) -> Api {
    api(diff_view(&desk, &run, &between).await?)
}

/// Which versions of the program are compared.
#[derive(Deserialize)]
pub(super) struct Versions {
    from: Option<u32>,
    to: Option<u32>,
}

async fn plan_view(desk: &Desk, run: &str, versions: &Versions) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let watched = shared.lock().await;
    let state = &watched.state;
    let Some(program) = &state.program else { return Err(Trouble::missing("this run has no program yet")) };
    let task = state.start.as_ref().map(|start| start.task.clone());
    let text = toml(&Program { task, ..program.clone() })?;
    let last = state.program_version;
    let to = versions.to.unwrap_or(last);
    let from = versions.from.unwrap_or(to.saturating_sub(1));
    let (old, new) = (version(&watched, from).await?, version(&watched, to).await?);
    let diff = TextDiff::from_lines(&old, &new);
    let known: Vec<_> =
        watched.versions.iter().map(|(version, _, why)| json!({ "version": version, "why": why })).collect();
    Ok(json!({
        "run": RunView::of(&watched, now_ms()), "program": text, "versions": known, "from": from, "to": to,
        "changes": files::compared(&diff), "toml": text,
    }))
}

/// A version of the program as a file; nothing before the first.
async fn version(watched: &Watched, wanted: u32) -> Result<String, Trouble> {
    if wanted == 0 {
        return Ok(String::new());
    }
    // One that was taken back and written again is the newer one.
    let found = watched.versions.iter().rev().find(|(version, ..)| *version == wanted);
    let (_, seq, _) =
        found.ok_or_else(|| Trouble::missing(format!("there is no version {wanted} of the program")))?;
    match watched.event(*seq).await? {
        Some(Event::ProgramAdopted { program, .. } | Event::Amended { program, .. }) => toml(&program),
        _ => Err(Trouble::machine("the journal has no program there")),
    }
}

fn toml(program: &Program) -> Result<String, Trouble> {
    exchange::to_toml(program).map_err(Trouble::machine)
}

pub(super) async fn plan(
    State(desk): Told,
    Place(run): Place<String>,
    Query(versions): Query<Versions>,
) -> Page {
    html("plan.html", &plan_view(&desk, &run, &versions).await?)
}

pub(super) async fn api_plan(
    State(desk): Told,
    Place(run): Place<String>,
    Query(versions): Query<Versions>,
) -> Api {
    api(plan_view(&desk, &run, &versions).await?)
}

/// A moment of a run.
#[derive(Deserialize)]
pub(super) struct Moment {
    /// The number of the entry of the log after which it is looked at, from 1; the last when absent.
    entry: Option<usize>,
}

async fn replay_view(desk: &Desk, run: &str, moment: &Moment) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let then = {
        let watched = shared.lock().await;
        let last = watched.log.len().max(1);
        let entry = moment.entry.unwrap_or(last).clamp(1, last);
        let seq = watched.log.get(entry - 1).map_or(watched.state.seq, |line| line.seq);
        (watched.then(seq).await?, entry, last)
    };
    let (then, entry, last) = then;
    let line = then.log.last().map(|line| json!(line));
    let prompt = then.prompts.last().map(|prompt| json!(prompt));
    Ok(json!({
        "run": RunView::of(&then, now_ms()), "entry": entry, "last": last,
        "steps": view::steps(&then), "requirements": view::requirements(&then.state),
        "line": line, "prompt": prompt, "tree": then.state.tree,
    }))
}

pub(super) async fn replay(
    State(desk): Told,
    Place(run): Place<String>,
    Query(moment): Query<Moment>,
) -> Page {
    html("replay.html", &replay_view(&desk, &run, &moment).await?)
}

pub(super) async fn api_replay(
    State(desk): Told,
    Place(run): Place<String>,
    Query(moment): Query<Moment>,
) -> Api {
    api(replay_view(&desk, &run, &moment).await?)
}

async fn book_view(desk: &Desk, run: &str) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let (dir, view, tree, domain) = {
        let watched = shared.lock().await;
        let tree = watched.state.tree.clone().ok_or_else(|| Trouble::missing("nothing is committed yet"))?;
        let name = watched.state.start.as_ref().map_or("", |start| start.domain.as_str());
        let domain = Domain::load(name, desk.machine.templates()).map_err(RunError::from)?;
        (watched.dir.clone(), RunView::of(&watched, now_ms()), tree, domain)
    };
    let book = files::in_background(move || books::view(&dir, &tree, &domain)).await?;
    Ok(json!({ "run": view, "book": book }))
}

pub(super) async fn book(State(desk): Told, Place(run): Place<String>) -> Page {
    html("book.html", &book_view(&desk, &run).await?)
}

pub(super) async fn api_book(State(desk): Told, Place(run): Place<String>) -> Api {
    api(book_view(&desk, &run).await?)
}

/// What is looked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
}

async fn memory_view(desk: &Desk, run: &str, query: &Wanted, window: &Window) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let (dir, view, tree, known) = {
        let watched = shared.lock().await;
        let known = Known::of(&watched, window);
        (watched.dir.clone(), RunView::of(&watched, now_ms()), watched.state.tree.clone(), known)
    };
    let canon = Domain::load(&view.row.domain, desk.machine.templates()).ok();
    let book = tree.clone().zip(canon.filter(|domain| !domain.canon.is_empty()));
    let of = dir.clone();
    let connections = files::in_background(move || known.connections(&of, book.as_ref())).await?;
    let hits = match tree.filter(|_| !query.q.trim().is_empty()) {
        Some(tree) => search::search(&dir, &tree, &query.q, desk.opener.embedder()).await?,
        None => Vec::new(),
    };
    Ok(json!({ "run": view, "q": query.q, "hits": hits, "connections": connections }))
}

pub(super) async fn memory(
    State(desk): Told,
    Place(run): Place<String>,
    Query(query): Query<Wanted>,
    Query(window): Query<Window>,
) -> Page {
    html("memory.html", &memory_view(&desk, &run, &query, &window).await?)
}

pub(super) async fn api_memory(
    State(desk): Told,
    Place(run): Place<String>,
    Query(query): Query<Wanted>,
    Query(window): Query<Window>,
) -> Api {
    api(memory_view(&desk, &run, &query, &window).await?)
}

async fn models_view(desk: &Desk) -> Result<Value, Trouble> {
    let (config, open) = (desk.config.clone(), desk.opener.names().await);
    let machine = files::in_background(move || machine::view(&config, open)).await?;
    Ok(json!({ "machine": machine }))
}

pub(super) async fn models(State(desk): Told) -> Page {
    html("models.html", &models_view(&desk).await?)
}

pub(super) async fn api_models(State(desk): Told) -> Api {
    api(models_view(&desk).await?)
}
