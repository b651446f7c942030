//! Whether a program starts. A name that there is not is wrong whatever a user types, so that this needs no example.

use std::sync::LazyLock;

use edvac_memory::store::StoreError;
use edvac_memory::store::path::{is_test, stem};
use edvac_memory::verdict::Verdict;
use regex::Regex;

use super::bench::{Bench, last_line, not_of_the_project};
use super::command::{COMMAND_MS_MAX, NOT_FOUND_WORDS, of_command, shell};
use super::integrity::speaks;
use super::undefined::undefined;
use super::{Found, Ground};

/// Errors that no input excuses, as the language's runtime names them in the last lines of what it prints.
fn never_right(runner: &str) -> Option<&'static LazyLock<Option<Regex>>> {
    // What is nothing may be so by its input; a call with too few arguments may get them from the command line.
    static PYTHON: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^(?:(?:Syntax|Indentation|Tab|Import|ModuleNotFound|Name|UnboundLocal|NotImplemented)Error\b.*|AttributeError: (?:module |type object |'[A-MO-Z_a-z]\w*' ).*|TypeError: .* object is not callable)$").ok()
    });
    static JAVASCRIPT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^(?:(?:SyntaxError|ReferenceError)\b.*|TypeError: (?:.* is not a (?:function|constructor)|Assignment to constant variable).*|Error \[ERR_(?:MODULE_NOT_FOUND|UNKNOWN_FILE_EXTENSION|UNSUPPORTED_\w+)\]: .*)$").ok()
    });
    match runner {
        "python" => Some(&PYTHON),
        "javascript" => Some(&JAVASCRIPT),
        _ => None,
    }
}

/// By these words a runtime says that an error was caught by nobody; Python has no traceback of a file that does not parse.
const UNCAUGHT_WORDS: [&str; 3] = ["Traceback (most recent call last)", "  File \"", "\nNode.js v"];

/// The error, of those that no input excuses, in which a program ended that nobody caught.
fn fatal<'a>(output: &'a str, runner: &str) -> Option<&'a str> {
    let is_uncaught = UNCAUGHT_WORDS.iter().any(|words| output.contains(words));
    let found = never_right(runner)?.as_ref()?.find_iter(output).last()?;
    is_uncaught.then(|| found.as_str())
}

/// The error in which a program ended that nobody caught, whatever it is.
fn crash<'a>(output: &'a str, runner: &str) -> Option<&'a str> {
    never_right(runner)?;
    let is_uncaught = UNCAUGHT_WORDS.iter().any(|words| output.contains(words));
    let named = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        line.contains(": ") && name.ends_with("Error") && !name.contains(' ')
    };
    output.lines().rev().find(named).filter(|_| is_uncaught)
}

/// Whether a command line is what a user types, with a word behind the program and without words in capitals that stand for
/// something else: such a one has to work as it is.
fn is_literal(command: &str) -> bool {
    let is_capital = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase());
    let stands_for =
        |word: &str| !word.starts_with('-') && word.split(|c: char| !c.is_alphanumeric()).any(is_capital);
    let mut words = command.split_whitespace();
    words.clone().count() > 2 && !words.any(stands_for)
}

/// Files that are looked through for what they call.
const FILES_MAX: usize = 200;
/// How a line begins that others are to use.
const DEFINES: [&str; 5] = ["def ", "class ", "export function ", "export class ", "export async function "];
/// Files that others read without importing them.
const SETTINGS: [&str; 3] = ["conftest", "setup", "__init__"];
/// Fewest command lines with arguments of which one has to print something.
const ARGUED_MIN: usize = 2;

/// Runs command lines without input, one after the other in the same directory, until one ends in an error that is the
/// program's own; where a task says what is printed when something is wrong, in any that nobody caught. Then three things are looked for that such runs do not reach: functions that are called and not defined, files
/// that nobody imports, and whether anything reads the command line at all.
pub(super) async fn starts(commands: &[String], caught: bool, ground: &Ground<'_>) -> Found {
    let bench = match Bench::of(ground) {
        Ok(bench) => bench,
        Err(reason) => return Found::nothing(reason),
    };
    let runner = ground.domain.runner(ground.language);
    let mut found = Found::nothing("no command was run");
    let mut printed = String::new();
    for command in commands {
        let line = format!("{{ {command}\n}} < /dev/null");
        let ran = match bench.run(&bench.job(shell(&line), COMMAND_MS_MAX)).await {
            Ok(ran) => ran,
            Err(reason) => return Found::nothing(reason),
        };
        let is_missing = NOT_FOUND_WORDS.iter().any(|words| last_line(&ran.output).contains(words));
        let accident = not_of_the_project(&ran).filter(|_| ran.limit.is_some() || is_missing);
        let crash = || crash(&ran.output, runner).filter(|_| caught || is_literal(command));
        let verdict = match fatal(&ran.output, runner).or_else(crash) {
            Some(error) => Verdict::Failed { reason: format!("`{command}`: {error}") },
            None => accident.unwrap_or(Verdict::Passed),
        };
        let is_passed = verdict.is_passed();
        printed.push_str(ran.output.trim());
        found = of_command(verdict, command, &ran);
        if !is_passed {
            found.causes.push(format!("`{command}`:\n{}", found.detail));
            return found;
        }
    }
    let why = match unreachable_in(commands, ground, runner) {
        Ok(Some(why)) => why,
        Ok(None) if printed.is_empty() && argued(commands) >= ARGUED_MIN => format!(
            "none of the {} command lines prints anything, neither a result nor an error: what reads the command line is not called",
            commands.len()
        ),
        Ok(None) => return found,
        Err(error) => return Found::nothing(error.to_string()),
    };
    Found { verdict: Verdict::Failed { reason: why }, ..found }
}

