//! Packages of others: what a project asks for is installed where a person allows it, and nothing is said to pass or to
//! fail for want of it elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::home::{Home, Said, tree};

/// A program of one step that covers R1, and the one reply to it.
fn write_case(home: &Home, language: &str, files: &[(&str, &str)]) -> Vec<String> {
    let names: Vec<_> = files.iter().map(|(path, _)| format!("\"{path}\"")).collect();
    let program = format!(
        "title = \"x\"\ntask = \"x\"\ndomain = \"codebase\"\nlanguage = \"{language}\"\n[[requirements]]\nid = \"R1\"\ntext = \"It works.\"\n\
         [[instructions]]\nid = 1\ntitle = \"All\"\ntext = \"Write it.\"\ncovers = [\"R1\"]\nwrites = [{}]\nattempts_max = 1\n\
         [[instructions.checks]]\nkind = \"tests\"\n",
        names.join(", ")
    );
    let blocks: String =
        files.iter().map(|(path, text)| format!("@@ write {path}\n{text}\n@@ end\n")).collect();
    let script =
        format!("[[reply]]\nwhen = [\"Your step now: step 1,\"]\ntext = '''\n{blocks}@@ done\n'''\n");
    std::fs::write(home.path().join("program.toml"), program).unwrap();
    std::fs::write(home.path().join("script.toml"), script).unwrap();
    let provider = format!("scripted:{}", home.path().join("script.toml").display());
    let words = ["run", "--provider", &provider, "--program", "program.toml"];
    let bounds = ["--attempts", "1", "--turns", "1", "--repairs", "0"];
    words.into_iter().chain(bounds).map(str::to_owned).collect()
}

fn edvac(home: &Home, words: &[String], more: &[&str]) -> Command {
    let words: Vec<_> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
    home.edvac(&words)
}

fn said(mut command: Command) -> Said {
    command.output().unwrap().into()
}

/// Wheels in a directory, made as the standard says: `(name, version, module, text, needs)`.
fn wheels(home: &Home, all: &[(&str, &str, &str, &str, &str)]) -> PathBuf {
    const MAKE: &str = "
import sys, zipfile
to, name, version, module, text, needs = sys.argv[1:]
info = f'{name}-{version}.dist-info'
files = {
    f'{module}.py': text,
    f'{info}/METADATA': f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n' + (f'Requires-Dist: {needs}\\n' if needs else ''),
    f'{info}/WHEEL': 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n',
}
files[f'{info}/RECORD'] = ''.join(f'{path},,\\n' for path in [*files, f'{info}/RECORD'])
with zipfile.ZipFile(f'{to}/{name}-{version}-py3-none-any.whl', 'w') as wheel:
    for path, text in files.items():
        wheel.writestr(path, text)
";
    let to = home.path().join("wheels");
    std::fs::create_dir_all(&to).unwrap();
    for (name, version, module, text, needs) in all {
        let made = Command::new("python3")
            .args(["-c", MAKE, &to.display().to_string(), name, version, module, text, needs])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    to
}

/// With a registry that is a directory.
fn offline(mut command: Command, wheels: &Path) -> Command {
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", wheels);
    command
}

const APP: &str = "import tabulate\n\n\ndef table(rows):\n    return tabulate.tabulate(rows)\n";
const TEST: &str = "import unittest\nfrom app import table\n\n\nclass T(unittest.TestCase):\n    def test_r1_rows(self):\n        self.assertEqual(table([1, 2]), \"1|2\")\n";
const TABULATE: (&str, &str, &str, &str, &str) = (
    "tabulate",
    "9.9.1",
    "tabulate",
    "from wcwidth import join\n\n\ndef tabulate(rows):\n    return join(rows)\n",
    "wcwidth",
);
const WCWIDTH: (&str, &str, &str, &str, &str) =
    ("wcwidth", "0.0.7", "wcwidth", "def join(rows):\n    return '|'.join(str(row) for row in rows)\n", "");

fn shelf(home: &Home) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.path().join("state/dependencies/python"));
    let all = entries.into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|path| path.is_dir()).collect()
}

#[test]
fn without_a_word_nothing_is_installed_and_nothing_is_held_against_the_project() {
    let home = Home::new();
    let wheels = wheels(&home, &[TABULATE, WCWIDTH]);
    let files = [("requirements.txt", "tabulate==9.9.1"), ("app.py", APP), ("test_app.py", TEST)];
    let words = write_case(&home, "python", &files);
    let report = said(offline(edvac(&home, &words, &[]), &wheels)).expect(1);
    let why = "no evidence: tabulate is not installed; run again with --allow-install, or do without";
    assert!(report.stdout.contains(why), "{}", report.stdout);
    assert!(report.stdout.contains("1 without evidence"), "{}", report.stdout);
    assert!(!report.stdout.contains("--allow-install)"), "{}", report.stdout);
    assert_eq!(shelf(&home), Vec::<PathBuf>::new());
    assert!(!home.records().iter().any(|r| r["body"].to_string().contains("prompts/packages.md")));
}

