//! Checks on Markdown prose: length, headings, outline here; names and facts, repetition and links in files of their own.

mod canon;
mod links;
mod repetition;
mod variety;

use std::collections::BTreeSet;

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

pub use canon::canon;
pub use links::{links, title_in};
pub use repetition::repetition;
pub use variety::variety;

use super::Found;

/// Share of a beat's content words that must occur, in tenths.
const BEAT_TENTHS_MIN: usize = 5;
/// Letters that a word keeps when it is compared: a crude stem that needs no dictionary.
const STEM_CHARS: usize = 5;
/// Shorter sentences may come again: "He waited."
const SENTENCE_WORDS_MIN: usize = 4;
/// Words that carry no content.
const STOP_WORDS: [&str; 44] = [
    "the", "and", "for", "with", "that", "this", "from", "into", "onto", "over", "under", "about", "after",
    "before", "are", "was", "were", "has", "have", "had", "not", "but", "you", "your", "their", "they",
    "them", "his", "her", "its", "our", "who", "what", "when", "where", "which", "how", "why", "will", "can",
    "does", "then", "than", "all",
];

/// The prose of a Markdown text: without code and markup, headings included.
fn prose(markdown: &str) -> String {
    let mut out = String::new();
    let mut in_code = false;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Text(text) if !in_code => out.push_str(&text),
            Event::Code(text) => out.push_str(&text),
            // What is in the middle of a word does not end it.
            Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link) => {}
            Event::SoftBreak | Event::HardBreak | Event::End(_) => out.push('\n'),
            _ => {}
        }
    }
    out
}

/// Sentences as lists of words.
fn sentences(markdown: &str) -> Vec<Vec<String>> {
    let words = |s: &str| s.split_whitespace().map(str::to_lowercase).collect();
    prose(markdown).split_inclusive(['.', '!', '?', '\n']).map(words).collect()
}

/// Whether the prose has between `min` and `max` words, not counting sentences that were there before, here or in
/// `earlier` texts.
pub fn words(earlier: &[String], markdown: &str, min: u32, max: u32) -> Found {
    let mut said: BTreeSet<Vec<String>> = earlier.iter().flat_map(|text| sentences(text)).collect();
    let (mut count, mut again) = (0, 0);
    for words in sentences(markdown) {
        let is_new = words.len() < SENTENCE_WORDS_MIN || said.insert(words.clone());
        *(if is_new { &mut count } else { &mut again }) += words.len();
    }
    if count < min as usize && again > 0 {
        Found::failed(format!(
            "it has {count} words and {again} more in sentences that were there before, {min} are the fewest; write the whole file again and say nothing twice"
        ))
    } else if count < min as usize {
        Found::failed(format!(
            "it has {count} words, {min} are the fewest; write the whole file again, longer"
        ))
    } else if count > max as usize {
        Found::failed(format!("it has {count} words, {max} are the most"))
    } else {
        Found::passed()
    }
}

/// What stands before a level-2 section of a text, and the section, from its heading to the next; the whole text where none
/// is meant, nothing where there is no such section.
pub fn apart(markdown: &str, section: Option<u32>) -> (String, String) {
    let Some(number) = section else { return (String::new(), markdown.to_owned()) };
    let begins: Vec<usize> = Parser::new(markdown)
        .into_offset_iter()
        .filter(|(event, _)| matches!(event, Event::Start(Tag::Heading { level: HeadingLevel::H2, .. })))
        .map(|(_, range)| range.start)
        .collect();
    let at = (number as usize).wrapping_sub(1);
    let Some(begin) = begins.get(at).copied() else { return (markdown.to_owned(), String::new()) };
    let end = begins.get(at.wrapping_add(1)).copied().unwrap_or(markdown.len());
    (markdown[..begin].to_owned(), markdown[begin..end].to_owned())
}

/// Whether it begins with its only level-1 heading and has enough level-2 headings.
pub fn headings(markdown: &str, sections_min: u32) -> Found {
    let levels: Vec<_> = Parser::new(markdown)
        .filter_map(|event| match event {
            Event::Start(Tag::Heading { level, .. }) => Some(level),
            _ => None,
        })
        .collect();
    let begins = Parser::new(markdown).next();
    let titles = levels.iter().filter(|l| **l == HeadingLevel::H1).count();
    let sections = levels.iter().filter(|l| **l == HeadingLevel::H2).count();
    if !matches!(begins, Some(Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }))) {
        Found::failed("it does not begin with a line `# ` and its title")
    } else if titles > 1 {
        Found::failed(format!("it has {titles} titles (`# `), one is allowed"))
    } else if sections < sections_min as usize {
        Found::failed(format!("it has {sections} sections (`## `), {sections_min} are the fewest"))
    } else {
        Found::passed()
    }
}

fn stem(word: &str) -> String {
    word.chars().take(STEM_CHARS).collect()
}

fn content_words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|w| w.chars().count() > 2 && !STOP_WORDS.contains(&w.as_str()))
        .collect()
}

/// Whether each beat's content words occur, up to their endings.
pub fn outline(markdown: &str, beats: &[String]) -> Found {
    let there: BTreeSet<_> = content_words(&prose(markdown)).iter().map(|w| stem(w)).collect();
    let mut missing = Vec::new();
    for beat in beats {
        let wanted = content_words(beat);
        let absent: Vec<_> = wanted.iter().filter(|w| !there.contains(&stem(w))).cloned().collect();
        let present = wanted.len() - absent.len();
        if !wanted.is_empty() && present * 10 < wanted.len() * BEAT_TENTHS_MIN {
            missing.push(format!("\"{}\" (no word of: {})", beat.trim(), absent.join(", ")));
        }
    }
    if missing.is_empty() {
        Found::passed()
    } else {
        Found::failed(format!("it does not speak of {}", missing.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use edvac_memory::verdict::Verdict;

    use super::*;

    fn reason(found: Found) -> String {
        match found.verdict {
            Verdict::Failed { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn words_are_those_of_the_prose() {
        let text = "# One two\n\nThree *four*.\n\n```\nnot counted at all\n```\n";
        assert_eq!(words(&[], text, 4, 4).verdict, Verdict::Passed);
        let twice = "He saw the light go out. He waited. He saw the light go out. He waited.";
        assert_eq!(words(&[], twice, 10, 10).verdict, Verdict::Passed, "short sentences may come again");
        assert!(reason(words(&[], twice, 11, 20)).contains("10 words and 6 more"));
        assert!(reason(words(&[twice.to_owned()], twice, 5, 20)).contains("4 words and 12 more"));
        assert!(reason(words(&[], text, 5, 9)).contains("4 words"));
        assert!(reason(words(&[], text, 1, 3)).contains("3 are the most"));
    }

    #[test]
    fn headings_in_order() {
        assert_eq!(headings("# T\n\n## A\n\n## B\n", 2).verdict, Verdict::Passed);
        assert!(reason(headings("Hello\n\n# T\n", 0)).contains("begin"));
        assert!(reason(headings("# T\n\n# U\n", 0)).contains("2 titles"));
        assert!(reason(headings("# T\n\n## A\n", 2)).contains("1 sections"));
    }

    #[test]
    fn beats_are_found_in_other_forms() {
        let text = "Mara was climbing the steep steps when the lamp had gone out.";
        let beats = ["Mara climbs the steps".to_owned(), "the lamp goes out".to_owned()];
        assert_eq!(outline(text, &beats).verdict, Verdict::Passed);
        assert!(reason(outline(text, &["the Petrel turns away".to_owned()])).contains("petrel"));
    }
}
