//! Python: `unittest` and plain functions with `assert`, as pytest has them.

use tree_sitter::Node;

use super::body::{Asked, File, Found, Function, Import, Kind, Lost, Over, Row, Step};
use super::tokens::{Tokens, arguments, is_fixed, is_name, joined, tokens};
use crate::check::syntax;

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
            "import_statement" | "import_from_statement" => self.import(node),
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
                class.filter(|c| c.bases.is_empty()).map(|c| format!("its class {} is no TestCase", c.name));
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

    fn import(&mut self, node: Node<'_>) {
        let mut import = Import { module: self.field(node, "module_name").to_owned(), ..Import::default() };
        let from = !import.module.is_empty();
        let mut cursor = node.walk();
        let names: Vec<_> = node.children_by_field_name("name", &mut cursor).collect();
        import.everything = children(node).iter().any(|n| n.kind() == "wildcard_import");
        for name in names {
            let (what, alias) = if name.kind() == "aliased_import" {
                (self.field(name, "name"), self.field(name, "alias"))
            } else {
                (self.said(name), self.said(name))
            };
            // What a package brings in, it hands on.
            let own = alias.split('.').next().unwrap_or(alias);
            self.file.offers.insert(own.to_owned());
            if from {
                import.names.push((what.to_owned(), alias.to_owned()));
            } else {
                let alias = alias.split('.').next().unwrap_or(alias);
                let (module, alias) = (what.to_owned(), Some(alias.to_owned()));
                self.file.imports.push(Import { module, alias, ..Import::default() });
            }
        }
        if from {
            self.file.imports.push(import);
        }
    }

    fn function(&mut self, node: Node<'_>, depth: usize) -> Function {
        let parameters = node.child_by_field_name("parameters").map(children).unwrap_or_default();
        let name_of = |n: &Node<'_>| {
            let said = self.said(*n);
            said.split([':', '=']).next().unwrap_or(said).trim_matches(['*', ' ']).to_owned()
        };
        let parameters: Vec<_> =
            parameters.iter().map(name_of).filter(|n| !matches!(n.as_str(), "self" | "cls")).collect();
        let body = node.child_by_field_name("body");
        let tokens = body.map(|n| self.tokens(n)).unwrap_or_default();
        let steps = body.map(|n| self.block(n, depth + 1)).unwrap_or_default();
        let is_async = self.said(node).starts_with("async");
        Function { name: self.field(node, "name").to_owned(), parameters, steps, tokens, is_async }
    }

    fn block(&mut self, node: Node<'_>, depth: usize) -> Vec<Step> {
        let mut out = Vec::new();
        if depth > DEPTH_MAX {
            return out;
        }
        let all = children(node);
        for (at, node) in all.iter().enumerate() {
            self.step(*node, &mut out, depth + 1);
            if matches!(
                node.kind(),
                "return_statement" | "raise_statement" | "continue_statement" | "break_statement"
            ) {
                let mut rest = Vec::new();
                all[at + 1..].iter().for_each(|n| self.step(*n, &mut rest, depth + 1));
                out.push(Step::Lost(Lost::Dead, rest));
                break;
            }
        }
        out
    }

    fn step(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match node.kind() {
            "assert_statement" => {
                if let Some(first) = children(node).first() {
                    let of = vec![self.tokens(*first)];
                    out.push(Step::Assert(Asked { kind: Kind::Holds, of }));
                    self.calls(*first, out);
                }
            }
            "if_statement" => {
                let condition =
                    node.child_by_field_name("condition").map(|n| self.tokens(n)).unwrap_or_default();
                let mut then = node
                    .child_by_field_name("consequence")
                    .map(|n| self.block(n, depth + 1))
                    .unwrap_or_default();
                fill(&mut then, &condition);
                if is_false(&condition) {
                    out.push(Step::Lost(Lost::Dead, then));
                } else {
                    out.extend(then);
                }
                for clause in children(node).into_iter().filter(|n| n.kind().ends_with("_clause")) {
                    for inner in children(clause).into_iter().filter(|n| n.kind() == "block") {
                        let mut other = self.block(inner, depth + 1);
                        fill(&mut other, &condition);
                        if is_true(&condition) {
                            out.push(Step::Lost(Lost::Dead, other));
                        } else {
                            out.extend(other);
                        }
                    }
                }
            }
            "while_statement" => {
                let condition =
                    node.child_by_field_name("condition").map(|n| self.tokens(n)).unwrap_or_default();
                let body =
                    node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
                out.push(if is_false(&condition) { Step::Lost(Lost::Dead, body) } else { once(body) });
            }
            "for_statement" => {
                let names = node.child_by_field_name("left").map(|n| self.tokens(n)).unwrap_or_default();
                let names = names.into_iter().filter(|t| is_name(t)).collect();
                let over = node.child_by_field_name("right").map_or(Over::Unknown, |n| self.over(n));
                let steps =
                    node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
                out.push(Step::Each { names, over, steps });
            }
            "try_statement" => self.attempt(node, out, depth),
            "with_statement" => self.with(node, out, depth),
            "function_definition" => {
                let inner = self.function(node, depth + 1);
                self.file.functions.push(inner);
            }
            "decorated_definition" | "class_definition" => {}
            "raise_statement" => {
                if self.said(node).contains("AssertionError") {
                    out.push(Step::Assert(Asked { kind: Kind::Fails, of: vec![] }));
                }
            }
            "assignment" => {
                if let Some(right) = node.child_by_field_name("right") {
                    self.calls(right, out);
                    let name = self.field(node, "left");
                    let name = name.strip_prefix("self.").unwrap_or(name);
                    if let Some(rows) = self.rows(right) {
                        out.push(Step::Table(name.to_owned(), rows));
                    }
                    out.push(Step::Let(name.to_owned(), self.tokens(right)));
                }
            }
            "block" => out.extend(self.block(node, depth + 1)),
            "match_statement" | "case_clause" => {
                children(node).into_iter().for_each(|n| self.step(n, out, depth + 1));
            }
            "expression_statement" => {
                for inner in children(node) {
                    match inner.kind() {
                        "assignment" => self.step(inner, out, depth + 1),
                        _ => self.calls(inner, out),
                    }
                }
            }
            _ => self.calls(node, out),
        }
    }

    fn attempt(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        let body = node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
        let (mut swallows, mut throws) = (false, None);
        let mut rest = Vec::new();
        for clause in children(node) {
            let Some(block) = children(clause).into_iter().rfind(|n| n.kind() == "block") else { continue };
            let inside = self.block(block, depth + 1);
            if clause.kind() == "except_clause" {
                let head = &self.text[clause.start_byte()..block.start_byte()];
                let broad = !head.trim_start_matches("except").contains(char::is_alphabetic)
                    || ["AssertionError", "Exception", "BaseException"]
                        .iter()
                        .any(|w| head.split(|c: char| !c.is_alphanumeric()).any(|word| word == *w));
                let handled = self.said(block);
                let fails = handled.contains("raise")
                    || handled.contains("fail(")
                    || !inside.is_empty() && asserts(&inside);
                swallows |= broad && !fails;
                throws = throws
                    .or_else(|| Some(head.trim_start_matches("except").trim_matches([' ', ':']).to_owned()));
            }
            rest.extend(inside);
        }
        let fails = body
            .iter()
            .chain(&rest)
            .any(|s| matches!(s, Step::Assert(a) if a.kind == Kind::Fails && a.of.is_empty()));
        if swallows {
            out.push(Step::Lost(Lost::Swallowed, body));
        } else if let (true, Some(what)) = (fails, throws) {
            // The long way to say that something is thrown.
            let kept = body.into_iter().filter(|s| !matches!(s, Step::Assert(a) if a.kind == Kind::Fails));
            rest.retain(|s| !matches!(s, Step::Assert(a) if a.kind == Kind::Fails));
            out.extend(kept);
            out.push(Step::Assert(Asked { kind: Kind::Throws, of: vec![vec![what]] }));
        } else {
            out.extend(body);
        }
        out.extend(rest);
    }

    fn with(&mut self, node: Node<'_>, out: &mut Vec<Step>, depth: usize) {
        let mut swallows = false;
        for item in syntax::nodes(node).filter(|n| n.kind() == "with_item") {
            if item.parent().and_then(|p| p.parent()) != Some(node) {
                continue;
            }
            let said = self.said(item);
            swallows |= said.contains("suppress(")
                && (said.contains("AssertionError") || said.contains("Exception)"));
            self.calls(item, out);
        }
        let body = node.child_by_field_name("body").map(|n| self.block(n, depth + 1)).unwrap_or_default();
        if swallows {
            out.push(Step::Lost(Lost::Swallowed, body));
        } else {
            out.extend(body);
        }
    }

    /// Every call in an expression: assertions and what may be a helper.
    fn calls(&mut self, node: Node<'_>, out: &mut Vec<Step>) {
        for call in syntax::nodes(node).filter(|n| n.kind() == "call") {
            let function = self.field(call, "function");
            let name = function.rsplit('.').next().unwrap_or(function);
            let Some(list) = call.child_by_field_name("arguments") else { continue };
            let all = self.tokens(list);
            let inner = all.get(1..all.len().saturating_sub(1)).unwrap_or_default();
            let mut given = arguments(inner);
            let is_word =
                |t: &Tokens, w: &str| t.first().is_some_and(|f| f == w) && t.get(1).is_some_and(|e| e == "=");
            let loose = given.iter().any(|t| {
                ["delta", "abs", "rel"].iter().any(|w| is_word(t, w))
                    && t.get(2).is_some_and(|v| v.parse::<f64>().is_ok_and(|v| v >= 1.0))
            });
            given.retain(|t| !is_word(t, "msg") && !is_word(t, "message"));
            if name.starts_with("assert_called")
                || name.starts_with("assert_any")
                || name.starts_with("assert_has")
            {
                let whom = call.child_by_field_name("function").map(|n| self.tokens(n)).unwrap_or_default();
                out.push(Step::Assert(Asked { kind: Kind::Equal, of: vec![whom, inner.to_vec()] }));
            } else if let Some((kind, arity)) = assertion(function, name) {
                given.truncate(arity);
                let kind = if loose { Kind::Like } else { kind };
                let of = if kind == Kind::Fails { vec![] } else { given };
                out.push(Step::Assert(Asked { kind, of }));
            } else {
                let waits = call.parent().is_none_or(|p| p.kind() != "expression_statement");
                out.push(Step::Call { name: name.to_owned(), given, awaited: waits });
            }
        }
    }

    fn over(&self, node: Node<'_>) -> Over {
        match self.rows(node) {
            Some(rows) => Over::Rows(rows),
            None if matches!(node.kind(), "identifier" | "attribute") => {
                let name = self.said(node);
                Over::Named(name.rsplit('.').next().unwrap_or(name).to_owned())
            }
            None => {
                let inner =
                    node.child_by_field_name("arguments").or_else(|| node.child_by_field_name("function"));
                let table = inner.map(children).unwrap_or_default();
                let named =
                    table.iter().find(|n| matches!(n.kind(), "list" | "tuple" | "dictionary" | "identifier"));
                match named {
                    Some(n) if n.kind() == "identifier" => Over::Named(self.said(*n).to_owned()),
                    Some(n) => self.rows(*n).map_or(Over::Unknown, Over::Rows),
                    None => Over::Unknown,
                }
            }
        }
    }

    fn rows(&self, node: Node<'_>) -> Option<Vec<Row>> {
        if !matches!(node.kind(), "list" | "tuple" | "set" | "dictionary") {
            return None;
        }
        let row = |n: Node<'_>| match n.kind() {
            "tuple" | "list" => children(n).into_iter().map(|n| self.tokens(n)).collect(),
            "pair" => children(n).into_iter().map(|n| self.tokens(n)).collect(),
            // `pytest.param(1, 2, id="x")`
            "call" if self.said(n).starts_with("pytest.param") => {
                let list = n.child_by_field_name("arguments").map(children).unwrap_or_default();
                list.into_iter().filter(|n| n.kind() != "keyword_argument").map(|n| self.tokens(n)).collect()
            }
            _ => vec![self.tokens(n)],
        };
        Some(children(node).into_iter().filter(|n| n.kind() != "comment").map(row).collect())
    }
}

