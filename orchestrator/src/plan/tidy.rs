//! Putting a draft right where there is one right answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use edvac_agents::roles::planner::{Given, PlanDraft, StepDraft};
use edvac_memory::ids::RequirementId;
use edvac_memory::store::path::file_name;
use regex::{NoExpand, Regex};
use similar::TextDiff;

use super::place;

/// Most lines of a step that was put together of several.
pub(super) const STEP_LINES_MAX: usize = 30;
/// Requirements are alike from this share of words in common, in the same order, on.
const ALIKE_MIN: f32 = 0.75;
/// Shorter sentences than this many words differ too much by one word.
const ALIKE_WORDS_MIN: usize = 6;

/// Puts right what every planner of a small model gets wrong now and then and what has one right answer: a Python
/// module whose name cannot be imported, one requirement in several sentences, steps that only go on with the files of an
/// earlier one, whose worker would have to write them anew, and a manifest that nobody writes.
///
/// What the task names itself keeps its name, and requirements that it lists itself stay as they are.
pub(super) fn tidy(
    draft: &mut PlanDraft,
    language: &str,
    manifest: Option<&str>,
    task: &str,
    given: &Given,
    there: Option<&BTreeSet<String>>,
) {
    name_files(draft, language, task, there);
    if given.requirements.is_empty() {
        merge_alike(draft);
    } else {
        drop_tests(draft);
    }
    join_steps(draft);
    write_given(draft, &given.files);
    drop_reads(draft, there);
    // A project that is there has one, or does without.
    if let Some(name) = manifest.filter(|_| there.is_none()) {
        begin_with(draft, name);
    }
}

/// The same for steps that follow others: requirements and manifest are settled.
pub(super) fn tidy_steps(
    draft: &mut PlanDraft,
    language: &str,
    task: &str,
    there: Option<&BTreeSet<String>>,
) {
    name_files(draft, language, task, there);
    join_steps(draft);
    drop_reads(draft, there);
}

fn name_files(draft: &mut PlanDraft, language: &str, task: &str, there: Option<&BTreeSet<String>>) {
    match there {
        // A project that is there has names of its own.
        Some(there) => place::place(draft, there),
        None => rename_files(draft, language, task),
    }
}

fn rename_files(draft: &mut PlanDraft, language: &str, task: &str) {
    match language {
        "python" => rename(draft, python_name, task),
        "javascript" => rename(draft, javascript_name, task),
        _ => {}
    }
}

/// Files that the task names and no step writes are a step of their own behind all others.
fn write_given(draft: &mut PlanDraft, files: &[String]) {
    for path in files {
        if draft.steps.iter().any(|step| step.writes.contains(path)) {
            continue;
        }
        draft.steps.push(StepDraft {
            title: path.clone(),
            text: format!("Write {path} as the task describes it."),
            reads: draft.steps.iter().flat_map(|s| s.writes.iter().cloned()).collect(),
            writes: vec![path.clone()],
            ..StepDraft::default()
        });
    }
}

/// Takes out what names tests one by one: each requirement has a test anyway, and a small model's list goes round in circles.
fn drop_tests(draft: &mut PlanDraft) {
    for step in &mut draft.steps {
        let says_more =
            |line: &&str| !line.trim_start_matches(['-', ' ', '`']).to_lowercase().starts_with("test");
        let kept: Vec<_> = step.text.lines().filter(says_more).collect();
        if !kept.is_empty() {
            step.text = kept.join("\n");
        }
    }
}

/// A file that only a later step writes is not there to be read, unless it was there before.
fn drop_reads(draft: &mut PlanDraft, there: Option<&BTreeSet<String>>) {
    let writes: Vec<Vec<String>> = draft.steps.iter().map(|step| step.writes.clone()).collect();
    for (at, step) in draft.steps.iter_mut().enumerate() {
        let is_written = |range: &[Vec<String>], path: &String| range.iter().any(|w| w.contains(path));
        let was_there = |path: &String| there.is_some_and(|there| there.contains(path));
        step.reads.retain(|path| {
            was_there(path) || is_written(&writes[..=at], path) || !is_written(&writes[at..], path)
        });
    }
}

