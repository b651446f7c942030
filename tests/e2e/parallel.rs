//! Several steps at once, through the command line.

use crate::cases::{arguments, folder};
use crate::home::{Home, tree};

/// A finished run of the case `beside`.
fn finished(parallel: &str) -> Home {
    let home = Home::new();
    let args = arguments(&folder("beside"), "codebase");
    let args: Vec<_> = args.iter().map(String::as_str).chain(["--parallel", parallel]).collect();
    home.say(&args).expect(0);
    home
}

#[test]
fn steps_are_begun_before_others_have_ended() {
    let home = finished("3");
    let records = home.records();
    let place =
        |kind: &str, key: &str| records.iter().position(|r| r["kind"] == kind && r["key"] == key).unwrap();
    let first_result = place("result", "i1/a1/r0/assemble").min(place("result", "i2/a1/r0/assemble"));
    assert!(
        place("intent", "i2/a1/r0/assemble") < first_result
            && place("intent", "i3/a1/r0/assemble") < first_result
    );
    assert_eq!(records[0]["body"]["limits"]["parallel"], 3);
    let said = home.say(&["show", "--last/5"]).expect(0).stdout;
    assert!(said.contains("begins when step 4 and those before it have ended"), "{said}");
    let said = home.say(&["logs", "--last/4"]).expect(0).stdout;
    assert!(
        said.contains("step 4, once more: commit") && said.contains("step 3 had changed util.py, too"),
        "{said}"
    );
}

#[test]
fn one_at_a_time_is_as_it_was() {
    let (one, several) = (finished("1"), finished("2"));
    assert_eq!(tree(&one.workspace()), tree(&several.workspace()));
    assert_eq!(one.calls(), (5, 5), "nothing is done twice");
    let records = one.records();
    assert_eq!(records[0]["body"]["limits"]["parallel"], serde_json::Value::Null);
    assert!(records.iter().all(|r| r["body"]["instruction"].is_null() || r["body"]["event"] == "committed"));
}

#[test]
fn a_step_is_taken_back_and_done_again_as_before() {
    let home = finished("3");
    let whole = tree(&home.workspace());
    home.say(&["undo", "--last/3"]).expect(0);
    let left: Vec<_> = tree(&home.workspace()).into_keys().collect();
    assert_eq!(left, ["a.py", "b.py", "test_a.py", "test_b.py"]);
    home.say(&["resume", "--last"]).expect(0);
    assert_eq!(tree(&home.workspace()), whole);
    assert_eq!(home.calls(), (11, 11), "step 4 collides with step 3 again");
    home.say(&["replay", "--last"]).expect(0);
    home.say(&["retry", "--last/5"]).expect(0);
    assert_eq!((tree(&home.workspace()), home.calls()), (whole.clone(), (12, 12)));
    // A changed step, and what reads what it writes.
    let program = home.say(&["plan", "show", "--last"]).expect(0).stdout;
    std::fs::write(home.path().join("p.toml"), program.replace("title = \"A\"", "title = \"The A\""))
        .unwrap();
    home.say(&["plan", "edit", "--last", "--file", "p.toml"]).expect(0);
    home.say(&["resume", "--last", "--parallel", "2"]).expect(0);
    assert_eq!((tree(&home.workspace()), home.calls()), (whole, (14, 14)));
    home.say(&["replay", "--last"]).expect(0);
}

#[test]
fn a_fork_goes_on_beside() {
    let home = finished("3");
    let run = home.run_dirs()[0].file_name().unwrap().to_string_lossy().into_owned();
    home.say(&["fork", &run, "--from", "2", "--name", "other"]).expect(0);
    assert_eq!(
        tree(&home.path().join("workspaces/other")).get("util.py").map(String::as_str),
        Some("X = 3\nY = 4\n")
    );
}
