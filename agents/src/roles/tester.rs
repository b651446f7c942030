//! The tester: a worker that writes the tests of one file of which the task itself says what it must do. What its file begins with
//! is written already: the import of what is tested, or what runs the program in a folder of its own. Small models that have to
//! write it forget the folder, or test functions that there are not.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::store::path::stem;
use serde_json::json;

use super::coder::Offers;
use super::planner;
use crate::templates::{TemplateError, Templates};

/// What a tester sees.
pub struct TesterView<'a> {
    /// The task, verbatim. Its list of requirements is left out.
    pub task: &'a str,
    /// The domain, for its rules.
    pub domain: &'a str,
    /// `python` or `javascript`.
    pub language: &'a str,
    /// The file to write.
    pub path: &'a str,
    /// The file that it tests.
    pub tested: &'a str,
    /// The sentences that tests have to show, each with its requirement's id.
    pub said: &'a [(String, String)],
    /// What the file offers, or the command lines of the program.
    pub offers: &'a [Offers],
    /// What earlier attempts found out.
    pub summary: Option<&'a str>,
    /// Whether a grammar binds the reply.
    pub grammar: bool,
}

/// The tester's prompt. Its reply is read as any worker's.
pub fn fragments(
    view: &TesterView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let is_run = planner::is_run(view.tested, view.task);
    let head = head(view, templates)?;
    let about = json!({
        "language": view.language, "is_run": is_run, "is_text": false, "grammar": view.grammar,
        "example": planner::typed(view.task, view.tested).unwrap_or_else(|| "words".to_owned()),
        "reads_input": reads_input(view.task),
        "tested": view.tested, "path": view.path, "head": head.trim_end(), "said": view.said,
        "offers": view.offers, "summary": view.summary.map(str::trim),
    });
    let rules = templates.render(&rules_of(view.domain), &about)?;
    let rules: Vec<_> = rules.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut step = about.clone();
    step["rules"] = json!(rules);
    let (system, words) = ("prompts/coder/system.md", "prompts/tester/step.md");
    let task = planner::without_requirements(view.task);
    let system_text = templates.render(system, &about)?;
    let words_text = templates.render(words, &step)?;
    Ok(vec![
        Fragment::new(FragmentKind::System, system, "how a file is written", system_text, counter),
        Fragment::new(FragmentKind::Task, "task", "what the program is", task, counter),
        Fragment::new(FragmentKind::Step, words, "what the tests must show", words_text, counter),
    ])
}

/// What a file of tests begins with, up to the first test: of a program that is run, what runs it; of other files, the import of
/// what they offer.
pub fn head(view: &TesterView<'_>, templates: &Templates) -> Result<String, TemplateError> {
    let TesterView { domain, language, tested, task, .. } = *view;
    let class: String = stem(tested)
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(|part| {
            let (first, rest) = part.split_at(part.len().min(1));
            first.to_uppercase() + rest
        })
        .collect();
    let file = tested.rsplit('/').next().unwrap_or(tested);
    let about = json!({
        "language": language, "is_run": planner::is_run(tested, task), "reads_input": reads_input(task), "file": file,
        "module": stem(tested), "names": names(view.offers), "class": class,
    });
    let text = templates.render(&format!("domains/{domain}/tester_head.md"), &about)?;
    Ok(format!("{}\n\n", text.trim_end()))
}

fn reads_input(task: &str) -> bool {
    task.to_lowercase().contains("standard input")
}

/// The names that can be imported.
fn names(offers: &[Offers]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in offers.iter().filter(|offers| !offers.path.is_empty()).flat_map(|offers| &offers.lines) {
        let name = line.trim_start_matches('`').split(['(', '.', '`']).next().unwrap_or_default();
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Whether a domain has rules for a tester.
pub fn is_known(domain: &str, templates: &Templates) -> bool {
    templates.text(&rules_of(domain)).is_ok()
}

fn rules_of(domain: &str) -> String {
    format!("domains/{domain}/tester.md")
}
