//! Which step shows which requirement. Planners of small models write "all of them" behind every step, whose worker would then
//! have to test everything, and most of it before it is there.

use std::collections::{BTreeMap, BTreeSet};

use edvac_agents::roles::planner::{PlanDraft, StepDraft};
use edvac_memory::ids::RequirementId;
use edvac_memory::store::path::{file_name, is_test, is_text, stem};

/// Most requirements that a step has tests for; of more, the reply with code and tests together is too long for small models.
const COVERED_MAX: usize = 5;

/// Gives what no step covers to the step whose file it names, or the last one, and drops ids that there are not. `done` is
/// covered by steps that are not the draft's.
pub(super) fn mend(draft: &mut PlanDraft, done: &BTreeSet<RequirementId>) {
    let known: BTreeSet<_> = draft.requirements.iter().map(|(id, _)| id.clone()).collect();
    for step in &mut draft.steps {
        step.covers.retain(|id| known.contains(id));
    }
    let covered: BTreeSet<_> = draft.steps.iter().flat_map(|s| s.covers.iter().cloned()).collect();
    for (id, text) in draft.requirements.clone() {
        if covered.contains(&id) || done.contains(&id) {
            continue;
        }
        let at = last_named(&draft.steps, &text).or(draft.steps.len().checked_sub(1));
        if let Some(step) = at.and_then(|at| draft.steps.get_mut(at)) {
            step.covers.push(id);
        }
    }
}

/// Lets each requirement be shown where it can be: by the last step that writes a file which it names; and what a step covers
/// beside too much else, only by the last of those that cover it. Where the task settles the steps (`is_cut`), what names no
/// file is shown by the last one that writes code, which a user runs.
pub(super) fn narrow(draft: &mut PlanDraft, is_cut: bool) {
    let last = draft.steps.iter().rposition(|step| !step.writes.iter().all(|path| is_text(path)));
    for (id, text) in &draft.requirements {
        let named = || last_named(&draft.steps, text).or_else(|| first_with_symbol(&draft.steps, text));
        if let Some(named) = named().or(last.filter(|_| is_cut)) {
            for (step, at) in draft.steps.iter_mut().zip(0..) {
                step.covers.retain(|covered| covered != id || at == named);
                if at == named && !step.covers.contains(id) {
                    step.covers.push(id.clone());
                }
            }
        }
    }
    let order: BTreeMap<_, _> = draft.requirements.iter().map(|(id, _)| id.clone()).zip(0..).collect();
    for at in 0..draft.steps.len() {
        let (these, later) = draft.steps.split_at_mut(at + 1);
        let step = &mut these[at];
        step.covers.sort_by_key(|id| order.get(id).copied());
        if step.covers.len() > COVERED_MAX {
            step.covers.retain(|id| !later.iter().any(|other| other.covers.contains(id)));
        }
    }
}

/// Lets code and its tests be steps of their own, the tests behind all code, each of what few requirements say in a file of
/// its own: a wrong test is no reason to write right code again, and what the code must do the task's examples say first.
/// `run` are the files that the task runs by a command. What has its tests in the same file, or one whose name cannot be numbered, stays as it is.
pub(super) fn apart(draft: &mut PlanDraft, language: &str, run: &[String], tested: &BTreeSet<RequirementId>) {
    let texts: BTreeMap<_, _> = draft.requirements.iter().cloned().collect();
    let mut code_steps: Vec<StepDraft> = Vec::new();
    let mut test_steps: Vec<StepDraft> = Vec::new();
    for step in std::mem::take(&mut draft.steps) {
        let (tests, code): (Vec<_>, Vec<_>) = step.writes.iter().cloned().partition(|path| is_test(path));
        let [test] = tests.as_slice() else {
            code_steps.push(step);
            continue;
        };
        if code.iter().all(|path| is_text(path)) || numbered(test, language, 2).is_none() {
            code_steps.push(step);
            continue;
        }
        let mut groups: Vec<&[RequirementId]> = step.covers.chunks(COVERED_MAX).collect();
        if groups.is_empty() {
            groups.push(&[]);
        }
        let names = (1..)
            .map(|number| if number == 1 { Some(test.clone()) } else { numbered(test, language, number) });
        let named = groups.iter().zip(names).filter_map(|(ids, name)| Some((ids, name?)));
        test_steps.extend(named.map(|(ids, name)| tests_of(&step, &code, name, ids)));
        let is_of_tests = |line: &&str| !line.trim_start_matches(['-', ' ', '`']).starts_with(test.as_str());
        let text: Vec<_> = step.text.lines().filter(is_of_tests).collect();
        let said = |id: &RequirementId| texts.get(id).map(|text| format!("\n- {text}"));
        // That there are tests is no matter of the code.
        let asked: String = step.covers.iter().filter(|id| !tested.contains(id)).filter_map(said).collect();
        let asked = if asked.is_empty() { asked } else { format!("\n\nWhat it must do:{asked}") };
        let from: Vec<_> = step.reads.iter().filter(|path| !is_text(path)).map(String::as_str).collect();
        let from = match from.as_slice() {
            [] => String::new(),
            from => {
                format!("\n\nImport what there is in {}; do not write it a second time.", from.join(", "))
            }
        };
        // Shown an example of a whole program, small models write one.
        let is_imported = !run.is_empty() && !code.iter().any(|path| run.contains(path));
        let imported = if is_imported {
            format!("\n\nIt is imported by {}, which has the command line.", run.join(" and "))
        } else {
            String::new()
        };
        code_steps.push(StepDraft {
            text: format!("{}{from}{imported}{asked}", text.join("\n")),
            writes: code,
            covers: Vec::new(),
            tests_follow: true,
            ..step
        });
    }
    code_steps.extend(test_steps);
    draft.steps = code_steps;
}

