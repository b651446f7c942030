//! The body of an `edit` block: pairs of old and new lines between conflict-style markers.

use super::blocks::unquote_line;

/// How an edit is written, as problems show it.
pub(super) const FORM: &str = "Between `@@ edit` and `@@ end` write a line `<<<<<<< SEARCH`, the old lines, a line \
                               `=======`, the new lines, and a line `>>>>>>> REPLACE`.";

/// A line that has a meaning of its own in an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Search,
    Divider,
    Replace,
}

/// The marker that a line is, if it is one.
pub(super) fn marker(line: &str) -> Option<Marker> {
    match line.trim_end() {
        "<<<<<<< SEARCH" | "<<<<<<<" => Some(Marker::Search),
        "=======" => Some(Marker::Divider),
        ">>>>>>> REPLACE" | ">>>>>>>" => Some(Marker::Replace),
        _ => None,
    }
}

/// The pairs (old text, new text) of a body, each line with its line end; or what is wrong with it, as the rest of a
/// sentence.
pub(super) fn pairs(body: &[&str]) -> Result<Vec<(String, String)>, &'static str> {
    let mut out = Vec::new();
    let mut idle = false;
    let mut search: Option<String> = None;
    let mut replace: Option<String> = None;
    for line in body {
        match (marker(line), &mut search, &mut replace) {
            (Some(Marker::Search), None, None) => search = Some(String::new()),
            (Some(Marker::Divider), Some(_), None) => replace = Some(String::new()),
            (Some(Marker::Replace), Some(old), Some(new)) => {
                // One that changes nothing does no harm beside others that do.
                match checked(std::mem::take(old), std::mem::take(new))? {
                    Some(pair) => out.push(pair),
                    None => idle = true,
                }
                (search, replace) = (None, None);
            }
            (Some(_), ..) => return Err("has its markers in the wrong order."),
            (None, Some(_), Some(text)) | (None, Some(text), None) => {
                text.push_str(unquote_line(line, true));
                text.push('\n');
            }
            (None, None, _) if line.trim().is_empty() => {}
            (None, None, _) => return Err("has lines outside its markers."),
        }
    }
    match (search, out.is_empty()) {
        (Some(_), _) => Err("has a SEARCH that is not closed by `>>>>>>> REPLACE`."),
        (None, true) if idle => {
            Err("has new lines that are the same as the old lines, so it changes nothing.")
        }
        (None, true) => Err("has no SEARCH part."),
        (None, false) => Ok(out),
    }
}

fn checked(search: String, replace: String) -> Result<Option<(String, String)>, &'static str> {
    if search.trim().is_empty() {
        return Err("has no old lines under SEARCH. Copy them from the file.");
    }
    Ok((search != replace).then_some((search, replace)))
}
