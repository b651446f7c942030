//! Limits through the command line: what stops a run, the one command that goes on, processes that are killed in the middle of
//! calls, prices, and forecasts.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use crate::crash::long_script;
use crate::home::{Home, Said, tree};

/// Steps of the scripted run.
const STEPS: usize = 6;
/// Processes a run may need to its end, or to its limit; far more than it does.
const PROCESSES_MAX: usize = 30;
/// What the scripted model costs.
const PRICES: &str = "[prices.small]\nprompt_per_million = 1.5\ncompletion_per_million = 6\n\
                      [prices.large]\nprompt_per_million = 15\ncompletion_per_million = 60\ncurrency = \"EUR\"\n";

/// A home with a script of a few steps, each of which is right at once, and a price for its model.
struct Project {
    home: Home,
    provider: String,
}

impl Project {
    fn new() -> Self {
        let home = Home::new();
        std::fs::write(home.path().join("config.toml"), PRICES).unwrap();
        let script = home.path().join("script.toml");
        std::fs::write(&script, long_script(STEPS)).unwrap();
        Self { provider: format!("scripted:{}", script.display()), home }
    }

    fn args<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let run =
            ["run", "--domain", "custom", "--provider", &self.provider, "--model", "small", "Six files"];
        [&run[..], more].concat()
    }

    fn run(&self, more: &[&str]) -> Said {
        self.home.say(&self.args(more))
    }

    /// Lets every reply take so long.
    fn slow(&self, delay_ms: u64) {
        let script = format!("delay_ms = {delay_ms}\n{}", long_script(STEPS));
        std::fs::write(self.home.path().join("script.toml"), script).unwrap();
    }

    fn report(&self) -> Value {
        self.home.say(&["status", "--last", "--json"]).expect(0).json()["report"].clone()
    }

    fn account(&self) -> Value {
        self.report()["account"].clone()
    }
}

/// The arguments of the command by which a run says that it goes on.
fn go_on(said: &Said) -> Vec<String> {
    let line = said.stderr.lines().find_map(|line| line.trim().strip_prefix("go on: edvac "));
    line.unwrap_or_else(|| panic!("{}", said.stderr)).split(' ').map(str::to_owned).collect()
}

#[test]
fn every_limit_stops_and_the_command_that_it_names_goes_on() {
    let whole = Project::new();
    whole.run(&[]).expect(0);
    let expected = tree(&whole.home.workspace());
    let totals = whole.report()["totals"].clone();
    for (flag, limit, said_so) in [
        ("--max-tokens", "3500", "the token limit is reached"),
        ("--max-cost", "0.01", "the cost limit is reached"),
        ("--max-calls", "2", "the limit of model calls is reached"),
        ("--max-bytes", "100", "the limit of bytes is reached"),
    ] {
        let project = Project::new();
        let mut said = project.run(&[flag, limit]).expect(4);
        assert!(said.stderr.contains(said_so), "{}", said.stderr);
        assert_eq!(project.report()["status"], "stopped");
        assert!(project.report()["go_on"].as_str().unwrap().contains(flag));
        let mut raised = 0;
        while said.code == Some(4) {
            raised += 1;
            assert!(raised < PROCESSES_MAX, "{flag} is raised again and again");
            let command = go_on(&said);
            assert_eq!(command[2], flag, "{command:?}");
            said = project.home.say(&command.iter().map(String::as_str).collect::<Vec<_>>());
        }
        said.expect(0);
        assert_eq!(tree(&project.home.workspace()), expected, "{flag}: nothing is lost");
        assert_eq!(project.home.calls(), (STEPS + 1, STEPS + 1), "{flag}: and nothing is asked twice");
        assert_eq!(project.report()["totals"]["prompt_tokens"], totals["prompt_tokens"]);
        project.home.say(&["replay", "--last"]).expect(0);
    }
}

