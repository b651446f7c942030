//! What a run will take, before it takes anything: at least, probably, and at most. It is counted from what finished runs of the
//! same model took for a step, where there are any, and from stated assumptions otherwise. No model is asked.

pub mod history;
mod range;

use edvac_agents::client::Usage;
use edvac_agents::roles::planner;
use edvac_memory::program::{Control, Instruction, Program};
use serde::Serialize;

use self::history::{History, Spent};
pub use self::range::{Needs, Range};
use crate::config::{MINUTE_MS, ModelConfig};
use crate::control::budget::{Cap, Tariff};
use crate::control::event::Limits;
use crate::control::{RunState, once_more};
use crate::domain::Domain;
use crate::plan::{self, outline};
use crate::price::amount;
use crate::run::{Machine, Prepared};

/// Steps of a program that is not written yet, where nobody knows better.
const STEPS_ASSUMED: Range = Range { low: 1, expected: 5, high: planner::STEPS_MAX as u64 };
/// Model calls of a step; the most follow from the run's limits.
const STEP_CALLS_ASSUMED: (u64, u64) = (1, 4);
/// Tokens of a prompt; the most follow from the model's window.
const PROMPT_TOKENS_ASSUMED: (u64, u64) = (500, 1_500);
/// Tokens of a reply; the most follow from the run's limits.
const REPLY_TOKENS_ASSUMED: (u64, u64) = (50, 400);
/// Tokens that are read in a second, by a model of this machine and by another: fast, usual, slow.
const READ_ASSUMED: [[u64; 3]; 2] = [[2_000, 100, 20], [20_000, 2_000, 200]];
/// The same for tokens that are written.
const WRITTEN_ASSUMED: [[u64; 3]; 2] = [[100, 12, 2], [300, 50, 10]];

/// What a forecast is counted from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Basis {
    /// Finished runs of the same model.
    History {
        /// How many.
        runs: usize,
        /// Their steps.
        steps: usize,
    },
    /// Assumptions that nobody measured on this machine.
    Assumed {
        /// They themselves.
        assumptions: Vec<String>,
    },
}

/// A forecast.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// The model.
    pub model: String,
    /// Whether there is a program yet. Otherwise the planning is in it, and the steps are a guess.
    pub is_planned: bool,
    /// Steps that are to be done.
    pub steps: Range,
    /// What all of it takes.
    #[serde(flatten)]
    pub needs: Needs,
    /// Tokens sent and written.
    pub tokens: Range,
    /// What the model costs.
    pub tariff: Tariff,
    /// What it is counted from.
    pub basis: Basis,
    /// Limits that it does not fit into, one sentence each.
    pub warnings: Vec<String>,
}

/// What is forecast.
pub struct Question<'a> {
    /// Instructions that are to be carried out; none where they have to be planned first.
    pub instructions: Option<&'a [&'a Instruction]>,
    /// The run's limits.
    pub limits: &'a Limits,
    /// Its model.
    pub model: &'a ModelConfig,
    /// What that costs.
    pub tariff: &'a Tariff,
    /// How often the run may plan again by itself what was not met.
    pub replans_max: u32,
}

