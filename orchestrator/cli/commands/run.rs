//! `run`, `plan`, `resume`, `cancel`.

use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::Arc;

use edvac_memory::program::{Program, exchange};
use edvac_orchestrator::config::Config;
use edvac_orchestrator::control::{RunState, StopReason};
use edvac_orchestrator::existing::Existing;
use edvac_orchestrator::guess::domain_of;
use edvac_orchestrator::notice::Notice;
use edvac_orchestrator::place::RunDir;
use edvac_orchestrator::report::{Report, sentence};
use edvac_orchestrator::run::{Machine, Order, RunHandle, Said, TASK_BYTES_MAX, cancel_idle};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;

use super::{
    EXIT_INTERRUPTED, SCHEMA_VERSION, desk, find, forecast, limit_flags, model_flags, models, revise, say,
    second_flags,
};
use crate::args::{OneRun, Plan, Resume, Run, SaidArgs, TaskArgs};
use crate::failure::{Failure, Outcome};
use crate::progress::{Progress, program_lines};
use crate::terminal::{for_stderr, out_as_is, red, tell};

pub async fn run(mut config: Config, args: Run) -> Outcome {
    let program = args.program.as_deref().map(read_program).transpose()?;
    let json = args.task.json.json;
    model_flags(&mut config.model, &args.task.model);
    second_flags(&mut config.second_model, &args.task.second);
    if args.dry {
        let order = order(&config, &args.task, program, false, args.said)?;
        let machine = Machine::new(config)?;
        let prepared = machine.prepare(order).await?;
        return Ok(forecast::show(&machine.forecast(&prepared).await, args.task.json));
    }
    let how = Begin { program, plan_only: false, said: args.said, open: args.open };
    let (state, _) = begin(&config, &args.task, how).await?;
    Ok(conclude(&state, json))
}

pub async fn plan(mut config: Config, args: Plan) -> Outcome {
    if let Some(command) = &args.program {
        return Box::pin(revise::program(&config, command)).await;
    }
    let json = args.task.json.json;
    if let Some(path) = args.out.as_deref().filter(|path| path.exists() && !args.force) {
        return Err(Failure::usage(
            format!("{} exists", path.display()),
            "Choose another file, or replace it with --force.",
        ));
    }
    if let Some(dir) =
        args.out.as_deref().and_then(Path::parent).filter(|d| !d.as_os_str().is_empty() && !d.is_dir())
    {
        return Err(Failure::usage(
            format!("{} is no directory", dir.display()),
            "Make it, or choose another file.",
        ));
    }
    model_flags(&mut config.model, &args.task.model);
    second_flags(&mut config.second_model, &args.task.second);
    let how = Begin { program: None, plan_only: true, said: SaidArgs::default(), open: false };
    let (state, run) = begin(&config, &args.task, how).await?;
    let Some(program) = state.program.as_ref().filter(|_| state.stopped == Some(StopReason::PlanOnly)) else {
        return Ok(conclude(&state, json));
    };
    let task = state.start.as_ref().map(|start| start.task.clone());
    let toml = exchange::to_toml(&Program { task, ..program.clone() })
        .map_err(|e| Failure::machine(e.to_string()))?;
    match &args.out {
        Some(path) => {
            std::fs::write(path, toml).map_err(|e| Failure::file(path, &e))?;
            tell!("{} is written. Edit it, then: edvac run --program {}", path.display(), path.display());
        }
        None if !json => {
            tell!("{}\n", program_lines(program));
            if let Some(forecast) = Machine::new(config)?.forecast_rest(&state).await {
                tell!("{}", forecast::lines(&forecast).join("\n"));
            }
            tell!("\nCarry it out: edvac resume {run}");
        }
        None => {}
    }
    Ok(0)
}

pub async fn resume(config: Config, args: Resume) -> Outcome {
    let (dir, _) = find(&config, &args.run)?;
    Box::pin(go_on(config, dir, args)).await
}

/// Takes a run up again.
pub async fn go_on(mut config: Config, dir: RunDir, args: Resume) -> Outcome {
    let mut machine = Machine::new(config.clone())?;
    machine.stop_after(stop_after());
    let SaidArgs { allow_install, unsafe_no_sandbox } = args.said;
    let paused = machine.find_paused(dir, Said { unsafe_no_sandbox, allow_install }).await?;
    // What the run was started with stays, unless a flag says otherwise.
    config.model = paused.reached();
    config.second_model = paused.second();
    model_flags(&mut config.model, &args.model);
    second_flags(&mut config.second_model, &args.second);
    let limits = limit_flags(paused.limits(), &args.limits);
    let says_cost = args.limits.max_cost.is_some();
    let terms =
        machine.terms(&paused, limits, config.model.clone(), config.second_model.clone(), says_cost)?;
    let models = models::open_all(&config).await?;
    let embedder = models::open_embedder(&config);
    let handle = Box::pin(machine.resume(paused, terms, models, embedder)).await?;
    let state = watch(handle, args.run.json.json).await?;
    Ok(conclude(&state, args.run.json.json))
}

