//! What is counted of runs, and the instruments that count it. No attribute names a run or a step.

use edvac_agents::client::Usage;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::semconv::{self as name, Names};

/// One thing to count.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// A model call ended.
    Call(Call),
    /// A step ended.
    Step {
        /// `finished` or `unfinished`.
        outcome: &'static str,
    },
    /// A check was executed.
    Check {
        /// Its kind.
        kind: String,
        /// What it found.
        verdict: &'static str,
    },
    /// A run ended or stopped.
    Run {
        /// How it stands, as `edvac runs` says it.
        status: &'static str,
    },
}

/// A model call that ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Who was asked.
    pub provider: String,
    /// Which model.
    pub request_model: String,
    /// Which model answered; none where there is no reply.
    pub response_model: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// What it used; none where there is no reply.
    pub usage: Option<Usage>,
    /// What it cost, in units of a currency, where that is known and not nothing.
    pub cost: Option<(f64, String)>,
    /// What went wrong, in a word.
    pub error: Option<String>,
}

/// The instruments.
pub struct Instruments {
    duration: Histogram<f64>,
    tokens: Tokens,
    cached: Histogram<f64>,
    cost: Counter<f64>,
    runs: Counter<u64>,
    steps: Counter<u64>,
    checks: Counter<u64>,
}

/// Those of tokens, which the two sets of names count in different ways.
enum Tokens {
    Established(Histogram<u64>),
    Latest {
        sent: (Counter<u64>, Histogram<u64>),
        written: (Counter<u64>, Histogram<u64>),
        cached: Counter<u64>,
    },
}

impl Instruments {
    /// The instruments of a meter.
    pub fn of(meter: &Meter, names: Names) -> Self {
        let tokens = |name| {
            meter
                .u64_histogram(name)
                .with_unit("{token}")
                .with_boundaries(name::TOKEN_BOUNDS.to_vec())
                .build()
        };
        let total = |name| meter.u64_counter(name).with_unit("{token}").build();
        let counter = |name, unit| meter.u64_counter(name).with_unit(unit).build();
        Self {
            duration: meter
                .f64_histogram(names.call_duration())
                .with_unit("s")
                .with_boundaries(name::SECONDS_BOUNDS.to_vec())
                .build(),
            tokens: match names {
                Names::Established => Tokens::Established(tokens(name::TOKEN_USAGE)),
                Names::Latest => Tokens::Latest {
                    sent: (total(name::INFERENCE_INPUT_TOKENS), tokens(name::CALL_INPUT_TOKENS)),
                    written: (total(name::INFERENCE_OUTPUT_TOKENS), tokens(name::CALL_OUTPUT_TOKENS)),
                    cached: total(name::INFERENCE_CACHE_READ_TOKENS),
                },
            },
            cached: meter
                .f64_histogram(name::CACHED_RATIO)
                .with_unit("1")
                .with_boundaries(name::RATIO_BOUNDS.to_vec())
                .build(),
            cost: meter.f64_counter(name::COST_TOTAL).build(),
            runs: counter(name::RUNS, "{run}"),
            steps: counter(name::STEPS, "{step}"),
            checks: counter(name::CHECKS, "{check}"),
        }
    }

    /// Counts.
    pub fn count(&self, measure: &Measure) {
        match measure {
            Measure::Call(call) => self.call(call),
            Measure::Step { outcome } => self.steps.add(1, &[KeyValue::new(name::STEP_OUTCOME, *outcome)]),
            Measure::Check { kind, verdict } => self.checks.add(
                1,
                &[
                    KeyValue::new(name::CHECK_KIND, kind.clone()),
                    KeyValue::new(name::CHECK_VERDICT, *verdict),
                ],
            ),
            Measure::Run { status } => self.runs.add(1, &[KeyValue::new(name::RUN_STATUS, *status)]),
        }
    }

    fn call(&self, call: &Call) {
        let mut attributes = vec![
            KeyValue::new(name::OPERATION_NAME, name::CHAT),
            KeyValue::new(name::PROVIDER_NAME, call.provider.clone()),
            KeyValue::new(name::REQUEST_MODEL, call.request_model.clone()),
        ];
        attributes
            .extend(call.response_model.clone().map(|model| KeyValue::new(name::RESPONSE_MODEL, model)));
        if let Some(usage) = &call.usage {
            self.tokens(usage, &attributes);
            if usage.prompt_tokens > 0 {
                let ratio = usage.reused_tokens as f64 / usage.prompt_tokens as f64;
                self.cached.record(ratio.min(1.0), &attributes);
            }
        }
        if let Some((amount, currency)) = &call.cost {
            let mut attributes = attributes.clone();
            attributes.push(KeyValue::new(name::COST_CURRENCY, currency.clone()));
            self.cost.add(*amount, &attributes);
        }
        attributes.extend(call.error.clone().map(|error| KeyValue::new(name::ERROR_TYPE, error)));
        self.duration.record(call.seconds, &attributes);
    }

    fn tokens(&self, usage: &Usage, attributes: &[KeyValue]) {
        match &self.tokens {
            Tokens::Established(histogram) => {
                for (kind, tokens) in [("input", usage.prompt_tokens), ("output", usage.completion_tokens)] {
                    let mut attributes = attributes.to_vec();
                    attributes.push(KeyValue::new(name::TOKEN_TYPE, kind));
                    histogram.record(tokens, &attributes);
                }
            }
            Tokens::Latest { sent, written, cached } => {
                for ((total, a_call), tokens) in
                    [(sent, usage.prompt_tokens), (written, usage.completion_tokens)]
                {
                    total.add(tokens, attributes);
                    a_call.record(tokens, attributes);
                }
                cached.add(usage.reused_tokens, attributes);
            }
        }
    }
}
