//! What JavaScript code imports from modules in whose place it has put others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tree_sitter::Node;

use super::super::tokens::{is_name, unquoted};
use super::{DEPTH_MAX, Reader, arguments_of, children, is_function};
use crate::check::syntax;

impl Reader<'_> {
    /// Notes names that come from a module after a mock was put in its place. Imports at the top come before everything,
    /// and a mock that takes over what the module has is the module still.
    pub(super) fn substitutes(&mut self, root: Node<'_>) {
        let mut replaced: Vec<(String, Range<usize>)> = Vec::new();
        let (mut before, mut after) = (BTreeSet::new(), BTreeMap::new());
        for node in syntax::nodes(root) {
            match node.kind() {
                "import_specifier" | "namespace_import" | "import_clause" => {
                    before.extend(self.tokens(node).into_iter().filter(|t| is_name(t)));
                }
                "call_expression" if self.field(node, "function").ends_with("mock.module") => {
                    let given = arguments_of(node);
                    let keeps = given.get(1).is_some_and(|n| self.said(*n).contains("..."));
                    let module = given.first().filter(|_| !keeps);
                    replaced.extend(module.map(|n| (unquoted(self.said(*n)), within(node))));
                }
                "assignment_expression" => {
                    let left = self.field(node, "left");
                    let path = left.strip_prefix("require.cache[require.resolve(");
                    let module = path.map(|path| unquoted(path.trim_end_matches([']', ')'])));
                    replaced.extend(module.map(|module| (module, within(node))));
                }
                "variable_declarator" => {
                    let is_replaced = |module: &String| {
                        replaced
                            .iter()
                            .any(|(other, place)| other == module && place.contains(&node.start_byte()))
                    };
                    let Some(module) = self.required(node).filter(is_replaced) else { continue };
                    let pattern = node.child_by_field_name("name");
                    let names = pattern.map(|n| self.tokens(n)).unwrap_or_default();
                    after.extend(names.into_iter().filter(|t| is_name(t)).map(|name| (name, module.clone())));
                }
                _ => {}
            }
        }
        after.retain(|name, _| !before.contains(name));
        self.file.substitutes = after;
    }

    /// The module that a declaration takes something from.
    pub(super) fn required(&self, declarator: Node<'_>) -> Option<String> {
        let value = declarator.child_by_field_name("value")?;
        let value = if value.kind() == "await_expression" { *children(value).first()? } else { value };
        let is_import = matches!(self.field(value, "function"), "require" | "import");
        let first = arguments_of(value).first().copied().filter(|_| is_import)?;
        Some(unquoted(self.said(first)))
    }
}

/// Where what a test does is in force: in its function, or in the whole file.
fn within(node: Node<'_>) -> Range<usize> {
    let mut around = std::iter::successors(node.parent(), Node::parent).take(DEPTH_MAX);
    around.find(|n| is_function(*n)).map_or(0..usize::MAX, |function| function.byte_range())
}
