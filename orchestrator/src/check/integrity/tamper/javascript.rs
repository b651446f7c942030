//! JavaScript: overwritten assertions and globals, early ends.

use tree_sitter::Node;

use super::{Look, above};

impl Look<'_> {
    pub(super) fn javascript(&self, node: Node<'_>) -> Option<String> {
        match node.kind() {
            "assignment_expression" => {
                let left = self.field(node, "left");
                let first = left.split('.').next().unwrap_or_default();
                if first == "assert" && left.contains('.') || left.starts_with("globalThis.assert") {
                    return Some(format!("overwrites {left}"));
                }
                let global =
                    ["globalThis.test", "globalThis.it", "globalThis.describe", "globalThis.process"]
                        .contains(&left);
                let kept = self.text.matches(&format!("{left} =")).count() > 1;
                if global || matches!(left, "process.exit" | "process.reallyExit") && !kept {
                    return Some(format!("overwrites {left}"));
                }
                let zero = self.field(node, "right") == "0";
                (self.in_tests && left == "process.exitCode" && zero)
                    .then(|| "sets the exit status of the test run".to_owned())
            }
            "variable_declarator" if self.in_tests && self.field(node, "name") == "assert" => {
                let value = self.field(node, "value");
                let real = ["require", "import", "throw ", "assert"].iter().any(|w| value.contains(w));
                (!real).then(|| "has an assert of its own".to_owned())
            }
            "call_expression" => {
                let function = self.field(node, "function");
                let given = self.field(node, "arguments");
                let onto = matches!(
                    function,
                    "Object.assign"
                        | "Object.defineProperty"
                        | "Reflect.set"
                        | "Object.defineProperties"
                        | "mock.method"
                        | "t.mock.method"
                );
                if onto && (given.starts_with("(assert,") || given.starts_with("(assert.strict,")) {
                    return Some("overwrites functions of assert".to_owned());
                }
                if function.ends_with("mock.module") && given.contains("assert") {
                    return Some("puts something else in the place of assert".to_owned());
                }
                let ends = matches!(function, "process.exit" | "process.reallyExit" | "process.abort")
                    && matches!(given.trim_matches(['(', ')', ' ']), "" | "0");
                let mut guarded = false;
                let mut in_function = false;
                for around in above(node) {
                    in_function |= matches!(
                        around.kind(),
                        "function_declaration"
                            | "method_definition"
                            | "arrow_function"
                            | "function_expression"
                    );
                    guarded |= around.kind() == "if_statement";
                }
                let at_load = !in_function && !guarded;
                (ends && (self.in_tests || at_load)).then(|| format!("ends the test run with {function}"))
            }
            _ if !self.in_tests => self.javascript_asks(node),
            _ => None,
        }
    }
}
