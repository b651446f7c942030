//! Rust: functions with `#[test]`, in modules of their own and in `tests/`.

mod steps;
mod swallow;

use tree_sitter::Node;

use super::body::{Asked, File, Found, Function, Import, Kind, Lost, Step};
use super::tokens::{Tokens, is_name, joined, tokens};
use crate::check::syntax;
use steps::in_macro;

/// Deeper code is not read.
const DEPTH_MAX: usize = 120;

/// How a mark begins that asks for a feature.
const FEATURE: &str = "#[cfg(feature=";

/// Whether a file is nothing but tests.
pub(super) fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// Whether a file has a macro that makes tests which assert something.
pub(super) fn makes_tests(path: &str, text: &str) -> bool {
    if !text.contains("macro_rules!") || !text.contains("test]") {
        return false;
    }
    let tree = syntax::language_of(path).and_then(|grammar| syntax::tree(text, &grammar).ok());
    tree.is_some_and(|tree| {
        syntax::nodes(tree.root_node()).filter(|n| n.kind() == "macro_definition").any(|n| {
            let said = &text[n.byte_range()];
            said.contains("test]") && said.contains("assert")
        })
    })
}

/// Reads a file.
pub(super) fn read(path: &str, text: &str) -> File {
    let mut file = File { path: path.to_owned(), ..File::default() };
    let Ok(tree) = syntax::tree(text, &tree_sitter_rust::LANGUAGE.into()) else { return file };
    let in_code = path.strip_prefix("src/").map(|p| p.trim_end_matches(".rs").trim_end_matches("/mod"));
    let module = in_code.filter(|m| !matches!(*m, "lib" | "main"));
    let modules = module.map(|m| m.split('/').map(str::to_owned).collect()).unwrap_or_default();
    let around = Around { modules, dead: None, in_tests: is_test(path) };
    let mut reader = Reader { text, file: &mut file };
    reader.items(tree.root_node(), &around, 0);
    file
}

/// A feature that is on by default leaves nothing out.
pub(super) fn features(files: &mut [File], manifests: &[&str]) {
    let is_default = |name: &str| {
        manifests.iter().filter_map(|text| text.parse::<toml::Table>().ok()).any(|table| {
            let default =
                table.get("features").and_then(|f| f.get("default")).and_then(toml::Value::as_array);
            default.into_iter().flatten().any(|f| f.as_str() == Some(name))
        })
    };
    for test in files.iter_mut().flat_map(|f| &mut f.tests) {
        let name =
            test.dead.as_deref().and_then(|d| d.strip_prefix(FEATURE)).and_then(|d| d.split('"').nth(1));
        if name.is_some_and(is_default) {
            test.dead = None;
        }
    }
}

#[derive(Clone)]
struct Around {
    modules: Vec<String>,
    dead: Option<String>,
    in_tests: bool,
}

