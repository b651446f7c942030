//! What makes a green test run worth believing: what a project's tests ask, what they no longer ask, what shows nothing,
//! and what tampers with the run itself.
//!
//! Everything here reads texts and starts nothing. It promises not to accuse honest work, and so lets some dishonest work
//! through: a cheat that is written to deceive a reader of syntax trees deceives this one.

mod body;
mod compare;
mod existence;
mod expand;
mod flaws;
mod go;
mod implied;
mod javascript;
mod judge;
mod project;
mod python;
mod replaced;
mod rust;
mod tamper;
mod tokens;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use judge::{Assertion, Strictness};

use body::{File, Found, Over, Step};
use expand::Expansion;
use project::Project;

/// How a language's file is read.
type Read = fn(&str, &str) -> File;

/// Files longer than this are data and are not read.
pub const FILE_BYTES_MAX: usize = 512 << 10;

/// The tests of one tree, and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Every test, in the order of the files.
    pub tests: Vec<TestFacts>,
    /// What interferes with the run.
    pub tampering: Vec<Breach>,
    /// Whether there are tests that a macro makes, which assert something and whose names are in no file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub makes_tests: bool,
    /// Examples in documentation that a runner can take for tests, by the names that it gives them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub examples: BTreeSet<String>,
}

/// One test as its text says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFacts {
    /// The last part of what its runner calls it.
    pub name: String,
    /// What its runner calls it, as far as its file says.
    pub full: String,
    /// Its file.
    pub path: String,
    /// A digest of its body without comments and layout.
    pub digest: String,
    /// What it asserts, itself and through helpers, once for every row of a table.
    pub assertions: Vec<Assertion>,
    /// How often it is run, or its longest loop.
    pub cases: usize,
    /// Rows of a table whose way into the assertions is not understood.
    #[serde(default)]
    pub opaque_cases: usize,
    /// Whether it does not run and says so.
    pub skipped: bool,
    /// Why the runner never comes to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// Names and values in its body.
    pub words: BTreeSet<String>,
    /// Values in its body and its tables.
    pub values: BTreeSet<String>,
    /// Why its passing shows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<String>,
}

impl TestFacts {
    /// Whether anything in it can make it fail.
    pub fn bites(&self) -> bool {
        self.assertions.iter().any(Assertion::bites)
    }

    /// Whether it asks more than that nothing is thrown.
    fn asks(&self) -> bool {
        self.assertions.iter().any(|a| a.bites() && a.strictness > Strictness::Implied)
    }
}

/// One way in which tests became weaker, or a run is interfered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which way.
    pub kind: BreachKind,
    /// The file.
    pub path: String,
    /// The test; empty where it is no single one.
    pub test: String,
    /// One sentence for a person and for a model: what, where, and what to do.
    pub said: String,
}

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreachKind {
    /// The test is gone and nothing asks what it asked.
    Removed,
    /// It is skipped.
    Skipped,
    /// It asserts nothing any more.
    Emptied,
    /// It asks less, or less strictly.
    Weakened,
    /// The runner does not come to it.
    Unreachable,
    /// The runner, its results or its assertions are interfered with.
    Tampered,
}

