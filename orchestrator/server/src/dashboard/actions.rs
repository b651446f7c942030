//! What a page asks: start a run, and everything that can be done to one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use edvac_memory::ids::{InstructionId, RunId};
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
use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::{RunPath, SchemaVersion};
use super::asked::{Place, Sent};
use super::begin::{self, Wanted};
use super::desk::Desk;
use super::hosted::Ask;
use super::openapi::{ACTIONS, Conflicting, Malformed, Missing, Refused, Unusable};
use super::trouble::Trouble;

type Told = State<Arc<Desk>>;
pub(crate) type Done<T> = Result<Json<T>, Trouble>;

/// Bounds as a form has them; what is absent stays, 0 lifts a bound.
#[derive(Debug, Default, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsForm {
    /// Tokens sent and written.
    max_tokens: Option<u64>,
    /// Minutes of work.
    max_minutes: Option<u64>,
    /// Replies of models.
    max_calls: Option<u64>,
    /// Bytes of the files.
    max_bytes: Option<u64>,
    /// An amount in the currency of the model in use: `2.50`.
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
#[derive(Debug, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartForm {
    /// What is to be made, in words.
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
    /// Where that one is asked.
    #[serde(default)]
    second_base_url: Option<String>,
    /// `local` or `openai`, of that one.
    #[serde(default)]
    second_provider: Option<String>,
    /// A git repository of the server's machine to work on, as a whole path. It is never written to.
    #[serde(default, rename = "in")]
    existing: Option<String>,
    /// Whether what is not committed there belongs to it, too.
    #[serde(default)]
    include_changes: bool,
    /// `codebase`, `book`, `custom` or a domain of one's own; guessed from the task when absent.
    #[serde(default)]
    domain: Option<String>,
    /// The workspace's name; made of the task when absent.
    #[serde(default)]
    name: Option<String>,
    /// What the model's choices begin with.
    #[serde(default)]
    seed: u64,
    /// Whether it stops once it is planned.
    #[serde(default)]
    plan_only: bool,
    /// Its bounds, over those of the configuration.
    #[serde(default)]
    limits: LimitsForm,
}

/// A run that has begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct Begun {
    schema_version: SchemaVersion,
    /// Its id.
    run: String,
    /// What there is to know of the repository that it works on, a line each.
    notes: Vec<String>,
}

/// Does what was asked to its end, also where the page that asked has gone meanwhile: nothing is left half made.
async fn to_its_end<T: Send + 'static>(act: impl Future<Output = Done<T>> + Send + 'static) -> Done<T> {
    tokio::spawn(act).await.map_err(Trouble::machine)?
}

/// Begins a run, with the configuration's model or the one that is named. This server carries it out.
///
/// It answers when the run has begun, and does not wait for its plan. What is wrong with a field is said with its name, as `param`.
#[utoipa::path(
    post, path = "/api/runs", operation_id = "startRun", tag = ACTIONS, request_body = StartForm,
    responses((status = 200, description = "It has begun.", body = Begun), Malformed, Conflicting, Unusable, Refused)
)]
pub(super) async fn start(State(desk): Told, Sent(form): Sent<StartForm>) -> Done<Begun> {
    // Looking at a repository and copying it blocks.
    let runtime = tokio::runtime::Handle::current();
    let begin = move || runtime.block_on(async move { begun(&desk, form).await });
    tokio::task::spawn_blocking(begin).await.map_err(Trouble::machine)?
}

pub(crate) async fn begun(desk: &Desk, form: StartForm) -> Done<Begun> {
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
    Ok(Json(Begun { schema_version: SchemaVersion, run: id.to_string(), notes }))
}

/// What is asked of a run.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActForm {
    /// The number of the step that it is about.
    pub(crate) step: Option<u32>,
    /// A point of its history: the record of an operation.
    pub(crate) point: Option<u64>,
    /// Why; what should be otherwise.
    #[serde(default)]
    pub(crate) why: String,
    /// The new workspace's name.
    pub(crate) name: Option<String>,
    /// Bounds from now on.
    #[serde(default)]
    pub(crate) limits: LimitsForm,
    /// Whether a fork only is made, and does not go on.
    #[serde(default)]
    pub(crate) paused: bool,
}

