//! The block protocol as an llguidance Lark grammar: a model that decodes under it can only write well-formed
//! blocks.
//!
//! llguidance matches one lexeme after another without going back, so each body line is a lexeme of its own, and one
//! that begins with `@@` is none; that is how `@decorator` stays allowed.

use std::fmt::Write as _;

use edvac_memory::store::path::is_test;
use serde_json::{Value, json};

mod code;
mod handed;

pub use code::{CodeFile, GivenTests, Main, TestFile};

/// What a grammar allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrammarOptions {
    /// Most blocks, the last one included; at least 1.
    pub blocks_max: usize,
    /// Whether `@@ run` may be written.
    pub run: bool,
    /// Files that the reply writes, each of them once and in this order, before it may do anything else; a reply that asks
    /// writes none. Small models leave files out, and write others twice.
    pub each: Vec<String>,
    /// Tools of other programs that may be called: name, and JSON Schema of the arguments.
    pub called: Vec<(String, Value)>,
    /// If not empty, the only files that `write` may name besides `each`; `edit` and `delete` may name any.
    pub writes: Vec<String>,
    /// Whether `@@ edit` may be written. Small models copy the old lines as the new ones; where files are short,
    /// writing them again is what they can do.
    pub edits: bool,
    /// Files that must look a certain way: path, and text as the right side of a Lark rule.
    pub forms: Vec<(String, String)>,
    /// If given, the only files that `read` may name; with none of them, neither `read` nor `search` may be written.
    pub reads: Option<Vec<String>>,
    /// Whether checks failed just now. The reply then begins with a note on the cause and does something about it: a
    /// small model that may begin with a file writes the same file again.
    pub repairs: bool,
    /// If given, files are chapters.
    pub chapter: Option<Chapter>,
    /// If given, files of code stand between fences, and of these files of tests it is settled what they test.
    pub fenced: Option<Vec<TestFile>>,
    /// A file of which more is settled.
    pub code: Option<CodeFile>,
}

/// How a chapter of prose must look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chapter {
    /// Its title, where it has one already.
    pub title: Option<String>,
    /// Which of its sections is written, from 1, behind those that are there; none for the whole chapter at once. Small
    /// models lose the thread in a long text.
    pub section: Option<u32>,
    /// About so many words at least and at most.
    pub words: (u32, u32),
    /// Whether the book is in Chinese, Japanese or Korean, or speaks of them.
    pub foreign: bool,
}

impl Chapter {
    /// Fewest and most paragraphs, of a section or of the whole chapter.
    fn paragraphs(&self) -> (u32, u32) {
        let (min, max) = self.words;
        let fewest = min.div_ceil(PARAGRAPH_WORDS.0).max(1);
        (fewest, (max / PARAGRAPH_WORDS.1).max(fewest))
    }

    /// A title, then paragraphs, with headings among them.
    fn body(&self) -> String {
        let (fewest, most) = self.paragraphs();
        let title = self.title.as_deref().map_or("ONE_LINE".to_owned(), quoted);
        let blanks = format!("BLANK{{1,{BLANKS_MAX}}}");
        let section = format!("SECTION ({blanks} PARAGRAPH){{{fewest},{most}}}");
        match self.section {
            None => format!("\"# \" {title} \"\\n\" passage{{{fewest},{most}}}"),
            Some(1) => format!("\"# \" {title} \"\\n\" {blanks} {section}"),
            Some(_) => section,
        }
    }
}

impl Default for GrammarOptions {
    fn default() -> Self {
        Self {
            blocks_max: 8,
            run: true,
            called: Vec::new(),
            each: Vec::new(),
            writes: Vec::new(),
            edits: true,
            forms: Vec::new(),
            reads: None,
            repairs: false,
            chapter: None,
            fenced: None,
            code: None,
        }
    }
}

