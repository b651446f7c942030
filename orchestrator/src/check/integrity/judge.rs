//! What an assertion is worth: how much it asks, and whether it can fail at all.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::body::Kind;
use super::tokens::{Tokens, bare, is_fixed, is_name, joined, names, split, values};

/// How much an assertion asks, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// It cannot fail.
    Trivial,
    /// Only that nothing is thrown.
    Implied,
    /// That something is there, or true.
    Truthy,
    /// A part of the value, a bound, a type, that anything is thrown.
    Loose,
    /// One value, one kind of error.
    Exact,
}

/// An assertion that a test makes, itself or through a helper, once for every row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// What it asks, the same for every way to write it; names stand for what they were given.
    pub key: String,
    /// The same as it is written.
    pub raw: String,
    /// How much it asks.
    pub strictness: Strictness,
    /// The names in it.
    pub names: BTreeSet<String>,
    /// The values in it.
    pub values: BTreeSet<String>,
    /// Why it cannot fail its test although it could fail: `swallowed`, `floating` or `dead`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

impl Assertion {
    /// Whether it can make its test fail.
    pub fn bites(&self) -> bool {
        self.lost.is_none() && self.strictness > Strictness::Trivial
    }
}

/// A question in its plainest form.
pub(super) struct Plain {
    pub(super) key: String,
    pub(super) strictness: Strictness,
    pub(super) of: Vec<Tokens>,
}

impl Plain {
    fn new(word: &str, strictness: Strictness, of: &[&[String]]) -> Self {
        let of: Vec<Tokens> = of.iter().map(|t| bare(t).to_vec()).collect();
        let mut sides: Vec<_> = of.iter().map(|t| joined(t).replace("self.", "")).collect();
        if matches!(word, "equal" | "differs") {
            sides.sort();
        }
        Self { key: format!("{word} {}", sides.join(" | ")), strictness, of }
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.of.iter().flat_map(|t| names(t)).collect()
    }

    pub(super) fn values(&self) -> BTreeSet<String> {
        self.of.iter().flat_map(|t| values(t)).collect()
    }
}

/// What an assertion asks; `repeats` allows to compare one call with the same call again.
pub(super) fn judge(kind: Kind, of: &[Tokens], repeats: bool) -> Vec<Plain> {
    let side = |n: usize| of.get(n).map(Vec::as_slice).unwrap_or_default();
    match kind {
        Kind::Holds => holds(side(0), false, repeats),
        Kind::HoldsNot => holds(side(0), true, repeats),
        Kind::Equal => vec![equal(side(0), side(1), repeats)],
        Kind::Same if of.len() < 2 => vec![equal(side(0), &["None".to_owned()], repeats)],
        Kind::Same => vec![equal(side(0), side(1), true)],
        Kind::Differs => vec![unless_fixed("differs", Strictness::Loose, side(0), side(1))],
        Kind::Compares => vec![compares(side(0), side(1))],
        Kind::Contains => vec![unless_fixed("in", Strictness::Loose, side(0), side(1))],
        Kind::Like => vec![unless_fixed("like", Strictness::Loose, side(0), side(1))],
        Kind::Throws => {
            let what = of.iter().find(|t| !t.is_empty());
            let broad =
                what.is_none_or(|t| t.iter().any(|t| matches!(t.as_str(), "Exception" | "BaseException")));
            let strictness = if broad { Strictness::Loose } else { Strictness::Exact };
            vec![Plain::new("throws", strictness, &of.iter().map(Vec::as_slice).collect::<Vec<_>>())]
        }
        Kind::Fails => match side(0) {
            [] => vec![Plain::new("fails", Strictness::Loose, &[])],
            condition => holds(condition, true, repeats)
                .into_iter()
                .map(|p| Plain { strictness: p.strictness.max(Strictness::Truthy), ..p })
                .collect(),
        },
        Kind::Works => vec![Plain::new("works", Strictness::Implied, &[side(0)])],
    }
}

fn unless_fixed(word: &str, strictness: Strictness, left: &[String], right: &[String]) -> Plain {
    let anything = word == "like" && right.len() == 1 && right[0] == "object";
    let trivial =
        anything || is_fixed(left) && (right.is_empty() || is_fixed(right)) || left == right && word == "in";
    Plain::new(word, if trivial { Strictness::Trivial } else { strictness }, &[left, right])
}

