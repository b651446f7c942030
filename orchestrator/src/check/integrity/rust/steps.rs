//! What Rust code does, step by step.

use tree_sitter::Node;

use super::super::body::{Asked, Function, Kind, Lost, Over, Row, Step, fill, once};
use super::super::tokens::{Tokens, arguments, is_name, joined};
use super::{DEPTH_MAX, Reader, children};

impl Reader<'_> {
    pub(super) fn function(&mut self, item: Node<'_>, depth: usize) -> Function {
        let list = item.child_by_field_name("parameters").map(children).unwrap_or_default();
        let parameters =
            list.iter().map(|n| self.field(*n, "pattern").to_owned()).filter(|n| !n.is_empty()).collect();
        let body = item.child_by_field_name("body");
        let steps = body.map(|n| self.block(n, depth + 1)).unwrap_or_default();
        let tokens = body.map(|n| self.tokens(n)).unwrap_or_default();
        Function { name: self.field(item, "name").to_owned(), parameters, steps, tokens, is_async: false }
    }

    pub(super) fn block(&mut self, node: Node<'_>, depth: usize) -> Vec<Step> {
        let mut out = Vec::new();
        if depth > DEPTH_MAX {
            return out;
        }
        let all = children(node);
        for (at, node) in all.iter().enumerate() {
            self.step(*node, &mut out, depth + 1);
            let leaves = node.kind() == "return_expression"
                || node.kind() == "expression_statement"
                    && children(*node).iter().any(|n| n.kind() == "return_expression");
            if leaves {
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
            "macro_invocation" => self.invocation(node, out),
            "let_declaration" => self.binding(node, out, depth),
            "if_expression" => self.branch(node, out, depth),
            "match_expression" => {
                let subject = self.tokens_of(node, "value");
                let mut inside = Vec::new();
                children(node).into_iter().for_each(|n| self.step(n, &mut inside, depth + 1));
                fill(&mut inside, &subject);
                out.extend(inside);
            }
            "for_expression" => {
                let names = self.tokens_of(node, "pattern").into_iter().filter(|t| is_name(t)).collect();
                let over = node.child_by_field_name("value").map_or(Over::Unknown, |n| self.over(n));
                let steps =
                    node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
                out.push(Step::Each { names, over, steps });
            }
            "block" => out.extend(self.block(node, depth + 1)),
            "call_expression" => self.call(node, out, depth),
            "try_expression" => {
                out.push(Step::Assert(Asked { kind: Kind::Works, of: vec![self.tokens(node)] }));
                children(node).into_iter().for_each(|n| self.step(n, out, depth + 1));
            }
            "function_item" => {
                let inner = self.function(node, depth + 1);
                self.file.functions.push(inner);
            }
            _ => children(node).into_iter().for_each(|n| self.step(n, out, depth + 1)),
        }
    }

    /// A name that is given a value, which can be a function.
    fn binding(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        if let Some(value) = node.child_by_field_name("value") {
            let pattern = node.child_by_field_name("pattern");
            let name = pattern.map(|n| self.said(n).trim_start_matches("mut ")).unwrap_or_default();
            if value.kind() == "closure_expression" {
                let parameters =
                    self.tokens_of(value, "parameters").into_iter().filter(|t| is_name(t)).collect();
                let mut steps = Vec::new();
                value
                    .child_by_field_name("body")
                    .into_iter()
                    .for_each(|n| self.step(n, &mut steps, depth + 1));
                let tokens = self.tokens(value);
                self.file.functions.push(Function {
                    name: name.to_owned(),
                    parameters,
                    steps,
                    tokens,
                    is_async: false,
                });
                return;
            }
            self.step(value, out, depth + 1);
            if let Some(rows) = self.rows(value) {
                out.push(Step::Table(name.to_owned(), rows));
            }
            let value = self.tokens(value);
            let mutable = self.said(node).starts_with("let mut")
                || children(node).iter().any(|n| n.kind() == "mutable_specifier");
            if !mutable {
                out.push(Step::Let(name.to_owned(), value));
            }
        }
        if let Some(other) = node.child_by_field_name("alternative") {
            let mut inside = Vec::new();
            self.step(other, &mut inside, depth + 1);
            fill(&mut inside, &self.tokens_of(node, "value"));
            out.extend(inside);
        }
    }

    fn branch(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        let condition = self.tokens_of(node, "condition");
        let mut then = Vec::new();
        node.child_by_field_name("consequence").into_iter().for_each(|n| self.step(n, &mut then, depth + 1));
        fill(&mut then, &condition);
        let constant = matches!(joined(&condition).as_str(), "false" | "!true")
            || joined(&condition).starts_with("cfg!(");
        out.push(if constant { Step::Lost(Lost::Dead, then) } else { once(then) });
        let mut other = Vec::new();
        node.child_by_field_name("alternative").into_iter().for_each(|n| self.step(n, &mut other, depth + 1));
        fill(&mut other, &condition);
        out.extend(other);
    }

    fn call(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        let function = node.child_by_field_name("function");
        let said = function.map(|n| self.said(n)).unwrap_or_default();
        let name = said.rsplit(['.', ':']).next().unwrap_or(said).to_owned();
        let list = node.child_by_field_name("arguments").map(children).unwrap_or_default();
        let mut inside = Vec::new();
        function.into_iter().for_each(|n| self.step(n, &mut inside, depth + 1));
        for part in list.iter().copied() {
            let mut of_part = Vec::new();
            self.step(part, &mut of_part, depth + 1);
            if part.kind() == "closure_expression" {
                inside.push(Step::Within(name.clone(), of_part));
            } else {
                inside.extend(of_part);
            }
        }
        let given = list.iter().map(|n| self.tokens(*n)).collect();
        // What is caught, or ends a thread, and then thrown away; a result that is looked at is another matter.
        let caught = name == "catch_unwind" || name == "spawn" && said.contains("thread");
        if caught && self.is_ignored(node, 0) {
            out.push(Step::Lost(Lost::Swallowed, inside));
        } else {
            out.extend(inside);
        }
        if matches!(name.as_str(), "unwrap" | "expect" | "unwrap_err" | "expect_err") {
            let of = function.map(|n| self.tokens(n)).unwrap_or_default();
            out.push(Step::Assert(Asked { kind: Kind::Works, of: vec![of] }));
        } else {
            out.push(Step::Call { name, given, awaited: true });
        }
    }

    pub(super) fn invocation(&mut self, node: Node<'_>, out: &mut Vec<Step>) {
        let name = self.field(node, "macro").to_owned();
        let all = children(node).into_iter().find(|n| n.kind() == "token_tree").map(|n| self.tokens(n));
        let all = all.unwrap_or_default();
        let given = arguments(all.get(1..all.len().saturating_sub(1)).unwrap_or_default());
        out.push(asked(&name, given.clone()).map_or(Step::Call { name, given, awaited: true }, Step::Assert));
    }

    pub(super) fn over(&self, node: Node<'_>) -> Over {
        let mut inner = node;
        // `[..].iter()`, `&CASES`
        while let Some(next) = match inner.kind() {
            "call_expression" => {
                inner.child_by_field_name("function").and_then(|f| f.child_by_field_name("value"))
            }
            "reference_expression" => inner.child_by_field_name("value"),
            _ => None,
        } {
            inner = next;
        }
        match self.rows(inner) {
            Some(rows) => Over::Rows(rows),
            None if inner.kind() == "identifier" => Over::Named(self.said(inner).to_owned()),
            None => Over::Unknown,
        }
    }

    pub(super) fn rows(&self, node: Node<'_>) -> Option<Vec<Row>> {
        match node.kind() {
            "array_expression" => {
                let row = |n: Node<'_>| match n.kind() {
                    "tuple_expression" => children(n).into_iter().map(|n| self.tokens(n)).collect(),
                    _ => vec![self.tokens(n)],
                };
                Some(children(node).into_iter().map(row).collect())
            }
            "reference_expression" => self.rows(node.child_by_field_name("value")?),
            "macro_invocation" if self.field(node, "macro") == "vec" => {
                let all =
                    children(node).into_iter().find(|n| n.kind() == "token_tree").map(|n| self.tokens(n))?;
                let parts = arguments(all.get(1..all.len().saturating_sub(1)).unwrap_or_default());
                let row = |t: Tokens| match t.as_slice() {
                    [open, inner @ .., close] if open == "(" && close == ")" => arguments(inner),
                    _ => vec![t],
                };
                Some(parts.into_iter().map(row).collect())
            }
            _ => None,
        }
    }
}

