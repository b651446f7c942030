//! JavaScript and TypeScript: `node:test` with `node:assert`, and the `expect` of others.

use tree_sitter::{Language, Node};

use super::body::{Asked, File, Found, Function, Import, Kind, Lost, Over, Row, Step};
use super::python::fill;
use super::tokens::{Tokens, is_name, joined, tokens, unquoted};
use crate::check::syntax;

/// Deeper code is not read.
const DEPTH_MAX: usize = 120;

/// Whether Node's runner looks for tests in this file.
pub(super) fn is_test(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    matches!(ending, "js" | "mjs" | "cjs" | "ts" | "mts" | "cts")
        && (stem == "test"
            || stem.starts_with("test-")
            || [".test", "-test", "_test", ".spec"].iter().any(|e| stem.ends_with(e))
            || directory.split('/').any(|d| d == "test"))
}

/// Reads a file.
pub(super) fn read(path: &str, text: &str) -> File {
    let mut file = File { path: path.to_owned(), ..File::default() };
    let language: Language = if path.ends_with("ts") {
        tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()
    } else {
        tree_sitter_javascript::LANGUAGE.into()
    };
    let Ok(tree) = syntax::tree(text, &language) else { return file };
    let mut reader = Reader { text, file: &mut file, collects: true, asserts: Vec::new() };
    let root = tree.root_node();
    reader.collects = !path.contains("node_modules/");
    reader.shared(root);
    let all = Around { path: Vec::new(), skipped: false, dead: None, given: Vec::new() };
    reader.collect(root, &all, 0);
    file
}

/// What a test stands in.
#[derive(Clone)]
struct Around {
    path: Vec<String>,
    skipped: bool,
    dead: Option<String>,
    /// Rows of a table that tests are made from.
    given: Vec<(Vec<String>, Over)>,
}

struct Reader<'a> {
    text: &'a str,
    file: &'a mut File,
    collects: bool,
    /// Functions of `node:assert` that are used by their own names.
    asserts: Vec<(String, String)>,
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|n| n.kind() != "comment").collect()
}

fn is_function(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "arrow_function"
            | "function_expression"
            | "function_declaration"
            | "method_definition"
            | "generator_function_declaration"
    )
}