fn tests_of(step: &StepDraft, code: &[String], test: String, ids: &[RequirementId]) -> StepDraft {
    let said: Vec<_> = ids.iter().map(RequirementId::as_str).collect();
    let code_said = code.join(" and ");
    let each =
        if said.is_empty() { "what it does".to_owned() } else { format!("each of {}", said.join(", ")) };
    StepDraft {
        title: format!("Tests of {code_said}{}{}", if said.is_empty() { "" } else { ": " }, said.join(", ")),
        text: format!(
            "Write {test}: at least one test for {each}. Mend {code_said} where {} not do what they say.",
            if code.len() == 1 { "it does" } else { "they do" },
        ),
        reads: code.iter().chain(&step.reads).cloned().collect(),
        writes: vec![test],
        covers: ids.to_vec(),
        ..StepDraft::default()
    }
}

/// `test_app_2.py` for `test_app.py`, `app-2.test.mjs` for `app.test.mjs`; none in a language whose tests stand in the files
/// that they test.
fn numbered(test: &str, language: &str, number: usize) -> Option<String> {
    let (folder, name) = test.rsplit_once('/').map_or(("", test), |(folder, name)| (folder, name));
    let name = match language {
        "python" => format!("{}_{number}.py", name.strip_suffix(".py")?),
        "javascript" => {
            let (stem, rest) = name.split_once(".test.")?;
            format!("{stem}-{number}.test.{rest}")
        }
        _ => return None,
    };
    Some(if folder.is_empty() { name } else { format!("{folder}/{name}") })
}

/// The first step that speaks of what a sentence calls, by its name in backticks: `Store.get(key)` is about the step that
/// writes "the class `Store`".
fn first_with_symbol(steps: &[StepDraft], text: &str) -> Option<usize> {
    let code = text.split('`').nth(1)?;
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let is_called = code[end..].starts_with(['.', '(']) && end > 0;
    let symbol = format!("`{}`", &code[..end]);
    steps.iter().position(|step| is_called && step.text.contains(&symbol))
}

/// The last step that writes a file which a sentence names in backticks.
fn last_named(steps: &[StepDraft], text: &str) -> Option<usize> {
    let codes: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let named = |path: &str| {
        let is_it = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            word == path || word == file_name(path)
        };
        codes.iter().any(|code| code.split_whitespace().any(is_it))
    };
    steps.iter().rposition(|step| step.writes.iter().any(|path| named(path)))
}

