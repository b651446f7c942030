//! How many chapters and words a task asks for.

use std::sync::LazyLock;

use regex::Regex;

use super::CHAPTERS_MAX;

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// The chapters that a book is to have: "a twelve-chapter book", "30 chapters". None where the task does not say, or says it of
/// single chapters ("chapter 3").
pub fn chapters_asked(task: &str) -> Option<u32> {
    static ASKED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)\b([0-9]{1,3}|[a-z]+(?:[ -][a-z]+)?)[ -]+chapters?\b").ok());
    let asked = ASKED.as_ref()?;
    let all = asked.captures_iter(task).filter_map(|found| number(found.get(1)?.as_str()));
    all.max().filter(|count| (1..=CHAPTERS_MAX).contains(count))
}

/// Words that a whole book is to have: "60,000 words". What is asked of each chapter is none of it.
pub fn words_asked(task: &str) -> Option<u32> {
    static ASKED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)\b([1-9][0-9]{0,2}(?:[,. '][0-9]{3})+|[1-9][0-9]{2,6})[ -]words?\b(\s+(?:a|an|per|each|every|for (?:each|every)|in (?:each|every))\b)?").ok()
    });
    let found = ASKED.as_ref()?.captures_iter(task).find(|found| found.get(2).is_none())?;
    let digits: String = found.get(1)?.as_str().chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// `12`, `twelve`, `twenty-four`; of two words the last one counts alone where both make no number.
fn number(said: &str) -> Option<u32> {
    let said = said.to_lowercase();
    if let Ok(number) = said.parse() {
        return Some(number);
    }
    let place =
        |words: &[&str], word: &str| words.iter().position(|known| *known == word && !word.is_empty());
    let one = |word: &str| place(&SMALL, word).or_else(|| place(&TENS, word).map(|tens| tens * 10));
    let count = match said.split_once([' ', '-']) {
        None => one(&said),
        Some((first, second)) => match (place(&TENS, first), place(&SMALL, second)) {
            (Some(tens), Some(ones @ 1..=9)) => Some(tens * 10 + ones),
            _ => one(second),
        },
    };
    u32::try_from(count?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_people_write_them() {
        for (task, chapters, words) in [
            ("A twelve-chapter book on sourdough", Some(12), None),
            ("A guide of thirty chapters and 60,000 words", Some(30), Some(60_000)),
            ("twenty-four chapters, 300 words each", Some(24), None),
            ("A novel (80000 words, 40 chapters)", Some(40), Some(80_000)),
            ("A story about chapter 3 of my life", None, None),
            ("A book with 2000 words per chapter and eight chapters", Some(8), None),
            ("all chapters are short; 500 chapters", None, None),
            ("the last twenty chapters", Some(20), None),
        ] {
            assert_eq!((chapters_asked(task), words_asked(task)), (chapters, words), "{task}");
        }
    }
}
