//! A forecast as people and scripts read it.

use edvac_orchestrator::control::budget::Tariff;
use edvac_orchestrator::forecast::{Basis, Forecast, Range};
use edvac_orchestrator::price::{amount, example};
use edvac_orchestrator::report::duration;
use serde_json::json;

use super::{SCHEMA_VERSION, print_json};
use crate::args::Json;

/// Shows what an order will take.
pub fn show(forecast: &Forecast, form: Json) -> u8 {
    if form.json {
        return print_json(&json!({ "schema_version": SCHEMA_VERSION, "forecast": forecast }));
    }
    println!("{}\n\nNothing was sent. Without --dry-run it is carried out.", lines(forecast).join("\n"));
    0
}

/// A forecast, a line each.
pub fn lines(forecast: &Forecast) -> Vec<String> {
    let Forecast { model, is_planned, steps, needs, tokens, tariff, basis, warnings } = forecast;
    let number = |n: u64| n.to_string();
    let row = |name: &str, range: &Range, words: &dyn Fn(u64) -> String| {
        let Range { low, expected, high } = *range;
        format!("{name:<16} {:>16} {:>16} {:>16}", words(low), words(expected), words(high))
    };
    let mut out = vec![
        format!("what it will take on {model}"),
        format!("{:<16} {:>16} {:>16} {:>16}", "", "at least", "probably", "at most"),
        row("steps", steps, &number),
        row("model calls", &needs.calls, &number),
        row("tokens", tokens, &number),
        row("  sent", &needs.prompt_tokens, &number),
        row("  written", &needs.completion_tokens, &number),
        row("time", &needs.work_ms, &duration),
    ];
    out.push(match (tariff, &needs.cost_micros) {
        (Tariff::Priced(price), Some(cost)) => row("money", cost, &|micros| amount(micros, &price.currency)),
        (Tariff::Free, _) => format!("{:<16} {:>16}", "money", "free"),
        _ => format!("money            unknown; write its price into the configuration: {}", example(model)),
    });
    out.push(String::new());
    out.extend(based_on(basis));
    if !is_planned {
        out.push(
            "There is no plan yet, so that the steps are a guess. `edvac plan TASK --out plan.toml` makes one with a few \
             model calls; `edvac run --program plan.toml --dry-run` then knows them."
                .to_owned(),
        );
    }
    out.extend(warnings.iter().map(|warning| format!("! {warning}")));
    out
}

fn based_on(basis: &Basis) -> Vec<String> {
    match basis {
        Basis::History { runs, steps } => vec![format!(
            "Counted from {steps} step(s) of {runs} finished run(s) of this model here: the least, the mean and the most \
             of them for each step."
        )],
        Basis::Assumed { assumptions } => {
            let head =
                "No run of this model has finished here. These are assumptions, not measurements:".to_owned();
            std::iter::once(head).chain(assumptions.iter().map(|a| format!("- {a}"))).collect()
        }
    }
}
