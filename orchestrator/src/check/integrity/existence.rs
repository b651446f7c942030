//! Assertions that ask only whether something of the project is there, and not what it does.

use super::TestFacts;
use super::project::{Project, Reach};

/// What asks for a function or a class without using it, by how its text begins and ends.
const ABOUT: [(&str, &str); 6] = [
    ("callable(", ")"),
    ("inspect.isfunction(", ")"),
    ("inspect.isclass(", ")"),
    ("isinstance(", ",type)"),
    ("typeof ", ""),
    ("", " instanceof Function"),
];

/// What a test asks, if all of it is whether something of the project exists.
pub(super) fn asked_only(project: &Project<'_>, reach: &Reach, facts: &TestFacts) -> Option<String> {
    let mut biting = facts.assertions.iter().filter(|a| a.bites()).peekable();
    let first = biting.peek().map(|a| a.raw.clone());
    biting.all(|a| is_existence(project, reach, &a.key)).then_some(first).flatten()
}

/// `key` is an assertion in its plainest form: a word, and its sides.
fn is_existence(project: &Project<'_>, reach: &Reach, key: &str) -> bool {
    let Some((word, rest)) = key.split_once(' ') else { return false };
    let (left, right) = rest.split_once(" | ").unwrap_or((rest, ""));
    let is_thing = |text: &str| is_reference(project, reach, text);
    let asks = |text: &str| {
        is_thing(text)
            || is_member(project, reach, text, "hasattr(")
            || ABOUT.iter().any(|(begins, ends)| {
                let inner = text.strip_prefix(begins).and_then(|t| t.strip_suffix(ends));
                inner.is_some_and(is_thing)
            })
    };
    match word {
        "true" => asks(left),
        "differs" => {
            let nothing = |text: &str| matches!(text, "None" | "null" | "undefined");
            nothing(right) && is_thing(left) || nothing(left) && is_thing(right)
        }
        "like" => {
            let kind = |text: &str| {
                matches!(text, "type" | "types.FunctionType" | "FunctionType" | "Function" | "\"function\"")
            };
            kind(right) && asks(left) || kind(left) && asks(right)
        }
        // `"add" in dir(calc)`
        "in" => {
            let module = right.strip_prefix("dir(").and_then(|t| t.strip_suffix(')')).unwrap_or(right);
            reach.modules.contains(module) && project.is_callable(left.trim_matches('"'))
        }
        _ => false,
    }
}

/// Whether a text names a function or a class of the project, and nothing that it does.
fn is_reference(project: &Project<'_>, reach: &Reach, text: &str) -> bool {
    if text.starts_with("getattr(") {
        return is_member(project, reach, text, "getattr(");
    }
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'));
    let mut parts = text.split('.');
    let first = parts.next().unwrap_or_default();
    let is_own = project.is_callable(first) && reach.touches.contains(first);
    plain
        && match parts.next_back() {
            None => is_own,
            Some(last) => {
                reach.modules.contains(first) && project.is_callable(last)
                    || is_own && text.contains(".prototype.")
            }
        }
}

/// `hasattr(calc, "add")` of a module or a class.
fn is_member(project: &Project<'_>, reach: &Reach, text: &str, call: &str) -> bool {
    let inner = text.strip_prefix(call).and_then(|t| t.strip_suffix(')'));
    let Some((owner, name)) = inner.and_then(|t| t.split_once(',')) else { return false };
    let name = name.split(',').next().unwrap_or(name).trim_matches('"');
    reach.modules.contains(owner) && project.is_callable(name) || is_reference(project, reach, owner)
}
