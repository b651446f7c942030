//! Checks on Markdown prose: length, headings, outline, names.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::Found;

/// Share of a beat's content words that must occur, in tenths.
const BEAT_TENTHS_MIN: usize = 5;
/// Letters that a word keeps when it is compared: a crude stem that needs no dictionary.
const STEM_CHARS: usize = 5;
/// A name shorter than this has too many neighbours to call one of them a misspelling.
const NAME_CHARS_MIN: usize = 5;
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

/// Names that a canon fixes: what stands before the colon of its list items.
fn names(canon: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for line in prose_lines(canon) {
        if let Some((name, _)) = line.split_once(':') {
            out.extend(
                name.split_whitespace()
                    .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()).to_owned())
                    .filter(|w| is_name(w)),
            );
        }
    }
    out
}

fn prose_lines(markdown: &str) -> Vec<String> {
    prose(markdown).lines().map(str::to_owned).filter(|l| !l.trim().is_empty()).collect()
}

fn is_name(word: &str) -> bool {
    word.chars().count() >= NAME_CHARS_MIN && word.chars().next().is_some_and(char::is_uppercase)
}

/// Whether a name of the canon is spelt in a second way: a capitalised word one letter away from it that is no form
/// of it and that the canon does not know.
pub fn canon(markdown: &str, canon: &str) -> Found {
    let known = names(canon);
    let canon_words: BTreeSet<_> = content_words(canon).into_iter().collect();
    let text = prose(markdown);
    let mut odd = BTreeMap::new();
    let words: BTreeSet<_> = text.split(|c: char| !c.is_alphanumeric()).filter(|w| is_name(w)).collect();
    for word in words {
        if known.contains(word) || canon_words.contains(&word.to_lowercase()) {
            continue;
        }
        // The plain word is nobody's name.
        if text.split(|c: char| !c.is_alphanumeric()).any(|w| w == word.to_lowercase()) {
            continue;
        }
        if let Some(name) = known.iter().find(|name| one_letter_apart(name, word)) {
            odd.insert(word, name);
        }
    }
    if odd.is_empty() {
        return Found::passed();
    }
    let said: Vec<_> = odd.iter().map(|(word, name)| format!("{word} (the canon says {name})")).collect();
    Found::failed(format!("it spells names in a second way: {}", said.join(", ")))
}

/// One letter replaced, added or left out; a plural or possessive ending is a form of the same name.
fn one_letter_apart(name: &str, word: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (name.chars().collect(), word.chars().collect());
    if word.strip_suffix(['s', 'n']) == Some(name) || a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    (a.len() - end).max(b.len() - end) == 1
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

    #[test]
    fn a_name_is_spelt_one_way() {
        let canon_file = "# Canon\n\n- Marlene Lindt: keeper of the lighthouse.\n- Petrel: a ship.\n";
        let check = |text: &str| canon(text, canon_file);
        assert_eq!(check("Marlene saw the Petrel. Marlene's lamp. Petrels fly.").verdict, Verdict::Passed);
        assert!(reason(check("Marlena saw the Petrel.")).contains("Marlena (the canon says Marlene)"));
        assert_eq!(check("Margaret came.").verdict, Verdict::Passed, "another name is another person");
    }
}
