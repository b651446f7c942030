//! From a planner's draft to a program: the domain adds the checks, the validator has the last word.

mod coverage;
pub mod outline;
mod place;
mod reads;
mod sections;
mod shown;
mod tidy;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use edvac_agents::roles::planner::{self, PlanDraft, StepDraft};
use edvac_memory::ids::{InstructionId, RequirementId};
use edvac_memory::program::{CheckKind, Control, Instruction, Program, Requirement, validate::validate};
use regex::Regex;

use crate::control::event::Limits;
use crate::domain::Domain;
use crate::survey::Survey;

/// Most tries at code that no test asks yet; the one of which most of the task's own examples hold is kept.
const CANDIDATES_MAX: u32 = 5;
/// Fewest beats of a chapter some of whose beats were dropped.
const BEATS_MIN: usize = 3;

/// Builds the program of a draft, or says what is wrong with it, one sentence each, addressed to the planner. With a `survey`,
/// it changes what was there.
///
/// With `mend`, what can be put right without guessing at meaning is put right instead of refused: a requirement
/// that no step covers is given to the step whose file it names or the last one, and a step's unknown requirement is dropped. That keeps a weak
/// planner's otherwise usable plan; whether the requirement was met is still found out by checks alone.
pub fn program(
    mut draft: PlanDraft,
    task: &str,
    domain: &Domain,
    limits: &Limits,
    survey: Option<&Survey>,
    mend: bool,
) -> Result<Program, Vec<String>> {
    let known = survey.map(|survey| survey.language.as_str()).filter(|language| !language.is_empty());
    if !draft.parts.is_empty() {
        return outline::program(draft, task, domain, limits, words_asked(task));
    }
    let language = domain.language(known.unwrap_or(&draft.language)).to_owned();
    let given = planner::given(task);
    let there = survey.map(|survey| &survey.files);
    tidy::tidy(&mut draft, &language, domain.manifest(&language), task, &given, there);
    if mend {
        coverage::mend(&mut draft, &BTreeSet::new());
    }
    if !domain.runner(&language).is_empty() && !given.requirements.is_empty() {
        coverage::narrow(&mut draft, !given.steps.is_empty());
        let shown = planner::examples(task).into_iter().filter_map(|example| example.of).collect();
        coverage::with_tests(&mut draft, &language, &shown);
        if limits.parallel > 1 && planner::settled(task).is_some() {
            reads::narrow(&mut draft, task);
        }
        let mut run: Vec<_> = planner::commands(task).into_iter().map(|(file, _)| file).collect();
        run.dedup();
        let tested = asking_for_tests(&draft);
        coverage::apart(&mut draft, &language, &run, &tested);
    }
    let asked = words_asked(task).filter(|_| domain.prose);
    if let Some(words) = asked {
        as_long_as_asked(&mut draft, words);
    }
    if domain.prose {
        tell_title(&mut draft);
        beats_once(&mut draft, domain, mend)?;
    }
    let tested = asking_for_tests(&draft);
    let mut program = Program {
        title: draft.title,
        task: None,
        domain: domain.name.clone(),
        requirements: draft.requirements.into_iter().map(|(id, text)| Requirement { id, text }).collect(),
        instructions: Steps { domain, language: &language, tested: &tested, limits, asked }
            .all(draft.steps, 1),
        language,
    };
    if !domain.prose {
        shown::tell(&mut program.instructions, task, &program.requirements, limits.parallel > 1);
    }
    without_problems(program)
}

