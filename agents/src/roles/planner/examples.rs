//! What a task shows by example. An example in the user's own words can be executed as it stands, and nobody has to believe a
//! model's test to know whether it holds.

use std::sync::LazyLock;

use edvac_memory::ids::RequirementId;
use edvac_memory::program::{CheckKind, Expected};
use edvac_memory::store::path::{file_name, is_test};
use regex::Regex;

use super::filled::filled;
use super::given::{files, language_of, numbered_line};
use super::texts;

/// Most examples that are taken from a task, the first ones.
const EXAMPLES_MAX: usize = 40;
/// Most command lines of a task that are tried out.
const COMMANDS_MAX: usize = 12;

/// Something that a task says happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The requirement in whose sentence it stands.
    pub of: Option<RequirementId>,
    /// The file that is run, or whose function is called.
    pub file: String,
    /// It, to be executed.
    pub check: CheckKind,
}

/// The examples of a task that lists its files, in its order:
///
/// - `` `f("a")` returns `['a']` `` of a function that one of the files is said to have, in Python and JavaScript, where call and
///   value are literals;
/// - `` `python3 a.py add 1 2` prints `3` `` of a command that runs one of the files, without words in capitals, which stand for
///   something else;
/// - `` the input `a`, `b` prints `x`, `y` `` line by line, where the task names one command without arguments;
/// - fenced lines that begin with `$ ` and run one of the files, with what they print below them;
/// - functions and classes that a file is said to have: they can be imported;
/// - names in backticks that a requirement wants in a text ([`texts::shown`]);
/// - command lines in words in capitals, with values in their place ([`filled`]).
///
/// What is said in other words is not found.
pub fn examples(task: &str) -> Vec<Example> {
    let place = Place::of(task);
    let mut run: Vec<_> = commands(task).into_iter().map(|(file, _)| file).collect();
    run.dedup();
    let mut found: Vec<_> = place.had();
    found.extend(place.transcripts(task));
    for line in outside_of_fences(task) {
        let of = numbered_line(line);
        if let Some((file, check)) = texts::shown(line, &run).filter(|_| of.is_some()) {
            found.push(Example { of, file, check });
            continue;
        }
        let file = place.named(line);
        let parts: Vec<_> = line.split('`').collect();
        for at in (1..parts.len().saturating_sub(2)).step_by(2) {
            let (code, verb, value) = (parts[at], parts[at + 1], parts[at + 2]);
            let shown = place.called(code, verb, value, file).or_else(|| {
                let rest = parts.get(at + 3).copied().unwrap_or_default();
                place.printed(code, verb, value, rest)
            });
            found.extend(shown.map(|(file, check)| Example { of: of.clone(), file, check }));
        }
        found.extend(place.session(&parts).map(|(file, check)| Example { of, file, check }));
    }
    found.extend(filled(task));
    found.truncate(EXAMPLES_MAX);
    found
}

/// The command lines of a task that run one of its files, as they stand there, with the file; none of a task that speaks of a
/// service, which does not end by itself.
pub fn commands(task: &str) -> Vec<(String, String)> {
    static SERVICE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)\b(?:server|listens?|port|https?|daemon|watch(?:es)?)\b").ok());
    if SERVICE.as_ref().is_none_or(|service| service.is_match(task)) {
        return Vec::new();
    }
    let place = Place::of(task);
    let mut found: Vec<(String, String)> = Vec::new();
    for line in outside_of_fences(task) {
        for code in line.split('`').skip(1).step_by(2) {
            // `[--all]` and `...` are for readers.
            let code = code.split(['[', '<', '|', '>', ';', '&', '$']).next().unwrap_or_default();
            let code = code.trim_end_matches(['.', ' ']).trim();
            let file = place.run_by(code).map(str::to_owned);
            if let Some(file) = file.filter(|_| !found.iter().any(|(_, known)| known == code)) {
                found.push((file, code.to_owned()));
            }
        }
    }
    found.truncate(COMMANDS_MAX);
    found
}

/// The files of a task, with what is said of each.
struct Place {
    files: Vec<(String, String)>,
    /// The command that is named without arguments, if it is one.
    alone: Option<(String, String)>,
}

impl Place {
    fn of(task: &str) -> Self {
        let files = files(task).into_iter().filter(|(path, _)| !is_test(path)).collect();
        let mut place = Self { files, alone: None };
        let codes = || outside_of_fences(task).flat_map(|line| line.split('`').skip(1).step_by(2));
        let mut alone: Vec<_> = codes()
            .filter_map(|code| Some((place.run_by(code)?.to_owned(), code.to_owned())))
            .filter(|(file, code)| code.ends_with(file_name(file)) || code.ends_with("--offline"))
            .collect();
        alone.sort();
        alone.dedup();
        place.alone = if alone.len() == 1 { alone.pop() } else { None };
        place
    }