/// Most characters of a one-line argument: a sentence or a command, and an end to a line that never ends.
const LINE_CHARS_MAX: usize = 400;
/// Most characters of the sentence after `done`: small models repeat themselves there.
const SENTENCE_CHARS_MAX: usize = 140;
/// Most lines of an edit's old text: small models copy the whole file into it, and then copy it once more.
const SEARCH_LINES_MAX: usize = 12;
/// Most lines of an edit's new text.
const REPLACE_LINES_MAX: usize = 40;
/// Words that a paragraph has: so few that enough of them make a chapter long enough, so many that it is not too long.
const PARAGRAPH_WORDS: (u32, u32) = (45, 90);
/// Fewest and most sentences of a paragraph; "Mr." counts as one. A paragraph ends with a sentence, so that one of a model that
/// does not come to an end is whole.
const PARAGRAPH_SENTENCES: (u32, u32) = (3, 8);
/// Most characters of a sentence.
const SENTENCE_OF_PROSE_CHARS_MAX: u32 = 260;
/// Scripts that a small model slips into where it may not say what it said before.
pub(crate) const FOREIGN: &str = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}";
/// Characters of code and markup, as a part of a character class. Models made for code fall into it in a long chapter, and
/// do not find their way back.
const CODE: &str = r"\r\n`{}\[\]<>=|\\_$~^*";
/// Most lines of one of its functions.
const FUNCTION_LINES_MAX: usize = 60;
/// Most lines, but for empty ones, of a text about a program.
const TEXT_LINES_MAX: usize = 60;
/// Most lines of a test.
const TEST_LINES_MAX: usize = 24;
/// Most empty lines in a row: small models that lost the thread write them until the reply is full.
const BLANKS_MAX: usize = 3;
/// A path of letters that need no quoting anywhere. No part can be `..`, none begins like an option.
pub(crate) const PATH: &str = r"\.?[A-Za-z0-9_][A-Za-z0-9_\-]*(\.[A-Za-z0-9_\-]+)*(\/\.?[A-Za-z0-9_][A-Za-z0-9_\-]*(\.[A-Za-z0-9_\-]+)*){0,5}";

