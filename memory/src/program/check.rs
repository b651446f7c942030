//! Checks as data: what is executed to find out whether a step did its work, and what its passing shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::RequirementId;

/// One thing that can be executed to find out whether a step did its work, and what it is evidence for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is executed.
    #[serde(flatten)]
    pub kind: CheckKind,
    /// Requirements it is evidence for when it passes. A test run is evidence only for those that its tests name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covers: Vec<RequirementId>,
}

/// The kinds of check this version executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CheckKind {
    /// The file exists and is not empty.
    Exists {
        /// The file.
        path: String,
    },
    /// The file parses in the language of its name.
    Parses {
        /// The file.
        path: String,
    },
    /// The language's own build command succeeds.
    Builds,
    /// The project's own tests run, at least one does, and none fails.
    Tests,
    /// The language's linter finds nothing.
    Lints,
    /// A command line does what is expected of it.
    Runs {
        /// For `sh`, in the project's directory.
        command: String,
        /// What it reads; nothing where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
        /// The exit status it must have.
        #[serde(default)]
        exit_status: i32,
        /// What it must print, both streams together.
        #[serde(default, skip_serializing_if = "Expected::is_anything")]
        output: Expected,
    },
    /// No command line ends in an error that no input excuses: a file that does not parse, a module, a name or a method that
    /// there is not. No file calls a function that it neither defines nor imports, none whose functions others are to use is
    /// unknown to them, and of several command lines with arguments one prints something. What is printed and the exit status are not looked at.
    Starts {
        /// For `sh`, in the project's directory, one after the other.
        commands: Vec<String>,
        /// Whether the task says what is printed where something is wrong: then no error may end a command line, whatever
        /// stands in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        caught: bool,
    },
    /// A service is started, listens, and answers each request as expected, in this order.
    Http {
        /// The command line that starts it, for `sh`.
        start: String,
        /// The port of 127.0.0.1 that it listens on, which it also finds in the variable `PORT`.
        port: u16,
        /// What it is asked.
        requests: Vec<Request>,
    },
    /// Files are, to the letter, what they should be; line ends and blanks at the end aside.
    Golden {
        /// A command line that makes them first, for `sh`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
        /// What each file holds. The text stands here and not in the workspace, where it could be changed to fit.
        files: BTreeMap<String, String>,
    },
    /// The prose has between `min` and `max` words.
    Words {
        /// The file.
        path: String,
        /// Of the file this level-2 section alone, from 1, heading included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        section: Option<u32>,
        /// Fewest words.
        min: u32,
        /// Most words.
        max: u32,
    },
    /// The Markdown begins with one level-1 heading and has at least `sections_min` level-2 headings.
    Headings {
        /// The file.
        path: String,
        /// Fewest level-2 headings.
        sections_min: u32,
    },
    /// Each beat's content words appear in the file.
    Outline {
        /// The file.
        path: String,
        /// In this level-2 section of it, from 1, its heading aside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        section: Option<u32>,
        /// What the text must speak of.
        beats: Vec<String>,
    },
    /// The names and terms that the canon file fixes are spelt the same way in the file, and no age or year that it fixes
    /// is another one.
    Canon {
        /// The file.
        path: String,
        /// The canon file.
        canon: String,
    },
    /// No paragraph comes twice, here or in an earlier chapter, and not too many phrases do.
    Repetition {
        /// The file.
        path: String,
        /// Most words in a hundred that may lie in a phrase which came before.
        percent_max: u32,
    },
    /// It goes on saying something: in nine of ten stretches of a hundred words at least so many are different.
    Variety {
        /// The file.
        path: String,
        /// Fewest different words of a hundred.
        distinct_min: u32,
    },
    /// Every link to a file or a heading of this project leads somewhere.
    Links {
        /// The file.
        path: String,
    },
}

impl CheckKind {
    /// The one file it is about, if it is about one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Exists { path }
            | Self::Parses { path }
            | Self::Words { path, .. }
            | Self::Headings { path, .. }
            | Self::Outline { path, .. }
            | Self::Canon { path, .. }
            | Self::Repetition { path, .. }
            | Self::Variety { path, .. }
            | Self::Links { path } => Some(path),
            Self::Builds
            | Self::Tests
            | Self::Lints
            | Self::Runs { .. }
            | Self::Starts { .. }
            | Self::Http { .. }
            | Self::Golden { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn path_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Exists { path }
            | Self::Parses { path }
            | Self::Words { path, .. }
            | Self::Headings { path, .. }
            | Self::Outline { path, .. }
            | Self::Canon { path, .. }
            | Self::Repetition { path, .. }
            | Self::Variety { path, .. }
            | Self::Links { path } => Some(path),
            _ => None,
        }
    }
}

/// What a text must be like. All that is given must hold; with nothing given, anything does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Exactly this, blanks around it aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// Each of these, somewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// None of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// A regular expression that it matches somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
}

impl Expected {
    /// Whether nothing is asked.
    pub fn is_anything(&self) -> bool {
        *self == Self::default()
    }

    /// In a few words for people.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.equals.iter().map(|text| format!("equal {text:?}")));
        parts.extend(self.contains.iter().map(|text| format!("contain {text:?}")));
        parts.extend(self.lacks.iter().map(|text| format!("not contain {text:?}")));
        parts.extend(self.matches.iter().map(|pattern| format!("match /{pattern}/")));
        parts.join(" and ")
    }
}

/// One request of an [`CheckKind::Http`] check and what is to come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET`, `POST`, ….
    #[serde(default = "get")]
    pub method: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Header fields that are sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The status that must come back. Redirections are not followed.
    #[serde(default = "ok")]
    pub status: u16,
    /// What the answer's body must be like.
    #[serde(default, skip_serializing_if = "Expected::is_anything")]
    pub expect: Expected,
}

fn get() -> String {
    "GET".to_owned()
}

fn ok() -> u16 {
    200
}
