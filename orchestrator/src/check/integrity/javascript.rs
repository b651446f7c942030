//! JavaScript and TypeScript: `node:test` with `node:assert`, and the `expect` of others.

mod assertions;
mod steps;

use tree_sitter::{Language, Node};

use super::body::{File, Found, Import, Over, Step};
use super::tokens::{Tokens, is_name, tokens, unquoted};
use crate::check::syntax;
use steps::{has_assertion, is_false};

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
