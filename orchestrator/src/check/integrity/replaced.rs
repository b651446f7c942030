//! What of the project a test puts something else in the place of.

use std::collections::BTreeSet;

use super::body::Found;
use super::judge::is_mocking;
use super::tokens::{arguments, is_name};

/// Names that mean something else while a test runs: `patch("calc.add")`, `patch.object(calc, "add")`, `calc.add = Mock()`,
/// `mock.method(calc, "add")`. `is_own` says what is the project's: `patch("calc.time.sleep")` replaces nothing of it.
pub(super) fn replaced(test: &Found, is_own: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut note = |owner: &str, name: &str| {
        let owner = owner.rsplit('.').next().unwrap_or(owner);
        if (owner.is_empty() || is_own(owner)) && !name.is_empty() {
            out.insert(name.to_owned());
        }
    };
    for mark in test.marks.iter().filter(|m| m.contains("patch")) {
        let inner = mark.split_once('(').map(|(_, inner)| inner).unwrap_or_default();
        let mut quoted = inner.split(['"', '\'']);
        let before = quoted.next().unwrap_or_default().trim().trim_end_matches([',', ' ']);
        by_name(before, quoted.next().unwrap_or_default(), &mut note);
    }
    let tokens = &test.function.tokens;
    let mocks = is_mocking(tokens);
    for (at, token) in tokens.iter().enumerate() {
        let next = |n: usize| tokens.get(at + n).map(String::as_str).unwrap_or_default();
        let of = at.checked_sub(2).map(|n| tokens[n].as_str()).unwrap_or_default();
        let is_patch = match token.as_str() {
            "patch" | "setattr" | "spyOn" => true,
            "object" => of == "patch",
            "method" => of == "mock",
            _ => false,
        };
        if is_patch && next(1) == "(" {
            let mut depth = 1_i32;
            let inner = tokens[at + 2..].iter().take_while(|t| {
                depth += i32::from(*t == "(") - i32::from(*t == ")");
                depth > 0
            });
            let given = arguments(&inner.cloned().collect::<Vec<_>>());
            let string = given.iter().position(|t| t.len() == 1 && t[0].starts_with('"'));
            let owner = given.first().filter(|_| string == Some(1)).map(|t| t.concat()).unwrap_or_default();
            let name = string.filter(|at| *at < 2).map(|at| given[at][0].trim_start_matches('"'));
            by_name(&owner, name.unwrap_or_default(), &mut note);
        }
        let is_given = next(1) == "." && next(3) == "=" && is_name(token);
        if is_given && (mocks && next(4).contains("Mock") || is_function(next(4))) {
            note(token, next(2));
        }
    }
    out
}

/// Whether a value that begins so is a function: what is put in the place of another, and not a setting.
fn is_function(first: &str) -> bool {
    matches!(first, "lambda" | "function" | "async")
}

/// `calc.add`, or `add` of an owner that stands by itself.
fn by_name(owner: &str, name: &str, note: &mut impl FnMut(&str, &str)) {
    match name.rsplit_once('.') {
        Some((owner, name)) => note(owner, name),
        None => note(owner, name),
    }
}