/// Command lines that say more than which file is run.
fn argued(commands: &[String]) -> usize {
    commands.iter().filter(|command| command.split_whitespace().count() > 2).count()
}

/// A function that a file of the project calls and nobody defines, or a file of functions that no other one imports, as a
/// sentence.
fn unreachable_in(
    commands: &[String],
    ground: &Ground<'_>,
    runner: &str,
) -> Result<Option<String>, StoreError> {
    let mut texts = Vec::new();
    let files = ground.store.list(ground.tree)?.into_keys();
    for path in files.filter(|path| speaks(path, runner) && !is_test(path)).take(FILES_MAX) {
        let text = String::from_utf8_lossy(&ground.store.read(ground.tree, &path)?).into_owned();
        if let Some((name, line)) = undefined(&path, &text) {
            let why =
                format!("{path} calls `{name}` in line {line}, and it is not defined there, nor imported");
            return Ok(Some(why));
        }
        texts.push((path, text));
    }
    Ok(unused(commands, &texts))
}

/// A file of functions, beside what is run, whose name stands in no other file.
fn unused(commands: &[String], texts: &[(String, String)]) -> Option<String> {
    let is_run = |path: &str| commands.iter().any(|line| line.split_whitespace().any(|word| word == path));
    let run = texts.iter().find(|(path, _)| is_run(path))?;
    let defines = |text: &str| text.lines().any(|line| DEFINES.iter().any(|begin| line.starts_with(begin)));
    let is_unused = |(path, text): &&(String, String)| {
        let named = |(other, text): &(String, String)| other != path && text.contains(stem(path));
        !is_run(path) && defines(text) && !SETTINGS.contains(&stem(path)) && !texts.iter().any(named)
    };
    let (path, _) = texts.iter().find(is_unused)?;
    Some(format!("nothing is imported from {path}; {} has to use what it has", run.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_types_does_not_crash() {
        let said = "file:///a.mjs:1\nx\n^\n\nTypeError: Cannot read properties of undefined (reading 'push')\n    at main\n\nNode.js v20.1.0\n";
        assert_eq!(
            crash(said, "javascript"),
            Some("TypeError: Cannot read properties of undefined (reading 'push')")
        );
        assert_eq!(crash("error: TypeError: x\n", "javascript"), None, "it is said by the program");
        let said = "Traceback (most recent call last):\n  File \"a.py\", line 1\nAttributeError: 'NoneType' object has no attribute 'x'\n";
        assert_eq!(crash(said, "python"), Some("AttributeError: 'NoneType' object has no attribute 'x'"));
        let literal = [
            "node todo.mjs list --open",
            "python3 a.py",
            "python3 a.py A B",
            "cargo run -- get KEY_1",
            "python3 a.py -V",
        ]
        .map(is_literal);
        assert_eq!(literal, [true, false, false, false, true]);
    }

    #[test]
    fn functions_that_nobody_can_reach() {
        let with = |main: &str, lib: &str| {
            let texts = [("lib/kv.py", lib), ("main.py", main), ("conftest.py", "def x():\n    pass\n")];
            unused(
                &["python3 main.py get KEY".into()],
                &texts.map(|(path, text)| (path.to_owned(), text.to_owned())),
            )
        };
        let lib = "class Store:\n    pass\n";
        assert_eq!(
            with("import sys\n", lib).as_deref(),
            Some("nothing is imported from lib/kv.py; main.py has to use what it has")
        );
        assert_eq!(with("from lib import kv\n", lib), None);
        assert_eq!(with("import sys\n", "LIMIT = 1\n"), None, "a list of values may be run by itself");
        assert_eq!(
            unused(&["make".into()], &[("kv.py".into(), lib.into())]),
            None,
            "nobody knows what is run"
        );
    }

    #[test]
    fn errors_that_no_input_excuses() {
        let traceback =
            |last: &str| format!("Traceback (most recent call last):\n  File \"a.py\", line 1\n{last}\n");
        for error in [
            "ModuleNotFoundError: No module named 'stor'",
            "NameError: name 'x' is not defined",
            "AttributeError: 'Store' object has no attribute 'keys'",
            "TypeError: 'int' object is not callable",
        ] {
            assert_eq!(fatal(&traceback(error), "python"), Some(error));
            assert_eq!(fatal(error, "python"), None, "a program may print it");
        }
        assert_eq!(fatal(&traceback("ValueError: invalid literal for int()"), "python"), None);
        for by_input in [
            "FileNotFoundError: 'FILE'",
            "TypeError: add() missing 2 required positional arguments: 'a' and 'b'",
            "AttributeError: 'NoneType' object has no attribute 'group'",
        ] {
            assert_eq!(fatal(&traceback(by_input), "python"), None);
        }
        let syntax = "  File \"a.py\", line 3\n    x = = 1\nSyntaxError: invalid syntax\n";
        assert_eq!(fatal(syntax, "python"), Some("SyntaxError: invalid syntax"));
        let node = |error: &str| {
            format!(
                "file:///project/a.mjs:1\nx\n^\n\n{error}\n    at file:///project/a.mjs:1:1\n\nNode.js v20.1.0\n"
            )
        };
        for error in [
            "SyntaxError: The requested module './store.mjs' does not provide an export named 'load'",
            "ReferenceError: x is not defined",
            "TypeError: tasks.find is not a function",
        ] {
            assert_eq!(fatal(&node(error), "javascript"), Some(error));
        }
        for by_input in
            ["Error: no such task", "TypeError: Cannot read properties of undefined (reading 'split')"]
        {
            assert_eq!(fatal(&node(by_input), "javascript"), None);
        }
        assert_eq!(fatal(&node("ReferenceError: x is not defined"), "rust"), None);
    }
}