fn join_steps(draft: &mut PlanDraft) {
    let mut steps: Vec<StepDraft> = Vec::new();
    for step in std::mem::take(&mut draft.steps) {
        match steps.iter_mut().find(|s| goes_on_with(s, &step)) {
            Some(earlier) => join(earlier, step),
            None => steps.push(step),
        }
    }
    draft.steps = steps;
}

/// Lets the first step write a file without which no step's tests can run. In a project of several packages, where it lies
/// below the top folder, the plan knows better.
fn begin_with(draft: &mut PlanDraft, name: &str) {
    let mut written = draft.steps.iter().flat_map(|s| &s.writes);
    if written.any(|path| path != name && file_name(path) == name) {
        return;
    }
    for step in &mut draft.steps {
        step.writes.retain(|path| path != name);
    }
    if let Some(first) = draft.steps.first_mut() {
        first.writes.insert(0, name.to_owned());
    }
}

/// Whether `step` writes nothing but what `earlier` writes, and both together are still one step's work.
fn goes_on_with(earlier: &StepDraft, step: &StepDraft) -> bool {
    step.writes.iter().all(|path| earlier.writes.contains(path))
        && earlier.text.lines().count() + step.text.lines().count() <= STEP_LINES_MAX
}

fn join(earlier: &mut StepDraft, step: StepDraft) {
    earlier.title = format!("{}, {}", earlier.title, step.title.to_lowercase());
    earlier.text = format!("{}\n{}", earlier.text.trim_end(), step.text);
    for id in step.covers {
        if !earlier.covers.contains(&id) {
            earlier.covers.push(id);
        }
    }
    for path in step.reads {
        if !earlier.reads.contains(&path) && !earlier.writes.contains(&path) {
            earlier.reads.push(path);
        }
    }
    earlier.beats.extend(step.beats);
}

/// Joins requirements that say almost the same, as small planners do to fill a list: "The file is read with each
/// command", "The file is written with each command". The joined requirement has all their sentences, so nothing that
/// was asked for is lost; what the steps say of the later ones is said of the first.
fn merge_alike(draft: &mut PlanDraft) {
    let mut kept: Vec<(RequirementId, Vec<String>)> = Vec::new();
    let mut became = BTreeMap::new();
    for (id, text) in std::mem::take(&mut draft.requirements) {
        match kept.iter_mut().find(|(_, texts)| alike(&texts[0], &text)) {
            Some((earlier, texts)) => {
                if !texts.iter().any(|t| plain(t) == plain(&text)) {
                    texts.push(text);
                }
                became.insert(id, earlier.clone());
            }
            None => kept.push((id, vec![text])),
        }
    }
    draft.requirements = kept.into_iter().map(|(id, texts)| (id, texts.join(" "))).collect();
    for step in &mut draft.steps {
        let covers = std::mem::take(&mut step.covers);
        for id in covers.into_iter().map(|id| became.get(&id).cloned().unwrap_or(id)) {
            if !step.covers.contains(&id) {
                step.covers.push(id);
            }
        }
        for (id, earlier) in &became {
            let mark = |id: &RequirementId| format!("_{}_", id.as_str().to_lowercase());
            step.text = step.text.replace(&mark(id), &mark(earlier));
        }
    }
}

/// Words that turn a sentence into its opposite.
const NEGATIONS: [&str; 5] = ["not", "no", "never", "without", "cannot"];