impl Inventory {
    /// Takes the inventory of a tree. `files` are all of its text files, not only those with tests: what a test touches is
    /// found in the others. An unknown language gives an empty inventory.
    pub fn take<'a>(files: impl Iterator<Item = (&'a str, &'a str)>, language: &str) -> Self {
        let files: Vec<_> = files.filter(|(_, text)| text.len() <= FILE_BYTES_MAX).collect();
        let language = if language == "typescript" { "javascript" } else { language };
        let (read, is_test): (Read, fn(&str) -> bool) = match language {
            "python" => (python::read, python::is_test),
            "javascript" => (javascript::read, javascript::is_test),
            "rust" => (rust::read, rust::is_test),
            "go" => (go::read, go::is_test),
            _ => return Self::default(),
        };
        let is_code = |path: &str| speaks(path, language);
        let mut all: Vec<File> =
            files.iter().filter(|(path, _)| is_code(path)).map(|(path, text)| read(path, text)).collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        if language == "python" {
            python::inherit(&mut all);
            python::unawaited(&mut all, files.iter().any(|(path, text)| wants_pytest(path, text)));
        }
        if language == "rust" {
            let manifests = files.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
            rust::features(&mut all, &manifests.map(|(_, text)| *text).collect::<Vec<_>>());
        }
        let (tests, code): (Vec<&File>, Vec<&File>) = all.iter().partition(|f| {
            is_test(&f.path) || !f.tests.is_empty() || language != "rust" && project::helps_tests(&f.path)
        });
        // A Rust file has its tests beside its code.
        let code = if language == "rust" { all.iter().filter(|f| !is_test(&f.path)).collect() } else { code };
        let paths =
            files.iter().map(|(path, _)| *path).filter(|p| !tests.iter().any(|t| t.path == *p)).collect();
        let project = Project::new(language, tests, &code, &paths);
        let mut facts = Vec::new();
        for file in &project.tests {
            for test in &file.tests {
                facts.push(of_test(&project, file, test));
            }
        }
        implied::find(&project, &mut facts);
        flaws::find(&project, &mut facts);
        let examples = project.examples.iter().map(|name| (*name).to_owned()).collect();
        let makes_tests =
            language == "rust" && files.iter().any(|(path, text)| rust::makes_tests(path, text));
        Self { tests: facts, tampering: tamper::find(&files, &all, language), makes_tests, examples }
    }

    /// What the tests no longer ask that they asked `before`. Renamed, moved, split, merged, rewritten and stricter tests
    /// are none of it; an expected value that changed is not either.
    pub fn breaches_since(&self, before: &Self) -> Vec<Breach> {
        let mut out = compare::breaches(self, before);
        out.extend(self.tampering.iter().filter(|t| !before.tampering.contains(t)).cloned());
        out
    }

    /// Tests that have none of the values any more that they had `before`: of one that failed, this is another under its name.
    pub fn turned_away(&self, before: &Self) -> Vec<Breach> {
        let turned = |old: &TestFacts| {
            let new = self.tests.iter().find(|new| new.full == old.full && new.path == old.path)?;
            let other =
                !new.values.is_empty() && !old.values.is_empty() && new.values.is_disjoint(&old.values);
            let said = format!(
                "{} of {} failed, and asks about something else now; let it ask what it asked, and mend what fails",
                old.name, old.path
            );
            let (path, test) = (old.path.clone(), old.name.clone());
            other.then_some(Breach { kind: BreachKind::Weakened, path, test, said })
        };
        before.tests.iter().filter_map(turned).collect()
    }

    /// Why the passing of a test shows nothing, under the name that its runner gave it. None for a sound test. One that is in
    /// no file under such a name shows nothing either: what it asserts is not known.
    pub fn flaw_of(&self, test_name: &str) -> Option<String> {
        let plain = test_name.split(" (").next().unwrap_or(test_name);
        let exact: Vec<_> = self.tests.iter().filter(|t| t.full == test_name || t.full == plain).collect();
        let last = test_name.rsplit(" > ").next().unwrap_or(test_name);
        let own = last_part(plain);
        // `test_a[1-2]` of pytest, `TestA/case` of Go.
        let plain_own = own.split(['[', '/']).next().unwrap_or(own);
        let named =
            |t: &&TestFacts| [own, plain_own, last].contains(&t.name.as_str()) || is_filled(&t.name, last);
        let found: Vec<_> = if exact.is_empty() { self.tests.iter().filter(named).collect() } else { exact };
        // `calc.add`; `calc.py::calc.add` of pytest.
        let is_example = self.examples.contains(plain.rsplit("::").next().unwrap_or(plain));
        if found.is_empty() && !self.makes_tests && !is_example {
            return Some(format!(
                "{last} is in no file under this name, so what it asserts is not known; write it out"
            ));
        }
        if found.iter().any(|t| t.flaw.is_none()) {
            return None;
        }
        found.first().and_then(|t| t.flaw.clone())
    }

    /// What interferes with the runner, its results or its assertions.
    pub fn tampering(&self) -> &[Breach] {
        &self.tampering
    }
}

