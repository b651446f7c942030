//! The import that a file lacks, where there is one right answer: a module that comes with the language and that the file uses
//! by its own name, or, once an error names what is not known, a file of the project that defines it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use edvac_memory::store::path::is_test;
use regex::Regex;
use tree_sitter::{Language, Node};

use super::fault::Source;
use super::offered::import_line;
use super::syntax;

/// Modules of Python that are used by their own name.
const PYTHON: [&str; 26] = [
    "argparse",
    "collections",
    "contextlib",
    "copy",
    "csv",
    "datetime",
    "functools",
    "glob",
    "io",
    "itertools",
    "json",
    "math",
    "os",
    "pathlib",
    "random",
    "re",
    "shutil",
    "sqlite3",
    "string",
    "subprocess",
    "sys",
    "tempfile",
    "textwrap",
    "time",
    "unittest",
    "uuid",
];
/// What tests and programs of Node.js use by one name, and how it is imported.
const JAVASCRIPT: [(&str, &str); 11] = [
    ("after", "import { after } from \"node:test\";"),
    ("afterEach", "import { afterEach } from \"node:test\";"),
    ("assert", "import assert from \"node:assert/strict\";"),
    ("before", "import { before } from \"node:test\";"),
    ("beforeEach", "import { beforeEach } from \"node:test\";"),
    ("describe", "import { describe } from \"node:test\";"),
    ("fs", "import fs from \"node:fs\";"),
    ("it", "import { it } from \"node:test\";"),
    ("os", "import os from \"node:os\";"),
    ("path", "import path from \"node:path\";"),
    ("test", "import test from \"node:test\";"),
];
/// What tests of vitest use by one name.
const VITEST: [&str; 10] =
    ["afterAll", "afterEach", "beforeAll", "beforeEach", "describe", "expect", "it", "suite", "test", "vi"];
/// Most lines that are offered.
const OFFERS_MAX: usize = 4;

/// The lines that would define the name that an error in `file` says is unknown; none where nobody is known to define it.
pub(super) fn offers(said: &str, file: &Source<'_>, sources: &BTreeMap<&str, Source<'_>>) -> Vec<String> {
    static UNKNOWN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^\s*(?:NameError: name '|ReferenceError: )(\w+)'? is not defined").ok()
    });
    let Some(name) = UNKNOWN.as_ref().and_then(|r| r.captures(said)).and_then(|m| m.get(1)) else {
        return Vec::new();
    };
    let name = name.as_str();
    let others = || sources.values().filter(|s| s.path != file.path && !is_test(s.path) && defines(s, name));
    let mut lines: Vec<String> = match extension(file.path) {
        "py" => others()
            .filter_map(|s| {
                Some(format!("from {} import {name}", s.path.strip_suffix(".py")?.replace('/', ".")))
            })
            .collect(),
        "mjs" | "js" => others().filter_map(|s| import_line(s.path, file.path, &[name])).collect(),
        _ => Vec::new(),
    };
    if lines.is_empty() {
        lines.extend(of_language(file.path, file.text, name));
    }
    lines.truncate(OFFERS_MAX);
    lines
}

fn of_language(path: &str, text: &str, name: &str) -> Option<String> {
    // A file of the one runner's tests is not one of the other's.
    let is_vitests = ["\"vitest\"", "'vitest'"].iter().any(|module| text.contains(module));
    match extension(path) {
        "mjs" | "js" if is_vitests && VITEST.contains(&name) => {
            Some(format!("import {{ {name} }} from \"vitest\";"))
        }
        "py" => PYTHON.contains(&name).then(|| format!("import {name}")),
        "mjs" | "js" => {
            JAVASCRIPT.iter().find(|(known, _)| *known == name).map(|(_, line)| (*line).to_owned())
        }
        _ => None,
    }
}

/// The text with the imports of those modules that it only uses and never binds: `os.path.join(...)` where nothing is called
/// `os`. None where none is missing, or where the text does not parse. A script of Node.js that imports nothing, or asks with
/// `require`, stays as it is: an import would make it a module.
pub(super) fn with_modules(path: &str, text: &str, language: &Language) -> Option<String> {
    let tree = syntax::tree(text, language).ok()?;
    let root = tree.root_node();
    let mut cursor = root.walk();
    let top: Vec<Node<'_>> = root.children(&mut cursor).collect();
    let is_import = |node: &&Node<'_>| node.kind().starts_with("import");
    let import = top.iter().find(is_import);
    let module =
        extension(path) != "js" || top.iter().any(|n| is_import(&n) || n.kind() == "export_statement");
    if root.has_error() || !module {
        return None;
    }
    let mut used: BTreeMap<&str, bool> = BTreeMap::new();
    for name in syntax::nodes(root).filter(|n| n.kind().contains("identifier") && !is_member(*n)) {
        *used.entry(&text[name.byte_range()]).or_insert(true) &= is_use(name);
    }
    let lines: String = used
        .iter()
        .filter(|(_, only_used)| **only_used)
        .filter_map(|(name, _)| of_language(path, text, name))
        .map(|line| line + "\n")
        .collect();
    // Before the imports that there are; or before the first statement, behind what describes the file.
    let first = || top.iter().find(|n| !is_preamble(**n));
    let at = import.or_else(first)?.start_byte();
    (!lines.is_empty()).then(|| [&text[..at], &lines, &text[at..]].concat())
}