/// The program whose instructions after those that ended are a planner's new ones. The requirements stay as they are: the
/// draft's own are not looked at. `asks` is the instruction for which it was planned again: one that a person has to approve
/// asks them again, behind the new ones.
#[expect(clippy::too_many_arguments, reason = "two plans, and what both depend on")]
pub fn replanned(
    mut draft: PlanDraft,
    task: &str,
    program: &Program,
    settled: &BTreeSet<InstructionId>,
    asks: InstructionId,
    domain: &Domain,
    limits: &Limits,
    survey: Option<&Survey>,
    mend: bool,
) -> Result<Program, Vec<String>> {
    draft.requirements = program.requirements.iter().map(|r| (r.id.clone(), r.text.clone())).collect();
    let asked_for = program.instructions.iter().find(|i| i.id == asks).and_then(|i| i.control.as_ref());
    let unmet = match asked_for {
        Some(Control::Replan { shortfall: Some(shortfall), .. }) => shortfall.requirements.as_slice(),
        _ => &[],
    };
    let covered = |i: &&Instruction| settled.contains(&i.id);
    let mut done: BTreeSet<_> =
        program.instructions.iter().filter(covered).flat_map(|i| i.covers.iter().cloned()).collect();
    done.retain(|id| !unmet.contains(id));
    if !unmet.is_empty() {
        // What is met needs no further tests.
        draft.steps.iter_mut().for_each(|step| step.covers.retain(|id| unmet.contains(id)));
    }
    if mend {
        coverage::mend(&mut draft, &done);
    }
    let left_out = unmet.iter().find(|id| !draft.steps.iter().any(|step| step.covers.contains(id)));
    if let Some(id) = left_out {
        return Err(vec![format!(
            "{id}: It is not met, and no step covers it. Cover it by the step that meets it."
        )]);
    }
    tidy::tidy_steps(&mut draft, &program.language, task, survey.map(|survey| &survey.files));
    let tested = asking_for_tests(&draft);
    let free = program.all().iter().map(|i| i.id.0).max().unwrap_or(0);
    let asked = words_asked(task).filter(|_| domain.prose);
    let steps = Steps { domain, language: &program.language, tested: &tested, limits, asked };
    let new = steps.all(draft.steps, free + 1);
    let question = |i: &&Instruction| i.id == asks && matches!(i.control, Some(Control::Approve { .. }));
    let mut amended = program.clone();
    amended.instructions = program
        .instructions
        .iter()
        .filter(covered)
        .cloned()
        .chain(new)
        .chain(program.instructions.iter().filter(question).cloned())
        .collect();
    without_problems(amended)
}

fn without_problems(program: Program) -> Result<Program, Vec<String>> {
    let problems = validate(&program);
    if problems.is_empty() {
        Ok(program)
    } else {
        Err(problems.into_iter().map(|p| format!("{}: {} {}", p.place, p.what, p.fix)).collect())
    }
}

/// How a draft's steps become instructions.
struct Steps<'a> {
    domain: &'a Domain,
    language: &'a str,
    tested: &'a BTreeSet<RequirementId>,
    limits: &'a Limits,
    /// Words that the task asks of each chapter.
    asked: Option<u32>,
}

impl Steps<'_> {
    /// Numbered from `first` on.
    fn all(&self, steps: Vec<StepDraft>, first: u32) -> Vec<Instruction> {
        let all = steps.into_iter().flat_map(|step| self.of(&step));
        all.zip(first..).map(|(step, number)| Instruction { id: InstructionId(number), ..step }).collect()
    }

    /// One, or one for each section of a chapter.
    fn of(&self, step: &StepDraft) -> Vec<Instruction> {
        let checks = self.domain.checks_for(
            self.language,
            &step.writes,
            &step.covers,
            self.tested,
            &step.beats,
            step.words,
        );
        let is_chapter = step.writes.len() == 1 && self.domain.is_chapter(&step.writes[0]);
        let whole = Instruction {
            title: step.title.clone(),
            text: step.text.clone(),
            covers: step.covers.clone(),
            reads: step.reads.clone(),
            writes: step.writes.clone(),
            checks,
            attempts_max: self.limits.attempts_max,
            ..Instruction::default()
        };
        if step.tests_follow {
            let checks = whole.checks.into_iter().filter(|check| check.kind != CheckKind::Tests).collect();
            return vec![Instruction { checks, candidates: true, attempts_max: CANDIDATES_MAX, ..whole }];
        }
        if !(self.domain.sections && is_chapter) || step.beats.is_empty() {
            return vec![whole];
        }
        let asked = step.words.filter(|_| self.asked.is_some());
        let sections = sections::of(step, asked);
        sections
            .into_iter()
            .map(|section| Instruction {
                checks: sections::checks(&whole.checks, &section, asked),
                // Where the chapter before ended matters to the first section alone.
                reads: whole
                    .reads
                    .iter()
                    .filter(|path| section.number == 1 || **path == self.domain.canon)
                    .cloned()
                    .collect(),
                title: section.title,
                ..whole.clone()
            })
            .collect()
    }
}

