//! The import that a file lacks, where the error names what is not known and there is one right answer: a file of the project
//! that defines it, or a module that comes with the language.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use tree_sitter::Node;

use super::fault::{Source, is_test};

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
/// What tests and programs of Node.js use by one name, and where it is from.
const JAVASCRIPT: [(&str, &str); 6] = [
    ("assert", "node:assert/strict"),
    ("fs", "node:fs"),
    ("os", "node:os"),
    ("path", "node:path"),
    ("process", "node:process"),
    ("test", "node:test"),
];
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
        // Where the files lie side by side, the way from one to the other is known.
        "mjs" | "js" => others()
            .filter(|s| matches!(extension(s.path), "mjs" | "js") && folder(s.path) == folder(file.path))
            .map(|s| {
                format!("import {{ {name} }} from \"./{}\";", s.path.rsplit('/').next().unwrap_or(s.path))
            })
            .collect(),
        _ => Vec::new(),
    };
    if lines.is_empty() {
        lines.extend(of_language(file.path, name));
    }
    lines.truncate(OFFERS_MAX);
    lines
}

fn of_language(path: &str, name: &str) -> Option<String> {
    match extension(path) {
        "py" => PYTHON.contains(&name).then(|| format!("import {name}")),
        "mjs" | "js" => {
            let (_, from) = JAVASCRIPT.iter().find(|(known, _)| *known == name)?;
            Some(format!("import {name} from \"{from}\";"))
        }
        _ => None,
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
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