    /// The functions and classes that files are said to have, in Python and JavaScript: `` the class `Store` ``, `` functions `a` and
    /// `b` ``.
    fn had(&self) -> Vec<Example> {
        static HAS: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(
                r"\b(?:functions?|class(?:es)?) ((?:`[A-Za-z_]\w*(?:\([^`]*\))?`(?:, and |, | and )?)+)",
            )
            .ok()
        });
        let Some(has) = HAS.as_ref() else { return Vec::new() };
        let of = |(file, about): &(String, String)| {
            let lists = has.captures_iter(about).map(|found| found.get(1).map_or("", |list| list.as_str()));
            let names = lists.flat_map(|list| list.split('`').skip(1).step_by(2));
            let mut names: Vec<_> = names.map(|name| name.split('(').next().unwrap_or_default()).collect();
            names.dedup();
            let command = imports(file, &names).filter(|_| !names.is_empty())?;
            Some(Example { of: None, file: file.clone(), check: runs(command, None, 0, Expected::default()) })
        };
        self.files.iter().filter_map(of).collect()
    }

    /// The file that a command line runs.
    fn run_by(&self, command: &str) -> Option<&str> {
        let mut words = command.split_whitespace();
        let runner = words.next()?;
        let paths = || self.files.iter().map(|(path, _)| path.as_str());
        match runner {
            "python3" | "python" | "node" => {
                let run = words.next()?;
                paths().find(|path| *path == run)
            }
            "cargo" if words.next() == Some("run") => paths().find(|path| path.ends_with("main.rs")),
            _ => None,
        }
    }

    /// The file that a sentence names.
    fn named(&self, line: &str) -> Option<&str> {
        let codes: Vec<_> = line.split('`').skip(1).step_by(2).collect();
        self.files.iter().map(|(path, _)| path.as_str()).find(|path| codes.contains(path))
    }

    /// A call and what it returns.
    fn called(&self, call: &str, verb: &str, value: &str, file: Option<&str>) -> Option<(String, CheckKind)> {
        const VERBS: [&str; 5] = ["returns", "gives", "is", "evaluates to", "yields"];
        let (name, arguments) = call.strip_suffix(')')?.split_once('(')?;
        let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if !(is_name && VERBS.contains(&verb.trim()) && is_literal(arguments) && is_literal(value))
            || value.trim().is_empty()
        {
            return None;
        }
        let says = |about: &str| about.split('`').skip(1).step_by(2).any(|code| code == name);
        let about = || self.files.iter().find(|(_, about)| says(about)).map(|(path, _)| path.as_str());
        let file = file.or_else(about)?;
        let code = match language_of(file)? {
            "python" => {
                let module = file.strip_suffix(".py")?.replace('/', ".");
                format!(
                    "from {module} import {name}\ngot = {call}\nassert got == {value}, f\"{name} returned {{got!r}}\""
                )
            }
            "javascript" => format!(
                "import assert from 'node:assert/strict';\nimport {{ {name} }} from './{file}';\nassert.deepEqual({call}, {value});"
            ),
            _ => return None,
        };
        let quoted = shlex::try_quote(&code).ok()?;
        let command = match language_of(file)? {
            "python" => format!("python3 -c {quoted}"),
            _ => format!("node --input-type=module -e {quoted}"),
        };
        Some((file.to_owned(), runs(command, None, 0, Expected::default())))
    }

    /// A command line and what it prints.
    fn printed(&self, command: &str, verb: &str, printed: &str, rest: &str) -> Option<(String, CheckKind)> {
        let file = self.run_by(command)?;
        let stands_for_more = |text: &str| {
            let is_capital = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
            text.split(|c: char| !c.is_alphanumeric()).any(is_capital) || text.contains("...")
        };
        let is_shown = matches!(verb.trim(), "prints" | "outputs" | "gives")
            && !command.ends_with(file_name(file))
            && !stands_for_more(command)
            && !stands_for_more(printed);
        let status = exit_status(rest.split_once(". ").map_or(rest, |(sentence, _)| sentence));
        is_shown.then(|| (file.to_owned(), runs(command.to_owned(), None, status, equals(printed))))
    }

    /// Lines of input and what is printed for them.
    fn session(&self, parts: &[&str]) -> Option<(String, CheckKind)> {
        let (file, command) = self.alone.as_ref()?;
        let begins = |text: &str| {
            let text = text.trim_end();
            text.ends_with("input") || text.ends_with("the lines") || text.ends_with("the line")
        };
        let first = (0..parts.len()).step_by(2).find(|&at| begins(parts[at]))? + 1;
        let verbs = ["prints", "gives", "outputs"];
        let says = |text: &str| text.split_whitespace().any(|word| verbs.contains(&word));
        let turn = (first + 1..parts.len()).step_by(2).find(|&at| says(parts[at]))?;
        let ends = |text: &str| text.contains(". ") || text.trim_end().ends_with('.');
        let last = (turn + 2..parts.len()).step_by(2).find(|&at| ends(parts[at])).unwrap_or(parts.len());
        let lines = |from: usize, to: usize| -> Vec<&str> {
            (from..to.min(parts.len())).step_by(2).map(|at| parts[at]).collect()
        };
        let (typed, printed) = (lines(first, turn), lines(turn + 1, last));
        let input = format!("{}\n", typed.join("\n"));
        let is_whole = !typed.is_empty() && !printed.is_empty();
        is_whole.then(|| (file.clone(), runs(command.clone(), Some(input), 0, equals(&printed.join("\n")))))
    }

    /// What fenced blocks show of a terminal.
    fn transcripts(&self, task: &str) -> Vec<Example> {
        let mut found = Vec::new();
        let mut open: Option<(Vec<&str>, Vec<&str>)> = None;
        for line in task.lines() {
            if line.trim_start().starts_with("```") {
                let shown = open.take();
                if shown.is_none() {
                    open = Some((Vec::new(), Vec::new()));
                }
                let Some((typed, printed)) = shown.filter(|(typed, _)| !typed.is_empty()) else { continue };
                let Some(file) = typed.iter().find_map(|line| self.run_by(line)) else { continue };
                let check = runs(typed.join("\n"), None, 0, equals(&printed.join("\n")));
                found.push(Example { of: None, file: file.to_owned(), check });
            } else if let Some((typed, printed)) = &mut open {
                match line.trim_start().strip_prefix("$ ") {
                    Some(command) => typed.push(command.trim()),
                    None => printed.push(line),
                }
            }
        }
        found
    }
}

