//! What Prometheus may know: counts and times, never a text.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64};

use axum::response::Response;
use edvac_agents::client::{ModelError, ModelReply};
use edvac_orchestrator::control::{RunState, Settlement};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::queue::Queue;
use crate::refusal::Code;

/// Upper bounds of the time buckets in seconds: 0.05, 0.1, … up to about 200.
const BUCKETS: (f64, f64, u16) = (0.05, 2.0, 13);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Queued {
    queue: &'static str,
}

/// All of them.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    errors: Family<Refused, Counter>,
    in_flight: Family<Queued, Gauge<i64, AtomicI64>>,
    waiting: Family<Queued, Gauge<i64, AtomicI64>>,
    prompt_tokens: Counter,
    reused_tokens: Counter,
    completion_tokens: Counter,
    embedded_tokens: Counter,
    cancelled: Counter,
    prefill: Histogram,
    decode: Histogram,
}

impl Metrics {
    pub fn new() -> Self {
        let (start, factor, length) = BUCKETS;
        let times = || Histogram::new(exponential_buckets(start, factor, length));
        let mut metrics = Self {
            registry: Registry::with_prefix("edvac"),
            requests: Family::default(),
            errors: Family::default(),
            in_flight: Family::default(),
            waiting: Family::default(),
            prompt_tokens: Counter::default(),
            reused_tokens: Counter::default(),
            completion_tokens: Counter::default(),
            embedded_tokens: Counter::default(),
            cancelled: Counter::default(),
            prefill: times(),
            decode: times(),
        };
        let r = &mut metrics.registry;
        r.register("requests", "Requests answered, by route and status", metrics.requests.clone());
        r.register("errors", "Requests refused or failed, by code", metrics.errors.clone());
        r.register("in_flight", "Requests that a model works on", metrics.in_flight.clone());
        r.register("waiting", "Requests that wait for a model", metrics.waiting.clone());
        r.register("prompt_tokens", "Tokens of prompts", metrics.prompt_tokens.clone());
        r.register(
            "reused_tokens",
            "Tokens of prompts that were not computed again",
            metrics.reused_tokens.clone(),
        );
        r.register("completion_tokens", "Tokens of replies", metrics.completion_tokens.clone());
        r.register("embedded_tokens", "Tokens of embedded texts", metrics.embedded_tokens.clone());
        r.register("cancelled", "Replies that nobody waited for any more", metrics.cancelled.clone());
        r.register("prefill_seconds", "Time until a reply's first token", metrics.prefill.clone());
        r.register("decode_seconds", "Time from a reply's first token to its last", metrics.decode.clone());
        metrics
    }

    /// A response begins.
    pub fn answered(&self, route: &str, response: &Response) {
        let status = response.status().as_u16();
        self.requests.get_or_create(&Answered { route: route.to_owned(), status }).inc();
        if let Some(Code(code)) = response.extensions().get() {
            self.failed(code);
        }
    }

    /// A request is refused or fails.
    pub fn failed(&self, code: &'static str) {
        self.errors.get_or_create(&Refused { code }).inc();
    }

    /// A reply ends.
    pub fn replied(&self, reply: &Result<ModelReply, ModelError>) {
        match reply {
            Ok(reply) => {
                let usage = &reply.usage;
                self.prompt_tokens.inc_by(usage.prompt_tokens);
                self.reused_tokens.inc_by(usage.reused_tokens);
                self.completion_tokens.inc_by(usage.completion_tokens);
                self.prefill.observe(usage.prefill_ms as f64 / 1000.0);
                self.decode.observe(usage.decode_ms as f64 / 1000.0);
            }
            Err(ModelError::Cancelled) => {
                self.cancelled.inc();
            }
            Err(_) => {}
        }
    }

    /// Texts were embedded.
    pub fn embedded(&self, tokens: usize) {
        self.embedded_tokens.inc_by(tokens as u64);
    }

