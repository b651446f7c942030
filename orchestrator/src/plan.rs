//! From a planner's draft to a program: the domain adds the checks, the validator has the last word.

mod tidy;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use edvac_agents::roles::planner::{PlanDraft, StepDraft};
use edvac_memory::ids::{InstructionId, RequirementId};
use edvac_memory::program::{Instruction, Program, Requirement, validate::validate};
use regex::Regex;

use crate::control::event::Limits;
use crate::domain::Domain;

/// Builds the program of a draft, or says what is wrong with it, one sentence each, addressed to the planner.
///
/// With `mend`, what can be put right without guessing at meaning is put right instead of refused: a requirement
/// that no step covers is given to the last step, and a step's unknown requirement is dropped. That keeps a weak
/// planner's otherwise usable plan; whether the requirement was met is still found out by checks alone.
pub fn program(
    mut draft: PlanDraft,
    task: &str,
    domain: &Domain,
    limits: &Limits,
    mend: bool,
) -> Result<Program, Vec<String>> {
    if mend {
        mend_coverage(&mut draft);
    }
    let language = domain.language(&draft.language).to_owned();
    tidy::tidy(&mut draft, &language, domain.manifest(&language));
    if let Some(words) = words_asked(task).filter(|_| domain.prose) {
        as_long_as_asked(&mut draft, words);
    }
    let tested = asking_for_tests(&draft);
    let program = Program {
        title: draft.title,
        task: None,
        domain: domain.name.clone(),
        requirements: draft.requirements.into_iter().map(|(id, text)| Requirement { id, text }).collect(),
        instructions: draft
            .steps
            .into_iter()
            .zip(1..)
            .map(|(step, number)| instruction(number, step, domain, &language, &tested, limits))
            .collect(),
        language,
    };
    let problems = validate(&program);
    if problems.is_empty() {
        Ok(program)
    } else {
        Err(problems.into_iter().map(|p| format!("{}: {} {}", p.place, p.what, p.fix)).collect())
    }
}

fn instruction(
    number: u32,
    step: StepDraft,
    domain: &Domain,
    language: &str,
    tested: &BTreeSet<RequirementId>,
    limits: &Limits,
) -> Instruction {
    let checks = domain.checks_for(language, &step.writes, &step.covers, tested, &step.beats, step.words);
    Instruction {
        id: InstructionId(number),
        title: step.title,
        text: step.text,
        covers: step.covers,
        reads: step.reads,
        writes: step.writes,
        checks,
        retires: Vec::new(),
        attempts_max: limits.attempts_max,
    }
}

/// Requirements like "The app has unit tests." No test can be named after them; that tests run and pass shows them.
fn asking_for_tests(draft: &PlanDraft) -> BTreeSet<RequirementId> {
    static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)^(?:the |an? )?(?:[\w-]+ ){0,3}(?:has|have|with|includes?|comes? with|contains?|(?:is|are) (?:covered|tested) (?:by|with)) (?:automated |unit )*tests\.?$",
        )
        .ok()
    });
    let asks = |text: &str| ASKS.as_ref().is_some_and(|asks| asks.is_match(text.trim()));
    draft.requirements.iter().filter(|(_, text)| asks(text)).map(|(id, _)| id.clone()).collect()
}

/// Words that a task asks of each chapter: "about 300 words a chapter".
fn words_asked(task: &str) -> Option<u32> {
    static ASKED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)\b([1-9][0-9]{1,4})[ -]words?\s+(?:a|an|per|each|every|for (?:each|every))(?:\s+chapter)?\b").ok()
    });
    ASKED.as_ref()?.captures(task)?.get(1)?.as_str().parse().ok()
}

/// Gives chapters whose length is far from what the task asks for a length around it.
fn as_long_as_asked(draft: &mut PlanDraft, words: u32) {
    for range in draft.steps.iter_mut().filter_map(|s| s.words.as_mut()) {
        if !(range.0..=range.1).contains(&words) {
            *range = (words * 2 / 3, words * 3 / 2);
        }
    }
}

