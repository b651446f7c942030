//! What directories are called inside, where a level cannot show them under those names.
//!
//! Everyone outside the sandbox says `/project`, `/out` and `/tmp`. Bubblewrap binds them there. Without it they lie
//! where they lie: names in commands and variables are put into the words for that place, and those in what comes out
//! are put back.

use std::path::Path;

/// Directories as (host, inside). Empty where both are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<(String, String)>);

impl Names {
    pub(super) fn new<'a>(pairs: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Self {
        let pairs = pairs.into_iter();
        let mut all: Vec<_> =
            pairs.map(|(host, inside)| (host.to_string_lossy().into_owned(), inside.to_owned())).collect();
        // The longest first: one host path may begin with another.
        all.sort_by_key(|(host, _)| std::cmp::Reverse(host.len()));
        Self(all)
    }

    /// A text with the places instead of the names inside.
    pub(super) fn outside(&self, text: &str) -> String {
        self.put(text, |(host, inside)| (inside, host))
    }

    /// A text that a command left behind, with the names inside instead of the places.
    pub fn inside(&self, text: &str) -> String {
        self.put(text, |(host, inside)| (host, inside))
    }

    /// In one pass, so that what was put in is not put into other words again.
    fn put(&self, text: &str, from_to: impl Fn(&(String, String)) -> (&String, &String)) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let (mut out, mut rest, mut before) = (String::with_capacity(text.len()), text, None);
        while let Some(next) = rest.chars().next() {
            let hit = self.0.iter().map(&from_to).find(|(from, _)| {
                next == '/'
                    && rest.starts_with(from.as_str())
                    && (!before.is_some_and(is_of_name) || out.ends_with("://"))
                    && !rest[from.len()..].chars().next().is_some_and(|c| c != '/' && is_of_name(c))
            });
            let (taken, put) = match hit {
                Some((from, to)) => (from.len(), to.as_str()),
                None => (next.len_utf8(), &rest[..next.len_utf8()]),
            };
            out.push_str(put);
            before = rest[..taken].chars().next_back();
            rest = &rest[taken..];
        }
        out
    }
}

/// Whether a character beside a path belongs to a longer one.
fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_and_come_back() {
        let names = Names::new([
            (Path::new("/tmp/x/tmp"), "/tmp"),
            (Path::new("/tmp/x/out"), "/out"),
            (Path::new("/srv/tree"), "/project"),
        ]);
        for (inside, outside) in [
            ("/project/a.py:3", "/srv/tree/a.py:3"),
            ("--to=/out", "--to=/tmp/x/out"),
            ("file:///project/b '/tmp'", "file:///srv/tree/b '/tmp/x/tmp'"),
            ("/projects /outer a/out /tmp/out", "/projects /outer a/out /tmp/x/tmp/out"),
            ("ü/tmp", "ü/tmp"),
        ] {
            assert_eq!(names.outside(inside), outside);
            assert_eq!(names.inside(outside), inside);
        }
        assert_eq!(Names::default().inside("/tmp/x/out"), "/tmp/x/out");
    }
}
