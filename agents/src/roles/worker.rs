//! The worker: carries out one instruction by writing blocks.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::ids::RequirementId;
use edvac_memory::program::{Check, CheckKind, Instruction, Program, Retirement};
use serde::Serialize;
use serde_json::json;

mod parts;

use super::{planner, words};
pub use crate::protocol::blocks::{GrammarOptions, grammar, understand};
use crate::templates::{TemplateError, Templates};
pub use parts::FileParts;

/// All that a worker is told. What does not change between instructions comes first in the prompt.
#[derive(Clone, Debug)]
pub struct WorkerView<'a> {
    /// The task, verbatim.
    pub task: &'a str,
    /// The program in force.
    pub program: &'a Program,
    /// The instruction to carry out.
    pub instruction: &'a Instruction,
    /// From 1.
    pub attempt: u32,
    /// Whether `@@ run` is offered.
    pub can_run: bool,
    /// Whether a grammar binds the reply: what it sees to need not be shown by examples, which small models copy.
    pub grammar: bool,
    /// The command that runs the tests, for people (`python3 -m unittest -v`); empty where there is none.
    pub tests_run_by: &'a str,
    /// Tools of other programs that the step names.
    pub calls: &'a [&'a str],
    /// The file listing, as `memory::listing` gives it; empty leaves it out.
    pub listing: &'a str,
    /// Files the instruction reads, and those it writes that exist already: whole, or parts of them.
    pub files: &'a [Fragment],
    /// Whether the project was there before the run.
    pub existing: bool,
    /// Pieces that the index ranked, as `memory::index::pack` gives them.
    pub retrieved: &'a [Fragment],
    /// What earlier attempts found out, as [`super::summariser`] wrote it.
    pub summary: Option<&'a str>,
}

/// Lines of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// The file.
    pub path: String,
    /// First line shown, from 1.
    pub line_first: usize,
    /// Last line shown, inclusive.
    pub line_last: usize,
    /// Lines of the whole file.
    pub lines_total: usize,
    /// The lines.
    pub text: String,
    /// Why it is shown, in a few words.
    pub reason: String,
}

impl FileView {
    /// All of a file.
    pub fn whole(path: impl Into<String>, text: impl Into<String>, reason: impl Into<String>) -> Self {
        let text = text.into();
        let lines_total = text.lines().count();
        Self {
            path: path.into(),
            line_first: 1,
            line_last: lines_total,
            lines_total,
            text,
            reason: reason.into(),
        }
    }

    /// Lines `first` to `last` of a file, as far as it has them.
    pub fn lines(path: &str, text: &str, (first, last): (usize, usize), reason: &str) -> Self {
        let lines: Vec<_> = text.lines().collect();
        let line_last = last.min(lines.len());
        let line_first = first.clamp(1, line_last.max(1));
        Self {
            path: path.to_owned(),
            line_first,
            line_last,
            lines_total: lines.len(),
            text: lines.get(line_first - 1..line_last).unwrap_or_default().join("\n"),
            reason: reason.to_owned(),
        }
    }

    /// As a piece of a prompt.
    pub fn fragment(
        &self,
        templates: &Templates,
        counter: &dyn TokenCounter,
    ) -> Result<Fragment, TemplateError> {
        let source = format!("{}:{}-{}", self.path, self.line_first, self.line_last);
        let text = self.render(templates)?;
        Ok(Fragment::new(FragmentKind::File, source, self.reason.clone(), text, counter))
    }

    fn is_whole(&self) -> bool {
        self.line_first <= 1 && self.line_last >= self.lines_total
    }

    pub(super) fn render(&self, templates: &Templates) -> Result<String, TemplateError> {
        let view = json!({
            "path": self.path, "line_first": self.line_first, "line_last": self.line_last,
            "lines_total": self.lines_total, "whole": self.is_whole(),
            "fence": words::fence(&self.text), "text": self.text.trim_end_matches('\n'),
        });
        templates.render("prompts/worker/file.md", &view)
    }
}

/// What is said of all checks that are taken from the task itself.
const EXAMPLES_HOLD: &str = "every command line and every example of the task does what the task says";
/// Of a longer program so many steps are named.
const STEPS_SHOWN_MAX: usize = 16;

/// Whether a step writes code that is a part of a program and not what is run. Shown the example of a whole program, small models
/// write that program in its place, word for word; where the program keeps something, its part that does so is what they need.
fn is_part(view: &WorkerView<'_>) -> bool {
    let run = planner::commands(view.task);
    let is_run = |path: &String| run.iter().any(|(file, _)| file == path);
    view.instruction.candidates && !run.is_empty() && !view.instruction.writes.iter().any(is_run)
}