    /// All of them as Prometheus reads them: of the model's two queues, where there is a model, and of the runs, where there is a
    /// dashboard over them.
    pub fn text(&self, queues: Option<(&Queue, &Queue)>, runs: Option<&Tally>) -> String {
        if let Some((replies, vectors)) = queues {
            for (queue, counts) in [("chat", replies.counts()), ("embeddings", vectors.counts())] {
                self.in_flight.get_or_create(&Queued { queue }).set(gauge(counts.0));
                self.waiting.get_or_create(&Queued { queue }).set(gauge(counts.1));
            }
        }
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.registry)
            .and_then(|()| runs.map_or(Ok(()), |runs| encode_registry(&mut text, &runs.registry())))
            .and_then(|()| encode_eof(&mut text));
        match written {
            Ok(()) => text,
            Err(error) => {
                tracing::warn!("metrics cannot be written: {error}");
                String::new()
            }
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfDirection {
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfCurrency {
    currency: String,
}

/// Millionths in a unit of a currency.
const MICROS: f64 = 1_000_000.0;

/// What the runs that are there add up to. No run has a name here; a fork counts with what it has of the run it was taken from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    runs: BTreeMap<&'static str, u64>,
    steps: BTreeMap<&'static str, u64>,
    tokens: BTreeMap<&'static str, u64>,
    calls: u64,
    cost_micros: BTreeMap<String, u64>,
}

impl Tally {
    /// One run.
    pub fn of(state: &RunState, status: &'static str) -> Self {
        let spent = state.spent();
        let ended = |how| state.settled.values().filter(|settled| settled.settlement == how).count() as u64;
        Self {
            runs: [(status, 1)].into(),
            steps: [
                ("finished", ended(Settlement::Finished)),
                ("unfinished", ended(Settlement::Unfinished)),
                ("open", state.steps_left()),
            ]
            .into(),
            tokens: [
                ("input", spent.prompt_tokens),
                ("cached_input", spent.reused_tokens),
                ("output", spent.completion_tokens),
            ]
            .into(),
            calls: spent.calls,
            cost_micros: state.bill.paid.micros.clone(),
        }
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        for (sums, more) in [
            (&mut self.runs, &other.runs),
            (&mut self.steps, &other.steps),
            (&mut self.tokens, &other.tokens),
        ] {
            for (name, count) in more {
                *sums.entry(name).or_default() += count;
            }
        }
        self.calls += other.calls;
        for (currency, micros) in &other.cost_micros {
            *self.cost_micros.entry(currency.clone()).or_default() += micros;
        }
    }

    /// Gauges, since runs can be removed: what they add up to is no counter.
    fn registry(&self) -> Registry {
        let count = |count: &u64| i64::try_from(*count).unwrap_or(i64::MAX);
        let runs = Family::<OfStatus, Gauge<i64, AtomicI64>>::default();
        let steps = Family::<OfOutcome, Gauge<i64, AtomicI64>>::default();
        let tokens = Family::<OfDirection, Gauge<i64, AtomicI64>>::default();
        let cost = Family::<OfCurrency, Gauge<f64, AtomicU64>>::default();
        let calls = Gauge::<i64, AtomicI64>::default();
        calls.set(count(&self.calls));
        for (&status, n) in &self.runs {
            runs.get_or_create(&OfStatus { status }).set(count(n));
        }
        for (&outcome, n) in &self.steps {
            steps.get_or_create(&OfOutcome { outcome }).set(count(n));
        }
        for (&direction, n) in &self.tokens {
            tokens.get_or_create(&OfDirection { direction }).set(count(n));
        }
        for (currency, micros) in &self.cost_micros {
            cost.get_or_create(&OfCurrency { currency: currency.clone() }).set(*micros as f64 / MICROS);
        }
        let mut registry = Registry::with_prefix("edvac");
        registry.register("runs", "Runs that are there, by status", runs);
        registry.register("run_steps", "Steps of these runs, by outcome", steps);
        registry.register("run_tokens", "Tokens that these runs sent, had cached and wrote", tokens);
        registry.register("run_calls", "Model calls of these runs that were answered", calls);
        registry.register("run_cost", "What these runs paid, in units of a currency", cost);
        registry
    }
}

fn gauge(count: usize) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