pub async fn cancel(config: &Config, one: &OneRun) -> Outcome {
    let (dir, step) = find(config, one)?;
    if step.is_some() {
        return Err(Failure::usage(
            "a step cannot be cancelled by itself",
            format!("Give up the whole run: edvac cancel {}", dir.id),
        ));
    }
    let id = &dir.id;
    let (sentence, process) = match dir.writer() {
        Some(pid) if pid > 0 => {
            std::fs::write(dir.cancel_file(), "").map_err(|e| Failure::file(&dir.cancel_file(), &e))?;
            edvac_orchestrator::place::ask_to_end(pid).map_err(Failure::machine)?;
            (format!("run {id} was asked to end (process {pid})."), Some(pid))
        }
        _ => {
            cancel_idle(&dir).await?;
            (format!("run {id} is cancelled; its files and history stay."), None)
        }
    };
    Ok(say(one.json, &sentence, || {
        let standing = if process.is_some() { "asked" } else { "cancelled" };
        json!({ "run": id, "standing": standing, "process": process })
    }))
}

/// How a run begins.
struct Begin {
    program: Option<Program>,
    plan_only: bool,
    said: SaidArgs,
    /// Whether it is shown in the browser, too.
    open: bool,
}

async fn begin(config: &Config, task: &TaskArgs, how: Begin) -> Result<(RunState, String), Failure> {
    let order = order(config, task, how.program, how.plan_only, how.said)?;
    let mut machine = Machine::new(config.clone())?;
    machine.stop_after(stop_after());
    let prepared = machine.prepare(order).await?;
    for note in prepared.notes() {
        eprintln!("{note}");
    }
    let models = models::open_all(config).await?;
    let own = Arc::clone(&models.own);
    let handle = machine.start(prepared, models, models::open_embedder(config)).await?;
    let run = handle.dir.id.to_string();
    let beside = if how.open { Some(desk::beside(config, own, &run).await?) } else { None };
    let state = watch(handle, task.json.json).await?;
    if let Some(beside) = beside {
        beside.end().await;
    }
    Ok((state, run))
}

/// What is ordered.
fn order(
    config: &Config,
    task: &TaskArgs,
    mut program: Option<Program>,
    plan_only: bool,
    said: SaidArgs,
) -> Result<Order, Failure> {
    let planned_for = program.as_mut().map(|p| p.task.take().unwrap_or_else(|| p.title.clone()));
    let text = match (planned_for, task_text(task)?) {
        (Some(planned_for), text) if text.trim().is_empty() => planned_for,
        (_, text) => text,
    };
    if let (Some(program), Some(domain)) = (&program, &task.domain)
        && program.domain != *domain
    {
        return Err(Failure::usage(
            format!("the program was planned in {}, not in {domain}", program.domain),
            "Leave --domain out, or plan the task in that domain.",
        ));
    }
    let existing = task.existing.clone().map(|path| Existing { path, include_changes: task.include_changes });
    // Whatever the task speaks of, what is in a repository is most likely a program.
    let guessed = || if existing.is_some() { "codebase".to_owned() } else { domain_of(&text).to_owned() };
    let planned_in = || program.as_ref().map(|p| p.domain.clone());
    Ok(Order {
        domain: task.domain.clone().or_else(planned_in).unwrap_or_else(guessed),
        existing,
        task: text,
        name: task.name.clone(),
        plan_only,
        seed: task.seed,
        unsafe_no_sandbox: said.unsafe_no_sandbox,
        allow_install: said.allow_install,
        traceparent: edvac_telemetry::traceparent(),
        program,
        limits: limit_flags(config.limits.limits(), &task.limits),
    })
}