/// Requirements like "The app has unit tests." No test can be named after them; that tests run and pass shows them.
fn asking_for_tests(draft: &PlanDraft) -> BTreeSet<RequirementId> {
    static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\bat least (?:[0-9]+|one|two|three|four|five|ten) (?:[\w-]+ ){0,3}tests?\b|^(?:the |an? )?(?:[\w-]+ ){0,3}(?:has|have|with|includes?|comes? with|contains?|(?:is|are) (?:covered|tested) (?:by|with)) (?:automated |unit )*tests\.?$",
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

/// Tells the first step the book's title, which the plan has for itself alone.
fn tell_title(draft: &mut PlanDraft) {
    let title = titled(&draft.title);
    if let Some(first) = draft.steps.first_mut().filter(|step| !step.text.contains(&title)) {
        first.text = format!("{}\n- Title of the book: {title}", first.text.trim_end());
    }
}

/// A plan's short name as a title.
fn titled(name: &str) -> String {
    let mut words: Vec<_> = name.split('-').map(str::to_owned).collect();
    for word in &mut words {
        if let Some(first) = word.get_mut(..1) {
            first.make_ascii_uppercase();
        }
    }
    words.join(" ")
}

/// Drops beats that say what an earlier one says. A chapter of which too few are left is refused, unless nobody can be asked
/// any more.
fn beats_once(draft: &mut PlanDraft, domain: &Domain, mend: bool) -> Result<(), Vec<String>> {
    let mut told: Vec<String> = Vec::new();
    let mut problems = Vec::new();
    for (step, number) in draft.steps.iter_mut().zip(1..) {
        let is_chapter = step.writes.iter().any(|path| domain.is_chapter(path));
        let before = step.beats.len();
        let first = step.beats.first().cloned();
        step.beats.retain(|beat| {
            let is_new = !told.iter().any(|earlier| tidy::same_event(earlier, beat));
            if is_new {
                told.push(beat.clone());
            }
            is_new
        });
        if is_chapter && step.beats.len() < before && step.beats.len() < BEATS_MIN {
            problems.push(format!(
                "step {number}: {} of its BEATS say what came before. Write {BEATS_MIN} to 6 other things that happen in it, none of them twice.",
                before - step.beats.len()
            ));
        }
        if step.beats.is_empty() {
            step.beats.extend(first);
        }
    }
    if problems.is_empty() || mend { Ok(()) } else { Err(problems) }
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
            ..PlanDraft::default()
        }
    }

    fn codebase() -> Domain {
        Domain::load("codebase", &edvac_agents::templates::Templates::load(None).unwrap()).unwrap()
    }

    fn planned(draft: PlanDraft, mend: bool) -> Result<Program, Vec<String>> {
        program(draft, "A todo app.", &codebase(), &Limits::default(), None, mend)
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
        asked
            .requirements
            .push(("R4".into(), "`python3 -m unittest` finds at least three passing unit tests.".to_owned()));
        asked.steps[0].covers.push("R4".into());
        let program = planned(asked, false).unwrap();
        let checks = &program.instructions[0].checks;
        let tests = checks.iter().find(|c| c.kind == edvac_memory::program::CheckKind::Tests).unwrap();
        assert_eq!(tests.covers, ["R2".into(), "R4".into()]);
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
    fn the_setup_of_a_book_knows_its_title() {
        let mut draft =
            draft(vec![step("Setup", &["book.toml"], &[]), step("One", &["src/chapter-01.md"], &[])]);
        draft.title = "the-wedding-bread".to_owned();
        tell_title(&mut draft);
        tell_title(&mut draft);
        assert!(draft.steps[0].text.ends_with("todo-app.py.\n- Title of the book: The Wedding Bread"));
        assert!(!draft.steps[1].text.contains("Wedding"));
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
