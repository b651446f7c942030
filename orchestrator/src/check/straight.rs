//! What small models write wrong again and again, also when they are shown the error, and what has one right answer, which is
//! given here: a module of the language that is used and not imported; in JavaScript the types of a plan behind the names, a
//! name exported twice or defined beside its import, a constant that is assigned, a module from which nothing can be imported,
//! imports of packages that are not used and not there, `require` in a module, and two cases of a `switch` that declare the same
//! name; in Python, escapes and quotes within an f-string that only its newest versions take; in both, variables that hide the
//! function whose result they hold, and texts of the task that lack a sign or are printed to the wrong stream.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use edvac_agents::roles::planner::ToldText;
use edvac_memory::store::path::is_test;
use regex::Regex;
use tree_sitter::{Language, Node};

use super::syntax::{language_of, nodes, tree};
use super::{imports, shadow, told};

/// Modules that Node.js brings under a name without `node:`.
const BROUGHT: [&str; 16] = [
    "assert",
    "buffer",
    "child_process",
    "crypto",
    "events",
    "fs",
    "http",
    "https",
    "os",
    "path",
    "process",
    "readline",
    "stream",
    "test",
    "url",
    "util",
];

/// The text of a file with such faults put right, and what was done; none where there is nothing to do. Texts that the task wants
/// printed are put as it has them, but for tests.
pub fn straightened(path: &str, text: &str, texts: &[ToldText]) -> Option<(String, Vec<&'static str>)> {
    let language = language_of(path)?;
    let (mut text, mut done) = (text.to_owned(), Vec::new());
    let is_known = matches!(path.rsplit_once('.'), Some((_, "py" | "mjs" | "js")));
    if is_known && !is_test(path) && !texts.is_empty() {
        text = as_told(text, &language, texts, &mut done);
    }
    if language == tree_sitter_javascript::LANGUAGE.into() {
        text = as_node_takes_it(path, text, &language, &mut done);
    } else if language == tree_sitter_python::LANGUAGE.into() {
        text = as_python_takes_it(text, &language, &mut done);
    }
    if is_test(path)
        && let Some(plain) = without_last_line_end(&text)
    {
        text = plain;
        done.push("the end of the last line, which is not compared, left out");
    }
    if let Some(with) = imports::with_modules(path, &text, &language) {
        text = with;
        done.push("a missing import of the language's own modules added");
    }
    (!done.is_empty()).then_some((text, done))
}

/// Of tests whose `run` or `run_program` leaves the end of the last line out of what is printed, the texts to compare with without it.
fn without_last_line_end(text: &str) -> Option<String> {
    static COMPARED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?m)^(\s+(?:self\.assertEqual\(self\.(?:run_program|typed)|assert\.(?:equal|deepEqual)\((?:run|typed))\(.*\), (?:"[^"\r\n]+?|'[^'\r\n]+?))(?:\\n)+(["']\);?)$"#).ok()
    });
    if !text.contains("without the end of the last line") {
        return None;
    }
    let plain = COMPARED.as_ref()?.replace_all(text, "$1$2");
    (plain != text).then(|| plain.into_owned())
}

