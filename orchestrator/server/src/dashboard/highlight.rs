//! Colours for code: the parsers that check files say what each piece of them is.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use tree_sitter_highlight::{Highlight, HighlightConfiguration, Highlighter, HtmlRenderer};

use super::desk::lock;

/// Bytes of a file that is coloured; longer ones are shown plainly.
const BYTES_MAX: usize = 256 << 10;
/// What pieces are told apart; each has a class in `app.css`.
const NAMES: [&str; 12] = [
    "attribute",
    "comment",
    "constant",
    "function",
    "keyword",
    "number",
    "operator",
    "property",
    "string",
    "tag",
    "type",
    "variable.builtin",
];

/// Languages by the endings of their files, made when they are first needed.
static LANGUAGES: LazyLock<Mutex<HashMap<&'static str, &'static HighlightConfiguration>>> =
    LazyLock::new(Mutex::default);

/// Each line of a file as HTML, its text escaped; none where the language is not known or the file is large.
pub(super) fn lines(path: &str, text: &str) -> Option<Vec<String>> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let language = language(path)?;
    let mut highlighter = Highlighter::new();
    let events = highlighter.highlight(language, text.as_bytes(), None, None, |_| None).ok()?;
    let mut renderer = HtmlRenderer::new();
    let class = |highlight: Highlight, out: &mut Vec<u8>| {
        let name = NAMES.get(highlight.0).map_or("", |name| name.split('.').next().unwrap_or_default());
        out.extend_from_slice(format!("class=\"hl-{name}\"").as_bytes());
    };
    renderer.render(events, text.as_bytes(), &class).ok()?;
    Some(renderer.lines().map(|line| line.trim_end_matches('\n').to_owned()).collect())
}

fn language(path: &str) -> Option<&'static HighlightConfiguration> {
    let name = match path.rsplit('.').next()? {
        "py" => "python",
        "js" | "mjs" | "cjs" => "javascript",
        "ts" | "mts" => "typescript",
        "rs" => "rust",
        "go" => "go",
        "json" => "json",
        "css" => "css",
        "html" | "htm" => "html",
        "toml" => "toml",
        _ => return None,
    };
    let mut languages = lock(&LANGUAGES);
    if let Some(known) = languages.get(name) {
        return Some(known);
    }
    // One for each language, for as long as the process lives.
    let made: &'static HighlightConfiguration = Box::leak(Box::new(configured(name)?));
    languages.insert(name, made);
    Some(made)
}

fn configured(name: &str) -> Option<HighlightConfiguration> {
    let javascript = tree_sitter_javascript::HIGHLIGHT_QUERY;
    let typescript = format!("{}\n{javascript}", tree_sitter_typescript::HIGHLIGHTS_QUERY);
    let (language, query): (tree_sitter::Language, &str) = match name {
        "python" => (tree_sitter_python::LANGUAGE.into(), tree_sitter_python::HIGHLIGHTS_QUERY),
        "javascript" => (tree_sitter_javascript::LANGUAGE.into(), javascript),
        "typescript" => (tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(), &typescript),
        "rust" => (tree_sitter_rust::LANGUAGE.into(), tree_sitter_rust::HIGHLIGHTS_QUERY),
        "go" => (tree_sitter_go::LANGUAGE.into(), tree_sitter_go::HIGHLIGHTS_QUERY),
        "json" => (tree_sitter_json::LANGUAGE.into(), tree_sitter_json::HIGHLIGHTS_QUERY),
        "css" => (tree_sitter_css::LANGUAGE.into(), tree_sitter_css::HIGHLIGHTS_QUERY),
        "html" => (tree_sitter_html::LANGUAGE.into(), tree_sitter_html::HIGHLIGHTS_QUERY),
        "toml" => (tree_sitter_toml_ng::LANGUAGE.into(), tree_sitter_toml_ng::HIGHLIGHTS_QUERY),
        _ => return None,
    };
    let mut made = HighlightConfiguration::new(language, name, query, "", "").ok()?;
    made.configure(&NAMES);
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_colours() {
        for (path, text, class) in [
            ("a.py", "def f():\n    return 'x'\n", "keyword"),
            ("a.mjs", "const x = 1;\n", "keyword"),
            ("a.ts", "const x: number = 1;\n", "keyword"),
            ("a.rs", "fn main() {}\n", "keyword"),
            ("a.go", "package main\n", "keyword"),
            ("a.json", "{\"a\": 1}\n", "number"),
            ("a.css", "a { color: red; }\n", "property"),
            ("a.html", "<p>x</p>\n", "tag"),
            ("a.toml", "a = 1 # why\n", "comment"),
        ] {
            let lines = lines(path, text).unwrap_or_else(|| panic!("{path} is not known"));
            assert_eq!(lines.len(), text.lines().count(), "{path}");
            assert!(lines.concat().contains(&format!("hl-{class}")), "{path}: {lines:?}");
        }
        assert_eq!(lines("a.txt", "x"), None);
    }

    #[test]
    fn what_is_coloured_is_escaped() {
        for path in ["a.py", "a.mjs", "a.html", "a.json"] {
            let text = "x = '<script>alert(1)</script>' # <img src=x onerror=alert(1)>\n\"</span><script>\"";
            let html = lines(path, text).unwrap().concat();
            assert!(!html.contains("<script") && !html.contains("<img"), "{path}: {html}");
        }
    }
}
