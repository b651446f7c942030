//! What a file of Python or JavaScript lets others import, and the line by which they do.

use edvac_memory::store::path::is_test;
use tree_sitter::Node;

use super::syntax;

/// Names that are imported from one file; of more, a reader picks.
const NAMES_MAX: usize = 12;
/// Methods of a class that are named.
const METHODS_MAX: usize = 12;

/// A function or a class that others can import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its name.
    pub name: String,
    /// How it is called, with the names of what it takes; of a class, its methods too.
    pub calls: Vec<String>,
}

/// What a file offers at its top; nothing where it does not parse, is a test, or is in another language.
pub fn offered(path: &str, text: &str) -> Vec<Offered> {
    let is_python = path.ends_with(".py");
    let known = is_python || path.ends_with(".mjs") || path.ends_with(".js");
    let tree = syntax::language_of(path).filter(|_| known && !is_test(path));
    let Some(tree) = tree.and_then(|language| syntax::tree(text, &language).ok()) else { return Vec::new() };
    let root = tree.root_node();
    if root.has_error() {
        return Vec::new();
    }
    // `export { a, b };`, under the names that they have here.
    let is_listed =
        |node: &Node<'_>| node.kind() == "export_specifier" && node.child_by_field_name("alias").is_none();
    let listed: Vec<_> = syntax::nodes(root)
        .filter(is_listed)
        .filter_map(|node| Some(&text[node.child_by_field_name("name")?.byte_range()]))
        .collect();
    let mut cursor = root.walk();
    let tops = root.children(&mut cursor).filter_map(|top| match top.kind() {
        "decorated_definition" => Some((top.child_by_field_name("definition")?, true)),
        "export_statement" => Some((top.child_by_field_name("declaration")?, true)),
        _ => Some((top, is_python)),
    });
    let is_meant = |one: &Offered| one.name != "main" && !one.name.starts_with('_');
    let offered = tops.filter_map(|(top, is_exported)| {
        of(text, top).filter(|one| is_exported || listed.contains(&one.name.as_str()))
    });
    offered.filter(is_meant).take(NAMES_MAX).collect()
}

fn of(text: &str, node: Node<'_>) -> Option<Offered> {
    let said = |node: Node<'_>, field: &str| Some(&text[node.child_by_field_name(field)?.byte_range()]);
    let (named, taker) = match node.kind() {
        // `export const f = (x) => …`
        "lexical_declaration" => {
            let declarator = node.named_child(0)?;
            (declarator, declarator.child_by_field_name("value").unwrap_or(declarator))
        }
        _ => (node, node),
    };
    let name = said(named, "name")?.to_owned();
    let parameters = |node: Node<'_>| said(node, "parameters").map(one_line);
    let calls = match node.kind() {
        "function_definition" | "function_declaration" | "generator_function_declaration" => {
            vec![format!("{name}{}", parameters(node)?)]
        }
        "lexical_declaration" => vec![format!("{name}{}", parameters(taker).unwrap_or_default())],
        "class_definition" | "class_declaration" => of_class(text, node, &name),
        _ => return None,
    };
    Some(Offered { name, calls })
}

fn of_class(text: &str, class: Node<'_>, name: &str) -> Vec<String> {
    let Some(body) = class.child_by_field_name("body") else { return vec![name.to_owned()] };
    let mut cursor = body.walk();
    let methods = body.children(&mut cursor).filter_map(|node| {
        let node = node.child_by_field_name("definition").unwrap_or(node);
        let method = &text[node.child_by_field_name("name")?.byte_range()];
        let taken = one_line(&text[node.child_by_field_name("parameters")?.byte_range()]);
        let taken = taken.replacen("(self, ", "(", 1).replacen("(self)", "()", 1);
        Some((method, taken))
    });
    let (mut made, mut calls) = (String::from("()"), Vec::new());
    for (method, taken) in methods {
        match method {
            "__init__" | "constructor" => made = taken,
            hidden if hidden.starts_with(['_', '#']) => {}
            method => calls.push(format!("{name}.{method}{taken}")),
        }
    }
    calls.truncate(METHODS_MAX);
    calls.insert(0, format!("{name}{made}"));
    calls
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The line by which the file at `to` imports some names from the one at `from`; none where the way from one to the other is not
/// known.
pub fn import_line(from: &str, to: &str, names: &[&str]) -> Option<String> {
    let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    if names.is_empty() || folder(from) != folder(to) {
        return None;
    }
    let file = from.rsplit('/').next().unwrap_or(from);
    match (from.rsplit_once('.')?.1, to.rsplit_once('.')?.1) {
        ("py", "py") => Some(format!("from {} import {}", file.strip_suffix(".py")?, names.join(", "))),
        ("mjs" | "js", "mjs" | "js") => Some(format!("import {{ {} }} from \"./{file}\";", names.join(", "))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(path: &str, text: &str) -> Vec<String> {
        offered(path, text).into_iter().flat_map(|one| one.calls).collect()
    }

    #[test]
    fn what_others_can_import() {
        let python = "import os\n\nLIMIT = 3\n\n@cache\ndef total(rows,\n          month=None):\n    pass\n\ndef _own(): pass\ndef main(): pass\n\nclass Store:\n    def __init__(self, path): pass\n    @property\n    def all(self): pass\n    def get(self, key): pass\n    def _x(self): pass\n";
        assert_eq!(
            calls("a.py", python),
            ["total(rows, month=None)", "Store(path)", "Store.all()", "Store.get(key)"]
        );
        let javascript = "import fs from 'fs';\nfunction own() {}\nexport function nextId(tasks) {}\nexport const add = (a, b = 1) => a;\nexport const LIMIT = 1;\nexport class Store { constructor(path) {} get(key) {} #x() {} }\n";
        assert_eq!(
            calls("a.mjs", javascript),
            ["nextId(tasks)", "add(a, b = 1)", "LIMIT", "Store(path)", "Store.get(key)"]
        );
        let listed = "function a(x) {}\nconst b = () => 1;\nfunction c() {}\nexport { a, b, c as d };\n";
        assert_eq!(calls("a.mjs", listed), ["a(x)", "b()"]);
        assert!(calls("test_a.py", "def x(): pass\n").is_empty());
        assert!(calls("a.py", "def x(:\n").is_empty() && calls("a.rs", "fn x() {}\n").is_empty());
    }

    #[test]
    fn the_way_from_one_file_to_another() {
        let two = ["x", "y"];
        assert_eq!(import_line("lib/a.py", "lib/b.py", &two).unwrap(), "from a import x, y");
        assert_eq!(import_line("a.mjs", "b.mjs", &two).unwrap(), "import { x, y } from \"./a.mjs\";");
        assert_eq!(import_line("lib/a.py", "b.py", &two), None, "it depends on where it is run");
        assert_eq!(import_line("a.py", "b.mjs", &two), None);
        assert_eq!(import_line("a.py", "b.py", &[]), None);
    }
}
