//! What a run used of what it may use, for people and for scripts.

use serde::Serialize;

use crate::config::MINUTE_MS;
use crate::control::RunState;
use crate::control::budget::{Cap, Money, Tariff, Unanswered, Used};
use crate::control::event::Limits;
use crate::price::{amount, paid, terms};

/// The account of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// What the model in use costs.
    pub tariff: Tariff,
    /// What was paid, in words: `0.0123 USD`, `free: local`, `unknown`.
    pub money: String,
    /// What was paid for replies.
    pub paid: Money,
    /// Calls that were begun and never answered, as they were reserved.
    pub unanswered: Unanswered,
    /// Calls that are in flight.
    pub in_flight: usize,
    /// Bytes of the files that replies wrote.
    pub bytes_written: u64,
    /// What the limits are compared with.
    pub used: Used,
    /// The limits.
    pub limits: Limits,
    /// The second model and its replies, where the run has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondUsed>,
    #[serde(skip)]
    provider: String,
}

/// What was asked of the second model.
#[derive(Clone, Debug, Serialize)]
pub struct SecondUsed {
    /// Its name.
    pub model: String,
    /// What it costs.
    pub tariff: Tariff,
    /// Its replies.
    pub calls: u64,
}

impl Account {
    /// The account of a state; none before the run started.
    pub fn of(state: &RunState) -> Option<Self> {
        let start = state.start.as_ref()?;
        let goes_on = state.stopped.is_none() && !state.is_over();
        let bill = if goes_on { state.bill.clone() } else { state.bill.clone().given_up(start) };
        Some(Self {
            tariff: start.tariff.clone(),
            money: paid(&bill.paid, &start.tariff, &start.model.provider),
            in_flight: bill.open.len(),
            bytes_written: bill.bytes_written,
            used: state.used_with(&bill),
            limits: start.limits.clone(),
            provider: start.model.provider.clone(),
            second: start.second.as_ref().map(|second| SecondUsed {
                model: second.model.model.clone(),
                tariff: second.tariff.clone(),
                calls: bill.second_calls,
            }),
            paid: bill.paid,
            unanswered: bill.unanswered,
        })
    }

    /// What a report says of it, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("money: {}{}", self.money, self.price()), self.written()];
        let Unanswered { calls, prompt_tokens, completion_tokens, money } = &self.unanswered;
        if *calls > 0 {
            let tokens = prompt_tokens + completion_tokens;
            let cost = match &self.tariff {
                Tariff::Free if money.micros.is_empty() => String::new(),
                tariff => format!(" and {}", paid(money, tariff, &self.provider)),
            };
            lines.push(format!(
                "{calls} model call(s) were begun and never answered: up to {tokens} tokens{cost}, which count as used"
            ));
        }
        if let Some(SecondUsed { model, calls, .. }) = &self.second {
            lines.push(format!("second model: {model}, {calls} replies"));
        }
        if self.in_flight > 0 {
            lines.push(format!("{} model call(s) are begun and not answered yet", self.in_flight));
        }
        let limits: Vec<_> = Cap::ALL.into_iter().filter_map(|cap| self.limit(cap)).collect();
        if !limits.is_empty() {
            lines.push(format!("limits: {}", limits.join(", ")));
        }
        lines
    }

    fn price(&self) -> String {
        match &self.tariff {
            Tariff::Priced(_) => format!(" ({})", terms(&self.tariff, &self.provider)),
            Tariff::Free | Tariff::Unknown => String::new(),
        }
    }

    fn written(&self) -> String {
        let most = self.limits.bytes_max.map_or(String::new(), |most| format!(" of at most {most}"));
        format!("{} bytes of files written{most}", self.bytes_written)
    }

    fn limit(&self, cap: Cap) -> Option<String> {
        let (used, limit) = (cap.of(&self.used), cap.limit(&self.limits)?);
        Some(match cap {
            Cap::Tokens => format!("{used} of {limit} tokens used"),
            Cap::Calls => format!("{used} of {limit} calls made"),
            Cap::Time => format!("{} of {} minutes worked", used / MINUTE_MS, limit / MINUTE_MS),
            Cap::Cost => {
                let second = self.second.as_ref().and_then(|second| second.tariff.currency());
                let currency = self.tariff.currency().or(second).unwrap_or_default();
                format!("{} of {} used", amount(used, ""), amount(limit, currency))
            }
        })
    }
}
