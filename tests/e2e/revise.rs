//! What a person does to a run besides letting it go on: undo, retry, fork, compare, plan edits, approvals.

use crate::cases::{arguments, folder};
use crate::home::{Home, git, tree};

/// A finished run of the case `todo-python`: two steps, each with its commit.
fn finished() -> Home {
    let home = Home::new();
    let args = arguments(&folder("todo-python"), "codebase");
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    home
}

fn commits(home: &Home) -> usize {
    git(&home.workspace(), &["log", "--format=%H"]).lines().count()
}

fn operations(home: &Home) -> Vec<serde_json::Value> {
    home.say(&["op", "log", "--json"]).expect(0).json()["operations"].as_array().unwrap().clone()
}

#[test]
fn a_step_is_taken_back_and_forward_and_done_again() {
    let home = finished();
    let whole = tree(&home.workspace());
    let spent = home.say(&["status", "--json"]).expect(0).json()["report"]["totals"]["calls"].as_u64();

    let said = home.say(&["undo", "--last"]).expect(0);
    assert!(
        said.stdout.contains("step 1 finished") && said.stdout.contains("1 of 2 steps"),
        "{}",
        said.stdout
    );
    assert_eq!(tree(&home.workspace()).into_keys().collect::<Vec<_>>(), ["test_todo.py", "todo.py"]);
    assert_eq!(commits(&home), 1);
    assert_eq!(git(&home.workspace(), &["status", "--porcelain"]), "");
    let status = home.say(&["status", "--json"]).expect(0).json();
    assert_eq!(status["report"]["status"], "stopped");
    assert_eq!(status["report"]["taken_back"]["calls"], 1, "what was paid stays paid");

    // Forward again, without a call: nothing was lost.
    let last = operations(&home).iter().rfind(|o| o["instruction"] == 2).unwrap()["seq"].to_string();
    home.say(&["op", "restore", &last]).expect(0);
    assert_eq!(tree(&home.workspace()), whole);
    assert_eq!(commits(&home), 2);

    // Back to the very beginning of the program, and done again.
    home.say(&["undo", "--last/1"]).expect(0);
    assert!(tree(&home.workspace()).is_empty());
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(tree(&home.workspace()), whole);
    assert_eq!((commits(&home), home.calls()), (2, (5, 5)), "two steps once more, no plan");
    let report = home.say(&["status", "--json"]).expect(0).json()["report"].clone();
    assert_eq!(report["totals"]["calls"].as_u64(), spent);
    assert_eq!(report["taken_back"]["calls"], 2);
    let in_force = operations(&home)
        .iter()
        .filter(|o| o["in_force"] == true && o["instruction"] != serde_json::Value::Null)
        .count();
    assert_eq!(in_force, 2);
    home.say(&["replay", "--last"]).expect(0);

    home.say(&["retry", "--last/2"]).expect(0);
    assert_eq!((commits(&home), home.calls()), (2, (6, 6)));
    assert_eq!(home.say(&["undo", "--last", "--count", "99"]).expect(2).stdout, "");
    assert!(home.say(&["op", "restore", "2"]).expect(2).stderr.contains("edvac op log"));
    assert!(home.say(&["retry", "--last"]).expect(2).stderr.contains("no step is named"));
}