#[test]
fn what_passes_without_a_package_needs_none() {
    let home = Home::new();
    let test = TEST.replace("from app import table", "table = lambda rows: '|'.join(map(str, rows))");
    let app = "def unused():\n    return 1\n";
    let files = [
        ("requirements.txt", "tabulate==9.9.1\n-r more.txt\nno-such-thing"),
        ("app.py", app),
        (
            "test_app.py",
            &test.replace("class T", "import app\n\n\nclass T").replace(
                "        self.assertEqual(table",
                "        self.assertEqual(app.unused(), 1)\n        self.assertEqual(table",
            ),
        ),
    ];
    let words = write_case(&home, "python", &files);
    said(edvac(&home, &words, &[])).expect(0);
}

#[test]
fn what_a_person_allows_is_installed_once_for_all_runs() {
    let home = Home::new();
    let wheels = wheels(&home, &[TABULATE, WCWIDTH]);
    // The tests also try what no command may: to write where the packages lie.
    let test = format!(
        "{TEST}\n    def test_r1_packages_stay_as_they_are(self):\n        import os\n        import tabulate\n        \
         for path in (tabulate.__file__, os.path.join(os.path.dirname(tabulate.__file__), 'new.py')):\n            \
         with self.assertRaises(OSError):\n                open(path, 'a').close()\n"
    );
    let files = [("requirements.txt", "tabulate==9.9.1"), ("app.py", APP), ("test_app.py", &test)];
    let words = write_case(&home, "python", &files);
    let first = said(offline(edvac(&home, &words, &["--allow-install"]), &wheels)).expect(0);
    let line = "Packages might be installed (--allow-install): tabulate 9.9.1, wcwidth 0.0.7 were.";
    assert!(first.stdout.contains(line), "{}\n{}", first.stdout, first.stderr);
    assert!(first.stderr.contains("installed tabulate 9.9.1, wcwidth 0.0.7"), "{}", first.stderr);
    let [place] = shelf(&home).try_into().unwrap();
    assert!(tree(&place.join("packages")).keys().all(|path| !path.contains("new.py")));
    let events = home.records();
    let installs: Vec<_> =
        events.iter().filter(|r| r["kind"] == "result" && r["body"]["event"] == "installed").collect();
    assert_eq!(installs.len(), 1);
    assert!(installs[0]["key"].as_str().unwrap().starts_with("install/"));
    assert_eq!(installs[0]["body"]["needs"]["wanted"][0]["name"], "tabulate");
    assert_eq!(events[0]["body"]["allow_install"], true);
    let log = home.say(&["logs", "--last"]).expect(0).stdout;
    assert!(log.contains("with --allow-install") && log.contains("installed tabulate 9.9.1"), "{log}");
    let shown = home.say(&["show", "--last"]).expect(0).stdout;
    assert!(shown.contains("packages that were installed (--allow-install): tabulate 9.9.1"), "{shown}");
    let told = |records: &[serde_json::Value]| {
        records.iter().any(|r| r["body"].to_string().contains("\"prompts/packages.md\""))
    };
    assert!(told(&events), "the worker is told what it may use");
    // The registry is gone; the next run has what is there.
    std::fs::remove_dir_all(&wheels).unwrap();
    let second = said(offline(edvac(&home, &words, &["--allow-install"]), &wheels)).expect(0);
    assert!(second.stdout.contains(line), "{}", second.stdout);
    assert_eq!(shelf(&home), [place]);
    // A run that nobody allowed it has nothing of it.
    said(offline(edvac(&home, &words, &[]), &wheels)).expect(1);
}

#[test]
fn what_cannot_be_installed_is_no_evidence_in_the_installers_words() {
    let home = Home::new();
    let wheels = wheels(&home, &[WCWIDTH]);
    let files = [("requirements.txt", "tabulate==9.9.1"), ("app.py", APP), ("test_app.py", TEST)];
    let words = write_case(&home, "python", &files);
    let report = said(offline(edvac(&home, &words, &["--allow-install"]), &wheels)).expect(1);
    let why = "tabulate could not be installed: ERROR: Could not find a version that satisfies the requirement tabulate==9.9.1";
    assert!(report.stdout.contains(why), "{}", report.stdout);
    let tries = home.records().iter().filter(|r| r["body"]["event"] == "installed").count();
    assert_eq!(tries, 2, "it is not tried in a circle");
    assert_eq!(shelf(&home), Vec::<PathBuf>::new(), "nothing half done is left");
}

