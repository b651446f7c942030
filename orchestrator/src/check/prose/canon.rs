//! Does a text agree with the canon file: names, ages, years?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{content_words, prose};
use crate::check::Found;

/// A name shorter than this has too many neighbours to call one of them a misspelling.
const NAME_CHARS_MIN: usize = 5;
/// Words by which a sentence says that it speaks of another time than the canon does.
const OTHER_TIMES: [&str; 16] = [
    "when",
    "ago",
    "later",
    "once",
    "had",
    "would",
    "will",
    "turned",
    "turning",
    "until",
    "before",
    "after",
    "since",
    "remembered",
    "younger",
    "older",
];

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

/// Whether a text agrees with a canon. See [`spelling`] and [`facts`] for what is compared.
pub fn canon(markdown: &str, canon: &str) -> Found {
    spelling(markdown, canon).or_else(|| facts(markdown, canon)).map_or_else(Found::passed, Found::failed)
}

/// A name of the canon that is spelt in a second way: a capitalised word one letter away from it that is no form
/// of it and that the canon does not know.
fn spelling(markdown: &str, canon: &str) -> Option<String> {
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
    let said: Vec<_> = odd.iter().map(|(word, name)| format!("{word} (the canon says {name})")).collect();
    (!odd.is_empty()).then(|| format!("it spells names in a second way: {}", said.join(", ")))
}

/// An age or a year of birth that the canon fixes for a name and that a sentence about that name gives otherwise. Only
/// what is said plainly counts: `Mara, 34,`, `Mara was 34`, `the 34-year-old Mara`, `Mara, born in 1987`; and no sentence
/// that speaks of another time.
fn facts(markdown: &str, canon: &str) -> Option<String> {
    let text = prose(markdown);
    let sentences: Vec<_> = text.split_inclusive(['.', '!', '?', '\n']).collect();
    for line in prose_lines(canon) {
        let Some((name, said)) = line.split_once(':') else { continue };
        let Some(first) = name.split_whitespace().find(|w| w.chars().next().is_some_and(char::is_uppercase))
        else {
            continue;
        };
        let of_it: Vec<&str> = sentences.iter().copied().filter(|s| s.contains(first)).collect();
        for (what, fixed, said_so) in
            [("age", age_in(said), ages_of(first)), ("year of birth", birth_in(said), births_of(first))]
        {
            let Some(fixed) = fixed else { continue };
            let given = |sentence: &&str| said_so.iter().find_map(|pattern| number(pattern, sentence));
            // An age is one of some time, a year of birth of any.
            let counts = |sentence: &&str| what != "age" || !is_of_another_time(sentence);
            let other = of_it
                .iter()
                .filter(|s| counts(s))
                .find_map(|s| given(s).filter(|n| *n != fixed).map(|n| (s, n)));
            if let Some((sentence, given)) = other {
                return Some(format!(
                    "it says {given} where the canon says {fixed} for the {what} of {first}: \"{}\"",
                    sentence.trim()
                ));
            }
        }
    }
    None
}

/// The number that an expression finds in a text, in the first of its groups that took part.
fn number(pattern: &Regex, text: &str) -> Option<u32> {
    pattern.captures(text)?.iter().skip(1).flatten().find_map(|group| group.as_str().parse().ok())
}

/// The age that a canon's entry gives.
fn age_in(said: &str) -> Option<u32> {
    static AGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)\b([1-9][0-9]?)(?:[- ]years?[- ]old\b|\s+years of age)|\baged?\s+([1-9][0-9]?)\b|^\s*([1-9][0-9]?)\s*,").ok()
    });
    number(AGE.as_ref()?, said)
}

fn birth_in(said: &str) -> Option<u32> {
    static BIRTH: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)\bborn\s+(?:in\s+|on\s+[^.]{0,20}?)?([12][0-9]{3})\b").ok());
    number(BIRTH.as_ref()?, said)
}

fn is_of_another_time(sentence: &str) -> bool {
    sentence.split(|c: char| !c.is_alphanumeric()).any(|w| OTHER_TIMES.contains(&w.to_lowercase().as_str()))
}

/// How a sentence gives the age of a name.
fn ages_of(name: &str) -> Vec<Regex> {
    let name = regex::escape(name);
    let ways = [
        format!(r"\b{name}(?: \p{{Lu}}\w+)?, ([1-9][0-9]?),"),
        format!(r"\b{name}(?: \p{{Lu}}\w+)? (?:is|was|,? aged) ([1-9][0-9]?)(?: years old)?\s*[.,;!]"),
        format!(r"\b([1-9][0-9]?)-year-old {name}\b"),
    ];
    ways.iter().filter_map(|way| Regex::new(way).ok()).collect()
}

/// How a sentence gives the year of birth of a name.
fn births_of(name: &str) -> Vec<Regex> {
    let name = regex::escape(name);
    Regex::new(&format!(r"\b{name}(?: \p{{Lu}}\w+)?,? (?:was )?born in ([12][0-9]{{3}})\b"))
        .into_iter()
        .collect()
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

    #[test]
    fn a_name_is_spelt_one_way() {
        let canon_file = "# Canon\n\n- Marlene Lindt: keeper of the lighthouse.\n- Petrel: a ship.\n";
        let check = |text: &str| canon(text, canon_file).verdict;
        let why = |verdict: Verdict| verdict.reason().to_owned();
        assert_eq!(check("Marlene saw the Petrel. Marlene's lamp. Petrels fly."), Verdict::Passed);
        assert!(why(check("Marlena saw the Petrel.")).contains("Marlena (the canon says Marlene)"));
        assert_eq!(check("Margaret came."), Verdict::Passed, "another name is another person");
    }

    #[test]
    fn ages_and_years_are_those_of_the_canon() {
        let canon_file = "# Canon\n\n- **Mara Lindt**: 34, keeper of the lighthouse, born in 1987.\n- **Tom**: a boy of no age.\n";
        let why = |text: &str| canon(text, canon_file).verdict.reason().to_owned();
        for same in [
            "Mara, 34, climbed.",
            "Mara was 34.",
            "When Mara was 12, she left.",
            "Mara had 12 ropes.",
            "Tom was 9.",
            "Mara was 5 miles away.",
            "The 34-year-old Mara Lindt, born in 1987, sang.",
        ] {
            assert_eq!(why(same), "", "{same}");
        }
        for (other, given) in [
            ("Mara, 36, climbed.", "36"),
            ("Mara Lindt was 43.", "43"),
            ("The 30-year-old Mara sang.", "30"),
            ("Mara Lindt, born in 1978, sang.", "1978"),
        ] {
            assert!(why(other).starts_with(&format!("it says {given} where")), "{other}: {}", why(other));
        }
    }
}
