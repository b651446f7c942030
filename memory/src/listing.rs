//! The file listing a worker sees: what is where, what is in it, and who touched it last, inside a token budget.

mod fold;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::context::TokenCounter;
use crate::ids::{InstructionId, TreeId};
use crate::index::FileStoreView;
use crate::store::StoreError;

/// Symbols shown for one file.
const SYMBOLS_MAX: usize = 12;
/// Characters of a file's purpose.
const PURPOSE_CHARS_MAX: usize = 80;
/// Files over this many bytes are listed without being read.
const OUTLINE_BYTES_MAX: u64 = 512 << 10;

/// Tokens that a file's line has at least: of more files than there is room for, none is read for its details.
const LINE_TOKENS_MIN: usize = 4;

/// What a line tells about a file, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lines {
    Names,
    Symbols,
    Purpose,
}

struct Entry {
    path: String,
    bytes: u64,
    /// None where the file was not looked into.
    lines: Option<usize>,
    symbols: Vec<String>,
    purpose: String,
    touched: Option<InstructionId>,
}

impl Entry {
    /// Looks into the file.
    fn read(&mut self, store: &dyn FileStoreView, tree: &TreeId) -> Result<(), StoreError> {
        let text = if self.bytes <= OUTLINE_BYTES_MAX {
            String::from_utf8(store.read(tree, &self.path)?).unwrap_or_default()
        } else {
            String::new()
        };
        self.symbols = symbols(&self.path, &text);
        self.purpose = purpose(&text);
        self.lines = Some(text.lines().count());
        Ok(())
    }

    fn line(&self, detail: Lines) -> String {
        let mut out = format!("{} (", self.path);
        if let Some(lines) = self.lines {
            let _ = write!(out, "{lines} lines, ");
        }
        let _ = write!(out, "{} bytes", self.bytes);
        if let Some(step) = self.touched {
            let _ = write!(out, ", step {step}");
        }
        out.push(')');
        if detail >= Lines::Symbols && !self.symbols.is_empty() {
            let _ = write!(out, ": {}", self.symbols.join(", "));
        }
        if detail >= Lines::Purpose && !self.purpose.is_empty() {
            let _ = write!(out, " -- {}", self.purpose);
        }
        out.push('\n');
        out
    }
}

/// One line a file: path, lines, symbols or headings, purpose, last-touched step. Where that is over `tokens_max`,
/// purposes go first, then symbols, then directories are folded into one line each, with their files counted; those of
/// `relevant`, the most important first, are named as long as there is room. Every file is named or counted; a budget that
/// not even their number fits gives nothing.
pub fn listing(
    store: &dyn FileStoreView,
    tree: &TreeId,
    touched: &BTreeMap<String, InstructionId>,
    relevant: &[String],
    tokens_max: usize,
    counter: &dyn TokenCounter,
) -> Result<String, StoreError> {
    let all = store.list(tree)?.into_iter();
    let mut entries: Vec<_> = all
        .map(|(path, bytes)| Entry {
            touched: touched.get(&path).copied(),
            path,
            bytes,
            lines: None,
            symbols: Vec::new(),
            purpose: String::new(),
        })
        .collect();
    if entries.is_empty() {
        return Ok("(no files yet)\n".to_owned());
    }
    let is_folded = entries.len() * LINE_TOKENS_MIN > tokens_max;
    for entry in entries.iter_mut().filter(|entry| !is_folded || relevant.contains(&entry.path)) {
        entry.read(store, tree)?;
    }
    if !is_folded {
        for (detail, said) in [
            (Lines::Purpose, ""),
            (Lines::Symbols, "(purposes left out to save room)\n"),
            (Lines::Names, "(symbols and purposes left out to save room)\n"),
        ] {
            let lines: String = entries.iter().map(|entry| entry.line(detail)).collect();
            let text = lines + said;
            if counter.count(&text) <= tokens_max {
                return Ok(text);
            }
        }
    }
    Ok(fold::folded(&entries, relevant, tokens_max, counter))
}

/// Names that a file defines, or a text's headings, by the look of its lines. The parser that judges files lives
/// elsewhere; a listing only needs a hint.
pub fn symbols(path: &str, text: &str) -> Vec<String> {
    let markdown = is_markdown(path);
    text.lines()
        .filter_map(|line| if markdown { heading(line) } else { definition(line) })
        .take(SYMBOLS_MAX)
        .collect()
}