fn mend_coverage(draft: &mut PlanDraft) {
    let known: BTreeSet<_> = draft.requirements.iter().map(|(id, _)| id.clone()).collect();
    for step in &mut draft.steps {
        step.covers.retain(|id| known.contains(id));
    }
    let covered: BTreeSet<_> = draft.steps.iter().flat_map(|s| s.covers.iter().cloned()).collect();
    if let Some(last) = draft.steps.last_mut() {
        last.covers.extend(known.difference(&covered).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(title: &str, writes: &[&str], covers: &[&str]) -> StepDraft {
        StepDraft {
            title: title.to_owned(),
            text: format!("Write {title} in todo-app.py."),
            writes: writes.iter().map(|&w| w.to_owned()).collect(),
            covers: covers.iter().map(|&id| id.into()).collect(),
            ..StepDraft::default()
        }
    }

    fn draft(steps: Vec<StepDraft>) -> PlanDraft {
        let requirement = |id: &str, text: &str| (id.into(), text.to_owned());
        PlanDraft {
            title: "todo".to_owned(),
            language: "python".to_owned(),
            requirements: vec![
                requirement("R1", "`python3 todo-app.py add` adds."),
                requirement("R2", "It lists."),
                requirement("R3", "it lists. "),
            ],
            steps,
        }
    }

    fn codebase() -> Domain {
        Domain::load("codebase", &edvac_agents::templates::Templates::load(None).unwrap()).unwrap()
    }

    fn planned(draft: PlanDraft, mend: bool) -> Result<Program, Vec<String>> {
        program(draft, "A todo app.", &codebase(), &Limits::default(), mend)
    }

    #[test]
    fn what_has_one_right_answer_is_put_right() {
        let files = ["todo-app.py", "test_todo_app.py"];
        let steps = vec![
            step("Adding", &files, &["R1"]),
            step("Listing", &files[..1], &["R2", "R3"]),
            step("Docs", &["README.md"], &["R2"]),
        ];
        let program = planned(draft(steps), false).unwrap();
        assert_eq!(program.instructions.len(), 2);
        let first = &program.instructions[0];
        assert_eq!(first.writes, ["todo_app.py", "test_todo_app.py"]);
        assert_eq!(first.title, "Adding, listing");
        assert_eq!(first.covers, ["R1".into(), "R2".into()]);
        assert!(first.text.contains("Write Listing in todo_app.py."), "{}", first.text);
        assert_eq!(program.requirements.len(), 2);
        assert!(program.requirements[0].text.contains("todo_app.py add"));
    }

    #[test]
    fn that_there_are_tests_is_shown_by_running_them() {
        let mut asked = draft(vec![step("Adding", &["a.py"], &["R1", "R2", "R3"])]);
        asked.requirements[1].1 = "The app has unit tests.".to_owned();
        asked.requirements[2].1 = "`run` prints the tests.".to_owned();
        let program = planned(asked, false).unwrap();
        let checks = &program.instructions[0].checks;
        let tests = checks.iter().find(|c| c.kind == edvac_memory::program::CheckKind::Tests).unwrap();
        assert_eq!(tests.covers, ["R2".into()]);
    }

    #[test]
    fn chapters_are_as_long_as_the_task_asks() {
        assert_eq!(words_asked("A story, about 300 words a chapter"), Some(300));
        assert_eq!(words_asked("Three chapters of 1200 words each."), Some(1200));
        assert_eq!(words_asked("A list of 500 words for learners"), None);
        let mut draft = draft(vec![step("One", &["src/chapter-01.md"], &["R1"])]);
        draft.steps[0].words = Some((600, 1200));
        as_long_as_asked(&mut draft, 300);
        assert_eq!(draft.steps[0].words, Some((200, 450)));
        as_long_as_asked(&mut draft, 250);
        assert_eq!(draft.steps[0].words, Some((200, 450)), "near enough stays");
    }

    #[test]
    fn long_steps_stay_apart() {
        let mut first = step("Adding", &["a.py"], &["R1"]);
        first.text = "- x\n".repeat(tidy::STEP_LINES_MAX);
        let program = planned(draft(vec![first, step("Listing", &["a.py"], &["R2"])]), false).unwrap();
        assert_eq!(program.instructions.len(), 2);
    }

    #[test]
    fn an_uncovered_requirement_is_refused_first_and_mended_last() {
        let steps = || vec![step("Adding", &["a.py"], &["R1", "R9"])];
        let problems = planned(draft(steps()), false).unwrap_err();
        assert!(problems.iter().any(|p| p.contains("R2: No step covers it.")), "{problems:?}");
        let program = planned(draft(steps()), true).unwrap();
        assert_eq!(program.instructions[0].covers, ["R1".into(), "R2".into()]);
    }
}
