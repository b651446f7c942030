//! Python: `unittest` and plain functions with `assert`, as pytest has them.

mod classes;
mod steps;
mod substitutes;
mod swallow;

use tree_sitter::Node;

use super::body::{File, Found, Over};
use super::tokens::{Tokens, is_name, joined, tokens};
use crate::check::syntax;
use classes::{Class, is_plain_tests, no_tests};
pub(super) use classes::{inherit, unawaited};
use steps::is_false;

/// Deeper code is not read.
const DEPTH_MAX: usize = 120;

/// Whether the runner looks for tests in this file.
pub(super) fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".py") && (name.starts_with("test") || name.ends_with("_test.py"))
}

/// Reads a file.
pub(super) fn read(path: &str, text: &str) -> File {
    let mut file = File { path: path.to_owned(), ..File::default() };
    let Ok(tree) = syntax::tree(text, &tree_sitter_python::LANGUAGE.into()) else { return file };
    let mut reader = Reader { text, file: &mut file, collects: is_test(path), module_skipped: false };
    let root = tree.root_node();
    reader.module_skipped = children(root).iter().any(|n| {
        let said = &text[n.byte_range()];
        said.starts_with("pytestmark") && says_skip(said)
            || said.starts_with("__test__") && said.contains("False")
            || said.starts_with("pytest.skip(")
            || said.starts_with("raise unittest.SkipTest")
    });
    for node in children(root) {
        reader.top(node, None, 0);
    }
    reader.inner_imports(root);
    reader.swallowers(root);
    reader.substitutes(root);
    reader.examples(root);
    shadowed(&mut file);
    file
}

