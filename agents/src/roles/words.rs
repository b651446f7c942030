//! Plain words for what the machine knows as types: checks, requirements, test names, fences.

use edvac_memory::ids::RequirementId;
use edvac_memory::program::{CheckKind, Request, Requirement};
use serde::Serialize;

use crate::templates::Templates;

/// Characters of a text that a check gives or expects which are told.
const SHOWN_CHARS_MAX: usize = 400;

/// A requirement as templates see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequirementWords {
    /// `R2`.
    pub id: String,
    /// Its sentence.
    pub text: String,
}

/// Those of `all` that `ids` name, in the order of the program; all of them without `ids`.
pub fn requirements(all: &[Requirement], ids: Option<&[RequirementId]>) -> Vec<RequirementWords> {
    all.iter()
        .filter(|r| ids.is_none_or(|ids| ids.contains(&r.id)))
        .map(|r| RequirementWords { id: r.id.0.clone(), text: r.text.clone() })
        .collect()
}

/// How a test that proves `id` is named in `language`, as an example.
pub fn test_name(language: &str, id: &RequirementId) -> String {
    let lower = id.as_str().to_lowercase();
    match language {
        "python" => format!("test_{lower}_..."),
        "javascript" | "typescript" => format!("\"{id}: ...\""),
        "go" => format!("Test{id}_..."),
        _ => format!("{lower}_..."),
    }
}

/// What a check asks for, as the end of "The step is finished when:". `tests_run_by` is the test command.
pub fn check(kind: &CheckKind, covers: &[RequirementId], language: &str, tests_run_by: &str) -> String {
    match kind {
        CheckKind::Exists { path } => format!("{path} exists and is not empty"),
        CheckKind::Parses { path } => format!("{path} has no syntax error"),
        CheckKind::Tests => tests(covers, language, tests_run_by),
        CheckKind::Words { path, section, min, max } => {
            format!("{} has {min} to {max} words", part(path, *section))
        }
        CheckKind::Headings { path, sections_min } => {
            format!("{path} begins with one `# ` title and has at least {sections_min} `## ` sections")
        }
        CheckKind::Outline { path, section, beats } => {
            format!("{} speaks of: {}", part(path, *section), beats.join("; "))
        }
        CheckKind::Canon { path, canon } => format!("{path} spells every name as {canon} does"),
        CheckKind::Repetition { path, .. } => format!("{path} says nothing twice"),
        CheckKind::Variety { path, .. } => format!("{path} does not go in circles"),
        CheckKind::Links { path } => format!("every link in {path} leads to a file or heading that there is"),
        CheckKind::Builds => "the project builds".to_owned(),
        CheckKind::Lints => "the linter finds nothing".to_owned(),
        CheckKind::Runs { command, input, exit_status, output } => {
            let input =
                input.as_ref().map_or(String::new(), |text| format!(" with the input {}", short(text)));
            let output = if output.is_anything() {
                String::new()
            } else {
                format!("; its output must {}", output.words())
            };
            format!("`{command}`{input} ends with exit code {exit_status}{output}")
        }
        CheckKind::Starts { commands, .. } => match commands.as_slice() {
            [command] => format!("`{command}` starts, and nothing that it uses is missing"),
            _ => "every command line of the task starts, and nothing that it uses is missing".to_owned(),
        },
        CheckKind::Http { start, port, requests } => {
            let asked: Vec<_> = requests.iter().map(request).collect();
            format!("`{start}` listens on port {port} of 127.0.0.1, and {}", asked.join("; "))
        }
        CheckKind::Golden { command, files } => {
            let made = command.as_ref().map_or(String::new(), |line| format!("after `{line}` "));
            let each: Vec<_> =
                files.iter().map(|(path, text)| format!("{path} holds {}", short(text))).collect();
            format!("{made}{}", each.join("; "))
        }
    }
}

/// A file, or one of its sections.
pub fn part(path: &str, section: Option<u32>) -> String {
    section.map_or_else(|| path.to_owned(), |number| format!("section {number} of {path}"))
}