#[test]
fn a_fork_goes_its_own_way() {
    let home = finished();
    let original = home.run_dirs()[0].file_name().unwrap().to_string_lossy().into_owned();
    let before = tree(&home.workspace());
    let workspace = home.workspace();
    let made = home
        .say(&["fork", &original, "--from", "2", "--paused", "--name", "other", "--json"])
        .expect(0)
        .json();
    let fork = made["run"].as_str().unwrap().to_owned();
    let other = home.path().join("workspaces/other");
    assert_eq!(tree(&other).len(), 2, "as it was before step 2");
    assert_eq!(git(&other, &["log", "--format=%H"]).lines().count(), 1);
    home.say(&["resume", &fork]).expect(0);
    assert_eq!(tree(&other), before);
    assert_eq!((tree(&workspace), git(&workspace, &["status", "--porcelain"])), (before, String::new()));

    let both = home.say(&["compare", &original, &fork, "--json"]).expect(0).json()["comparison"].clone();
    assert_eq!(both["files"].as_array().unwrap().len(), 0);
    assert_eq!(both["requirements"].as_array().unwrap().len(), 2);
    assert!(both["requirements"].as_array().unwrap().iter().all(|r| r["a"] == "met" && r["b"] == "met"));
    home.say(&["undo", &fork]).expect(0);
    let said = home.say(&["compare", &original, &fork, "--diff"]).expect(0);
    assert!(
        said.stdout.contains("listing.py  +0 -2") && said.stdout.contains("-def open_tasks"),
        "{}",
        said.stdout
    );
    home.say(&["replay", &fork]).expect(0);
    // The other name is taken; nothing of a fork that cannot be is left.
    assert!(home.say(&["fork", &original, "--name", "other"]).expect(2).stderr.contains("exists already"));
    assert_eq!(home.run_dirs().len(), 2);
}

#[test]
fn a_changed_program_runs_what_changed() {
    let home = finished();
    let program = home.say(&["plan", "show", "--last"]).expect(0).stdout;
    let edit = |text: &str| {
        std::fs::write(home.path().join("program.toml"), text).unwrap();
        home.say(&["plan", "edit", "--last", "--file", "program.toml", "--why", "sharper", "--json"])
    };
    assert!(edit(&program).expect(2).stderr.contains("is the same as before"));
    assert!(
        edit(&program.replace("covers = [\"R2\"]", "covers = []"))
            .expect(2)
            .stderr
            .contains("No step covers it")
    );
    assert!(edit("title = 3").expect(2).stderr.contains("not a program"));
    let changed = program
        .replace("It returns the tasks that are not done.", "It returns the tasks that are still open.");
    assert_eq!(edit(&changed).expect(0).json()["again"], serde_json::json!([2]));
    let diff = home.say(&["plan", "diff", "--last"]).expect(0).stdout;
    assert!(
        diff.contains("-- It returns the tasks that are not done.") && diff.contains("sharper"),
        "{diff}"
    );
    let line = home.say(&["runs", "--json"]).json()["runs"][0].clone();
    assert_eq!((&line["steps_settled"], &line["status"]), (&1.into(), &"stopped".into()));
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(home.calls(), (4, 4), "one step once more");
    home.say(&["replay", "--last"]).expect(0);
    // What step 1 writes is read by step 2.
    let said = edit(&changed.replace("with the task at its end", "with the task at the end")).expect(0);
    assert_eq!(said.json()["again"], serde_json::json!([1, 2]));
    home.say(&["undo", "--last"]).expect(0);
    assert_eq!(home.say(&["plan", "show", "--last"]).expect(0).stdout, changed);
}

const ASKS: &str = r#"
title = "notes"
task = "Two notes."
domain = "custom"

[[requirements]]
id = "R1"
text = "There are two notes."

[[instructions]]
id = 1
title = "First"
text = "Write the first note."
covers = ["R1"]
writes = ["a.txt"]
[[instructions.checks]]
kind = "exists"
path = "a.txt"
covers = ["R1"]

[[instructions]]
id = 2
title = "Look"
[instructions.control]
kind = "approve"
question = "Is the first note good?"

[[instructions]]
id = 3
title = "Second"
text = "Write the second note."
writes = ["b.txt"]
"#;

const NOTES: &str = r#"
[[reply]]
when = ["Write the first note."]
text = "@@ write a.txt\none\n@@ end\n@@ done It is there."

[[reply]]
when = ["Write the second note."]
text = "@@ write b.txt\ntwo\n@@ end\n@@ done It is there."

