//! What a task fixes itself. A user who writes down requirements and files wants these and not a model's copies of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use edvac_memory::ids::RequirementId;
use edvac_memory::program::Requirement;
use edvac_memory::store::path::{file_name, is_test, is_text, stem};
use regex::Regex;
use serde::Serialize;

use super::{PlanDraft, REQUIREMENTS_MAX, StepDraft};

/// Fewer items are a remark and no list.
const ITEMS_MIN: usize = 2;

/// What a planner need not find out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Given {
    /// Requirements, numbered from R1 on; empty where the task lists none.
    pub requirements: Vec<Requirement>,
    /// Files that the project must have.
    pub files: Vec<String>,
    /// The files of each step, where those that the task lists say how the work is cut.
    pub steps: Vec<Vec<String>>,
}

/// Reads a task for its lists of requirements and of files.
///
/// Requirements are lines that begin with `R1:`, `R2:` and so on, in that order; without those, the items of the first list
/// behind a heading that speaks of requirements, features or criteria. Files are list items that begin with a file's name,
/// behind a line that speaks of files. More than [`REQUIREMENTS_MAX`] requirements are none: a planner has to put them
/// together.
pub fn given(task: &str) -> Given {
    let mut requirements = numbered(task);
    if requirements.len() < ITEMS_MIN {
        requirements = listed(task);
    }
    if !(ITEMS_MIN..=REQUIREMENTS_MAX).contains(&requirements.len()) {
        requirements.clear();
    }
    let requirements = requirements
        .into_iter()
        .zip(1..)
        .map(|(text, number)| Requirement { id: RequirementId(format!("R{number}")), text })
        .collect();
    let files: Vec<_> = files(task).into_iter().map(|(path, _)| path).collect();
    let steps = steps(&files, task);
    Given { requirements, files, steps }
}

/// The plan of a task that is one itself: it lists its requirements and its files, and says of each file of code what it is
/// for. Nobody has to be asked then, and no model's words stand between the user's and the worker.
pub fn settled(task: &str) -> Option<PlanDraft> {
    let Given { requirements, steps, .. } = given(task);
    let about: BTreeMap<_, _> = files(task).into_iter().collect();
    let is_told =
        |path: &String| !is_code(path) || is_test(path) || about.get(path).is_some_and(|a| !a.is_empty());
    if requirements.is_empty() || steps.is_empty() || !steps.iter().flatten().all(is_told) {
        return None;
    }
    let title = task.lines().find_map(|line| line.strip_prefix("# "));
    let language = steps.iter().flatten().find_map(|path| language_of(path));
    let mut before: Vec<String> = Vec::new();
    let steps = steps.iter().map(|files| {
        let about = |path: &String| match about.get(path).filter(|about| !about.is_empty()) {
            Some(about) => format!("- {path}: {about}"),
            None if is_test(path) => format!("- {path}: the tests of what this step writes"),
            None => format!("- {path}, as the task asks for it"),
        };
        let lines: Vec<_> = files.iter().map(about).collect();
        let reads = before.clone();
        before.extend(files.iter().filter(|path| is_code(path) && !is_test(path)).cloned());
        StepDraft {
            title: files.iter().find(|path| is_code(path)).unwrap_or(&files[0]).clone(),
            text: format!("Write these files:\n{}", lines.join("\n")),
            writes: files.clone(),
            reads,
            ..StepDraft::default()
        }
    });
    Some(PlanDraft {
        title: title.unwrap_or("project").trim().to_owned(),
        language: language.unwrap_or_default().to_owned(),
        steps: steps.collect(),
        requirements: requirements.into_iter().map(|r| (r.id, r.text)).collect(),
        ..PlanDraft::default()
    })
}

/// Whether a task lists its requirements itself.
pub fn is_listed(task: &str) -> bool {
    !given(task).requirements.is_empty()
}

/// A task without its numbered requirements and the heading above them.
pub fn without_requirements(task: &str) -> String {
    let mut open = false;
    let mut kept: Vec<&str> = Vec::new();
    for line in task.trim().lines() {
        if numbered_line(line).is_some() {
            open = true;
            while kept.last().is_some_and(|above| above.trim().is_empty() || announces(above)) {
                kept.pop();
            }
            continue;
        }
        // A sentence goes on in the next line.
        open &= !line.trim().is_empty() && !line.starts_with('#');
        if !open {
            kept.push(line);
        }
    }
    kept.join("\n").trim().to_owned()
}

