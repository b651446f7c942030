//! A second model, which is asked at a step where the first came to nothing.

use crate::home::{Home, git};

const PRICES: &str = "[prices.small]\nprompt_per_million = 1\ncompletion_per_million = 1\n\
                      [prices.large]\nprompt_per_million = 100\ncompletion_per_million = 100\n\
                      [prices.other]\nprompt_per_million = 1\ncompletion_per_million = 1\ncurrency = \"EUR\"\n";

fn doubling(model: &str, operator: &str) -> String {
    format!(
        r#"
model = "{model}"
[[reply]]
when = ["You write the plan of a project"]
text = """
TITLE: double
LANGUAGE: python
REQUIREMENT R1: It doubles a number.
STEP 1: Double
WRITES: double.py, test_double.py
READS: -
COVERS: R1
DO: Write `double(n)` and its tests.
END
"""

[[reply]]
when = ["Your step now: step 1,"]
text = """
@@ write double.py
def double(n):
    return n {operator} 2
@@ end
@@ write test_double.py
import unittest
from double import double


class TestDouble(unittest.TestCase):
    def test_r1_doubles(self):
        self.assertEqual(double(5), 10)
@@ end
@@ done It doubles.
"""

[[reply]]
when = ["You sum up what a worker did"]
text = """
FOUND: double.py has double(n).
FAILED: test_r1_doubles failed.
NEXT: Return n * 2.
"""
"#
    )
}

struct Project {
    home: Home,
    small: String,
    large: String,
}

impl Project {
    fn new() -> Self {
        let home = Home::new();
        std::fs::write(home.path().join("config.toml"), PRICES).unwrap();
        let script = |model: &str, operator| {
            let path = home.path().join(format!("{model}.toml"));
            std::fs::write(&path, doubling(model, operator)).unwrap();
            format!("scripted:{}", path.display())
        };
        let (small, large) = (script("small", "+"), script("large", "*"));
        Self { home, small, large }
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let run = ["run", "--domain", "codebase", "--provider", &self.small, "--model", "small"];
        let bounds = ["--attempts", "1", "--turns", "1", "--repairs", "0", "--replans", "0"];
        [&run[..], &bounds, more, &["A function that doubles"]].concat()
    }
}

#[test]
fn what_one_model_cannot_do_another_does() {
    let alone = Project::new();
    let said = alone.home.say(&alone.args(&[])).expect(1);
    assert!(said.stdout.contains("1. Double: UNFINISHED"), "{}", said.stdout);

    let both = Project::new();
    let second = ["--second-provider", &both.large, "--second-model", "large"];
    let said = both.home.say(&both.args(&second)).expect(0);
    assert!(said.stdout.contains("second model: large, 1 replies"), "{}", said.stdout);
    let account =
        both.home.say(&["status", "--last", "--json"]).expect(0).json()["report"]["account"].clone();
    assert_eq!(account["second"]["calls"], 1, "{account}");
    let by = git(&both.home.workspace(), &["log", "-1", "--format=%(trailers:key=Edvac-Model,valueonly)"]);
    assert_eq!(by.trim(), "large");
    // The same calls at two prices: the last one makes up nearly all of it.
    let (paid, used) = (&account["paid"]["micros"]["USD"], &account["used"]["cost_micros"]);
    assert!(paid == used && paid.as_u64().unwrap() > 10_000, "{account}");
    let said = both.home.say(&["replay", "--last"]).expect(0);
    assert!(!said.stdout.contains("differs"), "{}", said.stdout);
}

#[test]
fn a_run_can_have_it_from_a_resume_on_and_keeps_it() {
    let project = Project::new();
    project.home.say(&project.args(&["--max-calls", "1"])).expect(4);
    let more = ["resume", "--last", "--max-calls", "3", "--second-provider", &project.large];
    project.home.say(&more).expect(4);
    let said = project.home.say(&["resume", "--last", "--max-calls", "0"]).expect(0);
    assert!(said.stdout.contains(", 1 replies"), "{}", said.stdout);
}

#[test]
fn a_cost_limit_over_two_currencies_is_refused_before_anything_is_sent() {
    let project = Project::new();
    let second = ["--second-provider", &project.large, "--second-model", "other", "--max-cost", "5"];
    let said = project.home.say(&project.args(&second)).expect(2);
    assert!(said.stderr.contains("the model is priced in USD, other in EUR"), "{}", said.stderr);
    assert!(project.home.run_dirs().is_empty());
    let unpriced =
        ["--second-base-url", "http://127.0.0.1:9/v1", "--second-model", "nobody", "--max-cost", "5"];
    let said = project.home.say(&project.args(&unpriced)).expect(2);
    assert!(said.stderr.contains("the price of nobody is not known"), "{}", said.stderr);
}
