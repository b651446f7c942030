//! What a page asks: start a run, and everything that can be done to one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use edvac_memory::ids::InstructionId;
use edvac_memory::program::exchange;
use edvac_orchestrator::config::MINUTE_MS;
use edvac_orchestrator::control::event::Limits;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::fork;
use edvac_orchestrator::guess::domain_of;
use edvac_orchestrator::place::{RunDir, ask_to_end};
use edvac_orchestrator::price::Amount;
use edvac_orchestrator::revise::{self, before_last, before_step, history, operations};
use edvac_orchestrator::run::{Order, RunError, Said, cancel_idle};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::desk::Desk;
use super::hosted::Ask;
use super::trouble::{Place, Trouble};

type Told = State<Arc<Desk>>;
type Done = Result<Json<Value>, Trouble>;
type Made = Result<Value, Trouble>;
type Body<T> = Result<Json<T>, JsonRejection>;

fn body<T>(sent: Body<T>) -> Result<T, Trouble> {
    sent.map(|Json(body)| body)
        .map_err(|rejection| Trouble { status: rejection.status(), why: rejection.body_text() })
}

/// Bounds as a form has them; what is absent stays, 0 lifts a bound.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "they are called like the flags")]
pub(crate) struct LimitsForm {
    /// Tokens that the run may send and write.
    max_tokens: Option<u64>,
    /// Minutes that it may work.
    max_minutes: Option<u64>,
    /// Model calls that it may make.
    max_calls: Option<u64>,
    /// Bytes of files that it may write.
    max_bytes: Option<u64>,
    /// What it may cost, like `2.50`, in the currency of its model.
    max_cost: Option<String>,
}

impl LimitsForm {
    fn over(&self, mut limits: Limits) -> Result<Limits, Trouble> {
        let limit = |form: Option<u64>, otherwise| form.map_or(otherwise, |n| (n > 0).then_some(n));
        limits.tokens_max = limit(self.max_tokens, limits.tokens_max);
        limits.wall_ms_max = limit(self.max_minutes.map(|m| m.saturating_mul(MINUTE_MS)), limits.wall_ms_max);
        limits.calls_max = limit(self.max_calls, limits.calls_max);
        limits.bytes_max = limit(self.max_bytes, limits.bytes_max);
        if let Some(cost) = &self.max_cost {
            let cost: Amount = cost.parse().map_err(|e| Trouble::bad(format!("max_cost: {e}")))?;
            limits.cost_micros_max = limit(Some(cost.micros), limits.cost_micros_max);
        }
        Ok(limits)
    }
}

/// A run that is to begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartForm {
    /// What to build, and what must be true of it; verbatim.
    task: String,
    /// `codebase`, `book` or a domain of one's own; guessed from the task when absent.
    #[serde(default)]
    domain: Option<String>,
    /// Name of the workspace's directory; made of the task when absent.
    #[serde(default)]
    name: Option<String>,
    /// 0 asks for the most likely replies first; any other number for others, the same ones each time.
    #[serde(default)]
    seed: u64,
    /// Stop once the program is planned.
    #[serde(default)]
    plan_only: bool,
    /// Bounds.
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
    to_its_end(async move { begun(&desk, form).await.map(Json) }).await
}

pub(crate) async fn begun(desk: &Desk, form: StartForm) -> Made {
    let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let order = Order {
        domain: some(form.domain).unwrap_or_else(|| domain_of(&form.task).to_owned()),
        limits: form.limits.over(desk.config.limits.limits())?,
        task: form.task,
        name: some(form.name),
        seed: form.seed,
        plan_only: form.plan_only,
        ..Order::default()
    };
    let prepared = desk.machine.prepare(order).await?;
    let (own, second) = (&desk.config.model, desk.config.second_model.as_ref());
    let models = desk.opener.open(own, second).await.map_err(Trouble::machine)?;
    let handle = desk.machine.start(prepared, models, desk.opener.embedder()).await?;
    let id = desk.hosted.host(handle);
    Ok(json!({ "run": id }))
}

/// What is asked of a run.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ActForm {
    /// The step that it is about.
    pub(crate) step: Option<u32>,
    /// A point of its history.
    pub(crate) point: Option<u64>,
    /// Why.
    pub(crate) why: String,
    /// The new workspace's name.
    pub(crate) name: Option<String>,
    /// Bounds from now on.
    pub(crate) limits: LimitsForm,
    /// Whether a fork only is made, and does not go on.
    pub(crate) paused: bool,
}

