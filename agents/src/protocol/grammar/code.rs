//! Files of code of which more is settled than their name: what they begin with, their functions, their tests.

use std::fmt::Write as _;

use textwrap::{Options, WordSeparator, WordSplitter};

use super::handed::handed;
use super::{TEST_LINES_MAX, fence_of, quoted};
use crate::roles::planner::{RUNNERS, Skeleton};

/// Characters of a line of comment.
const COMMENT_CHARS_MAX: usize = 100;
/// Most lines of a file of tests before the first one.
const OUTSIDE_LINES_MAX: usize = 40;
/// Most methods of a class of tests that are none.
const HELPERS_MAX: usize = 3;
/// Fewest tests of a file whose beginning is settled.
const TESTS_MIN: usize = 3;
/// Most lines of a test that do something, and that compare.
const STEPS_MAX: usize = 8;
/// Most tests of one requirement.
const TESTS_EACH_MAX: usize = 2;

/// A file of code whose place in the program is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeFile {
    /// The file.
    pub path: String,
    /// Its first lines: small models that are told to import something write it a second time.
    pub begins: Vec<String>,
    /// Whether it has a main program.
    pub main: Main,
    /// The functions that it is made of; none where that is open.
    pub skeleton: Option<Skeleton>,
}

impl CodeFile {
    /// Its text as far as it is settled. A model that is bound by the grammar writes the rest.
    pub fn given(&self) -> String {
        let begins: String = self.begins.iter().fold(String::new(), |all, line| all + line + "\n");
        let given = |piece: Piece| if let Piece::Given(text) = piece { Some(text) } else { None };
        begins + &self.pieces().into_iter().flatten().filter_map(given).collect::<String>()
    }

    /// What its text matches behind its first lines, as the right side of a Lark rule. None without a skeleton, or in a language
    /// that has no such files.
    pub(super) fn rule(&self) -> Option<String> {
        let is_python = fence_of(&self.path)? == "python";
        let of = |piece: Piece| match (piece, is_python) {
            (Piece::Given(text), _) => quoted(&text),
            (Piece::Blanks, _) => "blanks".to_owned(),
            (Piece::Takes, true) => "TAKES_PYTHON".to_owned(),
            (Piece::Takes, false) => "TAKES_JAVASCRIPT".to_owned(),
            (Piece::Body, true) => "body_python".to_owned(),
            (Piece::Body, false) => "body_javascript".to_owned(),
            (Piece::Exit, true) => "EXIT_PYTHON".to_owned(),
            (Piece::Exit, false) => "EXIT_JAVASCRIPT".to_owned(),
        };
        let pieces = self.pieces()?.into_iter().map(of);
        Some(pieces.collect::<Vec<_>>().join(" "))
    }

    /// What is said of a function stands above it, then it is written.
    fn pieces(&self) -> Option<Vec<Piece>> {
        let language = fence_of(&self.path)?;
        let skeleton = self.skeleton.as_ref()?;
        let (mark, define, ends) = match language {
            "python" => ("# ", "def ", "):\n"),
            "javascript" => ("// ", "function ", ") {\n"),
            _ => return None,
        };
        // What others import is exported.
        let export = if language == "javascript" && self.main == Main::Never { "export " } else { "" };
        let said =
            |sentences: &[String]| -> String { sentences.iter().map(|s| commented(s, mark)).collect() };
        // Nothing else comes before them: asked for comments first, a small model that wants to define something writes what it may
        // until the reply is full. Modules of the language that are used are imported afterwards.
        let mut above = said(&skeleton.above);
        if !above.is_empty() {
            above.push('\n');
        }
        if self.main == Main::Last && language == "python" {
            above.insert_str(0, "import sys\n");
        }
        let mut pieces = Vec::new();
        pieces.extend((!above.is_empty()).then_some(Piece::Given(above)));
        for function in &skeleton.functions {
            let first = function.takes.as_deref().unwrap_or_default();
            let sentences: Vec<_> =
                function.sentences.iter().map(|s| with_values(s, first, language)).collect();
            let begins = format!("{}{export}{define}{}({first}", said(&sentences), function.name);
            pieces.push(Piece::Blanks);
            // What is handed over is settled.
            if function.command.is_some() {
                pieces.push(Piece::Given(begins + ends));
            } else {
                pieces.extend([Piece::Given(begins), Piece::Takes]);
            }
            pieces.push(Piece::Body);
        }
        if self.main == Main::Last {
            let (before, handed) = handed(skeleton, language).unwrap_or_default();
            let main = format!("{before}{}{define}main({ends}{handed}", said(&skeleton.main));
            pieces.extend([Piece::Blanks, Piece::Given(main), Piece::Body, Piece::Blanks, Piece::Exit]);
        }
        Some(pieces)
    }
}

