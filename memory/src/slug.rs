//! Names made of texts: of directories and files, which must be safe wherever they are used.

/// Words of a text that a slug has at most.
const WORDS_MAX: usize = 6;
/// Characters of a slug.
const CHARS_MAX: usize = 48;
/// Words that say nothing about what is meant.
const STOP_WORDS: [&str; 24] = [
    "a", "an", "the", "of", "in", "on", "for", "with", "and", "or", "to", "that", "which", "is", "are", "be",
    "write", "make", "create", "build", "please", "by", "as", "from",
];

/// A name made of a text: lower-case letters, digits and dashes. None where it has no word that could stand in one.
pub fn slug(text: &str) -> Option<String> {
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_ascii_lowercase)
        .filter(|w| !STOP_WORDS.contains(&w.as_str()));
    let mut out = String::new();
    for word in words.take(WORDS_MAX) {
        if out.len() + word.len() >= CHARS_MAX {
            break;
        }
        if !out.is_empty() {
            out.push('-');
        }
        out.push_str(&word);
    }
    (!out.is_empty()).then_some(out)
}

/// Whether a name that a person gave can be a directory below the workspaces root.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= CHARS_MAX * 2
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_words_that_matter() {
        assert_eq!(
            slug("A command-line todo app in Python with add, list and done").as_deref(),
            Some("command-line-todo-app-python-add")
        );
        assert_eq!(slug("今日は"), None);
    }

    proptest! {
        #[test]
        fn every_slug_is_a_name(task in ".{0,200}") {
            prop_assert!(slug(&task).is_none_or(|slug| is_name(&slug)));
        }
    }
}
