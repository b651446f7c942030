//! Where JavaScript's tests are, and what they stand in.

use tree_sitter::Node;

use super::super::body::{Found, Over, Step};
use super::super::tokens::{is_name, unquoted};
use super::steps::{has_assertion, is_false};
use super::{DEPTH_MAX, Reader, arguments_of, children, is_function};
use crate::check::syntax;

/// What a test stands in.
#[derive(Clone, Default)]
pub(super) struct Around {
    path: Vec<String>,
    skipped: bool,
    dead: Option<String>,
    /// Rows of a table that tests are made from.
    given: Vec<(Vec<String>, Over)>,
}

impl Reader<'_> {
    /// Looks for tests.
    pub(super) fn collect(&mut self, node: Node<'_>, around: &Around, depth: usize) {
        if depth > DEPTH_MAX || !self.collects {
            return;
        }
        match node.kind() {
            "call_expression" => {
                if self.test(node, around, depth) {
                    return;
                }
                // `[[1, 2]].forEach(([a, b]) => test(...))`
                let function = node.child_by_field_name("function");
                let is_each = function.is_some_and(|f| self.field(f, "property") == "forEach");
                if let (true, Some(function), Some(callback)) =
                    (is_each, function, arguments_of(node).first())
                {
                    let over = function.child_by_field_name("object").map_or(Over::Unknown, |n| self.over(n));
                    let mut inner = around.clone();
                    inner.given.push((self.parameters(*callback), over));
                    children(*callback).into_iter().for_each(|n| self.collect(n, &inner, depth + 1));
                    return;
                }
            }
            "for_in_statement" => {
                let names = self.tokens_of(node, "left").into_iter().filter(|t| is_name(t)).collect();
                let over = node.child_by_field_name("right").map_or(Over::Unknown, |n| self.over(n));
                let mut inner = around.clone();
                inner.given.push((names, over));
                if let Some(body) = node.child_by_field_name("body") {
                    self.collect(body, &inner, depth + 1);
                }
                return;
            }
            "if_statement" => {
                let condition = self.tokens_of(node, "condition");
                let mut inner = around.clone();
                if is_false(&condition) {
                    inner.dead = Some("it stands below a condition that does not hold".to_owned());
                }
                for n in children(node) {
                    let other = n.kind() == "else_clause";
                    self.collect(n, if other { around } else { &inner }, depth + 1);
                }
                return;
            }
            "function_declaration" => {
                let name = self.field(node, "name");
                let uses = self.text.matches(name).count();
                let mut inner = around.clone();
                if uses <= 1 && !self.said(node.parent().unwrap_or(node)).starts_with("export") {
                    inner.dead = Some(format!("the function {name} around it is never called"));
                }
                children(node).into_iter().for_each(|n| self.collect(n, &inner, depth + 1));
                return;
            }
            _ => {}
        }
        children(node).into_iter().for_each(|n| self.collect(n, around, depth + 1));
    }

    /// Takes a call for a test or a suite, where it is one.
    fn test(&mut self, node: Node<'_>, around: &Around, depth: usize) -> bool {
        let Some(function) = node.child_by_field_name("function") else { return false };
        // `test.each(table)(name, body)`
        let each = (function.kind() == "call_expression").then_some(function);
        let called = each.map_or(self.said(function), |f| self.field(f, "function"));
        let mut words = called.split('.');
        let first = words.next().unwrap_or_default();
        let rest: Vec<_> = words.collect();
        let kind = if first == "t" { rest.first().copied().unwrap_or_default() } else { first };
        let is_suite = matches!(kind, "describe" | "suite" | "xdescribe");
        if !is_suite && !matches!(kind, "test" | "it" | "xit" | "xtest") {
            return false;
        }
        let given = arguments_of(node);
        let Some(body) = given.iter().rev().find(|n| is_function(**n)).copied() else {
            // A test without a body is one that is to be written.
            return given.len() == 1;
        };
        let name = given
            .first()
            .filter(|n| matches!(n.kind(), "string" | "template_string"))
            .map(|n| unquoted(self.said(*n)));
        let name =
            // A name that is computed can be any, as a template with nothing but a hole can.
            name.unwrap_or_else(|| given.first().map(|n| format!("${{{}}}", self.said(*n))).unwrap_or_default());
        let options =
            given.iter().find(|n| n.kind() == "object").map(|n| self.tokens(*n)).unwrap_or_default();
        let says = |word: &str| {
            options.iter().position(|t| t == word).is_some_and(|at| {
                !matches!(
                    options.get(at + 2).map(String::as_str),
                    Some("false" | "process" | "os" | "undefined")
                )
            })
        };
        let stops = children(body.child_by_field_name("body").unwrap_or(body)).iter().any(|n| {
            let said = self.said(*n);
            said.starts_with("t.skip(") || said.starts_with("t.todo(") || said.starts_with("return t.skip(")
        });
        let skipped = around.skipped
            || kind.starts_with('x')
            || rest.iter().any(|w| matches!(*w, "skip" | "todo" | "fails"))
            || says("skip")
            || says("todo")
            || stops;
        let mut inner = around.clone();
        inner.skipped = skipped;
        inner.path.push(name.clone());
        if let Some(each) = each {
            let over = arguments_of(each).first().map_or(Over::Unknown, |n| self.over(*n));
            inner.given.push((self.parameters(body), over));
        }
        if is_suite {
            children(body).into_iter().for_each(|n| self.collect(n, &inner, depth + 1));
            return true;
        }
        let mut function = self.function(body, &name, depth);
        // Tests in a test are tests of their own.
        let mut subtests = Vec::new();
        for inside in syntax::nodes(body).filter(|n| n.kind() == "call_expression") {
            let called = self.field(inside, "function");
            if matches!(called, "t.test" | "test" | "it") {
                subtests.push(inside);
            }
        }
        for (names, over) in inner.given.iter().rev() {
            let steps = std::mem::take(&mut function.steps);
            function.steps = vec![Step::Each { names: names.clone(), over: over.clone(), steps }];
        }
        let full = inner.path.join(" > ");
        let dead = around.dead.clone();
        // A test that only holds others is their suite.
        if subtests.is_empty() || has_assertion(&function.steps) {
            let marks = Vec::new();
            self.file.tests.push(Found { name, full, function, table: None, marks, skipped, dead });
        }
        let mut below = inner;
        below.given.clear();
        for inside in subtests {
            self.test(inside, &below, depth + 1);
        }
        true
    }
}
