//! Does a file parse in the language of its name? Grammars are tree-sitter's; JSON and TOML have parsers of their own.

use std::path::Path;

use tree_sitter::{Language, Node, Parser, Tree};

use super::Found;

/// Characters of a broken line that are shown.
const LINE_CHARS_MAX: usize = 120;
/// Names that hold plain text, for which there is nothing to parse.
const TEXT: [&str; 8] = ["txt", "csv", "cfg", "ini", "sh", "sql", "gitignore", "lock"];

/// Parses a file.
pub fn parses(path: &str, bytes: &[u8]) -> Found {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Found::failed(format!("{path} is not UTF-8 text"));
    };
    if text.trim().is_empty() {
        return Found::failed(format!("{path} is empty"));
    }
    let name = Path::new(path);
    let extension = name.extension().or(name.file_name()).and_then(|e| e.to_str()).unwrap_or_default();
    let extension = extension.trim_start_matches('.').to_ascii_lowercase();
    match extension.as_str() {
        "json" => judged(path, serde_json::from_str::<serde_json::Value>(text).err().map(|e| e.to_string())),
        "toml" => judged(path, text.parse::<toml::Table>().err().map(|e| e.message().to_owned())),
        // Every text is Markdown.
        "md" | "markdown" => Found::passed(),
        other if TEXT.contains(&other) || !path.contains('.') => Found::passed(),
        other => match language(other) {
            Some(language) => with_grammar(path, text, &language),
            None => Found::nothing(format!("there is no parser for .{other} files")),
        },
    }
}

fn judged(path: &str, error: Option<String>) -> Found {
    match error {
        None => Found::passed(),
        Some(error) => Found::failed(format!("{path} has a syntax error: {error}")),
    }
}

/// The grammar for a file's name.
pub(super) fn language_of(path: &str) -> Option<Language> {
    language(&Path::new(path).extension()?.to_str()?.to_ascii_lowercase())
}

fn language(extension: &str) -> Option<Language> {
    Some(match extension {
        "py" | "pyi" => tree_sitter_python::LANGUAGE.into(),
        "js" | "mjs" | "cjs" | "jsx" => tree_sitter_javascript::LANGUAGE.into(),
        "ts" | "mts" | "cts" => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
        "tsx" => tree_sitter_typescript::LANGUAGE_TSX.into(),
        "rs" => tree_sitter_rust::LANGUAGE.into(),
        "go" => tree_sitter_go::LANGUAGE.into(),
        "html" | "htm" => tree_sitter_html::LANGUAGE.into(),
        "css" => tree_sitter_css::LANGUAGE.into(),
        _ => return None,
    })
}

fn with_grammar(path: &str, text: &str, language: &Language) -> Found {
    let tree = match tree(text, language) {
        Ok(tree) => tree,
        Err(why) => return Found::nothing(why),
    };
    let root = tree.root_node();
    if !root.has_error() {
        return Found::passed();
    }
    let error = nodes(root).find(|node| node.is_error() || node.is_missing());
    let place = error.map_or(0, |node| node.start_position().row);
    let line: String = text.lines().nth(place).unwrap_or_default().chars().take(LINE_CHARS_MAX).collect();
    Found::failed(format!("{path} has a syntax error at line {}", place + 1)).with_detail(line)
}

/// The syntax tree of a text, or why there is none.
pub(super) fn tree(text: &str, language: &Language) -> Result<Tree, String> {
    let mut parser = Parser::new();
    parser.set_language(language).map_err(|error| format!("the grammar cannot be used: {error}"))?;
    parser.parse(text, None).ok_or_else(|| "the parser gave up".to_owned())
}

/// A node and all below it, in the order of the text; without recursion, since nesting is the file's choice.
pub(super) fn nodes(root: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let mut cursor = root.walk();
    let mut next = Some(root);
    std::iter::from_fn(move || {
        let node = next?;
        let mut more = cursor.goto_first_child() || cursor.goto_next_sibling();
        while !more && cursor.goto_parent() {
            more = cursor.goto_next_sibling();
        }
        next = more.then(|| cursor.node());
        Some(node)
    })
}

#[cfg(test)]
mod tests {
    use edvac_memory::verdict::Verdict;
    use proptest::prelude::*;

    use super::*;

    fn verdict(path: &str, text: &str) -> Verdict {
        parses(path, text.as_bytes()).verdict
    }

    #[test]
    fn what_is_right_parses() {
        for (path, text) in [
            ("a.py", "def f(x):\n    return x\n"),
            ("a.mjs", "export const f = (x) => x ?? 1;\n"),
            ("a.ts", "const f = (x: number): number => x;\n"),
            ("a.tsx", "const A = () => <p>hi</p>;\n"),
            ("src/lib.rs", "pub fn f(x: u8) -> u8 { x }\n"),
            ("a.go", "package a\n\nfunc F(x int) int { return x }\n"),
            ("a.html", "<!doctype html><html><body><p>hi</p></body></html>\n"),
            ("a.css", "p { color: red; }\n"),
            ("a.json", "{\"a\": [1, 2]}"),
            ("Cargo.toml", "[package]\nname = \"a\"\n"),
            ("README.md", "# Hi\n"),
            ("notes.txt", "anything {\n"),
            ("LICENSE", "anything {\n"),
        ] {
            assert_eq!(verdict(path, text), Verdict::Passed, "{path}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let failed = |path: &str, text: &str| match verdict(path, text) {
            Verdict::Failed { reason } => reason,
            other => panic!("{path}: {other:?}"),
        };
        assert!(failed("a.py", "x = 1\ndef f(:\n    return 1\n").contains("line 2"));
        assert!(failed("a.rs", "fn f() {\n    let x = ;\n}\n").contains("line 2"));
        assert!(failed("a.go", "package a\n\nfunc (\n").contains("syntax error"));
        assert!(failed("a.json", "{\"a\": }").contains("line 1"));
        assert!(failed("a.toml", "a = \n").contains("syntax error"));
        assert!(failed("a.js", "   \n").contains("is empty"));
        assert!(matches!(verdict("a.zig", "x"), Verdict::NoEvidence { .. }));
        assert!(matches!(parses("a.py", b"\xff\xfe").verdict, Verdict::Failed { .. }));
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            extension in prop::sample::select(vec!["py", "js", "ts", "rs", "go", "html", "css", "json", "toml", "md", "x"]),
        ) {
            parses(&format!("a.{extension}"), &bytes);
        }
    }
}
