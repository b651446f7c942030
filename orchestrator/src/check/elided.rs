//! Code that is not there: a comment that stands for it, as models write when they repeat a file ("the rest remains the same").

use std::sync::LazyLock;

use regex::Regex;

use super::syntax::language_of;

/// A comment that takes a whole line, and what it says.
static COMMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\s*(?:#|//+|/\*+|--|<!--)\s*(.*?)\s*(?:\*/|-->)?$").ok());

/// What such comments say. What else they say would be about something: "the rest of the file is data".
static SAID: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let code = r"(?:code|file|functions?|class|methods?|implementation|tests?|program|module|logic|body)";
    let same = r"(?:(?:remains?|stays?|is|are) (?:the same|unchanged|as (?:before|it (?:is|was)))|unchanged|(?:goes|comes|is|are) here|here|as (?:before|above)|omitted|not shown)";
    let end = r"[\s.…)\]]*$";
    Regex::new(&format!(
        r"(?ix)^[\s.…(\[]*(?:
            (?:the\ )?(?:rest|remainder)\ of\ (?:(?:the|your|this|my)\ )?(?:\w+\ )?{code}(?:\ {same})?(?:\ as\ before)?{end}
          | (?:the\ )?(?:existing|previous|remaining|other)\ (?:\w+\ )?{code}\ {same}{end}
          | (?:existing|previous|remaining)\ {code}{end}
          | (?:your|the|more)\ {code}\ (?:goes\ |comes\ )?here{end}
          | (?:implementation|code|logic)\ (?:goes|comes)\ here{end}
          | (?:the\ )?(?:rest|remainder)\ (?:remains?|stays?|is)\ (?:the\ same|unchanged|as\ before)(?:\ as\ before)?{end}
          | (?:same|unchanged)\ as\ (?:before|above){end}
        )",
        same = same.replace(' ', r"\ "),
    ))
    .ok()
});

/// The number, from 1, and the text of the first line that stands for code which `text` leaves out, unless `before` has the line
/// already. None in files that are no code.
pub fn elided(path: &str, text: &str, before: &str) -> Option<(usize, String)> {
    language_of(path)?;
    let (comment, said) = (COMMENT.as_ref()?, SAID.as_ref()?);
    let leaves_out = |line: &str| comment.captures(line).is_some_and(|found| said.is_match(&found[1]));
    let is_old = |line: &str| before.lines().any(|old| old.trim() == line.trim());
    let mut lines = text.lines().zip(1..);
    lines
        .find(|(line, _)| leaves_out(line) && !is_old(line))
        .map(|(line, number)| (number, line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_no_code() {
        let line = |path: &str, line: &str| elided(path, &format!("x = 1\n{line}\n"), "").map(|(n, _)| n);
        for comment in [
            "    # The rest of the code remains the same as before",
            "# ... rest of the code ...",
            "# rest of the functions",
            "# ... existing code ...",
            "# existing code here",
            "# The other methods remain unchanged",
            "# (remaining implementation unchanged)",
            "# Your code here",
            "# implementation goes here",
            "# ... the rest stays the same",
            "# same as before",
        ] {
            assert_eq!(line("a.py", comment), Some(2), "{comment}");
        }
        assert_eq!(line("a.mjs", "// ... rest of the file unchanged"), Some(2));
        assert_eq!(line("a.rs", "/* rest of the implementation here */"), Some(2));
        for comment in [
            "# The rest of the file is data, one reading a line.",
            "# the rest of the words are kept as they are found",
            "# Other tests are in test_b.py",
            "# the existing code is kept when the name is known",
            "# what remains is the remainder of the division",
            "rest = code_of(the)  # the rest of the code",
            "# the remaining lines are the body",
            "# The same as before, and one more.",
        ] {
            assert_eq!(line("a.py", comment), None, "{comment}");
        }
        assert_eq!(line("a.md", "# Rest of the code"), None);
        assert_eq!(elided("a.py", "# same as before\n", "\t# same as before\n"), None, "it was there");
    }
}
