//! Python: patched runners, early ends, hooks that change what becomes of tests.

use tree_sitter::Node;

use super::super::project::stem;
use super::{Look, above};

/// Assertions of `unittest`, which a test case inherits.
const ASSERTIONS: [&str; 16] = [
    "assertEqual",
    "assertNotEqual",
    "assertTrue",
    "assertFalse",
    "assertIs",
    "assertIsNot",
    "assertIsNone",
    "assertIsNotNone",
    "assertIn",
    "assertNotIn",
    "assertRaises",
    "assertAlmostEqual",
    "assertListEqual",
    "assertDictEqual",
    "assertGreater",
    "assertRegex",
];

impl Look<'_> {
    pub(super) fn python(&self, node: Node<'_>) -> Option<String> {
        match node.kind() {
            "assignment" | "augmented_assignment" => {
                let left = self.field(node, "left");
                let first = left.split(['.', '[']).next().unwrap_or_default();
                let runner = matches!(first, "unittest" | "TestCase" | "TestResult" | "pytest" | "builtins")
                    && left.contains('.')
                    || left.starts_with("sys.modules[")
                        && ["unittest", "pytest", "json", "os"]
                            .iter()
                            .any(|m| left.contains(&format!("\"{m}")) || left.contains(&format!("'{m}")))
                    || matches!(left, "os._exit" | "json.dumps" | "sys.exit");
                let of_a_case =
                    left.contains(".assert") && !left.starts_with("self.assert_") && !left.contains("mock");
                (runner || of_a_case).then(|| format!("overwrites {left} of the test runner"))
            }
            "call" => {
                let function = self.field(node, "function");
                let given = self.field(node, "arguments");
                if function == "setattr"
                    && ["(unittest", "(TestCase", "(pytest", "(builtins"].iter().any(|w| given.starts_with(w))
                {
                    return Some("overwrites a part of the test runner".to_owned());
                }
                if function == "atexit.register" && given.contains("exit") {
                    return Some("ends the test run from an exit handler".to_owned());
                }
                self.python_exit(node, function, given)
            }
            "raise_statement"
                if self.in_tests
                    && self.said(node).trim_start_matches("raise ").starts_with("SystemExit") =>
            {
                let given = self.said(node);
                self.python_exit(node, "sys.exit", if given.contains("(1") { "(1)" } else { "()" })
            }
            "attribute" if self.in_tests && self.said(node) == "self._outcome" => {
                Some("reaches for the results of the test run".to_owned())
            }
            "function_definition" => self.python_function(node),
            "string" if !self.in_tests => self.python_asks(node),
            _ => None,
        }
    }

    pub(super) fn python_exit(&self, node: Node<'_>, function: &str, given: &str) -> Option<String> {
        let hard = matches!(function, "os._exit" | "os.abort" | "os.kill");
        let soft = matches!(function, "sys.exit" | "exit" | "quit")
            && matches!(given.trim_matches(['(', ')', ' ']), "" | "0" | "None" | "False");
        if !(hard || soft && stem(self.path) != "__main__") {
            return None;
        }
        let mut in_function = false;
        for around in above(node) {
            match around.kind() {
                "function_definition" | "lambda" => in_function = true,
                "if_statement" if self.field(around, "condition").contains("__name__") => return None,
                // A script that looks at its arguments first.
                "if_statement" if !self.in_tests && self.field(around, "condition").contains("argv") => {
                    return None;
                }
                // Expected, by a test of a program's own exit.
                "with_statement" | "try_statement" if soft => return None,
                _ => {}
            }
        }
        let forks = hard && self.text.contains("os.fork(");
        // Another process is nobody's test run.
        let itself = ["getpid", "(0,", "(-1,"].iter().any(|w| given.contains(w));
        let is_kill = function == "os.kill" && (!self.in_tests || !itself);
        let stops = !forks
            && !is_kill
            && (self.in_tests && (hard || !in_function || self.is_in_test(node)) || !in_function);
        stops.then(|| format!("ends the test run with {function}"))
    }

    /// Whether a node is in a function that the runner calls, and not in a program that a test stands in for.
    pub(super) fn is_in_test(&self, node: Node<'_>) -> bool {
        let outer = above(node).find(|n| n.kind() == "function_definition");
        outer.is_some_and(|n| {
            let name = self.field(n, "name");
            name.starts_with("test")
                || matches!(
                    name,
                    "setUp" | "tearDown" | "setUpClass" | "tearDownClass" | "setUpModule" | "tearDownModule"
                )
        })
    }

    /// Whether a function is a method of a test case.
    fn is_in_case(&self, node: Node<'_>) -> bool {
        let class = above(node).find(|n| n.kind() == "class_definition");
        class.is_some_and(|n| self.field(n, "superclasses").contains("TestCase"))
    }

    pub(super) fn python_function(&self, node: Node<'_>) -> Option<String> {
        let name = self.field(node, "name");
        let body = node.child_by_field_name("body").map(|n| self.said(n)).unwrap_or_default();
        let changes = match name {
            "pytest_runtest_makereport" => {
                body.contains("outcome =")
                    || body.contains("outcome=\"passed")
                    || body.contains("force_result")
            }
            "pytest_collection_modifyitems" => {
                ["skip", "xfail", "items[:]", "items.clear", "deselect", "items.remove", "del items"]
                    .iter()
                    .any(|w| body.contains(w))
                    && !body.contains("getoption")
            }
            "pytest_sessionfinish" => body.contains("exitstatus") || body.contains("exit"),
            "pytest_runtest_call" | "pytest_pyfunc_call" | "pytest_runtest_protocol" => true,
            "load_tests" => !body.contains("tests") && !body.contains("addTest"),
            _ => false,
        };
        if changes {
            return Some(format!("changes what becomes of tests in {name}"));
        }
        let runs = matches!(
            name,
            "run" | "__call__" | "_callTestMethod" | "_callSetUp" | "id" | "debug" | "defaultTestResult"
        );
        let asserts = name.starts_with("assert") && ASSERTIONS.contains(&name);
        if self.in_tests && (runs || asserts) && self.is_in_case(node) {
            return Some(format!("has its own {name} in a TestCase, in the place of the runner's"));
        }
        let always = name == "__eq__" && body.trim() == "return True"
            || name == "__ne__" && body.trim() == "return False";
        // In tests such an object may stand for any value; that nothing is compared with it is seen where assertions are read.
        (always && !self.in_tests).then(|| format!("has a {name} that says that everything is equal"))
    }
}
