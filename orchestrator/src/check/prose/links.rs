//! Do the links of a text lead somewhere?

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::check::Found;

/// Links that are named where they lead nowhere.
const NAMED_MAX: usize = 5;

/// Whether every link that stays in the project leads to a file, and to a heading of it where it names one. `text_of`
/// gives a file's text. What lies elsewhere on the web is not looked at: there is no network.
pub fn links(path: &str, markdown: &str, text_of: &dyn Fn(&str) -> Option<String>) -> Found {
    let mut dead = Vec::new();
    for event in Parser::new(markdown) {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
            continue;
        };
        if let Some(why) = leads_nowhere(path, markdown, &dest_url, text_of) {
            dead.push(format!("{dest_url} ({why})"));
        }
    }
    if dead.is_empty() {
        return Found::passed();
    }
    let more = dead.len().saturating_sub(NAMED_MAX);
    dead.truncate(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Found::failed(format!("links lead nowhere: {}{more}", dead.join(", ")))
}

/// The text of the first link of `from` that leads to `to`: the title that a table of contents has for a chapter.
pub fn title_in(markdown: &str, from: &str, to: &str) -> Option<String> {
    let mut title = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) if resolved(from, &dest_url).as_deref() == Some(to) => {
                title = Some(String::new());
            }
            Event::Text(text) | Event::Code(text) => title.iter_mut().for_each(|t| t.push_str(&text)),
            Event::End(TagEnd::Link) if title.is_some() => break,
            _ => {}
        }
    }
    title.filter(|title| !title.trim().is_empty())
}

fn leads_nowhere(
    from: &str,
    markdown: &str,
    link: &str,
    text_of: &dyn Fn(&str) -> Option<String>,
) -> Option<&'static str> {
    let is_elsewhere = link.starts_with("//")
        || link.split_once(':').is_some_and(|(scheme, _)| {
            scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
    if is_elsewhere {
        return None;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let text = if file.is_empty() {
        markdown.to_owned()
    } else {
        let Some(path) = resolved(from, file) else { return Some("it leads out of the project") };
        match text_of(&path) {
            Some(text) => text,
            None => return Some("there is no such file"),
        }
    };
    match heading {
        Some(heading) if !heading.is_empty() && !anchors(&text).contains(heading) => {
            Some("there is no such heading")
        }
        _ => None,
    }
}

/// A link's file as a path from the project's root.
fn resolved(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        parts.clear();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The names by which a text's headings can be linked to, as GitHub and mdBook make them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let name: String = heading
                    .take()
                    .unwrap_or_default()
                    .to_lowercase()
                    .chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                    .map(|c| if c == ' ' { '-' } else { c })
                    .collect();
                let again = (1..=out.len()).map(|n| format!("{name}-{n}")).find(|n| !out.contains(n));
                let name = if out.contains(&name) { again.unwrap_or(name) } else { name };
                out.insert(name);
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        let files = |path: &str| match path {
            "src/b.md" => Some("# B\n\n## The end, at last\n\n## Twice\n\n## Twice\n".to_owned()),
            "img/a.png" => Some(String::new()),
            _ => None,
        };
        links("src/a.md", text, &files).verdict.reason().to_owned()
    }

    #[test]
    fn a_table_of_contents_has_the_titles() {
        let contents = "# Summary\n\n- [Smoke & *Fire*](chapter-01.md)\n- [Guests](./chapter-02.md)\n- [](chapter-03.md)\n";
        let title = |path: &str| title_in(contents, "src/SUMMARY.md", path);
        assert_eq!(title("src/chapter-01.md").as_deref(), Some("Smoke & Fire"));
        assert_eq!(title("src/chapter-02.md").as_deref(), Some("Guests"));
        assert_eq!(title("src/chapter-03.md"), None);
        assert_eq!(title("chapter-01.md"), None);
    }

    #[test]
    fn links_lead_to_files_and_headings() {
        for good in [
            "[b](b.md) [b](./b.md#the-end-at-last) ![a](../img/a.png)",
            "[t](b.md#twice) [t](b.md#twice-1)",
            "# Here\n\n[h](#here) [w](https://example.org/x) [m](mailto:a@b.c) `[x](no.md)`",
        ] {
            assert_eq!(why(good), "", "{good}");
        }
        for (bad, reason) in [
            ("[c](c.md)", "c.md (there is no such file)"),
            ("[b](b.md#no)", "b.md#no (there is no such heading)"),
            ("[x](../../etc/passwd)", "leads out of the project"),
            ("[h](#nowhere)", "no such heading"),
            ("[c][1]\n\n[1]: c.md", "no such file"),
        ] {
            assert!(why(bad).contains(reason), "{bad}: {}", why(bad));
        }
    }
}
