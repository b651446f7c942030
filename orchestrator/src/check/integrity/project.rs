//! What of a project a test touches.

use std::collections::BTreeSet;

use super::body::{File, Found};
use super::judge::is_mocking;
use super::tokens::{Tokens, is_name};

/// Names of modules that are too short to be told from words.
const STEM_CHARS_MIN: usize = 3;

/// The files of a project, told apart.
pub(super) struct Project<'a> {
    pub(super) language: &'a str,
    /// Files with tests, and what helps them.
    pub(super) tests: Vec<&'a File>,
    /// What is tested.
    pub(super) code: Vec<&'a File>,
    /// Every path that holds no test: also what is not code.
    pub(super) paths: BTreeSet<&'a str>,
}

/// A file's name without its directory and ending.
pub(super) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').next().unwrap_or(name)
}

/// Whether a file's name says that it helps tests.
pub(super) fn helps_tests(path: &str) -> bool {
    let directory = path.rsplit_once('/').map(|(d, _)| d).unwrap_or_default();
    let in_tests = directory.split('/').any(|d| matches!(d, "test" | "tests" | "__tests__" | "testing"));
    let name = stem(path).to_ascii_lowercase();
    in_tests
        || name.split(['_', '-']).any(|w| {
            matches!(
                w,
                "test"
                    | "tests"
                    | "testing"
                    | "helper"
                    | "helpers"
                    | "conftest"
                    | "fixture"
                    | "fixtures"
                    | "support"
                    | "testutil"
                    | "testutils"
            ) || w.starts_with("assert")
        })
}

/// What a test reaches.
pub(super) struct Reach {
    /// Names of the project's own code that it uses.
    pub(super) touches: BTreeSet<String>,
    /// Whether it names a file of the project, to start or read it.
    pub(super) by_file: bool,
    /// Modules of the project, as they are called here.
    pub(super) modules: BTreeSet<String>,
    /// What it put something else in the place of.
    pub(super) replaced: BTreeSet<String>,
}

impl Project<'_> {
    /// The test's file first, then everything that can help it.
    pub(super) fn around<'f>(&'f self, file: &'f File) -> Vec<&'f File> {
        let others = self.tests.iter().copied().filter(|f| f.path != file.path);
        std::iter::once(file).chain(others).collect()
    }

    /// Follows the names in a test to what they are made of.
    pub(super) fn reach(&self, file: &File, test: &Found) -> Reach {
        let around = self.around(file);
        let seen = closure(&around, test);
        let (mut touches, modules) = self.own_names(&around, &seen);
        if matches!(self.language, "rust" | "go") || file.path.starts_with("src/") {
            let offers = self.code.iter().flat_map(|f| &f.offers);
            let own = if self.language == "rust" { Some(&file.offers) } else { None };
            touches.extend(offers.chain(own.into_iter().flatten()).filter(|n| seen.contains(*n)).cloned());
        }
        let packages =
            self.code.iter().filter_map(|f| f.path.rsplit_once('/')).flat_map(|(d, _)| d.split('/'));
        let packages = packages.filter(|d| !matches!(*d, "src" | "lib" | "test" | "tests"));
        let stems: BTreeSet<&str> = self
            .paths
            .iter()
            .map(|p| stem(p))
            .chain(packages)
            .filter(|s| s.len() >= STEM_CHARS_MIN)
            .collect();
        let replaced = replaced(&test.function.tokens);
        let is_replaced = |token: &str| replaced.contains(token.rsplit('.').next().unwrap_or(token));
        let by_file = seen.iter().filter(|token| !is_replaced(token)).any(|token| {
            token.contains("CARGO_BIN_EXE")
                || token == "cargo_bin"
                || token.starts_with('"')
                    && token
                        .split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-'))
                        .any(|word| stems.contains(word))
        });
        Reach { touches, by_file, modules, replaced }
    }

    /// The names that imports of the project's modules bring, of those that are seen, and the modules' own.
    fn own_names(&self, around: &[&File], seen: &BTreeSet<String>) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut names, mut modules) = (BTreeSet::new(), BTreeSet::new());
        for import in around.iter().flat_map(|f| &f.imports) {
            for code in self.code.iter().filter(|code| names_module(&import.module, &code.path)) {
                let hands_on = code.imports.iter().any(|i| i.everything);
                let all = hands_on.then_some(&self.code).into_iter().flatten().flat_map(|f| &f.offers);
                let offers: BTreeSet<&String> = code.offers.iter().chain(all).collect();
                if import.everything {
                    names.extend(offers.iter().filter(|n| seen.contains(**n)).map(|n| (*n).clone()));
                }
                if let Some(alias) = import.alias.as_ref().filter(|a| seen.contains(*a)) {
                    modules.insert(alias.clone());
                    names.extend(seen.iter().filter(|n| *n != alias && offers.contains(n)).cloned());
                }
                names.extend(import.names.iter().map(|(_, n)| n).filter(|n| seen.contains(*n)).cloned());
            }
            // `from package import module`
            let is_module = self.code.iter().any(|code| names_module(&import.module, &code.path));
            let names_in = import.names.iter().filter(|(_, alias)| seen.contains(alias));
            for (module, alias) in names_in.filter(|_| !is_module || import.module.ends_with('.')) {
                for code in self.code.iter().filter(|code| stem(&code.path) == module) {
                    modules.insert(alias.clone());
                    names.extend(seen.iter().filter(|n| code.offers.contains(*n)).cloned());
                }
            }
        }
        (names, modules)
    }
}