fn as_told(
    mut text: String,
    language: &Language,
    texts: &[ToldText],
    done: &mut Vec<&'static str>,
) -> String {
    for (what, places) in [
        ("a name in braces made its value", told::filled_in as fn(&str, Node<'_>, &[ToldText]) -> Places),
        ("a text put as the task has it", told::as_written),
        ("an error printed to standard error", told::to_errors),
    ] {
        let Ok(tree) = tree(&text, language) else { return text };
        let root = tree.root_node();
        let places = if root.has_error() { Vec::new() } else { places(&text, root, texts) };
        if !places.is_empty() {
            text = with_places(text, &places);
            done.push(what);
        }
    }
    text
}

/// A text with other words in some places, which are in the order of the text.
fn with_places(mut text: String, places: &[(Range<usize>, String)]) -> String {
    for (place, words) in places.iter().rev() {
        text.replace_range(place.clone(), words);
    }
    text
}

fn as_python_takes_it(mut text: String, python: &Language, done: &mut Vec<&'static str>) -> String {
    for (what, places) in [
        ("an f-string written as older versions take it", in_f_strings as fn(&str, Node<'_>) -> Places),
        (HIDDEN, shadow::in_python),
    ] {
        let Ok(tree) = tree(&text, python) else { return text };
        let places = if tree.root_node().has_error() { Vec::new() } else { places(&text, tree.root_node()) };
        if !places.is_empty() {
            text = with_places(text, &places);
            done.push(what);
        }
    }
    text
}

/// Within the braces of an f-string: a line's end or a tab as what makes it, and strings in the other quotes. Before Python 3.12
/// neither a backslash nor the string's own quotes may stand there.
fn in_f_strings(text: &str, root: Node<'_>) -> Places {
    let mut places = Vec::new();
    for interpolation in nodes(root).filter(|node| node.kind() == "interpolation") {
        let outer = interpolation.parent().map_or("", |string| &text[string.byte_range()]);
        let outer = outer.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        // What stands within two f-strings is the inner one's.
        let is_own = |string: &Node<'_>| shadow::around(*string, &["interpolation"]) == Some(interpolation);
        for string in nodes(interpolation).filter(|node| node.kind() == "string" && is_own(node)) {
            let own = &text[string.byte_range()];
            let inner = own.get(1..own.len().saturating_sub(1)).unwrap_or_default();
            let is_outers = outer.starts_with(['"', '\'']) && own.starts_with(&outer[..1]);
            let made = match inner {
                "\\n" => "chr(10)".to_owned(),
                "\\t" => "chr(9)".to_owned(),
                plain if is_outers && !plain.contains(['"', '\'', '\\', '{']) => {
                    let quote = if own.starts_with('"') { '\'' } else { '"' };
                    format!("{quote}{plain}{quote}")
                }
                _ => continue,
            };
            places.push((string.byte_range(), made));
        }
    }
    places.sort_by_key(|(place, _): &(Range<usize>, String)| place.start);
    places
}

fn as_node_takes_it(
    path: &str,
    mut text: String,
    javascript: &Language,
    done: &mut Vec<&'static str>,
) -> String {
    if let Some(plain) = without_types(&text, javascript) {
        text = plain;
        done.push("types removed");
    }
    for (what, ranges) in [
        (
            "an unused import of a package that is not there removed",
            unused_packages as fn(&str, Node<'_>) -> Ranges,
        ),
        ("a second export of a name removed", second_exports),
        ("a second definition of what is imported removed", defined_again),
    ] {
        let Ok(tree) = tree(&text, javascript) else { return text };
        let ranges = if tree.root_node().has_error() { Vec::new() } else { ranges(&text, tree.root_node()) };
        if !ranges.is_empty() {
            text = without(&text, ranges.into_iter());
            done.push(what);
        }
    }
    if path.ends_with(".mjs")
        && let Ok(tree) = tree(&text, javascript)
    {
        let places = of_scripts(&text, tree.root_node());
        for (place, own) in places.iter().rev() {
            text.replace_range(place.clone(), own);
        }
        if !places.is_empty() {
            done.push("a name that only scripts have replaced by the module's own");
        }
    }
    if let Ok(tree) = tree(&text, javascript) {
        let places = of_no_script(&text, tree.root_node());
        for at in places.iter().rev() {
            text.insert_str(*at, " ?? \"\"");
        }
        if !places.is_empty() {
            done.push("the question whether a module is run answered where nothing is run, too");
        }
    }
    if path.ends_with(".mjs")
        && !is_test(path)
        && let Ok(tree) = tree(&text, javascript)
        && let Some(places) = nothing_exported(tree.root_node())
    {
        for at in places.into_iter().rev() {
            text.insert_str(at, "export ");
        }
        done.push("what a module defines exported");
    }
    for (what, places) in [
        ("cases that declare the same name made blocks", cases_as_blocks as fn(&str, Node<'_>) -> Places),
        (HIDDEN, shadow::in_javascript),
        ("`require` made in a module", require_made),
    ] {
        let Ok(tree) = tree(&text, javascript) else { return text };
        let root = tree.root_node();
        let is_script = what.starts_with('`') && !path.ends_with(".mjs");
        let places = if root.has_error() || is_script { Vec::new() } else { places(&text, root) };
        if !places.is_empty() {
            text = with_places(text, &places);
            done.push(what);
        }
    }
    if let Ok(tree) = tree(&text, javascript) {
        let consts = assigned_constants(&text, tree.root_node());
        for const_word in consts.iter().rev() {
            text.replace_range(const_word.clone(), "let");
        }
        if !consts.is_empty() {
            done.push("a constant that is assigned made a variable");
        }
    }
    text
}

/// What Node.js calls the file and its directory in a module, in the place of the names that only scripts have.
fn of_scripts(text: &str, root: Node<'_>) -> Vec<(Range<usize>, &'static str)> {
    const OWN: [(&str, &str); 2] =
        [("__dirname", "import.meta.dirname"), ("__filename", "import.meta.filename")];
    let names: Vec<_> = nodes(root).filter(|node| node.kind() == "identifier").collect();
    let is_bound = |name: &str| {
        let is_it = |node: &&Node<'_>| {
            &text[node.byte_range()] == name
                && node.parent().is_some_and(|p| p.kind() == "variable_declarator")
        };
        names.iter().any(|node| {
            is_it(&node) && node.parent().and_then(|p| p.child_by_field_name("name")) == Some(*node)
        })
    };
    let own = |node: &Node<'_>| {
        let (name, own) = OWN.into_iter().find(|(name, _)| *name == &text[node.byte_range()])?;
        (!is_bound(name)).then(|| (node.byte_range(), own))
    };
    if root.has_error() { Vec::new() } else { names.iter().filter_map(own).collect() }
}

/// Where a module asks for the URL of the script that is run, and crashes where it is imported and none is: behind the script's path.
fn of_no_script(text: &str, root: Node<'_>) -> Vec<usize> {
    let asks = |node: &Node<'_>| {
        let of = |field| node.child_by_field_name(field).map(|part| &text[part.byte_range()]);
        node.kind() == "call_expression"
            && of("function").is_some_and(|name| name.rsplit('.').next() == Some("pathToFileURL"))
            && of("arguments") == Some("(process.argv[1])")
    };
    if root.has_error() {
        return Vec::new();
    }
    nodes(root).filter(asks).map(|call| call.end_byte() - 1).collect()
}

/// Where a module that does nothing but define functions and classes, and exports none of them, defines them: as it is, nobody
/// can use it.
fn nothing_exported(root: Node<'_>) -> Option<Vec<usize>> {
    let mut cursor = root.walk();
    let mut places = Vec::new();
    for node in root.children(&mut cursor) {
        match node.kind() {
            "function_declaration" | "generator_function_declaration" | "class_declaration" => {
                places.push(node.start_byte());
            }
            "comment" | "import_statement" | "lexical_declaration" | "empty_statement" => {}
            _ => return None,
        }
    }
    (!root.has_error() && !places.is_empty()).then_some(places)
}

type Ranges = Vec<Range<usize>>;
/// Places in the order of the text, with what is to stand there.
type Places = Vec<(Range<usize>, String)>;
/// What is said where a variable got another name.
const HIDDEN: &str = "a variable that hides the function it is made by given another name";

/// The cases of each `switch` in which two declare the same name, as blocks.
fn cases_as_blocks(text: &str, root: Node<'_>) -> Places {
    let mut places = Vec::new();
    for switch in nodes(root).filter(|node| node.kind() == "switch_body") {
        let mut cursor = switch.walk();
        let cases: Vec<_> = switch.named_children(&mut cursor).collect();
        let declared = |case: &Node<'_>| -> Vec<&str> {
            let mut cursor = case.walk();
            let own = case.children(&mut cursor).filter(|n| n.kind() == "lexical_declaration");
            let names = own.filter_map(|n| n.named_child(0)?.child_by_field_name("name"));
            names.map(|name| &text[name.byte_range()]).collect()
        };
        let all: Vec<_> = cases.iter().flat_map(declared).collect();
        let once: BTreeSet<_> = all.iter().collect();
        if once.len() == all.len() {
            continue;
        }
        for case in cases.iter().filter(|case| !declared(case).is_empty()) {
            let mut cursor = case.walk();
            let Some(colon) = case.children(&mut cursor).find(|n| n.kind() == ":") else { continue };
            let line = text[..case.start_byte()].rfind('\n').map_or(0, |at| at + 1);
            let indent: String = text[line..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
            places.push((colon.end_byte()..colon.end_byte(), " {".to_owned()));
            places.push((case.end_byte()..case.end_byte(), format!("\n{indent}}}")));
        }
    }
    places.sort_by_key(|(place, _)| place.start);
    places
}

/// Where a module asks with `require` that nobody made: the lines that make it.
fn require_made(text: &str, root: Node<'_>) -> Places {
    const LINES: &str =
        "import { createRequire } from \"node:module\";\nconst require = createRequire(import.meta.url);\n";
    let names = || nodes(root).filter(|n| n.kind() == "identifier" && &text[n.byte_range()] == "require");
    let is_called = |node: Node<'_>| node.parent().is_some_and(|p| p.kind() == "call_expression");
    if names().next().is_none() || !names().all(is_called) {
        return Vec::new();
    }
    let mut cursor = root.walk();
    let first = root.children(&mut cursor).find(|n| !matches!(n.kind(), "comment" | "hash_bang_line"));
    first.map(|first| (first.start_byte()..first.start_byte(), LINES.to_owned())).into_iter().collect()
}

/// A text without some parts of it. What lies in a part that is left out is left out with it.
fn without(text: &str, parts: impl Iterator<Item = Range<usize>>) -> String {
    let mut parts: Ranges = parts.collect();
    parts.sort_by_key(|part| part.start);
    let mut rest = String::with_capacity(text.len());
    let mut end = 0;
    for part in parts {
        if part.start >= end {
            rest.push_str(&text[end..part.start]);
            end = part.end;
        }
    }
    rest.push_str(&text[end..]);
    rest
}

/// Where the text is TypeScript but not JavaScript, what is left without its types.
fn without_types(text: &str, javascript: &Language) -> Option<String> {
    if !tree(text, javascript).ok()?.root_node().has_error() {
        return None;
    }
    let typed = tree(text, &tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()).ok()?;
    if typed.root_node().has_error() {
        return None;
    }
    let plain = without(text, nodes(typed.root_node()).filter_map(of_types));
    (!tree(&plain, javascript).ok()?.root_node().has_error()).then_some(plain)
}

/// Imports of packages, none of whose names is used.
fn unused_packages(text: &str, root: Node<'_>) -> Ranges {
    let of_package = |node: &Node<'_>| {
        let source =
            node.child_by_field_name("source").map(|s| text[s.byte_range()].trim_matches(['"', '\'', '`']));
        source.is_some_and(|s| !s.starts_with(['.', '/']) && !s.contains(':') && !BROUGHT.contains(&s))
    };
    nodes(root)
        .filter(|node| node.kind() == "import_statement" && of_package(node))
        .filter(|import| {
            let own = import.byte_range();
            let names: BTreeSet<_> = identifiers(text, *import).collect();
            let used = |node: Node<'_>| {
                !own.contains(&node.start_byte()) && names.contains(&text[node.byte_range()])
            };
            !nodes(root).filter(|n| n.kind().contains("identifier")).any(used)
        })
        .map(|import| import.byte_range())
        .collect()
}

/// Names of `export { ... }` that were exported where they are defined.
fn second_exports(text: &str, root: Node<'_>) -> Ranges {
    let exports = || nodes(root).filter(|node| node.kind() == "export_statement");
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for declaration in exports().filter_map(|e| e.child_by_field_name("declaration")) {
        let mut cursor = declaration.walk();
        let variables = declaration.children(&mut cursor).filter(|n| n.kind() == "variable_declarator");
        let names =
            std::iter::once(declaration).chain(variables).filter_map(|n| n.child_by_field_name("name"));
        known.extend(names.map(|name| &text[name.byte_range()]));
    }
    let mut ranges = Vec::new();
    for export in exports().filter(|e| e.child_by_field_name("source").is_none()) {
        let of: Vec<_> = nodes(export).filter(|n| n.kind() == "export_specifier").collect();
        let again = |n: &&Node<'_>| known.contains(&text[n.byte_range()]);
        if !of.is_empty() && of.iter().all(|n| again(&n)) {
            ranges.push(export.byte_range());
            continue;
        }
        for name in of.iter().filter(again) {
            // With the comma behind it; a comma before the closing brace is allowed.
            let comma = name.next_sibling().filter(|n| n.kind() == ",");
            ranges.push(name.start_byte()..comma.map_or(name.end_byte(), |c| c.end_byte()));
        }
    }
    ranges
}

/// Definitions, on the file's own level, of names that it imports from another file of the project: Node takes no such file.
fn defined_again(text: &str, root: Node<'_>) -> Ranges {
    let source_of = |import: &Node<'_>| import.child_by_field_name("source").map(|s| &text[s.byte_range()]);
    let imported: BTreeSet<&str> = nodes(root)
        .filter(|node| node.kind() == "import_statement")
        .filter(|import| source_of(import).is_some_and(|s| s.trim_matches(['"', '\'']).starts_with('.')))
        .flat_map(|import| nodes(import).filter(|node| node.kind() == "import_specifier").collect::<Vec<_>>())
        .filter_map(|name| name.child_by_field_name("alias").or_else(|| name.child_by_field_name("name")))
        .map(|name| &text[name.byte_range()])
        .collect();
    let mut cursor = root.walk();
    let tops = root.children(&mut cursor);
    tops.filter(|top| {
        let own = top.child_by_field_name("declaration").unwrap_or(*top);
        let is_kind = matches!(own.kind(), "function_declaration" | "class_declaration");
        let name = own.child_by_field_name("name").map(|name| &text[name.byte_range()]);
        is_kind && name.is_some_and(|name| imported.contains(name))
    })
    .map(|top| {
        let comment = top.prev_sibling().filter(|before| before.kind() == "comment");
        comment.map_or(top.start_byte(), |comment| comment.start_byte())..top.end_byte()
    })
    .collect()
}

/// The word `const` of variables that something assigns within the block that declares them, in the order of the file.
fn assigned_constants(text: &str, root: Node<'_>) -> Ranges {
    if root.has_error() {
        return Vec::new();
    }
    let assigned = |block: Node<'_>, name: &str| {
        nodes(block).any(|node| {
            let target = match node.kind() {
                "assignment_expression" | "augmented_assignment_expression" => {
                    node.child_by_field_name("left")
                }
                "update_expression" => node.child_by_field_name("argument"),
                _ => None,
            };
            target.is_some_and(|t| t.kind() == "identifier" && &text[t.byte_range()] == name)
        })
    };
    // Another variable of the name further in is another one; whoever has two of a name is left alone.
    let declared = |block: Node<'_>, name: &str| {
        let declares = |node: &Node<'_>| {
            let is_one = node.kind() == "variable_declarator" || node.kind() == "formal_parameters";
            is_one && identifiers(text, *node).next().is_some_and(|first| first == name)
        };
        nodes(block).filter(declares).count()
    };
    nodes(root)
        .filter(|node| node.kind() == "lexical_declaration" && text[node.byte_range()].starts_with("const"))
        .filter(|declaration| {
            let Some(block) = declaration.parent() else { return false };
            let mut cursor = declaration.walk();
            let names = declaration.children(&mut cursor).filter_map(|n| n.child_by_field_name("name"));
            let names: Vec<_> = names.filter(|n| n.kind() == "identifier").collect();
            names.iter().map(|n| &text[n.byte_range()]).any(|n| assigned(block, n) && declared(block, n) == 1)
        })
        .map(|declaration| declaration.start_byte()..declaration.start_byte() + "const".len())
        .collect()
}

