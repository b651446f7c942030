//! What interferes with the run itself: the runner, its assertions, its results, its exit status.

#[path = "tamper/asks.rs"]
mod asks;
#[path = "tamper/javascript.rs"]
mod of_javascript;
#[path = "tamper/python.rs"]
mod of_python;

use tree_sitter::Node;

use super::body::File;
use super::tokens::{joined, tokens};
use super::{Breach, BreachKind, go, javascript, project, python, rust};
use crate::check::syntax;

/// Nodes above one that are looked at.
const ABOVE_MAX: usize = 120;

pub(super) fn find(files: &[(&str, &str)], read: &[File], language: &str) -> Vec<Breach> {
    let mut out = Vec::new();
    let has_tests = files.iter().any(|(path, _)| path.starts_with("tests/"));
    for (path, text) in files {
        let mut add = |what: &str| {
            let said = format!("{path} {what}; take that out, so that a test run says what is so");
            out.push(Breach {
                kind: BreachKind::Tampered,
                path: (*path).to_owned(),
                test: String::new(),
                said,
            });
        };
        if let Some(what) = shadows(path, language) {
            add(what);
        }
        configured(path, text, has_tests, &mut add);
        let Some(grammar) = read.iter().find(|f| f.path == *path).and_then(|_| syntax::language_of(path))
        else {
            continue;
        };
        let Ok(tree) = syntax::tree(text, &grammar) else { continue };
        let in_tests = match language {
            "python" => python::is_test(path) || project::helps_tests(path),
            "javascript" => javascript::is_test(path) || project::helps_tests(path),
            "rust" => rust::is_test(path),
            _ => go::is_test(path),
        };
        let look = Look { path, text, in_tests };
        let mut seen = Vec::new();
        for node in syntax::nodes(tree.root_node()) {
            let what = match language {
                "python" => look.python(node),
                "javascript" => look.javascript(node),
                "rust" => look.rust(node),
                _ => look.go(node),
            };
            let what = what.or_else(|| look.results(node));
            if let Some(what) = what.filter(|w| !seen.contains(w)) {
                add(&what);
                seen.push(what);
            }
        }
    }
    out
}

/// A file that is loaded in the place of the runner.
fn shadows(path: &str, language: &str) -> Option<&'static str> {
    let parts: Vec<_> = path.split('/').map(|p| p.split('.').next().unwrap_or(p)).collect();
    let loaded = |names: &[&str]| parts.iter().any(|p| names.contains(p));
    match language {
        "python"
            if path.ends_with(".py")
                && loaded(&["unittest", "pytest", "sitecustomize", "usercustomize", "_pytest"]) =>
        {
            Some("takes the place of the test runner's own module")
        }
        "javascript" if path.contains("node_modules/assert") || path.contains("node_modules/test/") => {
            Some("takes the place of the module that assertions come from")
        }
        _ => None,
    }
}

/// What the project's settings do to the run.
fn configured(path: &str, text: &str, has_tests: bool, add: &mut impl FnMut(&str)) {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == "package.json" {
        let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let script = json["scripts"]["test"].as_str().unwrap_or_default();
        let ends = ["|| true", "|| exit 0", "; exit 0", "; true", "|| :", "||true"];
        if ends.iter().any(|e| script.contains(e)) || matches!(script, "true" | "exit 0") {
            add("has a test script that succeeds whatever the tests do");
        }
    }
    if name == "Cargo.toml" {
        let table: toml::Table = text.parse().unwrap_or_default();
        let off = |t: &toml::Value, key: &str| t.get(key).and_then(toml::Value::as_bool) == Some(false);
        let tests = table.get("test").and_then(toml::Value::as_array).into_iter().flatten();
        let parts = tests
            .chain(table.get("lib"))
            .chain(table.get("bin").and_then(toml::Value::as_array).into_iter().flatten());
        for part in parts {
            if off(part, "harness") {
                add("sets harness = false, so that tests are not run as tests");
            }
            if off(part, "test") && part.get("path").is_none_or(|p| p.as_str() != Some("src/main.rs")) {
                add("sets test = false, so that tests are not run");
            }
        }
        if has_tests
            && !table.contains_key("test")
            && table.get("package").is_some_and(|p| off(p, "autotests"))
        {
            add("sets autotests = false, so that tests are not found");
        }
    }
    if path.ends_with(".cargo/config.toml") && text.contains("runner") {
        add("has the tests started by another program");
    }
}