/// The same with their lines, from 1, and none left out.
pub fn outline(path: &str, text: &str) -> Vec<(usize, String)> {
    let markdown = is_markdown(path);
    let name = |line: &str| if markdown { heading(line) } else { definition(line) };
    text.lines().zip(1..).filter_map(|(line, number)| Some((number, name(line)?))).collect()
}

/// Whether `path` names a Markdown file.
pub(crate) fn is_markdown(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|e| e.eq_ignore_ascii_case("md"))
}

fn heading(line: &str) -> Option<String> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len() && text.starts_with(' ')).then(|| text.trim().to_owned())
}

/// The name after a defining keyword on an unindented (or once indented) line.
pub(crate) fn definition(line: &str) -> Option<String> {
    const PREFIXES: [&str; 7] =
        ["pub ", "pub(crate) ", "export ", "default ", "async ", "static ", "const fn "];
    const KEYWORDS: [&str; 11] = [
        "def ",
        "class ",
        "fn ",
        "function ",
        "struct ",
        "enum ",
        "trait ",
        "func ",
        "type ",
        "interface ",
        "impl ",
    ];
    let mut rest = line.strip_prefix("    ").unwrap_or(line);
    while let Some(next) = PREFIXES.iter().find_map(|p| rest.strip_prefix(p)) {
        rest = next;
    }
    let name = KEYWORDS.iter().find_map(|k| rest.strip_prefix(k))?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
}

fn purpose(text: &str) -> String {
    let line = text
        .lines()
        .map(|l| {
            l.trim().trim_start_matches("#!").trim_start_matches(['#', '/', '*', '"', '!', '<', '-', ' '])
        })
        .find(|l| !l.is_empty() && !l.starts_with("usr/bin"))
        .unwrap_or_default();
    let is_prose = line.split_whitespace().count() > 2
        && !["import ", "from ", "use ", "def ", "class ", "const ", "let ", "var ", "package "]
            .iter()
            .any(|p| line.starts_with(p));
    if is_prose {
        line.trim_end_matches(['"', '*', '/', ' ']).chars().take(PURPOSE_CHARS_MAX).collect()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Edit, FileStore, GitStore};
    use std::sync::Mutex;

    struct Words;
    impl TokenCounter for Words {
        fn count(&self, text: &str) -> usize {
            text.split_whitespace().count()
        }
    }

    #[test]
    fn detail_gives_way_to_the_budget() {
        let mut store = GitStore::ram().unwrap();
        let edits: Vec<_> = (0..30)
            .map(|n| Edit::Write {
                path: format!("src/m{n}.py"),
                content: format!(
                    "\"\"\"Adds many numbers, part {n}.\"\"\"\n\ndef add_{n}(a):\n    return a\n"
                ),
            })
            .collect();
        let empty = store.empty_tree().unwrap();
        let tree = store.apply(&empty, &edits).unwrap();
        let view: Mutex<Box<dyn FileStore>> = Mutex::new(Box::new(store));
        let touched = BTreeMap::from([("src/m0.py".to_owned(), InstructionId(2))]);
        let show = |tokens| listing(&view, &tree, &touched, &[], tokens, &Words).unwrap();
        assert!(
            show(10_000)
                .starts_with("src/m0.py (4 lines, 61 bytes, step 2): add_0 -- Adds many numbers, part 0.")
        );
        assert!(show(250).contains("add_3") && !show(250).contains("Adds"));
        assert!(show(180).contains("src/m3.py") && !show(180).contains("add_3"));
        assert!(show(40).contains("src/ 30 files"));
        assert!(Words.count(&show(8)) <= 8);
        assert_eq!(listing(&view, &empty, &touched, &[], 10, &Words).unwrap(), "(no files yet)\n");
    }

    #[test]
    fn definitions_by_their_look() {
        assert_eq!(definition("pub async fn run(x: u8) {").as_deref(), Some("run"));
        assert_eq!(definition("export default class Todo {").as_deref(), Some("Todo"));
        assert_eq!(definition("    def add(self):").as_deref(), Some("add"));
        assert_eq!(definition("x = default(3)"), None);
        assert_eq!(heading("## Two words").as_deref(), Some("Two words"));
    }
}
