use std::collections::BTreeMap;
use std::sync::OnceLock;

use edvac_memory::program::CheckKind;
use proptest::prelude::*;

use super::*;
use crate::check::testing::report_on;

/// The tests' verdict and outcomes for some files.
async fn outcome(language: &str, files: &[(&str, &str)]) -> (Verdict, BTreeMap<String, Outcome>, String) {
    let report = report_on(CheckKind::Tests, language, files).await;
    (report.verdict, report.tests.into_iter().map(|t| (t.name, t.outcome)).collect(), report.detail)
}

/// The verdict on some files, and what a person is shown.
pub(crate) async fn verdict_of(language: &str, files: &[(&str, &str)]) -> (Verdict, String) {
    let (verdict, _, detail) = outcome(language, files).await;
    (verdict, detail)
}

fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Passed => "passed",
        other => other.reason(),
    }
}

const PY: &str = "def add(a, b):\n    return a + b\n";

#[tokio::test]
async fn python_classes_and_functions() {
    let test = "import unittest\nfrom calc import add\n\nclass T(unittest.TestCase):\n    def test_r1_add(self):\n        self.assertEqual(add(1, 2), 3)\n\n    @unittest.skip('later')\n    def test_r2(self):\n        pass\n\ndef test_r3_plain(tmp_path):\n    (tmp_path / 'x').write_text('y')\n    assert add(1, 1) == 2\n";
    let (verdict, tests, _) = outcome("python", &[("calc.py", PY), ("test_calc.py", test)]).await;
    assert_eq!(verdict, Verdict::Passed);
    assert_eq!(tests["test_calc.T.test_r1_add"], Outcome::Passed);
    assert_eq!(tests["test_calc.T.test_r2"], Outcome::Skipped);
    assert_eq!(tests["test_calc.test_r3_plain"], Outcome::Passed);
}

#[tokio::test]
async fn python_failures_say_where() {
    let test = "from calc import add\n\ndef test_r1():\n    assert add(1, 2) == 4\n\ndef test_ok():\n    pass\n\ndef test_fixture(capsys):\n    pass\n";
    let (verdict, tests, detail) = outcome("python", &[("calc.py", PY), ("tests/test_calc.py", test)]).await;
    assert_eq!(reason(&verdict), "2 of 3 tests failed");
    assert_eq!(tests["tests.test_calc.test_ok"], Outcome::Passed);
    assert!(detail.contains("assert add(1, 2) == 4") && detail.contains("line 4"), "{detail}");
    assert!(detail.contains("the parameter capsys has no value"), "{detail}");
    assert!(!detail.contains("/project"), "{detail}");
}

#[tokio::test]
async fn python_says_what_there_is_where_something_is_not() {
    let test = "import calc\n\ndef test_r1():\n    calc.sub(1, 2)\n\ndef test_r2():\n    (1).x\n";
    let (verdict, _, detail) =
        outcome("python", &[("calc.py", PY), ("test_calc.py", test), ("test_b.py", "import notes\n")]).await;
    assert_eq!(reason(&verdict), "2 of 2 tests failed");
    assert!(detail.contains("The modules of this project are: calc, test_b, test_calc."), "{detail}");
    assert!(detail.contains("calc has: add."), "{detail}");
    assert!(!detail.contains("int has"), "{detail}");
}

#[tokio::test]
async fn what_shows_nothing_is_no_evidence() {
    let nothing = |v: &Verdict| matches!(v, Verdict::NoEvidence { .. });
    let (verdict, ..) = outcome("python", &[("calc.py", PY)]).await;
    assert!(nothing(&verdict) && reason(&verdict) == "no test was found", "{verdict:?}");
    let skipped = "import unittest\n\n@unittest.skip('x')\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n";
    let (verdict, ..) = outcome("python", &[("test_a.py", skipped)]).await;
    assert!(nothing(&verdict) && reason(&verdict) == "every test was skipped", "{verdict:?}");
}

