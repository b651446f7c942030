use super::super::{GrammarOptions, grammar};
use super::*;
use crate::roles::planner::{Command, Function, Word};
use crate::testing::accepts;

#[test]
fn a_file_of_code_begins_with_what_it_imports() {
    let of = |code: CodeFile| {
        grammar(&GrammarOptions {
            each: vec![code.path.clone()],
            fenced: Some(Vec::new()),
            code: Some(code),
            ..GrammarOptions::default()
        })
    };
    let reply = |path: &str, text: &str| format!("@@ write {path}\n```python\n{text}```\n@@ end\n@@ done x");
    let begins = vec!["from store import Store".to_owned()];
    let run = of(CodeFile { path: "kv.py".to_owned(), begins, main: Main::Last, skeleton: None });
    let part = of(CodeFile { path: "store.py".to_owned(), main: Main::Never, ..CodeFile::default() });
    let program = "from store import Store\nimport sys\n\n\ndef main():\n    pass\n\n\nif __name__ == \"__main__\":\n    sys.exit(main())\n";
    assert_eq!(accepts(&run, &reply("kv.py", program)), Ok(()));
    let (head, _) = program.split_once("\n\n\nif").unwrap();
    for text in [
        program.replace("from store import Store\n", ""),
        format!("{head}\n"),
        program.replace("main():", "run():"),
    ] {
        assert!(accepts(&run, &reply("kv.py", &text)).is_err(), "{text}");
    }
    let class = "class Store:\n    def main(self):\n        pass\n";
    assert_eq!(accepts(&part, &reply("store.py", class)), Ok(()));
    for text in ["def main():\n    pass\n", "x = 1\nif __name__ == \"__main__\":\n    x\n", "main()\n"] {
        assert!(accepts(&part, &reply("store.py", text)).is_err(), "{text}");
    }
    let script = of(CodeFile { path: "a.mjs".to_owned(), main: Main::Last, ..CodeFile::default() });
    let text = "@@ write a.mjs\n```javascript\nimport fs from \"node:fs\";\n\nasync function main() {\n  run();\n}\n\nprocess.exitCode = (await main()) ?? process.exitCode;\n```\n@@ end\n@@ done x";
    assert_eq!(accepts(&script, text), Ok(()));
    assert!(
        accepts(&script, &text.replace("process.exitCode = (await main()) ?? process.exitCode;\n", ""))
            .is_err()
    );
}

#[test]
fn a_text_about_a_program_is_short() {
    let code = Some(CodeFile { path: "README.md".to_owned(), ..CodeFile::default() });
    let each = vec!["README.md".to_owned()];
    let text = grammar(&GrammarOptions { each, fenced: Some(Vec::new()), code, ..GrammarOptions::default() });
    let lines = |count| format!("@@ write README.md\n{}@@ end\n@@ done x", "A line.\n\n".repeat(count));
    assert_eq!(accepts(&text, &lines(60)), Ok(()));
    assert!(accepts(&text, &lines(61)).is_err());
}

#[test]
fn what_a_function_prints_names_what_it_takes() {
    for (sentence, takes, shown) in [
        (
            "`node a.mjs add TEXT` prints `#ID: TEXT`.",
            "text, id",
            "`node a.mjs add TEXT` prints `#{id}: {text}`.",
        ),
        (
            "Without FILE it prints `no FILE-NAME, TOTAL: N`.",
            "file_name, n=None",
            "Without FILE it prints `no {file_name}, TOTAL: {n}`.",
        ),
        ("`TIME é` and `", "time", "`{time} é` and `"),
        ("It prints `total: T, done: D`.", "", "It prints `total: T, done: D`."),
    ] {
        assert_eq!(with_values(sentence, takes, "python"), shown);
    }
    assert_eq!(with_values("It prints `#ID`.", "id", "javascript"), "It prints `#${id}`.");
}

#[test]
fn a_function_stands_below_what_is_said_of_it() {
    let function = |name: &str, takes: Option<&str>, sentences: &[&str]| Function {
        name: name.to_owned(),
        takes: takes.map(str::to_owned),
        sentences: sentences.iter().map(|&s| s.to_owned()).collect(),
        command: None,
    };
    let long = "`python3 todo.py add TEXT` adds a task and prints `added TEXT`, where TEXT is all that is behind `add`.";
    let skeleton = Skeleton {
        above: vec!["Of the file, all is read.".to_owned(), "An unknown command ends it.".to_owned()],
        functions: vec![function("do_add", None, &[long]), function("do_list", None, &[])],
        main: vec!["An unknown command ends it.".to_owned()],
        ..Skeleton::default()
    };
    let of = |path: &str, main, skeleton| {
        let code = CodeFile { path: path.to_owned(), begins: Vec::new(), main, skeleton: Some(skeleton) };
        let each = vec![path.to_owned()];
        grammar(&GrammarOptions {
            each,
            fenced: Some(Vec::new()),
            code: Some(code),
            ..GrammarOptions::default()
        })
    };
    let run = of("todo.py", Main::Last, skeleton.clone());
    let text = "@@ write todo.py\n```python\nimport sys\n# Of the file, all is read.\n# An unknown command ends it.\n\n# `python3 todo.py add TEXT` adds a task and prints `added TEXT`, where TEXT is all that is behind\n# `add`.\ndef do_add(text, *more):\n    # It is added.\n\n    print(text)\n\ndef do_list():\n    pass\n\n# An unknown command ends it.\ndef main():\n    do_add(1)\n\n\nif __name__ == \"__main__\":\n    sys.exit(main())\n```\n@@ end\n@@ done x";
    assert_eq!(accepts(&run, text), Ok(()));
    for (old, new) in [
        ("import sys\n", ""),
        ("def do_list():\n    pass\n", ""),
        ("def do_list():\n    pass\n", "def do_list():\n    pass\n\ndef more():\n    pass\n"),
        ("# `python3", "import sys\n# `python3"),
        ("# An unknown command ends it.\ndef main", "def main"),
        ("    pass\n", "pass\n"),
    ] {
        assert!(accepts(&run, &text.replace(old, new)).is_err(), "{old:?} {new:?}");
    }
    let functions = vec![function("total", Some("rows"), &["It sums."])];
    let part = of("sum.mjs", Main::Never, Skeleton { functions, ..Skeleton::default() });
    let text = "@@ write sum.mjs\n```javascript\n// It sums.\nexport function total(rows, from = 0) {\n  return 1;\n}\n```\n@@ end\n@@ done x";
    assert_eq!(accepts(&part, text), Ok(()));
    assert!(accepts(&part, &text.replace("export ", "")).is_err());
}

