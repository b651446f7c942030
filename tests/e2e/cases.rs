//! Cases as folders: `tests/programs/<case>/` has a task, the model's replies, what is expected, and the files that
//! must come out.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::home::{Home, git, tree};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    domain: String,
    exit_code: i32,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    stdout_contains: Vec<String>,
    #[serde(default)]
    stderr_contains: Vec<String>,
    commits: usize,
    calls: usize,
}

pub fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(case)
}

/// The arguments that run a case's task, or its program, under its script.
pub fn arguments(folder: &Path, domain: &str) -> Vec<String> {
    let script = folder.join("script.toml");
    let program = folder.join("program.toml");
    let (option, file) =
        if program.exists() { ("--program", program) } else { ("--task-file", folder.join("task.md")) };
    ["run", "--domain", domain, "--provider", &format!("scripted:{}", script.display()), option]
        .iter()
        .map(|&s| s.to_owned())
        .chain([file.display().to_string()])
        .collect()
}

fn check(name: &str) {
    let folder = folder(name);
    let case: Case = toml::from_str(&std::fs::read_to_string(folder.join("case.toml")).unwrap()).unwrap();
    let home = Home::new();
    let args: Vec<_> = arguments(&folder, &case.domain).into_iter().chain(case.args).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let said = home.say(&args).expect(case.exit_code);
    for text in &case.stdout_contains {
        assert!(said.stdout.contains(text), "no {text:?} in\n{}\n{}", said.stdout, said.stderr);
    }
    for text in &case.stderr_contains {
        assert!(said.stderr.contains(text), "no {text:?} in\n{}", said.stderr);
    }
    let workspace = home.workspace();
    let made = tree(&workspace);
    for (path, content) in tree(&folder.join("expected")) {
        assert_eq!(made.get(&path), Some(&content), "{path} of {:?}", made.keys());
    }
    assert_eq!(home.calls(), (case.calls, case.calls), "model calls recorded and begun");
    crate::traces::is_a_tree(&home);
    let log = git(&workspace, &["log", "--format=%H %(trailers:key=Edvac-Run,valueonly,separator=%x2C)"]);
    assert_eq!(log.lines().count(), case.commits, "{log}");
    assert!(log.lines().all(|l| l.split_whitespace().count() == 2), "each commit names its run: {log}");
    assert_eq!(git(&workspace, &["status", "--porcelain"]), "", "the working tree shows the last commit");
    // Once more, from the journal alone: no model, no checks, the same bytes.
    let again = tempfile::tempdir().unwrap();
    let out = again.path().display().to_string();
    let said = home.say(&["replay", "--last", "--out", &out]).expect(0);
    assert!(!said.stdout.contains("differs"), "{}", said.stdout);
    assert_eq!(tree(again.path()), made);
}

/// One test a folder, so that a failure names its case.
macro_rules! cases {
    ($($test:ident: $folder:literal,)*) => {
        $(#[test] fn $test() { check($folder); })*

        #[test]
        fn every_folder_has_its_test() {
            let mut here = vec![$($folder),*];
            here.sort_unstable();
            let mut there: Vec<_> = std::fs::read_dir(folder("")).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
            there.sort_unstable();
            assert_eq!(here, there);
        }
    };
}

cases! {
    todo_python: "todo-python",
    beside: "beside",
    cheated: "cheated",
    checked: "checked",
    control: "control",
    examples: "examples",
    hollow: "hollow",
    left: "left",
    once_more: "once-more",
    retired: "retired",
    red: "red",
    repaired: "repaired",
    unmet: "unmet",
    untested: "untested",
    no_test_check: "no-test-check",
    questions: "questions",
}
