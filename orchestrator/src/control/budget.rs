//! What a run may use and what it used. What a call may cost at most is reserved before it is sent and settled when its reply
//! is recorded. A call that was begun and never answered stays counted as it was reserved: nobody knows what of it was paid, so
//! that a run that dies again and again still comes to its limit. Sums of money are whole millionths.

use std::collections::{BTreeMap, BTreeSet};

use edvac_agents::client::Usage;
use edvac_memory::ids::{EffectKey, InstructionId};
use edvac_memory::journal::Record;
use edvac_memory::program::Instruction;
use serde::{Deserialize, Serialize};

use crate::control::event::{Limits, StopReason};
use crate::control::state::{Conversation, RunState, Start};

/// Tokens that a price is for.
const PRICED_TOKENS: u128 = 1_000_000;

/// What a model's tokens cost, for a million of them each, in millionths of the currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// `USD`, `EUR`, …
    pub currency: String,
    /// Prompt tokens that are computed.
    pub prompt_micros: u64,
    /// Prompt tokens that the endpoint had computed before.
    pub cached_prompt_micros: u64,
    /// Tokens that are written.
    pub completion_micros: u64,
}

/// What a run's model costs. It stands in the journal, so that a price that changes later does not change what was paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tariff {
    /// Nothing: it runs on this machine.
    Free,
    /// A price.
    Priced(Price),
    /// Nobody said.
    #[default]
    Unknown,
}

impl Tariff {
    /// What a journal means that was written before there were prices.
    pub fn unsaid(provider: &str) -> Self {
        if provider == "openai" { Self::Unknown } else { Self::Free }
    }

    /// Its currency, where it has one.
    pub fn currency(&self) -> Option<&str> {
        match self {
            Self::Priced(price) => Some(&price.currency),
            Self::Free | Self::Unknown => None,
        }
    }

    /// What a reply costs, rounded up to a millionth; none where nobody knows.
    pub fn cost_micros(&self, usage: &Usage) -> Option<u64> {
        let price = match self {
            Self::Free => return Some(0),
            Self::Priced(price) => price,
            Self::Unknown => return None,
        };
        let cached = usage.reused_tokens.min(usage.prompt_tokens);
        let sum = [
            (usage.prompt_tokens - cached, price.prompt_micros),
            (cached, price.cached_prompt_micros),
            (usage.completion_tokens, price.completion_micros),
        ];
        let sum: u128 = sum.into_iter().map(|(tokens, micros)| u128::from(tokens) * u128::from(micros)).sum();
        Some(u64::try_from(sum.div_ceil(PRICED_TOKENS)).unwrap_or(u64::MAX))
    }
}

/// What a call may cost at most. It stands in the call's intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// Tokens that are sent.
    pub prompt_tokens: u64,
    /// Tokens that a reply may have.
    pub completion_tokens: u64,
    /// Their price, with nothing cached; none where nobody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// Whether it is the second model's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_second: bool,
}

impl Reserve {
    /// Tokens sent and written.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

impl Start {
    /// The reserve of the next call in a conversation with the run's own model, or the second one.
    pub fn reserve(&self, talk: &Conversation, is_second: bool) -> Reserve {
        let prompt_tokens = talk.tokens() as u64;
        let completion_tokens = u64::from(talk.reply_tokens_max(&self.limits));
        let most = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
        let cost_micros = self.tariff_of(is_second).cost_micros(&most);
        Reserve { prompt_tokens, completion_tokens, cost_micros, is_second }
    }

    /// What a call of the run's own model costs, or of the second one.
    pub fn tariff_of(&self, is_second: bool) -> &Tariff {
        self.second.as_ref().filter(|_| is_second).map_or(&self.tariff, |second| &second.tariff)
    }

    /// The currency that costs are limited in: that of the run's own model, or the second one's where the first is free.
    pub fn currency(&self) -> Option<&str> {
        self.tariff.currency().or_else(|| self.second.as_ref()?.tariff.currency())
    }
}

/// Amounts of money, each in its own currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Millionths, by currency.
    pub micros: BTreeMap<String, u64>,
    /// Calls whose price nobody knows.
    pub unpriced_calls: u64,
    /// Calls whose tokens the endpoint did not count, so that what they cost is an estimate.
    #[serde(default)]
    pub estimated_calls: u64,
}

impl Money {
    /// Adds what a reply costs.
    pub fn pay(&mut self, tariff: &Tariff, usage: &Usage) {
        self.add(tariff, tariff.cost_micros(usage));
        self.estimated_calls += u64::from(usage.estimated && tariff.currency().is_some());
    }

    fn add(&mut self, tariff: &Tariff, cost_micros: Option<u64>) {
        match (tariff.currency(), cost_micros) {
            (Some(currency), Some(micros)) => {
                let sum = self.micros.entry(currency.to_owned()).or_default();
                *sum = sum.saturating_add(micros);
            }
            (_, None) => self.unpriced_calls += 1,
            (None, Some(_)) => {}
        }
    }