[[reply]]
when = ["You write the plan of a project", "the notes are too short"]
must_contain = ["R1: There are two notes.", "First (wrote a.txt)", "a.txt"]
text = """
TITLE: notes
REQUIREMENT R1: something else
STEP 1: Longer
WRITES: c.txt
READS: a.txt
COVERS: R1
DO: Write the third note.
END
"""

[[reply]]
when = ["Write the third note."]
must_contain = ["one"]
text = "@@ write c.txt\nthree\n@@ end\n@@ done It is there."
"#;

fn asking() -> Home {
    let home = Home::new();
    std::fs::write(home.path().join("program.toml"), ASKS).unwrap();
    std::fs::write(home.path().join("script.toml"), NOTES).unwrap();
    let said =
        home.say(&["run", "--program", "program.toml", "--provider", "scripted:script.toml"]).expect(3);
    assert!(said.stderr.contains("step 2 asks you: Is the first note good?"), "{}", said.stderr);
    assert!(said.stderr.contains("edvac approve"), "{}", said.stderr);
    assert_eq!(home.say(&["runs", "--json"]).json()["runs"][0]["status"], "waiting");
    home
}

#[test]
fn a_person_says_yes() {
    let home = asking();
    // Nobody answered: it asks again.
    home.say(&["resume", "--last"]).expect(3);
    home.say(&["approve", "--last"]).expect(0);
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(tree(&home.workspace()).into_keys().collect::<Vec<_>>(), ["a.txt", "b.txt"]);
    assert!(home.say(&["approve", "--last"]).expect(2).stderr.contains("asks nothing (done)"));
    home.say(&["replay", "--last"]).expect(0);
}

#[test]
fn a_person_says_no_and_the_rest_is_planned_again() {
    let home = asking();
    assert!(home.say(&["reject", "--last", "--why", " "]).expect(2).stderr.contains("a no needs a reason"));
    home.say(&["reject", "--last", "--why", "the notes are too short"]).expect(0);
    // Planned again, carried out, and asked again.
    let said = home.say(&["resume", "--last"]).expect(3);
    assert!(said.stderr.contains("planned again in 1 turn(s)"), "{}", said.stderr);
    home.say(&["plan", "approve", "--last"]).expect(0);
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(tree(&home.workspace()).into_keys().collect::<Vec<_>>(), ["a.txt", "c.txt"]);
    let program = home.say(&["plan", "show", "--last"]).expect(0).stdout;
    assert!(program.contains("There are two notes.") && !program.contains("something else"), "{program}");
    home.say(&["replay", "--last"]).expect(0);
}

#[test]
fn a_run_that_nobody_carries_out_cannot_be_paused() {
    let home = finished();
    assert!(home.say(&["pause", "--last"]).expect(2).stderr.contains("is not going on"));
    assert!(home.say(&["undo", "--last/7"]).expect(2).stderr.contains("there is no step 7"));
}

#[test]
fn taking_back_twice_goes_two_steps_back() {
    let home = Home::new();
    let look = ASKS.find("[[instructions]]\nid = 2").unwrap();
    let second = ASKS.find("[[instructions]]\nid = 3").unwrap();
    std::fs::write(home.path().join("p.toml"), format!("{}{}", &ASKS[..look], &ASKS[second..])).unwrap();
    std::fs::write(home.path().join("s.toml"), NOTES).unwrap();
    home.say(&["run", "--program", "p.toml", "--provider", "scripted:s.toml"]).expect(0);
    assert!(home.say(&["undo", "--last/99"]).expect(2).stderr.contains("there is no step 99"));
    let settled = |said: &str| said.contains("(1 of 2 steps settled)");
    assert!(settled(&home.say(&["undo", "--last"]).expect(0).stdout));
    assert!(home.say(&["undo", "--last"]).expect(0).stdout.contains("(0 of 2 steps settled)"));
    home.say(&["resume", "--last"]).expect(0);
    // Nothing that was taken back is lost, and two at once are the same.
    assert!(
        home.say(&["undo", "--last", "--count", "2"]).expect(0).stdout.contains("(0 of 2 steps settled)")
    );
}
