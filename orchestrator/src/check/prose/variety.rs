//! Does a text go on saying something?

use std::collections::BTreeSet;

use super::prose;
use crate::check::Found;

/// Words in a row that are looked at together.
const STRETCH_WORDS: usize = 100;
/// Words from one stretch to the next.
const STEP_WORDS: usize = 10;
/// Of so many stretches one may be poorer: a list, a song.
const POORER_ONE_IN: usize = 10;
/// Words of a stretch that are shown.
const SHOWN_WORDS_MAX: usize = 16;

/// Whether in nine of ten stretches of a hundred words at least `distinct_min` are different. Text that goes in circles in
/// other words each time shows here and not as repetition. In 450 stretches of 1,500 words of eight printed books the poorest
/// had 44. Linear in the text; a text shorter than a stretch passes.
pub fn variety(markdown: &str, distinct_min: u32) -> Found {
    let text = prose(markdown).to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()).collect();
    let mut stretches: Vec<(usize, usize)> = words
        .windows(STRETCH_WORDS)
        .enumerate()
        .step_by(STEP_WORDS)
        .map(|(at, stretch)| (stretch.iter().collect::<BTreeSet<_>>().len(), at))
        .collect();
    stretches.sort_unstable();
    match stretches.get(stretches.len() / POORER_ONE_IN) {
        Some((distinct, _)) if *distinct < distinct_min as usize => {
            let (poorest, at) = stretches[0];
            let shown = words[at..].iter().take(SHOWN_WORDS_MAX).copied().collect::<Vec<_>>().join(" ");
            Found::failed(format!(
                "it goes in circles: of 100 words only {poorest} are different where it says \"{shown} ...\", {distinct_min} are the fewest; let something else happen in every sentence"
            ))
        }
        _ => Found::passed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        variety(text, 40).verdict.reason().to_owned()
    }

    #[test]
    fn circles_in_other_words_are_seen() {
        let said =
            ["I can help you", "John, I can help", "You can help me, John", "Help me", "I help you, John"];
        let circles: String = (0..60).map(|n| format!("John: \"{}.\" ", said[n * n % said.len()])).collect();
        assert!(why(&circles).contains("only"), "{}", why(&circles));
        assert!(why(&circles).contains("john"), "it shows where");
        assert_eq!(why("Short. Short. Short."), "");
        assert_eq!(why(""), "");
    }

    #[test]
    fn a_text_with_a_refrain_is_none() {
        let lively: String = (0..200)
            .map(|n| format!("Then man{n} took the road{n} to town{n}, where hat{n} was. "))
            .collect();
        assert_eq!(why(&lively), "");
        assert_eq!(why(&format!("{lively}{}", "la la la ".repeat(20))), "", "one song");
    }
}
