//! What a page asks: start a run, and everything that can be done to one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use edvac_memory::ids::InstructionId;
use edvac_memory::program::exchange;
use edvac_orchestrator::config::{MINUTE_MS, PARALLEL_MAX};
use edvac_orchestrator::control::event::Limits;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::fork;
use edvac_orchestrator::guess::domain_of;
use edvac_orchestrator::place::{RunDir, ask_to_end};
use edvac_orchestrator::price::Amount;
use edvac_orchestrator::revise::{self, before_last, before_step, history, operations};
use edvac_orchestrator::run::{Machine, Order, RunError, Said, cancel_idle};
use serde::Deserialize;
use serde_json::{Value, json};

use super::begin::{self, Wanted};
use super::desk::Desk;
use super::hosted::Ask;
use super::trouble::{Place, Trouble};

type Told = State<Arc<Desk>>;
type Done = Result<Json<Value>, Trouble>;
type Body<T> = Result<Json<T>, JsonRejection>;

fn body<T>(sent: Body<T>) -> Result<T, Trouble> {
    sent.map(|Json(body)| body).map_err(|rejection| Trouble {
        status: rejection.status(),
        why: rejection.body_text(),
        field: None,
    })
}

/// Bounds as a form has them; what is absent stays, 0 lifts a bound.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsForm {
    max_tokens: Option<u64>,
    max_minutes: Option<u64>,
    max_calls: Option<u64>,
    max_bytes: Option<u64>,
    max_cost: Option<String>,
    /// Steps at the same time.
    parallel: Option<u32>,
    /// How often what is left is planned again.
    replans: Option<u32>,
}

impl LimitsForm {
    fn over(&self, mut limits: Limits) -> Result<Limits, Trouble> {
        let limit = |form: Option<u64>, otherwise| form.map_or(otherwise, |n| (n > 0).then_some(n));
        limits.tokens_max = limit(self.max_tokens, limits.tokens_max);
        limits.wall_ms_max = limit(self.max_minutes.map(|m| m.saturating_mul(MINUTE_MS)), limits.wall_ms_max);
        limits.calls_max = limit(self.max_calls, limits.calls_max);
        limits.bytes_max = limit(self.max_bytes, limits.bytes_max);
        if let Some(cost) = &self.max_cost {
            let cost: Amount =
                cost.parse().map_err(|e| Trouble::bad(format!("max_cost: {e}")).at("max_cost"))?;
            limits.cost_micros_max = limit(Some(cost.micros), limits.cost_micros_max);
        }
        if let Some(parallel) = self.parallel {
            if !(1..=PARALLEL_MAX).contains(&parallel) {
                let why = format!("{parallel} steps at the same time cannot be: 1 to {PARALLEL_MAX} can");
                return Err(Trouble::bad(why).at("parallel"));
            }
            limits.parallel = parallel;
        }
        limits.replans_max = self.replans.unwrap_or(limits.replans_max);
        Ok(limits)
    }
}

/// A run that is to begin. What is absent or empty is the configuration's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartForm {
    task: String,
    /// The model: a name, a file of the server's machine, or an endpoint's name for it.
    #[serde(default)]
    model: Option<String>,
    /// Where it is asked. A key goes only to endpoints that the server's own configuration names.
    #[serde(default)]
    base_url: Option<String>,
    /// `local` or `openai`.
    #[serde(default)]
    provider: Option<String>,
    /// The model that is asked at a step where that one came to nothing.
    #[serde(default)]
    second_model: Option<String>,
    #[serde(default)]
    second_base_url: Option<String>,
    #[serde(default)]
    second_provider: Option<String>,
    /// A git repository of the server's machine to work on, as a whole path. It is never written to.
    #[serde(default, rename = "in")]
    existing: Option<String>,
    /// Whether what is not committed there belongs to it, too.
    #[serde(default)]
    include_changes: bool,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    plan_only: bool,
    #[serde(default)]
    limits: LimitsForm,
}

/// Does what was asked to its end, also where the page that asked has gone meanwhile: nothing is left half made.
async fn to_its_end(act: impl Future<Output = Done> + Send + 'static) -> Done {
    tokio::spawn(act).await.map_err(Trouble::machine)?
}

/// Begins a run in this process.
pub(super) async fn start(State(desk): Told, sent: Body<StartForm>) -> Done {
    let form = body(sent)?;
    // Looking at a repository and copying it blocks.
    let runtime = tokio::runtime::Handle::current();
    let begin = move || runtime.block_on(async move { begun(&desk, form).await });
    tokio::task::spawn_blocking(begin).await.map_err(Trouble::machine)?
}