/// The name behind a dot, which is of no concern to imports.
pub(super) fn is_member(node: Node<'_>) -> bool {
    node.kind() == "property_identifier"
        || node.parent().is_some_and(|p| {
            p.kind() == "attribute" && p.child_by_field_name("attribute").is_some_and(|a| a == node)
        })
}

/// Whether a name stands before a dot or is called.
fn is_use(node: Node<'_>) -> bool {
    node.parent().is_some_and(|p| {
        let field = match p.kind() {
            "attribute" | "member_expression" => "object",
            "call_expression" => "function",
            _ => return false,
        };
        p.child_by_field_name(field).is_some_and(|used| used == node)
    })
}

fn is_preamble(node: Node<'_>) -> bool {
    let text = |node: Node<'_>| {
        node.kind() == "expression_statement" && node.child(0).is_some_and(|n| n.kind() == "string")
    };
    matches!(node.kind(), "comment" | "hash_bang_line" | "future_import_statement") || text(node)
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether a file defines a name at its top, and, in JavaScript, lets others have it.
fn defines(source: &Source<'_>, name: &str) -> bool {
    let root = source.tree.root_node();
    let mut cursor = root.walk();
    root.children(&mut cursor).any(|node| match node.kind() {
        "export_statement" => {
            node.child_by_field_name("declaration").is_some_and(|d| is_named(d, source, name))
        }
        "decorated_definition" => {
            node.child_by_field_name("definition").is_some_and(|d| is_named(d, source, name))
        }
        "expression_statement" => node.child(0).is_some_and(|n| {
            n.kind() == "assignment"
                && n.child_by_field_name("left").is_some_and(|left| text(left, source) == name)
        }),
        "function_definition" | "class_definition" => is_named(node, source, name),
        _ => false,
    })
}

fn is_named(node: Node<'_>, source: &Source<'_>, name: &str) -> bool {
    let mut cursor = node.walk();
    let variables = node.children(&mut cursor).filter(|n| n.kind() == "variable_declarator");
    let mut nodes = std::iter::once(node).chain(variables);
    nodes.any(|n| n.child_by_field_name("name").is_some_and(|n| text(n, source) == name))
}

fn text<'a>(node: Node<'_>, source: &Source<'a>) -> &'a str {
    &source.text[node.byte_range()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(path: &str, text: &str) -> Option<String> {
        with_modules(path, text, &syntax::language_of(path).unwrap())
    }

    #[test]
    fn a_module_that_is_used_and_not_bound_is_imported() {
        let text = "\"\"\"What it is.\"\"\"\nfrom todo import Todo\n\ndef f(json):\n    return json.x, os.path.join(sys.argv[1], self.re.y)\n";
        let better = "\"\"\"What it is.\"\"\"\nimport os\nimport sys\nfrom todo import Todo\n";
        let got = with("a.py", text).unwrap();
        assert!(got.starts_with(better) && got.ends_with(&text[text.find("\ndef").unwrap()..]), "{got}");
        assert_eq!(with("a.py", &got), None, "nothing is missing any more");
        assert_eq!(with("a.py", "def f(:\n    os.x()\n"), None, "it does not parse");
        assert_eq!(with("a.py", "import os.path\nos.getcwd()\n"), None);
        assert_eq!(with("a.py", "# only\nx = os\n"), None, "it may be anything");
        assert_eq!(with("a.py", "# head\nos.getcwd()\n").unwrap(), "# head\nimport os\nos.getcwd()\n");
        let future = "from __future__ import annotations\nos.getcwd()\n";
        assert_eq!(
            with("a.py", future).unwrap(),
            "from __future__ import annotations\nimport os\nos.getcwd()\n"
        );
    }

    #[test]
    fn modules_of_node_are_imported_by_modules_only() {
        let test = "import { f } from \"./f.mjs\";\ndescribe(\"f\", () => { it(\"works\", () => assert.equal(f(), 1)); });\n";
        let lines = "import assert from \"node:assert/strict\";\nimport { describe } from \"node:test\";\nimport { it } from \"node:test\";\n";
        assert_eq!(with("f.test.js", test).unwrap(), format!("{lines}{test}"));
        let vitest = "import { expect } from \"vitest\";\nit(\"x\", () => expect(1).toBe(1));\n";
        let line = "import { it } from \"vitest\";\n";
        assert_eq!(with("f.test.js", vitest).unwrap(), format!("{line}{vitest}"));
        assert_eq!(with("f.js", "const f = require(\"f\");\nassert(f);\n"), None);
        assert_eq!(with("f.mjs", "const { path } = f;\nexport const a = path.x;\n"), None, "it is bound");
        assert_eq!(with("f.mjs", "export const a = process.argv;\n"), None, "Node.js has it everywhere");
        assert_eq!(with("f.mjs", "export const a = f.path(1), t = /x/.test(\"x\");\n"), None);
    }
}
