//! What Python code imports, and from which modules after another was put in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tree_sitter::Node;

use super::super::body::Import;
use super::super::tokens::unquoted;
use super::{DEPTH_MAX, Reader, children};
use crate::check::syntax;

/// By these words a file loads the module itself that it puts into `sys.modules`.
const LOADS: [&str; 3] = ["exec_module", "module_from_spec", "import_module"];

impl Reader<'_> {
    /// Notes what an import brings; at the top of a file it is handed on.
    pub(super) fn import(&mut self, node: Node<'_>, hands_on: bool) {
        let mut import = Import { module: self.field(node, "module_name").to_owned(), ..Import::default() };
        let from = !import.module.is_empty();
        let mut cursor = node.walk();
        let names: Vec<_> = node.children_by_field_name("name", &mut cursor).collect();
        import.everything = children(node).iter().any(|n| n.kind() == "wildcard_import");
        for name in names {
            let (what, alias) = if name.kind() == "aliased_import" {
                (self.field(name, "name"), self.field(name, "alias"))
            } else {
                (self.said(name), self.said(name))
            };
            // What a package brings in, it hands on.
            let own = alias.split('.').next().unwrap_or(alias);
            if hands_on {
                self.file.offers.insert(own.to_owned());
            }
            if from {
                import.names.push((what.to_owned(), alias.to_owned()));
            } else {
                let alias = alias.split('.').next().unwrap_or(alias);
                let (module, alias) = (what.to_owned(), Some(alias.to_owned()));
                self.file.imports.push(Import { module, alias, ..Import::default() });
            }
        }
        if from {
            self.file.imports.push(import);
        }
    }

    /// Imports within functions.
    pub(super) fn inner_imports(&mut self, root: Node<'_>) {
        for node in syntax::nodes(root).filter(|n| n.kind().starts_with("import_")) {
            let in_function =
                std::iter::successors(node.parent(), Node::parent).any(|n| n.kind() == "function_definition");
            if in_function && matches!(node.kind(), "import_statement" | "import_from_statement") {
                self.import(node, false);
            }
        }
    }

    /// Notes names that come from a module after `sys.modules` was given another for it.
    pub(super) fn substitutes(&mut self, root: Node<'_>) {
        if LOADS.iter().any(|word| self.text.contains(word)) || !self.text.contains("sys.modules") {
            return;
        }
        let mut replaced: Vec<(String, Range<usize>)> = Vec::new();
        let (mut before, mut after) = (BTreeSet::new(), BTreeMap::new());
        for node in syntax::nodes(root) {
            match node.kind() {
                "assignment" => {
                    let key = self.field(node, "left").strip_prefix("sys.modules[");
                    let module = key.map(|key| unquoted(key.trim_end_matches(']')));
                    replaced.extend(module.map(|module| (module, within(node))));
                }
                "call" if self.replaces_modules(node) => {
                    let strings = syntax::nodes(node).filter(|n| n.kind() == "string");
                    replaced.extend(strings.map(|n| (unquoted(self.said(n)), within(node))));
                }
                "import_statement" | "import_from_statement" => {
                    let from = self.field(node, "module_name").to_owned();
                    let mut cursor = node.walk();
                    for name in node.children_by_field_name("name", &mut cursor) {
                        let what = name.child_by_field_name("name").map_or(self.said(name), |n| self.said(n));
                        let alias = name.child_by_field_name("alias").map_or(what, |n| self.said(n));
                        let module = if from.is_empty() { what.to_owned() } else { from.clone() };
                        let alias = alias.split('.').next().unwrap_or(alias).to_owned();
                        let is_replaced = replaced
                            .iter()
                            .any(|(other, place)| *other == module && place.contains(&node.start_byte()));
                        if is_replaced {
                            after.insert(alias, module);
                        } else {
                            before.insert(alias);
                        }
                    }
                }
                _ => {}
            }
        }
        after.retain(|name, _| !before.contains(name));
        self.file.substitutes = after;
    }

    fn replaces_modules(&self, call: Node<'_>) -> bool {
        let function = self.field(call, "function");
        let given = call.child_by_field_name("arguments").map(children).unwrap_or_default();
        let first = given.first().map(|n| self.said(*n).trim_matches(['"', '\''])).unwrap_or_default();
        matches!(function, "sys.modules.update" | "sys.modules.setdefault" | "sys.modules.__setitem__")
            || first == "sys.modules" && (function.ends_with("patch.dict") || function.ends_with("setitem"))
    }
}

/// Where what a test does is in force: in its function, or in the whole file.
fn within(node: Node<'_>) -> Range<usize> {
    let around = std::iter::successors(node.parent(), Node::parent).take(DEPTH_MAX);
    around
        .filter(|n| n.kind() == "function_definition")
        .last()
        .map_or(0..usize::MAX, |function| function.byte_range())
}
