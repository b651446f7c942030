//! What of Rust code catches what an assertion throws: unwinding that is caught, threads that nobody asks.

use tree_sitter::Node;

use super::{DEPTH_MAX, Reader, children};
use crate::check::syntax;

impl Reader<'_> {
    /// Whether nobody learns from a call's result that something panicked: it is dropped, or joined and then dropped, or
    /// only asked whether it is an error.
    pub(super) fn is_ignored(&self, call: Node<'_>, depth: usize) -> bool {
        let Some(parent) = call.parent().filter(|_| depth < DEPTH_MAX) else { return false };
        match parent.kind() {
            "expression_statement" => true,
            "let_declaration" => {
                let name = self.field(parent, "pattern");
                let name = name.strip_prefix("mut ").unwrap_or(name);
                name.starts_with('_') || self.is_never_asked(name, parent, depth)
            }
            "arguments" => parent.parent().is_some_and(|n| self.field(n, "function") == "drop"),
            "field_expression" => {
                let passes_on = matches!(self.field(parent, "field"), "ok" | "join" | "is_err");
                passes_on && parent.parent().is_some_and(|outer| self.is_ignored(outer, depth + 1))
            }
            _ => false,
        }
    }

    /// Whether all uses of a name in the function where it is declared throw away what it stands for.
    fn is_never_asked(&self, name: &str, declaration: Node<'_>, depth: usize) -> bool {
        let mut around = std::iter::successors(declaration.parent(), Node::parent).take(DEPTH_MAX);
        let Some(function) = around.find(|n| matches!(n.kind(), "function_item" | "closure_expression"))
        else {
            return false;
        };
        let pattern = declaration.child_by_field_name("pattern");
        let is_use = |n: &Node<'_>| {
            n.kind() == "identifier"
                && self.said(*n) == name
                && !pattern.is_some_and(|p| p.byte_range().contains(&n.start_byte()))
        };
        syntax::nodes(function).filter(is_use).all(|n| {
            let in_macro = n.parent().is_some_and(|p| p.kind() == "token_tree");
            // `assert!(result.is_err())` holds because an assertion failed.
            if in_macro {
                self.text[n.end_byte()..].starts_with(".is_err()")
            } else {
                self.is_ignored(n, depth + 1)
            }
        })
    }

    /// Whether a function runs what it is given, and catches and drops whatever that panics with.
    pub(super) fn catches_all(&self, function: Node<'_>) -> bool {
        let list = function.child_by_field_name("parameters").map(children).unwrap_or_default();
        let parameters: Vec<_> = list.iter().map(|n| self.field(*n, "pattern")).collect();
        let calls = syntax::nodes(function).filter(|n| n.kind() == "call_expression");
        let mut catching = calls.filter(|n| self.field(*n, "function").ends_with("catch_unwind"));
        catching.any(|call| {
            let given = call.child_by_field_name("arguments").map(|n| self.tokens(n)).unwrap_or_default();
            given.iter().any(|t| parameters.contains(&t.as_str())) && self.is_ignored(call, 0)
        })
    }
}
