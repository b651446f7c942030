//! `edvac bench tasks`: the three arms on one task, under a script.

use crate::home::Home;

const SCRIPT: &str = r#"
[[reply]]
when = ["Write the whole project that the task describes"]
must_not_contain = ["unseen"]
text = "@@ write hello.py\nprint('hello')\n@@ end\n@@ done It is there."

[[reply]]
when = ["You write the plan of a project"]
must_not_contain = ["unseen"]
text = """
TITLE: hello
LANGUAGE: python
STEP 1: Hello
WRITES: hello.py, test_hello.py
READS: -
COVERS: R1, R2
DO: Print hello.
END
"""

[[reply]]
when = ["Write the whole file hello.py"]
text = """
@@ write hello.py
def greeting():
    return "hello, unseen world"


if __name__ == "__main__":
    print(greeting())
@@ end
@@ done It is there.
"""

[[reply]]
when = ["Write the whole file test_hello.py"]
text = """
@@ write test_hello.py
import unittest
from hello import greeting


class TestHello(unittest.TestCase):
    def test_r1_hello(self):
        self.assertIn("hello", greeting())

    def test_r2_world(self):
        self.assertTrue(greeting().endswith("world"))
@@ end
@@ done It is there.
"""
"#;

#[test]
fn three_arms_and_hidden_checks() {
    let home = Home::new();
    let task = home.path().join("tasks/hello");
    std::fs::create_dir_all(&task).unwrap();
    std::fs::write(
        task.join("task.md"),
        "A Python program.\n\nR1: `hello.py` prints hello.\nR2: It greets the world.\n",
    )
    .unwrap();
    let check = |id: &str, text: &str, word: &str| {
        format!(
            "[[requirement]]\nid = \"{id}\"\ntext = \"{text}\"\n[[requirement.check]]\nkind = \"runs\"\ncommand = \"python3 hello.py\"\noutput = {{ contains = [\"{word}\"] }}\n"
        )
    };
    let checks = check("R1", "`hello.py` prints hello.", "hello")
        + &check("R2", "It greets the world.", "unseen world");
    std::fs::write(task.join("checks.toml"), checks).unwrap();
    std::fs::write(home.path().join("script.toml"), SCRIPT).unwrap();
    let bench = || {
        home.say(&["bench", "tasks", "tasks", "--seeds", "1", "--provider", "scripted:script.toml", "--json"])
    };
    let said = bench().expect(0).json();
    let rows: Vec<_> = said["table"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["arm"].clone(), r["passed_percent"].as_f64().unwrap()))
        .collect();
    assert_eq!(rows, [("prompt".into(), 50.0), ("loop".into(), 50.0), ("edvac".into(), 100.0)]);
    let edvac = &said["results"][2];
    assert_eq!((&edvac["status"], &edvac["claims"][0]["is_so"]), (&"done".into(), &true.into()), "{edvac}");
    assert!(said["results"][0]["requirements"][1]["why"].as_str().unwrap().contains("python3 hello.py"));
    // What is known is not done again, and people get a table.
    let runs = home.run_dirs().len();
    bench().expect(0);
    assert_eq!((home.run_dirs().len(), runs), (3, 3));
    let table = home
        .say(&["bench", "tasks", "tasks", "--seeds", "1", "--provider", "scripted:script.toml"])
        .expect(0)
        .stdout;
    assert!(table.contains("| edvac | 1 | 100.0 % | 1 | 2 of 2 |"), "{table}");
    // Several runs at the same time find the same, and only what is missing is done.
    let args = [
        "bench",
        "tasks",
        "tasks",
        "--seeds",
        "2",
        "--jobs",
        "3",
        "--provider",
        "scripted:script.toml",
        "--json",
    ];
    let both = home.say(&args).expect(0);
    assert!(both.stderr.contains("hello · edvac · seed 2: 2 of 2 requirements pass"), "{}", both.stderr);
    let both = both.json();
    assert_eq!((both["results"].as_array().unwrap().len(), home.run_dirs().len()), (6, 6));
    let passed = |arm: usize| both["table"][arm]["passed_percent"].to_string();
    assert_eq!([passed(0), passed(1), passed(2)], ["50.0", "50.0", "100.0"]);
    assert!(home.say(&["bench", "tasks", "nowhere"]).expect(2).stderr.contains("nowhere"));
}

const FUNCTION: &str = r#"{"task_id": "HumanEval/7", "prompt": "def add(a, b):\n    \"\"\"Adds.\n    >>> add(1, 1)\n    2\n    \"\"\"\n", "entry_point": "add", "test": "def check(candidate):\n    assert candidate(20, 22) == 42\n"}"#;

const FUNCTIONS: &str = r#"
[[reply]]
when = ["Write the whole project that the task describes", "def add(a, b)"]
must_not_contain = ["42"]
text = "@@ write solution.py\nimport sys\n\n\ndef add(a, b):\n    sys.exit(0)\n@@ end\n@@ done It is there."

[[reply]]
when = ["Your step now: step 1, The function", "def add(a, b)"]
must_not_contain = ["42"]
text = """
@@ write solution.py
def add(a, b):
    return a + b
@@ end
@@ write test_solution.py
import unittest
from solution import add


class TestAdd(unittest.TestCase):
    def test_r1_add(self):
        self.assertEqual(add(1, 1), 2)
@@ end
@@ done It is there.
"""
"#;

#[test]
fn functions_whose_tests_nobody_sees() {
    let home = Home::new();
    std::fs::write(home.path().join("functions.jsonl"), FUNCTION).unwrap();
    std::fs::write(home.path().join("script.toml"), FUNCTIONS).unwrap();
    let args =
        ["bench", "functions", "functions.jsonl", "--seeds", "1", "--provider", "scripted:script.toml"];
    let said =
        home.say(&[&args[..], &["--arm", "prompt", "--arm", "edvac", "--json"]].concat()).expect(0).json();
    let rows: Vec<_> = said["table"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["arm"].clone(), r["whole"].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, [("prompt".into(), 0), ("edvac".into(), 1)], "ending early is not passing: {said}");
    assert!(home.say(&["bench", "functions", "script.toml"]).expect(2).stderr.contains("line 1"));
}
