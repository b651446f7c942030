//! Go: `func TestX(t *testing.T)` with `t.Error` and `t.Fatal` below a condition.

use tree_sitter::Node;

use super::body::{Asked, File, Found, Function, Kind, Step, fill, once};
use super::tokens::{Tokens, is_name, joined, tokens};
use crate::check::syntax;

/// Deeper code is not read.
const DEPTH_MAX: usize = 120;

/// Whether the runner looks for tests in this file.
pub(super) fn is_test(path: &str) -> bool {
    path.ends_with("_test.go")
}

/// Reads a file.
pub(super) fn read(path: &str, text: &str) -> File {
    let mut file = File { path: path.to_owned(), ..File::default() };
    let Ok(tree) = syntax::tree(text, &tree_sitter_go::LANGUAGE.into()) else { return file };
    let excluded =
        text.lines().take_while(|l| !l.starts_with("package")).any(|l| l.starts_with("//go:build ignore"));
    for node in children(tree.root_node()) {
        let all = tokens(node, text);
        for name in syntax::nodes(node).filter(|n| n.parent().is_some_and(|p| p.kind().ends_with("_spec"))) {
            if name.kind() == "identifier" || name.kind() == "type_identifier" {
                file.define(&text[name.byte_range()], &all);
                if !is_test(path) {
                    file.offers.insert(text[name.byte_range()].to_owned());
                }
            }
        }
        if !matches!(node.kind(), "function_declaration" | "method_declaration") {
            continue;
        }
        let name =
            node.child_by_field_name("name").map(|n| &text[n.byte_range()]).unwrap_or_default().to_owned();
        let body = node.child_by_field_name("body");
        let mut steps = Vec::new();
        body.into_iter().for_each(|b| step(b, text, &mut steps, 0));
        let list = node.child_by_field_name("parameters").map(|n| tokens(n, text)).unwrap_or_default();
        let parameters =
            list.split(|t| t == ",").filter_map(|p| p.iter().find(|t| is_name(t)).cloned()).collect();
        let tokens = body.map(|b| tokens(b, text)).unwrap_or_default();
        let skipped =
            body.is_some_and(|b| children(b).iter().any(|n| text[n.byte_range()].starts_with("t.Skip")));
        let function = Function { name: name.clone(), parameters, steps, tokens, is_async: false };
        file.define(&name, &all);
        if is_test(path) && name.starts_with("Test") && name != "TestMain" {
            let dead = excluded.then(|| "a build tag leaves its file out".to_owned());
            file.tests.push(Found { full: name.clone(), name, function, skipped, dead, ..Found::default() });
        } else {
            if !is_test(path) {
                file.offers.insert(name);
            }
            file.functions.push(function);
        }
    }
    file
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|n| n.kind() != "comment").collect()
}

fn step(node: Node<'_>, text: &str, out: &mut Vec<Step>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    let field = |name: &str| node.child_by_field_name(name).map(|n| tokens(n, text)).unwrap_or_default();
    match node.kind() {
        "if_statement" => {
            let condition = field("condition");
            let mut then = Vec::new();
            node.child_by_field_name("initializer").into_iter().for_each(|n| step(n, text, out, depth + 1));
            node.child_by_field_name("consequence")
                .into_iter()
                .for_each(|n| step(n, text, &mut then, depth + 1));
            fill(&mut then, &condition);
            let never = joined(&condition) == "false";
            out.push(if never { Step::Lost(super::body::Lost::Dead, then) } else { once(then) });
            let mut other = Vec::new();
            node.child_by_field_name("alternative")
                .into_iter()
                .for_each(|n| step(n, text, &mut other, depth + 1));
            fill(&mut other, &condition);
            out.extend(other);
        }
        "short_var_declaration" => {
            let (left, right) = (field("left"), field("right"));
            node.child_by_field_name("right").into_iter().for_each(|n| step(n, text, out, depth + 1));
            out.push(Step::Let(joined(&left), right));
        }
        "call_expression" => {
            let function =
                node.child_by_field_name("function").map(|n| &text[n.byte_range()]).unwrap_or_default();
            let name = function.rsplit('.').next().unwrap_or(function);
            let list = node.child_by_field_name("arguments").map(children).unwrap_or_default();
            let given: Vec<Tokens> = list.iter().map(|n| tokens(*n, text)).collect();
            match (function.split('.').next().unwrap_or_default(), name) {
                ("t", "Error" | "Errorf" | "Fatal" | "Fatalf" | "Fail" | "FailNow") => {
                    out.push(Step::Assert(Asked { kind: Kind::Fails, of: vec![] }));
                }
                ("assert" | "require", name) => {
                    let kind = match name {
                        "Equal" | "EqualValues" | "ElementsMatch" | "ErrorIs" | "Len" => Kind::Equal,
                        "True" | "NotNil" | "NotEmpty" | "Error" => Kind::Holds,
                        "False" | "NoError" | "Nil" => Kind::HoldsNot,
                        _ => Kind::Like,
                    };
                    let of = given.into_iter().skip(1).take(2).collect();
                    out.push(Step::Assert(Asked { kind, of }));
                }
                _ => {
                    children(node).into_iter().for_each(|n| step(n, text, out, depth + 1));
                    out.push(Step::Call { name: name.to_owned(), given, awaited: true });
                }
            }
        }
        _ => children(node).into_iter().for_each(|n| step(n, text, out, depth + 1)),
    }
}
