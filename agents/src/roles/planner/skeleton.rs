//! The functions that a file of code is made of, where the sentences about it say so: one for each command that a user gives, or
//! those that the sentences call by name. Asked for the whole of a program, a small model forgets half of what each command must
//! do; with a function's own sentences right above it, it follows them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use edvac_memory::store::path::stem;
use regex::Regex;

use super::examples::commands;
use super::given::{files, language_of, without_requirements};

mod lines;

pub use lines::Word;
pub(super) use lines::{is_whole, lines_of};

/// More functions than these are too many for one reply.
const FUNCTIONS_MAX: usize = 12;
/// Sentences of the task's own text that a file begins with.
const FACTS_MAX: usize = 12;
/// Words that neither Python nor JavaScript takes as a name.
const RESERVED: [&str; 56] = [
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "def",
    "default",
    "del",
    "delete",
    "do",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extends",
    "finally",
    "for",
    "from",
    "function",
    "global",
    "if",
    "import",
    "in",
    "instanceof",
    "is",
    "lambda",
    "let",
    "new",
    "nonlocal",
    "not",
    "null",
    "or",
    "pass",
    "raise",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "var",
    "void",
    "while",
    "with",
    "yield",
];
/// Most sentences that say what a function's own speak of.
const DEFINITIONS_MAX: usize = 3;
/// Words of sentences that say what data is made of.
const SHAPES: [&str; 5] = ["array", "object", "field", "header", "list of"];
/// What is said of a command that takes a text of several words, or says itself what happens without one.
const MAY_BE_MISSING: [&str; 3] = ["is missing", "is empty", "joined"];
/// Fewer leave most of the file open.
const FUNCTIONS_MIN: usize = 2;

/// What a file is made of, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skeleton {
    /// What the task says of its data, and sentences about no single function.
    pub above: Vec<String>,
    /// Its functions.
    pub functions: Vec<Function>,
    /// Whether the commands come line by line on standard input.
    pub on_input: bool,
    /// Of the sentences above, those about how the program is called.
    pub main: Vec<String>,
}

/// A function with the sentences about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it takes first, as the sentences or the command lines say; none where they leave it open.
    pub takes: Option<String>,
    /// What it must do.
    pub sentences: Vec<String>,
    /// The command whose function it is; none where others call it.
    pub command: Option<Command>,
}

/// A command of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its word.
    pub word: String,
    /// What stands behind it, line by line as the task shows it.
    pub lines: Vec<Vec<Word>>,
    /// Whether all that stands behind it is one text, which may be missing.
    pub is_text: bool,
}

