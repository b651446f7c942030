//! JavaScript: overwritten assertions and globals, early ends.

use tree_sitter::Node;

use super::{Look, above};

/// What assertions are made with.
const OWN: [&str; 2] = ["assert", "expect"];
/// Matchers of `expect` that nobody else may define.
const MATCHERS: [&str; 8] =
    ["toBe", "toEqual", "toStrictEqual", "toContain", "toMatch", "toThrow", "toHaveLength", "toBeTruthy"];

impl Look<'_> {
    pub(super) fn javascript(&self, node: Node<'_>) -> Option<String> {
        match node.kind() {
            "assignment_expression" => {
                let left = self.field(node, "left");
                let first = left.split('.').next().unwrap_or_default();
                let asserts = matches!(first, "assert" | "expect");
                if asserts && (left.contains('.') || left == "expect")
                    || ["globalThis.assert", "globalThis.expect"].iter().any(|all| left.starts_with(all))
                {
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
            "variable_declarator" if self.in_tests && OWN.contains(&self.field(node, "name")) => {
                let value = self.field(node, "value");
                let real =
                    ["require", "import", "throw ", "assert", "expect"].iter().any(|w| value.contains(w));
                (!real).then(|| format!("has an {} of its own", self.field(node, "name")))
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
                let whose = ["assert", "assert.strict", "expect"].into_iter();
                if onto && whose.clone().any(|name| given.starts_with(&format!("({name},"))) {
                    let name = if given.starts_with("(expect") { "expect" } else { "assert" };
                    return Some(format!("overwrites functions of {name}"));
                }
                let known =
                    |word: &&&str| given.contains(&format!("{word}:")) || given.contains(&format!("{word}("));
                if function == "expect.extend"
                    && let Some(word) = MATCHERS.iter().find(known)
                {
                    return Some(format!("puts another {word} in the place of expect's"));
                }
                let mocks = function.ends_with("mock.module") || matches!(function, "vi.mock" | "vi.doMock");
                let what = ["node:assert", "assert", "vitest"].map(|m| [format!("('{m}"), format!("(\"{m}")]);
                if mocks && what.iter().flatten().any(|begins| given.starts_with(begins)) {
                    let whose = if given.contains("vitest") { "vitest" } else { "assert" };
                    return Some(format!("puts something else in the place of {whose}"));
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
