//! Runs: all of them, one as it stands and as it stood, its steps and prompts.

use std::sync::Arc;

use edvac_memory::ids::InstructionId;
use edvac_orchestrator::control::Event;
use edvac_orchestrator::story::talk;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{RunName, RunPath, SchemaVersion};
use crate::dashboard::begin::{self, FormView};
use crate::dashboard::desk::Desk;
use crate::dashboard::step::{self, Composition, StepView};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::view::{self, RequirementRow, RunRow, RunView, StepRow, Timeline, now_ms};
use crate::dashboard::watched::{LogLine, Prompt, Watched};

/// Steps that a page of the program shows.
const STEPS_SHOWN: usize = 100;
/// Lines of the log that a page shows.
const LOG_SHOWN: usize = 200;

/// Which runs of all.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct Filter {
    /// Words that have to be in the title, the task, the id, the model or the domain, in any order.
    #[serde(default)]
    find: String,
    /// A status, as `edvac runs` has it; all when absent.
    #[serde(default)]
    status: String,
}

/// Runs, the youngest first.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct RunList {
    schema_version: SchemaVersion,
    /// Those that the filter leaves.
    runs: Vec<RunRow>,
    /// How many there are without it.
    all: usize,
    /// The words that were asked for.
    find: String,
    /// The status that was asked for.
    status: String,
    /// What a new run begins with where nothing else is said.
    form: FormView,
}

impl RunList {
    pub async fn of(desk: &Arc<Desk>, filter: &Filter) -> Self {
        let mut rows = desk.rows(now_ms()).await;
        let words = filter.find.to_lowercase();
        let all = rows.len();
        rows.retain(|row| {
            let text =
                format!("{} {} {} {} {}", row.run, row.title, row.task, row.model, row.domain).to_lowercase();
            words.split_whitespace().all(|word| text.contains(word))
                && (filter.status.is_empty() || filter.status == row.status)
        });
        Self {
            schema_version: SchemaVersion,
            runs: rows,
            all,
            find: filter.find.clone(),
            status: filter.status.clone(),
            form: begin::view(&desk.config),
        }
    }
}

/// A run as it stands.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct RunAnswer {
    schema_version: SchemaVersion,
    run: RunView,
    /// All steps of the program in force.
    steps: Vec<StepRow>,
    requirements: Vec<RequirementRow>,
    timeline: Timeline,
}

impl RunAnswer {
    pub async fn of(desk: &Desk, at: &RunPath) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&at.run)?).await?;
        let watched = shared.lock().await;
        Ok(Self {
            schema_version: SchemaVersion,
            run: RunView::of(&watched, now_ms()),
            steps: view::steps(&watched),
            requirements: view::requirements(&watched.state),
            timeline: view::timeline(&watched, now_ms() - watched.began_ms()),
        })
    }
}

/// Which part of a long program.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct Window {
    /// The number of steps before the first that is shown; those around what is in progress when absent.
    steps: Option<usize>,
}

impl Window {
    /// The first of `count` steps at once: as asked for, or those with what is in progress or comes next.
    pub fn from(&self, steps: &[StepRow], count: usize) -> usize {
        let open = steps.iter().position(|step| matches!(step.status, "running" | "waiting")).unwrap_or(0);
        self.steps.unwrap_or(open / count * count).min(steps.len())
    }
}

/// A run on its page, which shows a part of a long program and the end of a long log.
#[derive(Serialize)]
pub(in crate::dashboard) struct RunPage {
    run: RunView,
    requirements: Vec<RequirementRow>,
    timeline: Timeline,
    log: Vec<LogLine>,
    log_hidden: usize,
    steps_all: usize,
    steps_from: usize,
    steps_before: Option<usize>,
    steps_after: Option<usize>,
    steps: Vec<StepRow>,
}

