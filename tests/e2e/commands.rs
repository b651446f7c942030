//! The commands around a run: what they show is what happened.

use crate::cases::{arguments, folder};
use crate::home::{Home, git};

fn finished() -> Home {
    let home = Home::new();
    let args = arguments(&folder("todo-python"), "codebase");
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    home
}

#[test]
fn a_finished_run_can_be_looked_at() {
    let home = finished();
    let runs = home.say(&["runs", "--json"]).expect(0).json();
    assert_eq!(runs["runs"][0]["status"], "done");
    assert_eq!(runs["runs"][0]["steps_settled"], 2);
    let id = runs["runs"][0]["run"].as_str().unwrap().to_owned();
    assert!(home.say(&["runs"]).expect(0).stdout.contains(&id));

    let status = home.say(&["status", "--last"]).expect(0);
    assert!(status.stdout.contains("is done") && status.stdout.contains("2 of 2 requirements met"));
    let report = home.say(&["status", &id, "--json"]).expect(0).json();
    let entry = &report["report"]["ledger"]["entries"][0];
    assert_eq!(entry["standing"], "met");
    assert!(entry["evidence"][0]["what"].as_str().unwrap().contains("test_r1_added_at_the_end"));

    assert!(home.say(&["show", &id]).expect(0).stdout.contains("2. Listing → listing.py, test_listing.py"));
    let step = home.say(&["show", &format!("{id}/2")]).expect(0).stdout;
    assert!(step.contains("test_r2_only_open_ones") && step.contains("✓"), "{step}");

    let logs = home.say(&["logs", &id]).expect(0).stdout;
    assert!(logs.contains("program version 1 of 2 steps"), "{logs}");
    assert!(logs.contains("✓ the project's tests pass"), "{logs}");
    let diff = home.say(&["diff", &format!("{id}/2")]).expect(0).stdout;
    assert!(diff.contains("+def open_tasks(tasks):") && !diff.contains("+def add"), "{diff}");
    assert_eq!(home.say(&["diff", &format!("{id}/2"), "--json"]).expect(0).json()["diff"], diff);

    for command in ["show", "logs", "diff", "context"] {
        let said = home.say(&[command, &format!("{id}/99")]).expect(2);
        assert!(said.stderr.contains("steps 1 to 2"), "{command}: {}", said.stderr);
    }
    home.say(&["status", &format!("{id}/1")]).expect(2);

    let context = home.say(&["context", &format!("{id}/2"), "--text"]).expect(0).stdout;
    for text in ["system", "how a worker replies", "todo.py:1-2", "the step reads it", "def add(tasks, text)"]
    {
        assert!(context.contains(text), "no {text:?} in {context}");
    }
    let planner = home.say(&["context", "--last", "--json"]).expect(0).json();
    assert_eq!(planner["prompts"][0]["conversation"], "plan");

    let hits = home.say(&["memory", "search", "open tasks", "--json"]).expect(0).json();
    assert!(hits["hits"].as_array().unwrap().iter().any(|h| h["path"] == "listing.py"));
    assert!(home.run_dirs()[0].join("report.md").exists());
}

#[test]
fn a_plan_is_a_run_that_waits() {
    let home = Home::new();
    let mut args = arguments(&folder("todo-python"), "codebase");
    args[0] = "plan".to_owned();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let said = home.say(&args).expect(0);
    assert!(
        said.stdout.contains("plan todo: 2 requirements, 2 steps") && said.stdout.contains("edvac resume")
    );
    let said = home.say(&["resume", "--last"]).expect(0);
    assert!(said.stdout.contains("2 of 2 requirements met"), "{}", said.stdout);
    assert_eq!(home.calls().0, 3);
}