impl Question<'_> {
    /// The answer.
    pub fn forecast(&self, history: &History) -> Forecast {
        let is_planned = self.instructions.is_some();
        let steps = match self.instructions {
            Some(instructions) => steps_of(instructions.iter().copied()),
            None => Range::seen(history.steps_of_runs()).unwrap_or(STEPS_ASSUMED),
        };
        let again = u64::from(self.replans_max) * u64::from(once_more::STEPS_MAX);
        let steps = steps.plus(Range::new(0, 0, again));
        let seen = |spent: &[Spent]| Needs::seen(spent, self.tariff);
        let step = seen(&history.steps);
        let mut needs = step.unwrap_or_else(|| self.assumed(self.step_calls())).times(steps);
        if let Some(rest) = seen(&history.rest) {
            needs = needs.plus(rest);
        }
        let plans = self.plans();
        if plans.high > 0 {
            // A run whose plan was given took none for it and says nothing about planning.
            let planned: Vec<_> = history.planning.iter().filter(|s| s.calls > 0).cloned().collect();
            let once = Range::new(1, 1, u64::from(self.limits.plan_turns_max));
            needs = needs.plus(seen(&planned).unwrap_or_else(|| self.assumed(once)).times(plans));
        }
        let basis = match step {
            Some(_) => Basis::History { runs: history.runs, steps: history.steps.len() },
            None => Basis::Assumed { assumptions: self.assumptions() },
        };
        Forecast {
            model: self.model.name.clone(),
            is_planned,
            steps,
            tokens: needs.tokens(),
            tariff: self.tariff.clone(),
            warnings: self.warnings(&needs),
            needs,
            basis,
        }
    }

    /// How often something is planned.
    fn plans(&self) -> Range {
        let again = |i: &&&Instruction| {
            matches!(i.control, Some(Control::Replan { .. } | Control::Part { .. } | Control::Chapter { .. }))
        };
        let count = self.instructions.map_or(1, |all| all.iter().filter(again).count() as u64);
        Range::new(count, count, count + u64::from(self.replans_max))
    }

    /// Calls of one step: all its attempts with all their replies, repairs and summaries are the most.
    fn step_calls(&self) -> Range {
        let of_file = self.instructions.into_iter().flatten().map(|i| i.attempts_max).max();
        let Limits { attempts_max, turns_max, repairs_max, restarts_max, .. } = *self.limits;
        let attempts = u64::from(of_file.unwrap_or(attempts_max));
        let each = u64::from(turns_max) + u64::from(repairs_max) + u64::from(restarts_max) + 1;
        let (low, expected) = STEP_CALLS_ASSUMED;
        Range::new(low, expected, attempts.saturating_mul(each))
    }

    /// What so many calls take, as far as it has to be assumed.
    fn assumed(&self, calls: Range) -> Needs {
        let reply_max = u64::from(self.limits.reply_tokens_max);
        let window = self.model.window_tokens as u64;
        let ((low, expected), most) = (PROMPT_TOKENS_ASSUMED, window.saturating_sub(reply_max));
        let prompt_tokens = Range::new(low, expected, most).times(calls);
        let (low, expected) = REPLY_TOKENS_ASSUMED;
        let completion_tokens = Range::new(low, expected, reply_max).times(calls);
        let cost = |prompt_tokens, completion_tokens, reused_tokens| {
            self.tariff.cost_micros(&Usage {
                prompt_tokens,
                reused_tokens,
                completion_tokens,
                ..Usage::default()
            })
        };
        let Range { low, expected, high } = prompt_tokens;
        // At best everything but the first prompt was there before.
        let cost_micros = cost(low, completion_tokens.low, low)
            .zip(cost(expected, completion_tokens.expected, 0))
            .zip(cost(high, completion_tokens.high, 0))
            .map(|((low, expected), high)| Range::new(low, expected, high));
        let place = usize::from(self.model.provider != "local");
        let ms = |tokens: u64, rate: u64| tokens.saturating_mul(1_000) / rate;
        let [fast, usual, slow] = READ_ASSUMED[place];
        let reading = Range::new(ms(low, fast), ms(expected, usual), ms(high, slow));
        let [fast, usual, slow] = WRITTEN_ASSUMED[place];
        let Range { low, expected, high } = completion_tokens;
        let writing = Range::new(ms(low, fast), ms(expected, usual), ms(high, slow));
        Needs { calls, prompt_tokens, completion_tokens, cost_micros, work_ms: reading.plus(writing) }
    }

    fn assumptions(&self) -> Vec<String> {
        let calls = self.step_calls();
        let place = usize::from(self.model.provider != "local");
        let [_, read, slow_read] = READ_ASSUMED[place];
        let [_, write, slow_write] = WRITTEN_ASSUMED[place];
        let reply_max = self.limits.reply_tokens_max;
        let mut said = vec![
            format!(
                "a step takes {} call at best, {} usually, and at most the {} that its limits allow",
                calls.low, calls.expected, calls.high
            ),
            format!(
                "a prompt has {} to {} tokens, and at most what the window of {} leaves",
                PROMPT_TOKENS_ASSUMED.0, PROMPT_TOKENS_ASSUMED.1, self.model.window_tokens
            ),
            format!(
                "a reply has {} to {} tokens, and at most {reply_max}",
                REPLY_TOKENS_ASSUMED.0, REPLY_TOKENS_ASSUMED.1
            ),
            format!(
                "{read} tokens are read and {write} written in a second, and at worst {slow_read} and {slow_write}; \
                 checks take no time"
            ),
        ];
        if self.instructions.is_none() {
            let Range { low, expected, high } = STEPS_ASSUMED;
            said.push(format!("the plan has {low} to {high} steps, usually {expected}"));
        }
        said
    }

    fn warnings(&self, needs: &Needs) -> Vec<String> {
        let currency = self.tariff.currency().unwrap_or_default();
        let mut found = Vec::new();
        for cap in Cap::ALL {
            let range = match cap {
                Cap::Tokens => needs.tokens(),
                Cap::Calls => needs.calls,
                Cap::Time => needs.work_ms,
                Cap::Cost => needs.cost_micros.unwrap_or_default(),
            };
            let in_words = |number: u64| match cap {
                Cap::Cost => amount(number, currency),
                Cap::Time => format!("{} min", number.div_ceil(MINUTE_MS)),
                Cap::Tokens | Cap::Calls => number.to_string(),
            };
            let Some(limit) = cap.limit(self.limits) else { continue };
            let (name, limit_said) = (cap.words(), in_words(limit));
            if limit < range.low {
                let least = in_words(range.low);
                found.push(format!(
                    "the {name} of {limit_said} is less than the {least} that are needed at least: the run will stop \
                     before its end"
                ));
            } else if limit < range.expected {
                let expected = in_words(range.expected);
                found.push(format!(
                    "the {name} of {limit_said} is less than the {expected} that are expected: the run may stop before \
                     its end"
                ));
            }
        }
        found
    }
}