#[test]
fn a_limit_that_is_not_raised_stops_again_and_costs_nothing() {
    let project = Project::new();
    project.run(&["--max-calls", "3"]).expect(4);
    let standing = || {
        let account = project.account();
        (project.home.calls(), account["used"]["tokens"].clone(), account["paid"].clone())
    };
    let before = standing();
    assert_eq!(before.0, (3, 3));
    project.home.say(&["resume", "--last"]).expect(4);
    assert_eq!(standing(), before);
    project.home.say(&["resume", "--last", "--max-calls", "0"]).expect(0);
}

/// Runs a process until a call is in flight, and kills it. None where it ended by itself before.
fn kill_in_a_call(home: &Home, args: &[&str]) -> Option<()> {
    let mut child = home.edvac(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let in_a_call = lines.into_iter().any(|line| line.contains("\"effect\":\"call\""));
    child.kill().unwrap();
    child.wait().unwrap();
    in_a_call.then_some(())
}

#[test]
fn a_run_that_is_killed_in_every_call_still_comes_to_its_limit() {
    for (flag, limit) in [("--max-tokens", "15000"), ("--max-cost", "0.06"), ("--max-calls", "5")] {
        let project = Project::new();
        project.slow(600_000);
        let mut kills = 0;
        for process in 0.. {
            assert!(process < PROCESSES_MAX, "{flag}: it does not come to its limit");
            let start = project.args(&["--json", flag, limit]);
            let resume = vec!["resume", "--last", "--json"];
            let args = if project.home.run_dirs().is_empty() { start } else { resume };
            if kill_in_a_call(&project.home, &args).is_none() {
                break;
            }
            kills += 1;
        }
        let said = project.home.say(&["resume", "--last"]).expect(4);
        assert_eq!(project.home.calls(), (0, kills), "{flag}: nothing ever came back");
        let account = project.account();
        assert_eq!(account["unanswered"]["calls"], kills, "{account}");
        assert_eq!(account["used"]["calls"], kills);
        let number = |value: &Value| value.as_u64().unwrap();
        let Value::Object(limits) = &account["limits"] else { panic!("{account}") };
        for (used, max) in
            [("tokens", "tokens_max"), ("cost_micros", "cost_micros_max"), ("calls", "calls_max")]
        {
            let is_kept = limits
                .get(max)
                .and_then(Value::as_u64)
                .is_none_or(|max| number(&account["used"][used]) <= max);
            assert!(is_kept, "{flag}: {account}");
        }
        assert!(kills > 2, "{flag}: some were paid, {kills}");
        assert!(said.stdout.contains("were begun and never answered"), "{}", said.stdout);
        // The call that was never answered is made in the end.
        project.slow(0);
        let mut said = said;
        for _ in 0..PROCESSES_MAX {
            let command = go_on(&said);
            said = project.home.say(&command.iter().map(String::as_str).collect::<Vec<_>>());
            if said.code != Some(4) {
                break;
            }
        }
        said.expect(0);
        assert_eq!(project.home.calls().0, STEPS + 1);
    }
}

#[test]
fn a_limit_on_the_cost_needs_a_price_before_anything_is_sent() {
    let endpoint = TcpListener::bind("127.0.0.1:0").unwrap();
    endpoint.set_nonblocking(true).unwrap();
    let url = format!("http://{}/v1", endpoint.local_addr().unwrap());
    let project = Project::new();
    let refused = |said: Said| {
        let said = said.expect(2);
        assert!(said.stderr.contains("the price of nobody-knows-it is not known"), "{}", said.stderr);
        assert!(said.stderr.contains("[prices.\"nobody-knows-it\"]"), "{}", said.stderr);
        assert!(endpoint.accept().is_err(), "nothing was sent");
    };
    let model = ["--base-url", &url, "--model", "nobody-knows-it"];
    let run = ["run", "--domain", "custom", "Six files", "--max-cost", "2.50"];
    refused(project.home.say(&[&run[..], &model].concat()));
    refused(project.home.say(&[&run[..], &model, &["--dry-run"]].concat()));
    assert!(project.home.run_dirs().is_empty());
    project.run(&["--max-calls", "2", "--max-cost", "5"]).expect(4);
    refused(project.home.say(&[&["resume", "--last"][..], &model].concat()));
    // The limit was given in dollars; the other model is paid in euros.
    let said = project.home.say(&["resume", "--last", "--model", "large"]).expect(2);
    assert!(said.stderr.contains("is in USD, and large is priced in EUR"), "{}", said.stderr);
    project.home.say(&["resume", "--last", "--model", "large", "--max-cost", "5"]).expect(4);
}

#[test]
fn what_was_paid_does_not_change_with_the_price_table() {
    let project = Project::new();
    let said = project.run(&["--max-calls", "3"]).expect(4);
    let paid = project.account()["paid"].clone();
    let usd = paid["micros"]["USD"].as_u64().unwrap();
    let totals = project.report()["totals"].clone();
    let exact =
        totals["prompt_tokens"].as_u64().unwrap() * 3 + totals["completion_tokens"].as_u64().unwrap() * 12;
    assert!(
        (exact / 2..=exact / 2 + 3).contains(&usd),
        "each call is rounded up to a millionth: {usd}, {exact}"
    );
    assert!(said.stderr.contains(" USD"), "progress says what each reply cost: {}", said.stderr);
    assert!(said.stdout.contains("1.50 USD for a million prompt tokens"), "{}", said.stdout);
    std::fs::write(project.home.path().join("config.toml"), PRICES.replace("1.5", "1000")).unwrap();
    assert_eq!(project.account()["paid"], paid);

    // A copy on another model pays that one's price, and the first one stays as it is.
    let first = project.report()["run"].as_str().unwrap().to_owned();
    project.home.say(&["fork", &first, "--model", "large", "--max-calls", "4", "--name", "fork"]).expect(4);
    let runs = project.home.say(&["runs", "--json"]).expect(0).json();
    let account = |run: &str| {
        let all = runs["runs"].as_array().unwrap().iter();
        all.filter(|r| (r["run"] == first) == (run == first)).map(|r| r["account"].clone()).next().unwrap()
    };
    assert_eq!(account(&first)["paid"], paid);
    assert_eq!(account("fork")["paid"]["micros"]["USD"], usd, "what its past cost");
    assert!(account("fork")["paid"]["micros"]["EUR"].as_u64().unwrap() > 0);
    let fork = runs["runs"].as_array().unwrap().iter().find(|r| r["run"] != first.as_str()).unwrap();
    let said = project.home.say(&["compare", &first, fork["run"].as_str().unwrap()]).expect(0);
    assert!(said.stdout.contains("money") && said.stdout.contains(" EUR and "), "{}", said.stdout);

    // Goes on with today's price.
    project.home.say(&["resume", &first, "--max-calls", "4"]).expect(4);
    let status = project.home.say(&["status", &first, "--json"]).expect(0).json();
    assert!(status["report"]["account"]["paid"]["micros"]["USD"].as_u64().unwrap() > usd * 50, "{status}");
    let shown = project.home.say(&["show", &format!("{first}/1")]).expect(0);
    assert!(
        shown.stdout.contains("took 1 model call(s)") && shown.stdout.contains(" USD"),
        "{}",
        shown.stdout
    );
}

#[test]
fn money_that_nobody_asks_for_is_said_to_be_none() {
    let project = Project::new();
    let free = ["run", "--domain", "custom", "--provider", &project.provider, "Six files"];
    let said = project.home.say(&free).expect(0);
    assert!(said.stdout.contains("- money: free\n") && !said.stdout.contains("0.00"), "{}", said.stdout);
}

const TWO: &str = r#"
title = "two"
task = "Two files."
domain = "custom"

[[requirements]]
id = "R1"
text = "There is a.md."

[[requirements]]
id = "R2"
text = "There is b.md."

[[instructions]]
id = 1
title = "A"
text = "Write a.md."
covers = ["R1"]
writes = ["a.md"]
checks = [{ kind = "exists", path = "a.md", covers = ["R1"] }]

[[instructions]]
id = 2
title = "B"
text = "Write b.md."
covers = ["R2"]
writes = ["b.md"]
checks = [{ kind = "exists", path = "b.md", covers = ["R2"] }]
"#;

/// A model that writes the file of step 1 only if it `can`.
fn two_script(can: bool) -> String {
    let mut script = String::new();
    for turn in 0..6 {
        let path = if can { "a.md".to_owned() } else { format!("wrong{turn}.md") };
        script += &format!(
            "[[reply]]\nwhen = [\"Your step now: step 1,\"]\nturn = {turn}\n\
             text = '''\n@@ write {path}\n# A\n@@ end\n@@ done It is written.\n'''\n\n"
        );
    }
    script
        + "[[reply]]\nwhen = [\"Your step now: step 2,\"]\ntext = '''\n@@ write b.md\n# B\n@@ end\n@@ done B.\n'''\n"
}

#[test]
fn a_step_that_used_its_share_says_so_and_is_taken_up_again() {
    let home = Home::new();
    let script = home.path().join("script.toml");
    std::fs::write(home.path().join("two.toml"), TWO).unwrap();
    std::fs::write(&script, two_script(false)).unwrap();
    let provider = format!("scripted:{}", script.display());
    let args = ["run", "--program", "two.toml", "--provider", &provider, "--max-calls", "8"];
    let said = home.say(&args).expect(4);
    let cut = "1. A: UNFINISHED, because its share of the limit of calls was used up";
    assert!(said.stdout.contains(cut), "{}", said.stdout);
    assert!(said.stdout.contains("2. B: finished") && said.stdout.contains("1 of 2 requirements met"));
    let report = home.say(&["status", "--json"]).expect(0).json()["report"].clone();
    assert_eq!((&report["instructions"][0]["cut"], &report["status"]), (&"calls".into(), &"unmet".into()));
    assert!(home.say(&["show", "--last/1"]).expect(0).stdout.contains("share of the limit of calls"));

    let refused = home.say(&["resume", "--last"]).expect(2);
    assert!(refused.stderr.contains("used up their share") && refused.stderr.contains("--max-calls"));
    let other = home.say(&["resume", "--last", "--max-tokens", "99000"]).expect(2);
    assert!(other.stderr.contains("--max-calls"), "another limit does not help: {}", other.stderr);

    std::fs::write(&script, two_script(true)).unwrap();
    let command = go_on(&said);
    home.say(&command.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    let files = tree(&home.workspace());
    assert!(files.contains_key("a.md") && files.contains_key("b.md"), "{files:?}");
    assert_eq!(home.calls(), (6, 6), "four, the other step, and one more");
    home.say(&["replay", "--last"]).expect(0);
    home.say(&["resume", "--last", "--max-calls", "99"]).expect(2);
}

fn forecast(said: &Said) -> Value {
    said.json()["forecast"].clone()
}

fn range(value: &Value) -> (u64, u64, u64) {
    let of = |name: &str| value[name].as_u64().unwrap_or_else(|| panic!("{value}"));
    (of("low"), of("expected"), of("high"))
}

#[test]
fn a_dry_run_says_what_a_run_will_take_and_does_nothing() {
    let project = Project::new();
    std::fs::write(project.home.path().join("two.toml"), TWO).unwrap();
    // Nothing is known: there is no script, and no run has ended.
    let dry =
        ["run", "--program", "two.toml", "--dry-run", "--provider", "scripted:nowhere", "--model", "small"];
    let said = project.home.say(&dry).expect(0);
    assert!(said.stdout.contains("These are assumptions, not measurements"), "{}", said.stdout);
    assert!(said.stdout.contains("Nothing was sent") && said.stdout.contains("USD"), "{}", said.stdout);
    let unplanned = project.run(&["--dry-run"]).expect(0);
    assert!(unplanned.stdout.contains("There is no plan yet"), "{}", unplanned.stdout);
    let given = "# T\n\nFiles:\n- `a.py`: the function `a`\n- `b.py`: the function `b`\n\nR1: `a()` is 1.\nR2: `b()` is 2.\n";
    let settled = ["run", "--domain", "codebase", given, "--dry-run", "--json"];
    let settled = forecast(&project.home.say(&settled).expect(0));
    assert_eq!((&settled["is_planned"], &settled["tariff"]["kind"]), (&true.into(), &"free".into()));
    let small =
        project.home.say(&[&dry[..], &["--max-tokens", "100", "--max-calls", "1"]].concat()).expect(0);
    assert!(small.stdout.contains("! the token limit of 100 is less than"), "{}", small.stdout);
    assert!(small.stdout.contains("! the limit of calls of 1 is less than"), "{}", small.stdout);
    assert!(project.home.run_dirs().is_empty() && !project.home.path().join("workspaces").exists());
    // The task is its own plan: what was counted is what is then adopted, without a call.
    project.home.say(&["plan", "--domain", "codebase", given, "--provider", &project.provider]).expect(0);
    let program = project.home.say(&["plan", "show", "--json"]).expect(0).json()["program"].clone();
    let steps = program["instructions"].as_array().unwrap().len() as u64;
    assert_eq!(range(&settled["steps"]), (steps, steps, steps));
    assert_eq!(project.home.calls(), (0, 0));
}

#[test]
fn a_forecast_from_history_holds_what_the_run_then_takes() {
    let project = Project::new();
    project.run(&[]).expect(0);
    project.home.say(&["plan", "show", "--last"]).expect(0);
    let program = project.home.say(&["plan", "show", "--last"]).expect(0).stdout;
    std::fs::write(project.home.path().join("plan.toml"), program).unwrap();
    let again = [
        "run",
        "--program",
        "plan.toml",
        "--provider",
        &project.provider,
        "--model",
        "small",
        "--name",
        "again",
    ];
    let said = project.home.say(&[&again[..], &["--dry-run", "--json"]].concat()).expect(0);
    let forecast = forecast(&said);
    assert_eq!(forecast["basis"]["kind"], "history", "{forecast}");
    assert_eq!(forecast["basis"]["steps"], STEPS);
    project.home.say(&again).expect(0);
    let report = project.report();
    let (totals, account) = (&report["totals"], &report["account"]);
    let took: BTreeMap<&str, u64> = [
        ("calls", &totals["calls"]),
        ("prompt_tokens", &totals["prompt_tokens"]),
        ("completion_tokens", &totals["completion_tokens"]),
        ("cost_micros", &account["used"]["cost_micros"]),
    ]
    .map(|(name, value)| (name, value.as_u64().unwrap()))
    .into();
    for (name, took) in took {
        let (low, expected, high) = range(&forecast[name]);
        assert!(low <= expected && expected <= high, "{name}: {forecast}");
        assert!((low..=high).contains(&took), "{name} took {took}: {forecast}");
    }
}

#[test]
fn a_plan_comes_with_its_forecast() {
    let project = Project::new();
    let mut args = project.args(&[]);
    args[0] = "plan";
    let said = project.home.say(&args).expect(0);
    assert!(said.stdout.contains("at least") && said.stdout.contains("edvac resume"), "{}", said.stdout);
    let rest = project.home.say(&["plan", "show", "--json"]).expect(0).json()["forecast"].clone();
    assert_eq!(range(&rest["steps"]), (6, 6, 10), "at most four more where not all is met");
    project.home.say(&["resume", "--last", "--max-calls", "3"]).expect(4);
    let rest = project.home.say(&["plan", "show", "--json"]).expect(0).json()["forecast"].clone();
    assert_eq!(range(&rest["steps"]), (4, 4, 8), "what is left");
}