/// Whether a line is a heading above requirements.
fn announces(line: &str) -> bool {
    (line.starts_with('#') || line.ends_with(':')) && line.to_lowercase().contains("requirement")
}

/// Whether a task has these requirements as lines of its own, with their ids, so that nobody who sees it has to be told them.
pub fn lists(task: &str, requirements: &[Requirement]) -> bool {
    let own = numbered(task);
    !requirements.is_empty()
        && own.len() == requirements.len()
        && own.iter().zip(requirements).all(|(text, requirement)| *text == requirement.text)
}

/// What a line is, as far as lists are concerned.
enum Line<'a> {
    Blank,
    /// A heading, or a line that announces something.
    Heading(&'a str),
    Item(&'a str),
    Other(&'a str),
}

fn lines(task: &str) -> impl Iterator<Item = Line<'_>> {
    static ITEM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^\s{0,3}(?:[-*+]|[0-9]{1,2}[.)])\s+(?:\[[ xX]\]\s+)?(\S.*)$").ok());
    let mut fenced = false;
    task.lines().map(str::trim_end).map(move |line| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return Line::Other("");
        }
        if fenced {
            return Line::Other("");
        }
        if line.trim().is_empty() {
            return Line::Blank;
        }
        if let Some(item) = ITEM.as_ref().and_then(|item| item.captures(line)) {
            return Line::Item(item.get(1).map_or("", |text| text.as_str()));
        }
        match line.strip_prefix('#') {
            Some(heading) => Line::Heading(heading),
            None if line.ends_with(':') => Line::Heading(line),
            None => Line::Other(line.trim()),
        }
    })
}

/// `R1: …`, `**R2**: …`
static NUMBERED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\**R([0-9]{1,2})\**[:.)]\**\s+(\S.*)$").ok());

/// The requirement whose sentence begins in this line.
pub(super) fn numbered_line(line: &str) -> Option<RequirementId> {
    let text = line.trim_start_matches(['-', '*', ' ']);
    let parts = NUMBERED.as_ref()?.captures(text)?;
    Some(RequirementId(format!("R{}", &parts[1])))
}

/// `R1: …`, `- **R2**: …`, one behind the other without gaps.
fn numbered(task: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines(task) {
        let (Line::Item(text) | Line::Other(text) | Line::Heading(text)) = line else {
            open = false;
            continue;
        };
        match NUMBERED.as_ref().and_then(|numbered| numbered.captures(text)) {
            Some(parts) if parts[1].parse() == Ok(found.len() + 1) => {
                found.push(parts[2].trim().to_owned());
                open = true;
            }
            Some(_) => return Vec::new(),
            None if open && matches!(line, Line::Other(_)) => go_on(&mut found, text),
            None => open = false,
        }
    }
    found
}

fn listed(task: &str) -> Vec<String> {
    const WORDS: [&str; 4] = ["requirement", "feature", "criteria", "user stories"];
    let mut found: Vec<String> = Vec::new();
    let mut announced = false;
    let mut open = false;
    for line in lines(task) {
        match line {
            Line::Heading(_) if !found.is_empty() => break,
            Line::Heading(heading) => {
                let heading = heading.to_lowercase();
                announced = WORDS.iter().any(|word| heading.contains(word));
            }
            Line::Item(text) if announced => {
                found.push(text.trim().to_owned());
                open = true;
            }
            Line::Other(text) if open => go_on(&mut found, text),
            Line::Other(_) if !found.is_empty() => break,
            Line::Blank => open = false,
            Line::Item(_) | Line::Other(_) => {}
        }
    }
    found
}

/// A sentence may go on in the next line.
fn go_on(found: &mut [String], text: &str) {
    if let Some(last) = found.last_mut().filter(|_| !text.is_empty()) {
        last.push(' ');
        last.push_str(text.trim());
    }
}