fn equal(left: &[String], right: &[String], repeats: bool) -> Plain {
    let (left, right) = (bare(left), bare(right));
    // What takes from a queue or a clock can be called twice; so can what is to be the same again.
    let bare_call = left.ends_with(&["(".to_owned(), ")".to_owned()]);
    let itself = left == right && !(bare_call || repeats && left.iter().any(|t| t == "("));
    let anything = [left, right].iter().any(|t| joined(t).ends_with("mock.ANY") || joined(t) == "ANY");
    let trivial = itself || is_fixed(left) && is_fixed(right) || anything;
    let of_type = |t: &[String]| t.first().is_some_and(|f| f == "typeof") || joined(t).starts_with("type(");
    if !trivial && (of_type(left) || of_type(right)) {
        return Plain::new("like", Strictness::Loose, &[left, right]);
    }
    Plain::new("equal", if trivial { Strictness::Trivial } else { Strictness::Exact }, &[left, right])
}

fn compares(left: &[String], right: &[String]) -> Plain {
    let zero = |t: &[String]| t.len() == 1 && t[0] == "0";
    let size = |t: &[String]| {
        t.first().is_some_and(|f| f == "len")
            || t.last().is_some_and(|l| l == "length")
            || joined(t).ends_with(".len()")
    };
    let trivial = is_fixed(left) && is_fixed(right) || left == right;
    let strictness = match () {
        () if trivial => Strictness::Trivial,
        // Whether there is any is as much as to ask whether it is true.
        () if size(left) && zero(right) => Strictness::Truthy,
        () => Strictness::Loose,
    };
    Plain::new("compares", strictness, &[left, right])
}

fn holds(tokens: &[String], negated: bool, repeats: bool) -> Vec<Plain> {
    let tokens = bare(tokens);
    let parts = split(tokens, if negated { &["or", "||"] } else { &["and", "&&"] });
    if parts.len() > 1 {
        return parts.into_iter().flat_map(|p| holds(p, negated, repeats)).collect();
    }
    let parts = split(tokens, if negated { &["and", "&&"] } else { &["or", "||"] });
    if parts.len() > 1 {
        return vec![either(tokens, &parts, negated, repeats)];
    }
    match tokens {
        [first, rest @ ..] if first == "not" || first == "!" => return holds(rest, !negated, repeats),
        _ => {}
    }
    let asks = |name: &str| tokens.ends_with(&[".", name, "(", ")"].map(str::to_owned));
    for (name, value) in [("is_none", "None"), ("is_empty", "[]")] {
        if !negated && asks(name) {
            return vec![equal(&tokens[..tokens.len() - 4], &[value.to_owned()], repeats)];
        }
    }
    for (signs, kind) in [
        (&["==", "==="] as &[&str], Kind::Equal),
        (&["!=", "!=="], Kind::Differs),
        (&["<", ">", "<=", ">="], Kind::Compares),
        (&["is", "is not", "not in", "in"], Kind::Same),
    ] {
        let sides = split(tokens, signs);
        let &[left, right] = sides.as_slice() else {
            // `0 < x < 3` is one comparison more.
            if sides.len() > 2 {
                return vec![Plain::new("compares", Strictness::Loose, &[tokens])];
            }
            continue;
        };
        let sign = tokens.get(left.len()).map(String::as_str).unwrap_or_default();
        return vec![compared(kind, sign, left, right, negated, repeats)];
    }
    let word = if negated { "not" } else { "true" };
    vec![Plain::new(word, of_truth(tokens, negated), &[tokens])]
}

/// One of several has to hold, which asks no more than the least of them, and nothing where one is another's opposite.
fn either(tokens: &[String], parts: &[&[String]], negated: bool, repeats: bool) -> Plain {
    let all: Vec<_> = parts.iter().flat_map(|p| holds(p, negated, repeats)).collect();
    let opposite = parts.iter().any(|p| {
        let said = joined(bare(p));
        parts
            .iter()
            .any(|q| joined(bare(q)) == format!("not {said}") || joined(bare(q)) == format!("!{said}"))
    });
    let least = all.iter().map(|p| p.strictness).min().unwrap_or(Strictness::Trivial).min(Strictness::Loose);
    let least = if opposite { Strictness::Trivial } else { least };
    Plain::new("either", least, &[tokens])
}

