//! What a project says to everybody who works on it, in a file like `AGENTS.md`. It is text for a worker like any other: nothing
//! of it configures anything.

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use edvac_memory::store::path::file_name;
use serde_json::json;

use crate::templates::{TemplateError, Templates};

/// The name of such a file.
pub const NAME: &str = "AGENTS.md";

/// Those of `files` that are about `paths`: of directories on the way to one of them, the nearest first, and the root's last.
pub fn about<'a>(files: impl Iterator<Item = &'a String>, paths: &[String]) -> Vec<&'a str> {
    let is_above = |guide: &str| {
        let dir = guide.strip_suffix(NAME).unwrap_or_default();
        paths.iter().any(|path| path.starts_with(dir)) || dir.is_empty()
    };
    let mut found: Vec<&str> =
        files.map(String::as_str).filter(|path| file_name(path) == NAME && is_above(path)).collect();
    found.sort_by_key(|path| std::cmp::Reverse(depth(path)));
    found
}

/// How far below the root a file lies. What the root says comes first in a prompt: it is the same for every step.
pub fn depth(path: &str) -> usize {
    path.matches('/').count()
}

/// One of them as a piece of a prompt.
pub fn fragment(
    path: &str,
    text: &str,
    templates: &Templates,
    counter: &dyn TokenCounter,
) -> Result<Fragment, TemplateError> {
    let text = templates.render("prompts/guide.md", &json!({ "path": path, "text": text.trim() }))?;
    Ok(Fragment::new(
        FragmentKind::Guide,
        path,
        "what the project asks of those who work on it",
        text,
        counter,
    ))
}

#[cfg(test)]
mod tests {
    use super::about;

    #[test]
    fn the_roots_and_those_on_the_way() {
        let files = ["AGENTS.md", "a/AGENTS.md", "a/b/AGENTS.md", "ab/AGENTS.md", "NOT-AGENTS.md", "a/x.py"];
        let files = files.map(str::to_owned);
        let find = |paths: &[&str]| {
            about(files.iter(), &paths.iter().map(|&p| p.to_owned()).collect::<Vec<_>>()).join(" ")
        };
        assert_eq!(find(&["a/b/c.py"]), "a/b/AGENTS.md a/AGENTS.md AGENTS.md");
        assert_eq!(find(&["abc.py"]), "AGENTS.md");
        assert_eq!(find(&[]), "AGENTS.md");
    }
}