/// Whether two requirements differ in hardly a word. Those that speak of different commands never do, nor does one that
/// denies what the other says.
fn alike(a: &str, b: &str) -> bool {
    let (a, b) = (plain(a), plain(b));
    if a == b {
        return true;
    }
    let (ours, theirs): (Vec<_>, Vec<_>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    let denials = |words: &[&str]| words.iter().filter(|word| NEGATIONS.contains(word)).count();
    codes(&a) == codes(&b)
        && denials(&ours) == denials(&theirs)
        && ours.len().min(theirs.len()) >= ALIKE_WORDS_MIN
        && TextDiff::from_slices(&ours, &theirs).ratio() >= ALIKE_MIN
}

/// Fewer words are too few to be alike by them.
const EVENT_WORDS_MIN: usize = 3;

/// Whether two beats differ in hardly a word.
pub(super) fn same_event(a: &str, b: &str) -> bool {
    let (a, b) = (plain(a), plain(b));
    let (ours, theirs): (Vec<_>, Vec<_>) = (a.split_whitespace().collect(), b.split_whitespace().collect());
    a == b
        || ours.len().min(theirs.len()) >= EVENT_WORDS_MIN
            && TextDiff::from_slices(&ours, &theirs).ratio() >= ALIKE_MIN
}

fn plain(text: &str) -> String {
    text.trim().trim_end_matches('.').to_lowercase()
}

/// What stands in backticks.
fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Gives files the names that `better` knows for them, wherever the plan speaks of them.
fn rename(draft: &mut PlanDraft, better: fn(&str) -> Option<String>, task: &str) {
    let mut names: Vec<(String, String)> = draft
        .steps
        .iter()
        .flat_map(|s| &s.writes)
        .filter(|path| !task.contains(file_name(path)))
        .filter_map(|path| Some((file_name(path).to_owned(), better(file_name(path))?)))
        .collect();
    // `test_a.js` before `a.js`, which is a part of it.
    names.sort_by_key(|(name, _)| (Reverse(name.len()), name.clone()));
    names.dedup();
    for (name, better) in &names {
        let Ok(word) = Regex::new(&format!(r"\b{}\b", regex::escape(name))) else { continue };
        let change = |text: &mut String| *text = word.replace_all(text, NoExpand(better)).into_owned();
        draft.requirements.iter_mut().for_each(|(_, text)| change(text));
        for step in &mut draft.steps {
            change(&mut step.text);
            step.writes.iter_mut().chain(&mut step.reads).for_each(change);
        }
    }
}

/// `todo-app.py` cannot be imported, and in `app_test.py` no test is looked for.
fn python_name(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".py")?.replace('-', "_");
    let stem = stem.strip_suffix("_test").map_or(stem.clone(), |tested| format!("test_{tested}"));
    let better = format!("{stem}.py");
    (better != name).then_some(better)
}