/// Each with what is said of it.
pub(super) fn files(task: &str) -> Vec<(String, String)> {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"^\**`?((?:[A-Za-z0-9_][A-Za-z0-9_-]*/){0,6}[A-Za-z0-9_][A-Za-z0-9._-]*\.[A-Za-z0-9]{1,8})`?\**(?:[\s:(,]+(.*))?$",
        )
        .ok()
    });
    let mut found: Vec<(String, String)> = Vec::new();
    let mut announced = false;
    for line in lines(task) {
        match line {
            Line::Heading(heading) => announced = heading.to_lowercase().contains("file"),
            Line::Item(text) if announced => {
                let parts = NAME.as_ref().and_then(|name| name.captures(text));
                let part = |at| parts.as_ref().and_then(|p| p.get(at)).map_or("", |m| m.as_str());
                let (path, about) = (part(1).to_owned(), part(2).trim().to_owned());
                if !path.is_empty() && !found.iter().any(|(other, _)| *other == path) {
                    found.push((path, about));
                }
            }
            _ => {}
        }
    }
    found
}

/// What a command line of a program that has not to be built begins with.
pub const RUNNERS: [&str; 3] = ["python3", "python", "node"];

/// Whether a task says of a file that it is run as a command.
pub fn is_run(path: &str, task: &str) -> bool {
    let starts = RUNNERS.map(|runner| format!("{runner} {path}"));
    starts.iter().any(|start| task.contains(start.as_str()))
        || matches!(file_name(path), "main.rs" | "main.go")
}

/// How files are cut into steps: each file of code with its tests, what is run as a command last; then the texts. A crate
/// without a library is one step, since nothing of it can be built without the rest.
fn steps(files: &[String], task: &str) -> Vec<Vec<String>> {
    let code = files.iter().filter(|path| is_code(path) && !is_test(path)).cloned();
    let (run, parts): (Vec<_>, Vec<_>) = code.partition(|path| is_run(path, task));
    let mut steps: Vec<Vec<String>> = parts.into_iter().chain(run).map(|path| vec![path]).collect();
    let Some(first) = steps.first() else { return Vec::new() };
    let has_crate = first[0].ends_with(".rs");
    if has_crate && !files.iter().any(|path| path.ends_with("lib.rs")) {
        steps = vec![steps.concat()];
    }
    for path in files.iter().filter(|path| is_test(path) && is_code(path)) {
        let tested = steps.iter().position(|step| stem(&step[0]) == stem(path)).unwrap_or(steps.len() - 1);
        steps[tested].push(path.clone());
    }
    for step in &mut steps {
        let has_tests = step.iter().any(|path| is_test(path));
        let own = (!has_tests).then(|| tests_of(&step[0])).flatten();
        step.extend(own);
    }
    let others = files.iter().filter(|path| !is_code(path) && !is_text(path));
    steps[0].splice(0..0, others.cloned());
    let texts: Vec<_> = files.iter().filter(|path| is_text(path)).cloned().collect();
    steps.extend((!texts.is_empty()).then_some(texts));
    steps
}

fn is_code(path: &str) -> bool {
    language_of(path).is_some()
}

pub(super) fn language_of(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "py" => "python",
        "js" | "mjs" | "cjs" | "ts" | "mts" => "javascript",
        "rs" => "rust",
        "go" => "go",
        _ => return None,
    })
}

