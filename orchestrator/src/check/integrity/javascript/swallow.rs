//! What of JavaScript code catches what an assertion throws, and which promises nobody waits for.

use tree_sitter::Node;

use super::super::body::{Asked, Kind, asks_itself};
use super::{DEPTH_MAX, Reader, arguments_of, is_function};
use crate::check::syntax;

impl Reader<'_> {
    /// Whether a function runs what it is given, and catches whatever that throws.
    pub(super) fn catches_all(&self, function: Node<'_>) -> bool {
        let parameters = self.parameters(function);
        let is_given = |n: Node<'_>| {
            n.kind() == "call_expression" && parameters.iter().any(|p| p == self.field(n, "function"))
        };
        if parameters.is_empty()
            || self.said(function).contains("throw ")
            || self.said(function).contains("assert")
        {
            return false;
        }
        let tries: Vec<_> = syntax::nodes(function)
            .filter(|n| n.kind() == "try_statement" && n.child_by_field_name("handler").is_some())
            .filter_map(|n| n.child_by_field_name("body"))
            .collect();
        let mut given = syntax::nodes(function).filter(|n| is_given(*n)).peekable();
        given.peek().is_some()
            && given.all(|n| tries.iter().any(|body| body.byte_range().contains(&n.start_byte())))
    }

    /// Whether `assert.throws` and its like are satisfied by the failure of an assertion that stands in the function which
    /// they are given.
    pub(super) fn expects_own_failure(&mut self, call: Node<'_>, asked: &Asked, depth: usize) -> bool {
        if asked.kind != Kind::Throws {
            return false;
        }
        let expected = arguments_of(call).get(1).map(|n| self.said(*n));
        let any = expected.is_none_or(|said| {
            said == "Error"
                || said.contains("AssertionError")
                || said.contains("ERR_ASSERTION")
                || said.starts_with(['"', '\'', '`'])
        });
        let function = syntax::nodes(call).find(|n| is_function(*n));
        any && function.is_some_and(|n| asks_itself(&self.function(n, "", depth + 1).steps))
    }

    /// Whether a name is used again in the function where it is declared: a promise under it can be waited for.
    pub(super) fn is_used_again(&self, declarator: Node<'_>) -> bool {
        let Some(pattern) = declarator.child_by_field_name("name") else { return true };
        let name = self.said(pattern);
        let around = std::iter::successors(declarator.parent(), Node::parent)
            .find(|n| is_function(*n) || n.kind() == "program");
        pattern.kind() != "identifier"
            || around.is_none_or(|around| {
                syntax::nodes(around).any(|n| {
                    n != pattern
                        && matches!(n.kind(), "identifier" | "shorthand_property_identifier")
                        && self.said(n) == name
                })
            })
    }

    /// In a promise that is made by hand somebody can wait for a callback; so in a test that is told when it is done, or that
    /// says how many assertions there are to be.
    pub(super) fn awaited_around(&self, node: Node<'_>) -> bool {
        std::iter::successors(Some(node), Node::parent).take(DEPTH_MAX).any(|n| {
            n.kind() == "new_expression" && self.said(n).starts_with("new Promise")
                || is_function(n)
                    && (self.parameters(n).iter().any(|p| p == "done") || self.said(n).contains(".plan("))
        })
    }
}
