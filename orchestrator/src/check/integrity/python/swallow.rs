//! What of Python code catches what an assertion throws: context managers, decorators, helpers, threads.

use tree_sitter::Node;

use super::super::body::{Lost, Step, asks_itself};
use super::super::tokens::{Tokens, is_name};
use super::{Reader, children};
use crate::check::syntax;

/// What catches the error of an assertion.
const BROAD: [&str; 3] = ["AssertionError", "Exception", "BaseException"];

/// Why the steps of a part of the text may not fail their test.
enum Region {
    Lost,
    Within(String),
}

/// Parts of the text that lie in one another, each up to a byte.
#[derive(Default)]
pub(super) struct Regions(Vec<(usize, Region)>);

impl Regions {
    /// Leaves those that end before a node.
    pub(super) fn reach(&mut self, node: Node<'_>) {
        self.0.retain(|(end, _)| *end > node.start_byte());
    }

    /// A step as it is in the place that was reached.
    pub(super) fn wrap(&self, step: Step) -> Step {
        self.0.iter().rev().fold(step, |step, (_, region)| match region {
            Region::Lost => Step::Lost(Lost::Swallowed, vec![step]),
            Region::Within(name) => Step::Within(name.clone(), vec![step]),
        })
    }

    /// Enters what a call does with the functions that it is given. What a thread's function throws ends the thread only.
    pub(super) fn enter(&mut self, call: Node<'_>, name: &str) {
        let list = call.child_by_field_name("arguments").map(children).unwrap_or_default();
        let values = list.into_iter().map(|n| n.child_by_field_name("value").unwrap_or(n));
        for lambda in values.filter(|n| n.kind() == "lambda") {
            let region = match name {
                "Thread" => Region::Lost,
                _ => Region::Within(name.to_owned()),
            };
            self.0.push((lambda.end_byte(), region));
        }
    }

    /// Enters a call whose assertions are expected to fail.
    pub(super) fn enter_lost(&mut self, call: Node<'_>) {
        self.0.push((call.end_byte(), Region::Lost));
    }
}

/// Whether `raises(AssertionError, self.assertEqual, ..)`: what is expected is that an assertion of the test's own fails.
pub(super) fn expects_own_failure(given: &[Tokens]) -> bool {
    let Some((what, rest)) = given.split_first() else { return false };
    let own = |tokens: &Tokens| {
        tokens.windows(3).any(|w| w[0] == "self" && w[1] == "." && w[2].starts_with("assert"))
    };
    what.iter().any(|t| BROAD.contains(&t.as_str())) && rest.iter().any(own)
}

/// Whether the head of an `except` or the arguments of a call name what an assertion throws.
fn names_broad(head: &str) -> bool {
    head.split(|c: char| !c.is_alphanumeric()).any(|word| BROAD.contains(&word))
}

/// Whether an `except` catches the errors of assertions.
pub(super) fn is_broad(head: &str) -> bool {
    !head.trim_start_matches("except").contains(char::is_alphabetic) || names_broad(head)
}

