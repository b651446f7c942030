//! Where the cause of a failed test may lie. A suspicion, never evidence.

use serde::{Deserialize, Serialize};

/// One cause of failed tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What failed and the error, as the check says it; the error last.
    pub said: String,
    /// The parts of the program that may hold the cause, the likeliest first; never empty.
    pub places: Vec<Place>,
}

impl Fault {
    /// The parts that may be written again: all, or only the test where that passes and shows nothing.
    pub fn suspects(&self) -> impl Iterator<Item = &Place> {
        let hollow = self.places.iter().any(|p| matches!(p.kind, PlaceKind::Hollow { .. }));
        self.places.iter().filter(move |p| !hollow || matches!(p.kind, PlaceKind::Hollow { .. }))
    }

    /// Whether it is the same test with the same error in the same file, wherever their lines are now.
    pub fn is_as(&self, other: &Self) -> bool {
        let file = |fault: &Self| fault.places.first().map(|place| place.path.clone());
        self.ends() == other.ends() && file(self) == file(other)
    }

    /// The test and the error.
    fn ends(&self) -> (Option<&str>, Option<&str>) {
        let mut lines = self.said.lines();
        (lines.next(), lines.next_back())
    }

    /// What is told about this fault when `place` is to be written again, wherever its lines are now: of two repairs with
    /// the same question the second has the answer of the first.
    pub fn question(&self, place: &Place) -> String {
        let (test, error) = self.ends();
        let head = [test.unwrap_or_default(), error.unwrap_or_default(), &place.path, &place.text];
        let others = self.places.iter().filter(|p| *p != place).map(|p| p.text.as_str());
        head.into_iter().chain(others).collect::<Vec<_>>().join("\0")
    }
}

/// A part of a file: a function, a method, or its imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub path: String,
    /// Its first line, from 1.
    pub line_first: usize,
    /// Its last line, inclusive.
    pub line_last: usize,
    /// The lines, each with its end.
    pub text: String,
    /// What it is.
    pub kind: PlaceKind,
    /// Of imports: lines that would define the name that is missing. Where there are any, one of them is added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<String>,
    /// The text up to the end of the expression that failed, where the error marks it; else empty. What begins with it and
    /// is run in the same way fails in the same way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub until_failure: String,
}

impl Place {
    /// The name of a test: of its function, or the text that it is called by.
    pub fn test_name(&self) -> Option<&str> {
        let first = self.text.lines().find(|line| !line.trim_start().starts_with('@'))?.trim_start();
        if let Some((_, rest)) = first.split_once("def ") {
            return rest.split_once('(').map(|(name, _)| name);
        }
        let quote = first.chars().find(|c| "\"'`".contains(*c))?;
        first.split(quote).nth(1)
    }

    /// Whether it is one whole function, so that it can be written anew from its first line.
    pub fn is_function(&self) -> bool {
        let first = self.text.trim_start();
        let begins =
            ["def ", "async def ", "function ", "async function ", "export ", "fn ", "pub fn ", "func "];
        begins.iter().any(|word| first.starts_with(word)) && first.lines().count() > 1
    }
}

/// What a place is, which says what can be wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PlaceKind {
    /// Code that does the wrong thing.
    Code,
    /// A file's imports, where something is missing and nothing need be changed.
    Imports,
    /// A test that expected something else, which nobody may have asked for.
    Expectation {
        /// How its file begins, up to its second test.
        above: String,
    },
    /// A test that passes and shows nothing.
    Hollow {
        /// How its file begins, up to its second test.
        above: String,
        /// The requirements that it names.
        names: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_a_name() {
        let named = |text: &str| {
            let (path, text, kind) = (String::new(), text.to_owned(), PlaceKind::Code);
            let (offers, until_failure) = (vec![], String::new());
            let place = Place { path, line_first: 1, line_last: 1, text, kind, offers, until_failure };
            place.test_name().map(str::to_owned)
        };
        assert_eq!(named("    @skip\n    def test_r1_x(self):\n").as_deref(), Some("test_r1_x"));
        assert_eq!(named("test(\"R1: it's\", () => {\n").as_deref(), Some("R1: it's"));
        assert_eq!(named("test(name, f)\n"), None);
    }

    #[test]
    fn the_same_error_in_another_file_is_another_fault() {
        let fault = |path: &str, line: usize| {
            let (path, text) = (path.to_owned(), String::new());
            let place = Place {
                path,
                line_first: line,
                line_last: line,
                text,
                kind: PlaceKind::Code,
                offers: vec![],
                until_failure: String::new(),
            };
            let said = format!("test_x failed:\nline {line}\nNameError: name 'os' is not defined");
            Fault { said, places: vec![place] }
        };
        assert!(fault("a.py", 1).is_as(&fault("a.py", 2)));
        assert!(!fault("a.py", 1).is_as(&fault("b.py", 1)));
    }
}
