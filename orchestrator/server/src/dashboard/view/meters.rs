//! The figures of a run: what it used of what it may use, and how quick its model is.

use edvac_orchestrator::account::Account;
use edvac_orchestrator::config::MINUTE_MS;
use edvac_orchestrator::control::budget::Cap;
use edvac_orchestrator::price::amount;
use edvac_orchestrator::report::{duration, rate};
use serde::Serialize;
use utoipa::ToSchema;

use super::thousands;
use crate::dashboard::watched::Watched;

/// One figure of a run, with a bar where it has an end.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Meter {
    /// What it is, in a word or two.
    pub name: &'static str,
    /// Its value in words.
    pub value: String,
    /// What stands below it.
    pub detail: String,
    /// How full it is, 0 to 100; none where it has no end.
    #[schema(required)]
    pub percent: Option<u64>,
}

/// All of them.
pub(super) fn meters(watched: &Watched) -> Vec<Meter> {
    let state = &watched.state;
    let Some(start) = &state.start else { return Vec::new() };
    let spent = state.spent();
    let account = Account::of(state);
    let limit = |cap: Cap| cap.limit(&start.limits);
    let used = |cap: Cap| account.as_ref().map_or(0, |account| cap.of(&account.used));
    let percent = |cap: Cap| limit(cap).map(|limit| (used(cap) * 100 / limit.max(1)).min(100));
    let of = |limit: Option<String>| limit.map_or("no limit".to_owned(), |limit| format!("of {limit}"));
    let last = watched.replies.last();
    let decode = last.map_or(0.0, |r| rate(r.usage.completion_tokens, r.usage.decode_ms));
    let window = start.model.window_tokens;
    let filled = watched.prompts.last().map_or(0, |p| p.tokens);
    let reused = spent.reused_tokens.min(spent.prompt_tokens);
    let mut meters = vec![
        Meter {
            name: "Tokens",
            value: thousands(used(Cap::Tokens)),
            detail: of(limit(Cap::Tokens).map(thousands)),
            percent: percent(Cap::Tokens),
        },
        Meter {
            name: "Cost",
            value: account.as_ref().map_or(String::new(), |a| a.money.clone()),
            detail: of(limit(Cap::Cost).map(|micros| amount(micros, start.currency().unwrap_or_default()))),
            percent: percent(Cap::Cost),
        },
        Meter {
            name: "Time worked",
            value: duration(spent.worked_ms),
            detail: of(limit(Cap::Time).map(|ms| format!("{} min", ms / MINUTE_MS))),
            percent: percent(Cap::Time),
        },
        Meter {
            name: "Model calls",
            value: thousands(spent.calls),
            detail: of(limit(Cap::Calls).map(thousands)),
            percent: percent(Cap::Calls),
        },
    ];
    if let Some(last) = last {
        meters.push(Meter {
            name: "Writing",
            value: format!("{decode:.1} tokens/s"),
            detail: format!("first token after {}", duration(last.usage.prefill_ms)),
            percent: None,
        });
        meters.push(Meter {
            name: "Prompt reused",
            value: format!("{} %", reused * 100 / spent.prompt_tokens.max(1)),
            detail: format!("{} of {} tokens", thousands(reused), thousands(spent.prompt_tokens)),
            percent: Some(reused * 100 / spent.prompt_tokens.max(1)),
        });
    }
    if window > 0 && filled > 0 {
        meters.push(Meter {
            name: "Window",
            value: format!("{} %", filled * 100 / window),
            detail: format!(
                "{} of {} tokens in the last prompt",
                thousands(filled as u64),
                thousands(window as u64)
            ),
            percent: Some((filled * 100 / window).min(100) as u64),
        });
    }
    meters
}