/// Without a `package.json`, `import` works in `.mjs` alone; and in `test_app.mjs` no test is looked for.
fn javascript_name(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".js").or_else(|| name.strip_suffix(".mjs"))?;
    let tested = ["test_", "test-", "test."].iter().find_map(|mark| stem.strip_prefix(mark));
    let tested = tested.or_else(|| ["_test", "-test"].iter().find_map(|mark| stem.strip_suffix(mark)));
    let better = match tested {
        Some(tested) => format!("{tested}.test.mjs"),
        None => format!("{stem}.mjs"),
    };
    (better != name).then_some(better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_under_which_they_are_found() {
        for (name, better) in [
            ("todo-app.py", Some("todo_app.py")),
            ("todo_test.py", Some("test_todo.py")),
            ("test_todo.py", None),
            ("README.md", None),
        ] {
            assert_eq!(python_name(name).as_deref(), better, "{name}");
        }
        for (name, better) in [
            ("a-b.js", Some("a-b.mjs")),
            ("test_a-b.js", Some("a-b.test.mjs")),
            ("a-test.mjs", Some("a.test.mjs")),
            ("a.test.js", Some("a.test.mjs")),
            ("a.test.mjs", None),
            ("a.mjs", None),
            ("package.json", None),
        ] {
            assert_eq!(javascript_name(name).as_deref(), better, "{name}");
        }
        let mut draft = PlanDraft {
            requirements: vec![(RequirementId::from("R1"), "`a.js` adds to extra.json.".to_owned())],
            steps: vec![StepDraft {
                text: "Write a.js and test_a.js.".to_owned(),
                writes: vec!["a.js".to_owned(), "test_a.js".to_owned()],
                ..StepDraft::default()
            }],
            ..PlanDraft::default()
        };
        rename(&mut draft, javascript_name, "A tool.");
        assert_eq!(draft.requirements[0].1, "`a.mjs` adds to extra.json.");
        assert_eq!(draft.steps[0].text, "Write a.mjs and a.test.mjs.");
        assert_eq!(draft.steps[0].writes, ["a.mjs", "a.test.mjs"]);
    }

    #[test]
    fn a_manifest_that_nobody_writes_is_the_first_steps() {
        let step = |writes: &[&str]| StepDraft {
            writes: writes.iter().map(|&path| path.to_owned()).collect(),
            ..StepDraft::default()
        };
        let first_writes = |steps: Vec<StepDraft>, manifest| {
            let mut draft = PlanDraft { steps, ..PlanDraft::default() };
            tidy(&mut draft, "rust", manifest, "A tool.", &Given::default(), None);
            draft.steps[0].writes.join(" ")
        };
        let manifest = Some("Cargo.toml");
        let two = || vec![step(&["src/lib.rs"]), step(&["src/main.rs"])];
        assert_eq!(first_writes(two(), manifest), "Cargo.toml src/lib.rs");
        assert_eq!(first_writes(two(), None), "src/lib.rs");
        let late = vec![step(&["src/lib.rs"]), step(&["Cargo.toml"])];
        assert_eq!(first_writes(late, manifest), "Cargo.toml src/lib.rs", "the first step needs it");
        let several = vec![step(&["a/src/lib.rs"]), step(&["a/Cargo.toml"])];
        assert_eq!(first_writes(several, manifest), "a/src/lib.rs");
    }

    #[test]
    fn one_requirement_in_several_sentences_is_one() {
        let say = |id: &str, text: &str| (RequirementId::from(id), text.to_owned());
        let mut draft = PlanDraft {
            requirements: vec![
                say("R1", "`add NAME` adds a task to the list."),
                say("R2", "`remove NAME` adds a task to the list."),
                say("R3", "The JSON file is updated with each command."),
                say("R4", "The JSON file is read with each command."),
                say("R5", "the json file is updated with each command"),
                say("R6", "Roman numerals up to 3999 are converted to numbers."),
                say("R7", "Numbers up to 3999 are converted to Roman numerals."),
                say("R8", "A duration with a number and a unit is valid."),
                say("R9", "A duration with a number and a unit is not valid."),
            ],
            steps: vec![StepDraft {
                text: "Test test_r4_file_is_read, test_r5_again and test_r7_back.".to_owned(),
                covers: ["R1", "R4", "R5", "R7"].map(RequirementId::from).to_vec(),
                ..StepDraft::default()
            }],
            ..PlanDraft::default()
        };
        merge_alike(&mut draft);
        let ids: Vec<_> = draft.requirements.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["R1", "R2", "R3", "R6", "R7", "R8", "R9"]);
        assert_eq!(
            draft.requirements[2].1,
            "The JSON file is updated with each command. The JSON file is read with each command."
        );
        assert_eq!(draft.steps[0].covers, ["R1", "R3", "R7"].map(RequirementId::from));
        assert_eq!(draft.steps[0].text, "Test test_r3_file_is_read, test_r3_again and test_r7_back.");
    }

    #[test]
    fn what_a_task_names_is_there_and_keeps_its_name() {
        let task = "Files:\n- todo-app.js\n- notes.md\n";
        let requirements =
            vec![edvac_memory::program::Requirement { id: "R1".into(), text: "It adds.".into() }];
        let given =
            Given { requirements, files: vec!["todo-app.js".into(), "notes.md".into()], steps: vec![] };
        let mut draft = PlanDraft {
            steps: vec![StepDraft {
                text: "Write todo-app.js.\n- `test_r1_adds`, `test_r1_again`\n- `add` returns nothing."
                    .to_owned(),
                writes: vec!["todo-app.js".to_owned()],
                ..StepDraft::default()
            }],
            ..PlanDraft::default()
        };
        tidy(&mut draft, "javascript", None, task, &given, None);
        assert_eq!(draft.steps[0].writes, ["todo-app.js"]);
        assert_eq!(draft.steps[0].text, "Write todo-app.js.\n- `add` returns nothing.");
        assert_eq!(
            (draft.steps[1].writes.join(" "), draft.steps[1].reads.join(" ")),
            ("notes.md".into(), "todo-app.js".into())
        );
    }
}