/// The command that imports names from a file.
fn imports(file: &str, names: &[&str]) -> Option<String> {
    let names = names.join(", ");
    match language_of(file)? {
        "python" => {
            let module = file.strip_suffix(".py")?.replace('/', ".");
            Some(format!("python3 -c {}", shlex::try_quote(&format!("from {module} import {names}")).ok()?))
        }
        "javascript" => {
            let code = format!("import {{ {names} }} from './{file}';");
            Some(format!("node --input-type=module -e {}", shlex::try_quote(&code).ok()?))
        }
        _ => None,
    }
}

fn runs(command: String, input: Option<String>, exit_status: i32, output: Expected) -> CheckKind {
    CheckKind::Runs { command, input, exit_status, output }
}

fn equals(text: &str) -> Expected {
    Expected { equals: Some(text.to_owned()), ..Expected::default() }
}

/// `… to standard error and exits with status 2`
pub(super) fn exit_status(said: &str) -> i32 {
    static STATUS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?:status|code) ([0-9]{1,3})\b").ok());
    let status = STATUS.as_ref().and_then(|status| status.captures(said));
    status.and_then(|found| found[1].parse().ok()).unwrap_or(0)
}

/// Whether a piece of code names nothing: texts, numbers and what is made of them.
fn is_literal(code: &str) -> bool {
    static TEXTS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"#).ok());
    static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b\w+\s*:").ok());
    const WORDS: [&str; 6] = ["True", "False", "None", "true", "false", "null"];
    let Some(texts) = TEXTS.as_ref() else { return false };
    let rest = texts.replace_all(code, "");
    let is_known = |word: &str| {
        WORDS.contains(&word) || word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit())
    };
    // The keys of JavaScript's objects are bare.
    let rest = KEYS.as_ref().map_or(rest.clone(), |keys| keys.replace_all(&rest, "").into_owned().into());
    !rest.contains(['"', '\'', '`']) && rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).all(is_known)
}