/// The worker's prompt.
pub fn fragments(
    view: &WorkerView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let WorkerView { program, instruction, .. } = view;
    let mut out = Vec::new();
    let mut say = |kind, source: &str, reason: &str, text: String| {
        out.push(Fragment::new(kind, source, reason, text, counter));
    };

    let (steps, left_out) = around(&program.instructions, instruction);
    // Measured for tasks that list their requirements, and only there: see `docs/log.md`.
    let fences = view.grammar && planner::is_listed(view.task);
    let keeps = words::keeps_something(view.task);
    let is_like = |of: fn(&str) -> bool| of(view.task) && (keeps || !is_part(view));
    let about = json!({
        "existing": view.existing, "tests_run_by": view.tests_run_by, "can_run": view.can_run, "grammar": view.grammar, "fences": fences, "language": program.language, "task": view.task.trim(),
        "keeps": keeps, "lines": planner::is_listed(view.task) && is_like(words::reads_lines),
        "exact": planner::is_listed(view.task) && is_like(words::is_exact), "story": words::is_story(view.task),
        "requirements": words::requirements(&program.requirements, None),
        "listed": planner::lists(view.task, &program.requirements), "steps": steps, "steps_left_out": left_out,
    });
    let rules = words::of_domain(&program.domain, "rules.md", view.existing, templates);
    for (kind, name, reason) in [
        (FragmentKind::System, "prompts/worker/system.md", "how a worker replies"),
        (FragmentKind::Domain, rules.as_str(), "rules of the domain"),
        (FragmentKind::Task, "prompts/worker/task.md", "what the user asked for"),
        (FragmentKind::Program, "prompts/worker/program.md", "where the step stands"),
    ] {
        say(kind, name, reason, templates.render(name, &about)?);
    }
    let listed = (!view.listing.trim().is_empty()).then(|| listing(view.listing, templates, counter));
    for piece in listed.transpose()?.iter().chain(view.files).chain(view.retrieved) {
        say(piece.kind, &piece.source, &piece.reason, piece.text.clone());
    }
    if let Some(summary) = view.summary {
        let text = templates.render("prompts/worker/summary.md", &json!({ "summary": summary.trim() }))?;
        say(FragmentKind::Summary, "summary", "what earlier attempts found out", text);
    }
    let step = templates.render("prompts/worker/step.md", &step_words(view))?;
    say(FragmentKind::Step, &format!("step {}", instruction.id), "what is to be done", step);
    Ok(out)
}

/// The files of a project as a piece of a prompt.
pub fn listing(
    listing: &str,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Fragment, TemplateError> {
    let text = templates.render("prompts/worker/listing.md", &json!({ "listing": listing.trim_end() }))?;
    Ok(Fragment::new(FragmentKind::Listing, "listing", "what there is now", text, counter))
}

/// The steps that a worker is told of, and how many there are besides: of many those next to its own, by which it knows what
/// came before and what comes.
fn around<'a>(all: &'a [Instruction], own: &Instruction) -> (&'a [Instruction], usize) {
    if all.len() <= STEPS_SHOWN_MAX {
        return (all, 0);
    }
    let at = all.iter().position(|i| i.id == own.id).unwrap_or(0);
    let from = at.saturating_sub(STEPS_SHOWN_MAX / 2).min(all.len() - STEPS_SHOWN_MAX);
    (&all[from..from + STEPS_SHOWN_MAX], all.len() - STEPS_SHOWN_MAX)
}

#[derive(Serialize)]
struct StepWords<'a> {
    id: u32,
    title: &'a str,
    text: &'a str,
    writes: &'a [String],
    existing: bool,
    requirements: Vec<words::RequirementWords>,
    checks: Vec<String>,
    retires: &'a [Retirement],
    calls: &'a [&'a str],
    attempt: u32,
}

fn step_words<'a>(view: &WorkerView<'a>) -> StepWords<'a> {
    let WorkerView { program, instruction, .. } = view;
    // That there are tests at all is shown by those of everything else; told of it, small models write a test of that.
    let is_listed = planner::is_listed(view.task);
    let own = if is_listed { instruction.named_by_tests() } else { instruction.covers.clone() };
    StepWords {
        id: instruction.id.0,
        title: &instruction.title,
        text: instruction.text.trim(),
        writes: &instruction.writes,
        existing: view.existing,
        requirements: words::requirements(&program.requirements, Some(&own)),
        checks: check_words(view),
        retires: &instruction.retires,
        calls: view.calls,
        // A candidate is written as if it were the first.
        attempt: if instruction.candidates { 1 } else { view.attempt },
    }
}

/// The checks in plain words; that a file exists goes without saying where something else about it is checked.
fn check_words(view: &WorkerView<'_>) -> Vec<String> {
    let WorkerView { instruction, tests_run_by, .. } = *view;
    let language = view.program.language.as_str();
    // Shown as the commands that they are executed by, they are copied into the program.
    let of_task = planner::examples(view.task);
    let is_of_task = |kind: &CheckKind| {
        matches!(kind, CheckKind::Starts { .. }) || of_task.iter().any(|example| example.check == *kind)
    };
    // No test is named after what all tests together show.
    let named = |c: &Check| -> Vec<RequirementId> {
        instruction.covers.iter().filter(|id| !c.covers.contains(id)).cloned().collect()
    };
    instruction
        .checks
        .iter()
        .filter(|c| match &c.kind {
            CheckKind::Exists { path } => {
                let says_more =
                    |kind: &CheckKind| !matches!(kind, CheckKind::Exists { .. }) && kind.path() == Some(path);
                !instruction.checks.iter().any(|o| says_more(&o.kind))
            }
            kind => !is_of_task(kind),
        })
        .map(|c| words::check(&c.kind, &named(c), language, tests_run_by))
        .chain(instruction.checks.iter().any(|c| is_of_task(&c.kind)).then(|| EXAMPLES_HOLD.to_owned()))
        .collect()
}