/// The skeleton of a file in Python or JavaScript; none where its sentences name no functions, or a class.
pub fn skeleton(path: &str, task: &str, sentences: &[&str]) -> Option<Skeleton> {
    let language = language_of(path).filter(|language| matches!(*language, "python" | "javascript"))?;
    let is_class = |sentence: &&str| sentence.contains("class `");
    if sentences.iter().any(is_class) {
        return None;
    }
    let words = command_words(path, task, sentences);
    let functions: Vec<_> = if words.len() >= FUNCTIONS_MIN {
        let named = |word: &String| {
            let lines = lines_of(path, task, word);
            Function {
                name: of_command(word, language),
                takes: lines.as_ref().map(|lines| lines::taken(lines, language)),
                command: lines.map(|lines| Command { word: word.clone(), lines, is_text: false }),
                ..Function::default()
            }
        };
        words.iter().map(named).collect()
    } else if words.is_empty() && !commands(task).iter().any(|(file, _)| file == path) {
        called(sentences)
    } else {
        Vec::new()
    };
    // Of a file that is to have more than it names, the rest is open.
    let about = files(task).into_iter().find(|(file, _)| file == path).map(|(_, about)| about);
    let is_open = about.is_some_and(|about| about.contains("whatever"));
    if functions.len() < FUNCTIONS_MIN || words.is_empty() && is_open || functions.len() > FUNCTIONS_MAX {
        return None;
    }
    let on_input = words.iter().any(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
    let mut skeleton = Skeleton { functions, on_input, ..Skeleton::default() };
    skeleton.spread(sentences, &words);
    let facts = facts(task);
    if words.is_empty() {
        skeleton.define(&facts);
    } else {
        skeleton.above.splice(0..0, facts.iter().cloned());
        skeleton.define(&facts);
        skeleton.keep(task, language);
    }
    Some(skeleton)
}

impl Skeleton {
    /// Gives each function the sentences about it, by the words of the commands or by the functions' names.
    fn spread(&mut self, sentences: &[&str], words: &[String]) {
        for sentence in sentences {
            let about: Vec<_> = if words.is_empty() {
                let named = |f: &Function| codes(sentence).position(|code| is_of(code, &f.name));
                let first = self.functions.iter().zip(0..).filter_map(|(f, at)| Some((named(f)?, at))).min();
                first.into_iter().map(|(_, at)| at).collect()
            } else {
                let speaks =
                    |word: &String| codes(sentence).any(|code| code.split_whitespace().any(|w| w == word));
                words.iter().zip(0..).filter(|(word, _)| speaks(word)).map(|(_, at)| at).collect()
            };
            // What is said of all of them is said once.
            if about.is_empty() || about.len() > 1 && about.len() == self.functions.len() {
                self.above.push((*sentence).to_owned());
            } else {
                about
                    .iter()
                    .for_each(|at: &usize| self.functions[*at].sentences.push((*sentence).to_owned()));
            }
        }
        self.main = self.above.iter().filter(|sentence| is_about_calls(sentence)).cloned().collect();
        for function in &mut self.functions {
            let said = function.sentences.join(" ");
            let Some(command) = &mut function.command else { continue };
            let is_one = |line: &[Vec<Word>]| matches!(line, [line] if matches!(line.as_slice(), [Word::Value { .. }]));
            command.is_text =
                is_one(&command.lines) && MAY_BE_MISSING.iter().any(|words| said.contains(words));
        }
    }

    /// Gives each function the facts that say what it takes, is called by, or prints: "A date is written `YYYY-MM-DD`." What stands
    /// right above a function is followed; what stands at the top of the file is not.
    fn define(&mut self, facts: &[String]) {
        let defined: Vec<_> = facts.iter().filter_map(|fact| Some((defined(fact)?, fact))).collect();
        for function in &mut self.functions {
            let taken = function.takes.as_deref().unwrap_or_default();
            let said = function.sentences.join(" ");
            let words = said.split(|c: char| !c.is_ascii_alphanumeric());
            let placeholders =
                words.filter(|word| word.len() > 1 && !word.contains(|c: char| c.is_ascii_lowercase()));
            let placeholders = placeholders.collect::<Vec<_>>().join(" ");
            let own = format!("{} {taken} {placeholders}", parts_of(&function.name));
            let of = |said: &str| -> Vec<&String> {
                let words = words_of(said);
                defined.iter().filter(|(word, _)| words.contains(*word)).map(|(_, fact)| *fact).collect()
            };
            let mut found = of(&own);
            for further in of(&found.iter().map(|f| f.as_str()).collect::<Vec<_>>().join(" ")) {
                if !found.contains(&further) {
                    found.push(further);
                }
            }
            found.truncate(DEFINITIONS_MAX);
            self.above.retain(|sentence| !found.contains(&sentence));
            function.sentences.splice(0..0, found.into_iter().cloned());
        }
    }

    /// Gives a program that keeps its data in a file of a given name a function that loads it, below what is said of it, and one that
    /// saves it; the commands are told what the data is made of.
    fn keep(&mut self, task: &str, language: &str) {
        let is_kept = |sentence: &String| data_file(sentence, task).is_some();
        let Some(file) = self.above.iter().find_map(|fact| data_file(fact, task)) else { return };
        let file = stem(file).to_owned();
        let (kept, above) = std::mem::take(&mut self.above).into_iter().partition::<Vec<_>, _>(is_kept);
        self.above = above;
        let says_shape = |sentence: &&String| SHAPES.iter().any(|word| sentence.contains(word));
        for function in &mut self.functions {
            function.sentences.splice(0..0, kept.iter().filter(says_shape).cloned());
        }
        let of = |does: &str, sentences| {
            let takes = (does == "load").then(String::new);
            Function { name: named(&[does, &file], language), takes, sentences, command: None }
        };
        self.functions.splice(0..0, [of("load", kept), of("save", Vec::new())]);
    }
}

/// What a sentence says something of: `date` of "A date is written …".
fn defined(fact: &str) -> Option<&str> {
    let (_, rest) = fact.split_once(' ').filter(|(first, _)| matches!(*first, "A" | "An" | "Each"))?;
    let (word, rest) = rest.split_once(' ')?;
    (rest.starts_with("is ") || rest.starts_with("has ")).then_some(word)
}

/// The words of a text in lower case, without the ending of a plural.
fn words_of(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let word = word.to_lowercase();
            word.strip_suffix('s').filter(|one| one.len() > 1).map(str::to_owned).unwrap_or(word)
        })
        .collect()
}

