//! What one edit makes of one file's content.

use super::StoreError;

/// Least similarity of a line to the search text's first line for it to be worth a hint.
const HINT_PREFIX_CHARS: usize = 6;

/// A byte order mark, which some editors begin a file with.
const MARK: char = '\u{feff}';

/// `new` with the line ends and the byte order mark of what stands there before: models write neither.
pub fn in_form_of(old: Option<&str>, new: &str) -> String {
    let old = old.unwrap_or_default();
    let text = if has_crlf(old) { to_crlf(new) } else { new.to_owned() };
    if old.starts_with(MARK) && !text.starts_with(MARK) { format!("{MARK}{text}") } else { text }
}

/// Whether all lines of a text end with a carriage return and a line feed.
fn has_crlf(text: &str) -> bool {
    text.contains('\n') && text.matches('\n').count() == text.matches("\r\n").count()
}

fn to_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Replaces the only occurrence of `search`. In a file whose lines end with a carriage return and a line feed, those of the
/// search text and of the new text do so, too.
///
/// Where it occurs nowhere, lines are compared without their trailing spaces before giving up: models lose those.
/// Any other difference is refused with the nearest line, since guessing could change the wrong place.
pub fn replace(path: &str, content: &str, search: &str, replacement: &str) -> Result<String, StoreError> {
    if has_crlf(content) {
        return replace_as_is(path, content, &to_crlf(search), &to_crlf(replacement));
    }
    replace_as_is(path, content, search, replacement)
}

fn replace_as_is(path: &str, content: &str, search: &str, replacement: &str) -> Result<String, StoreError> {
    let found = if search.is_empty() { 0 } else { content.matches(search).count() };
    if found == 1 {
        return Ok(content.replacen(search, replacement, 1));
    }
    if found == 0
        && let Some(range) = find_ignoring_trailing_space(content, search)
    {
        let mut out = String::with_capacity(content.len() + replacement.len());
        out.push_str(&content[..range.start]);
        out.push_str(replacement);
        if search.ends_with('\n') && !replacement.ends_with('\n') && !replacement.is_empty() {
            out.push('\n');
        }
        out.push_str(&content[range.end..]);
        return Ok(out);
    }
    let hint = if found == 0 { hint(content, search) } else { String::new() };
    Err(StoreError::SearchMismatch { path: path.to_owned(), found, hint })
}

/// Replaces `old`, which begins with line `line_first` (from 1).
pub fn replace_lines(
    path: &str,
    content: &str,
    line_first: usize,
    old: &str,
    new: &str,
) -> Result<String, StoreError> {
    let as_there = |text: &str| if has_crlf(content) { to_crlf(text) } else { text.to_owned() };
    let (old, new) = (as_there(old), as_there(new));
    let before = line_first.checked_sub(1);
    let start = before.map(|lines| content.split_inclusive('\n').take(lines).map(str::len).sum::<usize>());
    match start.and_then(|start| Some((&content[..start], content[start..].strip_prefix(old.as_str())?))) {
        Some((head, tail)) => Ok(format!("{head}{new}{tail}")),
        None => Err(StoreError::SearchMismatch {
            path: path.to_owned(),
            found: 0,
            hint: format!(". Line {line_first} is another one"),
        }),
    }
}

/// The only run of whole lines that equals `search` when trailing spaces do not count.
fn find_ignoring_trailing_space(content: &str, search: &str) -> Option<std::ops::Range<usize>> {
    let wanted: Vec<_> = search.lines().map(str::trim_end).collect();
    if wanted.iter().all(|l| l.is_empty()) {
        return None;
    }
    let lines: Vec<_> = content.split_inclusive('\n').collect();
    let mut starts = lines.iter().scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some(start)
    });
    let mut found = lines.windows(wanted.len()).zip(&mut starts).filter_map(|(window, start)| {
        let equal = window.iter().zip(&wanted).all(|(have, want)| have.trim_end() == *want);
        equal.then(|| {
            let length: usize = window.iter().map(|l| l.len()).sum();
            let last = window.last().map_or(0, |l| usize::from(l.ends_with('\n') && !search.ends_with('\n')));
            start..start + length - last
        })
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn hint(content: &str, search: &str) -> String {
    let wanted = search.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    let head: String = wanted.chars().take(HINT_PREFIX_CHARS.max(wanted.chars().count() / 2)).collect();
    content
        .lines()
        .zip(1..)
        .find(|(line, _)| !head.is_empty() && line.trim().starts_with(&head))
        .map(|(line, number)| format!(". The nearest is line {number}: {line:?}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{in_form_of, replace, replace_lines};

    #[test]
    fn exactly_once() {
        assert_eq!(replace("f", "a b c", "b", "x").unwrap(), "a x c");
        assert!(replace("f", "a b b", "b", "x").is_err());
        assert!(replace("f", "a", "", "x").is_err());
    }

    #[test]
    fn lines_at_a_known_place() {
        let text = "import os\nx\nimport os\n";
        assert_eq!(replace_lines("f", text, 3, "import os\n", "y\n").unwrap(), "import os\nx\ny\n");
        assert_eq!(replace_lines("f", text, 1, "import os\nx\n", "").unwrap(), "import os\n");
        for (line, old) in [(0, "import os\n"), (2, "import os\n"), (9, "x\n")] {
            assert!(replace_lines("f", text, line, old, "y").is_err(), "line {line}");
        }
    }

    #[test]
    fn trailing_spaces_do_not_count() {
        assert_eq!(replace("f", "one  \ntwo\nthree\n", "one\ntwo", "1\n2").unwrap(), "1\n2\nthree\n");
        assert_eq!(replace("f", "one  \ntwo\nthree\n", "one\ntwo\n", "1\n").unwrap(), "1\nthree\n");
        assert!(replace("f", "one \none \n", "one  ", "1").is_err(), "twice is still ambiguous");
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        let windows = "one\r\ntwo\r\nthree\r\n";
        assert_eq!(replace("f", windows, "two\n", "2\nzwei\n").unwrap(), "one\r\n2\r\nzwei\r\nthree\r\n");
        assert_eq!(replace_lines("f", windows, 2, "two\n", "2\n").unwrap(), "one\r\n2\r\nthree\r\n");
        assert_eq!(in_form_of(Some(windows), "a\nb\n"), "a\r\nb\r\n");
        assert_eq!(in_form_of(Some("\u{feff}a\n"), "b\n"), "\u{feff}b\n");
        assert_eq!(in_form_of(Some("a\r\nb\n"), "b\n"), "b\n", "mixed ones have no form");
        assert_eq!(in_form_of(None, "b\n"), "b\n");
    }

    #[test]
    fn a_miss_names_the_nearest_line() {
        let error =
            replace("f", "def add(a, b):\n    return a\n", "def add(a, c):", "x").unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("def add(a, b):"), "{error}");
    }
}