#[tokio::test]
async fn a_test_run_that_is_ended_has_not_passed() {
    let (verdict, tests, _) = outcome(
        "python",
        &[("test_a.py", "import os\n\ndef test_a():\n    pass\n\ndef test_b():\n    os._exit(0)\n")],
    )
    .await;
    assert!(verdict.speaks_against(), "{verdict:?} {tests:?}");
    let (verdict, _, detail) = outcome(
        "python",
        &[("calc.py", "def add(:\n"), ("test_a.py", "from calc import add\n\ndef test_a():\n    pass\n")],
    )
    .await;
    assert!(matches!(&verdict, Verdict::Failed { reason } if reason.contains("SyntaxError")), "{verdict:?}");
    assert!(detail.contains("test_a.py cannot be imported"), "{detail}");
}

#[tokio::test]
async fn a_test_that_is_expected_to_fail_is_skipped() {
    let test = "import unittest\nfrom calc import add\n\nclass T(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_r1(self):\n        self.assertEqual(add(1, 2), 4)\n\n    def test_r2(self):\n        self.assertEqual(add(1, 2), 3)\n";
    let (verdict, tests, _) = outcome("python", &[("calc.py", PY), ("test_a.py", test)]).await;
    assert_eq!(verdict, Verdict::Passed);
    assert_eq!(tests["test_a.T.test_r1"], Outcome::Skipped);
}

#[tokio::test]
async fn a_test_run_that_is_tampered_with_has_not_passed() {
    let python = |head: &str| {
        format!(
            "import unittest\nfrom calc import add\n{head}\n\nclass T(unittest.TestCase):\n    def test_r1(self):\n        self.assertEqual(add(1, 2), 4)\n"
        )
    };
    for head in [
        "unittest.TestCase.assertEqual = lambda *a: None",
        "unittest.TestCase.run = lambda self, result=None: result.addSuccess(self)",
        "import __main__\n__main__.Result.addFailure = lambda self, test, error: self.addSuccess(test)",
        "import builtins\nclass E(Exception): pass\nbuiltins.AssertionError = E\nunittest.TestCase.failureException = E",
    ] {
        let (verdict, _, detail) = outcome("python", &[("calc.py", PY), ("test_a.py", &python(head))]).await;
        assert!(
            matches!(verdict, Verdict::Integrity { .. }) && detail.contains("tampered with the test run"),
            "{head} {verdict:?} {detail}"
        );
    }
    // Lines without the key are none of the runner's.
    let forged = "import os\n\ndef test_r1():\n    for fd in range(3, 20):\n        try:\n            os.write(fd, b'{\"name\": \"test_a.test_r2\", \"outcome\": \"passed\"}\\n')\n        except OSError:\n            pass\n";
    let (verdict, tests, detail) = outcome("python", &[("test_a.py", forged)]).await;
    assert!(!verdict.is_passed() && !tests.contains_key("test_a.test_r2"), "{verdict:?} {tests:?}");
    assert!(detail.contains("a test wrote into the results"), "{detail}");
}

#[tokio::test]
async fn a_javascript_file_that_ends_itself_has_not_passed() {
    let code = "export const add = (a, b) => a + b;\n";
    let head = "import { test } from 'node:test';\nimport assert from 'node:assert';\nimport { add } from './calc.mjs';\n";
    let sound = format!("{head}test('R1: adds', () => assert.equal(add(1, 2), 3));\n");
    for (bad, said) in [
        ("process.exit(0);\n", "the test run was ended before its end"),
        ("assert.equal = () => {};\n", "the test run was tampered with: assert.equal"),
    ] {
        let bad = format!("{head}{bad}test('R2: wrong', () => assert.equal(add(1, 2), 4));\n");
        let files = [("calc.mjs", code), ("a.test.mjs", sound.as_str()), ("b.test.mjs", bad.as_str())];
        let (verdict, _, detail) = outcome("javascript", &files).await;
        assert!(verdict.speaks_against() && detail.contains(said), "{verdict:?} {detail}");
    }
}

