//! What Python code does, step by step.

use tree_sitter::Node;

use super::super::body::{Asked, Function, Kind, Lost, Over, Row, Step, fill, once};
use super::super::tokens::{Tokens, arguments, bare, is_fixed, is_name, joined};
use super::swallow::{Regions, expects_own_failure, is_broad};
use super::{DEPTH_MAX, Reader, children};
use crate::check::syntax;

impl Reader<'_> {
    pub(super) fn function(&mut self, node: Node<'_>, depth: usize) -> Function {
        let parameters = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        let name_of = |n: &Node<'_>| {
            let said = self.said(*n);
            said.split([':', '=']).next().unwrap_or(said).trim_matches(['*', ' ']).to_owned()
        };
        let parameters: Vec<_> =
            parameters.iter().map(name_of).filter(|n| !matches!(n.as_str(), "self" | "cls")).collect();
        let body = node.child_by_field_name("body");
        let tokens = body.map(|n| self.tokens(n)).unwrap_or_default();
        let steps = body.map(|n| self.block(n, depth + 1)).unwrap_or_default();
        let is_async = self.said(node).starts_with("async");
        Function { name: self.field(node, "name").to_owned(), parameters, steps, tokens, is_async }
    }

    pub(super) fn block(&mut self, node: Node<'_>, depth: usize) -> Vec<Step> {
        let mut out = Vec::new();
        if depth > DEPTH_MAX {
            return out;
        }
        let all = children(node);
        for (at, node) in all.iter().enumerate() {
            self.step(*node, &mut out, depth + 1);
            if matches!(
                node.kind(),
                "return_statement" | "raise_statement" | "continue_statement" | "break_statement"
            ) {
                let mut rest = Vec::new();
                all[at + 1..].iter().for_each(|n| self.step(*n, &mut rest, depth + 1));
                out.push(Step::Lost(Lost::Dead, rest));
                break;
            }
        }
        out
    }

    pub(super) fn step(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match node.kind() {
            "assert_statement" => {
                if let Some(first) = children(node).first() {
                    let of = vec![self.tokens(*first)];
                    out.push(Step::Assert(Asked { kind: Kind::Holds, of }));
                    self.calls(*first, out);
                }
            }
            "if_statement" => {
                let condition =
                    node.child_by_field_name("condition").map(|n| self.tokens(n)).unwrap_or_default();
                let mut then = node
                    .child_by_field_name("consequence")
                    .map(|n| self.block(n, depth + 1))
                    .unwrap_or_default();
                fill(&mut then, &condition);
                if is_false(&condition) {
                    out.push(Step::Lost(Lost::Dead, then));
                } else {
                    out.extend(then);
                }
                for clause in children(node).into_iter().filter(|n| n.kind().ends_with("_clause")) {
                    for inner in children(clause).into_iter().filter(|n| n.kind() == "block") {
                        let mut other = self.block(inner, depth + 1);
                        fill(&mut other, &condition);
                        if is_true(&condition) {
                            out.push(Step::Lost(Lost::Dead, other));
                        } else {
                            out.extend(other);
                        }
                    }
                }
            }
            "while_statement" => {
                let condition =
                    node.child_by_field_name("condition").map(|n| self.tokens(n)).unwrap_or_default();
                let body =
                    node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
                out.push(if is_false(&condition) { Step::Lost(Lost::Dead, body) } else { once(body) });
            }
            "for_statement" => {
                let names = node.child_by_field_name("left").map(|n| self.tokens(n)).unwrap_or_default();
                let names = names.into_iter().filter(|t| is_name(t)).collect();
                let over = node.child_by_field_name("right").map_or(Over::Unknown, |n| self.over(n));
                let steps =
                    node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
                out.push(Step::Each { names, over, steps });
            }
            "try_statement" => self.attempt(node, out, depth),
            "with_statement" => self.with(node, out, depth),
            "function_definition" => {
                let inner = self.function(node, depth + 1);
                self.file.functions.push(inner);
            }
            "decorated_definition" | "class_definition" => {}
            "raise_statement" => {
                if self.said(node).contains("AssertionError") {
                    out.push(Step::Assert(Asked { kind: Kind::Fails, of: vec![] }));
                }
            }
            "assignment" => {
                if let Some(right) = node.child_by_field_name("right") {
                    self.calls(right, out);
                    let name = self.field(node, "left");
                    let name = name.strip_prefix("self.").unwrap_or(name);
                    if let Some(rows) = self.rows(right) {
                        out.push(Step::Table(name.to_owned(), rows));
                    }
                    out.push(Step::Let(name.to_owned(), self.tokens(right)));
                }
            }
            "block" => out.extend(self.block(node, depth + 1)),
            "match_statement" | "case_clause" => {
                children(node).into_iter().for_each(|n| self.step(n, out, depth + 1));
            }
            "expression_statement" => {
                for inner in children(node) {
                    match inner.kind() {
                        "assignment" => self.step(inner, out, depth + 1),
                        _ => self.calls(inner, out),
                    }
                }
            }
            _ => self.calls(node, out),
        }
    }

    pub(super) fn attempt(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        let body = node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
        let (mut swallows, mut throws) = (false, None);
        let mut rest = Vec::new();
        for clause in children(node) {
            let Some(block) = children(clause).into_iter().rfind(|n| n.kind() == "block") else { continue };
            let inside = self.block(block, depth + 1);
            if clause.kind() == "except_clause" {
                let head = &self.text[clause.start_byte()..block.start_byte()];
                let broad = is_broad(head);
                let handled = self.said(block);
                let fails = handled.contains("raise")
                    || handled.contains("fail(")
                    || !inside.is_empty() && asserts(&inside);
                swallows |= broad && !fails;
                throws = throws
                    .or_else(|| Some(head.trim_start_matches("except").trim_matches([' ', ':']).to_owned()));
            }
            rest.extend(inside);
        }
        let fails = body
            .iter()
            .chain(&rest)
            .any(|s| matches!(s, Step::Assert(a) if a.kind == Kind::Fails && a.of.is_empty()));
        if swallows {
            out.push(Step::Lost(Lost::Swallowed, body));
        } else if let (true, Some(what)) = (fails, throws) {
            // The long way to say that something is thrown.
            let kept = body.into_iter().filter(|s| !matches!(s, Step::Assert(a) if a.kind == Kind::Fails));
            rest.retain(|s| !matches!(s, Step::Assert(a) if a.kind == Kind::Fails));
            out.extend(kept);
            out.push(Step::Assert(Asked { kind: Kind::Throws, of: vec![vec![what]] }));
        } else {
            out.extend(body);
        }
        out.extend(rest);
    }

    /// Every call in an expression: assertions and what may be a helper.
    pub(super) fn calls(&mut self, node: Node<'_>, out: &mut Vec<Step>) {
        let mut around = Regions::default();
        for call in syntax::nodes(node).filter(|n| n.kind() == "call") {
            around.reach(call);
            let function = self.field(call, "function");
            let name = function.rsplit('.').next().unwrap_or(function);
            let Some(list) = call.child_by_field_name("arguments") else { continue };
            let all = self.tokens(list);
            let inner = all.get(1..all.len().saturating_sub(1)).unwrap_or_default();
            let mut given = arguments(inner);
            let is_word =
                |t: &Tokens, w: &str| t.first().is_some_and(|f| f == w) && t.get(1).is_some_and(|e| e == "=");
            let loose = given.iter().any(|t| {
                ["delta", "abs", "rel"].iter().any(|w| is_word(t, w))
                    && t.get(2).is_some_and(|v| v.parse::<f64>().is_ok_and(|v| v >= 1.0))
            });
            given.retain(|t| !is_word(t, "msg") && !is_word(t, "message"));
            if name.starts_with("assert_called")
                || name.starts_with("assert_any")
                || name.starts_with("assert_has")
            {
                let whom = call.child_by_field_name("function").map(|n| self.tokens(n)).unwrap_or_default();
                out.push(
                    around.wrap(Step::Assert(Asked { kind: Kind::Equal, of: vec![whom, inner.to_vec()] })),
                );
            } else if let Some((kind, arity)) = assertion(function, name) {
                if kind == Kind::Throws && expects_own_failure(&given) {
                    around.enter_lost(call);
                }
                // `assertTrue(total, 8)`: the second is its message, and what is asked is hardly anything.
                let truth = matches!(kind, Kind::Holds | Kind::HoldsNot) && arity == 1;
                if truth && given.get(1).is_some_and(is_no_message) {
                    given = vec![vec!["True".to_owned()]];
                }
                given.truncate(arity);
                let kind = if loose { Kind::Like } else { kind };
                let of = if kind == Kind::Fails { vec![] } else { given };
                out.push(around.wrap(Step::Assert(Asked { kind, of })));
            } else {
                let waits = call.parent().is_none_or(|p| p.kind() != "expression_statement");
                out.push(around.wrap(Step::Call { name: name.to_owned(), given, awaited: waits }));
                around.enter(call, name);
            }
        }
    }

    pub(super) fn over(&self, node: Node<'_>) -> Over {
        match self.rows(node) {
            Some(rows) => Over::Rows(rows),
            None if matches!(node.kind(), "identifier" | "attribute") => {
                let name = self.said(node);
                Over::Named(name.rsplit('.').next().unwrap_or(name).to_owned())
            }
            None => {
                let inner =
                    node.child_by_field_name("arguments").or_else(|| node.child_by_field_name("function"));
                let table = inner.map(children).unwrap_or_default();
                let named =
                    table.iter().find(|n| matches!(n.kind(), "list" | "tuple" | "dictionary" | "identifier"));
                match named {
                    Some(n) if n.kind() == "identifier" => Over::Named(self.said(*n).to_owned()),
                    Some(n) => self.rows(*n).map_or(Over::Unknown, Over::Rows),
                    None => Over::Unknown,
                }
            }
        }
    }

    pub(super) fn rows(&self, node: Node<'_>) -> Option<Vec<Row>> {
        if !matches!(node.kind(), "list" | "tuple" | "set" | "dictionary") {
            return None;
        }
        let row = |n: Node<'_>| match n.kind() {
            "tuple" | "list" => children(n).into_iter().map(|n| self.tokens(n)).collect(),
            "pair" => children(n).into_iter().map(|n| self.tokens(n)).collect(),
            // `pytest.param(1, 2, id="x")`
            "call" if self.said(n).starts_with("pytest.param") => {
                let list = n.child_by_field_name("arguments").map(children).unwrap_or_default();
                list.into_iter().filter(|n| n.kind() != "keyword_argument").map(|n| self.tokens(n)).collect()
            }
            _ => vec![self.tokens(n)],
        };
        Some(children(node).into_iter().filter(|n| n.kind() != "comment").map(row).collect())
    }
}

