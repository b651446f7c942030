//! What runs took for each of their steps, read from their journals.

use std::collections::{BTreeMap, BTreeSet};

use edvac_memory::ids::InstructionId;
use edvac_memory::journal::{Journal as _, Record, RecordKind, SqliteJournal};
use serde::Deserialize as _;

use crate::config::ModelConfig;
use crate::control::budget::{Money, Reserve, Tariff};
use crate::control::effect::{Phase, phase_of};
use crate::control::{Event, RunState};
use crate::place::{RunDir, Runs};
use crate::revise::history;

/// Finished runs that a forecast is counted from, the youngest first.
const RUNS_MAX: usize = 20;
/// Runs that are looked at for that.
const LOOKED_AT_MAX: usize = 200;

/// What a part of a run took.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Spent {
    /// Model calls.
    pub calls: u64,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Of these reused.
    pub reused_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Time worked, checks included.
    pub work_ms: u64,
    /// What it cost.
    pub money: Money,
}

/// What a run took, by its parts.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Planning, also again.
    pub planning: Spent,
    /// Each step.
    pub steps: BTreeMap<InstructionId, Spent>,
    /// All else: the start, the final checks.
    pub rest: Spent,
}

impl Parts {
    /// The parts of a journal; with a `tariff`, as if the model had cost that.
    pub fn of(records: &[Record], tariff: Option<&Tariff>) -> Self {
        let mut parts = Self::default();
        let mut before = None;
        let (mut own, mut of_second) = (Tariff::default(), Tariff::default());
        let mut asked_second = BTreeSet::new();
        for record in records {
            if record.kind == RecordKind::Intent {
                let reserve = record.body.get("reserve").and_then(|found| Reserve::deserialize(found).ok());
                asked_second.extend(record.key.clone().filter(|_| reserve.is_some_and(|r| r.is_second)));
                continue;
            }
            let event = serde_json::from_value::<Event>(record.body.clone());
            let phase = record.key.as_ref().map_or(Phase::Rest, phase_of);
            let spent = match phase {
                Phase::Planning => &mut parts.planning,
                Phase::Step(id) => parts.steps.entry(id).or_default(),
                Phase::Rest => &mut parts.rest,
            };
            match event {
                Ok(
                    Event::RunStarted { tariff, model, second, .. }
                    | Event::Resumed { tariff, model, second, .. },
                ) => {
                    own = tariff.unwrap_or_else(|| Tariff::unsaid(&model.provider));
                    of_second = second.map(|second| second.tariff).unwrap_or_default();
                    // From a stop or a crash to here nobody worked.
                    before = Some(record.time_ms);
                }
                Ok(Event::Replied { reply, .. }) => {
                    let is_second = record.key.as_ref().is_some_and(|key| asked_second.contains(key));
                    spent.reply(&reply.usage, tariff.unwrap_or(if is_second { &of_second } else { &own }));
                }
                _ => {}
            }
            if let Some(before) = before.replace(record.time_ms) {
                spent.work_ms += u64::try_from(record.time_ms - before).unwrap_or(0);
            }
        }
        parts
    }
}

impl Spent {
    fn reply(&mut self, usage: &edvac_agents::client::Usage, tariff: &Tariff) {
        self.calls += 1;
        self.prompt_tokens += usage.prompt_tokens;
        self.reused_tokens += usage.reused_tokens;
        self.completion_tokens += usage.completion_tokens;
        self.money.pay(tariff, usage);
    }
}

/// What finished runs of one model took.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// How many runs.
    pub runs: usize,
    /// What each of their steps took.
    pub steps: Vec<Spent>,
    /// What each of them took for planning.
    pub planning: Vec<Spent>,
    /// What each of them took besides.
    pub rest: Vec<Spent>,
    pub(super) counts: Vec<u64>,
}

impl History {
    /// The history of a model, as if it had cost then what it costs now. Runs that cannot be read are left out.
    pub async fn of(runs: &Runs, model: &ModelConfig, tariff: &Tariff) -> Self {
        let mut found = Self::default();
        for dir in runs.all().iter().rev().take(LOOKED_AT_MAX) {
            if found.runs == RUNS_MAX {
                break;
            }
            if let Some(records) = finished(dir, model).await {
                found.add(Parts::of(&records, Some(tariff)));
            }
        }
        found
    }

    fn add(&mut self, parts: Parts) {
        // Instructions that decided took no call of their own.
        let (steps, decided): (Vec<_>, Vec<_>) = parts.steps.into_values().partition(|step| step.calls > 0);
        if steps.is_empty() {
            return;
        }
        let mut rest = parts.rest;
        rest.work_ms += decided.iter().map(|step| step.work_ms).sum::<u64>();
        self.runs += 1;
        self.counts.push(steps.len() as u64);
        self.steps.extend(steps);
        self.planning.push(parts.planning);
        self.rest.push(rest);
    }

    /// How many steps each of the runs had.
    pub fn steps_of_runs(&self) -> impl Iterator<Item = u64> + Clone {
        self.counts.iter().copied()
    }
}

/// The records of a run, if it is over and was carried out by this model alone.
async fn finished(dir: &RunDir, model: &ModelConfig) -> Option<Vec<Record>> {
    let same = |reached: &ModelConfig| reached.provider == model.provider && reached.name == model.name;
    // Most runs of others are known by their first record.
    let journal = SqliteJournal::view(&dir.path).await.ok()?;
    let first = journal.read(0, 1).await.ok()?.pop()?;
    match serde_json::from_value(first.body).ok()? {
        Event::RunStarted { reached, .. } if same(&reached) => {}
        _ => return None,
    }
    let records = history(dir).await.ok()?;
    let state = RunState::of(&records).ok()?;
    let is_its = same(&state.start.as_ref()?.reached);
    let alone = state.bill.second_calls == 0;
    (is_its && alone && state.is_over()).then_some(records)
}