/// What can be asked of a run.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Action)]
pub(crate) enum Act {
    /// Finish what is in progress, then stop.
    Pause,
    /// Stop for good.
    Cancel,
    /// Go on.
    Resume,
    /// Answer its question with yes.
    Approve,
    /// Answer its question with no.
    Reject,
    /// Take back.
    Undo,
    /// Begin again with a step.
    Retry,
    /// Begin another run with what this one has.
    Fork,
}

/// What is asked of which run.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ActPath {
    /// The run's id, or a beginning of it that no other run's has.
    run: String,
    /// What is to be done.
    #[param(inline)]
    action: Act,
}

/// What was done.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Acted {
    schema_version: SchemaVersion,
    /// The run; of a fork, the new one.
    run: String,
    /// `asked` where it will stop when what is in progress has ended, `cancelled` where it has, `goes on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    standing: Option<&'static str>,
    /// The other process that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    process: Option<u32>,
    /// The point of its history to which it was taken back, or from which the fork goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    point: Option<u64>,
    /// The run that the fork is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    forked_from: Option<String>,
}

impl Acted {
    fn stands(run: &RunId, standing: &'static str) -> Self {
        Self { run: run.to_string(), standing: Some(standing), ..Self::default() }
    }
}

/// Does what is asked of a run.
///
/// - `pause`: it finishes what is in progress, then stops.
/// - `cancel`: it stops for good.
/// - `resume`: it goes on in this server, within `limits`.
/// - `approve`, `reject`: the answer to its question; a no needs `why`. It goes on with it.
/// - `undo`: it is taken back to before `step`, to `point`, or by one operation. Nothing is lost.
/// - `retry`: it begins again with `step`.
/// - `fork`: another run goes on from before `step`, from `point`, or from how it stands, in a workspace called `name`; with
///   `paused` it is only made.
///
/// What does not fit how the run stands is refused with 409: `choices` of the run says what fits.
#[utoipa::path(
    post, path = "/api/runs/{run}/{action}", operation_id = "actOnRun", tag = ACTIONS, params(ActPath),
    request_body = ActForm,
    responses(
        (status = 200, description = "It is done, or asked for.", body = Acted),
        Malformed, Missing, Conflicting, Unusable, Refused
    )
)]
pub(super) async fn act(
    State(desk): Told,
    Place(at): Place<ActPath>,
    Sent(form): Sent<ActForm>,
) -> Done<Acted> {
    let dir = desk.find(&at.run)?;
    to_its_end(Box::pin(async move { done(&desk, dir, at.action, form).await })).await
}

pub(crate) async fn done(desk: &Desk, dir: RunDir, action: Act, form: ActForm) -> Done<Acted> {
    match action {
        Act::Pause => pause(desk, &dir),
        Act::Cancel => cancel(desk, &dir).await,
        Act::Resume => go_on(desk, dir, &form.limits).await,
        Act::Approve => answer(desk, dir, true, String::new(), &form.limits).await,
        Act::Reject if form.why.trim().is_empty() => {
            Err(Trouble::bad("a no needs a reason: what should be otherwise?"))
        }
        Act::Reject => answer(desk, dir, false, form.why.trim().to_owned(), &form.limits).await,
        Act::Undo => undo(&dir, form.step, form.point).await,
        Act::Retry => {
            let step = form.step.ok_or_else(|| Trouble::bad("no step is named"))?;
            let to = point_before(&dir, step).await?;
            revise::restore(&dir, to, format!("step {step} begins again")).await?;
            go_on(desk, dir, &form.limits).await
        }
        Act::Fork => forked(desk, &dir, form).await,
    }
}

fn pause(desk: &Desk, dir: &RunDir) -> Done<Acted> {
    if desk.hosted.ask(&dir.id, Ask::Stop) {
        return Ok(Json(Acted::stands(&dir.id, "asked")));
    }
    let pid = foreign(dir)?;
    ask_to_end(pid).map_err(Trouble::machine)?;
    Ok(Json(Acted { process: Some(pid), ..Acted::stands(&dir.id, "asked") }))
}

/// The other process that carries a run out.
fn foreign(dir: &RunDir) -> Result<u32, Trouble> {
    let pid = dir.writer().filter(|pid| *pid > 0 && *pid != std::process::id());
    pid.ok_or_else(|| Trouble::conflict(format!("run {} is not going on", dir.id)))
}

