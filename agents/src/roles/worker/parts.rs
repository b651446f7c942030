//! A file that is too long to be shown: what is in it, and the lines that a step is about.

use std::collections::BTreeSet;

use edvac_memory::context::{Fragment, FragmentKind, TokenCounter};
use serde_json::json;

use crate::roles::words;
use crate::templates::{TemplateError, Templates};

/// The share of the room that the outline may have.
const OUTLINE_SHARE: usize = 3;
/// Most names of an outline.
const OUTLINE_MAX: usize = 200;
/// Lines of a file's beginning that are always shown: what it imports, and what it says of itself.
const HEAD_LINES: usize = 12;

/// Parts of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileParts {
    /// The file.
    pub path: String,
    /// All of its text.
    pub text: String,
    /// What is defined in it, each with its line, from 1.
    pub outline: Vec<(usize, String)>,
    /// First and last lines of what the step is about, the most important first.
    pub ranges: Vec<(usize, usize)>,
    /// Why it is shown, in a few words.
    pub reason: String,
}

impl FileParts {
    /// As much of it as fits into `tokens_max`: the outline in its share, then ranges in their order.
    pub fn fragment(
        &self,
        tokens_max: usize,
        templates: &Templates,
        counter: &dyn TokenCounter,
    ) -> Result<Fragment, TemplateError> {
        let outline_max = tokens_max / OUTLINE_SHARE;
        let mut names = self.outline.len().min(OUTLINE_MAX);
        while names > 0 && counter.count(&self.render(names, &BTreeSet::new(), templates)?) > outline_max {
            names -= names.div_ceil(4);
        }
        let lines_total = self.text.lines().count();
        let mut shown = BTreeSet::new();
        for (first, last) in [(1, HEAD_LINES.min(lines_total))].into_iter().chain(self.ranges.iter().copied())
        {
            let mut with = shown.clone();
            with.extend(first.max(1)..=last.min(lines_total));
            if counter.count(&self.render(names, &with, templates)?) <= tokens_max {
                shown = with;
            }
        }
        let ranges: Vec<_> = runs(&shown).iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let source = format!("{}:{} of {lines_total} lines", self.path, ranges.join(","));
        let text = self.render(names, &shown, templates)?;
        Ok(Fragment::new(FragmentKind::File, source, self.reason.clone(), text, counter))
    }

    fn render(
        &self,
        names: usize,
        shown: &BTreeSet<usize>,
        templates: &Templates,
    ) -> Result<String, TemplateError> {
        let lines: Vec<_> = self.text.lines().collect();
        let parts: Vec<_> = runs(shown)
            .into_iter()
            .map(|(first, last)| {
                let text = lines.get(first - 1..last).unwrap_or_default().join("\n");
                json!({ "line_first": first, "line_last": last, "text": text })
            })
            .collect();
        let outline: Vec<_> = self
            .outline
            .iter()
            .take(names)
            .map(|(line, name)| json!({ "line": line, "name": name }))
            .collect();
        let view = json!({
            "path": self.path, "lines_total": lines.len(), "outline": outline,
            "outline_left_out": self.outline.len() - outline.len(), "parts": parts,
            "fence": words::fence(&self.text),
        });
        templates.render("prompts/worker/parts.md", &view)
    }
}

/// Runs of numbers that follow each other.
fn runs(numbers: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Words;
    impl TokenCounter for Words {
        fn count(&self, text: &str) -> usize {
            text.split_whitespace().count()
        }
    }

    #[test]
    fn the_lines_that_matter_are_shown_within_the_room() {
        let templates = Templates::load(None).unwrap();
        let text: String = (1..=400).map(|n| format!("line number {n}\n")).collect();
        let parts = FileParts {
            path: "a.py".into(),
            text,
            outline: (0..40).map(|n| (n * 10 + 1, format!("f{n}"))).collect(),
            ranges: vec![(200, 220), (215, 230), (50, 340)],
            reason: "the step writes it".into(),
        };
        for room in [250, 400, 800] {
            let fragment = parts.fragment(room, &templates, &Words).unwrap();
            assert!(fragment.tokens <= room, "{room}: {}", fragment.tokens);
        }
        let fragment = parts.fragment(400, &templates, &Words).unwrap();
        assert_eq!(fragment.source, "a.py:1-12,200-230 of 400 lines");
        assert!(fragment.text.contains("Lines 200-230:\n```\nline number 200\n"), "{}", fragment.text);
        assert!(fragment.text.contains("11: f1\n") && fragment.text.contains("parts of its 400 lines"));
        let small = parts.fragment(250, &templates, &Words).unwrap();
        assert!(small.text.contains("more are not named"), "{}", small.text);
    }

    #[test]
    fn runs_of_numbers() {
        assert_eq!(runs(&BTreeSet::from([1, 2, 3, 7, 9, 10])), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(runs(&BTreeSet::new()), []);
    }
}
