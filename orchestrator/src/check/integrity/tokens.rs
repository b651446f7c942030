//! Texts as tokens: what an expression says without its layout, and the few questions that are asked of it.
//!
//! Expressions are compared as tokens and not as trees since Rust's macros have no trees, and since one form has to do for
//! every language.

use std::collections::{BTreeMap, BTreeSet};

use tree_sitter::Node;

use crate::check::syntax;

/// The tokens of an expression. A string is one token that begins with `"`.
pub(super) type Tokens = Vec<String>;

/// Tokens of one expression that are kept; more is data whose end makes no difference here.
const TOKENS_MAX: usize = 4000;

/// The tokens below a node, without comments. Strings lose the way they are quoted.
pub(super) fn tokens(node: Node<'_>, text: &str) -> Tokens {
    let mut out = Vec::new();
    let mut done = 0;
    for node in syntax::nodes(node) {
        if node.start_byte() < done || out.len() >= TOKENS_MAX {
            continue;
        }
        let kind = node.kind();
        if kind.contains("comment") {
            done = node.end_byte();
        } else if is_string(kind) {
            done = node.end_byte();
            out.push(format!("\"{}", unquoted(&text[node.byte_range()])));
        } else if node.child_count() == 0 {
            let token = text[node.byte_range()].trim();
            if !token.is_empty() {
                out.push(token.to_owned());
            }
        }
    }
    out
}

fn is_string(kind: &str) -> bool {
    matches!(
        kind,
        "string"
            | "string_literal"
            | "raw_string_literal"
            | "template_string"
            | "char_literal"
            | "interpreted_string_literal"
    )
}

/// A string's content.
pub(super) fn unquoted(text: &str) -> String {
    let text = text.trim_start_matches(|c: char| c.is_alphabetic() || c == '#').trim_end_matches('#');
    text.trim_matches(|c| matches!(c, '"' | '\'' | '`')).to_owned()
}

/// Whether a token is a name.
pub(super) fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '$' | '@')) && !is_constant(token)
}

/// Whether a token is a value by itself.
pub(super) fn is_constant(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_digit() || c == '"')
        || matches!(
            token,
            "True" | "False" | "None" | "true" | "false" | "null" | "undefined" | "nil" | "NaN" | "Infinity"
        )
}

/// Names that say nothing about what is looked at.
const EVERYWHERE: [&str; 40] = [
    "self",
    "cls",
    "this",
    "len",
    "str",
    "int",
    "list",
    "dict",
    "set",
    "tuple",
    "sorted",
    "isinstance",
    "type",
    "bool",
    "float",
    "not",
    "in",
    "is",
    "and",
    "or",
    "if",
    "else",
    "for",
    "new",
    "await",
    "typeof",
    "length",
    "String",
    "Vec",
    "vec",
    "to_string",
    "to_owned",
    "format",
    "Some",
    "Ok",
    "Err",
    "as",
    "ref",
    "mut",
    "lambda",
];

/// The names in an expression that say what it is about, also those inside of a string that is put together.
pub(super) fn names(tokens: &[String]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for token in tokens {
        if is_name(token) && !EVERYWHERE.contains(&token.as_str()) {
            out.insert(token.clone());
        } else if token.starts_with('"') && token.contains('{') {
            let words = token.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| is_name(w));
            out.extend(words.map(str::to_owned));
        }
    }
    out
}

/// The values in an expression.
pub(super) fn values(tokens: &[String]) -> BTreeSet<String> {
    tokens.iter().filter(|t| is_constant(t)).cloned().collect()
}

/// Whether an expression is the same whatever the program does: there is no name in it.
pub(super) fn is_fixed(tokens: &[String]) -> bool {
    !tokens.is_empty()
        && tokens.iter().all(|t| {
            !is_name(t)
                || matches!(
                    t.as_str(),
                    "not" | "and" | "or" | "vec" | "is" | "in" | "to_string" | "to_owned" | "String" | "from"
                )
        })
        && !tokens.iter().any(|t| t.starts_with('"') && t.contains("${"))
}

/// Puts expressions in the place of names. A name after a dot is a member, and stays.
pub(super) fn put(tokens: &[String], given: &BTreeMap<String, Tokens>) -> Tokens {
    let mut out: Tokens = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let member = at > 0 && matches!(tokens[at - 1].as_str(), "." | "?." | "::");
        let of_self = at > 1 && matches!(tokens[at - 2].as_str(), "self" | "this");
        match given.get(token) {
            Some(with) if (!member || of_self) && out.len() < TOKENS_MAX => {
                if of_self && member {
                    out.truncate(out.len().saturating_sub(2));
                }
                out.extend_from_slice(with);
            }
            _ => out.push(token.clone()),
        }
    }
    out.truncate(TOKENS_MAX);
    out
}

/// Splits at a token that stands in no bracket.
pub(super) fn split<'t>(tokens: &'t [String], at: &[&str]) -> Vec<&'t [String]> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0_i32, 0);
    for (n, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            other if depth == 0 && at.contains(&other) => {
                parts.push(&tokens[from..n]);
                from = n + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[from.min(tokens.len())..]);
    parts
}

/// Splits at the commas that stand in no bracket; nothing for no tokens.
pub(super) fn arguments(tokens: &[String]) -> Vec<Tokens> {
    split(tokens, &[","]).into_iter().filter(|p| !p.is_empty()).map(<[String]>::to_vec).collect()
}

/// Without brackets around the whole.
pub(super) fn bare(mut tokens: &[String]) -> &[String] {
    while let [first, inner @ .., last] = tokens {
        let closes = matches!((first.as_str(), last.as_str()), ("(", ")"));
        if !closes || !is_balanced(inner) || split(inner, &[","]).len() > 1 {
            break;
        }
        tokens = inner;
    }
    tokens
}

fn is_balanced(tokens: &[String]) -> bool {
    let mut depth = 0_i32;
    tokens.iter().all(|token| {
        depth += match token.as_str() {
            "(" => 1,
            ")" => -1,
            _ => 0,
        };
        depth >= 0
    }) && depth == 0
}

/// As one line of text, for people and as a key.
pub(super) fn joined(tokens: &[String]) -> String {
    let mut out = String::new();
    for token in tokens {
        let wordy = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '"'));
        if wordy(out.chars().last()) && wordy(token.chars().next()) {
            out.push(' ');
        }
        out.push_str(token);
        if token.starts_with('"') {
            out.push('"');
        }
    }
    out
}
