//! `bench`: edvac beside the same model without it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edvac_agents::client::ModelClient;
use edvac_orchestrator::bench::{self, Arm, Open, Row, Task};
use edvac_orchestrator::config::Config;
use edvac_orchestrator::control::RunState;
use edvac_orchestrator::control::event::{EXIT_LIMIT, Limits};
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::run::{Machine, ModelClients, Order, RunError, RunHandle};
use edvac_orchestrator::sandbox::{self, Refusal, Sandbox};
use futures::{StreamExt as _, stream};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{SCHEMA_VERSION, limit_flags, model_flags, models, print_json, run};
use crate::args::{Bench, BenchTasks};
use crate::failure::{Failure, Outcome};

pub async fn bench(config: Config, command: Bench) -> Outcome {
    match command {
        Bench::Tasks(args) => {
            let all = bench::read(&args.path).map_err(|e| {
                Failure::usage(e.to_string(), "tests/tasks/README.md says what a task looks like.")
            })?;
            measure(config, args, all).await
        }
        Bench::Functions(args) => {
            let all = bench::functions::read(&args.path).map_err(|e| {
                let fix =
                    "A line is an object with task_id, prompt, entry_point and test, as in HumanEval.jsonl.";
                Failure::usage(e.to_string(), fix)
            })?;
            measure(config, args, all).await
        }
    }
}

async fn measure(mut config: Config, args: BenchTasks, all: Vec<Task>) -> Outcome {
    let all = all.into_iter().take(args.first.unwrap_or(usize::MAX));
    let all: Vec<_> = all.filter(|t| args.only.is_empty() || args.only.contains(&t.name)).collect();
    let mut results = known(&args.out)?;
    model_flags(&mut config.model, &args.model);
    let machine = Machine::new(config.clone())?;
    let domain = Domain::load("codebase", machine.templates()).map_err(RunError::from)?;
    let opened = sandbox::open().await;
    let sandbox = opened.as_ref().map(AsRef::as_ref);
    if let Err(refusal) = &sandbox {
        return Err(RunError::NoSandbox((*refusal).clone()).into());
    }
    let client = models::open_client(&config).await?;
    let limits = limit_flags(config.limits.limits(), &args.limits);
    let bench = Running {
        machine: &machine,
        domain: &domain,
        sandbox,
        client: &client,
        config: &config,
        limits: &limits,
        is_alone: args.jobs == 1,
    };
    let open = bench::open(&all, &args.arms, args.seeds, &results);
    let mut running = stream::iter(open).map(|open| bench.run(open)).buffer_unordered(args.jobs.into());
    while let Some(result) = running.next().await {
        let result = result?;
        keep(&args.out, &result)?;
        results.push(result);
    }
    drop(running);
    let rows = bench::table(&results);
    if args.json.json {
        return Ok(print_json(
            &json!({ "schema_version": SCHEMA_VERSION, "table": rows, "results": results }),
        ));
    }
    println!("{}", lines(&rows).join("\n"));
    Ok(0)
}

/// What all runs of a measurement share.
struct Running<'a> {
    machine: &'a Machine,
    domain: &'a Domain,
    sandbox: Result<&'a dyn Sandbox, &'a Refusal>,
    client: &'a Arc<dyn ModelClient>,
    config: &'a Config,
    limits: &'a Limits,
    /// Whether one run goes on at a time, and all of it can be watched.
    is_alone: bool,
}

impl Running<'_> {
    async fn run(&self, Open { task, arm, seed }: Open<'_>) -> Result<bench::Result, Failure> {
        let name = format!("{} · {} · seed {seed}", task.name, arm.name());
        eprintln!("{name}");
        let order = bench::order(task, arm, seed, self.domain, self.limits);
        let workspace = free_name(&self.config.workspaces_dir(), task, arm, seed);
        let prepared = self
            .machine
            .prepare(Order { name: Some(workspace), traceparent: edvac_telemetry::traceparent(), ..order })
            .await?;
        let embedder = models::open_embedder(self.config);
        let handle = self
            .machine
            .start(prepared, ModelClients { own: Arc::clone(self.client), second: None }, embedder)
            .await?;
        let dir = handle.dir.clone();
        let state = if self.is_alone { run::watch(handle, false).await? } else { unwatched(handle).await? };
        if let Some(why) = state.stopped.as_ref().filter(|why| why.exit_code() != EXIT_LIMIT) {
            let what = format!("run {} stopped: {}", dir.id, edvac_orchestrator::report::sentence(why));
            let fix = "The same command goes on: what its file of results has is not done again.".to_owned();
            return Err(Failure { what, fix, code: why.exit_code() });
        }
        let judged = bench::judge(task, &dir, &state, self.domain, self.sandbox).await?;
        let passed = judged.iter().filter(|judged| judged.passed).count();
        eprintln!("{name}: {passed} of {} requirements pass their hidden checks", judged.len());
        Ok(bench::result(task, arm, seed, &state, judged))
    }
}

/// Waits for the end of one run of several. An interrupt, which all of them hear, lets each finish what is in progress.
async fn unwatched(mut handle: RunHandle) -> Result<RunState, Failure> {
    let mut interrupts =
        signal(SignalKind::interrupt()).map_err(|e| Failure::machine(format!("waiting for signals: {e}")))?;
    tokio::select! {
        state = handle.join() => return Ok(state?),
        _ = interrupts.recv() => handle.stop(),
    }
    Ok(handle.join().await?)
}

fn lines(rows: &[Row]) -> Vec<String> {
    let mut out = vec![
        "| arm | runs | requirements passed | all passed | said to be met, and is | tokens a run | s a run |"
            .to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for row in rows {
        let (so, met) = row.met_and_so;
        let claims = if met == 0 { "says nothing".to_owned() } else { format!("{so} of {met}") };
        out.push(format!(
            "| {} | {} | {:.1} % | {} | {claims} | {} | {:.0} |",
            row.arm, row.runs, row.passed_percent, row.whole, row.tokens, row.seconds
        ));
    }
    out
}

/// What earlier runs of the same command found: none of it is paid again.
fn known(out: &Path) -> Result<Vec<bench::Result>, Failure> {
    let text = match std::fs::read_to_string(out) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Failure::file(out, &e)),
    };
    let bad = |n: usize, e: &serde_json::Error| {
        Failure::usage(
            format!("{}, line {n}: {e}", out.display()),
            "Give a file that this command wrote, or one that does not exist.",
        )
    };
    text.lines().zip(1..).map(|(line, n)| serde_json::from_str(line).map_err(|e| bad(n, &e))).collect()
}

fn keep(out: &Path, result: &bench::Result) -> Result<(), Failure> {
    let line = serde_json::to_string(result).map_err(|e| Failure::machine(e.to_string()))?;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(out)
        .map_err(|e| Failure::file(out, &e))?;
    writeln!(file, "{line}").map_err(|e| Failure::file(out, &e))
}

/// A workspace's name that says what it is of; one that was broken off is left as it is.
fn free_name(root: &Path, task: &Task, arm: Arm, seed: u64) -> String {
    let base = format!("bench-{}-{}-{seed}", task.name, arm.name());
    let taken = |name: &String| -> bool { PathBuf::from(root).join(name).exists() };
    let names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}-{n}")));
    names.into_iter().find(|name| !taken(name)).unwrap_or(base)
}