struct Look<'a> {
    path: &'a str,
    text: &'a str,
    in_tests: bool,
}

fn above(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    std::iter::successors(node.parent(), Node::parent).take(ABOVE_MAX)
}

impl<'a> Look<'a> {
    fn said(&self, node: Node<'_>) -> &'a str {
        &self.text[node.byte_range()]
    }

    fn field(&self, node: Node<'_>, name: &str) -> &'a str {
        node.child_by_field_name(name).map(|n| self.said(n)).unwrap_or_default()
    }

    /// Names the place where the results are written.
    fn results(&self, node: Node<'_>) -> Option<String> {
        let is_string = matches!(
            node.kind(),
            "string" | "string_literal" | "template_string" | "interpreted_string_literal"
        );
        let said = is_string.then(|| self.said(node).trim_matches(['"', '\'', '`']))?;
        let reaches = said == "/out" || said.starts_with("/out/");
        reaches.then(|| "reaches for the results of the test run".to_owned())
    }

    /// Whether this is in a module of tests.
    fn rust_tests(&self, node: Node<'_>) -> bool {
        self.in_tests
            || above(node).any(|n| {
                n.kind() == "mod_item"
                    && n.prev_named_sibling().is_some_and(|p| self.said(p).contains("cfg(test)"))
            })
    }

    fn rust(&self, node: Node<'_>) -> Option<String> {
        match node.kind() {
            "macro_definition" => {
                let name = self.field(node, "name");
                let own = matches!(name, "assert" | "assert_eq" | "assert_ne" | "panic");
                own.then(|| format!("defines a {name}! of its own"))
            }
            "call_expression" => {
                let function = self.field(node, "function");
                let name = function.rsplit("::").next().unwrap_or_default();
                let given = self.field(node, "arguments");
                let zero = matches!(given.trim_matches(['(', ')', ' ']), "0" | "");
                if !self.rust_tests(node) {
                    return None;
                }
                if matches!(function, "std::process::exit" | "process::exit" | "exit" | "libc::_exit") && zero
                    || function.ends_with("process::abort")
                {
                    return Some(format!("ends the test run with {function}"));
                }
                let kept = self.text.contains("take_hook");
                (name == "set_hook" && !kept)
                    .then(|| "takes the place of what happens when a test panics".to_owned())
            }
            "function_item" if self.has_twin(node) => {
                Some(format!("has another {} for when it is tested", self.field(node, "name")))
            }
            "function_item" if self.field(node, "name") == "eq" || self.field(node, "name") == "ne" => {
                let body = node
                    .child_by_field_name("body")
                    .map(|n| joined(&tokens(n, self.text)))
                    .unwrap_or_default();
                let takes_self = self.field(node, "parameters").contains("self");
                (takes_self && matches!(body.as_str(), "{true}" | "{return true;}"))
                    .then(|| "has an eq that says that everything is equal".to_owned())
            }
            _ if !self.rust_tests(node) => self.rust_asks(node),
            _ => None,
        }
    }

    fn go(&self, node: Node<'_>) -> Option<String> {
        let ends = node.kind() == "call_expression"
            && self.field(node, "function") == "os.Exit"
            && self.field(node, "arguments") == "(0)"
            && self.in_tests;
        ends.then(|| "ends the test run with os.Exit".to_owned()).or_else(|| self.go_asks(node))
    }
}
