//! A run on a real model. `EDVAC_TEST_MODELS` names a directory with `smollm2-135m.gguf` and `all-minilm-l6-v2/`;
//! without them these tests fail.
//!
//! A model this small cannot plan, so it gets a program; under the grammar it can write a file. What is shown is that
//! everything between the command line and the tokens holds, not that the file is any good.

use crate::home::{Home, git};

pub const PROGRAM: &str = r#"
title = "notes"
domain = "custom"

[[requirements]]
id = "R1"
text = "There are notes on rivers."

[[requirements]]
id = "R2"
text = "There are notes on lakes."

[[instructions]]
id = 1
title = "Rivers"
text = "Write one line about rivers."
covers = ["R1"]
writes = ["rivers.md"]
attempts_max = 1
checks = [{ kind = "exists", path = "rivers.md", covers = ["R1"] }]

[[instructions]]
id = 2
title = "Lakes"
text = "Write one line about lakes."
covers = ["R2"]
reads = ["rivers.md"]
writes = ["lakes.md"]
attempts_max = 1
checks = [{ kind = "exists", path = "lakes.md", covers = ["R2"] }]
"#;

pub fn models() -> String {
    std::env::var("EDVAC_TEST_MODELS").expect("EDVAC_TEST_MODELS names the directory of test models")
}

#[test]
fn a_real_model_carries_out_a_program() {
    let home = Home::new();
    std::fs::write(home.path().join("program.toml"), PROGRAM).unwrap();
    std::fs::write(home.path().join("config.toml"), "[limits]\nreply_tokens_max = 200\nturns_max = 2\n")
        .unwrap();
    let args = ["run", "Notes", "--program", "program.toml", "--model", "smollm2-135m"];
    let said: crate::home::Said = home.edvac(&args).env("EDVAC_MODELS", models()).output().unwrap().into();
    assert!(matches!(said.code, Some(0 | 1)), "{}\n{}", said.stdout, said.stderr);
    let report = home.say(&["status", "--json"]).expect(0).json()["report"].clone();
    let met = report["ledger"]["entries"].as_array().unwrap().iter().all(|e| e["standing"] == "met");
    assert_eq!(met, said.code == Some(0), "the exit code says what the report says");
    assert_eq!(git(&home.workspace(), &["log", "--format=%s"]).lines().count(), 2);
    let totals = &report["totals"];
    assert!(totals["completion_tokens"].as_u64().unwrap() > 0, "{totals}");
    // The second step's prompt begins like the first one's: it is not computed again.
    assert!(totals["reused_tokens"].as_u64().unwrap() > 200, "{totals}");
}

#[test]
fn what_one_process_computed_the_next_restores() {
    let home = Home::new();
    std::fs::write(home.path().join("program.toml"), PROGRAM).unwrap();
    std::fs::write(home.path().join("config.toml"), "[limits]\nreply_tokens_max = 60\nturns_max = 1\n")
        .unwrap();
    let reused_keeping = |format: &str, name: &str| {
        let args = ["run", "Notes", "--program", "program.toml", "--model", "smollm2-135m", "--name", name];
        let mut edvac = home.edvac(&args);
        edvac.env("EDVAC_MODELS", models()).env("EDVAC_KV_FORMAT", format);
        let said: crate::home::Said = edvac.output().unwrap().into();
        assert!(matches!(said.code, Some(0 | 1)), "{}\n{}", said.stdout, said.stderr);
        let report = home.say(&["status", "--json"]).expect(0).json();
        report["report"]["totals"]["reused_tokens"].as_u64().unwrap()
    };
    let reused = |name: &str| reused_keeping("f16", name);
    let (first, second) = (reused("one"), reused("two"));
    assert!(second > first + 200, "{first} then {second}");
    let (first, second) = (reused_keeping("q8_0", "three"), reused_keeping("q8_0", "four"));
    assert!(second > first + 200, "kept otherwise, they are others: {first} then {second}");
    let listed = home.say(&["kv", "ls", "--json"]).expect(0).json();
    assert!(listed["snapshots"].as_array().unwrap().iter().any(|s| s["hits"].as_u64() > Some(0)), "{listed}");
    for format in ["f16", "q8_0"] {
        assert!(listed["snapshots"].as_array().unwrap().iter().any(|s| s["format"] == format), "{listed}");
    }
    let refused = home.edvac(&["kv", "ls"]).env("EDVAC_KV_FORMAT", "q4").output().unwrap();
    let refused = crate::home::Said::from(refused);
    assert!(
        refused.code == Some(2)
            && refused.stderr.contains("EDVAC_KV_FORMAT")
            && refused.stderr.contains("q8_0"),
        "{}",
        refused.stderr
    );
    assert_eq!(
        home.say(&["kv", "verify", "--json"]).expect(0).json()["damaged"].as_array().unwrap().len(),
        0
    );
    let file = listed["snapshots"][0]["path"].as_str().unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(file, bytes).unwrap();
    assert_eq!(
        home.say(&["kv", "verify", "--json"]).expect(1).json()["damaged"].as_array().unwrap().len(),
        1
    );
    assert!(home.say(&["kv", "flush"]).expect(0).stdout.contains("removed"));
    assert!(home.say(&["kv", "ls"]).expect(0).stdout.contains("no snapshots"));
}

#[test]
fn meaning_finds_what_words_do_not() {
    let home = Home::new();
    std::fs::write(
        home.path().join("script.toml"),
        r#"
[[reply]]
when = ["Write the files"]
text = """
@@ write a.md
# Vessels

The ship left the harbour at dawn.
@@ end
@@ write b.md
# Meals

Bread is baked at night.
@@ end
@@ done Both are there.
"""
"#,
    )
    .unwrap();
    let program = PROGRAM.split("[[instructions]]").next().unwrap().replace(
        "[[requirements]]\nid = \"R2\"\ntext = \"There are notes on lakes.\"\n",
        "[[instructions]]\nid = 1\ntitle = \"Files\"\ntext = \"Write the files.\"\ncovers = [\"R1\"]\nwrites = [\"a.md\", \"b.md\"]\nattempts_max = 1\nchecks = [{ kind = \"exists\", path = \"a.md\", covers = [\"R1\"] }]\n",
    );
    std::fs::write(home.path().join("program.toml"), program).unwrap();
    home.say(&["run", "Notes", "--program", "program.toml", "--provider", "scripted:script.toml"]).expect(0);
    let search = |with_models: bool| {
        let mut command =
            home.edvac(&["memory", "search", "a boat sails away from the port", "--json", "--hits", "1"]);
        if with_models {
            command.env("EDVAC_MODELS", models());
        }
        let said: crate::home::Said = command.output().unwrap().into();
        said.expect(0).json()["hits"][0]["path"].as_str().map(str::to_owned)
    };
    assert_eq!(search(true).as_deref(), Some("a.md"));
}