async fn begun(desk: &Desk, form: StartForm) -> Done {
    let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let own = Wanted {
        name: form.model.as_deref(),
        base_url: form.base_url.as_deref(),
        provider: form.provider.as_deref(),
        fields: ["base_url", "provider"],
    };
    let second = Wanted {
        name: form.second_model.as_deref(),
        base_url: form.second_base_url.as_deref(),
        provider: form.second_provider.as_deref(),
        fields: ["second_base_url", "second_provider"],
    };
    let config = begin::with_models(&desk.config, &own, &second)?;
    let existing = begin::existing(form.existing.as_deref(), form.include_changes)?;
    // Whatever the task speaks of, what is in a repository is most likely a program.
    let guessed = if existing.is_some() { "codebase" } else { domain_of(&form.task) };
    let order = Order {
        domain: some(form.domain).unwrap_or_else(|| guessed.to_owned()),
        limits: form.limits.over(config.limits.limits())?,
        task: form.task,
        name: some(form.name),
        seed: form.seed,
        plan_only: form.plan_only,
        existing,
        ..Order::default()
    };
    let machine = Machine::new(config.clone())?;
    let prepared = machine.prepare(order).await?;
    let notes = prepared.notes();
    let opened = desk.opener.open(&config.model, config.second_model.as_ref()).await;
    let models = opened.map_err(|why| Trouble::machine(why).at("model"))?;
    let handle = machine.start(prepared, models, desk.opener.embedder()).await?;
    let id = desk.hosted.host(handle);
    Ok(Json(json!({ "run": id, "notes": notes })))
}

/// What is asked of a run.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ActForm {
    /// The step that it is about.
    step: Option<u32>,
    /// A point of its history.
    point: Option<u64>,
    /// Why.
    why: String,
    /// The new workspace's name.
    name: Option<String>,
    /// Bounds from now on.
    limits: LimitsForm,
    /// Whether a fork only is made, and does not go on.
    paused: bool,
}

/// Does what is asked of a run.
pub(super) async fn act(
    State(desk): Told,
    Place((run, action)): Place<(String, String)>,
    sent: Body<ActForm>,
) -> Done {
    let form = body(sent)?;
    let dir = desk.find(&run)?;
    to_its_end(Box::pin(async move { done(&desk, dir, &action, form).await })).await
}

async fn done(desk: &Desk, dir: RunDir, action: &str, form: ActForm) -> Done {
    match action {
        "pause" => pause(desk, &dir),
        "cancel" => cancel(desk, &dir).await,
        "resume" => go_on(desk, dir, &form.limits).await,
        "approve" => answer(desk, dir, true, String::new(), &form.limits).await,
        "reject" if form.why.trim().is_empty() => {
            Err(Trouble::bad("a no needs a reason: what should be otherwise?"))
        }
        "reject" => answer(desk, dir, false, form.why.trim().to_owned(), &form.limits).await,
        "undo" => undo(&dir, form.step, form.point).await,
        "retry" => {
            let step = form.step.ok_or_else(|| Trouble::bad("no step is named"))?;
            let to = point_before(&dir, step).await?;
            revise::restore(&dir, to, format!("step {step} begins again")).await?;
            go_on(desk, dir, &form.limits).await
        }
        "fork" => forked(desk, &dir, form).await,
        other => Err(Trouble::missing(format!("nothing is called {other:?} that a run could be asked"))),
    }
}

fn pause(desk: &Desk, dir: &RunDir) -> Done {
    if desk.hosted.ask(&dir.id, Ask::Stop) {
        return Ok(Json(json!({ "run": dir.id, "standing": "asked" })));
    }
    let pid = foreign(dir)?;
    ask_to_end(pid).map_err(Trouble::machine)?;
    Ok(Json(json!({ "run": dir.id, "standing": "asked", "process": pid })))
}

/// The other process that carries a run out.
fn foreign(dir: &RunDir) -> Result<u32, Trouble> {
    let pid = dir.writer().filter(|pid| *pid > 0 && *pid != std::process::id());
    pid.ok_or_else(|| Trouble::conflict(format!("run {} is not going on", dir.id)))
}

async fn cancel(desk: &Desk, dir: &RunDir) -> Done {
    if desk.hosted.ask(&dir.id, Ask::Cancel) {
        return Ok(Json(json!({ "run": dir.id, "standing": "asked" })));
    }
    if dir.writer().is_some() {
        let pid = foreign(dir)?;
        std::fs::write(dir.cancel_file(), "").map_err(Trouble::machine)?;
        ask_to_end(pid).map_err(Trouble::machine)?;
        return Ok(Json(json!({ "run": dir.id, "standing": "asked", "process": pid })));
    }
    cancel_idle(dir).await?;
    Ok(Json(json!({ "run": dir.id, "standing": "cancelled" })))
}