#[test]
fn a_program_can_be_written_out_edited_and_handed_in() {
    let home = Home::new();
    let folder = folder("todo-python");
    let mut args = arguments(&folder, "codebase");
    args[0] = "plan".to_owned();
    args.extend(["--out", "program.toml"].map(str::to_owned));
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    let program = std::fs::read_to_string(home.path().join("program.toml")).unwrap();
    assert!(program.contains("[[instructions]]"), "{program}");

    let fresh = Home::new();
    std::fs::write(fresh.path().join("program.toml"), &program).unwrap();
    // The file says for which task, and in which domain, it was planned.
    let mut args = arguments(&folder, "codebase");
    args.drain(1..3);
    args.truncate(3);
    args.extend(["--program", "program.toml"].map(str::to_owned));
    let said = fresh.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    assert!(said.stderr.contains("step 2/2 Listing: finished"), "{}", said.stderr);
    assert_eq!(fresh.calls().0, 2, "nothing was planned");
    let task = std::fs::read_to_string(folder.join("task.md")).unwrap();
    assert_eq!(fresh.say(&["runs", "--json"]).json()["runs"][0]["task"], task);

    std::fs::write(
        fresh.path().join("program.toml"),
        program.replace("covers = [\"R2\"]", "covers = [\"R9\"]"),
    )
    .unwrap();
    let hand_in = |args: &[&str]| {
        let run = ["run", "--program", "program.toml", "--provider", "scripted:nowhere"];
        fresh.say(&[&run, args].concat()).expect(2)
    };
    let said = hand_in(&[]);
    assert!(said.stderr.contains("R9, which is not a requirement"), "{}", said.stderr);
    std::fs::write(fresh.path().join("program.toml"), program.replace("\"python\"", "\"cobol\"")).unwrap();
    let said = hand_in(&[]);
    assert!(said.stderr.contains("Use python, javascript"), "{}", said.stderr);
    let said = hand_in(&["--domain", "book"]);
    assert!(said.stderr.contains("planned in codebase"), "{}", said.stderr);
}

#[test]
fn json_is_one_record_a_line_and_ends_with_the_report() {
    let home = Home::new();
    let mut args = arguments(&folder("todo-python"), "codebase");
    args.push("--json".to_owned());
    let said = home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    let lines: Vec<serde_json::Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|l| l["schema_version"] == 1));
    let seqs: Vec<_> = lines.iter().filter_map(|l| l["seq"].as_u64()).collect();
    // What happened before anybody could watch is in the journal only.
    assert!(seqs.windows(2).all(|w| w[0] + 1 == w[1]), "{seqs:?}");
    assert_eq!(lines.last().unwrap()["report"]["status"], "done");
}

#[test]
fn a_cancelled_run_stays_cancelled() {
    let home = Home::new();
    let mut args = arguments(&folder("todo-python"), "codebase");
    args[0] = "plan".to_owned();
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    let said = home.say(&["cancel", "--last/1"]).expect(2);
    assert!(said.stderr.contains("a step cannot be cancelled by itself"), "{}", said.stderr);
    assert_eq!(home.say(&["cancel", "--last", "--json"]).expect(0).json()["standing"], "cancelled");
    assert_eq!(home.say(&["runs", "--json"]).json()["runs"][0]["status"], "cancelled");
    let said = home.say(&["resume", "--last"]).expect(2);
    assert!(said.stderr.contains("is over (cancelled)"), "{}", said.stderr);
}

#[test]
fn a_token_limit_stops_before_it_is_passed_and_can_be_raised() {
    let home = Home::new();
    let mut args = arguments(&folder("todo-python"), "codebase");
    args.extend(["--max-tokens", "6000"].map(str::to_owned));
    let said = home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(4);
    assert!(said.stderr.contains("the token limit is reached"), "{}", said.stderr);
    let totals = home.say(&["runs", "--json"]).json()["runs"][0]["totals"].clone();
    let used = totals["prompt_tokens"].as_u64().unwrap() + totals["completion_tokens"].as_u64().unwrap();
    assert!(used <= 6000, "{totals}");
    home.say(&["resume", "--last", "--max-tokens", "0"]).expect(0);
}

#[test]
fn first_steps() {
    let home = Home::new();
    assert!(home.say(&[]).expect(2).stderr.contains("edvac run"));
    home.say(&["init"]).expect(0);
    assert!(home.path().join("config.toml").exists());
    assert!(home.say(&["init"]).expect(0).stderr.contains("is there already"));
    let config = home.say(&["config", "--json"]).expect(0).json();
    assert!(config["values"].as_array().unwrap().iter().any(|v| v["key"] == "model.name"));
    assert!(home.say(&["runs"]).expect(0).stdout.contains("no runs yet"));
    assert!(home.say(&["completions", "bash"]).expect(0).stdout.contains("_edvac"));
    assert!(home.say(&["man"]).expect(0).stdout.contains(".TH"));
    let doctor = home.say(&["doctor", "--json"]);
    let checks = doctor.json();
    let sandbox = checks["checks"].as_array().unwrap().iter().find(|c| c["name"] == "sandbox").unwrap();
    assert_eq!(sandbox["standing"], "ok", "{sandbox}");
}

#[test]
fn a_book_is_planned_where_the_task_speaks_of_one() {
    let home = finished();
    assert_eq!(git(&home.workspace(), &["log", "-1", "--format=%s"]).trim(), "Listing");
}