/// The grammar of a worker's reply: up to `blocks_max - 1` changes or notes, then one block that ends the reply:
/// `done`, or a question (`read`, `search`, `run`) whose answer comes in the next message.
pub fn grammar(options: &GrammarOptions) -> String {
    let edit = if options.edits { "edit | " } else { "" };
    let mut questions = Vec::new();
    if options.reads.as_ref().is_none_or(|reads| !reads.is_empty()) {
        questions.extend(["read", "search"]);
    }
    if options.run {
        questions.push("run");
    }
    if !options.called.is_empty() {
        questions.push("call");
    }
    let start = start(options, &questions);
    let body = options.chapter.as_ref().map_or("part+".to_owned(), Chapter::body);
    let is_section = options.chapter.as_ref().is_some_and(|chapter| chapter.section.is_some());
    let verb = if is_section { "append" } else { "write" };
    let formed = |path: &String| options.forms.iter().find(|(formed, _)| formed == path);
    let test_files = options.fenced.as_deref().unwrap_or_default();
    let settled = options.code.as_ref().and_then(CodeFile::rule);
    let fenced = |path: &String| fence_of(path).filter(|_| options.fenced.is_some());
    let block = |path: &String| {
        let header = quoted(&format!("@@ {verb} {path}\n"));
        let tests =
            test_files.iter().zip(0..).find(|(tests, _)| tests.path == *path && !tests.ids.is_empty());
        let tests = tests.and_then(|(tests, at)| tests.rules(at)).map(|(body, _)| body);
        match (formed(path), fenced(path)) {
            (Some((_, form)), _) => format!("{header} {form} end"),
            (None, Some(name)) => {
                // Where tests have a file of their own, none stands in the code.
                let has_tests = matches!(name, "python" | "javascript");
                let known = options.code.as_ref().filter(|code| code.path == *path);
                let main = known.map_or(Main::May, |code| code.main);
                let part = if has_tests && !is_test(path) { main.body(name) } else { "code_part+" };
                let own = known.and(settled.as_deref());
                let content = tests.as_deref().or(own).unwrap_or(part);
                let begins: String = known
                    .iter()
                    .flat_map(|code| &code.begins)
                    .fold(String::new(), |all, line| all + line + "\n");
                format!(
                    "{} {content} BLANK{{0,{BLANKS_MAX}}} \"```\\n\" end",
                    quoted(&format!("@@ {verb} {path}\n```{name}\n{begins}"))
                )
            }
            // A text about a program is short, or goes round in circles.
            (None, None) if options.code.as_ref().is_some_and(|code| code.path == *path) => {
                format!("{header} part{{1,{TEXT_LINES_MAX}}} blanks end")
            }
            (None, None) => format!("{header} {body} end"),
        }
    };
    // Each path in a literal of its own: a lexeme that is the beginning of another would not be gone back to.
    let mut writes: Vec<_> = options.writes.iter().map(block).collect();
    if writes.is_empty() && options.each.is_empty() {
        writes.push(format!("\"@@ {verb} \" PATH \"\\n\" {body} end"));
    }
    let write = if writes.is_empty() { "" } else { "write | " };
    let mut out = format!(
        r#"start: {start}
change: {write}{edit}delete | note

edit: "@@ edit " PATH "\n" pair{{1,8}} end
pair: "<<<<<<< SEARCH\n" edit_part{{1,{SEARCH_LINES_MAX}}} "=======\n" edit_part{{0,{REPLACE_LINES_MAX}}} ">>>>>>> REPLACE\n"
delete: "@@ delete " PATH "\n"
note: "@@ note " ONE_LINE "\n"
end: "@@ end\n"

read: "@@ read " read_path range? "\n"?
range: " " NUMBER "-" NUMBER
search: "@@ search " ONE_LINE "\n"?
done: "@@ done " SENTENCE "\n"?

part: BLANK{{0,{BLANKS_MAX}}} LINE
edit_part: BLANK{{0,{BLANKS_MAX}}} EDIT_LINE
code_part: BLANK{{0,{BLANKS_MAX}}} CODE_LINE
plain_part: BLANK{{0,{BLANKS_MAX}}} PLAIN_LINE
module_part: blanks MODULE_LINE
blanks: BLANK{{0,{BLANKS_MAX}}}
body_python: (blanks INNER_LINE){{1,{FUNCTION_LINES_MAX}}}
body_javascript: (blanks INNER_LINE){{1,{FUNCTION_LINES_MAX}}} "}}\n"
test_python: (blanks TEST_LINE){{1,{TEST_LINES_MAX}}}
test_javascript: (blanks INNER_LINE){{1,{TEST_LINES_MAX}}} "}});\n"
outside_part: BLANK{{0,{BLANKS_MAX}}} OUTSIDE_LINE
helper: BLANK{{0,{BLANKS_MAX}}} HELPER_LINE

BLANK: "\n"
LINE: /[^\r\n]+\n/ & ~/@@[^\r\n]*\n/
PLAIN_LINE: /[^\r\n]+\n/ & ~/(@@|```|[ \t]*(async )?def test_)[^\r\n]*\n/
MODULE_LINE: /[^\r\n]+\n/ & ~/(@@|```|[ \t]*(async )?def test_|(async )?def main\(|if __name__|(export )?(default )?(async )?function main\(|(await )?main\()[^\r\n]*\n/
INNER_LINE: /[ \t]+[^\r\n]*[^ \t\r\n][^\r\n]*\n/
TEST_LINE: /        [ \t]*[^ \t\r\n#][^\r\n]*\n/
TAKES_PYTHON: /[^\r\n()#]*\):\n/
TAKES_JAVASCRIPT: /[^\r\n()\/]*\) \{{\n/
MAIN_PYTHON: "def main():\n"
MAIN_JAVASCRIPT: /(async )?function main\(\) \{{\n/
EXIT_PYTHON: "if __name__ == \"__main__\":\n    sys.exit(main())\n"
EXIT_JAVASCRIPT: "process.exitCode = (await main()) ?? process.exitCode;\n"
OUTSIDE_LINE: /[^\r\n]+\n/ & ~/(@@|```|[ \t]+@|[ \t]+(async[ \t]*)?def|(async[ \t]*)?def[^\r\n]test|[ \t]*(test|it)\()[^\r\n]*\n/
HELPER_LINE: /    def (setUp|tearDown|run_[a-z_]+)\([^\r\n]*\):\n/
CODE_LINE: /[^\r\n]+\n/ & ~/(@@|```)[^\r\n]*\n/
EDIT_LINE: /[^\r\n]+\n/ & ~/(@@|<<<<<<<|=======|>>>>>>>)[^\r\n]*\n/
ONE_LINE: /[^ \t\r\n][^\r\n]{{0,{LINE_CHARS_MAX}}}/
SENTENCE: /[^ \t\r\n][^\r\n]{{0,{SENTENCE_CHARS_MAX}}}/
PATH: /{PATH}/
NUMBER: /[1-9][0-9]{{0,4}}/
"#
    );
    if !writes.is_empty() {
        let _ = writeln!(out, "write: {}", writes.join(" | "));
    }
    for (n, path) in options.each.iter().enumerate() {
        let _ = writeln!(out, "each_{n}: {}", block(path));
    }
    for (tests, at) in test_files.iter().zip(0..) {
        out.extend(tests.rules(at).map(|(_, rules)| rules));
    }
    if options.run {
        out.push_str("run: \"@@ run \" ONE_LINE \"\\n\"?\n");
    }
    for (n, (tool, schema)) in options.called.iter().enumerate() {
        let header = quoted(&format!("@@ call {tool}\n"));
        let _ = writeln!(out, "call_{n}: {header} %json {} \"\\n\" end", lenient(schema));
    }
    if !options.called.is_empty() {
        let calls: Vec<_> = (0..options.called.len()).map(|n| format!("call_{n}")).collect();
        let _ = writeln!(out, "call: {}", calls.join(" | "));
    }
    if let Some(chapter) = &options.chapter {
        let (min, max) = PARAGRAPH_SENTENCES;
        let foreign = if chapter.foreign { "" } else { FOREIGN };
        let _ = writeln!(
            out,
            "passage: BLANK{{0,{BLANKS_MAX}}} (SECTION BLANK{{0,{BLANKS_MAX}}})? PARAGRAPH\n\
             SECTION: /## [^\\r\\n{foreign}]{{1,80}}\\n/\n\
             PARAGRAPH: /[^ {CODE}{foreign}#@\\-]([^{CODE}{foreign}.!?]{{1,{SENTENCE_OF_PROSE_CHARS_MAX}}}[.!?]{{1,3}}[\"”’]?){{{min},{max}}}\\n/"
        );
    }
    let _ = writeln!(out, "read_path: {}", one_of(options.reads.iter().flatten()));
    out
}

/// What stands behind the fence around a file of code. Models for code end a file with its fence; without one, small ones do
/// not come to an end, or write prose behind it.
fn fence_of(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "py" => "python",
        "js" | "mjs" | "cjs" | "jsx" => "javascript",
        "ts" | "mts" | "cts" | "tsx" => "typescript",
        "rs" => "rust",
        "go" => "go",
        "c" | "h" => "c",
        "java" => "java",
        "sh" => "sh",
        _ => return None,
    })
}

/// A tool's schema as llguidance takes it: on one line, and what it cannot bind is left to the tool to refuse.
fn lenient(schema: &Value) -> Value {
    let mut schema = if schema.is_object() { schema.clone() } else { json!({ "type": "object" }) };
    schema["x-guidance"] = json!({ "lenient": true, "whitespace_flexible": false });
    schema
}

/// What a reply is made of.
fn start(options: &GrammarOptions, questions: &[&str]) -> String {
    if options.chapter.as_ref().is_some_and(|chapter| chapter.section.is_some()) && !options.each.is_empty() {
        // A writer has nothing to ask and nothing else to do.
        return "each_0 done".to_owned();
    }
    let changes = options.blocks_max.saturating_sub(1);
    let last: String = questions.iter().map(|q| format!(" | {q}")).collect();
    if !options.each.is_empty() {
        let each: String = (0..options.each.len()).map(|n| format!(" each_{n}")).collect();
        let further = changes.saturating_sub(options.each.len());
        let ask = if questions.is_empty() {
            String::new()
        } else {
            format!(" | note? ({})", questions.join(" | "))
        };
        // A range to 0 is no range.
        let further = if further == 0 { String::new() } else { format!(" change{{0,{further}}}") };
        format!("note?{each}{further} done{ask}")
    } else if options.repairs {
        let ask =
            if questions.is_empty() { String::new() } else { format!(" | note ({})", questions.join(" | ")) };
        format!("note change{{1,{}}} (done{last}){ask}", changes.saturating_sub(1).max(1))
    } else {
        format!("change{{0,{changes}}} (done{last})")
    }
}

/// A text as a Lark string, which is a JSON string: Rust's own quoting has escapes that are none there.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Any path where none is named.
fn one_of<'a>(paths: impl Iterator<Item = &'a String>) -> String {
    let names = paths.map(|path| quoted(path)).collect::<Vec<_>>().join(" | ");
    if names.is_empty() { "PATH".to_owned() } else { names }
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
