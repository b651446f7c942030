use edvac_memory::program::Check;

use super::*;

const APP: &str = "import json\n\n\nclass Todo:\n    def __init__(self, path):\n        self.path = path\n        self.tasks = []\n\n    def add(self, name):\n        self.tasks.append(name)\n\n    @property\n    def list(self):\n        return None\n";
const TEST: &str = "import unittest\n\nimport todo\n\n\nclass TodoTest(unittest.TestCase):\n    def test_r2_list(self):\n        t = todo.Todo('x')\n        t.add('a')\n        self.assertEqual(t.list, ['a'])\n";

/// Files by their paths, whatever the tree.
struct Files(BTreeMap<String, String>);

impl FileStoreView for Files {
    fn list(&self, _: &TreeId) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.0.iter().map(|(path, text)| (path.clone(), text.len() as u64)).collect())
    }

    fn read(&self, _: &TreeId, path: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.0[path].clone().into_bytes())
    }
}

fn report(kind: CheckKind, causes: &[&str]) -> CheckReport {
    CheckReport {
        check: Check { kind, covers: vec![] },
        verdict: Verdict::Failed { reason: "it does not hold".into() },
        tree: TreeId("t".into()),
        command: vec![],
        exit_status: Some(0),
        duration_ms: 0,
        resources: None,
        tests: vec![],
        detail: String::new(),
        output: String::new(),
        causes: causes.iter().map(|&cause| cause.to_owned()).collect(),
    }
}

fn places_of(reports: &[CheckReport], files: &[(&str, &str)], language: &str) -> Vec<Place> {
    let files = Files(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect());
    let faults = faults(reports, &[], &files, &TreeId("t".into()), language).unwrap();
    faults.first().map(|f| f.places.clone()).unwrap_or_default()
}

fn found(said: &str, files: &[(&str, &str)], language: &str) -> Vec<String> {
    let places = places_of(&[report(CheckKind::Tests, &[said])], files, language);
    let word = |p: &Place| match p.kind {
        PlaceKind::Code => "",
        PlaceKind::Imports => " imports",
        PlaceKind::Expectation { .. } => " expectation",
        PlaceKind::Hollow { .. } => " hollow",
    };
    places.iter().map(|p| format!("{}:{}-{}{}", p.path, p.line_first, p.line_last, word(p))).collect()
}

#[test]
fn where_a_file_is_missing_nothing_is_mended() {
    let said = "test_x failed:\n  File \"todo.py\", line 6, in f\nValueError: x";
    let missing = report(CheckKind::Exists { path: "b.py".into() }, &[]);
    let tests = report(CheckKind::Tests, &[said]);
    assert_eq!(places_of(std::slice::from_ref(&tests), &[("todo.py", APP)], "python").len(), 1);
    assert_eq!(places_of(&[missing, tests], &[("todo.py", APP)], "python"), []);
}

#[test]
fn what_was_expected_is_looked_for_in_the_functions_that_the_test_uses() {
    let said = "test_todo.TodoTest.test_r2_list failed:\n  File \"test_todo.py\", line 10, in test_r2_list\n    self.assertEqual(t.list, ['a'])\nAssertionError: None != ['a']";
    let places = found(said, &[("todo.py", APP), ("test_todo.py", TEST)], "python");
    assert_eq!(places, ["todo.py:12-14", "todo.py:9-10", "test_todo.py:7-10 expectation"]);
}

#[test]
fn a_test_that_shows_nothing_is_the_only_part_to_write_again() {
    let hollow = "import unittest\n\nimport todo\n\n\nclass TodoTest(unittest.TestCase):\n    def test_r2_list(self):\n        self.assertTrue(True)\n";
    let files = [("todo.py", APP), ("test_todo.py", hollow)];
    let test = TestOutcome {
        name: "test_todo.TodoTest.test_r2_list".into(),
        outcome: edvac_memory::verdict::Outcome::Passed,
        covers: vec!["R2".into()],
        flaw: Some("it asserts nothing".into()),
    };
    let passed = CheckReport { verdict: Verdict::Passed, ..report(CheckKind::Tests, &[]) };
    let files = Files(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect());
    let of = |hollow: &[TestOutcome]| {
        faults(std::slice::from_ref(&passed), hollow, &files, &TreeId("t".into()), "python").unwrap()
    };
    let found = of(&[test]).remove(0);
    let suspects: Vec<_> = found.suspects().map(|p| (p.path.as_str(), p.line_first, p.line_last)).collect();
    assert_eq!(suspects, [("test_todo.py", 7, 8)]);
    assert!(matches!(&found.places[0].kind, PlaceKind::Hollow { names, .. } if names == &["R2"]));
    assert!(found.places.len() > 1, "what it could call is shown beside it");
    assert_eq!(of(&[]), []);
}

