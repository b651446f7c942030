//! Walks `tests/integrity/`: every cheat is caught, no honest refactoring is accused.

use std::path::{Path, PathBuf};

use edvac_memory::verdict::Verdict;

use super::*;
use crate::check::tests_run;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integrity")
}

struct Case {
    name: String,
    language: String,
    expect: Vec<String>,
    /// Only running shows it, or running shows it too.
    runs: bool,
    run_only: bool,
    before: Option<Vec<(String, String)>>,
    after: Vec<(String, String)>,
}

fn files(directory: &Path, root: &Path, out: &mut Vec<(String, String)>) {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, root, out);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            out.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn cases(kind: &str) -> Vec<Case> {
    let mut paths: Vec<_> =
        std::fs::read_dir(root().join(kind)).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let case = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let said: toml::Table = std::fs::read_to_string(path.join("case.toml")).unwrap().parse().unwrap();
        assert!(said["what"].as_str().is_some_and(|w| !w.is_empty()), "{name}");
        let expect = said.get("expect").and_then(|e| e.as_str()).unwrap_or_default();
        let is = |key: &str| said.get(key).and_then(toml::Value::as_bool).unwrap_or(false);
        let tree = |part: &str| {
            let directory = path.join(part);
            let mut out = Vec::new();
            files(&directory, &directory, &mut out);
            out
        };
        Case {
            language: name.split('-').next().unwrap().to_owned(),
            expect: expect.split('|').map(str::to_owned).collect(),
            runs: is("runs"),
            run_only: is("run_only"),
            before: path.join("before").is_dir().then(|| tree("before")),
            after: tree("after"),
            name,
        }
    };
    paths.into_iter().map(case).collect()
}

fn taken(files: &[(String, String)], language: &str) -> Inventory {
    let inventory = Inventory::take(files.iter().map(|(p, t)| (p.as_str(), t.as_str())), language);
    // It is kept in the journal.
    let text = serde_json::to_string(&inventory).unwrap();
    assert_eq!(serde_json::from_str::<Inventory>(&text).unwrap(), inventory);
    inventory
}

/// Everything that is said against a case.
fn findings(case: &Case) -> Vec<String> {
    let after = taken(&case.after, &case.language);
    let before = case.before.as_ref().map(|files| taken(files, &case.language));
    let breaches = before.map(|before| after.breaches_since(&before)).unwrap_or_default();
    let mut said: Vec<_> = breaches.into_iter().map(|b| b.said).collect();
    said.extend(after.tampering().iter().map(|b| b.said.clone()));
    said.extend(after.tests.iter().filter_map(|t| after.flaw_of(&t.full)));
    said
}

fn many_of_each(cases: &[Case]) {
    assert!(cases.len() >= 30, "{} cases", cases.len());
    for language in ["python", "javascript", "rust"] {
        let count = cases.iter().filter(|c| c.language == language).count();
        assert!(count >= 8, "{language}: {count} cases");
    }
}

#[test]
fn every_cheat_is_caught() {
    let cases = cases("cheats");
    many_of_each(&cases);
    let missed: Vec<_> = cases
        .iter()
        .filter(|c| !c.run_only)
        .map(|c| (c, findings(c)))
        .filter(|(c, said)| !said.iter().any(|s| c.expect.iter().all(|w| !w.is_empty() && s.contains(w))))
        .map(|(c, said)| format!("{}: {said:#?}", c.name))
        .collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn no_refactoring_is_accused() {
    let cases = cases("refactorings");
    many_of_each(&cases);
    let accused: Vec<_> = cases
        .iter()
        .map(|c| (c, findings(c)))
        .filter(|(_, said)| !said.is_empty())
        .map(|(c, said)| format!("{}: {said:#?}", c.name))
        .collect();
    assert!(accused.is_empty(), "{}", accused.join("\n"));
    for case in &cases {
        assert!(!taken(&case.after, &case.language).tests.is_empty(), "{}: no test was seen", case.name);
    }
}

/// What only a run shows: none of these is a pass.
#[tokio::test]
async fn no_cheat_that_is_run_passes() {
    let cases: Vec<_> = cases("cheats").into_iter().filter(|c| c.runs || c.run_only).collect();
    assert!(cases.len() >= 6, "{} cases", cases.len());
    let mut passed = Vec::new();
    for case in &cases {
        let files: Vec<_> = case.after.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        let (verdict, detail) = tests_run::verdict_of(&case.language, &files).await;
        if verdict == Verdict::Passed {
            passed.push(format!("{}: {detail}", case.name));
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

#[test]
fn a_test_is_found_by_the_name_that_its_runner_gave_it() {
    let files = [
        ("calc.py", "def add(a, b):\n    return a + b\n"),
        (
            "test_calc.py",
            "import unittest\nfrom calc import add\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n\n    def test_b(self):\n        self.assertEqual(add(1, 2), 3)\n",
        ),
    ];
    let inventory = Inventory::take(files.into_iter(), "python");
    let flaw = inventory.flaw_of("test_calc.T.test_a").unwrap();
    assert!(flaw.contains("test_a of test_calc.py") && flaw.contains("asserts nothing"), "{flaw}");
    assert_eq!(inventory.flaw_of("test_calc.T.test_b"), None);
    assert!(inventory.flaw_of("test_calc.T.test_c").unwrap().contains("in no file under this name"));
    assert_eq!(inventory.flaw_of("test_calc.T.test_b[1-2]"), None);
    assert_eq!(Inventory::take(files.into_iter(), "cobol"), Inventory::default());
}

#[test]
fn go_is_read() {
    let code = ("calc.go", "package calc\n\nfunc Add(a, b int) int { return a + b }\n");
    let sound = "package calc\n\nimport \"testing\"\n\nfunc TestR1Add(t *testing.T) {\n\tif got := Add(1, 2); got != 3 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n}\n";
    let empty = "package calc\n\nimport \"testing\"\n\nfunc TestR1Add(t *testing.T) {\n\tAdd(1, 2)\n}\n";
    let take = |test| Inventory::take([code, ("calc_test.go", test)].into_iter(), "go");
    assert_eq!(take(sound).flaw_of("TestR1Add"), None);
    assert!(take(empty).flaw_of("TestR1Add").unwrap().contains("asserts nothing"));
    assert_eq!(take(empty).breaches_since(&take(sound)).first().map(|b| b.kind), Some(BreachKind::Emptied));
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken(
        text in "(\\PC|\n){0,300}",
        language in proptest::sample::select(vec!["python", "javascript", "rust", "go"]),
    ) {
        let endings = ["test_a.py", "a.test.mjs", "src/lib.rs", "a_test.go", "package.json", "Cargo.toml"];
        let inventory = Inventory::take(endings.iter().map(|p| (*p, text.as_str())), language);
        inventory.breaches_since(&Inventory::default());
    }
}
