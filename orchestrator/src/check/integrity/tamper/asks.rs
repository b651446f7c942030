//! Code that asks whether it is being tested: its modules, its arguments, its environment, its stack, its build.
//!
//! To look at an argument is no offence, and neither is a setting for tests; what is looked for has to be a runner, or what
//! is done then has to be an answer made up for it.

use tree_sitter::Node;

use super::{Look, above};
use crate::check::integrity::tokens::{is_fixed, is_name, tokens};
use crate::check::syntax;

const ASKS: &str = "finds out whether it is being tested, and then does something else";
/// Where Python code finds who runs it.
const PYTHON_PLACES: [&str; 5] = ["sys.argv", "sys.modules", "environ", "getenv", "__main__"];
/// Who calls.
const PYTHON_STACKS: [&str; 5] =
    ["inspect.stack", "inspect.currentframe", "sys._getframe", "extract_stack", "format_stack"];
/// Where JavaScript code finds who runs it.
const JAVASCRIPT_PLACES: [&str; 4] = ["process.argv", "process.execArgv", "require.main", "import.meta.main"];
const JAVASCRIPT_RUNNERS: [&str; 6] = [".test.", ".spec.", "node:test", "mocha", "jest", "vitest"];
/// Variables that runners set.
const SET_BY_RUNNERS: [&str; 8] = [
    "PYTEST_CURRENT_TEST",
    "PYTEST_VERSION",
    "_called_from_test",
    "NODE_TEST_CONTEXT",
    "JEST_WORKER_ID",
    "RUST_TEST_THREADS",
    "NEXTEST",
    "VITEST",
];

/// Whether JavaScript code looks at the stack of an error that it makes for this.
fn makes_a_stack(text: &str) -> bool {
    let mut made = text.split("new Error(").skip(1);
    text.contains("captureStackTrace")
        || made.any(|rest| rest.split_once(')').is_some_and(|(_, after)| after.starts_with(".stack")))
}

fn asks_if(holds: bool) -> Option<String> {
    holds.then(|| ASKS.to_owned())
}

impl<'a> Look<'a> {
    pub(super) fn python_asks(&self, node: Node<'_>) -> Option<String> {
        let said = self.said(node);
        if SET_BY_RUNNERS.iter().any(|name| said.contains(name)) {
            return asks_if(true);
        }
        let is_compared = self.is_compared(
            node,
            "comparison_operator",
            &["endswith", "startswith", "find", "get", "search", "match", "index", "count"],
        );
        let has = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
        let runner = said.contains("unittest") || said.contains("pytest");
        asks_if(
            is_compared
                && (runner && has(self.whole_expression(node), &PYTHON_PLACES)
                    || said.contains("test")
                        && has(self.around(node, "function_definition"), &PYTHON_STACKS)),
        )
    }

    pub(super) fn javascript_asks(&self, node: Node<'_>) -> Option<String> {
        match node.kind() {
            "identifier" | "property_identifier" => {
                let said = self.said(node);
                asks_if(SET_BY_RUNNERS.contains(&said) || said.starts_with("VITEST_"))
            }
            "string" | "regex" | "template_string" => {
                let said = self.said(node);
                if SET_BY_RUNNERS.iter().any(|name| said.contains(name)) {
                    return asks_if(true);
                }
                let methods =
                    ["includes", "endsWith", "startsWith", "match", "test", "indexOf", "search", "some"];
                if !self.is_compared(node, "binary_expression", &methods) {
                    return None;
                }
                let whole = self.whole_expression(node);
                let places = JAVASCRIPT_PLACES.iter().any(|place| whole.contains(place));
                let plain = said.replace('\\', "");
                let runner = JAVASCRIPT_RUNNERS.iter().any(|word| plain.contains(word))
                    || whole.contains("execArgv") && plain.contains("--test");
                let around = self.around(node, "function");
                let stack = makes_a_stack(around) && plain.contains("test");
                asks_if(places && runner || stack)
            }
            "binary_expression" => asks_if(self.says_test(node) && self.makes_an_answer_up(node)),
            _ => None,
        }
    }

    /// `process.env.NODE_ENV === "test"`
    fn says_test(&self, node: Node<'_>) -> bool {
        let equal = matches!(self.field(node, "operator"), "===" | "==");
        let sides = [self.field(node, "left"), self.field(node, "right")];
        equal
            && sides.iter().any(|s| s.contains("NODE_ENV"))
            && sides.iter().any(|s| s.trim_matches(['"', '\'', '`']) == "test")
    }