    /// The amount in a currency.
    pub fn amount_in(&self, currency: Option<&str>) -> u64 {
        currency.and_then(|currency| self.micros.get(currency)).copied().unwrap_or(0)
    }
}

/// Calls that were begun and never answered, as they were reserved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// How many.
    pub calls: u64,
    /// Tokens that were to be sent.
    pub prompt_tokens: u64,
    /// Tokens that their replies might have had.
    pub completion_tokens: u64,
    /// What that costs.
    pub money: Money,
}

impl Unanswered {
    fn add(&mut self, tariff: &Tariff, reserve: &Reserve) {
        self.calls += 1;
        self.prompt_tokens = self.prompt_tokens.saturating_add(reserve.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(reserve.completion_tokens);
        self.money.add(tariff, reserve.cost_micros);
    }
}

/// What a run has to answer for besides its [`Totals`](crate::control::state::Totals). None of it is ever taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// What the replies cost.
    pub paid: Money,
    /// Calls in flight; those of a process that died are among them until the next one begins.
    pub open: BTreeMap<EffectKey, Reserve>,
    /// Calls of processes that died or failed in the middle of them.
    pub unanswered: Unanswered,
    /// Bytes of the files that replies wrote.
    pub bytes_written: u64,
    /// Replies of the second model.
    pub second_calls: u64,
}

impl Bill {
    /// A call was begun.
    pub(super) fn begin(&mut self, intent: &Record) {
        let reserve = intent.body.get("reserve").and_then(|found| Reserve::deserialize(found).ok());
        if let (Some(key), Some(reserve)) = (&intent.key, reserve) {
            self.open.insert(key.clone(), reserve);
        }
    }

    /// It has a result: what it cost is known.
    pub(super) fn settle(&mut self, key: &EffectKey) {
        self.open.remove(key);
    }

    /// Nobody will answer what is open.
    pub(super) fn give_up(&mut self, start: &Start) {
        for reserve in std::mem::take(&mut self.open).values() {
            self.unanswered.add(start.tariff_of(reserve.is_second), reserve);
        }
    }

    /// The same for a view of a run that does not go on by itself.
    #[must_use]
    pub fn given_up(mut self, start: &Start) -> Self {
        self.give_up(start);
        self
    }
}

/// What limits are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Tokens sent and written, unanswered calls included.
    pub tokens: u64,
    /// Calls, also unanswered ones.
    pub calls: u64,
    /// Money in the currency of the model in use, in millionths, unanswered calls included.
    pub cost_micros: u64,
    /// Time worked. How long a process worked on the call in which it died, nobody knows.
    pub worked_ms: u64,
}

impl Used {
    /// By one reply, its cost as far as it is in the currency that is limited. The time that it took passes for the whole run.
    pub fn by(tariff: &Tariff, limited: Option<&str>, usage: &Usage) -> Self {
        let tokens = usage.prompt_tokens.saturating_add(usage.completion_tokens);
        let counts = tariff.currency().is_some() && tariff.currency() == limited;
        let cost_micros = tariff.cost_micros(usage).filter(|_| counts).unwrap_or(0);
        Self { tokens, calls: 1, cost_micros, worked_ms: 0 }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is used here and not there.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(self, other: Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            tokens: of(self.tokens, other.tokens),
            calls: of(self.calls, other.calls),
            cost_micros: of(self.cost_micros, other.cost_micros),
            worked_ms: of(self.worked_ms, other.worked_ms),
        }
    }
}

/// What can be limited for a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    /// Tokens sent and written.
    Tokens,
    /// Money.
    Cost,
    /// Model calls.
    Calls,
    /// Time worked.
    Time,
}

impl Cap {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tokens, Self::Cost, Self::Calls, Self::Time];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Tokens => "token limit",
            Self::Cost => "cost limit",
            Self::Calls => "limit of calls",
            Self::Time => "time limit",
        }
    }

    /// What of it was used.
    pub fn of(self, used: &Used) -> u64 {
        match self {
            Self::Tokens => used.tokens,
            Self::Cost => used.cost_micros,
            Self::Calls => used.calls,
            Self::Time => used.worked_ms,
        }
    }

    /// Its limit, where there is one.
    pub fn limit(self, limits: &Limits) -> Option<u64> {
        match self {
            Self::Tokens => limits.tokens_max,
            Self::Cost => limits.cost_micros_max,
            Self::Calls => limits.calls_max,
            Self::Time => limits.wall_ms_max,
        }
    }

    fn is_raised(self, from: &Limits, to: &Limits) -> bool {
        match (self.limit(from), self.limit(to)) {
            (Some(from), Some(to)) => to > from,
            (from, None) => from.is_some(),
            (None, Some(_)) => false,
        }
    }
}

/// Shares that a step whose code is asked for alone has: it is written several times over, and all that comes after stands on it.
const CODE_SHARES: u64 = 3;

/// The shares that steps have in what is left of a limited run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of this step.
    pub own: u64,
    /// Of all steps that have not ended, with it.
    pub left: u64,
}