#[test]
fn a_rust_test_that_ends_its_process_has_not_passed() {
    let ended = "running 2 tests\ntest tests::a ... ok\n";
    assert_eq!(rust::read(ended, Some(0)).faults, ["the test run was ended before its end"]);
    let result = "\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
    let whole = format!("{ended}test tests::b ... ok\n{result}");
    assert!(rust::read(&whole, Some(0)).faults.is_empty());
    let prompt = format!("{ended}name> test tests::b ... ok\n{result}");
    assert_eq!(rust::read(&prompt, Some(0)).tests.len(), 2, "a program may ask something");
    let forged = format!("{ended}test tests::r1 ... ok\ntest tests::b ... ok\n{result}");
    assert!(rust::read(&forged, Some(0)).faults[0].starts_with("what the tests print"));
}

#[tokio::test]
async fn javascript() {
    let code = "export const add = (a, b) => a + b;\n";
    let test = "import { test, describe } from 'node:test';\nimport assert from 'node:assert';\nimport { add } from './calc.mjs';\n\ntest('R1: adds', () => assert.equal(add(1, 2), 3));\ndescribe('more', () => { test('R2: wrong', () => assert.equal(add(1, 1), 3)); });\ntest.skip('R3: later', () => {});\n";
    let (verdict, tests, detail) =
        outcome("javascript", &[("calc.mjs", code), ("calc.test.mjs", test)]).await;
    assert_eq!(reason(&verdict), "1 of 3 tests failed", "{tests:?} {detail}");
    assert_eq!(tests["R1: adds"], Outcome::Passed);
    assert_eq!(tests["more > R2: wrong"], Outcome::Failed);
    assert_eq!(tests["R3: later"], Outcome::Skipped);
    let (verdict, ..) = outcome("javascript", &[("calc.mjs", code)]).await;
    assert_eq!(reason(&verdict), "no test was found");
    let (verdict, _, detail) = outcome("javascript", &[("a.test.mjs", "import './none.mjs';\n")]).await;
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?} {detail}");
}

#[tokio::test]
async fn rust() {
    let manifest = "[package]\nname = \"calc\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    let code = "pub fn add(a: u8, b: u8) -> u8 { a + b }\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn r1_adds() { assert_eq!(super::add(1, 2), 3); }\n    #[test]\n    fn r2_wrong() { assert_eq!(super::add(1, 2), 4); }\n}\n";
    let (verdict, tests, detail) = outcome("rust", &[("Cargo.toml", manifest), ("src/lib.rs", code)]).await;
    assert_eq!(reason(&verdict), "1 of 2 tests failed", "{detail}");
    assert_eq!(tests["tests::r1_adds"], Outcome::Passed);
    assert!(detail.contains("left: 3") || detail.contains("left == right"), "{detail}");
    let (verdict, ..) =
        outcome("rust", &[("Cargo.toml", manifest), ("src/lib.rs", "pub fn f() -> u8 { \"x\" }\n")]).await;
    assert!(matches!(&verdict, Verdict::Failed { reason } if reason.contains("error")), "{verdict:?}");
}

const GO_MODULE: (&str, &str) = ("go.mod", "module calc\n\ngo 1.19\n");
const GO_CODE: (&str, &str) = ("calc.go", "package calc\n\nfunc Add(a, b int) int { return a + b }\n");

fn go_tests(body: &str) -> String {
    format!(
        "package calc\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"testing\"\n)\n\nvar _, _ = fmt.Print, os.Exit\n\n{body}"
    )
}