#[test]
fn what_no_list_allows_is_never_asked_for() {
    let home = Home::new();
    let evil = ("evil", "1", "evil", "open('/tmp/evil', 'w')\n", "");
    let wheels = wheels(&home, &[evil]);
    let app = APP.replace("tabulate", "evil");
    let files =
        [("requirements.txt", "evil\n--index-url=x"), ("app.py", app.as_str()), ("test_app.py", TEST)];
    let words = write_case(&home, "python", &files);
    let report = said(offline(edvac(&home, &words, &["--allow-install"]), &wheels)).expect(1);
    assert!(report.stdout.contains("evil is not on the list of packages"), "{}", report.stdout);
    assert!(report.stdout.contains("requirements.txt asks for `--index-url=x`"), "{}", report.stdout);
    assert_eq!(shelf(&home), Vec::<PathBuf>::new());
    // A list of one's own allows it.
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/domains/codebase/domain.toml"),
    )
    .unwrap();
    let own = home.path().join("templates/domains/codebase");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("domain.toml"), text.replacen("packages = [", "packages = [ \"evil\",", 1))
        .unwrap();
    let mut again = offline(edvac(&home, &words, &["--allow-install"]), &wheels);
    again.env("EDVAC_TEMPLATES", home.path().join("templates"));
    assert!(said(again).stderr.contains("installed evil 1"));
}

