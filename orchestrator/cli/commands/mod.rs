//! One file a command, or a few that belong together.

mod bench;
mod configure;
mod desk;
mod doctor;
mod export;
mod forecast;
mod inspect;
mod kv;
mod mcp;
mod memory;
mod models;
mod replay;
mod revise;
mod run;
mod serve;
mod watch;

use edvac_orchestrator::config::{self, Config, MINUTE_MS, ModelConfig};
use edvac_orchestrator::control::event::Limits;
use edvac_orchestrator::place::{RunDir, Runs};

use crate::args::{Cli, Command, Json, LimitArgs, ModelArgs, OneRun, SecondArgs};
use crate::failure::{Failure, Outcome};
use crate::terminal::tell;

/// Version of all JSON this binary prints.
pub const SCHEMA_VERSION: u32 = 1;
/// The exit code of a process that a second Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Performs what the command line says. Runs that it begins are told to a collector, where the environment names one.
pub async fn perform(cli: Cli) -> Outcome {
    let telemetry = edvac_telemetry::Telemetry::begin();
    let outcome = Box::pin(command(cli)).await;
    telemetry.end().await;
    outcome
}

async fn command(cli: Cli) -> Outcome {
    if let Command::Completions { shell } = cli.command {
        return Ok(configure::completions(shell));
    }
    if matches!(cli.command, Command::Man) {
        return configure::man();
    }
    if let Command::Init(init) = &cli.command {
        return configure::init(cli.config.as_deref(), init);
    }
    if let Command::Doctor(json) = cli.command {
        return doctor::doctor(cli.config.as_deref(), json.json).await;
    }
    let file = cli.config.as_deref();
    let config = config::load(file)?;
    match cli.command {
        Command::Run(args) => Box::pin(run::run(config, args)).await,
        Command::Plan(args) => Box::pin(run::plan(config, args)).await,
        Command::Resume(args) => Box::pin(run::resume(config, args)).await,
        Command::Replay(args) => replay::replay(&config, &args).await,
        Command::Pause(one) => revise::pause(&config, &one),
        Command::Approve(one) => revise::approve(&config, &one).await,
        Command::Reject(args) => revise::reject(&config, &args).await,
        Command::Undo(args) => revise::undo(&config, &args).await,
        Command::Op(op) => revise::op(&config, &op).await,
        Command::Retry(args) => Box::pin(revise::retry(config, args)).await,
        Command::Fork(args) => Box::pin(revise::fork(config, args)).await,
        Command::Compare(args) => revise::compare(&config, &args).await,
        Command::Cancel(one) => run::cancel(&config, &one).await,
        Command::Runs(json) => inspect::runs(&config, json.json).await,
        Command::Status(one) => inspect::status(&config, &one).await,
        Command::Show(one) => inspect::show(&config, &one).await,
        Command::Logs(one) => inspect::logs(&config, &one).await,
        Command::Diff(one) => inspect::diff(&config, &one).await,
        Command::Patch(one) => inspect::patch(&config, &one).await,
        Command::Export(args) => export::export(&config, &args).await,
        Command::Context(args) => inspect::context(&config, &args).await,
        Command::Models(models) => models::models(&config, models).await,
        Command::Kv(command) => kv::kv(&config, command).await,
        Command::Watch(one) => watch::watch(&config, &one).await,
        Command::Serve(args) => serve::serve(config, args).await,
        Command::Bench(command) => Box::pin(bench::bench(config, command)).await,
        Command::Mcp(args) => mcp::mcp(config, args).await,
        Command::Memory(memory) => memory::memory(&config, memory).await,
        Command::Config(json) => configure::show(file, json.json),
        Command::Init(_) | Command::Doctor(_) | Command::Completions { .. } | Command::Man => Ok(0),
    }
}

/// One result: a sentence for people, or an object for scripts.
fn say(form: Json, sentence: &str, object: impl FnOnce() -> serde_json::Value) -> u8 {
    if !form.json {
        tell!("{sentence}");
        return 0;
    }
    let mut object = object();
    object["schema_version"] = SCHEMA_VERSION.into();
    print_json(&object)
}