/// A part of a file with a skeleton.
enum Piece {
    /// This text.
    Given(String),
    /// Empty lines, or none.
    Blanks,
    /// What else a function takes, and the end of its first line.
    Takes,
    /// The lines of a function.
    Body,
    /// The call of `main`.
    Exit,
}

/// A sentence whose texts in backticks name what a function takes as its language writes it in a text: `` `added {task}` `` for
/// `` `added TASK` ``. Small models print a word that they see. Command lines stay as a user types them.
fn with_values(sentence: &str, takes: &str, language: &str) -> String {
    let begin = if language == "javascript" { "${" } else { "{" };
    let names = takes.split(", ").filter_map(|taken| taken.split(['=', ' ']).next());
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    let is_taken = |word: &str| {
        word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
            && names.contains(&word.to_lowercase().replace('-', "_").as_str())
    };
    let is_end = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'));
    let value = |code: &str| -> String {
        let word = |part: &str| {
            let (word, end) = part.split_at(part.find(is_end).unwrap_or(part.len()));
            if is_taken(word) {
                format!("{begin}{}}}{end}", word.to_lowercase().replace('-', "_"))
            } else {
                part.to_owned()
            }
        };
        code.split_inclusive(is_end).map(word).collect()
    };
    let is_command = |code: &str| RUNNERS.iter().any(|runner| code.starts_with(&format!("{runner} ")));
    let parts: Vec<_> = sentence.split('`').collect();
    let shown = parts
        .iter()
        .zip(0..)
        .map(|(part, at)| if at % 2 == 1 && !is_command(part) { value(part) } else { (*part).to_owned() });
    shown.collect::<Vec<_>>().join("`")
}

/// A sentence as lines of comment.
fn commented(sentence: &str, mark: &str) -> String {
    let words = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let options = Options::new(COMMENT_CHARS_MAX)
        .initial_indent(mark)
        .subsequent_indent(mark)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::wrap(&words, options).into_iter().map(|line| line.into_owned() + "\n").collect()
}

/// Whether a file of code has a main program. Small models forget to call it, and write one where nobody runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Main {
    /// It may.
    #[default]
    May,
    /// Others import the file and nobody runs it.
    Never,
    /// The file is run: it has a function `main` without parameters and ends with a call of it. What `main` returns is the exit
    /// status.
    Last,
}

impl Main {
    /// What a file in a language, by the name behind its fence, is made of.
    pub(super) fn body(self, language: &str) -> &'static str {
        match (self, language) {
            (Self::May, _) => "plain_part+",
            (Self::Last, "python") => "module_part* blanks MAIN_PYTHON module_part+ blanks EXIT_PYTHON",
            (Self::Last, "javascript") => {
                "module_part* blanks MAIN_JAVASCRIPT module_part+ blanks EXIT_JAVASCRIPT"
            }
            _ => "module_part+",
        }
    }
}

/// A file of tests in a language whose tests are known by their first line: Python and JavaScript. It has one or two tests for
/// each requirement, in this order, and no others. Small models write the same test again under another number until the
/// reply is full, or leave out all but the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFile {
    /// The file.
    pub path: String,
    /// `R2`, `R3`, …
    pub ids: Vec<String>,
    /// What it begins with, and what is said of each of these; none where that is open.
    pub given: Option<GivenTests>,
}

/// What is settled of a file of tests before they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenTests {
    /// The text before the first test.
    pub head: String,
    /// The sentences that stand above the tests, one for each id.
    pub said: Vec<String>,
    /// Whether they run a program, by what the head defines for that, and do nothing else.
    pub runs: bool,
}