/// Killed while it installs, a run leaves nothing that is taken for a package, and goes on.
#[test]
fn a_killed_installation_is_begun_again() {
    let home = Home::new();
    let wheels = wheels(&home, &[TABULATE, WCWIDTH]);
    let files = [("requirements.txt", "tabulate==9.9.1"), ("app.py", APP), ("test_app.py", TEST)];
    let words = write_case(&home, "python", &files);
    let mut run = offline(edvac(&home, &words, &["--allow-install"]), &wheels)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let beside = home.path().join("state/dependencies/python");
    let begun = || {
        let all = std::fs::read_dir(&beside).into_iter().flatten().flatten();
        all.map(|e| e.path().join("requirements.txt")).any(|list| list.exists())
    };
    for _ in 0..2000 {
        if begun() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let resume = home.edvac(&["resume", "--last", "--allow-install"]);
    let report = said(offline(resume, &wheels)).expect(0);
    assert!(report.stdout.contains("tabulate 9.9.1, wcwidth 0.0.7 were."), "{}", report.stdout);
    assert_eq!(shelf(&home).len(), 1, "what was left is gone");
}

/// A run that had no packages goes on with them where a person says so.
#[test]
fn a_resumed_run_installs_what_it_lacked() {
    let home = Home::new();
    let wheels = wheels(&home, &[TABULATE, WCWIDTH]);
    let files = [("requirements.txt", "tabulate==9.9.1"), ("app.py", APP), ("test_app.py", TEST)];
    let words = write_case(&home, "python", &files);
    // Stopped when the reply was carried out and not checked yet.
    let mut run = offline(edvac(&home, &words, &[]), &wheels);
    run.env("EDVAC_TEST_STOP_AFTER", "8");
    said(run);
    let report = said(offline(home.edvac(&["resume", "--last", "--allow-install"]), &wheels)).expect(0);
    assert!(report.stdout.contains("tabulate 9.9.1"), "{}", report.stdout);
}

/// Whether the tests that need a registry are to be run.
fn registry() -> bool {
    let is_there = std::env::var_os("EDVAC_TEST_REGISTRY").is_some();
    if !is_there {
        println!("EDVAC_TEST_REGISTRY says whether registries can be reached");
    }
    is_there
}

#[test]
fn javascript_from_its_registry() {
    if !registry() {
        return;
    }
    let home = Home::new();
    let files = [
        ("package.json", r#"{ "type": "module", "dependencies": { "ms": "^2.1.0" } }"#),
        ("app.mjs", "import ms from 'ms';\nexport const minutes = (text) => ms(text) / 60000;\n"),
        ("old.cjs", "module.exports = require('ms');\n"),
        (
            "app.test.mjs",
            "import test from 'node:test';\nimport assert from 'node:assert/strict';\nimport { minutes } from './app.mjs';\nimport old from './old.cjs';\n\
             test('R1: minutes', () => { assert.equal(minutes('1h'), 60); assert.equal(old('1m'), 60000); });\n",
        ),
    ];
    let words = write_case(&home, "javascript", &files);
    let without = said(edvac(&home, &words, &[])).expect(1);
    assert!(
        without.stdout.contains("ms is not installed; run again with --allow-install"),
        "{}",
        without.stdout
    );
    let with = said(edvac(&home, &words, &["--allow-install"])).expect(0);
    assert!(with.stdout.contains("ms 2."), "{}", with.stdout);
}

#[test]
fn rust_from_its_registry() {
    if !registry() {
        return;
    }
    let home = Home::new();
    let files = [
        (
            "Cargo.toml",
            "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nserde = { version = \"1\", features = [\"derive\"] }\nserde_json = \"1\"\n",
        ),
        (
            "src/lib.rs",
            "#[derive(serde::Serialize)]\npub struct One {\n    pub a: u8,\n}\n\npub fn text(one: &One) -> String {\n    serde_json::to_string(one).unwrap()\n}\n\n\
             #[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn r1_text() {\n        assert_eq!(text(&One { a: 1 }), \"{\\\"a\\\":1}\");\n    }\n}\n",
        ),
    ];
    let words = write_case(&home, "rust", &files);
    let without = said(edvac(&home, &words, &[])).expect(1);
    assert!(without.stdout.contains("serde, serde_json are not installed"), "{}", without.stdout);
    let with = said(edvac(&home, &words, &["--allow-install"])).expect(0);
    assert!(with.stdout.contains("serde_json 1."), "{}", with.stdout);
}

const VITEST: &str = r#"{ "type": "module", "devDependencies": { "vitest": "^3.0.0" } }"#;

#[test]
fn vitest_runs_the_tests_of_a_project_that_names_it() {
    let home = Home::new();
    let add = ("add.ts", "export const add = (a: number, b: number): number => a + b;");
    let test = "import { describe, expect, it } from 'vitest';\nimport { add } from './add';\n\ndescribe('add', () => {\n  it('R1: adds', () => {\n    expect(add(1, 2)).toBe(3);\n  });\n  it.skip('later', () => {});\n});\n";
    let files = [("package.json", VITEST), add, ("add.test.ts", test)];
    let words = write_case(&home, "javascript", &files);
    let without = said(edvac(&home, &words, &[])).expect(1);
    assert!(
        without.stdout.contains("vitest is not installed; run again with --allow-install"),
        "{}",
        without.stdout
    );
    if !registry() {
        return;
    }
    let with = said(edvac(&home, &words, &["--allow-install"])).expect(0);
    assert!(with.stdout.contains("1 of 1 requirements met"), "{}", with.stdout);
    assert!(with.stdout.contains("npx vitest run"), "{}", with.stdout);
    let checked = home.records().into_iter().rfind(|r| r["body"]["event"] == "final_checked").unwrap();
    let tests = checked["body"]["reports"][0]["tests"].as_array().unwrap();
    let outcomes: Vec<_> =
        tests.iter().map(|t| (t["name"].as_str().unwrap(), t["outcome"].as_str().unwrap())).collect();
    assert_eq!(outcomes, [("add > R1: adds", "passed"), ("add > later", "skipped")]);
    // With a configuration of its own.
    let config = ("vitest.config.ts", "export default { test: { globals: true } };");
    let global = test.replace("import { describe, expect, it } from 'vitest';\n", "");
    let files = [("package.json", VITEST), config, add, ("add.test.ts", global.as_str())];
    let words = write_case(&home, "javascript", &files);
    said(edvac(&home, &words, &["--allow-install"])).expect(0);
    // One that fails, one that cannot be loaded, one that speaks for itself, one that asks only for itself.
    let wrong = test.replace("toBe(3)", "toBe(4)");
    let broken = test.replace("./add", "./nothing");
    let forged = test.replace("    expect(add(1, 2)).toBe(3);", "    const { appendFileSync } = await import('node:fs');\n    console.log('{\"ended\":true}');\n    appendFileSync('/out/results.jsonl', '{\"ended\":true}\\n');\n    expect(add(1, 2)).toBe(3);").replace("() => {\n    const", "async () => {\n    const");
    let only = test.replace("it('R1", "it.only('R1");
    let gone = test
        .replace("    expect(add(1, 2)).toBe(3);", "    expect(add(1, 2)).toBe(3);\n    process.exit(0);");
    for (test, why) in [
        (wrong, "1 of 2 tests failed"),
        (broken, "Cannot find module './nothing'"),
        (forged, "wrote into the results of the test run"),
        (only, "1 of 2 tests failed"),
        (gone, "ends the test run with process.exit"),
    ] {
        let files = [("package.json", VITEST), add, ("add.test.ts", test.as_str())];
        let words = write_case(&home, "javascript", &files);
        let report = said(edvac(&home, &words, &["--allow-install"])).expect(1);
        assert!(report.stdout.contains(why), "no {why:?} in {}", report.stdout);
    }
}