async fn cancel(desk: &Desk, dir: &RunDir) -> Done<Acted> {
    if desk.hosted.ask(&dir.id, Ask::Cancel) {
        return Ok(Json(Acted::stands(&dir.id, "asked")));
    }
    if dir.writer().is_some() {
        let pid = foreign(dir)?;
        std::fs::write(dir.cancel_file(), "").map_err(Trouble::machine)?;
        ask_to_end(pid).map_err(Trouble::machine)?;
        return Ok(Json(Acted { process: Some(pid), ..Acted::stands(&dir.id, "asked") }));
    }
    cancel_idle(dir).await?;
    Ok(Json(Acted::stands(&dir.id, "cancelled")))
}

/// Takes a run up in this process.
async fn go_on(desk: &Desk, dir: RunDir, limits: &LimitsForm) -> Done<Acted> {
    if desk.hosted.has(&dir.id) {
        return Err(Trouble::conflict(format!(
            "run {} goes on already; if it was asked to stop, wait until it has",
            dir.id
        )));
    }
    let paused = desk.machine.find_paused(dir, Said::default()).await?;
    let (own, second) = (paused.reached(), paused.second());
    let limits_now = limits.over(paused.limits())?;
    let terms =
        desk.machine.terms(&paused, limits_now, own.clone(), second.clone(), limits.max_cost.is_some())?;
    let models = desk.opener.open(&own, second.as_ref()).await.map_err(Trouble::machine)?;
    let handle = Box::pin(desk.machine.resume(paused, terms, models, desk.opener.embedder())).await?;
    let id = desk.hosted.host(handle);
    Ok(Json(Acted::stands(&id, "goes on")))
}

async fn answer(desk: &Desk, dir: RunDir, approved: bool, why: String, limits: &LimitsForm) -> Done<Acted> {
    revise::answer(&dir, approved, why).await?;
    go_on(desk, dir, limits).await
}

async fn undo(dir: &RunDir, step: Option<u32>, point: Option<u64>) -> Done<Acted> {
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
    Ok(Json(Acted { run: dir.id.to_string(), point: Some(to), ..Acted::default() }))
}

async fn point_before(dir: &RunDir, step: u32) -> Result<u64, Trouble> {
    if dir.state().await?.instruction(InstructionId(step)).is_none() {
        return Err(Trouble::missing(format!("there is no step {step} in run {}", dir.id)));
    }
    let all = operations(&history(dir).await?);
    let point = before_step(&all, InstructionId(step)).map(|operation| operation.seq);
    point.ok_or_else(|| Trouble::conflict(format!("there is nothing before step {step}")))
}

async fn forked(desk: &Desk, dir: &RunDir, form: ActForm) -> Done<Acted> {
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
    Ok(Json(Acted {
        run: id.to_string(),
        point: Some(at),
        forked_from: Some(dir.id.to_string()),
        ..Acted::default()
    }))
}

/// A changed program.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AmendForm {
    /// The whole program, as `edvac plan show` prints it.
    pub(crate) toml: String,
    /// Why, for the history.
    #[serde(default)]
    pub(crate) why: String,
    /// The version that was changed; refused where another is in force by now.
    #[serde(default)]
    pub(crate) version: Option<u32>,
}

/// What a changed program changes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Amended {
    schema_version: SchemaVersion,
    /// The run.
    run: String,
    /// Numbers of the steps that had ended and are carried out again.
    again: Vec<u32>,
}

/// Puts a changed program in force.
///
/// Nobody may be carrying the run out. It does not go on by itself.
#[utoipa::path(
    put, path = "/api/runs/{run}/plan", operation_id = "changeProgram", tag = ACTIONS, params(RunPath),
    request_body = AmendForm,
    responses(
        (status = 200, description = "It is in force.", body = Amended),
        Malformed, Missing, Conflicting, Unusable, Refused
    )
)]
pub(super) async fn amend(
    State(desk): Told,
    Place(at): Place<RunPath>,
    Sent(form): Sent<AmendForm>,
) -> Done<Amended> {
    amended(&desk, &at.run, form).await
}

pub(crate) async fn amended(desk: &Desk, run: &str, form: AmendForm) -> Done<Amended> {
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
    Ok(Json(Amended {
        schema_version: SchemaVersion,
        run: dir.id.to_string(),
        again: again.into_iter().map(|id| id.0).collect(),
    }))
}