impl GivenTests {
    /// The rule of a test that runs a program: lines that do something, then lines that compare what it prints, its exit status, or a
    /// file. Lines for standard input where the head has some.
    fn steps(&self, name: &str, language: &str) -> String {
        let typed = if self.head.contains(" typed(") { "|typed" } else { "" };
        let (does, looks, end) = match language {
            "python" => (
                format!(r"        self\.(run_program|write_file{typed})"),
                format!(
                    r"        self\.assertEqual\((json\.loads\()?self\.(run_program|status|read_file{typed})"
                ),
                r"\n",
            ),
            _ => (
                format!(r"  (run|write{typed})"),
                format!(r"  assert\.(equal|deepEqual)\((JSON\.parse\()?(run|status|read{typed})"),
                r";\n",
            ),
        };
        let closed = if language == "python" { "" } else { r#" "});\n""# };
        let upper = name.to_uppercase();
        format!(
            "{name}: {upper}DOES{{0,{STEPS_MAX}}} {upper}LOOKS{{1,{STEPS_MAX}}}{closed}\n\
             {upper}DOES: /{does}\\(\"[^\\r\\n]*\\){end}/\n{upper}LOOKS: /{looks}\\(\"[^\\r\\n]*\\){end}/\n"
        )
    }
}

impl TestFile {
    /// Its text as far as it is settled. A model that is bound by the grammar writes the rest.
    pub fn given(&self) -> String {
        let Some(given) = &self.given else { return String::new() };
        given.said.iter().fold(given.head.clone(), |all, said| all + &self.above(said))
    }

    /// A sentence as lines above a test.
    fn above(&self, said: &str) -> String {
        commented(said, if fence_of(&self.path) == Some("python") { "    # " } else { "// " })
    }

    /// Its tests as rules, and the rule of its body; none where the language is another.
    pub(super) fn rules(&self, number: usize) -> Option<(String, String)> {
        let language = fence_of(&self.path)?;
        let line: fn(&str) -> String = match language {
            "python" => |id| format!(r"    def test_{}_[a-z][a-z0-9_]{{3,60}}\(self\):\n", id.to_lowercase()),
            "javascript" => |id| format!(r#"test\("{id}: [^"\\\r\n]{{1,80}}", (async )?\(\) => \{{\n"#),
            _ => return None,
        };
        let begins = |at: usize| format!("T{number}_{at}");
        let mut rules: String =
            self.ids.iter().zip(0..).map(|(id, at)| format!("{}: /{}/\n", begins(at), line(id))).collect();
        if let Some(given) = &self.given {
            let body = match (language, given.runs) {
                ("python", false) => "test_python".to_owned(),
                (_, false) => "test_javascript".to_owned(),
                (_, true) => {
                    let name = format!("run{number}");
                    rules += &given.steps(&name, language);
                    name
                }
            };
            return Some((self.behind_head(given, &body, begins), rules));
        }
        let mut body = format!(
            "outside_part{{0,{OUTSIDE_LINES_MAX}}} (helper outside_part{{1,{TEST_LINES_MAX}}}){{0,{HELPERS_MAX}}}"
        );
        for at in 0..self.ids.len() {
            let name = format!("t{number}_{at}");
            let _ = writeln!(rules, "{name}: blanks {} outside_part{{1,{TEST_LINES_MAX}}}", begins(at));
            let _ = write!(body, " {name}{{1,{TESTS_EACH_MAX}}}");
        }
        Some((body, rules))
    }

    /// The rule of a file whose beginning is settled: below each sentence its tests, of lines that are theirs. A file of fewer
    /// than [`TESTS_MIN`] shows little.
    fn behind_head(&self, given: &GivenTests, body: &str, begins: impl Fn(usize) -> String) -> String {
        let each = TESTS_MIN.div_ceil(self.ids.len().max(1));
        let mut rule = quoted(&given.head);
        for (said, at) in given.said.iter().zip(0..) {
            for count in 0..each {
                let above = if count == 0 { self.above(said) } else { self.above(ANOTHER) };
                let _ = write!(rule, " blanks {} {} {body}", quoted(&above), begins(at));
            }
        }
        rule
    }
}

/// What stands above a second test of a sentence.
const ANOTHER: &str = "The same with other values.";

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