fn identifiers<'a>(text: &'a str, node: Node<'a>) -> impl Iterator<Item = &'a str> {
    nodes(node).filter(|n| n.kind() == "identifier").map(|n| &text[n.byte_range()])
}

/// The bytes of a node that only TypeScript has.
fn of_types(node: Node<'_>) -> Option<Range<usize>> {
    let behind_first = |node: Node<'_>| Some(node.child(0)?.end_byte()..node.end_byte());
    match node.kind() {
        "type_annotation"
        | "type_parameters"
        | "type_arguments"
        | "interface_declaration"
        | "type_alias_declaration"
        | "accessibility_modifier" => Some(node.byte_range()),
        // `x as number`, `x satisfies T`, `x!`
        "as_expression" | "satisfies_expression" | "non_null_expression" => behind_first(node),
        "?" if node.parent().is_some_and(|p| p.kind() == "optional_parameter") => Some(node.byte_range()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    fn straightened(path: &str, text: &str) -> Option<(String, Vec<&'static str>)> {
        super::straightened(path, text, &[])
    }

    #[test]
    fn types_are_left_out_and_nothing_else() {
        let typed = "interface Span { hours: number }\nexport function seconds(text: string, unit?: string): number {\n  const parts: Map<string, number> = new Map<string, number>();\n  return (parts.get(text) as number) + parts.size!;\n}\nconst note = \"a: string\";\n";
        let plain = "\nexport function seconds(text, unit) {\n  const parts = new Map();\n  return (parts.get(text)) + parts.size;\n}\nconst note = \"a: string\";\n";
        assert_eq!(straightened("a.mjs", typed), Some((plain.to_owned(), vec!["types removed"])));
        assert_eq!(straightened("a.mjs", plain), None, "it is JavaScript already");
        assert_eq!(straightened("a.ts", typed), None, "it is TypeScript and may be");
        assert_eq!(straightened("a.mjs", "function f(x: number { return 1; }\n"), None);
    }

    #[test]
    fn packages_that_are_not_used_go() {
        let file = |import: &str| format!("{import}\nimport fs from \"fs\";\nexport const a = format(1);\n");
        let (text, _) =
            straightened("a.mjs", &file("import { parse, add as plus } from \"date-fns\";")).unwrap();
        assert_eq!(text, file(""));
        assert_eq!(straightened("a.mjs", &file("import { format } from \"date-fns\";")), None, "it is used");
        assert_eq!(straightened("a.mjs", &file("import { other } from \"./other.mjs\";")), None);
    }

    #[test]
    fn a_module_has_its_own_name_for_where_it_is() {
        let text = "import path from \"node:path\";\nexport const file = path.join(__dirname, \"a.json\");\n";
        let (got, done) = straightened("a.mjs", text).unwrap();
        assert_eq!(got, text.replace("__dirname", "import.meta.dirname"));
        assert_eq!(done, ["a name that only scripts have replaced by the module's own"]);
        let own = "import path from \"node:path\";\nconst __dirname = path.dirname(\"x\");\nexport const a = __dirname;\n";
        assert_eq!(straightened("a.mjs", own), None);
        assert_eq!(straightened("a.js", text), None);
    }

    #[test]
    fn a_module_that_asks_whether_it_is_run_can_be_imported() {
        let text = "import { pathToFileURL } from \"node:url\";\nif (import.meta.url === pathToFileURL(process.argv[1]).href) main();\n";
        let (got, done) = straightened("a.mjs", text).unwrap();
        assert_eq!(got, text.replace("argv[1])", "argv[1] ?? \"\")"));
        assert_eq!(done, ["the question whether a module is run answered where nothing is run, too"]);
        assert_eq!(straightened("a.mjs", &got), None);
    }

    #[test]
    fn a_module_is_there_to_be_imported() {
        let text =
            "import fs from \"node:fs\";\n\n/** Reads. */\nfunction a() {}\nconst b = 1;\nclass C {}\n";
        let with = text.replace("function a", "export function a").replace("class C", "export class C");
        assert_eq!(straightened("a.mjs", text), Some((with.clone(), vec!["what a module defines exported"])));
        assert_eq!(straightened("a.mjs", &with), None);
        for does in ["a();\n", "export { a };\n", "if (b) a();\n"] {
            assert_eq!(straightened("a.mjs", &format!("{text}{does}")), None, "{does}");
        }
        assert_eq!(straightened("a.test.mjs", text), None);
        assert_eq!(straightened("a.js", text), None, "a page may use it as it is");
    }

    #[test]
    fn a_name_is_exported_once() {
        let straight = |end: &str| {
            let text = format!("export function a() {{}}\nexport const b = 1;\nfunction c() {{}}\n{end}");
            straightened("a.mjs", &text).map(|(text, _)| text.lines().nth(3).unwrap_or_default().to_owned())
        };
        assert_eq!(straight("export { a, b };\n").as_deref(), Some(""));
        assert_eq!(straight("export { a, c, b };\n").as_deref(), Some("export {  c,  };"));
        assert_eq!(straight("export { c };\n"), None);
        assert_eq!(straight("export { c as a2, a as a3 };\n"), None);
    }

    #[test]
    fn what_is_imported_is_not_defined_again() {
        let file = |middle: &str| {
            format!("import {{ a, b as c }} from \"./a.mjs\";\n\n{middle}export function d() {{}}\n")
        };
        let again = file("/** It. */\nexport function a(x) {\n  return a(x);\n}\nclass c {}\n");
        let (text, done) = straightened("b.mjs", &again).unwrap();
        assert_eq!(text, file("\n\n"));
        assert_eq!(done, ["a second definition of what is imported removed"]);
        assert_eq!(straightened("b.mjs", &file("function b() {}\n")), None, "its name here is another one");
        assert_eq!(
            straightened("b.mjs", "import { test } from \"node:test\";\nexport function test() {}\n"),
            None
        );
    }

    fn straight(path: &str, text: &str) -> String {
        straightened(path, text).map_or(String::new(), |(text, _)| text)
    }

    #[test]
    fn a_variable_does_not_hide_the_function_it_is_made_by() {
        let text = "def words(text):\n    return text.split()\n\ndef top(text, n=1):\n    words = words(text)\n    for list in words:\n        n += len(list)\n    return sorted(words, key=lambda w: words.count(w)), dict(words=words), x.words\n";
        let better = text
            .replace("words = words(text)", "words_ = words(text)")
            .replace("in words:", "in words_:")
            .replace("sorted(words,", "sorted(words_,")
            .replace("words.count", "words_.count")
            .replace("dict(words=words)", "dict(words=words_)");
        assert_eq!(straight("a.py", text), better);
        assert_eq!(straight("a.py", &better), "");
        let builtin = "def f(a):\n    max = max(a)\n    return max\n";
        assert_eq!(straight("a.py", builtin), "def f(a):\n    max_ = max(a)\n    return max_\n");
        for fine in [
            "def f(words):\n    words = words()\n    return words\n",
            "def g(): pass\n\ndef f():\n    global g\n    g = g()\n",
            "def g(): pass\n\ndef f():\n    g = 1\n    return g\n",
            "def f():\n    h = 1\n    return h()\n",
        ] {
            assert_eq!(straight("a.py", fine), "", "{fine}");
        }
        let script = "export function words(a) {}\nexport function top(a) {\n  const words = words(a).sort();\n  return { words, n: words.length, x: a.words };\n}\n";
        let better = script
            .replace("const words =", "const words_ =")
            .replace("{ words,", "{ words: words_,")
            .replace("n: words.length", "n: words_.length");
        assert_eq!(straight("a.mjs", script), better);
        assert_eq!(straight("a.mjs", "export function f(g) {\n  const a = g();\n  return a;\n}\n"), "");
    }

    #[test]
    fn f_strings_as_older_versions_take_them() {
        let text = "print(f\"{text.count('\\n')} {rows[\"a\"]} \\n {'x'}\")\n";
        assert_eq!(straight("a.py", text), "print(f\"{text.count(chr(10))} {rows['a']} \\n {'x'}\")\n");
        assert_eq!(straight("a.py", "print(f'{a}\\n', 'b\\n')\n"), "");
        let nested = "print(f\"{f'{b.count(\"\\n\")}'} {\"y\"}\")\n";
        assert_eq!(straight("a.py", nested), "print(f\"{f'{b.count(chr(10))}'} {'y'}\")\n");
    }

    #[test]
    fn the_end_of_the_last_line_is_not_compared() {
        let head = "// What it prints, without the end of the last line.\n";
        let line = "  assert.equal(run(\"list\"), \"a\\nb\\n\");\n  assert.equal(run(\"list\"), \"\\n\");\n";
        let text = format!("{head}import assert from \"node:assert\";\n{line}");
        assert_eq!(straight("a.test.mjs", &text), text.replace("b\\n", "b"));
        assert_eq!(straight("a.test.mjs", &text.replace(head, "")), "");
        let python =
            format!("{head}        self.assertEqual(self.run_program('x'), 'y\\n')\n").replace("//", "#");
        assert_eq!(straight("test_a.py", &python), python.replace("y\\n", "y"));
    }

    #[test]
    fn two_cases_may_declare_the_same_name() {
        let text = "switch (a) {\n  case 1:\n    const x = 1;\n    break;\n  case 2:\n    const x = 2;\n    f(x);\n    break;\n  default:\n    f();\n}\n";
        let better = text
            .replace("case 1:", "case 1: {")
            .replace("= 1;\n    break;", "= 1;\n    break;\n  }")
            .replace("case 2:", "case 2: {")
            .replace("f(x);\n    break;", "f(x);\n    break;\n  }");
        assert_eq!(straight("a.js", text), better);
        assert_eq!(straight("a.js", &better), "");
        assert_eq!(straight("a.js", &text.replace("x = 2", "y = 2")), "");
    }

    #[test]
    fn a_module_makes_its_require() {
        let text = "// A tool.\nconst fs = require('fs');\nexport const a = fs;\n";
        let made = straight("a.mjs", text);
        assert!(
            made.starts_with("// A tool.\nimport { createRequire }") && made.ends_with(&text[11..]),
            "{made}"
        );
        assert_eq!(straight("a.mjs", &made), "");
        assert_eq!(straight("a.js", text), "");
        assert_eq!(straight("a.mjs", "export function f(require) {\n  return require('x');\n}\n"), "");
    }

    #[test]
    fn what_is_assigned_is_no_constant() {
        let file = |word: &str| {
            format!(
                "export function f(all) {{\n  {word} open = all;\n  const n = 1;\n  if (n) {{\n    open = [];\n  }}\n  return open;\n}}\n"
            )
        };
        let (text, done) = straightened("b.mjs", &file("const")).unwrap();
        assert_eq!((text, done), (file("let"), vec!["a constant that is assigned made a variable"]));
        let two = "const a = 1;\nexport function f() {\n  let a = 2;\n  a = 3;\n}\n";
        assert_eq!(straightened("b.mjs", two), None, "the other one is assigned");
        assert_eq!(straightened("b.mjs", "const a = {};\na.b = 1;\n"), None);
    }
}