struct Class {
    name: String,
    bases: Vec<String>,
    skipped: bool,
}

fn once(steps: Vec<Step>) -> Step {
    Step::Each { names: Vec::new(), over: Over::Unknown, steps }
}

fn asserts(steps: &[Step]) -> bool {
    steps.iter().any(|s| matches!(s, Step::Assert(_)))
}

/// A failure in a branch asks what the branch asks.
pub(super) fn fill(steps: &mut [Step], condition: &Tokens) {
    for step in steps {
        if let Step::Assert(Asked { kind: Kind::Fails, of }) = step
            && of.is_empty()
        {
            of.push(condition.clone());
        }
    }
}

fn is_false(condition: &Tokens) -> bool {
    let said = joined(super::tokens::bare(condition));
    matches!(said.as_str(), "False" | "0" | "None" | "not True" | "\"\"" | "[]" | "()" | "TYPE_CHECKING")
        || is_fixed(condition) && matches!(said.as_str(), "1==2" | "1==0" | "0==1" | "1>2" | "not 1")
        || said.starts_with("False and ")
}

fn is_true(condition: &Tokens) -> bool {
    matches!(joined(super::tokens::bare(condition)).as_str(), "True" | "1" | "not False")
}

fn assertion(function: &str, name: &str) -> Option<(Kind, usize)> {
    Some(match name {
        "assertTrue" => (Kind::Holds, 1),
        "assertFalse" => (Kind::HoldsNot, 1),
        "assertIsNone" => (Kind::Same, 1),
        "assertIsNotNone" => (Kind::Holds, 1),
        "assertIs" => (Kind::Same, 2),
        "assertIsNot" | "assertNotEqual" | "assertNotEquals" | "assertNotAlmostEqual" => (Kind::Differs, 2),
        "assertIn" | "assertNotIn" => (Kind::Contains, 2),
        "assertGreater" | "assertLess" | "assertGreaterEqual" | "assertLessEqual" => (Kind::Compares, 2),
        "assertIsInstance" | "assertNotIsInstance" | "assertRegex" | "assertNotRegex" => (Kind::Like, 2),
        "assertRaises" | "assertRaisesRegex" | "assertWarns" | "assertWarnsRegex" => (Kind::Throws, 2),
        "assertLogs" | "assertNoLogs" => (Kind::Like, 2),
        "raises" | "warns" if function.starts_with("pytest") || function == name => (Kind::Throws, 1),
        "fail" if function.starts_with("self.") || function.starts_with("pytest.") => (Kind::Fails, 0),
        n if n.starts_with("assert")
            && (n.contains("Equal") || n.contains("equal") || n.contains("allclose")) =>
        {
            (Kind::Equal, 2)
        }
        _ => return None,
    })
}

