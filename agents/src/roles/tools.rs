//! What a worker is told of tools of other programs; without any, nothing.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use serde_json::json;

use crate::protocol::tool::ToolSpec;
use crate::templates::{TemplateError, Templates};

/// Characters of what a server says of a tool; some write pages.
const ABOUT_CHARS_MAX: usize = 400;
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
        let mut about = tool.about.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = about.char_indices().nth(ABOUT_CHARS_MAX) {
            about.truncate(end);
            about.push('…');
        }
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

/// The tool that a fragment tells of.
pub fn told_of(fragment: &Fragment) -> Option<&str> {
    fragment.source.strip_prefix(SOURCE).filter(|_| fragment.kind == FragmentKind::Tool)
}
