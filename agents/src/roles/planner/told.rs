//! The texts that a task wants printed, word for word.

use super::given::given;
use super::skeleton::codes;

/// A text that a task wants printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldText {
    /// It without its words in capitals, which stand for something else: `error: no ` and ` here` of "error: no NAME here". One
    /// more than there are of these.
    pub pieces: Vec<String>,
    /// Whether it is printed to standard error.
    pub to_error: bool,
}

/// The texts in backticks of which a requirement says that they are printed.
pub fn told_texts(task: &str) -> Vec<ToldText> {
    let mut found: Vec<ToldText> = Vec::new();
    for requirement in given(task).requirements {
        let said: Vec<_> = requirement.text.split('`').step_by(2).collect();
        let mut is_printed = false;
        // Where the texts begin that `a` or `b` name together.
        let mut first = 0;
        let mut own: Vec<ToldText> = Vec::new();
        for (code, at) in codes(&requirement.text).zip(0..) {
            let before = said[at].trim_end();
            let says = ["prints", "print", "the line", "begins with"].iter().any(|end| before.ends_with(end));
            if says {
                first = own.len();
            }
            is_printed = says
                || is_printed && matches!(before.trim_start_matches(','), "or" | " or" | "and" | " and" | "");
            let behind = said.get(at + 1).copied().unwrap_or_default();
            let to_error = behind.contains("standard error") || behind.contains("stderr");
            if is_printed {
                own.push(ToldText { pieces: pieces(code), to_error });
            }
            if to_error && is_printed {
                // `a` or `b` to standard error
                own[first..].iter_mut().for_each(|text| text.to_error = true);
            }
        }
        found.extend(own);
    }
    found
}

fn pieces(code: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end =
            if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        if word.starts_with(|c: char| c.is_ascii_uppercase()) && !word.contains(|c: char| c.is_lowercase()) {
            pieces.push(String::new());
        } else if let Some(last) = pieces.last_mut() {
            last.push_str(word);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_word_for_word() {
        let task = "R1: `python3 a.py add NAME` adds it and prints `added #ID: NAME`.\nR2: If it is not `x`, `add` prints `error: no ID` or `error: NAME?` with the text as given to standard error, and `list` waits.\nR3: It prints a line that begins with `usage: a.py`.\nR4: `x` prints `found NAME`, or prints `error: none` to standard error.\n";
        let told: Vec<_> = told_texts(task).into_iter().map(|t| (t.pieces.join("_"), t.to_error)).collect();
        let all = [
            ("added #_: _", false),
            ("error: no _", true),
            ("error: _?", true),
            ("usage: a.py", false),
            ("found _", false),
            ("error: none", true),
        ];
        assert_eq!(told, all.map(|(text, to_error)| (text.to_owned(), to_error)));
    }
}