#[test]
fn an_unknown_name_is_looked_for_among_the_imports() {
    let said = "test_x failed:\n  File \"test_todo.py\", line 8, in test_r2_list\n  File \"todo.py\", line 6, in __init__\nNameError: name 'os' is not defined";
    let places = found(said, &[("todo.py", APP), ("test_todo.py", TEST)], "python");
    assert_eq!(places[..3], ["todo.py:1-1 imports", "todo.py:5-7", "test_todo.py:7-10"]);
}

#[test]
fn a_missing_import_with_one_right_answer_is_offered() {
    let offers = |said: &str, files: &[(&str, &str)], language| {
        let place = places_of(&[report(CheckKind::Tests, &[said])], files, language).remove(0);
        assert_eq!(place.kind, PlaceKind::Imports);
        place.offers
    };
    let files = [("todo.py", APP), ("test_todo.py", TEST), ("lib/limits.py", "import json\nLIMIT = 3\n")];
    let unknown = |name: &str| {
        format!(
            "test_x failed:\n  File \"test_todo.py\", line 8, in test_r2_list\nNameError: name '{name}' is not defined"
        )
    };
    assert_eq!(offers(&unknown("Todo"), &files, "python"), ["from todo import Todo"]);
    assert_eq!(offers(&unknown("LIMIT"), &files, "python"), ["from lib.limits import LIMIT"]);
    assert_eq!(offers(&unknown("os"), &files, "python"), ["import os"]);
    for unheard_of in ["add", "TodoTest", "frobnicate"] {
        assert!(offers(&unknown(unheard_of), &files, "python").is_empty(), "{unheard_of}");
    }
    let code = "export function parse(text) {\n  return 0;\n}\nexport const UNITS = 3;\nfunction own() {}\n";
    let test = "import test from \"node:test\";\n\ntest(\"R1: parses\", () => {\n  parse(\"1h\");\n});\n";
    let files = [("a.mjs", code), ("a.test.mjs", test)];
    let unknown =
        |name: &str| format!("R1 failed:\nReferenceError: {name} is not defined\n    at a.test.mjs:4:3");
    assert_eq!(offers(&unknown("parse"), &files, "javascript"), ["import { parse } from \"./a.mjs\";"]);
    assert_eq!(offers(&unknown("UNITS"), &files, "javascript"), ["import { UNITS } from \"./a.mjs\";"]);
    assert_eq!(
        offers(&unknown("assert"), &files, "javascript"),
        ["import assert from \"node:assert/strict\";"]
    );
    assert!(offers(&unknown("own"), &files, "javascript").is_empty(), "what is not exported");
}

#[test]
fn a_part_is_known_up_to_the_expression_that_failed() {
    let until = |said: &str| {
        let files = [("todo.py", APP), ("test_todo.py", TEST)];
        let places = places_of(&[report(CheckKind::Tests, &[said])], &files, "python");
        places.iter().map(|p| p.until_failure.clone()).collect::<Vec<_>>()
    };
    let said = "test_x failed:\n  File \"test_todo.py\", line 9, in test_r2_list\n    t.add('a')\n    ^^^^^\n  File \"todo.py\", line 10, in add\n    self.tasks.append(name)\n         ^^^^^\nAttributeError: no attribute 'tasks'";
    assert_eq!(until(said)[0], "    def add(self, name):\n        self.tasks");
    let test = "    def test_r2_list(self):\n        t = todo.Todo('x')\n        t.add";
    assert_eq!(until(said)[1..], [test, ""], "what called it, and what only the test uses");
    let unmarked =
        "test_x failed:\n  File \"todo.py\", line 10, in add\n    self.tasks.append(name)\nAttributeError";
    assert_eq!(until(unmarked)[0], "");
    let beyond = "test_x failed:\n  File \"todo.py\", line 10, in add\n    x\n                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^\nTypeError";
    assert_eq!(until(beyond)[0], "");
}

