//! The coder: a worker that writes one file of which the task itself says what it must do: code, or a text about it. It sees what
//! the program is, what the other files offer, and the sentences about its own file: a small model that is shown all
//! requirements meets all of them in the first file, and one that is shown a file writes it again.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::store::path::is_text;
use serde::Serialize;
use serde_json::json;

use super::planner;
use crate::templates::{TemplateError, Templates};

/// What a coder sees.
pub struct CoderView<'a> {
    /// The task, verbatim. Its list of requirements is left out.
    pub task: &'a str,
    /// The domain, for its rules.
    pub domain: &'a str,
    /// The language of the file.
    pub language: &'a str,
    /// The file to write.
    pub path: &'a str,
    /// What the step says of it.
    pub text: &'a str,
    /// Sentences of the task about it that the step does not say itself.
    pub must: &'a [&'a str],
    /// The functions that it is made of; none where that is open.
    pub functions: &'a [String],
    /// Whether these are commands that come line by line on standard input.
    pub on_input: bool,
    /// Whether its `main` hands the command lines of the task to them before anything else is written.
    pub handed: bool,
    /// What files that are there offer to it.
    pub offers: &'a [Offers],
    /// What earlier attempts found out.
    pub summary: Option<&'a str>,
    /// Whether a grammar binds the reply.
    pub grammar: bool,
}

/// What a file offers to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offers {
    /// The file; empty where it is the command line of the program.
    pub path: String,
    /// Each function and class as it is called, with what the task says of it; or the command lines that it takes.
    pub lines: Vec<String>,
}

/// The coder's prompt. Its reply is read as any worker's.
pub fn fragments(
    view: &CoderView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let is_run = planner::is_run(view.path, view.task);
    let is_text = is_text(view.path);
    // What no command says, the task's own text does.
    let said = if is_run && view.functions.is_empty() { view.task } else { view.text };
    let reads_input = said.to_lowercase().contains("standard input");
    let about = json!({
        "language": view.language, "is_run": is_run, "is_text": is_text, "functions": view.functions,
        "reads_input": reads_input, "on_input": view.on_input, "handed": view.handed, "grammar": view.grammar,
    });
    let rules = templates.render(&rules_of(view.domain), &about)?;
    let rules: Vec<_> = rules.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let step = json!({
        "path": view.path, "text": view.text.trim(), "must": view.must, "functions": view.functions, "offers": view.offers, "rules": rules,
        "summary": view.summary.map(str::trim),
    });
    let (system, words) = ("prompts/coder/system.md", "prompts/coder/step.md");
    let task = planner::without_requirements(view.task);
    Ok(vec![
        Fragment::new(
            FragmentKind::System,
            system,
            "how a file is written",
            templates.render(system, &about)?,
            counter,
        ),
        Fragment::new(FragmentKind::Task, "task", "what the program is", task, counter),
        Fragment::new(
            FragmentKind::Step,
            words,
            "what the file must do",
            templates.render(words, &step)?,
            counter,
        ),
    ])
}

/// Whether a domain has rules for a coder.
pub fn is_known(domain: &str, templates: &Templates) -> bool {
    templates.text(&rules_of(domain)).is_ok()
}

fn rules_of(domain: &str) -> String {
    format!("domains/{domain}/coder.md")
}