pub(super) fn asked(name: &str, mut given: Vec<Tokens>) -> Option<Asked> {
    let (kind, arity) = match name {
        "assert" | "debug_assert" | "prop_assert" => (Kind::Holds, 1),
        "assert_eq" | "debug_assert_eq" | "prop_assert_eq" | "assert_matches" => (Kind::Equal, 2),
        "assert_ne" | "debug_assert_ne" | "prop_assert_ne" => (Kind::Differs, 2),
        "panic" | "unreachable" | "todo" | "unimplemented" => (Kind::Fails, 0),
        _ => return None,
    };
    given.truncate(arity);
    Some(Asked { kind, of: given })
}

/// Assertions in a macro's own text.
pub(super) fn in_macro(all: &[String], out: &mut Vec<Step>) {
    for (at, token) in all.iter().enumerate() {
        let called = all.get(at + 1).is_some_and(|t| t == "!") && all.get(at + 2).is_some_and(|t| t == "(");
        if called && token.starts_with("assert") {
            let mut depth = 0_i32;
            let inner = all[at + 2..].iter().take_while(|t| {
                depth += i32::from(*t == "(") - i32::from(*t == ")");
                depth > 0
            });
            let inner: Tokens = inner.skip(1).cloned().collect();
            out.extend(asked(token, arguments(&inner)).map(Step::Assert));
        }
    }
}