/// A text in quotes, and not too much of it.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?} and so on", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn request(request: &Request) -> String {
    let Request { method, path, body, status, expect, .. } = request;
    let body = body.as_ref().map_or(String::new(), |text| format!(" with the body {}", short(text)));
    let expect =
        if expect.is_anything() { String::new() } else { format!(", which must {}", expect.words()) };
    format!("{method} {path}{body} is answered with status {status}{expect}")
}

fn tests(covers: &[RequirementId], language: &str, tests_run_by: &str) -> String {
    let run = if tests_run_by.is_empty() { String::new() } else { format!("`{tests_run_by}` runs and ") };
    let name = |id: &RequirementId| format!("for {id} there is a test named {}", test_name(language, id));
    let names: Vec<_> = covers.iter().map(name).collect();
    let names = if names.is_empty() { String::new() } else { format!("; {}", names.join(", ")) };
    format!("{run}no test fails{names}")
}

/// Whether a task is about something that is kept between two runs of the program. Small models copy the example they
/// are shown, so one that keeps a file is shown only where this is so.
pub fn keeps_something(task: &str) -> bool {
    const BEGINNINGS: [&str; 12] = [
        "stor", "sav", "keep", "kept", "persist", "json", "csv", "sqlite", "database", "remember", "todo",
        "account",
    ];
    speaks_of(task, &BEGINNINGS)
}

/// Whether a program of the task is driven by commands on its standard input, one a line.
pub fn reads_lines(task: &str) -> bool {
    let task = task.to_lowercase();
    let reads = |line: &str| ["standard input", "stdin"].iter().any(|words| line.contains(words));
    task.lines().any(|line| reads(line) && line.contains("commands"))
}

/// Whether a task says what is printed where and how the program ends. Libraries for arguments have words of their own.
pub fn is_exact(task: &str) -> bool {
    let task = task.to_lowercase();
    ["standard error", "stderr", "exit status", "exit code", "exits with"]
        .iter()
        .any(|words| task.contains(words))
}

/// Whether a task asks for a made-up story. Its example is one; other books have a guide as theirs.
pub fn is_story(task: &str) -> bool {
    const BEGINNINGS: [&str; 10] =
        ["story", "stories", "tale", "novel", "fiction", "fairy", "romance", "thriller", "saga", "mystery"];
    speaks_of(task, &BEGINNINGS)
}

fn speaks_of(task: &str, beginnings: &[&str]) -> bool {
    task.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .any(|word| beginnings.iter().any(|beginning| word.starts_with(beginning)))
}

/// The template with a domain's words: where there was something before the run, one that is made for that, if it has one.
pub fn of_domain(domain: &str, name: &str, existing: bool, templates: &Templates) -> String {
    let own = format!("domains/{domain}/existing/{name}");
    if existing && templates.text(&own).is_ok() { own } else { format!("domains/{domain}/{name}") }
}

/// A fence that does not end inside `text`.
pub fn fence(text: &str) -> String {
    let run = |line: &str| line.trim_start().chars().take_while(|c| *c == '`').count();
    "`".repeat(text.lines().map(run).max().unwrap_or(0).max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fence("x"), "```");
        assert_eq!(fence("a\n  ````rust\n"), "`````");
    }

    #[test]
    fn what_is_kept() {
        assert!(keeps_something("A todo app, stored in JSON") && keeps_something("It saves notes."));
        assert!(
            reads_lines("It reads Commands from STDIN.") && !reads_lines("It reads commands from a file.")
        );
        assert!(!reads_lines("It reads numbers from standard input.\nIt has commands."));
        assert!(is_exact("It exits with status 1.") && !is_exact("An unknown name is an error."));
        assert!(is_story("A three-chapter Story") && !is_story("A book on sourdough"));
        assert!(!keeps_something("Roman numerals to numbers and back") && !keeps_something(""));
    }

    #[test]
    fn tests_are_named_as_the_language_does() {
        for (language, name) in [
            ("python", "test_r2_..."),
            ("rust", "r2_..."),
            ("javascript", "\"R2: ...\""),
            ("go", "TestR2_..."),
        ] {
            assert_eq!(test_name(language, &"R2".into()), name);
        }
    }
}
