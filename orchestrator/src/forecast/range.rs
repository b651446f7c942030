//! Quantities that are not known yet, and sums of them.

use serde::Serialize;

use super::history::Spent;
use crate::control::budget::Tariff;

/// A quantity that is not known yet: `low <= expected <= high`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Range {
    /// At least.
    pub low: u64,
    /// Probably.
    pub expected: u64,
    /// At most.
    pub high: u64,
}

impl Range {
    /// The range of three numbers; those that are out of order give way to the expected one.
    pub fn new(low: u64, expected: u64, high: u64) -> Self {
        Self { low: low.min(expected), expected, high: high.max(expected) }
    }

    /// So much and no other.
    pub fn exactly(number: u64) -> Self {
        Self::new(number, number, number)
    }

    fn zip(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self::new(of(self.low, other.low), of(self.expected, other.expected), of(self.high, other.high))
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// One so many times as the other says.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        self.zip(other, u64::saturating_mul)
    }

    /// The least, the mean and the most of what was seen; none of nothing.
    pub(super) fn seen(numbers: impl Iterator<Item = u64> + Clone) -> Option<Self> {
        let (low, high) = (numbers.clone().min()?, numbers.clone().max()?);
        let count = numbers.clone().count() as u64;
        Some(Self::new(low, numbers.fold(0, u64::saturating_add) / count, high))
    }
}

/// What something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// Model calls.
    pub calls: Range,
    /// Tokens sent.
    pub prompt_tokens: Range,
    /// Tokens written.
    pub completion_tokens: Range,
    /// Money in the model's currency, in millionths; none where its price is not known.
    pub cost_micros: Option<Range>,
    /// Time worked.
    pub work_ms: Range,
}

impl Needs {
    /// Tokens sent and written.
    pub fn tokens(&self) -> Range {
        self.prompt_tokens.plus(self.completion_tokens)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.zip(other, Range::plus)
    }

    pub(super) fn times(self, count: Range) -> Self {
        let counts = Self {
            calls: count,
            prompt_tokens: count,
            completion_tokens: count,
            cost_micros: Some(count),
            work_ms: count,
        };
        self.zip(counts, Range::times)
    }

    fn zip(self, other: Self, of: impl Fn(Range, Range) -> Range) -> Self {
        Self {
            calls: of(self.calls, other.calls),
            prompt_tokens: of(self.prompt_tokens, other.prompt_tokens),
            completion_tokens: of(self.completion_tokens, other.completion_tokens),
            cost_micros: self.cost_micros.zip(other.cost_micros).map(|(a, b)| of(a, b)),
            work_ms: of(self.work_ms, other.work_ms),
        }
    }

    /// What was seen of several of a kind.
    pub(super) fn seen(spent: &[Spent], tariff: &Tariff) -> Option<Self> {
        let of = |what: fn(&Spent) -> u64| Range::seen(spent.iter().map(what));
        let cost = || Range::seen(spent.iter().map(|s| s.money.amount_in(tariff.currency())));
        Some(Self {
            calls: of(|s| s.calls)?,
            prompt_tokens: of(|s| s.prompt_tokens)?,
            completion_tokens: of(|s| s.completion_tokens)?,
            cost_micros: if *tariff == Tariff::Unknown { None } else { cost() },
            work_ms: of(|s| s.work_ms)?,
        })
    }
}
