//! Which classes the runner looks into for tests, and which await the tests that are `async`.

use std::collections::{BTreeMap, BTreeSet};

use super::super::body::{File, Found};
use super::DEPTH_MAX;

/// A class that tests stand in.
pub(super) struct Class {
    pub(super) name: String,
    pub(super) bases: Vec<String>,
    pub(super) skipped: bool,
}

/// Whether a plain class is looked into for tests by its name.
pub(super) fn is_plain_tests(class: &str) -> bool {
    class.starts_with("Test")
}

pub(super) fn no_tests(class: &str) -> String {
    format!("its class {class} is no TestCase and its name does not begin with Test")
}

/// A class without a base of its own that is a `TestCase` is not looked into by the runner, wherever its bases are.
pub(in super::super) fn inherit(files: &mut [File]) {
    let bases = bases(files);
    let plain = |name: &str| {
        let mut name = name.to_owned();
        for _ in 0..DEPTH_MAX {
            match bases.get(&name).map(Vec::as_slice) {
                // A class that is not known can be anything.
                None => return false,
                Some([]) => return true,
                Some(more) => match more.iter().find(|b| bases.contains_key(*b)) {
                    Some(next) if more.iter().all(|b| bases.contains_key(b)) => name.clone_from(next),
                    _ => return false,
                },
            }
        }
        false
    };
    let handed_on: BTreeSet<&String> = bases.values().flatten().collect();
    for test in files.iter_mut().flat_map(|f| &mut f.tests) {
        let class = test.full.rsplit('.').nth(1).unwrap_or_default().to_owned();
        let of_class = test.dead.as_ref().is_none_or(|d| d.starts_with("its class"));
        if of_class && handed_on.contains(&class) {
            // Its tests run in the classes that are made from it.
            test.dead = None;
        } else if test.dead.is_none()
            && !is_plain_tests(&class)
            && bases.contains_key(&class)
            && plain(&class)
        {
            test.dead = Some(no_tests(&class));
        }
    }
}

/// The words that each class names as its bases.
fn bases(files: &[File]) -> BTreeMap<String, Vec<String>> {
    let mut bases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, tokens) in files.iter().flat_map(|f| &f.defines) {
        if let Some(name) = name.strip_prefix("class ") {
            bases.entry(name.to_owned()).or_default().extend(tokens.iter().cloned());
        }
    }
    bases
}

/// A test that is `async` passes without having run where nobody awaits it: in a plain `TestCase`, and without pytest in
/// plain functions. Where a decorator, a base class or a plugin could await it, it is left alone.
pub(in super::super) fn unawaited(files: &mut [File], has_pytest: bool) {
    let bases = bases(files);
    let handed_on: BTreeSet<&String> = bases.values().flatten().collect();
    for file in files.iter_mut() {
        let from_unittest = file.imports.iter().any(|import| {
            import.module == "unittest"
                && import.names.iter().any(|(name, alias)| name == "TestCase" && alias == name)
        });
        let of_unittest = |words: &[String]| {
            words.iter().any(|w| w == "TestCase") && (from_unittest || words.iter().any(|w| w == "unittest"))
        };
        let is_case = |class: &str| {
            let mut class = class;
            for _ in 0..DEPTH_MAX {
                let Some(words) = bases.get(class) else { return false };
                let others: Vec<_> =
                    words.iter().filter(|w| !matches!(w.as_str(), "unittest" | "TestCase")).collect();
                match others.as_slice() {
                    [] => return of_unittest(words),
                    [one] if bases.contains_key(*one) => class = one,
                    _ => return false,
                }
            }
            false
        };
        let is_open = |test: &&mut Found| {
            let patched = |mark: &String| {
                mark.trim_start_matches('@').split('(').next().is_some_and(|m| m.contains("patch"))
            };
            test.function.is_async && test.dead.is_none() && test.marks.iter().all(patched)
        };
        for test in file.tests.iter_mut().filter(|t| t.dead.is_none()) {
            let says = |word: &str| test.function.tokens.iter().any(|token| token == word);
            // One that is no generator itself can define one.
            if says("yield") && !says("def") && !says("lambda") {
                test.dead = Some("it is a generator, and nobody runs what is in it".to_owned());
            }
        }
        for test in file.tests.iter_mut().filter(is_open) {
            let class = test.full.rsplit('.').nth(1).unwrap_or_default().to_owned();
            let in_class = bases.get(&class);
            // What others are made from runs in them.
            if handed_on.contains(&class) {
                continue;
            }
            if is_case(&class) {
                test.dead = Some(
                    "it is async, and a TestCase awaits nothing; an IsolatedAsyncioTestCase does".to_owned(),
                );
            } else if in_class.is_none_or(Vec::is_empty) && !has_pytest {
                test.dead = Some("it is async, and nothing awaits it".to_owned());
            }
        }
    }
}