fn arguments_of(call: Node<'_>) -> Vec<Node<'_>> {
    call.child_by_field_name("arguments").map(children).unwrap_or_default()
}

impl<'a> Reader<'a> {
    fn said(&self, node: Node<'_>) -> &'a str {
        &self.text[node.byte_range()]
    }

    fn field(&self, node: Node<'_>, name: &str) -> &'a str {
        node.child_by_field_name(name).map(|n| self.said(n)).unwrap_or_default()
    }

    fn tokens(&self, node: Node<'_>) -> Tokens {
        tokens(node, self.text)
    }

    fn tokens_of(&self, node: Node<'_>, field: &str) -> Tokens {
        node.child_by_field_name(field).map(|n| self.tokens(n)).unwrap_or_default()
    }

    /// What a whole file has to offer: imports, functions, tables, names.
    fn shared(&mut self, root: Node<'_>) {
        for node in syntax::nodes(root) {
            match node.kind() {
                "import_statement" => self.import(node),
                "function_declaration" | "generator_function_declaration" | "method_definition" => {
                    let name = self.field(node, "name").to_owned();
                    let all = self.tokens(node);
                    self.offer(node, &name);
                    self.file.define(&name, &all);
                    let function = self.function(node, &name, 0);
                    self.file.functions.push(function);
                }
                "class_declaration" => {
                    let name = self.field(node, "name").to_owned();
                    let all = self.tokens(node);
                    self.file.define(&name, &all);
                    self.offer(node, &name);
                }
                "variable_declarator" => self.declare(node),
                "assignment_expression" => {
                    let left = self.field(node, "left");
                    let name = left.strip_prefix("this.").unwrap_or(left);
                    let value = self.tokens_of(node, "right");
                    self.file.define(name, &value);
                    if left.contains("exports") {
                        self.file.offers.extend(value.iter().filter(|t| is_name(t)).cloned());
                        let last = left.rsplit('.').next().unwrap_or_default();
                        self.file.offers.insert(last.to_owned());
                    }
                }
                "export_specifier" => {
                    let name = self.field(node, "name").to_owned();
                    self.file.offers.insert(name);
                }
                "call_expression" if matches!(self.field(node, "function"), "beforeEach" | "before") => {
                    let all = self.tokens(node);
                    let name = self.field(node, "function").to_owned();
                    self.file.define(&name, &all);
                }
                _ => {}
            }
        }
    }

    fn offer(&mut self, node: Node<'_>, name: &str) {
        let parent = node.parent().map(|p| p.kind()).unwrap_or_default();
        if matches!(parent, "export_statement" | "program") {
            self.file.offers.insert(name.to_owned());
        }
    }

    fn declare(&mut self, node: Node<'_>) {
        let Some(pattern) = node.child_by_field_name("name") else { return };
        let Some(value) = node.child_by_field_name("value") else { return };
        let tokens = self.tokens(value);
        let names: Vec<_> = self.tokens(pattern).into_iter().filter(|t| is_name(t)).collect();
        for name in &names {
            self.file.define(name, &tokens);
            let at_top = node.parent().and_then(|p| p.parent());
            if at_top.is_some_and(|p| matches!(p.kind(), "program" | "export_statement")) {
                self.file.offers.insert(name.clone());
                if names.len() == 1 {
                    self.file.lets.insert(name.clone(), tokens.clone());
                }
            }
            let value = if value.kind() == "await_expression" {
                children(value).first().copied().unwrap_or(value)
            } else {
                value
            };
            let required = matches!(self.field(value, "function"), "require" | "import")
                .then(|| arguments_of(value).first().map(|n| unquoted(self.said(*n))))
                .flatten();
            match required {
                Some(module) if module.contains("assert") && pattern.kind() == "object_pattern" => {
                    self.asserts.push((name.clone(), name.clone()));
                }
                Some(module) => {
                    let alias = (pattern.kind() == "identifier").then(|| name.clone());
                    let names = if alias.is_none() { vec![(name.clone(), name.clone())] } else { vec![] };
                    self.file.imports.push(Import { module, alias, names, everything: false });
                }
                None => {}
            }
        }
        let [name] = names.as_slice() else { return };
        if is_function(value) {
            let function = self.function(value, name, 0);
            self.file.functions.push(function);
        }
        if let Some(rows) = self.rows(value) {
            self.file.tables.insert(name.clone(), rows);
        }
    }

    fn import(&mut self, node: Node<'_>) {
        let module = unquoted(self.field(node, "source"));
        let mut import = Import { module, ..Import::default() };
        for part in syntax::nodes(node) {
            match part.kind() {
                "import_specifier" => {
                    let name = self.field(part, "name");
                    let alias = self.field(part, "alias");
                    let alias = if alias.is_empty() { name } else { alias };
                    import.names.push((name.to_owned(), alias.to_owned()));
                }
                "namespace_import" => import.alias = children(part).first().map(|n| self.said(*n).to_owned()),
                "identifier" if part.parent().is_some_and(|p| p.kind() == "import_clause") => {
                    import.names.push((self.said(part).to_owned(), self.said(part).to_owned()));
                }
                _ => {}
            }
        }
        if import.module.starts_with("node:assert") || import.module.starts_with("assert") {
            self.asserts.extend(import.names.iter().cloned());
        } else if !import.module.starts_with("node:") {
            self.file.imports.push(import);
        }
    }

    /// Looks for tests.
    fn collect(&mut self, node: Node<'_>, around: &Around, depth: usize) {
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
            name.unwrap_or_else(|| given.first().map(|n| self.said(*n).to_owned()).unwrap_or_default());
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
            || rest.iter().any(|w| matches!(*w, "skip" | "todo"))
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

    fn parameters(&self, function: Node<'_>) -> Vec<String> {
        let list =
            function.child_by_field_name("parameters").or_else(|| function.child_by_field_name("parameter"));
        list.map(|n| self.tokens(n)).unwrap_or_default().into_iter().filter(|t| is_name(t)).collect()
    }

    fn function(&mut self, node: Node<'_>, name: &str, depth: usize) -> Function {
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

    fn block(&mut self, node: Node<'_>, depth: usize) -> Vec<Step> {
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

    fn step(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match node.kind() {
            "expression_statement" => {
                children(node).into_iter().for_each(|n| self.expression(n, false, out, depth + 1));
            }
            "return_statement" => {
                children(node).into_iter().for_each(|n| self.expression(n, true, out, depth + 1))
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
                    self.expression(value, true, out, depth + 1);
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

    fn attempt(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
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
    fn expression(&mut self, node: Node<'_>, waited: bool, out: &mut Vec<Step>, depth: usize) {
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

    fn call(&mut self, node: Node<'_>, waited: bool, out: &mut Vec<Step>, depth: usize) {
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
            let step = Step::Assert(asked);
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
                inside.push(Step::Each { names: function.parameters, over, steps: function.steps });
            } else {
                self.expression(*argument, true, &mut inside, depth + 1);
            }
        }
        let later = matches!(name, "then" | "catch" | "finally") && !waited
            || matches!(name, "setTimeout" | "setImmediate" | "nextTick" | "queueMicrotask")
                && !self.awaited_around(node);
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

    /// In a promise that is made by hand somebody can wait for a callback; so in a test that is told when it is done.
    fn awaited_around(&self, node: Node<'_>) -> bool {
        std::iter::successors(Some(node), Node::parent).take(DEPTH_MAX).any(|n| {
            n.kind() == "new_expression" && self.said(n).starts_with("new Promise")
                || is_function(n) && self.parameters(n).iter().any(|p| p == "done")
        })
    }

    fn assertion(&self, node: Node<'_>, function: Node<'_>, nodes: &[Node<'_>]) -> Option<Asked> {
        let said = self.said(function);
        let given: Vec<Tokens> = nodes.iter().map(|n| self.tokens(*n)).collect();
        let first = said.split(['.', '(']).next().unwrap_or_default();
        if first == "expect" && function.kind() == "member_expression" {
            return self.expectation(node, function, given);
        }
        let own = self.asserts.iter().find(|(_, alias)| alias == said);
        let name = match own {
            Some((name, _)) if said != "assert" && name != "default" && name != "assert" => name.as_str(),
            _ if first == "assert" || said.starts_with("t.assert") || own.is_some() => {
                said.rsplit('.').next().unwrap_or(said)
            }
            _ => return None,
        };
        let (kind, arity) = match name {
            "assert" | "ok" | "strict" => (Kind::Holds, 1),
            n if own.is_some() && n == said && said != "assert" && !is_method(n) => (Kind::Holds, 1),
            "equal" | "strictEqual" | "deepEqual" | "deepStrictEqual" => (Kind::Equal, 2),
            "partialDeepStrictEqual" => (Kind::Contains, 2),
            "notEqual" | "notStrictEqual" | "notDeepEqual" | "notDeepStrictEqual" => (Kind::Differs, 2),
            "match" | "doesNotMatch" => (Kind::Like, 2),
            "throws" | "rejects" => {
                let what = given.get(1).cloned().filter(|t| t.as_slice() != ["Error"]);
                return Some(Asked {
                    kind: Kind::Throws,
                    of: vec![
                        what.unwrap_or_else(|| vec!["Exception".to_owned()]),
                        given.into_iter().next().unwrap_or_default(),
                    ],
                });
            }
            "doesNotThrow" | "doesNotReject" | "ifError" => {
                return Some(Asked { kind: Kind::Works, of: given.into_iter().take(1).collect() });
            }
            "fail" => return Some(Asked { kind: Kind::Fails, of: vec![] }),
            _ => return None,
        };
        Some(Asked { kind, of: given.into_iter().take(arity).collect() })
    }

    fn expectation(&self, _node: Node<'_>, function: Node<'_>, given: Vec<Tokens>) -> Option<Asked> {
        let name = self.field(function, "property");
        let negated = self.said(function).contains(").not.");
        let call = syntax::nodes(function)
            .find(|n| n.kind() == "call_expression" && self.field(*n, "function") == "expect")?;
        let subject = arguments_of(call).first().map(|n| self.tokens(*n)).unwrap_or_default();
        let other = given.into_iter().next();
        let (kind, other) = match name {
            "toBe" | "toEqual" | "toStrictEqual" | "toHaveLength" => (Kind::Equal, other),
            "toBeNull" | "toBeUndefined" => (Kind::Equal, Some(vec!["null".to_owned()])),
            "toBeTruthy" | "toBeDefined" => (Kind::Holds, None),
            "toBeFalsy" => (Kind::HoldsNot, None),
            "toContain" | "toContainEqual" | "toMatchObject" | "toHaveProperty" => (Kind::Contains, other),
            "toThrow" | "toThrowError" => {
                return Some(Asked {
                    kind: Kind::Throws,
                    of: vec![other.unwrap_or_else(|| vec!["Exception".to_owned()]), subject],
                });
            }
            n if n.starts_with("toBe") && other.is_some() => (Kind::Compares, other),
            _ => (Kind::Like, other),
        };
        let kind = if negated && kind == Kind::Equal { Kind::Differs } else { kind };
        let kind = if negated && kind == Kind::Holds { Kind::HoldsNot } else { kind };
        Some(Asked { kind, of: std::iter::once(subject).chain(other).collect() })
    }

    fn over(&self, node: Node<'_>) -> Over {
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
    fn rows(&self, node: Node<'_>) -> Option<Vec<Row>> {
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

fn function_object(call: Node<'_>) -> Option<Node<'_>> {
    call.child_by_field_name("function")?.child_by_field_name("object")
}

fn is_method(name: &str) -> bool {
    matches!(
        name,
        "ok" | "equal"
            | "strictEqual"
            | "deepEqual"
            | "deepStrictEqual"
            | "notEqual"
            | "notStrictEqual"
            | "notDeepEqual"
            | "notDeepStrictEqual"
            | "match"
            | "doesNotMatch"
            | "throws"
            | "rejects"
            | "doesNotThrow"
            | "doesNotReject"
            | "fail"
            | "ifError"
            | "partialDeepStrictEqual"
    )
}

fn once(steps: Vec<Step>) -> Step {
    Step::Each { names: Vec::new(), over: Over::Unknown, steps }
}

fn is_false(condition: &Tokens) -> bool {
    let said = joined(super::tokens::bare(condition));
    matches!(said.as_str(), "false" | "0" | "null" | "!true" | "1===2" | "\"\"")
        || said.starts_with("false&&")
}

fn has_assertion(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Assert(_) => true,
        Step::Each { steps, .. } | Step::Lost(_, steps) => has_assertion(steps),
        _ => false,
    })
}