/// Sections of a chapter: at least one, as a rule one for each beat, of long chapters more.
fn sections_of(beats: u32, words_min: u32) -> Range {
    let beats = u64::from(beats);
    Range::new(1, beats, beats.saturating_mul(1 + u64::from(words_min / outline::BEAT_WORDS)))
}

/// Steps that instructions come to, those that decide counted by what may follow from them.
fn steps_of<'a>(instructions: impl Iterator<Item = &'a Instruction>) -> Range {
    let body = |body: &'a [Instruction]| steps_of(body.iter());
    instructions.fold(Range::default(), |sum, instruction| {
        let most = |most: u32| Range::new(0, u64::from(most).div_ceil(2), u64::from(most));
        let steps = match &instruction.control {
            None => Range::exactly(1),
            Some(Control::ForEach { items_max, body: each, .. }) => most(*items_max).times(body(each)),
            Some(Control::While { rounds_max, rounds, body: each, .. }) => {
                most(rounds_max.saturating_sub(*rounds)).times(body(each))
            }
            Some(Control::If { then, otherwise, .. }) => {
                let (a, b) = (body(then), body(otherwise));
                Range::new(a.low.min(b.low), u64::midpoint(a.expected, b.expected), a.high.max(b.high))
            }
            Some(Control::Part { chapters, beats, words_min, .. }) => {
                let chapters = u64::from(*chapters);
                sections_of(*beats, *words_min).times(Range::exactly(chapters))
            }
            Some(Control::Chapter { beats, words_min, .. }) => sections_of(*beats, *words_min),
            Some(Control::Replan { steps_max, .. }) => most(*steps_max),
            Some(Control::Approve { .. }) => Range::default(),
        };
        sum.plus(steps)
    })
}

/// The program that an order is carried out with, where no planner has to be asked for it.
fn program_of(prepared: &Prepared) -> Option<Program> {
    let order = &prepared.order;
    order.program.clone().or_else(|| given(&order.task, &prepared.domain, &order.limits))
}

fn given(task: &str, domain: &Domain, limits: &Limits) -> Option<Program> {
    let draft = planner::settled(task).filter(|_| !domain.prose)?;
    plan::program(draft, task, domain, limits, None, true).ok()
}

impl Machine {
    /// What an order will take. Reads the journals of finished runs, asks no model and writes nothing.
    pub async fn forecast(&self, prepared: &Prepared) -> Forecast {
        let program = program_of(prepared);
        let instructions: Option<Vec<_>> = program.as_ref().map(|p| p.instructions.iter().collect());
        let model = &self.config.model;
        let tariff = self.tariff(model);
        let history = History::of(&self.runs(), model, &tariff).await;
        let limits = &prepared.order.limits;
        // A plan that is given is not changed.
        let replans_max = if instructions.is_some() { 0 } else { limits.replans_max };
        Question { instructions: instructions.as_deref(), limits, model, tariff: &tariff, replans_max }
            .forecast(&history)
    }

    /// What a run that was begun will still take, on the model that it has; none before it started.
    pub async fn forecast_rest(&self, state: &RunState) -> Option<Forecast> {
        let start = state.start.as_ref()?;
        let left = |program: &'_ Program| -> Vec<Instruction> {
            let open = program.instructions.iter().filter(|i| !state.settled.contains_key(&i.id));
            open.cloned().collect()
        };
        let left: Option<Vec<Instruction>> = state.program.as_ref().map(left);
        let instructions: Option<Vec<_>> = left.as_ref().map(|left| left.iter().collect());
        let history = History::of(&self.runs(), &start.reached, &start.tariff).await;
        let question = Question {
            instructions: instructions.as_deref(),
            limits: &start.limits,
            model: &start.reached,
            tariff: &start.tariff,
            replans_max: match state.planning_for {
                Some(_) => start.limits.replans_max.saturating_sub(state.replans),
                None => 0,
            },
        };
        Some(question.forecast(&history))
    }
}

#[cfg(test)]
#[path = "forecast/tests.rs"]
mod tests;
