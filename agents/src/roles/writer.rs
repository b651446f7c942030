//! The writer: a worker that writes one section of a chapter. It sees the end of the text before, the names and facts, and what
//! is to be told, and nothing else: what a small model sees of plans and rules, it writes down.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use serde_json::json;

use crate::roles::words;
use crate::templates::{TemplateError, Templates};

/// What a writer sees.
pub struct WriterView<'a> {
    /// The task, verbatim.
    pub task: &'a str,
    /// The file that it goes on with.
    pub path: &'a str,
    /// What the whole chapter is about, in a sentence.
    pub chapter: &'a str,
    /// What is told in this section.
    pub beat: &'a str,
    /// Fewest and most words.
    pub words: (u32, u32),
    /// How the text before ends; empty where there is none.
    pub before: &'a str,
    /// The canon file; empty where there is none.
    pub canon: &'a str,
    /// What earlier attempts found out.
    pub summary: Option<&'a str>,
    /// Whether a grammar binds the reply.
    pub grammar: bool,
}

/// The writer's prompt. Its reply is read as any worker's.
pub fn fragments(
    view: &WriterView<'_>,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    let about = json!({
        "story": words::is_story(view.task), "grammar": view.grammar, "task": view.task.trim(), "path": view.path,
        "chapter": view.chapter.trim(), "beat": view.beat, "words_min": view.words.0, "words_max": view.words.1,
        "before": view.before.trim(), "canon": view.canon.trim(), "summary": view.summary.map(str::trim),
    });
    [
        (FragmentKind::System, "prompts/writer/system.md", "how a section is written"),
        (FragmentKind::Step, "prompts/writer/step.md", "what is to be told"),
    ]
    .into_iter()
    .map(|(kind, name, reason)| {
        Ok(Fragment::new(kind, name, reason, templates.render(name, &about)?, counter))
    })
    .collect()
}