/// Takes a run up in this process.
async fn go_on(desk: &Desk, dir: RunDir, limits: &LimitsForm) -> Done {
    let paused = desk.machine.find_paused(dir, Said::default()).await?;
    let (own, second) = (paused.reached(), paused.second());
    let limits_now = limits.over(paused.limits())?;
    let terms =
        desk.machine.terms(&paused, limits_now, own.clone(), second.clone(), limits.max_cost.is_some())?;
    let models = desk.opener.open(&own, second.as_ref()).await.map_err(Trouble::machine)?;
    let handle = Box::pin(desk.machine.resume(paused, terms, models, desk.opener.embedder())).await?;
    let id = desk.hosted.host(handle);
    Ok(Json(json!({ "run": id, "standing": "goes on" })))
}

async fn answer(desk: &Desk, dir: RunDir, approved: bool, why: String, limits: &LimitsForm) -> Done {
    revise::answer(&dir, approved, why).await?;
    go_on(desk, dir, limits).await
}

async fn undo(dir: &RunDir, step: Option<u32>, point: Option<u64>) -> Done {
    let (to, why) = match (step, point) {
        (Some(step), _) => (point_before(dir, step).await?, format!("taken back to where step {step} began")),
        (None, Some(point)) => (point, format!("taken to point {point}")),
        (None, None) => {
            let all = operations(&history(dir).await?);
            let last =
                before_last(&all, 1).ok_or_else(|| Trouble::conflict("there is nothing before that"))?;
            (last.seq, "the last operation taken back".to_owned())
        }
    };
    revise::restore(dir, to, why).await?;
    Ok(Json(json!({ "run": dir.id, "point": to })))
}

async fn point_before(dir: &RunDir, step: u32) -> Result<u64, Trouble> {
    if dir.state().await?.instruction(InstructionId(step)).is_none() {
        return Err(Trouble::missing(format!("there is no step {step} in run {}", dir.id)));
    }
    let all = operations(&history(dir).await?);
    let point = before_step(&all, InstructionId(step)).map(|operation| operation.seq);
    point.ok_or_else(|| Trouble::conflict(format!("there is nothing before step {step}")))
}

async fn forked(desk: &Desk, dir: &RunDir, form: ActForm) -> Done {
    let at = match (form.step, form.point) {
        (Some(step), _) => point_before(dir, step).await?,
        (None, Some(point)) => point,
        (None, None) => {
            let all = operations(&history(dir).await?);
            let last = all.iter().rev().find(|operation| operation.in_force);
            last.ok_or_else(|| Trouble::conflict("nothing is there to fork from"))?.seq
        }
    };
    let name = form.name.filter(|name| !name.trim().is_empty());
    let made = fork::fork(&desk.machine, dir, at, name.as_deref()).await?;
    let id = made.id.clone();
    if !form.paused {
        let _ = go_on(desk, made, &form.limits).await?;
    }
    Ok(Json(json!({ "run": id, "forked_from": dir.id, "point": at })))
}

/// A changed program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AmendForm {
    toml: String,
    #[serde(default)]
    why: String,
    /// The version that was changed; refused where another is in force by now.
    #[serde(default)]
    version: Option<u32>,
}

/// Puts a changed program in force.
pub(super) async fn amend(State(desk): Told, Place(run): Place<String>, sent: Body<AmendForm>) -> Done {
    let form = body(sent)?;
    let dir = desk.find(&run)?;
    let state = dir.state().await?;
    let Some(before) = &state.program else { return Err(RunError::NoProgram { run: dir.id.clone() }.into()) };
    if form.version.is_some_and(|version| version != state.program_version) {
        return Err(Trouble::conflict(format!(
            "version {} of the program is in force by now; load the page again and change that",
            state.program_version
        )));
    }
    let program = exchange::from_toml(&form.toml).map_err(|e| Trouble::bad(e.to_string()))?;
    let domain = Domain::load(&before.domain, desk.machine.templates()).map_err(RunError::from)?;
    let why = if form.why.trim().is_empty() {
        "changed on the page".to_owned()
    } else {
        form.why.trim().to_owned()
    };
    let again = revise::amend(&dir, program, &domain, why).await?;
    Ok(Json(json!({ "run": dir.id, "again": again })))
}