/// A name as words.
fn parts_of(name: &str) -> String {
    name.chars().fold(String::new(), |mut all, c| {
        if c.is_ascii_uppercase() {
            all.push(' ');
        }
        all.push(if c == '_' { ' ' } else { c });
        all
    })
}

/// The file of data that a sentence names: in backticks, and none of those that are to be written.
fn data_file<'a>(fact: &'a str, task: &str) -> Option<&'a str> {
    const ENDS: [&str; 5] = [".json", ".csv", ".txt", ".toml", ".yaml"];
    let is_data = |code: &&str| {
        ENDS.iter().any(|end| code.ends_with(end))
            && stem(code).chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let written: Vec<_> = files(task).into_iter().map(|(path, _)| path).collect();
    codes(fact).filter(is_data).find(|code| !written.iter().any(|path| path == code))
}

/// What a task says of its data and of what is printed, before and between its lists: sentence by sentence, but for the one
/// that asks for the program.
fn facts(task: &str) -> Vec<String> {
    let task = without_requirements(task);
    let is_prose = |paragraph: &&str| {
        let is_other = |line: &str| line.starts_with(['#', '-', '*', ' ', '`', '|']);
        !paragraph.lines().any(is_other) && !paragraph.trim_end().ends_with(':')
    };
    let mut facts = Vec::new();
    for paragraph in task.split("\n\n").filter(is_prose) {
        let text = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut rest = text.as_str();
        while let Some(end) = rest.find(". ") {
            facts.push(rest[..=end].to_owned());
            rest = &rest[end + 2..];
        }
        facts.push(rest.to_owned());
    }
    facts.retain(|fact| {
        !fact.is_empty() && !["Write ", "Build ", "Create ", "Make "].iter().any(|w| fact.starts_with(w))
    });
    facts.truncate(FACTS_MAX);
    facts
}

pub(super) fn codes(sentence: &str) -> impl Iterator<Item = &str> {
    sentence.split('`').skip(1).step_by(2)
}

/// Whether a name in backticks is a function's, alone or called.
fn is_of(code: &str, name: &str) -> bool {
    code.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('('))
}

fn is_about_calls(sentence: &str) -> bool {
    let sentence = sentence.to_lowercase();
    ["command", "argument", "usage", "standard input"].iter().any(|word| sentence.contains(word))
}