/// Does what is asked of a run.
pub(super) async fn act(
    State(desk): Told,
    Place((run, action)): Place<(String, String)>,
    sent: Body<ActForm>,
) -> Done {
    let form = body(sent)?;
    let dir = desk.find(&run)?;
    to_its_end(Box::pin(async move { done(&desk, dir, &action, form).await.map(Json) })).await
}

pub(crate) async fn done(desk: &Desk, dir: RunDir, action: &str, form: ActForm) -> Made {
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

fn pause(desk: &Desk, dir: &RunDir) -> Made {
    if desk.hosted.ask(&dir.id, Ask::Stop) {
        return Ok(json!({ "run": dir.id, "standing": "asked" }));
    }
    let pid = foreign(dir)?;
    ask_to_end(pid).map_err(Trouble::machine)?;
    Ok(json!({ "run": dir.id, "standing": "asked", "process": pid }))
}

/// The other process that carries a run out.
fn foreign(dir: &RunDir) -> Result<u32, Trouble> {
    let pid = dir.writer().filter(|pid| *pid > 0 && *pid != std::process::id());
    pid.ok_or_else(|| Trouble::conflict(format!("run {} is not going on", dir.id)))
}

async fn cancel(desk: &Desk, dir: &RunDir) -> Made {
    if desk.hosted.ask(&dir.id, Ask::Cancel) {
        return Ok(json!({ "run": dir.id, "standing": "asked" }));
    }
    if dir.writer().is_some() {
        let pid = foreign(dir)?;
        std::fs::write(dir.cancel_file(), "").map_err(Trouble::machine)?;
        ask_to_end(pid).map_err(Trouble::machine)?;
        return Ok(json!({ "run": dir.id, "standing": "asked", "process": pid }));
    }
    cancel_idle(dir).await?;
    Ok(json!({ "run": dir.id, "standing": "cancelled" }))
}

/// Takes a run up in this process.
async fn go_on(desk: &Desk, dir: RunDir, limits: &LimitsForm) -> Made {
    let paused = desk.machine.find_paused(dir, Said::default()).await?;
    let (own, second) = (paused.reached(), paused.second());
    let limits_now = limits.over(paused.limits())?;
    let terms =
        desk.machine.terms(&paused, limits_now, own.clone(), second.clone(), limits.max_cost.is_some())?;
    let models = desk.opener.open(&own, second.as_ref()).await.map_err(Trouble::machine)?;
    let handle = Box::pin(desk.machine.resume(paused, terms, models, desk.opener.embedder())).await?;
    let id = desk.hosted.host(handle);
    Ok(json!({ "run": id, "standing": "goes on" }))
}

async fn answer(desk: &Desk, dir: RunDir, approved: bool, why: String, limits: &LimitsForm) -> Made {
    revise::answer(&dir, approved, why).await?;
    go_on(desk, dir, limits).await
}

async fn undo(dir: &RunDir, step: Option<u32>, point: Option<u64>) -> Made {
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
    Ok(json!({ "run": dir.id, "point": to }))
}

async fn point_before(dir: &RunDir, step: u32) -> Result<u64, Trouble> {
    if dir.state().await?.instruction(InstructionId(step)).is_none() {
        return Err(Trouble::missing(format!("there is no step {step} in run {}", dir.id)));
    }
    let all = operations(&history(dir).await?);
    let point = before_step(&all, InstructionId(step)).map(|operation| operation.seq);
    point.ok_or_else(|| Trouble::conflict(format!("there is nothing before step {step}")))
}

async fn forked(desk: &Desk, dir: &RunDir, form: ActForm) -> Made {
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
    Ok(json!({ "run": id, "forked_from": dir.id, "point": at }))
}

/// A changed program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmendForm {
    pub(crate) toml: String,
    #[serde(default)]
    pub(crate) why: String,
    /// The version that was changed; refused where another is in force by now.
    #[serde(default)]
    pub(crate) version: Option<u32>,
}

/// Puts a changed program in force.
pub(super) async fn amend(State(desk): Told, Place(run): Place<String>, sent: Body<AmendForm>) -> Done {
    amended(&desk, &run, body(sent)?).await.map(Json)
}

pub(crate) async fn amended(desk: &Desk, run: &str, form: AmendForm) -> Made {
    let dir = desk.find(run)?;
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
    Ok(json!({ "run": dir.id, "again": again }))
}