/// How much it asks that an expression which compares nothing is true.
fn of_truth(tokens: &[String], negated: bool) -> Strictness {
    let said = joined(tokens);
    let is_tuple = tokens.first().is_some_and(|t| t == "(")
        && split(&tokens[1..tokens.len().max(2) - 1], &[","]).len() > 1;
    match tokens {
        // A failure in so many words.
        [one] if !negated && matches!(one.as_str(), "False" | "false" | "0" | "None") => Strictness::Loose,
        _ if is_tuple && !negated && tokens.last().is_some_and(|t| t == ")") => Strictness::Trivial,
        _ if is_fixed(tokens) => Strictness::Trivial,
        _ if said.starts_with("matches!(") => {
            if said.contains("_)") || said.contains("..") {
                Strictness::Loose
            } else {
                Strictness::Exact
            }
        }
        _ if said.contains("is_deeply_equal(")
            || said.contains("DeepEqual(")
            || said.contains("bytes.Equal(") =>
        {
            Strictness::Exact
        }
        _ if tokens.first().is_some_and(|t| t == "isinstance") && said.ends_with(",object)") => {
            Strictness::Trivial
        }
        _ if tokens.first().is_some_and(|t| t == "isinstance") => Strictness::Loose,
        _ if [
            "startswith(",
            "endswith(",
            "contains(",
            "includes(",
            "starts_with(",
            "ends_with(",
            "match(",
            "test(",
            "search(",
            "every(",
            "some(",
            "all(",
            "any(",
            "has(",
        ]
        .iter()
        .any(|w| said.contains(w)) =>
        {
            Strictness::Loose
        }
        _ => Strictness::Truthy,
    }
}

fn compared(
    kind: Kind,
    sign: &str,
    left: &[String],
    right: &[String],
    negated: bool,
    repeats: bool,
) -> Plain {
    // The grammar says `not in` as one word or as two.
    let (left, right, sign) = match (left, right) {
        ([before @ .., not], _) if not == "not" && sign == "in" => (before, right, "not in"),
        (_, [not, after @ ..]) if not == "not" && sign == "is" => (left, after, "is not"),
        _ => (left, right, sign),
    };
    let nothing =
        |t: &[String]| matches!(t, [one] if matches!(one.as_str(), "None" | "null" | "undefined" | "nil"));
    match (kind, sign, negated) {
        (Kind::Equal, _, false) | (Kind::Differs, _, true) => equal(left, right, repeats),
        (Kind::Same, "is", false) | (Kind::Same, "is not", true) => equal(left, right, true),
        (Kind::Same, "is not" | "is", _) | (Kind::Equal | Kind::Differs, ..)
            if nothing(right) || nothing(left) =>
        {
            let strictness =
                if is_fixed(left) && is_fixed(right) { Strictness::Trivial } else { Strictness::Truthy };
            Plain::new("true", strictness, &[if nothing(right) { left } else { right }])
        }
        (Kind::Same, "in" | "not in", _) => unless_fixed("in", Strictness::Loose, left, right),
        (Kind::Compares, ">=" | "<=", false) => {
            let (big, small) = if sign == ">=" { (left, right) } else { (right, left) };
            let plain = compares(big, small);
            // No size is below nothing.
            let always = plain.strictness == Strictness::Truthy;
            Plain { strictness: if always { Strictness::Trivial } else { plain.strictness }, ..plain }
        }
        (Kind::Compares, ..) => compares(left, right),
        _ => unless_fixed("differs", Strictness::Loose, left, right),
    }
}

/// Whether an expression names what mocks are made with.
pub(super) fn is_mocking(tokens: &[String]) -> bool {
    tokens
        .iter()
        .any(|t| is_name(t) && matches!(t.as_str(), "Mock" | "MagicMock" | "AsyncMock" | "create_autospec"))
        || joined(tokens).contains("mock.fn(")
}