/// A value as pretty JSON on stdout.
fn print_json(value: &serde_json::Value) -> u8 {
    tell!("{value:#}");
    0
}

/// Flags over what else says which model is meant.
fn model_flags(model: &mut ModelConfig, flags: &ModelArgs) {
    let ModelArgs { model: name, base_url, provider } = flags;
    reach(model, name.as_deref(), base_url.as_deref(), provider.as_deref());
}

/// The same of the model that is asked besides.
fn second_flags(second: &mut Option<ModelConfig>, flags: &SecondArgs) {
    let SecondArgs { second_model: name, second_base_url: base_url, second_provider: provider } = flags;
    if name.is_some() || base_url.is_some() || provider.is_some() {
        let model = second.get_or_insert_default();
        reach(model, name.as_deref(), base_url.as_deref(), provider.as_deref());
    }
}

fn reach(model: &mut ModelConfig, name: Option<&str>, base_url: Option<&str>, provider: Option<&str>) {
    if let Some(name) = name {
        name.clone_into(&mut model.name);
    }
    if let Some(url) = base_url {
        url.clone_into(&mut model.base_url);
        "openai".clone_into(&mut model.provider);
    }
    if let Some(provider) = provider {
        provider.clone_into(&mut model.provider);
    }
}

/// Flags over the bounds that are in force otherwise; 0 lifts one that can be absent.
fn limit_flags(mut limits: Limits, flags: &LimitArgs) -> Limits {
    let limit = |flag: Option<u64>, otherwise| flag.map_or(otherwise, |n| (n > 0).then_some(n));
    let minutes_ms = flags.max_minutes.map(|minutes| minutes.saturating_mul(MINUTE_MS));
    limits.tokens_max = limit(flags.max_tokens, limits.tokens_max);
    limits.wall_ms_max = limit(minutes_ms, limits.wall_ms_max);
    limits.cost_micros_max = limit(flags.max_cost.map(|cost| cost.micros), limits.cost_micros_max);
    limits.calls_max = limit(flags.max_calls, limits.calls_max);
    limits.bytes_max = limit(flags.max_bytes, limits.bytes_max);
    limits.attempts_max = flags.attempts.unwrap_or(limits.attempts_max).max(1);
    limits.turns_max = flags.turns.unwrap_or(limits.turns_max).max(1);
    limits.replans_max = flags.replans.unwrap_or(limits.replans_max);
    limits.repairs_max = flags.repairs.unwrap_or(limits.repairs_max);
    limits.parallel = flags.parallel.unwrap_or(limits.parallel).max(1);
    limits
}

/// `--last/3`, which clap takes for a run's name.
fn is_last(text: &str) -> bool {
    text == "--last" || text.starts_with("--last/")
}

/// The run that is meant, and the step of it if one was named.
fn find(config: &Config, one: &OneRun) -> Result<(RunDir, Option<u32>), Failure> {
    let runs = Runs::below(&config.state_dir()?);
    if one.run.as_deref().is_some_and(|text| text.is_empty() || text.starts_with('/')) {
        return Err(Failure::usage("no run is named", "`edvac runs` lists them; --last is the youngest."));
    }
    if let Some(flag) = one.run.as_deref().filter(|text| text.starts_with('-') && !is_last(text)) {
        return Err(Failure::usage(
            format!("{flag} is no flag here"),
            "--help after the command's name lists those that are.",
        ));
    }
    let (run, step) = match one.run.as_deref().and_then(|text| text.split_once('/')) {
        Some((run, step)) => (Some(run), Some(step)),
        None => (one.run.as_deref(), None),
    };
    let step = match step {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Failure::usage(format!("{text:?} is no step"), "Write RUN/STEP, the step as its number.")
        })?),
    };
    // `edvac context --last 3` and `edvac context 3` with one meaning: step 3 of the youngest run.
    if one.last
        && step.is_none()
        && let Some(step) = run.and_then(|r| r.parse().ok())
    {
        return Ok((runs.last()?, Some(step)));
    }
    let dir = match run.filter(|r| *r != "last" && *r != "--last") {
        Some(run) => runs.find(run)?,
        None => runs.last()?,
    };
    Ok((dir, step))
}