/// The words by which a user says what a program is to do: `add` of `` `python3 todo.py add TEXT` ``, those of a list "where
/// COMMAND is …", or `SET` of "the command `SET key value`".
pub(super) fn command_words(path: &str, task: &str, sentences: &[&str]) -> Vec<String> {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[a-z][a-z0-9-]*$").ok());
    static LIST: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"\bCOMMAND is ((?:one of )?`[^`]+`(?:(?:, or |, | or |, and | and )`[^`]+`)*)").ok()
    });
    static LINES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\b[Cc]ommands? ((?:`[A-Z]{2,}[^`]*`(?:, | and |, and )?)+)").ok());
    let is_word = |word: &str| WORD.as_ref().is_some_and(|form| form.is_match(word));
    let mut words: Vec<String> = Vec::new();
    let add = |words: &mut Vec<String>, word: &str| {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    };
    let own: Vec<_> = commands(task).into_iter().filter(|(file, _)| file == path).collect();
    for (_, line) in &own {
        let behind = line.split_whitespace().skip_while(|word| *word != path).nth(1);
        behind.filter(|word| is_word(word)).into_iter().for_each(|word| add(&mut words, word));
    }
    if own.is_empty() {
        return words;
    }
    for list in LIST.iter().flat_map(|list| list.captures_iter(task)) {
        codes(&list[1]).filter(|word| is_word(word)).for_each(|word| add(&mut words, word));
    }
    if !words.is_empty() {
        return words;
    }
    for list in sentences.iter().flat_map(|s| LINES.iter().flat_map(|lines| lines.captures_iter(s))) {
        let first = codes(&list[1]).filter_map(|code| code.split_whitespace().next());
        let is_plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        first.filter(is_plain).for_each(|word| add(&mut words, word));
    }
    words
}

/// `do_add` of `add`, `doAdd` in JavaScript: a name that no function of the language has.
fn of_command(word: &str, language: &str) -> String {
    let parts: Vec<_> = std::iter::once("do").chain(word.split('-')).collect();
    named(&parts, language)
}

/// A name of several words as the language writes it.
fn named(parts: &[&str], language: &str) -> String {
    let parts: Vec<_> = parts.iter().map(|part| part.to_lowercase()).collect();
    if language == "python" {
        return parts.join("_");
    }
    let capital = |part: &String| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_uppercase() + rest
    };
    parts[..1].iter().cloned().chain(parts[1..].iter().map(capital)).collect()
}

/// The functions that sentences call by name, with what they take first.
fn called(sentences: &[&str]) -> Vec<Function> {
    static CALL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^([a-z_][A-Za-z0-9_]*)\(((?:[a-z_][A-Za-z0-9_]*(?:, )?)*)\)$").ok());
    // What a sentence begins with, or says is a function; others are of the language, or stand there by the way.
    let meant = |sentence: &'_ str| -> Vec<String> {
        let parts: Vec<_> = sentence.split('`').collect();
        let is_meant = |at: usize| {
            at == 1 && parts[0].is_empty()
                || parts[at - 1].ends_with("function ")
                || parts[at - 1].ends_with("functions ")
        };
        (1..parts.len()).step_by(2).filter(|at| is_meant(*at)).map(|at| parts[at].to_owned()).collect()
    };
    let mut found: Vec<Function> = Vec::new();
    for code in sentences.iter().flat_map(|sentence| meant(sentence)) {
        let Some(call) = CALL.as_ref().and_then(|call| call.captures(&code)) else { continue };
        if !found.iter().any(|function| function.name == call[1]) {
            found.push(Function {
                name: call[1].to_owned(),
                takes: Some(call[2].to_owned()),
                ..Function::default()
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, task: &str, sentences: &[&str]) -> String {
        let Some(skeleton) = skeleton(path, task, sentences) else { return "none".to_owned() };
        let of =
            |f: &Function| format!("{}({}) {}", f.name, f.takes.as_deref().unwrap_or("?"), f.sentences.len());
        let functions: Vec<_> = skeleton.functions.iter().map(of).collect();
        format!("{} | {} | {}", skeleton.above.len(), functions.join(", "), skeleton.main.len())
    }

    #[test]
    fn each_command_has_its_function() {
        let sentences = [
            "`python3 todo.py add-task TEXT` adds.",
            "`python3 todo.py list` or `python3 todo.py list --all` lists, and `list` prints nothing without tasks.",
            "If there is no file, `list` and `add-task` say so.",
            "For an unknown command it ends.",
        ];
        let task =
            format!("Files:\n- `todo.py`: run as `python3 todo.py COMMAND`\n\n{}", sentences.join("\n"));
        assert_eq!(shown("todo.py", &task, &sentences), "2 | do_add_task(text) 1, do_list(all=False) 1 | 1");
        assert_eq!(shown("store.py", &task, &sentences), "none", "it is not run");
        let task = "Files:\n- `a.mjs`: run as `node a.mjs COMMAND FILE`, where COMMAND is `levels`, `hours` or `top`\n\nR1: `node a.mjs levels FILE` prints.\n";
        let sentences = ["`node a.mjs levels FILE` prints.", "With `-` as FILE it reads standard input."];
        assert_eq!(shown("a.mjs", task, &sentences), "1 | doLevels(file) 1, doHours(?) 0, doTop(?) 0 | 1");
        let task = "Files:\n- `a.py`\n\nR1: `python3 a.py move FROM TO`, `python3 a.py copy FROM --in PLACE`, `python3 a.py copy FROM`\n";
        let said = ["`move` moves.", "`copy` copies."];
        let expected = "0 | do_move(from_, to) 1, do_copy(from_, in_=None) 1 | 0";
        assert_eq!(shown("a.py", task, &said), expected, "as the language takes it");
        let task = "Files:\n- `a.mjs`\n\nR1: `node a.mjs add FILE`, `node a.mjs add FILE N --from-day DAY`, `node a.mjs list`\n";
        let said = ["`node a.mjs add FILE` adds.", "`list` lists."];
        assert_eq!(
            shown("a.mjs", task, &said),
            "0 | doAdd(file, n = null, from_day = null) 1, doList() 1 | 0"
        );
    }

    #[test]
    fn commands_on_standard_input_have_functions_too() {
        let task = "Files:\n- `kv.py`: run as `python3 kv.py`\n";
        let sentences = [
            "The command `SET key value` stores.",
            "The commands `COMMIT` and `ROLLBACK` end.",
            "Blank lines are ignored.",
        ];
        assert_eq!(shown("kv.py", task, &sentences), "1 | do_set(?) 1, do_commit(?) 1, do_rollback(?) 1 | 0");
    }

    #[test]
    fn a_program_begins_with_what_is_said_of_its_data() {
        let task = "# Notes\n\nWrite a tool in Python. Notes are kept\nin `a.json`. A missing `a.json` is empty.\n\nFiles:\n\n- `a.py`: x\n\nErrors go\nto standard error.\n\n## Requirements\n\nR1: It is.\n";
        assert_eq!(
            facts(task),
            ["Notes are kept in `a.json`.", "A missing `a.json` is empty.", "Errors go to standard error."]
        );
    }

    #[test]
    fn functions_are_called_as_the_sentences_do() {
        let task = "Files:\n- `expr.py`: functions\n- `calc.py`: run as `python3 calc.py EXPRESSION`\n";
        let sentences = [
            "`tokenize(text)` in `expr.py` splits, as `evaluate` needs it.",
            "`evaluate(text)` is the value.",
            "`evaluate(text, variables)` takes more, so `evaluate(\"1\")` is 1.",
            "Parentheses come first, as in `print(x)`; nothing is said of `len(x)`.",
        ];
        assert_eq!(shown("expr.py", task, &sentences), "1 | tokenize(text) 1, evaluate(text) 2 | 0");
        let open = task.replace("functions", "functions and whatever it takes");
        assert_eq!(shown("expr.py", &open, &sentences), "none");
        assert_eq!(shown("expr.py", task, &sentences[1..3]), "none", "one function");
        assert_eq!(shown("calc.py", task, &["`python3 calc.py EXPRESSION` prints."]), "none");
        assert_eq!(shown("expr.py", task, &["It has a class `Store` with `get(key)`."]), "none");
        assert_eq!(shown("expr.rs", task, &sentences), "none");
    }
}
