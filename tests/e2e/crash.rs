//! Processes that die. Whatever the moment: the run goes on, the files are the same, and no recorded call is made
//! again.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use edvac_memory::journal::EXIT_STOPPED_AFTER;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::cases::{arguments, folder};
use crate::home::{Home, git};

/// Steps of the long scripted run.
const STEPS: usize = 12;
/// Processes killed at random moments.
const KILLS: usize = 50;
/// The same for runs of several steps at once.
const KILLS_BESIDE: usize = 20;
/// Processes one run may need; far more than it does.
const PROCESSES_MAX: usize = 200;

/// What must be the same however often a run died.
#[derive(Debug, PartialEq)]
struct Outcome {
    tree: String,
    subjects: String,
    calls: usize,
}

fn outcome(home: &Home) -> Outcome {
    let workspace = home.workspace();
    assert_eq!(git(&workspace, &["status", "--porcelain"]), "");
    git(&workspace, &["fsck", "--full", "--strict"]);
    Outcome {
        tree: git(&workspace, &["rev-parse", "HEAD^{tree}"]),
        subjects: git(&workspace, &["log", "--format=%s%n%(trailers:key=Edvac-Attempt)"]),
        calls: home.calls().0,
    }
}

/// Stops a process of the run after each of its records in turn, resumes, and compares with the run that nothing
/// stopped.
fn dies_after_every_record(args: &[&str], code: i32, at_once: usize) {
    let whole = Home::new();
    whole.say(args).expect(code);
    let expected = outcome(&whole);
    let records = whole.records().len();
    for stop_after in 1..=records {
        let home = Home::new();
        let died = home.edvac(args).env("EDVAC_TEST_STOP_AFTER", stop_after.to_string()).output().unwrap();
        assert_eq!(died.status.code(), Some(EXIT_STOPPED_AFTER), "after record {stop_after}");
        if stop_after < records {
            home.say(&["resume", "--last"]).expect(code);
        }
        let found = outcome(&home);
        assert_eq!(found, expected, "died after record {stop_after} of {records}");
        let (recorded, begun) = home.calls();
        assert!(
            begun <= recorded + at_once,
            "at most calls in flight are begun again: {begun} for {recorded}"
        );
    }
}

#[test]
fn a_program_with_tests_dies_after_every_record() {
    let args = arguments(&folder("todo-python"), "codebase");
    dies_after_every_record(&args.iter().map(String::as_str).collect::<Vec<_>>(), 0, 1);
}

#[test]
fn several_steps_at_once_die_after_every_record() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script.toml");
    // Step 3 changes what step 2 changes, and is carried out once more when it is merged.
    let note = |text: &str| format!("@@ write notes.md\n{text}\n@@ end\n");
    let again = reply_of(3, "notes.md (1 lines", &note("Two. Three."));
    let both = [reply_of(2, "", &note("Two.")), again, reply_of(3, "", &note("Three."))].concat();
    std::fs::write(&script, both + &long_script(4)).unwrap();
    let provider = format!("scripted:{}", script.display());
    let args = ["run", "--domain", "custom", "--provider", &provider, "--parallel", "3", "Four files"];
    dies_after_every_record(&args, 0, 3);
}

#[test]
fn attempts_and_summaries_survive_every_death() {
    let folder = folder("unmet");
    let mut args = arguments(&folder, "codebase");
    args.extend(["--attempts", "2", "--turns", "1", "--repairs", "1", "--replans", "0"].map(str::to_owned));
    dies_after_every_record(&args.iter().map(String::as_str).collect::<Vec<_>>(), 1, 1);
}

/// A script for a project of `steps` files, one a step.
pub fn long_script(steps: usize) -> String {
    let mut plan = "TITLE: long\n".to_owned();
    for n in 1..=steps {
        plan += &format!("REQUIREMENT R{n}: There is a file part{n}.md.\n");
    }
    for n in 1..=steps {
        plan +=
            &format!("STEP {n}: Part {n}\nWRITES: part{n}.md\nREADS: -\nCOVERS: R{n}\nDO: Write part {n}.\n");
    }
    let mut script = reply(&["You write the plan of a project"], &(plan + "END\n"));
    for n in 1..=steps {
        script += &reply_of(n, "", "");
    }
    script
}

fn reply(when: &[&str], text: &str) -> String {
    format!("[[reply]]\nwhen = {when:?}\ntext = '''\n{text}'''\n\n")
}

/// What step `n` of the long script writes, and something `more`, where its prompt also has a text.
fn reply_of(n: usize, seen: &str, more: &str) -> String {
    let file = format!("@@ write part{n}.md\n# Part {n}\n\nThis is part {n} of the project.\n@@ end\n");
    let when = format!("Your step now: step {n},");
    reply(&[&when, seen], &format!("{file}{more}@@ done Part {n}.\n"))
}

/// Runs a process until it printed `lines` lines, then kills it. Whether it ended by itself before.
fn kill_after(home: &Home, args: &[&str], lines: usize) -> bool {
    let mut child = home.edvac(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen = out.by_ref().take(lines).flatten().count();
    if seen < lines {
        let code = child.wait().unwrap().code();
        // Killed after its last record, the process before this one left nothing to resume.
        let was_over = code == Some(2) && home.say(&["runs", "--json"]).json()["runs"][0]["status"] == "done";
        assert!(code == Some(0) || was_over, "{code:?}");
        return true;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

#[test]
fn fifty_kills_at_random_moments() {
    killed_at_random(KILLS, 1);
}

#[test]
fn kills_with_several_calls_in_flight() {
    killed_at_random(KILLS_BESIDE, 3);
}

fn killed_at_random(kills_max: usize, at_once: usize) {
    let script_dir = tempfile::tempdir().unwrap();
    let script = script_dir.path().join("script.toml");
    std::fs::write(&script, long_script(STEPS)).unwrap();
    let provider = format!("scripted:{}", script.display());
    let parallel = at_once.to_string();
    let start = [
        "run",
        "--json",
        "--domain",
        "custom",
        "--provider",
        &provider,
        "--parallel",
        &parallel,
        "Twelve files",
    ];
    let whole = Home::new();
    whole.say(&start).expect(0);
    let expected = outcome(&whole);
    assert_eq!(expected.calls, STEPS + 1);

    let mut random = StdRng::seed_from_u64(20_261_122);
    let mut kills = 0;
    while kills < kills_max {
        let home = Home::new();
        let mut killed_here = 0;
        for process in 0..PROCESSES_MAX {
            let resume = ["resume", "--last", "--json"];
            let args: &[&str] = if home.run_dirs().is_empty() { &start } else { &resume };
            assert!(process + 1 < PROCESSES_MAX, "the run does not end");
            if kills >= kills_max {
                let done = home.say(args);
                assert!(matches!(done.code, Some(0 | 2)), "{}", done.stderr);
                break;
            }
            // Records come in bursts between calls; a process that is resumed prints at least one line.
            if kill_after(&home, args, random.random_range(1..20)) {
                break;
            }
            kills += 1;
            killed_here += 1;
        }
        assert_eq!(outcome(&home), expected);
        let (recorded, begun) = home.calls();
        assert!(
            begun <= recorded + killed_here * at_once,
            "{begun} calls begun, {recorded} recorded, {killed_here} kills"
        );
    }
}