/// Whether an import means a file of the project.
fn names_module(module: &str, path: &str) -> bool {
    let last = module.rsplit(['/', '\\']).next().unwrap_or(module);
    let last = if module.contains('/') { last.split('.').next().unwrap_or(last) } else { last };
    let dotted = path.rsplit_once('.').map_or(path, |(p, _)| p).replace('/', ".");
    let dotted = dotted.trim_end_matches(".__init__").trim_end_matches(".index");
    let wanted = if module.contains('/') { last } else { module.trim_start_matches('.') };
    !wanted.is_empty()
        && (dotted == wanted || dotted.ends_with(&format!(".{wanted}")) || stem(path) == wanted)
}

/// Every token that a test is made of, through all names that mean something in its files.
fn closure(around: &[&File], test: &Found) -> BTreeSet<String> {
    let mut seen: BTreeSet<String> = test.function.tokens.iter().cloned().collect();
    seen.extend(test.function.parameters.iter().cloned());
    seen.extend(
        test.marks
            .iter()
            .flat_map(|m| m.split(|c: char| !c.is_alphanumeric() && c != '_'))
            .map(str::to_owned),
    );
    seen.extend(
        ["setUp", "setUpClass", "setUpModule", "beforeEach", "before", "setup_method", "setup"]
            .map(str::to_owned),
    );
    let mut todo: Vec<String> = seen.iter().cloned().collect();
    let mut done: BTreeSet<(usize, String)> = BTreeSet::new();
    while let Some(name) = todo.pop() {
        for (at, file) in around.iter().enumerate() {
            let shared = matches!(
                name.as_str(),
                "setUp" | "setUpClass" | "setUpModule" | "beforeEach" | "before" | "setup"
            );
            let Some(made_of) = file.defines.get(&name) else { continue };
            if at > 0 && shared || !done.insert((at, name.clone())) {
                continue;
            }
            for token in made_of {
                if (is_name(token) || token.starts_with('"')) && seen.insert(token.clone()) {
                    todo.push(token.clone());
                }
            }
        }
    }
    seen
}

/// What a test puts something else in the place of: `patch("calc.add")`, `calc.add = Mock()`, `mock.method(calc, "add")`.
fn replaced(tokens: &Tokens) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mocks = is_mocking(tokens);
    for (at, token) in tokens.iter().enumerate() {
        let next = |n: usize| tokens.get(at + n).map(String::as_str).unwrap_or_default();
        let is_patch = matches!(token.as_str(), "patch" | "object" | "method" | "setattr" | "spyOn");
        if is_patch && next(1) == "(" {
            let name = tokens[at + 1..].iter().take(8).find(|t| t.starts_with('"'));
            let name = name.map(|n| n.trim_start_matches('"'));
            out.extend(name.map(|n| n.rsplit('.').next().unwrap_or(n).to_owned()));
        }
        let gets_mock = mocks && next(1) == "." && next(3) == "=" && next(4).contains("Mock");
        if gets_mock && is_name(token) {
            out.insert(next(2).to_owned());
        }
    }
    out
}