/// Whether an argument is a value that nobody gives as a message.
fn is_no_message(argument: &Tokens) -> bool {
    let first = argument.first().map_or("", String::as_str);
    first.parse::<f64>().is_ok() || matches!(first, "[" | "{" | "(" | "-" | "True" | "False" | "None")
}

pub(super) fn asserts(steps: &[Step]) -> bool {
    steps.iter().any(|s| matches!(s, Step::Assert(_)))
}

pub(super) fn is_false(condition: &Tokens) -> bool {
    let said = joined(bare(condition));
    matches!(said.as_str(), "False" | "0" | "None" | "not True" | "\"\"" | "[]" | "()" | "TYPE_CHECKING")
        || is_fixed(condition) && matches!(said.as_str(), "1==2" | "1==0" | "0==1" | "1>2" | "not 1")
        || said.starts_with("False and ")
}

pub(super) fn is_true(condition: &Tokens) -> bool {
    matches!(joined(bare(condition)).as_str(), "True" | "1" | "not False")
}

pub(super) fn assertion(function: &str, name: &str) -> Option<(Kind, usize)> {
    Some(match name {
        "assertTrue" | "assertIsNotNone" => (Kind::Holds, 1),
        "assertFalse" => (Kind::HoldsNot, 1),
        "assertIsNone" => (Kind::Same, 1),
        "assertIs" => (Kind::Same, 2),
        "assertIsNot" | "assertNotEqual" | "assertNotEquals" | "assertNotAlmostEqual" => (Kind::Differs, 2),
        "assertIn" | "assertNotIn" => (Kind::Contains, 2),
        "assertGreater" | "assertLess" | "assertGreaterEqual" | "assertLessEqual" => (Kind::Compares, 2),
        "assertIsInstance"
        | "assertNotIsInstance"
        | "assertRegex"
        | "assertNotRegex"
        | "assertLogs"
        | "assertNoLogs" => (Kind::Like, 2),
        "assertRaises" | "assertRaisesRegex" | "assertWarns" | "assertWarnsRegex" => (Kind::Throws, 2),
        "raises" | "warns" if function.starts_with("pytest") || function == name => (Kind::Throws, 1),
        "fail" if function.starts_with("self.") || function.starts_with("pytest.") => (Kind::Fails, 0),
        n if n.starts_with("assert")
            && (n.contains("Equal") || n.contains("equal") || n.contains("allclose")) =>
        {
            (Kind::Equal, 2)
        }
        _ => return None,
    })
}
