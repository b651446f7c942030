//! What of a project a test touches.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::body::{File, Found};
use super::tokens::is_name;

/// Names of modules that are too short to be told from words.
const STEM_CHARS_MIN: usize = 3;

/// What is done before each test of a file, or of a class.
const SET_UP: [&str; 6] = ["setUp", "setUpClass", "setUpModule", "beforeEach", "before", "setup"];

/// The files of a project, told apart.
pub(super) struct Project<'a> {
    language: &'a str,
    /// Files with tests, and what helps them.
    pub(super) tests: Vec<&'a File>,
    /// All that what is tested offers.
    own: HashSet<&'a str>,
    /// Functions and classes among it.
    callables: HashSet<&'a str>,
    /// What its documentation shows by example.
    pub(super) examples: BTreeSet<&'a str>,
    /// What a file of the project can be called by in a text.
    stems: BTreeSet<&'a str>,
    /// What names mean that imports of files with tests bring: looked up once, not once for each test.
    imported: Imported<'a>,
    /// Files with tests in which a name is given a meaning.
    defined: BTreeMap<&'a str, Vec<&'a File>>,
}

/// Names that come from the project's own modules.
#[derive(Default)]
struct Imported<'a> {
    /// By `from module import name`, and what it is called here.
    named: HashSet<&'a str>,
    /// All that modules offer of which everything is imported.
    everything: HashSet<&'a str>,
    /// What a module is called here, with what it offers.
    modules: BTreeMap<&'a str, HashSet<&'a str>>,
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
    /// Whether it names a file of the project, to start or read it, or runs the examples in one.
    pub(super) by_file: bool,
    /// Modules of the project, as they are called here.
    pub(super) modules: BTreeSet<String>,
    /// What it put something else in the place of.
    pub(super) replaced: BTreeSet<String>,
}