#[test]
fn other_languages_name_their_lines_too() {
    let code = "import fs from \"node:fs\";\n\nexport function parse(text) {\n  return 0;\n}\n";
    let test = "import test from \"node:test\";\nimport { parse } from \"./a.mjs\";\n\ntest(\"R1: parses\", () => {\n  assert.equal(parse(\"1h\"), 3600);\n});\n";
    let said =
        "R1: parses failed:\nERR_ASSERTION 0 !== 3600\n    at TestContext.<anonymous> (a.test.mjs:5:10)";
    let files = [("a.mjs", code), ("a.test.mjs", test)];
    assert_eq!(found(said, &files, "javascript"), ["a.mjs:3-5", "a.test.mjs:4-6 expectation"]);
    let said = "R1 failed:\nReferenceError: assert is not defined\n    at a.test.mjs:5:3";
    assert_eq!(found(said, &files, "javascript")[..2], ["a.test.mjs:1-2 imports", "a.test.mjs:4-6"]);
    let said = "a.test.mjs cannot be run:\nError [ERR_MODULE_NOT_FOUND]: Cannot find package 'x' imported from a.mjs";
    assert_eq!(found(said, &files, "javascript"), ["a.mjs:1-1"]);
    let rust = "pub fn area(w: u64) -> u64 {\n    w\n}\n";
    assert_eq!(
        found("error[E0308]: mismatched\n --> src/lib.rs:2:5", &[("src/lib.rs", rust)], "rust"),
        ["src/lib.rs:1-3"]
    );
}

#[test]
fn a_file_that_does_not_parse_is_shown_around_its_error() {
    let broken = format!("{}def f(:\n    return 1\n{}", "x = 1\n".repeat(20), "y = 1\n".repeat(20));
    let said = "test_a.py cannot be imported:\n  File \"a.py\", line 21\nSyntaxError: invalid syntax";
    assert_eq!(found(said, &[("a.py", &broken)], "python"), ["a.py:15-27"]);
}

#[test]
fn a_command_line_that_prints_something_else_is_its_functions_fault() {
    let python = "def load():\n    pass\n\ndef do_add_all(text):\n    print(1)\n\ndef main():\n    pass\n";
    let said =
        "`python3 a.py load x >/dev/null; python3 a.py add-all x`: its output is not \"x\"; it is \"1\"\n1\n";
    assert_eq!(found(said, &[("a.py", python)], "python"), ["a.py:4-5"]);
    let javascript = "function doList() {\n}\n";
    assert_eq!(found("`node a.mjs list`: x", &[("a.mjs", javascript)], "javascript"), ["a.mjs:1-2"]);
    let said = "`python3 -c 'from a import load\ngot = load(1)\nassert got == 2'` prints:\nAssertionError: load returned 1\nIts exit status is 1 and must be 0.";
    assert_eq!(found(said, &[("a.py", python)], "python"), ["a.py:1-2"]);
    assert!(found("`node a.mjs other`: x", &[("a.mjs", javascript)], "javascript").is_empty());
}

#[test]
fn errors_that_name_no_line_of_the_project_show_no_fault() {
    for said in ["it failed", "File \"/usr/lib/python3/x.py\", line 3", "todo.py:0", "todo.py:999999"] {
        assert!(found(said, &[("todo.py", APP)], "python").is_empty(), "{said}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_and_line_give_places_inside_the_file(
        text in "(def f\\(x\\):|class A:|    x = 1|@d|é|\\)|\n){0,30}", line in 0_usize..40, name in "[a-z]{1,3}\\.(py|mjs|rs|go)",
    ) {
        for language in ["python", "javascript"] {
            let places = found(&format!("{name}:{line}"), &[(&name, &text)], language);
            let total = text.lines().count();
            for place in places {
                let lines = place.rsplit(':').next().unwrap().split(' ').next().unwrap().to_owned();
                let (first, last) = lines.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                proptest::prop_assert!(1 <= first && first <= last && last <= total, "{place} of {total}");
            }
        }
    }
}