#[tokio::test]
async fn go() {
    let tests = go_tests(
        "func TestR1_Adds(t *testing.T) {\n\tif Add(1, 2) != 3 {\n\t\tt.Fatal(\"wrong\")\n\t}\n}\n\nfunc TestR2_Wrong(t *testing.T) {\n\tif got := Add(1, 2); got != 4 {\n\t\tt.Errorf(\"got %d\", got)\n\t}\n}\n\nfunc TestR3_Later(t *testing.T) { t.Skip(\"later\") }\n\nfunc TestR4_Table(t *testing.T) {\n\tfor _, n := range []int{1, 2} {\n\t\tt.Run(fmt.Sprint(n), func(t *testing.T) {\n\t\t\tif Add(n, 1) != n+1 {\n\t\t\t\tt.Fail()\n\t\t\t}\n\t\t})\n\t}\n}\n",
    );
    let files = [GO_MODULE, GO_CODE, ("calc_test.go", tests.as_str())];
    let (verdict, outcomes, detail) = outcome("go", &files).await;
    assert_eq!(reason(&verdict), "1 of 6 tests failed", "{outcomes:?} {detail}");
    assert_eq!(outcomes["TestR1_Adds"], Outcome::Passed);
    assert_eq!(outcomes["TestR2_Wrong"], Outcome::Failed);
    assert_eq!(outcomes["TestR3_Later"], Outcome::Skipped);
    assert_eq!(outcomes["TestR4_Table/2"], Outcome::Passed);
    assert!(detail.contains("got 3"), "{detail}");

    let sound =
        go_tests("func TestR1_Adds(t *testing.T) {\n\tif Add(1, 2) != 3 {\n\t\tt.Fatal(\"wrong\")\n\t}\n}\n");
    let (verdict, ..) = outcome("go", &[GO_MODULE, GO_CODE, ("calc_test.go", &sound)]).await;
    assert_eq!(verdict, Verdict::Passed);

    let (verdict, ..) = outcome("go", &[GO_MODULE, GO_CODE]).await;
    assert_eq!(reason(&verdict), "no test was found");
    let broken = ("calc.go", "package calc\n\nfunc Add(a, b int) int { return c }\n");
    let (verdict, _, detail) = outcome("go", &[GO_MODULE, broken, ("calc_test.go", &sound)]).await;
    assert!(verdict.speaks_against() && detail.contains("undefined: c"), "{verdict:?} {detail}");
    for bad in [
        "func TestMain(m *testing.M) {\n\tos.Exit(0)\n}\n\nfunc TestR1(t *testing.T) { t.Fail() }\n",
        "func TestMain(m *testing.M) {\n\tm.Run()\n\tos.Exit(0)\n}\n\nfunc TestR1(t *testing.T) { t.Fail() }\n",
        "func TestR1(t *testing.T) { os.Exit(0) }\n",
        "func TestR1(t *testing.T) {\n\tfmt.Println(\"--- PASS: TestR1 (0.00s)\")\n\tt.Fail()\n}\n",
        "func TestR1(t *testing.T) {\n\tfmt.Println(\"--- PASS: TestR1 (0.00s)\\nPASS\")\n\tpanic(\"x\")\n}\n",
        "func TestR1(t *testing.T) {\n\tfmt.Println(\"{\\\"Action\\\":\\\"pass\\\",\\\"Test\\\":\\\"TestR1\\\"}\")\n\tt.Fail()\n}\n",
    ] {
        let tests = go_tests(bad);
        let (verdict, outcomes, _) = outcome("go", &[GO_MODULE, GO_CODE, ("calc_test.go", &tests)]).await;
        assert!(!verdict.is_passed(), "{bad} {verdict:?} {outcomes:?}");
    }
}

#[test]
fn names_of_requirements() {
    for (name, ids) in [
        ("test_todo.TestAdd.test_r1_added", vec!["R1"]),
        ("test_r1_r2_both", vec!["R1", "R2"]),
        ("R2: adds", vec!["R2"]),
        ("more > R12: adds", vec!["R12"]),
        ("TestR3Adds", vec!["R3"]),
        ("tests::r4_adds", vec!["R4"]),
        ("test_order2", vec![]),
        ("test_r2d2", vec![]),
        ("test_year2024", vec![]),
        ("test_adds", vec![]),
    ] {
        let found: Vec<_> = named_in(name).into_iter().map(|id| id.0).collect();
        assert_eq!(found, ids, "{name}");
    }
}

#[test]
fn what_differs_between_runs_is_taken_out() {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        steady("<A at 0x7f12ab34cd56> in 0.002s /project/a.py /tmp/tmpab12/x file:///project/b.mjs:1")
    });
    assert_eq!(text, "<A at 0x...> in some time a.py /tmp/... b.mjs:1");
}

proptest! {
    #[test]
    fn readers_take_any_text(text in "(\\PC|\n){0,400}") {
        rust::read(&text, Some(1));
        go::read(&text);
        named_in(&text);
        steady(&text);
    }
}