#[test]
fn main_hands_the_lines_of_the_task_over() {
    let value = Word::Value { of: "id".to_owned(), is_whole: true };
    let command = Command { word: "done".to_owned(), lines: vec![vec![value]], is_text: false };
    let done = Function {
        name: "do_done".to_owned(),
        takes: Some("id".to_owned()),
        command: Some(command),
        ..Function::default()
    };
    let skeleton = Skeleton { functions: vec![done], ..Skeleton::default() };
    let code =
        CodeFile { path: "a.py".to_owned(), begins: Vec::new(), main: Main::Last, skeleton: Some(skeleton) };
    let file = grammar(&GrammarOptions {
        each: vec![code.path.clone()],
        fenced: Some(Vec::new()),
        code: Some(code),
        ..GrammarOptions::default()
    });
    let text = "@@ write a.py\n```python\nimport sys\ndef do_done(id):\n    pass\n\n# A whole number as a number; what is none stays a text.\ndef as_number(word):\n    return int(word) if word.removeprefix(\"-\").isdecimal() else word\n\ndef main():\n    words = sys.argv[1:]\n    command = words[0] if words else \"\"\n    if command == \"done\" and len(words) == 2:\n        return do_done(id=as_number(words[1]))\n    return 2\n\nif __name__ == \"__main__\":\n    sys.exit(main())\n```\n@@ end\n@@ done x";
    assert_eq!(accepts(&file, text), Ok(()));
    for (old, new) in [("(id):", "(id, more):"), ("== 2", "== 3"), ("    return 2\n", "")] {
        assert!(accepts(&file, &text.replace(old, new)).is_err(), "{old:?} {new:?}");
    }
}

#[test]
fn a_file_of_tests_goes_on_from_its_head() {
    let given = GivenTests {
        head: "import x\n\n\nclass T:\n\n".to_owned(),
        said: vec!["R2: It is.".to_owned()],
        runs: false,
    };
    let tests = TestFile { path: "test_x.py".to_owned(), ids: vec!["R2".to_owned()], given: Some(given) };
    assert_eq!(tests.given(), "import x\n\n\nclass T:\n\n    # R2: It is.\n");
    let file = grammar(&GrammarOptions {
        each: vec![tests.path.clone()],
        fenced: Some(vec![tests]),
        ..GrammarOptions::default()
    });
    let test = |name: &str| format!("    def test_r2_{name}(self):\n        pass\n\n");
    let other = "    # The same with other values.\n";
    let all = [&test("first"), other, &test("second"), other, &test("third")].concat();
    let text = |tests: &str| {
        format!(
            "@@ write test_x.py\n```python\nimport x\n\n\nclass T:\n\n    # R2: It is.\n{tests}```\n@@ end\n@@ done x"
        )
    };
    assert_eq!(accepts(&file, &text(&all)), Ok(()));
    assert!(accepts(&file, &text(&test("only"))).is_err());
    for (old, new) in [("    # R2: It is.\n", ""), ("        pass\n", "    pass\n"), ("third", "x")] {
        assert!(accepts(&file, &text(&all).replace(old, new)).is_err(), "{old:?}");
    }
}

#[test]
fn tests_of_a_program_run_it_and_compare() {
    for (path, name, good, bad) in [
        (
            "test_x.py",
            "    # R2: It is.\n    def test_r2_list(self):\n",
            "        self.run_program(\"add tea\")\n        self.assertEqual(self.run_program(\"list\"), \"tea\")\n",
            "        self.run_program(\"add tea\")\n        print(1)\n",
        ),
        (
            "x.test.mjs",
            "// R2: It is.\ntest(\"R2: list\", () => {\n",
            "  run(\"add tea\");\n  assert.equal(run(\"list\"), \"tea\");\n  assert.deepEqual(JSON.parse(read(\"a.json\")), []);\n});\n",
            "  run(\"add tea\");\n});\n",
        ),
    ] {
        let given = GivenTests { head: "head\n".to_owned(), said: vec!["R2: It is.".to_owned()], runs: true };
        let tests = TestFile { path: path.to_owned(), ids: vec!["R2".to_owned()], given: Some(given) };
        let file = grammar(&GrammarOptions {
            each: vec![path.to_owned()],
            fenced: Some(vec![tests]),
            ..GrammarOptions::default()
        });
        let language = fence_of(path).unwrap();
        let other = name.replace("R2: It is.", ANOTHER);
        let text = |body: &str| {
            format!(
                "@@ write {path}\n```{language}\nhead\n{name}{good}\n{other}{good}\n{other}{body}```\n@@ end\n@@ done x"
            )
        };
        assert_eq!(accepts(&file, &text(good)), Ok(()));
        assert!(accepts(&file, &text(bad)).is_err());
    }
}