/// Of two tests with one name the runner sees the last.
fn shadowed(file: &mut File) {
    let names: Vec<_> = file.tests.iter().map(|t| t.full.clone()).collect();
    for (at, test) in file.tests.iter_mut().enumerate() {
        if names[at + 1..].contains(&test.full) && test.dead.is_none() {
            test.dead = Some("another of the same name stands below it".to_owned());
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    file: &'a mut File,
    collects: bool,
    module_skipped: bool,
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}

fn says_skip(text: &str) -> bool {
    let conditional = text.contains("skipif") || text.contains("skipIf") || text.contains("skipUnless");
    let of_the_machine =
        ["platform", "os.name", "version", "environ", "which"].iter().any(|w| text.contains(w));
    if conditional && of_the_machine {
        return false;
    }
    text.contains("skip") || text.contains("xfail") || text.contains("expectedFailure")
}

impl<'a> Reader<'a> {
    fn said(&self, node: Node<'_>) -> &'a str {
        &self.text[node.byte_range()]
    }

    fn tokens(&self, node: Node<'_>) -> Tokens {
        tokens(node, self.text)
    }

    fn field(&self, node: Node<'_>, name: &str) -> &'a str {
        node.child_by_field_name(name).map(|n| self.said(n)).unwrap_or_default()
    }

    /// What stands at the top of a file, or of a class.
    fn top(&mut self, node: Node<'_>, class: Option<&Class>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match node.kind() {
            "decorated_definition" => {
                let marks: Vec<_> = children(node)
                    .into_iter()
                    .filter(|n| n.kind() == "decorator")
                    .map(|n| self.said(n))
                    .collect();
                let Some(inner) = node.child_by_field_name("definition") else { return };
                self.definition(inner, &marks, class, Some(node), depth);
            }
            "function_definition" | "class_definition" => self.definition(node, &[], class, None, depth),
            "import_statement" | "import_from_statement" => self.import(node, true),
            "if_statement" => {
                let condition =
                    node.child_by_field_name("condition").map(|n| self.tokens(n)).unwrap_or_default();
                let before = self.file.tests.len();
                if let Some(block) = node.child_by_field_name("consequence") {
                    children(block).into_iter().for_each(|n| self.top(n, class, depth + 1));
                }
                if is_false(&condition) || joined(&condition).contains("__name__") {
                    for test in &mut self.file.tests[before..] {
                        test.dead = Some("it stands below a condition that does not hold".to_owned());
                    }
                }
                for other in children(node).into_iter().filter(|n| n.kind().ends_with("_clause")) {
                    for block in children(other).into_iter().filter(|n| n.kind() == "block") {
                        children(block).into_iter().for_each(|n| self.top(n, class, depth + 1));
                    }
                }
            }
            "try_statement" | "with_statement" | "block" | "except_clause" | "finally_clause"
            | "else_clause" => {
                children(node).into_iter().for_each(|n| self.top(n, class, depth + 1));
            }
            "expression_statement" => children(node).into_iter().for_each(|n| self.top(n, class, depth + 1)),
            "assignment" => {
                let name = self.field(node, "left");
                let Some(right) = node.child_by_field_name("right") else { return };
                let value = self.tokens(right);
                self.file.define(name, &value);
                if let Some(rows) = self.rows(right) {
                    self.file.tables.insert(name.to_owned(), rows);
                }
                self.file.lets.insert(name.to_owned(), value);
                self.file.offers.insert(name.to_owned());
            }
            _ => {}
        }
    }

    fn definition(
        &mut self,
        node: Node<'_>,
        marks: &[&str],
        class: Option<&Class>,
        decorated: Option<Node<'_>>,
        depth: usize,
    ) {
        let name = self.field(node, "name").to_owned();
        let all = self.tokens(decorated.unwrap_or(node));
        if node.kind() == "class_definition" {
            self.file.define(&name, &all);
            if class.is_none() {
                self.file.offers.insert(name.clone());
                self.file.callables.insert(name.clone());
            }
            let bases = node.child_by_field_name("superclasses").map(|n| self.tokens(n)).unwrap_or_default();
            let body = node.child_by_field_name("body");
            let skipped = marks.iter().any(|m| says_skip(m))
                || body.is_some_and(|b| {
                    children(b).iter().any(|n| {
                        let said = self.said(*n);
                        said.starts_with("__test__") && said.contains("False")
                            || said.starts_with("pytestmark") && says_skip(said)
                    })
                });
            let names: Vec<_> = bases.iter().filter(|t| is_name(t) && *t != "object").cloned().collect();
            self.file.define(&format!("class {name}"), &names);
            let inner = Class { name, bases: names, skipped };
            if let Some(body) = body {
                children(body).into_iter().for_each(|n| self.top(n, Some(&inner), depth + 1));
            }
            return;
        }
        let function = self.function(node, depth);
        self.file.define(&name, &all);
        if class.is_none() {
            self.file.offers.insert(name.clone());
            self.file.callables.insert(name.clone());
        }
        // What a fixture or setUp gives a name to.
        for inner in syntax::nodes(node).filter(|n| n.kind() == "assignment") {
            let left = self.field(inner, "left");
            let is_shared = left.starts_with("self.") || left.starts_with("cls.");
            if let (true, Some(right)) = (is_shared, inner.child_by_field_name("right")) {
                let short = left.rsplit('.').next().unwrap_or(left);
                let value = self.tokens(right);
                self.file.define(short, &value);
            }
        }
        let fixture = marks.iter().any(|m| m.contains("fixture"));
        if self.collects && name.starts_with("test") && !fixture {
            let module = self.file.path.trim_end_matches(".py").replace('/', ".");
            let full = match class {
                Some(class) => format!("{module}.{}.{name}", class.name),
                None => format!("{module}.{name}"),
            };
            let skipped = self.module_skipped
                || class.is_some_and(|c| c.skipped)
                || marks.iter().any(|m| says_skip(m))
                || self.skips_itself(node);
            let dead =
                class.filter(|c| c.bases.is_empty() && !is_plain_tests(&c.name)).map(|c| no_tests(&c.name));
            let table = self.table(decorated);
            let marks = marks.iter().filter(|m| !says_skip(m)).map(|m| (*m).to_owned()).collect();
            self.file.tests.push(Found { name, full, function, table, marks, skipped, dead });
        } else {
            // It can be a test's helper.
            self.file.functions.push(function);
        }
    }

    /// `@pytest.mark.parametrize("a, b", [...])`
    fn table(&self, decorated: Option<Node<'_>>) -> Option<(Vec<String>, Over)> {
        let mark = children(decorated?)
            .into_iter()
            .find(|n| n.kind() == "decorator" && self.said(*n).contains("parametrize"))?;
        let call = syntax::nodes(mark).find(|n| n.kind() == "call")?;
        let given = children(call.child_by_field_name("arguments")?);
        let names = self.said(*given.first()?);
        let names = names.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|n| !n.is_empty());
        Some((names.map(str::to_owned).collect(), self.over(*given.get(1)?)))
    }

    fn skips_itself(&self, node: Node<'_>) -> bool {
        let Some(body) = node.child_by_field_name("body") else { return false };
        children(body).iter().any(|n| {
            let said = self.said(*n);
            said.starts_with("self.skipTest(")
                || said.starts_with("pytest.skip(")
                || said.starts_with("pytest.xfail(")
                || said.starts_with("raise unittest.SkipTest")
                || said.starts_with("raise SkipTest")
        })
    }
}
