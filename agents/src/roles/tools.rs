//! What planners and workers are told of tools of other programs; without any, nothing.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use serde_json::json;

use crate::protocol::tool::ToolSpec;
use crate::templates::{TemplateError, Templates};

/// Characters of what a server says of a tool; some write pages.
const ABOUT_CHARS_MAX: usize = 400;
/// The same for a planner, who has to know only what it is for.
const ABOUT_CHARS_PLANNED: usize = 120;
/// Tools that a planner is told of.
const PLANNED_MAX: usize = 16;
/// What the source of a tool's fragment begins with.
const SOURCE: &str = "tool ";

/// How tools are called, and each of them by itself, so that those for which there is no room are named as left out.
pub fn fragments(
    tools: &[ToolSpec],
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Vec<Fragment>, TemplateError> {
    if tools.is_empty() {
        return Ok(Vec::new());
    }
    let name = "prompts/worker/tools.md";
    let mut out = vec![Fragment::new(
        FragmentKind::Tool,
        name,
        "how tools of other programs are called",
        templates.render(name, &json!({}))?,
        counter,
    )];
    for tool in tools {
        let about = beginning(&tool.about, ABOUT_CHARS_MAX);
        let view = json!({ "name": tool.name, "about": about, "arguments": tool.arguments() });
        let text = templates.render("prompts/worker/tool.md", &view)?;
        let source = format!("{SOURCE}{}", tool.name);
        out.push(Fragment::new(
            FragmentKind::Tool,
            source,
            "a tool that the configuration names",
            text,
            counter,
        ));
    }
    Ok(out)
}

/// Which tools a planner can let steps call.
pub fn for_planner(
    tools: &[ToolSpec],
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Option<Fragment>, TemplateError> {
    if tools.is_empty() {
        return Ok(None);
    }
    let name = "prompts/planner/tools.md";
    let told = tools.iter().take(PLANNED_MAX);
    let told: Vec<_> =
        told.map(|t| json!({ "name": t.name, "about": beginning(&t.about, ABOUT_CHARS_PLANNED) })).collect();
    let text = templates.render(name, &json!({ "tools": told }))?;
    Ok(Some(Fragment::new(FragmentKind::Tool, name, "tools that steps may call", text, counter)))
}

/// The tools that a step's own words name, so that it begins with them: small models write what they do not know, instead of
/// asking for it.
pub fn named<'a>(tools: &'a [ToolSpec], step: &str) -> Vec<&'a str> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let stands_alone = |(at, name): (usize, &str)| {
        !step[..at].ends_with(is_name) && !step[at + name.len()..].starts_with(is_name)
    };
    let names = tools.iter().map(|tool| tool.name.as_str());
    names.filter(|name| step.match_indices(name).any(stands_alone)).collect()
}

fn beginning(text: &str, chars_max: usize) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The tool that a fragment tells of.
pub fn told_of(fragment: &Fragment) -> Option<&str> {
    fragment.source.strip_prefix(SOURCE).filter(|_| fragment.kind == FragmentKind::Tool)
}