impl<'a> Project<'a> {
    /// The project with `tests` for `code`; `paths` are all that hold no test, also what is not code. Grows with imports
    /// times files.
    pub(super) fn new(
        language: &'a str,
        tests: Vec<&'a File>,
        code: &[&'a File],
        paths: &BTreeSet<&'a str>,
    ) -> Self {
        let packages = code.iter().filter_map(|f| f.path.rsplit_once('/')).flat_map(|(d, _)| d.split('/'));
        let packages = packages.filter(|d| !matches!(*d, "src" | "lib" | "test" | "tests"));
        let stems = paths.iter().map(|p| stem(p)).chain(packages).filter(|s| s.len() >= STEM_CHARS_MIN);
        let imported = Imported::by(&tests, code);
        let own = code.iter().flat_map(|f| f.offers.iter().map(String::as_str)).collect();
        let callables = code.iter().flat_map(|f| f.callables.iter().map(String::as_str)).collect();
        let examples = code.iter().flat_map(|f| f.examples.iter().map(String::as_str)).collect();
        let mut defined: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
        for file in &tests {
            file.defines.keys().for_each(|name| defined.entry(name).or_default().push(file));
        }
        Self { language, stems: stems.collect(), imported, defined, own, callables, examples, tests }
    }

    /// The test's file first, then everything that can help it.
    pub(super) fn around<'f>(&'f self, file: &'f File) -> Vec<&'f File> {
        let others = self.tests.iter().copied().filter(|f| f.path != file.path);
        std::iter::once(file).chain(others).collect()
    }

    /// Follows the names in a test to what they are made of.
    pub(super) fn reach(&self, file: &File, test: &Found) -> Reach {
        let seen = self.closure(file, test);
        let substituted = |name: &str| file.substitutes.contains_key(name);
        let (mut touches, modules) = self.imported.names(&seen, &substituted);
        if matches!(self.language, "rust" | "go") || file.path.starts_with("src/") {
            let offers = |name: &String| {
                self.own.contains(name.as_str()) || self.language == "rust" && file.offers.contains(name)
            };
            touches.extend(seen.iter().filter(|name| offers(name)).cloned());
        }
        let mut replaced = super::replaced::replaced(test, &|owner| self.is_own(owner));
        replaced.extend(file.substitutes.keys().filter(|name| seen.contains(*name)).cloned());
        let is_replaced = |token: &str| {
            let name = token.trim_start_matches('"');
            let is_import = || file.imports.iter().any(|import| import.module == name);
            replaced.contains(name.rsplit('.').next().unwrap_or(name)) || !replaced.is_empty() && is_import()
        };
        let by_file = seen.iter().filter(|token| !is_replaced(token)).any(|token| {
            token.contains("CARGO_BIN_EXE")
                || token == "cargo_bin"
                || token.starts_with('"')
                    && token
                        .split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-'))
                        .any(|word| self.stems.contains(word))
        });
        // The examples in a module's documentation are tests of it.
        let runs_examples = ["testmod", "DocTestSuite"].iter().any(|name| seen.contains(*name));
        let by_examples = runs_examples && !modules.is_empty() && !self.examples.is_empty();
        Reach { touches, by_file: by_file || by_examples, modules, replaced }
    }

    /// Whether a name means a module, a function or a class of the project.
    fn is_own(&self, name: &str) -> bool {
        self.stems.contains(name) || self.imported.modules.contains_key(name) || self.is_callable(name)
    }

    /// Whether a name is that of a function or class of the project.
    pub(super) fn is_callable(&self, name: &str) -> bool {
        self.callables.contains(name)
    }

    /// Every token that a test is made of, through all names that mean something in its files.
    fn closure(&self, file: &File, test: &Found) -> BTreeSet<String> {
        let mut seen: BTreeSet<String> = test.function.tokens.iter().cloned().collect();
        seen.extend(test.function.parameters.iter().cloned());
        let marks = test.marks.iter().flat_map(|m| m.split(|c: char| !c.is_alphanumeric() && c != '_'));
        seen.extend(marks.map(str::to_owned));
        seen.extend(["setup_method"].into_iter().chain(SET_UP).map(str::to_owned));
        let mut todo: Vec<String> = seen.iter().cloned().collect();
        while let Some(name) = todo.pop() {
            let defined = self.defined.get(name.as_str()).into_iter().flatten();
            // What is set up before the tests of another file is nothing to this one.
            let here = defined.filter(|f| f.path == file.path || !SET_UP.contains(&name.as_str()));
            for token in here.flat_map(|f| &f.defines[&name]) {
                if (is_name(token) || token.starts_with('"')) && seen.insert(token.clone()) {
                    todo.push(token.clone());
                }
            }
        }
        seen
    }
}

impl<'a> Imported<'a> {
    fn by(tests: &[&'a File], code: &[&'a File]) -> Self {
        let mut out = Self::default();
        let mut known: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
        for import in tests.iter().flat_map(|f| &f.imports) {
            let files = known.entry(import.module.as_str()).or_insert_with(|| {
                code.iter().copied().filter(|c| names_module(&import.module, &c.path)).collect()
            });
            if !files.is_empty() {
                if import.everything {
                    out.everything.extend(offers(files, code));
                }
                if let Some(alias) = &import.alias {
                    out.modules.entry(alias).or_default().extend(offers(files, code));
                }
                out.named.extend(import.names.iter().map(|(_, alias)| alias.as_str()));
            }
            // `from package import module`
            let is_package = files.is_empty() || import.module.ends_with('.');
            for (module, alias) in import.names.iter().filter(|_| is_package) {
                for file in code.iter().filter(|file| stem(&file.path) == module) {
                    out.modules.entry(alias).or_default().extend(file.offers.iter().map(String::as_str));
                }
            }
        }
        out
    }

    /// Those of the names that are seen which mean something of the project, and those that mean a module of it.
    /// What is `substituted` means nothing of it.
    fn names(
        &self,
        seen: &BTreeSet<String>,
        substituted: &dyn Fn(&str) -> bool,
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let known = seen.iter().filter(|name| !substituted(name));
        let modules: Vec<_> = known.clone().filter_map(|n| self.modules.get_key_value(n.as_str())).collect();
        let own = |name: &&String| {
            let name = name.as_str();
            self.named.contains(name)
                || self.everything.contains(name)
                || modules.iter().any(|(alias, offers)| **alias != name && offers.contains(name))
        };
        let names = known.filter(own).cloned().collect();
        (names, modules.into_iter().map(|(alias, _)| (*alias).to_owned()).collect())
    }
}

/// What files offer; a package hands on what its modules do.
fn offers<'a>(files: &[&'a File], code: &[&'a File]) -> Vec<&'a str> {
    let hands_on = files.iter().any(|f| f.imports.iter().any(|i| i.everything));
    let all = if hands_on { code } else { files };
    all.iter().flat_map(|f| f.offers.iter().map(String::as_str)).collect()
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