/// A test's own name in what its runner calls it.
pub fn last_part(name: &str) -> &str {
    let own = name.rsplit(" > ").next().unwrap_or(name);
    if own.contains(char::is_whitespace) { own } else { own.rsplit(['.', ':']).next().unwrap_or(own) }
}

/// Whether a name is what came of a template such as `adds ${a}`.
fn is_filled(template: &str, name: &str) -> bool {
    if !template.contains("${") {
        return false;
    }
    let mut rest = name;
    template.split("${").map(|part| part.rsplit('}').next().unwrap_or(part)).all(|part| {
        let at = rest.find(part);
        rest = at.map_or(rest, |at| &rest[at + part.len()..]);
        at.is_some()
    })
}

/// Whether a file says that its project's tests are run by pytest, which has plugins that await.
fn wants_pytest(path: &str, text: &str) -> bool {
    let is_settings = [".toml", ".cfg", ".ini"].iter().any(|ending| path.ends_with(ending));
    path.ends_with("conftest.py")
        || path.ends_with("pytest.ini")
        || is_settings && text.contains("pytest")
        || speaks(path, "python") && (text.contains("import pytest") || text.contains("from pytest"))
}

/// Whether a file is code of a language.
pub fn speaks(path: &str, language: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, e)| e).unwrap_or_default();
    match language {
        "python" => ending == "py",
        "javascript" => matches!(ending, "js" | "mjs" | "cjs" | "ts" | "mts" | "cts"),
        "rust" => ending == "rs",
        "go" => ending == "go",
        _ => false,
    }
}

fn of_test(project: &Project<'_>, file: &File, test: &Found) -> TestFacts {
    let said = test.name.to_lowercase();
    let repeats = [
        "determin",
        "same",
        "stable",
        "repeat",
        "idempot",
        "cache",
        "memo",
        "pure",
        "reproduc",
        "singleton",
        "twice",
        "again",
        "consistent",
    ]
    .iter()
    .any(|w| said.contains(w));
    let mut expansion = Expansion { files: project.around(file), repeats, out: Vec::new() };
    expansion.test(test);
    let assertions = expansion.out;
    let mut digest = blake3::Hasher::new();
    let body = test.function.tokens.iter();
    for token in body.chain(&test.function.parameters).chain(&test.marks) {
        digest.update(token.as_bytes()).update(b"\0");
    }
    let body = &test.function.tokens;
    let words: BTreeSet<String> = tokens::names(body).into_iter().chain(tokens::values(body)).collect();
    let mut values = tokens::values(body);
    values.extend(assertions.iter().flat_map(|a| a.values.iter().cloned()));
    let own = assertions.iter().flat_map(|a| a.names.iter().cloned());
    let words = words.into_iter().chain(own).collect();
    for rows in body.iter().filter_map(|name| file.tables.get(name)) {
        values.extend(rows.iter().flatten().flat_map(|cell| tokens::values(cell)));
    }
    let rows = match &test.table {
        Some((_, Over::Rows(rows))) => rows.len(),
        _ => longest(&test.function.steps, file),
    };
    let opaque = body.iter().filter_map(|name| file.tables.get(name)).map(Vec::len).max().unwrap_or(0);
    TestFacts {
        name: test.name.clone(),
        full: test.full.clone(),
        path: file.path.clone(),
        digest: digest.finalize().to_hex().chars().take(32).collect(),
        assertions,
        cases: rows.max(1),
        opaque_cases: opaque,
        skipped: test.skipped,
        unreachable: test.dead.clone(),
        words,
        values,
        flaw: None,
    }
}

/// The longest table that a loop at the top of a body goes over.
fn longest(steps: &[Step], file: &File) -> usize {
    let length = |step: &Step| match step {
        Step::Each { over: Over::Rows(rows), .. } => rows.len(),
        Step::Each { over: Over::Named(name), .. } => file.tables.get(name).map_or(1, Vec::len),
        _ => 1,
    };
    steps.iter().map(length).max().unwrap_or(1)
}

#[cfg(test)]
mod cases_tests;
