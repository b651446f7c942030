//! The planner: turns a task into requirements and steps, in a line format that a small model can hold.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::ids::RequirementId;
use edvac_memory::program::{Instruction, Program};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::templates::{TemplateError, Templates};

mod examples;
mod filled;
mod given;
mod grammar;
mod skeleton;
mod texts;
mod told;
mod understand;

pub use examples::{Example, commands, examples};
pub use filled::typed;
pub use given::{Given, RUNNERS, given, is_listed, is_run, lists, settled, without_requirements};
pub use grammar::grammar;
pub use skeleton::{Command, Function, Skeleton, Word, skeleton};
pub use told::{ToldText, told_texts};
pub use understand::understand;

/// Most requirements of a plan.
pub const REQUIREMENTS_MAX: usize = 40;
/// Most steps of a plan.
pub const STEPS_MAX: usize = 60;
/// A window up to which plans are kept small.
const SMALL_WINDOW_TOKENS: usize = 16_384;

/// A plan as the model wrote it. What the program's validator judges (requirements that no step covers, ids that do
/// not exist, paths) is left to it: some of that can be mended, and only the control unit knows when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDraft {
    /// A short name.
    pub title: String,
    /// As the model spelt it, lower case; empty where it named none.
    pub language: String,
    /// Id and sentence.
    pub requirements: Vec<(RequirementId, String)>,
    /// In order.
    pub steps: Vec<StepDraft>,
    /// Parts of a book that are planned further when their turn comes, instead of steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Headed>,
    /// Names and terms of such a book, each with a fact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canon: Vec<String>,
}

/// A part or a chapter of an outline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headed {
    /// Its title.
    pub title: String,
    /// What it tells, in a sentence.
    pub gist: String,
}

/// One step of a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDraft {
    /// A few words.
    pub title: String,
    /// What is to be done.
    pub text: String,
    /// Files it leaves behind; never empty.
    pub writes: Vec<String>,
    /// Files it needs to see.
    pub reads: Vec<String>,
    /// Requirements it meets.
    pub covers: Vec<RequirementId>,
    /// What its text must speak of (prose).
    pub beats: Vec<String>,
    /// Fewest and most words (prose).
    pub words: Option<(u32, u32)>,
    /// Whether later steps write the tests of what it leaves behind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tests_follow: bool,
}

/// What a planner is told about the domain; the same for a whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRules {
    /// The domain's name; its words are in `domains/<name>/plan.md`.
    pub domain: String,
    /// Languages to choose from, the default first; empty where there is none to choose.
    pub languages: Vec<String>,
    /// Whether steps have beats and a length.
    pub prose: bool,
    /// Most requirements that the grammar allows, up to [`REQUIREMENTS_MAX`].
    pub requirements_max: usize,
    /// Most steps that the grammar allows, up to [`STEPS_MAX`].
    pub steps_max: usize,
    /// What is settled before the planner is asked. Where requirements are, its form has none.
    pub given: Given,
    /// The project that is there already, where there is one.
    pub existing: Option<Existing>,
}

/// What a planner is told of a project that it plans changes of, besides its files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Existing {
    /// What became of its tests, as a sentence; empty where nobody can run them.
    pub tests: String,
}

impl PlanRules {
    /// Rules with bounds that fit the window: a small model that lost the thread would write on until the reply is
    /// full.
    pub fn new(domain: &str, languages: &[String], prose: bool, window_tokens: usize) -> Self {
        let (requirements_max, steps_max) = match (window_tokens <= SMALL_WINDOW_TOKENS, prose) {
            (true, false) => (8, 6),
            (true, true) => (12, 24),
            (false, _) => (REQUIREMENTS_MAX, STEPS_MAX),
        };
        let given = Given::default();
        Self {
            domain: domain.to_owned(),
            languages: languages.to_vec(),
            prose,
            requirements_max,
            steps_max,
            given,
            existing: None,
        }
    }

    /// With what is settled.
    #[must_use]
    pub fn with(self, given: Given) -> Self {
        Self { given, ..self }
    }
}

/// What a planner sees that writes the rest of a program again.
pub struct AgainView<'a> {
    /// The program in force, with the requirements, which stay.
    pub program: &'a Program,
    /// Its instructions that are finished.
    pub done: &'a [&'a Instruction],
    /// Those that ended unfinished.
    pub unfinished: &'a [&'a Instruction],
    /// The files, as workers see them listed.
    pub listing: &'a str,
    /// Why it is written again; empty where the program said so from the beginning.
    pub reason: &'a str,
}

/// The prompt of a planner that plans what is left.
pub fn again(
    task: &str,
    view: &AgainView<'_>,
    rules: &PlanRules,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let mut fragments = fragments(task, rules, templates, counter)?;
    let about = json!({
        "done": view.done, "unfinished": view.unfinished, "requirements": view.program.requirements, "listing": view.listing.trim_end(),
        "reason": view.reason.trim(), "steps_max": rules.steps_max,
        "listed": lists(task, &view.program.requirements),
    });
    let text = templates.render("prompts/planner/again.md", &about)?;
    let last = fragments.last_mut().filter(|f| f.kind == FragmentKind::Step);
    if let Some(step) = last {
        *step = Fragment::new(FragmentKind::Step, "prompts/planner/again.md", "what is left", text, counter);
    }
    Ok(fragments)
}

/// The planner's prompt.
pub fn fragments(
    task: &str,
    rules: &PlanRules,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let about = json!({
        "languages": rules.languages, "prose": rules.prose, "task": task.trim(),
        "keeps": super::words::keeps_something(task), "story": super::words::is_story(task), "given": rules.given,
        "listed": lists(task, &rules.given.requirements), "steps_max": rules.steps_max, "existing": rules.existing,
    });
    let domain = super::words::of_domain(&rules.domain, "plan.md", rules.existing.is_some(), templates);
    let step =
        if rules.existing.is_some() { "prompts/planner/existing.md" } else { "prompts/planner/step.md" };
    [
        (FragmentKind::System, "prompts/planner/system.md", "how a plan is written"),
        (FragmentKind::Domain, domain.as_str(), "how this domain is planned"),
        (FragmentKind::Task, "prompts/planner/task.md", "what the user asked for"),
        (FragmentKind::Step, step, "what is to be done"),
    ]
    .into_iter()
    .map(|(kind, name, reason)| {
        Ok(Fragment::new(kind, name, reason, templates.render(name, &about)?, counter))
    })
    .collect()
}