/// Shows a run until it ends; Ctrl-C once stops it after the effect in progress, twice at once.
pub async fn watch(mut handle: RunHandle, json: bool) -> Result<RunState, Failure> {
    let mut notices = handle.notices().watch();
    let mut progress = Progress::new();
    progress.line(&format!("run {} · {}", handle.dir.id, handle.workspace.display()));
    if let Ok(state) = handle.dir.state().await {
        progress.knows_run(&state);
    }
    let mut asked = 0;
    let broken = |e: std::io::Error| Failure::machine(format!("signals cannot be received: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let cancel_file = handle.dir.cancel_file();
    let id = handle.dir.id.clone();
    let mut ended = false;
    let mut state = None;
    while !ended {
        let signalled = tokio::select! {
            notice = notices.recv() => {
                match notice {
                    Ok(notice) => show(&mut progress, &notice, json),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => ended = true,
                }
                false
            }
            result = handle.join(), if state.is_none() => {
                state = Some(result);
                // What was said before the end is still shown.
                while let Ok(notice) = notices.try_recv() {
                    show(&mut progress, &notice, json);
                }
                ended = true;
                false
            }
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        };
        if signalled && cancel_file.exists() {
            handle.cancel();
            let _ = std::fs::remove_file(&cancel_file);
        } else if signalled {
            asked += 1;
            if asked > 1 {
                progress.finish();
                eprintln!("stopped. Nothing that was recorded is lost: edvac resume {id}");
                std::process::exit(EXIT_INTERRUPTED);
            }
            handle.stop();
            progress.line("finishing what is in progress, then stopping. Ctrl-C again stops at once; both can be resumed.");
        }
    }
    progress.finish();
    let state = match state {
        Some(result) => result?,
        None => handle.join().await?,
    };
    // `edvac cancel` came while it was stopping for another reason.
    if cancel_file.exists() && state.stopped.as_ref().is_some_and(StopReason::resumable) {
        let _ = std::fs::remove_file(&cancel_file);
        cancel_idle(&handle.dir).await?;
        return Ok(handle.dir.state().await?);
    }
    Ok(state)
}

fn show(progress: &mut Progress, notice: &Notice, json: bool) {
    progress.see(notice);
    if let (true, Notice::Recorded(record)) = (json, notice) {
        // A reader that went away must not end the run.
        let _ = writeln!(std::io::stdout(), "{}", json_line(record));
    }
}

/// One record as a line for scripts.
pub fn json_line(record: &edvac_memory::journal::Record) -> serde_json::Value {
    json!({
        "schema_version": SCHEMA_VERSION, "seq": record.seq, "time_ms": record.time_ms,
        "kind": record.kind, "key": record.key, "body": record.body,
    })
}

/// The last words: the report on stdout, how to go on where it stopped, and the exit code.
fn conclude(state: &RunState, json: bool) -> u8 {
    let Some(report) = Report::of(state) else { return crate::failure::EXIT_MACHINE };
    if json {
        let line = json!({ "schema_version": SCHEMA_VERSION, "report": report });
        let _ = writeln!(std::io::stdout(), "{line}");
    } else {
        out_as_is(&report.markdown());
    }
    if state.unsafe_no_sandbox {
        let _ =
            writeln!(std::io::stderr(), "{}", red(&format!("UNSAFE: {}", edvac_orchestrator::report::BARE)));
    }
    if let Some(why) = state.stopped.as_ref().filter(|_| state.ledger.is_none()) {
        let _ = writeln!(std::io::stderr(), "stopped: {}", for_stderr(&sentence(why)));
        if matches!(why, StopReason::Approval { .. }) {
            let run = &report.run;
            let _ = writeln!(
                std::io::stderr(),
                "  look: edvac diff {run}, edvac plan show {run}\n  then: edvac approve {run}, or edvac reject {run} --why TEXT; and edvac resume {run}"
            );
        }
    }
    if let Some(command) = &report.go_on {
        let _ = writeln!(std::io::stderr(), "  go on: {command}");
    }
    report.exit_code()
}

fn task_text(task: &TaskArgs) -> Result<String, Failure> {
    let too_long = |bytes: u64| {
        Failure::usage(
            format!("the task has {bytes} bytes; at most {TASK_BYTES_MAX} are allowed"),
            "Say what to build in a page or two; put material into files of its own.",
        )
    };
    match (&task.task, &task.task_file) {
        (Some(text), _) if text == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .take(TASK_BYTES_MAX as u64 + 1)
                .read_to_string(&mut text)
                .map_err(|e| Failure::usage(format!("the task on stdin: {e}"), ""))?;
            Ok(text)
        }
        (Some(text), _) => Ok(text.clone()),
        (None, Some(path)) => {
            let bytes = std::fs::metadata(path).map_err(|e| Failure::file(path, &e))?.len();
            if bytes > TASK_BYTES_MAX as u64 {
                return Err(too_long(bytes));
            }
            std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))
        }
        (None, None) => Ok(String::new()),
    }
}

fn read_program(path: &Path) -> Result<Program, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
    exchange::from_toml(&text)
        .map_err(|e| Failure::usage(format!("{}: {e}", path.display()), "`edvac plan --out` writes one."))
}

/// For crash tests alone: the process ends as if killed once this record is durable.
fn stop_after() -> Option<u64> {
    std::env::var("EDVAC_TEST_STOP_AFTER").ok()?.parse().ok()
}