    /// Whether a function that is asked something returns a value of its own where a condition holds. To listen on no port,
    /// to be silent, to use another database are settings.
    fn makes_an_answer_up(&self, condition: Node<'_>) -> bool {
        let function =
            above(condition).find(|n| n.kind().contains("function") || n.kind() == "method_definition");
        let takes =
            function.and_then(|f| f.child_by_field_name("parameters").or(f.child_by_field_name("parameter")));
        if takes.is_none_or(|list| list.kind() == "formal_parameters" && list.named_child_count() == 0) {
            return false;
        }
        let decides = |n: Node<'_>| {
            let range = n.child_by_field_name("condition").map(|c| c.byte_range());
            range.is_some_and(|range| range.contains(&condition.start_byte()))
        };
        let chosen = above(condition).filter(|n| decides(*n)).find_map(|n| match n.kind() {
            "if_statement" => {
                let then = n.child_by_field_name("consequence")?;
                syntax::nodes(then).find(|n| n.kind() == "return_statement")?.named_child(0)
            }
            "ternary_expression" if n.parent().is_some_and(|p| p.kind() == "return_statement") => {
                n.child_by_field_name("consequence")
            }
            _ => None,
        });
        chosen.is_some_and(|value| self.is_answer(value))
    }

    /// Whether a value is written out and is not what settings are made of: nothing, true, a path, a database in memory.
    fn is_answer(&self, value: Node<'_>) -> bool {
        let all = tokens(value, self.text);
        let setting = |token: &String| {
            let text = token.trim_start_matches('"');
            matches!(text, "true" | "null" | "undefined" | "0" | "" | "test") || text.contains(['/', ':'])
        };
        is_fixed(&all)
            && !all.iter().any(setting)
            && value.named_child_count() + usize::from(all.len() == 1) > 0
    }

    pub(super) fn rust_asks(&self, node: Node<'_>) -> Option<String> {
        match node.kind() {
            "macro_invocation" if self.field(node, "macro") == "cfg" => {
                asks_if(tokens(node, self.text).iter().any(|t| is_name(t) && t == "test"))
            }
            "string_literal" => {
                let said = self.said(node);
                let methods = ["contains", "starts_with", "ends_with", "find"];
                let names_thread = || {
                    let around = self.around(node, "function_item");
                    said.contains("test")
                        && around.contains("thread::current().name()")
                        && self.is_compared(node, "binary_expression", &methods)
                };
                asks_if(SET_BY_RUNNERS.iter().any(|name| said.contains(name)) || names_thread())
            }
            // `#[cfg(test)] return 4;` within a function.
            "attribute_item" if self.said(node).replace(' ', "") == "#[cfg(test)]" => {
                let in_body = node.parent().is_some_and(|p| p.kind() == "block");
                let next = node.next_named_sibling();
                asks_if(in_body && next.is_some_and(|n| self.said(n).contains("return")))
            }
            _ => None,
        }
    }

    /// Whether a function is there once for tests and once for everybody else.
    pub(super) fn has_twin(&self, node: Node<'_>) -> bool {
        let attribute = |n: Node<'_>| {
            n.prev_named_sibling().filter(|p| p.kind() == "attribute_item").map(|p| self.said(p))
        };
        let is_for_tests = attribute(node).is_some_and(|said| said.replace(' ', "") == "#[cfg(test)]");
        let siblings = node.parent().map(|parent| {
            let mut cursor = parent.walk();
            parent.named_children(&mut cursor).collect::<Vec<_>>()
        });
        is_for_tests
            && siblings.unwrap_or_default().into_iter().any(|n| {
                n.kind() == "function_item"
                    && self.field(n, "name") == self.field(node, "name")
                    && attribute(n).is_some_and(|said| said.replace(' ', "") == "#[cfg(not(test))]")
            })
    }

    pub(super) fn go_asks(&self, node: Node<'_>) -> Option<String> {
        if self.in_tests || node.kind() != "call_expression" {
            return None;
        }
        let (function, given) = (self.field(node, "function"), self.field(node, "arguments"));
        let looks_up = function == "flag.Lookup" && given.contains("\"test.");
        let suffix =
            function.starts_with("strings.") && given.contains("os.Args") && given.contains("test\"");
        asks_if(function == "testing.Testing" || looks_up || suffix)
    }

    /// Whether a value is what another is compared with, or looked for in.
    fn is_compared(&self, node: Node<'_>, comparison: &str, methods: &[&str]) -> bool {
        above(node).take_while(|n| !n.kind().ends_with("_statement") && !n.kind().contains("block")).any(
            |n| {
                let function = self.field(n, "function");
                n.kind() == comparison
                    || n.kind().starts_with("call")
                        && methods.contains(&function.rsplit('.').next().unwrap_or(function))
            },
        )
    }

    /// The expression that a part of it stands in, up to its statement.
    fn whole_expression(&self, node: Node<'_>) -> &'a str {
        let is_place = |n: &Node<'_>| {
            n.kind().ends_with("_statement") || n.kind().contains("block") || n.kind() == "module"
        };
        let whole = std::iter::once(node).chain(above(node)).take_while(|n| !is_place(n)).last();
        self.said(whole.unwrap_or(node))
    }

    /// The function that a node stands in; outside of any, its expression.
    fn around(&self, node: Node<'_>, kind: &str) -> &'a str {
        above(node).find(|n| n.kind().contains(kind)).map_or(self.whole_expression(node), |n| self.said(n))
    }
}
