//! What JavaScript code does, step by step.

use tree_sitter::Node;

use super::super::body::{Asked, Function, Kind, Lost, Over, Row, Step, fill, once};
use super::super::tokens::{Tokens, bare, is_name, joined};
use super::{DEPTH_MAX, Reader, arguments_of, children, is_function};

impl Reader<'_> {
    pub(super) fn parameters(&self, function: Node<'_>) -> Vec<String> {
        let list =
            function.child_by_field_name("parameters").or_else(|| function.child_by_field_name("parameter"));
        list.map(|n| self.tokens(n)).unwrap_or_default().into_iter().filter(|t| is_name(t)).collect()
    }

    pub(super) fn function(&mut self, node: Node<'_>, name: &str, depth: usize) -> Function {
        let mut steps = Vec::new();
        if let Some(body) = node.child_by_field_name("body") {
            if body.kind() == "statement_block" {
                steps = self.block(body, depth + 1);
            } else {
                self.expression(body, true, &mut steps, depth + 1);
            }
        }
        let tokens = self.tokens_of(node, "body");
        let is_async = self.said(node).starts_with("async") && self.said(node).contains("await");
        Function { name: name.to_owned(), parameters: self.parameters(node), steps, tokens, is_async }
    }

    pub(super) fn block(&mut self, node: Node<'_>, depth: usize) -> Vec<Step> {
        let mut out = Vec::new();
        let all = children(node);
        for (at, node) in all.iter().enumerate() {
            self.step(*node, &mut out, depth + 1);
            if matches!(node.kind(), "return_statement" | "throw_statement") {
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
            "expression_statement" => {
                children(node).into_iter().for_each(|n| self.expression(n, false, out, depth + 1));
            }
            "return_statement" => {
                children(node).into_iter().for_each(|n| self.expression(n, true, out, depth + 1));
            }
            "lexical_declaration" | "variable_declaration" => {
                for declarator in children(node) {
                    let Some(value) = declarator.child_by_field_name("value") else { continue };
                    let name = self.field(declarator, "name");
                    if is_function(value) {
                        let function = self.function(value, name, depth + 1);
                        self.file.functions.push(function);
                        continue;
                    }
                    self.expression(value, self.is_used_again(declarator), out, depth + 1);
                    if let Some(rows) = self.rows(value) {
                        out.push(Step::Table(name.to_owned(), rows));
                    }
                    let value = self.tokens(value);
                    let value =
                        value.strip_prefix(&["await".to_owned()]).map_or(value.clone(), <[String]>::to_vec);
                    out.push(Step::Let(name.to_owned(), value));
                }
            }
            "if_statement" => {
                let condition = self.tokens_of(node, "condition");
                let mut then = Vec::new();
                node.child_by_field_name("consequence")
                    .into_iter()
                    .for_each(|n| self.step(n, &mut then, depth + 1));
                fill(&mut then, &condition);
                out.push(if is_false(&condition) { Step::Lost(Lost::Dead, then) } else { once(then) });
                let mut other = Vec::new();
                node.child_by_field_name("alternative")
                    .into_iter()
                    .for_each(|n| self.step(n, &mut other, depth + 1));
                fill(&mut other, &condition);
                out.extend(other);
            }
            "else_clause" => children(node).into_iter().for_each(|n| self.step(n, out, depth + 1)),
            "statement_block" => out.extend(self.block(node, depth + 1)),
            "for_in_statement" => {
                let names = self.tokens_of(node, "left").into_iter().filter(|t| is_name(t)).collect();
                let over = node.child_by_field_name("right").map_or(Over::Unknown, |n| self.over(n));
                let mut steps = Vec::new();
                node.child_by_field_name("body")
                    .into_iter()
                    .for_each(|n| self.step(n, &mut steps, depth + 1));
                out.push(Step::Each { names, over, steps });
            }
            "while_statement" => {
                let condition = self.tokens_of(node, "condition");
                let mut steps = Vec::new();
                node.child_by_field_name("body")
                    .into_iter()
                    .for_each(|n| self.step(n, &mut steps, depth + 1));
                out.push(if is_false(&condition) { Step::Lost(Lost::Dead, steps) } else { once(steps) });
            }
            "for_statement" | "do_statement" | "switch_statement" | "switch_body" | "switch_case" => {
                children(node).into_iter().for_each(|n| self.step(n, out, depth + 1));
            }
            "try_statement" => self.attempt(node, out, depth),
            "throw_statement" => out.push(Step::Assert(Asked { kind: Kind::Fails, of: vec![] })),
            "function_declaration" | "class_declaration" => {}
            _ => self.expression(node, false, out, depth + 1),
        }
    }

    pub(super) fn attempt(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        let body = node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
        let handler = node.child_by_field_name("handler");
        let handled = handler.and_then(|h| h.child_by_field_name("body"));
        let inside = handled.map(|n| self.block(n, depth + 1)).unwrap_or_default();
        let throws = handled
            .is_some_and(|n| self.said(n).contains("throw") || self.said(n).contains("process.exitCode"));
        let asks = inside.iter().any(|s| matches!(s, Step::Assert(_)));
        if handler.is_some() && !throws && !asks {
            out.push(Step::Lost(Lost::Swallowed, body));
        } else {
            out.extend(body);
        }
        out.extend(inside);
        if let Some(block) = node.child_by_field_name("finalizer") {
            children(block).into_iter().for_each(|n| self.step(n, out, depth + 1));
        }
    }

    /// Calls in an expression; `waited` says whether the test waits for its value.
    pub(super) fn expression(&mut self, node: Node<'_>, waited: bool, out: &mut Vec<Step>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match node.kind() {
            "await_expression"
            | "parenthesized_expression"
            | "array"
            | "arguments"
            | "spread_element"
            | "object"
            | "pair" => {
                let waited = waited || node.kind() == "await_expression";
                children(node).into_iter().for_each(|n| self.expression(n, waited, out, depth + 1));
            }
            "call_expression" | "new_expression" => self.call(node, waited, out, depth),
            "assignment_expression" => {
                if let Some(value) = node.child_by_field_name("right") {
                    self.expression(value, true, out, depth + 1);
                    let name = self.field(node, "left");
                    out.push(Step::Let(name.to_owned(), self.tokens(value)));
                }
            }
            kind if is_function(node) || kind == "string" => {}
            _ => children(node).into_iter().for_each(|n| self.expression(n, waited, out, depth + 1)),
        }
    }

    pub(super) fn call(&mut self, node: Node<'_>, waited: bool, out: &mut Vec<Step>, depth: usize) {
        let function =
            node.child_by_field_name("function").or_else(|| node.child_by_field_name("constructor"));
        let Some(function) = function else { return };
        let said = self.said(function);
        let name = said.rsplit('.').next().unwrap_or(said).trim();
        let nodes = arguments_of(node);
        if matches!(name, "test" | "it" | "describe") && nodes.iter().any(|n| is_function(*n)) {
            return;
        }
        if let Some(asked) = self.assertion(node, function, &nodes) {
            let promise = matches!(name, "rejects" | "doesNotReject")
                || said.contains(".rejects.")
                || said.contains(".resolves.");
            let inverted = self.expects_own_failure(node, &asked, depth);
            let step = Step::Assert(asked);
            if inverted {
                out.push(Step::Lost(Lost::Swallowed, vec![step]));
                return;
            }
            out.push(if promise && !waited { Step::Lost(Lost::Floating, vec![step]) } else { step });
            return;
        }
        if let Some(object) = function.child_by_field_name("object") {
            let mut before = Vec::new();
            self.expression(object, waited, &mut before, depth + 1);
            let handler = nodes.first().map(|n| self.said(*n)).unwrap_or_default();
            let swallows = name == "catch"
                && handler.contains("=>")
                && !handler.contains("throw")
                && !handler.contains("assert");
            if swallows {
                out.push(Step::Lost(Lost::Swallowed, before));
            } else {
                out.extend(before);
            }
        }
        let mut inside = Vec::new();
        for argument in &nodes {
            if is_function(*argument) {
                let function = self.function(*argument, "", depth + 1);
                let over = match (name, function_object(node)) {
                    ("forEach" | "map", Some(object)) => self.over(object),
                    _ => Over::Unknown,
                };
                // The loop goes on, and the test with it, before the function is through.
                let floats = function.is_async && (name == "forEach" || name == "map" && !waited);
                let each = Step::Each { names: function.parameters, over, steps: function.steps };
                let step = if floats { Step::Lost(Lost::Floating, vec![each]) } else { each };
                inside.push(Step::Within(name.to_owned(), vec![step]));
            } else {
                let waited = waited || !said.starts_with("Promise.");
                self.expression(*argument, waited, &mut inside, depth + 1);
            }
        }
        let later = matches!(name, "then" | "catch" | "finally") && !waited
            || matches!(name, "setTimeout" | "setImmediate" | "nextTick" | "queueMicrotask");
        let later = later && !self.awaited_around(node)
            || node.kind() == "new_expression" && said == "Promise" && !waited;
        if later {
            out.push(Step::Lost(Lost::Floating, inside));
        } else {
            out.extend(inside);
        }
        // `(async () => { ... })()`
        let mut callee = function;
        while callee.kind() == "parenthesized_expression" {
            let Some(inner) = children(callee).first().copied() else { break };
            callee = inner;
        }
        if is_function(callee) {
            let inner = self.function(callee, "", depth + 1);
            let floats = inner.is_async && !waited;
            out.push(if floats { Step::Lost(Lost::Floating, inner.steps) } else { once(inner.steps) });
            return;
        }
        let given = nodes.iter().map(|n| self.tokens(*n)).collect();
        out.push(Step::Call { name: name.to_owned(), given, awaited: waited });
    }

    pub(super) fn over(&self, node: Node<'_>) -> Over {
        match self.rows(node) {
            Some(rows) => Over::Rows(rows),
            None if node.kind() == "identifier" => Over::Named(self.said(node).to_owned()),
            None => {
                let inner = arguments_of(node);
                inner.first().and_then(|n| self.rows(*n)).map_or(Over::Unknown, Over::Rows)
            }
        }
    }

    /// Rows of a literal; an object gives its values, by the order in which they stand.
    pub(super) fn rows(&self, node: Node<'_>) -> Option<Vec<Row>> {
        let value =
            |n: Node<'_>| n.child_by_field_name("value").map_or_else(|| self.tokens(n), |v| self.tokens(v));
        let row = |n: Node<'_>| match n.kind() {
            "array" => children(n).into_iter().map(|n| self.tokens(n)).collect(),
            "object" => children(n).into_iter().map(value).collect(),
            "pair" => vec![self.tokens_of(n, "key"), self.tokens_of(n, "value")],
            _ => vec![self.tokens(n)],
        };
        matches!(node.kind(), "array" | "object").then(|| children(node).into_iter().map(row).collect())
    }
}

pub(super) fn function_object(call: Node<'_>) -> Option<Node<'_>> {
    call.child_by_field_name("function")?.child_by_field_name("object")
}

pub(super) fn is_false(condition: &Tokens) -> bool {
    let said = joined(bare(condition));
    matches!(said.as_str(), "false" | "0" | "null" | "!true" | "1===2" | "\"\"")
        || said.starts_with("false&&")
}

pub(super) fn has_assertion(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Assert(_) => true,
        Step::Each { steps, .. } | Step::Lost(_, steps) | Step::Within(_, steps) => has_assertion(steps),
        _ => false,
    })
}
