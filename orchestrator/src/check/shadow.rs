//! Variables that hide the function whose result they hold: `words = words(text)` within a function. Python and JavaScript then know
//! no such function in the whole of it, and every call ends in an error. The variable gets another name.

use std::collections::BTreeSet;
use std::ops::Range;

use tree_sitter::Node;

use super::imports::is_member;
use super::syntax::nodes;
use super::undefined::{is_called, is_of_python};

/// The places of a Python file where a variable's name has to be another one, with what stands there then. The file must parse.
pub(super) fn in_python(text: &str, root: Node<'_>) -> Vec<(Range<usize>, String)> {
    let known = top_of_python(text, root);
    let mut places = Vec::new();
    for function in nodes(root).filter(|node| node.kind() == "function_definition") {
        let own = |node: &Node<'_>| around(*node, &["function_definition"]) == Some(function);
        let names: Vec<_> =
            nodes(function).filter(|n| n.kind() == "identifier" && !is_member(*n) && own(n)).collect();
        let said = |node: &Node<'_>| &text[node.byte_range()];
        let is_taken =
            |name: &str| names.iter().any(|n| said(n) == name && (is_parameter(*n) || is_outer(*n)));
        let called: BTreeSet<_> = names.iter().filter(|n| is_called(**n)).map(said).collect();
        let bound: BTreeSet<_> = names.iter().filter(|n| is_bound_in_python(**n)).map(said).collect();
        for name in called.intersection(&bound) {
            let other = format!("{name}_");
            let is_function = known.contains(name) || is_of_python(name);
            if !is_function || is_taken(name) || names.iter().any(|n| said(n) == other) {
                continue;
            }
            let is_variable = |n: &&Node<'_>| said(n) == *name && !is_called(**n) && !is_keyword(**n);
            places.extend(names.iter().filter(is_variable).map(|n| (n.byte_range(), other.clone())));
        }
    }
    places.sort_by_key(|(place, _)| place.start);
    places
}

/// The same of JavaScript, where a constant or variable is declared by a call of what it hides.
pub(super) fn in_javascript(text: &str, root: Node<'_>) -> Vec<(Range<usize>, String)> {
    let said = |node: Node<'_>| &text[node.byte_range()];
    let mut places = Vec::new();
    for declarator in nodes(root).filter(|node| node.kind() == "variable_declarator") {
        let (Some(name), Some(value)) =
            (declarator.child_by_field_name("name"), declarator.child_by_field_name("value"))
        else {
            continue;
        };
        let Some(block) = around(declarator, &["statement_block", "switch_body"]) else { continue };
        let calls = |within: Node<'_>| {
            nodes(within).any(|n| n.kind() == "identifier" && said(n) == said(name) && is_called(n))
        };
        let other = format!("{}_", said(name));
        if name.kind() != "identifier" || !calls(value) || nodes(block).any(|n| said(n) == other) {
            continue;
        }
        for node in nodes(block).filter(|n| said(*n) == said(name)) {
            match node.kind() {
                "identifier" if !is_called(node) => places.push((node.byte_range(), other.clone())),
                "shorthand_property_identifier" => {
                    places.push((node.byte_range(), format!("{}: {other}", said(name))));
                }
                _ => {}
            }
        }
    }
    places.sort_by_key(|(place, _)| place.start);
    places.dedup();
    places
}

/// The nearest node of one of these kinds around another.
pub(super) fn around<'a>(node: Node<'a>, kinds: &[&str]) -> Option<Node<'a>> {
    let mut at = node.parent();
    while let Some(node) = at.filter(|node| !kinds.contains(&node.kind())) {
        at = node.parent();
    }
    at
}

fn is_keyword(node: Node<'_>) -> bool {
    node.parent()
        .is_some_and(|p| p.kind() == "keyword_argument" && p.child_by_field_name("name") == Some(node))
}

fn is_parameter(node: Node<'_>) -> bool {
    around(node, &["parameters", "lambda_parameters", "block"]).is_some_and(|n| n.kind() != "block")
}

/// Whether a name is said to be the module's, or an outer function's.
fn is_outer(node: Node<'_>) -> bool {
    node.parent().is_some_and(|p| matches!(p.kind(), "global_statement" | "nonlocal_statement"))
}

fn is_bound_in_python(node: Node<'_>) -> bool {
    let Some(mut parent) = node.parent() else { return false };
    let mut own = node;
    while matches!(parent.kind(), "pattern_list" | "tuple_pattern" | "list_pattern") {
        let Some(next) = parent.parent() else { return false };
        (own, parent) = (parent, next);
    }
    match parent.kind() {
        "assignment" | "for_statement" => parent.child_by_field_name("left") == Some(own),
        "as_pattern_target" => true,
        _ => false,
    }
}

/// Functions and classes of a file, and what it imports by name.
fn top_of_python<'a>(text: &'a str, root: Node<'_>) -> BTreeSet<&'a str> {
    let mut known = BTreeSet::new();
    let mut cursor = root.walk();
    for top in root.children(&mut cursor) {
        let top = top.child_by_field_name("definition").unwrap_or(top);
        match top.kind() {
            "function_definition" | "class_definition" => {
                known.extend(top.child_by_field_name("name").map(|name| &text[name.byte_range()]));
            }
            "import_from_statement" => {
                let mut cursor = top.walk();
                let names = top.children_by_field_name("name", &mut cursor);
                known.extend(names.map(|name| {
                    let name = name.child_by_field_name("alias").unwrap_or(name);
                    &text[name.byte_range()]
                }));
            }
            _ => {}
        }
    }
    known
}
