//! JavaScript and TypeScript: `node:test` with `node:assert`, and the `expect` of others.

mod assertions;
mod steps;
mod substitutes;
mod suites;
mod swallow;

use tree_sitter::{Language, Node};

use super::body::{File, Import};
use super::tokens::{Tokens, is_name, tokens, unquoted};
use crate::check::syntax;
use suites::Around;

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
    reader.collect(root, &Around::default(), 0);
    reader.substitutes(root);
    file
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
                    self.callable(&name, node);
                    self.file.define(&name, &all);
                    let function = self.function(node, &name, 0);
                    self.file.functions.push(function);
                }
                "class_declaration" => {
                    let name = self.field(node, "name").to_owned();
                    let all = self.tokens(node);
                    self.file.define(&name, &all);
                    self.offer(node, &name);
                    self.file.callables.insert(name);
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

    /// Notes a function under its name, and whether it catches what others throw.
    fn callable(&mut self, name: &str, function: Node<'_>) {
        if function.kind() != "method_definition" {
            self.file.callables.insert(name.to_owned());
        }
        if self.catches_all(function) {
            self.file.swallowers.insert(name.to_owned());
        }
    }

    fn declare(&mut self, node: Node<'_>) {
        let Some(pattern) = node.child_by_field_name("name") else { return };
        let Some(value) = node.child_by_field_name("value") else { return };
        let tokens = self.tokens(value);
        let names: Vec<_> = self.tokens(pattern).into_iter().filter(|t| is_name(t)).collect();
        let required = self.required(node);
        for name in &names {
            self.file.define(name, &tokens);
            let at_top = node.parent().and_then(|p| p.parent());
            if at_top.is_some_and(|p| matches!(p.kind(), "program" | "export_statement")) {
                self.file.offers.insert(name.clone());
                if names.len() == 1 {
                    self.file.lets.insert(name.clone(), tokens.clone());
                }
            }
            match required.clone() {
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
            self.callable(name, value);
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
}