impl Reader<'_> {
    pub(super) fn with(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        let (mut swallows, mut inverts) = (false, false);
        let mut around = Vec::new();
        let mut asked = Vec::new();
        for item in syntax::nodes(node).filter(|n| n.kind() == "with_item") {
            if item.parent().and_then(|p| p.parent()) != Some(node) {
                continue;
            }
            let said = self.said(item);
            let call = syntax::nodes(item).find(|n| n.kind() == "call");
            let function = call.map(|n| self.field(n, "function")).unwrap_or_default();
            match function.rsplit('.').next().unwrap_or(function) {
                "suppress" => swallows |= names_broad(said),
                "assertRaises" | "raises" if !said.contains("match") => inverts |= names_broad(said),
                "assertRaises" | "assertRaisesRegex" | "raises" => inverts |= said.contains("AssertionError"),
                name => around.push(name.to_owned()),
            }
            self.calls(item, &mut asked);
        }
        let mut body = node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
        if inverts && asks_itself(&body) {
            // It passes because an assertion fails: neither shows anything.
            asked.append(&mut body);
            out.push(Step::Lost(Lost::Swallowed, asked));
            return;
        }
        out.append(&mut asked);
        if swallows {
            out.push(Step::Lost(Lost::Swallowed, body));
            return;
        }
        for name in around.into_iter().rev().filter(|name| !name.is_empty()) {
            body = vec![Step::Within(name, body)];
        }
        out.append(&mut body);
    }

    /// Notes what of this file catches the errors of the code that it is given.
    pub(super) fn swallowers(&mut self, root: Node<'_>) {
        for node in syntax::nodes(root) {
            match node.kind() {
                "class_definition" => self.class(node),
                "function_definition" if self.catches_all(node) => {
                    let name = self.field(node, "name").to_owned();
                    self.file.swallowers.insert(name);
                }
                _ => {}
            }
        }
    }

    fn class(&mut self, node: Node<'_>) {
        let name = self.field(node, "name").to_owned();
        for method in syntax::nodes(node).filter(|n| n.kind() == "function_definition") {
            let Some(body) = method.child_by_field_name("body") else { continue };
            let returned = |n: Node<'_>| self.said(n).trim_start_matches("return").trim();
            let last: Vec<_> =
                children(body).into_iter().filter(|n| n.kind() == "return_statement").map(returned).collect();
            match self.field(method, "name") {
                "__exit__" | "__aexit__"
                    if last.iter().any(|r| *r == "True" || r.contains("AssertionError")) =>
                {
                    self.file.swallowers.insert(name.clone());
                }
                "__eq__" if last == ["True"] => {
                    self.file.always_equal.insert(name.clone());
                }
                _ => {}
            }
        }
    }

    /// Whether a function runs what it is given, or what stands below its `yield`, and catches whatever that throws.
    fn catches_all(&self, function: Node<'_>) -> bool {
        let parameters =
            function.child_by_field_name("parameters").map(|n| self.tokens(n)).unwrap_or_default();
        let is_given = |n: Node<'_>| {
            n.kind() == "call"
                && is_name(self.field(n, "function"))
                && parameters.iter().any(|p| p == self.field(n, "function"))
        };
        let runs = |n: Node<'_>| n.kind() == "yield" || is_given(n);
        if syntax::nodes(function).any(|n| n.kind() == "raise_statement")
            || self.said(function).contains("fail(")
        {
            return false;
        }
        let tries: Vec<_> = syntax::nodes(function)
            .filter(|n| n.kind() == "try_statement")
            .filter_map(|n| Some((n, n.child_by_field_name("body")?)))
            .filter(|(_, body)| syntax::nodes(*body).any(runs))
            .collect();
        let is_caught =
            |n: Node<'_>| tries.iter().any(|(_, body)| body.byte_range().contains(&n.start_byte()));
        let all_caught = syntax::nodes(function).filter(|n| runs(*n)).all(is_caught);
        !tries.is_empty() && all_caught && tries.iter().any(|(node, _)| self.has_broad_clause(*node))
    }

    fn has_broad_clause(&self, attempt: Node<'_>) -> bool {
        children(attempt).into_iter().filter(|n| n.kind() == "except_clause").any(|clause| {
            let block = children(clause).into_iter().rfind(|n| n.kind() == "block");
            let end = block.map_or(clause.end_byte(), |n| n.start_byte());
            let keeps = block.is_some_and(|n| self.said(n).contains("assert"));
            is_broad(&self.text[clause.start_byte()..end]) && !keeps
        })
    }

    /// Notes the examples in the documentation of what this file defines.
    pub(super) fn examples(&mut self, root: Node<'_>) {
        let module = self.file.path.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
        for node in
            syntax::nodes(root).filter(|n| n.kind() == "expression_statement" && n.named_child_count() == 1)
        {
            let said = self.said(node);
            let is_text = children(node).first().is_some_and(|n| n.kind() == "string");
            if !is_text || !said.contains(">>>") {
                continue;
            }
            let mut path = Vec::new();
            for around in std::iter::successors(node.parent(), Node::parent) {
                if matches!(around.kind(), "function_definition" | "class_definition") {
                    path.push(self.field(around, "name"));
                }
            }
            path.push(&module);
            path.reverse();
            if shows_a_value(said, &self.file.callables.iter().map(String::as_str).collect::<Vec<_>>()) {
                self.file.examples.insert(path.join("."));
            }
        }
    }
}

/// Whether documentation has an example that uses what the file defines and says what comes of it.
fn shows_a_value(said: &str, own: &[&str]) -> bool {
    let mut uses = false;
    said.lines().map(|line| line.trim().trim_matches('"')).any(|line| {
        if line.starts_with(">>>") || line.starts_with("...") {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            uses |= words.any(|word| own.contains(&word));
            return false;
        }
        uses && !line.is_empty()
    })
}