/// Where the tests of a file stand that has none of its own in the list; nowhere in Rust, where they stand in it.
fn tests_of(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let (stem, end) = name.rsplit_once('.')?;
    let name = match end {
        "py" => format!("test_{stem}.py"),
        "go" => format!("{stem}_test.go"),
        "rs" => return None,
        _ => format!("{stem}.test.{end}"),
    };
    Some(if folder.is_empty() { name } else { format!("{folder}/{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(task: &str) -> Vec<String> {
        given(task).requirements.into_iter().map(|r| format!("{} {}", r.id, r.text)).collect()
    }

    #[test]
    fn numbered_requirements_are_taken_word_for_word() {
        let task = "A tool.\n\n## Requirements\n\nR1: `a` prints `b: c`.\nR2: It goes\n  on here.\nR3: Last.\n\nThank you.\n";
        assert_eq!(texts(task), ["R1 `a` prints `b: c`.", "R2 It goes on here.", "R3 Last."]);
        assert_eq!(texts("- **R1**: One.\n- **R2:** Two.\n"), ["R1 One.", "R2 Two."]);
        assert!(texts("R1: One.\nR3: Three.").is_empty(), "a gap is no list of ours");
        assert!(texts("R1: One.").is_empty());
    }

    #[test]
    fn a_task_is_more_than_its_requirements() {
        let task = "# A tool\n\nIt counts.\n\n## Requirements\n\nR1: `a` prints\n  `b`.\n\n- **R2**: It goes on.\n\nThank you.\n";
        assert_eq!(without_requirements(task), "# A tool\n\nIt counts.\n\nThank you.");
        assert_eq!(without_requirements("A tool.\n\n- a\n- b\n"), "A tool.\n\n- a\n- b");
    }

    #[test]
    fn a_list_behind_a_heading_is_numbered() {
        let task = "A shop.\n\n## Features\n\n- Log in\n  with a password\n- [ ] Log out\n\n1. Buy\n\n## Notes\n\n- Not one\n";
        assert_eq!(texts(task), ["R1 Log in with a password", "R2 Log out", "R3 Buy"]);
        assert_eq!(texts("It has these features:\n* a\n* b"), ["R1 a", "R2 b"]);
        assert!(texts("Steps:\n- a\n- b").is_empty());
        assert!(texts("A todo app: add, list and remove tasks").is_empty());
        let many: String =
            (0..=REQUIREMENTS_MAX).fold("Requirements:\n".to_owned(), |all, n| format!("{all}- {n}\n"));
        assert!(texts(&many).is_empty());
    }

    #[test]
    fn what_stands_in_a_fence_is_no_list() {
        assert!(texts("Requirements:\n```\n- a\n- b\n```\n").is_empty());
    }

    #[test]
    fn files_are_items_that_begin_with_a_name() {
        let task = "Files:\n\n- `src/main.rs`: reads\n- Cargo.toml\n- **`README.md`** (short)\n- the tests\n- `add`: no file\n- `../x.rs`\n\n## Requirements\n\n- `a.py` prints.\n- b\n";
        let given = given(task);
        assert_eq!(given.files, ["src/main.rs", "Cargo.toml", "README.md"]);
        assert_eq!(given.steps, [vec!["Cargo.toml", "src/main.rs"], vec!["README.md"]]);
    }

    #[test]
    fn a_task_that_is_a_plan_needs_none() {
        let task = "# A shop\n\nFiles:\n- `shop.py`: run as `python3 shop.py`\n- `store.py`: the class `Store`\n- `README.md`\n\nR1: It sells.\nR2: `store.py` keeps.\n";
        let draft = settled(task).unwrap();
        assert_eq!((draft.title.as_str(), draft.language.as_str()), ("A shop", "python"));
        let told = |at: usize| {
            let step = &draft.steps[at];
            let text = step.text.strip_prefix("Write these files:\n").unwrap();
            format!("{}|{}|{text}", step.writes.join(" "), step.reads.join(" "))
        };
        let tests = "the tests of what this step writes";
        assert_eq!(
            told(0),
            format!("store.py test_store.py||- store.py: the class `Store`\n- test_store.py: {tests}")
        );
        assert_eq!(
            told(1),
            format!(
                "shop.py test_shop.py|store.py|- shop.py: run as `python3 shop.py`\n- test_shop.py: {tests}"
            )
        );
        assert_eq!(told(2), "README.md|store.py shop.py|- README.md, as the task asks for it");
        assert_eq!(settled(&task.replace(": the class `Store`", "")), None, "nobody says what it is for");
        assert_eq!(settled(&task.replace("R2: ", "")), None);
    }

    #[test]
    fn files_say_how_the_work_is_cut() {
        let cut = |files: &[&str], task: &str| -> Vec<String> {
            let files: Vec<_> = files.iter().map(|&file| file.to_owned()).collect();
            steps(&files, task).iter().map(|step| step.join(" ")).collect()
        };
        let python = cut(&["kv.py", "store.py", "test_store.py", "README.md"], "run as `python3 kv.py`");
        assert_eq!(python, ["store.py test_store.py", "kv.py test_kv.py", "README.md"]);
        let javascript = cut(&["lib/a.mjs", "b.mjs", "package.json"], "`node b.mjs x`");
        assert_eq!(javascript, ["package.json lib/a.mjs lib/a.test.mjs", "b.mjs b.test.mjs"]);
        assert_eq!(
            cut(&["Cargo.toml", "src/main.rs", "src/bank.rs"], ""),
            ["Cargo.toml src/bank.rs src/main.rs"]
        );
        assert_eq!(cut(&["src/lib.rs", "src/main.rs"], ""), ["src/lib.rs", "src/main.rs"]);
        assert!(cut(&["README.md", "data.csv"], "").is_empty());
    }
}