/// A class without a base of its own that is a `TestCase` is not looked into by the runner, wherever its bases are.
pub(super) fn inherit(files: &mut [File]) {
    let mut bases: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for (name, tokens) in files.iter().flat_map(|f| &f.defines) {
        if let Some(name) = name.strip_prefix("class ") {
            bases.entry(name.to_owned()).or_default().extend(tokens.iter().cloned());
        }
    }
    let plain = |name: &str| {
        let mut name = name.to_owned();
        for _ in 0..DEPTH_MAX {
            match bases.get(&name).map(Vec::as_slice) {
                // A class that is not known can be anything.
                None => return false,
                Some([]) => return true,
                Some(more) => match more.iter().find(|b| bases.contains_key(*b)) {
                    Some(next) if more.iter().all(|b| bases.contains_key(b)) => name.clone_from(next),
                    _ => return false,
                },
            }
        }
        false
    };
    let handed_on: std::collections::BTreeSet<&String> = bases.values().flatten().collect();
    for test in files.iter_mut().flat_map(|f| &mut f.tests) {
        let class = test.full.rsplit('.').nth(1).unwrap_or_default().to_owned();
        let of_class = test.dead.as_ref().is_none_or(|d| d.starts_with("its class"));
        if of_class && handed_on.contains(&class) {
            // Its tests run in the classes that are made from it.
            test.dead = None;
        } else if test.dead.is_none() && bases.contains_key(&class) && plain(&class) {
            test.dead = Some(format!("its class {class} is no TestCase"));
        }
    }
}