struct Reader<'a> {
    text: &'a str,
    file: &'a mut File,
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|n| !n.kind().contains("comment")).collect()
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

    fn items(&mut self, node: Node<'_>, around: &Around, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        let mut marks: Vec<String> = Vec::new();
        for item in children(node) {
            match item.kind() {
                "attribute_item" => {
                    marks.push(joined(&self.tokens(item)));
                    continue;
                }
                "mod_item" => {
                    let mut inner = around.clone();
                    inner.modules.push(self.field(item, "name").to_owned());
                    inner.dead = inner.dead.or_else(|| never(&marks));
                    inner.in_tests |= marks.iter().any(|m| m.contains("cfg(test"));
                    if let Some(body) = item.child_by_field_name("body") {
                        self.items(body, &inner, depth + 1);
                    }
                }
                "function_item" => self.function_item(item, &marks, around, depth),
                "use_declaration" => {
                    let all = self.tokens(item);
                    let module = all.get(1).cloned().unwrap_or_default();
                    let names =
                        all.iter().skip(2).filter(|t| is_name(t)).map(|t| (t.clone(), t.clone())).collect();
                    self.file.imports.push(Import { module, names, ..Import::default() });
                }
                "impl_item" | "trait_item" => {
                    if let Some(body) = item.child_by_field_name("body") {
                        self.items(body, around, depth + 1);
                    }
                }
                "const_item" | "static_item" => {
                    let name = self.field(item, "name").to_owned();
                    let value = self.tokens_of(item, "value");
                    self.file.define(&name, &value);
                    if let Some(rows) = item.child_by_field_name("value").and_then(|n| self.rows(n)) {
                        self.file.tables.insert(name.clone(), rows);
                    }
                    self.file.lets.insert(name.clone(), value);
                    self.offer(&name, around);
                }
                "struct_item" | "enum_item" | "type_item" => {
                    let name = self.field(item, "name").to_owned();
                    self.offer(&name, around);
                }
                "macro_definition" => {
                    let name = self.field(item, "name").to_owned();
                    let all = self.tokens(item);
                    self.file.define(&name, &all);
                    let mut steps = Vec::new();
                    in_macro(&all, &mut steps);
                    self.file.functions.push(Function {
                        name: name.clone(),
                        steps,
                        tokens: all,
                        ..Function::default()
                    });
                    self.offer(&name, around);
                }
                _ => {}
            }
            marks.clear();
        }
    }

    fn offer(&mut self, name: &str, around: &Around) {
        if !around.in_tests {
            self.file.offers.insert(name.to_owned());
        }
    }

    fn function_item(&mut self, item: Node<'_>, marks: &[String], around: &Around, depth: usize) {
        let name = self.field(item, "name").to_owned();
        let known = self.file.functions.len();
        let function = self.function(item, depth);
        if !around.in_tests {
            // What the code itself asserts is no test's assertion.
            self.file.functions.truncate(known);
        }
        let all = self.tokens(item);
        self.file.define(&name, &all);
        let is_test = marks.iter().any(|m| m == "#[test]" || m.ends_with("::test]") || m.contains("::test("));
        if !is_test {
            self.offer(&name, around);
            if around.in_tests {
                if self.catches_all(item) {
                    self.file.swallowers.insert(name);
                }
                self.file.functions.push(function);
            }
            return;
        }
        let mut function = function;
        if let Some(mark) = marks.iter().find(|m| m.starts_with("#[should_panic")) {
            let expects = mark.contains("expected");
            if !expects {
                // Whichever of its assertions fails, the test passes.
                let steps = std::mem::take(&mut function.steps);
                function.steps.push(Step::Lost(Lost::Swallowed, steps));
            }
            let what = if expects { mark.clone() } else { "Exception".to_owned() };
            function.steps.push(Step::Assert(Asked {
                kind: Kind::Throws,
                of: vec![vec![what], function.tokens.clone()],
            }));
        }
        let skipped =
            marks.iter().any(|m| m.starts_with("#[ignore") || m.contains("cfg_attr") && m.contains("ignore"));
        let full =
            around.modules.iter().map(String::as_str).chain([name.as_str()]).collect::<Vec<_>>().join("::");
        let dead = around.dead.clone().or_else(|| never(marks));
        let marks = marks.iter().filter(|m| !m.starts_with("#[ignore")).cloned().collect();
        self.file.tests.push(Found { name, full, function, table: None, marks, skipped, dead });
    }
}

/// Why a test is not compiled.
fn never(marks: &[String]) -> Option<String> {
    let unless_test = marks.iter().filter(|m| m.starts_with("#[cfg("));
    let machine = ["unix", "windows", "target_", "debug_assertions"];
    let of_feature = |m: &str| m.contains("feature=") && !m.starts_with(FEATURE);
    unless_test
        .filter(|m| {
            *m != "#[cfg(test)]"
                && !m.contains("cfg(all(test")
                && !machine.iter().any(|w| m.contains(w))
                && !of_feature(m)
        })
        .map(|m| format!("{m} leaves it out"))
        .next()
}
