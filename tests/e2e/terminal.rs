//! What a model wrote cannot do anything to the terminal that shows it.

use std::process::Command;

use crate::home::{Home, Said};

/// A program whose title, and a script whose file, would clear the screen and name the window.
const PROGRAM: &str = r#"
title = "notes \u001b[2J\u001b]0;owned\u0007"
domain = "custom"

[[requirements]]
id = "R1"
text = "There is a note."

[[instructions]]
id = 1
title = "One \u001b[8m"
text = "Write the note."
covers = ["R1"]
writes = ["a.txt"]
checks = [{ kind = "exists", path = "a.txt", covers = ["R1"] }]
"#;

const SCRIPT: &str = r#"
[[reply]]
when = ["Your step now: step 1,"]
text = "@@ write a.txt\nred \u001b[31m and \u001b]0;owned\u0007 and \u202eback\n@@ end\n@@ done It is there."
"#;

/// The command on a terminal of its own, which gives what it was sent.
const ON_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

fn on_a_terminal(home: &Home, args: &[&str]) -> Said {
    let edvac = home.edvac(args);
    let mut python = Command::new("python3");
    python.args(["-c", ON_A_TERMINAL]).arg(edvac.get_program()).args(edvac.get_args());
    python.current_dir(home.path()).env_remove("OPENAI_API_KEY");
    for (name, value) in edvac.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    python.output().unwrap().into()
}

#[test]
fn control_characters_are_seen_and_not_obeyed() {
    let home = Home::new();
    std::fs::write(home.path().join("p.toml"), PROGRAM).unwrap();
    std::fs::write(home.path().join("s.toml"), SCRIPT).unwrap();
    let run =
        on_a_terminal(&home, &["run", "--program", "p.toml", "--provider", "scripted:s.toml"]).expect(0);
    // Progress moves the cursor itself; a title of the window and hidden text are nobody's but the model's.
    assert!(!run.stdout.contains("\u{1b}]0;") && !run.stdout.contains("\u{1b}[8m"), "{:?}", run.stdout);
    for args in [
        &["diff", "--last"][..],
        &["show", "--last"],
        &["show", "--last/1"],
        &["status", "--last"],
        &["logs", "--last"],
        &["context", "--last/1", "--text"],
        &["runs"],
    ] {
        let said = on_a_terminal(&home, args).expect(0).stdout;
        assert!(
            !said.contains('\u{1b}') && !said.contains('\u{7}') && !said.contains('\u{202e}'),
            "{args:?}: {said:?}"
        );
    }
    let diff = on_a_terminal(&home, &["diff", "--last"]).expect(0).stdout;
    assert!(diff.contains("red ␛[31m and ␛]0;owned␇ and <U+202E>back"), "{diff:?}");
    // To a file or another program it goes as it is: a patch applies.
    let piped = home.say(&["diff", "--last"]).expect(0).stdout;
    assert!(piped.contains("red \u{1b}[31m and \u{1b}]0;owned\u{7} and \u{202e}back"), "{piped:?}");
}