fn outside_of_fences(task: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    task.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "# A calculator\n\nFiles:\n\n- `expr.py`: the functions `tokenize` and `evaluate`\n- `calc.py`: run as `python3 calc.py`\n- `test_expr.py`\n\nExample: the input `1+1`, `x` (two lines) prints `2`, `error: x` (two lines).\n\n";

    fn shown(more: &str) -> Vec<String> {
        let all = examples(&format!("{TASK}{more}"));
        let tell = |example: &Example| {
            let CheckKind::Runs { command, input, exit_status, output } = &example.check else {
                return String::new();
            };
            let of = example.of.as_ref().map_or("-", RequirementId::as_str);
            let output = output.equals.clone().unwrap_or_default();
            format!(
                "{of} {} {} {exit_status} {output:?} {}",
                example.file,
                input.clone().unwrap_or_default().escape_debug(),
                command.lines().last().unwrap_or_default()
            )
        };
        let is_import = |told: &String| told.ends_with("from expr import tokenize, evaluate'");
        all.iter().map(tell).filter(|told| !is_import(told)).collect()
    }

    #[test]
    fn what_a_file_is_said_to_have_can_be_imported() {
        let commands = |files: &str| -> Vec<String> {
            let all = examples(&format!("# X\n\nFiles:\n\n{files}\n\nR1: It works.\n"));
            let command = |example: Example| match example.check {
                CheckKind::Runs { command, .. } => format!("{}: {command}", example.file),
                other => format!("{other:?}"),
            };
            all.into_iter().map(command).collect()
        };
        assert_eq!(
            commands(
                "- `lib/kv.py`: the class `Store` and the functions `load(path)`, `save`, for `kv.py`\n- `a.mjs`: exports the function `parse`\n                 - `b.mjs`: run as `node b.mjs`\n- `c.py`: uses `json`"
            ),
            [
                "lib/kv.py: python3 -c 'from lib.kv import Store, load, save'",
                "a.mjs: node --input-type=module -e \"import { parse } from './a.mjs';\"",
            ]
        );
    }

    #[test]
    fn a_session_is_an_example() {
        assert_eq!(shown(""), ["- calc.py 1+1\\nx\\n 0 \"2\\nerror: x\" python3 calc.py"]);
        assert_eq!(shown("`python3 calc.py --all` lists."), shown(""), "one command stands alone");
        assert!(examples(&TASK.replace("run as", "")).len() == 2);
        assert_eq!(examples(&TASK.replace("`python3 calc.py`", "it")).len(), 1, "no command");
    }

    #[test]
    fn a_call_with_its_value_is_an_example() {
        let one = |line: &str| shown(line).into_iter().find(|e| e.contains("expr.py")).unwrap_or_default();
        assert_eq!(
            one(
                "R1: `tokenize(text)` in `expr.py` returns parts, so `tokenize(\"1 + xy\")` returns `['1', '+', 'xy']`.\n"
            ),
            "R1 expr.py  0 \"\" assert got == ['1', '+', 'xy'], f\\\"tokenize returned {got\"'!r}\"'"
        );
        assert!(one("`evaluate('2')` is `2`.").starts_with("- expr.py"), "the file is the one that has it");
        assert_eq!(one("`evaluate(text)` returns `2`."), "", "what stands for something is no literal");
        assert_eq!(one("`evaluate('2')` returns `value`."), "");
        assert_eq!(one("`evaluate('2')` raises `ValueError`."), "");
        assert_eq!(one("`other('2')` returns `2`."), "", "no file is said to have it");
    }

    #[test]
    fn a_command_with_its_output_is_an_example() {
        let last = |line: &str| shown(line).pop().unwrap();
        assert_eq!(
            last("R2: `python3 calc.py '1 + 1'` prints `2`.\nR3: x"),
            "R2 calc.py  0 \"2\" python3 calc.py '1 + 1'"
        );
        assert_eq!(
            last("`python3 calc.py 1/0` prints `error` to standard error and exits with status 1. It ends."),
            "- calc.py  1 \"error\" python3 calc.py 1/0"
        );
        assert_eq!(shown("`python3 calc.py EXPRESSION` prints `VALUE`."), shown(""));
        assert_eq!(shown("`python3 other.py 1` prints `1`."), shown(""));
    }

    #[test]
    fn a_terminal_is_an_example() {
        let said = shown("```\n$ python3 calc.py 1+1\n2\n$ python3 calc.py 2+2\n4\n```\n");
        assert_eq!(said[0], "- calc.py  0 \"2\\n4\" python3 calc.py 2+2");
        assert_eq!(shown("```\npython3 calc.py 1+1\n```\n"), shown(""), "a block without a prompt is none");
    }

    #[test]
    fn commands_are_tried_as_they_stand() {
        let said = |more: &str| -> Vec<String> {
            commands(&format!("{TASK}{more}")).into_iter().map(|(_, command)| command).collect()
        };
        assert_eq!(said(""), ["python3 calc.py"]);
        assert_eq!(
            said("`python3 calc.py list [--all]` and `node x.mjs`"),
            ["python3 calc.py", "python3 calc.py list"]
        );
        assert!(said("It listens on a port.").is_empty());
    }
}