impl Share {
    /// The share of a step in what is left.
    pub fn of(state: &RunState, id: InstructionId) -> Self {
        let all = state.program.iter().flat_map(|program| &program.instructions);
        let shares = |i: &Instruction| if i.candidates { CODE_SHARES } else { 1 };
        let left = || all.clone().filter(|i| !state.settled.contains_key(&i.id));
        let own = left().find(|i| i.id == id).map_or(1, shares);
        Self { own, left: left().map(shares).sum::<u64>().max(own) }
    }
}

/// The limit whose share a step has used, of what was left when it began. Without shares, a run could end in the middle of a
/// first step that cannot be done.
pub fn share_used(began: &Used, now: &Used, limits: &Limits, share: Share) -> Option<Cap> {
    let is_used = |cap: &Cap| {
        let (began, now) = (cap.of(began), cap.of(now));
        let of = |limit: u64| {
            u128::from(limit.saturating_sub(began)) * u128::from(share.own) / u128::from(share.left)
        };
        cap.limit(limits).is_some_and(|limit| u128::from(now.saturating_sub(began)) >= of(limit))
    };
    Cap::ALL.into_iter().find(|cap| share.left > share.own && is_used(cap))
}

/// Why a call may not be sent: together with what was used and with the other calls in flight it could pass a limit. Of calls
/// that are made at the same time, the intent of each has to be folded before the next one is decided.
pub fn refusal(state: &RunState, start: &Start, key: &EffectKey, reserve: &Reserve) -> Option<StopReason> {
    let limits = &start.limits;
    let mut used = state.used();
    for (_, open) in state.bill.open.iter().filter(|(other, _)| *other != key) {
        used.calls += 1;
        used.tokens = used.tokens.saturating_add(open.tokens());
        used.cost_micros = used.cost_micros.saturating_add(open.cost_micros.unwrap_or(0));
    }
    let passed = |used: u64, more: u64, limit: Option<u64>| {
        limit.filter(|limit| used.saturating_add(more) > *limit).map(|limit| (used, limit, more))
    };
    if let Some((used, limit, next)) = passed(used.tokens, reserve.tokens(), limits.tokens_max) {
        return Some(StopReason::TokenLimit { used, limit, next });
    }
    let cost = reserve.cost_micros.unwrap_or(0);
    if let Some((used, limit, next)) = passed(used.cost_micros, cost, limits.cost_micros_max) {
        let currency = start.currency().unwrap_or_default().to_owned();
        return Some(StopReason::CostLimit {
            used_micros: used,
            limit_micros: limit,
            next_micros: next,
            currency,
        });
    }
    passed(used.calls, 1, limits.calls_max).map(|(used, limit, _)| StopReason::CallLimit { used, limit })
}

/// Whether the time is up.
pub fn time_is_up(state: &RunState, start: &Start) -> Option<StopReason> {
    let limit_ms = start.limits.wall_ms_max?;
    let used_ms = state.used().worked_ms;
    (used_ms >= limit_ms).then_some(StopReason::TimeLimit { used_ms, limit_ms })
}

impl RunState {
    /// What was used so far, as limits count it: what was taken back and calls without a reply included, calls in flight not.
    pub fn used(&self) -> Used {
        self.used_with(&self.bill)
    }

    /// The same with another bill.
    pub fn used_with(&self, bill: &Bill) -> Used {
        let spent = self.spent();
        let Bill { paid, unanswered, .. } = bill;
        let of_unanswered = unanswered.prompt_tokens.saturating_add(unanswered.completion_tokens);
        let cost = |limited| paid.amount_in(limited).saturating_add(unanswered.money.amount_in(limited));
        Used {
            tokens: spent.tokens().saturating_add(of_unanswered),
            calls: spent.calls + unanswered.calls,
            cost_micros: self.start.as_ref().map_or(0, |start| cost(start.currency())),
            worked_ms: spent.worked_ms,
        }
    }

    /// Bytes that may still be written; none is unlimited.
    pub fn bytes_left(&self) -> Option<u64> {
        let limit = self.start.as_ref()?.limits.bytes_max?;
        Some(limit.saturating_sub(self.bill.bytes_written))
    }

    /// Steps that ended because their share of a limit was used up, where `limits` would give them more.
    pub fn cut_short(&self, limits: &Limits) -> BTreeSet<InstructionId> {
        let Some(start) = &self.start else { return BTreeSet::new() };
        let is_raised = |cap: Cap| cap.is_raised(&start.limits, limits);
        let cut = self.settled.iter().filter(|(_, settled)| settled.cut.is_some_and(is_raised));
        cut.map(|(id, _)| *id).collect()
    }

    /// Takes up again what a raised limit leaves more to, on the files as they are: another decision, so another epoch.
    pub(super) fn take_up(&mut self, limits: &Limits) {
        let cut = self.cut_short(limits);
        if cut.is_empty() {
            return;
        }
        self.epoch += 1;
        self.settled.retain(|id, _| !cut.contains(id));
        self.course = None;
        self.final_reports = None;
        self.ledger = None;
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