/// Lets a step that writes nothing which is tested write a test of what it covers, where that is not `shown` otherwise.
pub(super) fn with_tests(draft: &mut PlanDraft, language: &str, shown: &BTreeSet<RequirementId>) {
    let is_open = |step: &&mut StepDraft| step.covers.iter().any(|id| !shown.contains(id));
    for step in draft.steps.iter_mut().filter(is_open) {
        if !step.writes.iter().all(|path| is_text(path)) {
            continue;
        }
        let Some(first) = step.writes.first().map(|path| stem(path).to_lowercase()) else { continue };
        let test = match language {
            "python" => format!("test_{}.py", first.replace('-', "_")),
            "javascript" => format!("{first}.test.mjs"),
            _ => continue,
        };
        step.text.push_str(&format!(
            "\n- {test} reads {} and tests what is written there.",
            step.writes.join(" and ")
        ));
        step.writes.push(test);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(writes: &[&str], covers: &[&str]) -> StepDraft {
        StepDraft {
            title: "A step".to_owned(),
            text: "Write it.".to_owned(),
            writes: writes.iter().map(|&w| w.to_owned()).collect(),
            covers: covers.iter().map(|&id| id.into()).collect(),
            ..StepDraft::default()
        }
    }

    fn draft(texts: &[&str], steps: Vec<StepDraft>) -> PlanDraft {
        let ids = (1..).map(|n| RequirementId(format!("R{n}")));
        PlanDraft {
            requirements: ids.zip(texts.iter().map(|&text| text.to_owned())).collect(),
            steps,
            ..PlanDraft::default()
        }
    }

    fn covers(draft: &PlanDraft) -> Vec<String> {
        let all =
            |step: &StepDraft| step.covers.iter().map(RequirementId::as_str).collect::<Vec<_>>().join(" ");
        draft.steps.iter().map(all).collect()
    }

    const SEVEN: [&str; 7] =
        ["`store.py` has `get`.", "`python3 kv.py SET`.", "c", "d", "e", "f", "`README.md` tells."];

    #[test]
    fn a_requirement_is_shown_where_the_file_is_that_it_names() {
        let all = ["R1", "R2", "R3", "R4", "R5", "R6"];
        let mut draft = draft(
            &SEVEN,
            vec![step(&["store.py"], &all), step(&["kv.py"], &["R6", "R5", "R4"]), step(&["README.md"], &[])],
        );
        mend(&mut draft, &BTreeSet::new());
        assert_eq!(covers(&draft)[2], "R7");
        narrow(&mut draft, false);
        assert_eq!(covers(&draft), ["R1 R3 R4 R5 R6", "R2 R4 R5 R6", "R7"], "five are not too many");
        draft.steps[0].covers.push("R2".into());
        draft.requirements[1].1 = "b".to_owned();
        narrow(&mut draft, false);
        assert_eq!(covers(&draft), ["R1 R3", "R2 R4 R5 R6", "R7"], "six are");
    }

    #[test]
    fn tests_are_steps_of_their_own_behind_all_code() {
        let all = ["R1", "R2", "R3", "R4", "R5", "R6", "R7"];
        for (language, file, test, second) in [
            ("python", "kv.py", "test_kv.py", "test_kv_2.py"),
            ("javascript", "kv.mjs", "tests/kv.test.mjs", "tests/kv-2.test.mjs"),
        ] {
            let mut first = step(&[file, test], &all);
            first.text = format!("Write these files:\n- {file}: the store\n- {test}: its tests");
            let mut draft = draft(
                &SEVEN,
                vec![first, step(&["main.py", "test_main.py"], &[]), step(&["README.md"], &[])],
            );
            apart(&mut draft, language, &[], &BTreeSet::new());
            let written: Vec<_> = draft.steps.iter().map(|step| step.writes.join(" ")).collect();
            assert_eq!(
                written[..3],
                [file, if language == "python" { "main.py" } else { "main.py test_main.py" }, "README.md"]
            );
            assert_eq!(written[3..5], [test, second]);
            assert_eq!(covers(&draft)[3..5], ["R1 R2 R3 R4 R5", "R6 R7"]);
            let text = &draft.steps[0].text;
            let begins = format!(
                "Write these files:\n- {file}: the store\n\nWhat it must do:\n- `store.py` has `get`.\n"
            );
            assert!(text.starts_with(&begins), "{text}");
            assert!(text.ends_with("\n- f\n- `README.md` tells."), "{text}");
            assert_eq!((draft.steps[0].tests_follow, draft.steps[3].tests_follow), (true, false));
            assert_eq!(draft.steps[4].reads, [file]);
            assert!(
                draft.steps[4]
                    .text
                    .starts_with(&format!("Write {second}: at least one test for each of R6, R7."))
            );
        }
        let mut draft = draft(&SEVEN, vec![step(&["src/lib.rs"], &all)]);
        apart(&mut draft, "rust", &[], &BTreeSet::new());
        assert_eq!(draft.steps.len(), 1, "its tests stand in it");
        for (language, test) in [("go", "kv_test.go"), ("javascript", "test_kv.mjs")] {
            let mut draft = super::tests::draft(&SEVEN, vec![step(&["kv", test], &all)]);
            apart(&mut draft, language, &[], &BTreeSet::new());
            assert_eq!(covers(&draft), ["R1 R2 R3 R4 R5 R6 R7"], "none is lost");
        }
    }

    #[test]
    fn a_text_is_tested_too() {
        let mut draft = draft(&SEVEN, vec![step(&["README.md"], &["R7"]), step(&["NOTES.md"], &[])]);
        with_tests(&mut draft, "python", &BTreeSet::from(["R7".into()]));
        assert_eq!(draft.steps[0].writes, ["README.md"], "its own words are looked for in it");
        with_tests(&mut draft, "python", &BTreeSet::new());
        assert_eq!(draft.steps[0].writes, ["README.md", "test_readme.py"]);
        assert_eq!(draft.steps[1].writes, ["NOTES.md"], "nobody asks what stands there");
    }
}
