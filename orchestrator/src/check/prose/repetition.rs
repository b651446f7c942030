//! Does a text say things twice?

use std::collections::BTreeSet;

use super::prose;
use crate::check::Found;

/// A phrase is this many words in a row. Shorter ones come again in every honest text.
const PHRASE_WORDS: usize = 8;
/// Shorter paragraphs may come again, as refrains and turns of a dialogue do.
const PARAGRAPH_WORDS_MIN: usize = 12;
/// Words of a paragraph that are shown.
const SHOWN_WORDS_MAX: usize = 12;

/// Whether a text has no paragraph that was there before, in it or in `earlier` texts, and at most `percent_max` of its
/// words in phrases that were. Grows with the length of all texts together.
pub fn repetition(earlier: &[String], markdown: &str, percent_max: u32) -> Found {
    let mut paragraphs: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut phrases: BTreeSet<Vec<String>> = BTreeSet::new();
    for text in earlier {
        for words in paragraphs_of(text) {
            phrases.extend(words.windows(PHRASE_WORDS).map(<[String]>::to_vec));
            paragraphs.insert(words);
        }
    }
    let (mut all, mut again) = (0, 0);
    for words in paragraphs_of(markdown) {
        if words.len() >= PARAGRAPH_WORDS_MIN && paragraphs.contains(&words) {
            let begins = words[..words.len().min(SHOWN_WORDS_MAX)].join(" ");
            return Found::failed(format!(
                "a paragraph comes twice, here or in an earlier chapter: \"{begins} ...\""
            ));
        }
        // A word counts once, however many phrases that came before it lies in.
        let mut is_again = vec![false; words.len()];
        for (at, phrase) in words.windows(PHRASE_WORDS).enumerate() {
            if !phrases.insert(phrase.to_vec()) {
                is_again[at..at + PHRASE_WORDS].fill(true);
            }
        }
        all += words.len();
        again += is_again.iter().filter(|again| **again).count();
        paragraphs.insert(words);
    }
    let percent = (again * 100).checked_div(all).unwrap_or(0);
    if percent > percent_max as usize {
        Found::failed(format!(
            "{percent} of 100 words are in phrases that came before, {percent_max} are the most; say nothing twice"
        ))
    } else {
        Found::passed()
    }
}

/// Paragraphs, as their words without case and punctuation.
fn paragraphs_of(markdown: &str) -> Vec<Vec<String>> {
    let plain = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    markdown
        .split("\n\n")
        .map(prose)
        .map(|text| text.split_whitespace().map(plain).filter(|w| !w.is_empty()).collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: &str = "The keeper climbed the stairs before the storm and lit the lamp with shaking hands.";

    fn why(earlier: &[&str], text: &str) -> String {
        let earlier: Vec<_> = earlier.iter().map(|&t| t.to_owned()).collect();
        repetition(&earlier, text, 20).verdict.reason().to_owned()
    }

    #[test]
    fn paragraphs_come_once() {
        assert_eq!(why(&[], ONCE), "");
        assert!(why(&[], &format!("{ONCE}\n\nShe slept.\n\n*{ONCE}*")).contains("comes twice"));
        assert!(why(&[ONCE], ONCE).contains("\"the keeper climbed"));
        assert_eq!(why(&[], "\"No,\" she said.\n\n\"No,\" she said."), "", "short ones may come again");
    }

    #[test]
    fn phrases_that_come_again_are_counted() {
        let again = "Then the keeper climbed the stairs before the storm and slept.";
        assert!(
            why(&[], &format!("{ONCE}\n\n{again}")).starts_with("59 of 100 words")
                || why(&[ONCE], again).contains("of 100 words")
        );
        assert_eq!(why(&[ONCE], "Nobody else climbed anything at all on that long quiet day of summer."), "");
    }
}