impl RunPage {
    pub fn of(watched: &Watched, window: &Window) -> Self {
        let steps = view::steps(watched);
        let from = window.from(&steps, STEPS_SHOWN);
        let log = &watched.log[watched.log.len().saturating_sub(LOG_SHOWN)..];
        Self {
            run: RunView::of(watched, now_ms()),
            requirements: view::requirements(&watched.state),
            timeline: view::timeline(watched, now_ms() - watched.began_ms()),
            log: log.to_vec(),
            log_hidden: watched.log.len() - log.len(),
            steps_all: steps.len(),
            steps_from: from,
            steps_before: (from > 0).then(|| from.saturating_sub(STEPS_SHOWN)),
            steps_after: (from + STEPS_SHOWN < steps.len()).then_some(from + STEPS_SHOWN),
            steps: steps.into_iter().skip(from).take(STEPS_SHOWN).collect(),
        }
    }
}

/// Which step of which run.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::dashboard) struct StepPath {
    /// The run's id, or a beginning of it that no other run's has.
    run: String,
    /// The step's number.
    step: u32,
}

/// A step of a run.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct StepAnswer {
    schema_version: SchemaVersion,
    run: RunView,
    step: StepView,
}

impl StepAnswer {
    pub async fn of(desk: &Desk, at: &StepPath) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&at.run)?).await?;
        let watched = shared.lock().await;
        let step = step::view(&watched, InstructionId(at.step)).await?;
        Ok(Self { schema_version: SchemaVersion, run: RunView::of(&watched, now_ms()), step })
    }
}

/// Which prompt of which run.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::dashboard) struct PromptPath {
    /// The run's id, or a beginning of it that no other run's has.
    run: String,
    /// The record of the journal that has the prompt, as `seq` of a step's conversations says.
    seq: u64,
}

/// A prompt with all its texts.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct PromptAnswer {
    schema_version: SchemaVersion,
    run: RunName,
    /// The record that has it.
    seq: u64,
    /// The conversation that it begins, by its name.
    conversation: String,
    /// The same in words.
    about: String,
    /// The step that it is about; none where a plan is written.
    #[schema(required)]
    step: Option<u32>,
    prompt: Composition,
}

impl PromptAnswer {
    pub async fn of(desk: &Desk, at: &PromptPath) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&at.run)?).await?;
        let watched = shared.lock().await;
        match watched.event(at.seq).await? {
            Some(Event::Assembled { purpose, fitted }) => Ok(Self {
                schema_version: SchemaVersion,
                run: RunName { run: watched.dir.id.to_string() },
                seq: at.seq,
                conversation: purpose.to_string(),
                about: talk(purpose),
                step: purpose.instruction().map(|id| id.0),
                prompt: step::composition(&fitted),
            }),
            _ => Err(Trouble::missing(format!("record {} of this run is no prompt", at.seq))),
        }
    }
}

/// A moment of a run.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct Moment {
    /// The number of the entry of the log after which it is looked at, from 1; the last when absent or beyond the end.
    entry: Option<usize>,
}

/// A run as it was after an entry of its log.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct ReplayAnswer {
    schema_version: SchemaVersion,
    run: RunView,
    /// The number of the entry, from 1.
    entry: usize,
    /// The number of the last entry that there is now.
    last: usize,
    steps: Vec<StepRow>,
    requirements: Vec<RequirementRow>,
    /// The entry itself.
    #[schema(required)]
    line: Option<LogLine>,
    /// The last prompt until then.
    #[schema(required)]
    prompt: Option<Prompt>,
    /// The git tree of that moment.
    #[schema(required)]
    tree: Option<String>,
}

impl ReplayAnswer {
    pub async fn of(desk: &Desk, at: &RunPath, moment: &Moment) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&at.run)?).await?;
        let (mut then, entry, last) = {
            let watched = shared.lock().await;
            let last = watched.log.len().max(1);
            let entry = moment.entry.unwrap_or(last).clamp(1, last);
            let seq = watched.log.get(entry - 1).map_or(watched.state.seq, |line| line.seq);
            (watched.then(seq).await?, entry, last)
        };
        Ok(Self {
            schema_version: SchemaVersion,
            run: RunView::of(&then, now_ms()),
            entry,
            last,
            steps: view::steps(&then),
            requirements: view::requirements(&then.state),
            line: then.log.pop(),
            prompt: then.prompts.pop(),
            tree: then.state.tree.map(|tree| tree.to_string()),
        })
    }
}
