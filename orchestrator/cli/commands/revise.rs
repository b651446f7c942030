//! `pause`, `approve`, `reject`, `undo`, `op`, `retry`, `fork`, `compare`, and `plan show|edit|diff|approve`: what a person does
//! to a run besides letting it go on.

use std::process::Command;

use edvac_memory::ids::InstructionId;
use edvac_memory::program::{Program, exchange};
use edvac_orchestrator::compare::{self, Comparison, Side};
use edvac_orchestrator::config::Config;
use edvac_orchestrator::control::Event;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::fork;
use edvac_orchestrator::ledger::Standing;
use edvac_orchestrator::place::{RunDir, ask_to_end};
use edvac_orchestrator::report::duration;
use edvac_orchestrator::revise::{self, Operation, before_last, before_step, history, operations};
use edvac_orchestrator::run::{Machine, RunError};
use serde_json::json;
use similar::TextDiff;

use super::{SCHEMA_VERSION, find, forecast, print_json, run, say};
use crate::args::{
    Compare, DiffProgram, EditProgram, Fork, Json, OneRun, Op, ProgramCommand, Reject, Resume, Undo,
};
use crate::failure::{Failure, Outcome};
use crate::terminal::{out_as_is, tell};

/// Editors that are tried where the person named none.
const EDITOR_DEFAULT: &str = "vi";

pub fn pause(config: &Config, one: &OneRun) -> Outcome {
    let dir = whole_run(config, one)?;
    let id = &dir.id;
    let Some(pid) = dir.writer().filter(|pid| *pid > 0) else {
        return Err(Failure::usage(
            format!("run {id} is not going on"),
            format!("`edvac status {id}` shows how it stands."),
        ));
    };
    ask_to_end(pid).map_err(Failure::machine)?;
    let sentence = format!("run {id} stops when what is in progress has ended (process {pid}).");
    Ok(say(one.json, &sentence, || json!({ "run": id, "standing": "asked", "process": pid })))
}

pub async fn approve(config: &Config, one: &OneRun) -> Outcome {
    let dir = whole_run(config, one)?;
    answer(&dir, true, String::new(), one.json).await
}

pub async fn reject(config: &Config, args: &Reject) -> Outcome {
    let dir = whole_run(config, &args.run)?;
    if args.why.trim().is_empty() {
        return Err(Failure::usage(
            "a no needs a reason",
            "Say with --why what the planner should do otherwise.",
        ));
    }
    answer(&dir, false, args.why.trim().to_owned(), args.run.json).await
}

async fn answer(dir: &RunDir, approved: bool, reason: String, form: Json) -> Outcome {
    let step = revise::answer(dir, approved, reason).await?;
    let id = &dir.id;
    let word = if approved { "approved" } else { "rejected" };
    let sentence = format!("step {step} of run {id} is {word}. Go on: edvac resume {id}");
    Ok(say(form, &sentence, || json!({ "run": id, "step": step, "approved": approved })))
}

pub async fn undo(config: &Config, args: &Undo) -> Outcome {
    let (dir, step) = find(config, &args.run)?;
    let all = operations(&history(&dir).await?);
    let (to, why) = if let Some(step) = step {
        (begin_of(&dir, &all, step).await?, format!("taken back to where step {step} began"))
    } else {
        let to = before_last(&all, args.count as usize).ok_or_else(|| nothing_before(&dir))?;
        (to, format!("the last {} operation(s) taken back", args.count))
    };
    restored(&dir, to.seq, why, &to.what, args.run.json).await
}

pub async fn op(config: &Config, op: &Op) -> Outcome {
    match op {
        Op::Log(one) => {
            let dir = whole_run(config, one)?;
            let all = operations(&history(&dir).await?);
            if one.json.json {
                return Ok(print_json(&json!({ "schema_version": SCHEMA_VERSION, "operations": all })));
            }
            for Operation { seq, what, in_force, .. } in &all {
                tell!("{} {seq:>6}  {what}", if *in_force { "●" } else { "○" });
            }
            tell!(
                "\n● in force, ○ taken back. Take the run to any of them: edvac op restore POINT --run {}",
                dir.id
            );
            Ok(0)
        }
        Op::Restore { point, run, json } => {
            let one = OneRun { run: run.clone(), last: run.is_none(), json: *json };
            let dir = whole_run(config, &one)?;
            let all = operations(&history(&dir).await?);
            let what = all.iter().find(|o| o.seq == *point).map_or("", |o| o.what.as_str());
            restored(&dir, *point, format!("taken to point {point}"), what, *json).await
        }
    }
}

async fn restored(dir: &RunDir, to: u64, why: String, what: &str, form: Json) -> Outcome {
    let state = revise::restore(dir, to, why).await?;
    let id = &dir.id;
    let steps = state.program.as_ref().map_or(0, |p| p.instructions.len());
    let sentence = format!(
        "run {id} is as it was after: {what} ({} of {steps} steps settled).\n  go on: edvac resume {id}; other points: edvac op log {id}",
        state.settled.len()
    );
    Ok(say(form, &sentence, || json!({ "run": id, "point": to, "tree": state.tree, "commit": state.head })))
}

pub async fn retry(config: Config, args: Resume) -> Outcome {
    let (dir, step) = find(&config, &args.run)?;
    let Some(step) = step else {
        return Err(Failure::usage(
            "no step is named",
            format!("Name the step to begin again with: edvac retry {}/STEP", dir.id),
        ));
    };
    let all = operations(&history(&dir).await?);
    let to = begin_of(&dir, &all, step).await?.seq;
    revise::restore(&dir, to, format!("step {step} begins again")).await?;
    Box::pin(run::go_on(config, dir, args)).await
}

pub async fn fork(config: Config, args: Fork) -> Outcome {
    let (dir, step) = find(&config, &args.run)?;
    let all = operations(&history(&dir).await?);
    let at = match args.from.or(step) {
        Some(step) => begin_of(&dir, &all, step).await?,
        None => all.iter().rev().find(|o| o.in_force).ok_or_else(|| nothing_before(&dir))?,
    };
    let machine = Machine::new(config.clone())?;
    let made = fork::fork(&machine, &dir, at.seq, args.name.as_deref()).await?;
    let id = made.id.clone();
    if args.edit_prompt {
        let edit = EditProgram {
            run: OneRun { run: Some(id.to_string()), last: false, json: Json { json: false } },
            file: None,
            why: "changed by hand in a fork".to_owned(),
        };
        edit_program(&config, &edit).await?;
    }
    let sentence = format!("run {id} is a fork of {} as it was after: {}.", dir.id, at.what);
    if args.paused {
        let object = || json!({ "run": id, "forked_from": dir.id, "point": at.seq });
        return Ok(say(args.run.json, &format!("{sentence}\n  go on: edvac resume {id}"), object));
    }
    eprintln!("{sentence}");
    let Fork { run, said, model, second, limits, .. } = args;
    Box::pin(run::go_on(config, made, Resume { run, said, model, second, limits })).await
}

pub async fn compare(config: &Config, args: &Compare) -> Outcome {
    let named = |run: &str| OneRun { run: Some(run.to_owned()), last: false, json: args.json };
    let (a, b) = (whole_run(config, &named(&args.a))?, whole_run(config, &named(&args.b))?);
    let both = compare::compare(&a, &b).await?;
    if args.json.json {
        return Ok(print_json(&json!({ "schema_version": SCHEMA_VERSION, "comparison": both })));
    }
    tell!("{}", lines(&both, args.diff).join("\n"));
    Ok(0)
}

fn lines(both: &Comparison, diff: bool) -> Vec<String> {
    let Comparison { a, b, requirements, files } = both;
    let row = |name: &str, of: &dyn Fn(&Side) -> String| format!("{name:<18} {:<26} {}", of(a), of(b));
    let mut out = vec![
        row("", &|side| side.run.clone()),
        row("status", &|side| side.status.to_owned()),
        row("model", &|side| side.model.clone()),
        row("steps finished", &|side| format!("{} of {}", side.steps.0, side.steps.1)),
        row("model calls", &|side| side.totals.calls.to_string()),
        row("prompt tokens", &|side| side.totals.prompt_tokens.to_string()),
        row("of these reused", &|side| side.totals.reused_tokens.to_string()),
        row("written tokens", &|side| side.totals.completion_tokens.to_string()),
        row("money", &|side| side.account.as_ref().map_or(String::new(), |a| a.money.clone())),
        row("work", &|side| duration(side.totals.worked_ms)),
        String::new(),
    ];
    for requirement in requirements {
        let (a, b) = (mark(requirement.a), mark(requirement.b));
        out.push(format!("{a} {b} {}  {}", requirement.id, requirement.text));
    }
    out.push(String::new());
    if files.is_empty() {
        out.push("The files are the same.".to_owned());
    }
    for file in files {
        out.push(format!("{}  +{} -{}", file.path, file.added, file.removed));
    }
    if diff {
        out.extend(files.iter().map(|file| format!("\n{}", file.diff)));
    }
    out
}

fn mark(standing: Option<Standing>) -> &'static str {
    match standing {
        Some(Standing::Met) => "✓",
        Some(Standing::Unmet) => "✗",
        Some(Standing::NoEvidence) => "?",
        None => "·",
    }
}

pub async fn program(config: &Config, command: &ProgramCommand) -> Outcome {
    match command {
        ProgramCommand::Show(one) => {
            let dir = whole_run(config, one)?;
            let program = program_of(&dir).await?;
            let rest = Machine::new(config.clone())?.forecast_rest(&dir.state().await?).await;
            if one.json.json {
                return Ok(print_json(
                    &json!({ "schema_version": SCHEMA_VERSION, "program": program, "forecast": rest }),
                ));
            }
            out_as_is(&toml_of(&program)?);
            // Beside the program, which is a file's content.
            if let Some(rest) = rest.filter(|rest| rest.steps.high > 0) {
                eprintln!("{}", forecast::lines(&rest).join("\n"));
            }
            Ok(0)
        }
        ProgramCommand::Edit(args) => edit_program(config, args).await,
        ProgramCommand::Diff(args) => diff_program(config, args).await,
        ProgramCommand::Approve(one) => approve(config, one).await,
    }
}

async fn edit_program(config: &Config, args: &EditProgram) -> Outcome {
    let dir = whole_run(config, &args.run)?;
    let before = program_of(&dir).await?;
    let text = match &args.file {
        Some(file) => std::fs::read_to_string(file).map_err(|e| Failure::file(file, &e))?,
        None => edited(&toml_of(&before)?)?,
    };
    let program = exchange::from_toml(&text)
        .map_err(|e| Failure::usage(e.to_string(), "Mend it; the run is as it was."))?;
    let machine = Machine::new(config.clone())?;
    let domain = Domain::load(&before.domain, machine.templates()).map_err(RunError::from)?;
    let again = revise::amend(&dir, program, &domain, args.why.clone()).await?;
    let id = &dir.id;
    let steps = |ids: &std::collections::BTreeSet<InstructionId>| {
        ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let what = if again.is_empty() {
        "no step that has ended runs again".to_owned()
    } else {
        format!("of the steps that have ended, these run again: {}", steps(&again))
    };
    let sentence = format!("the program of run {id} is changed; {what}.\n  go on: edvac resume {id}");
    Ok(say(args.run.json, &sentence, || json!({ "run": id, "again": again })))
}

/// A text after a person had it in an editor.
fn edited(text: &str) -> Result<String, Failure> {
    let named = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.trim().is_empty()));
    let editor = named.unwrap_or_else(|| EDITOR_DEFAULT.to_owned());
    let file = tempfile::Builder::new()
        .prefix("program-")
        .suffix(".toml")
        .tempfile()
        .map_err(|e| Failure::machine(format!("making a file for the editor: {e}")))?;
    let io = |e: std::io::Error| Failure::file(file.path(), &e);
    std::fs::write(file.path(), text).map_err(io)?;
    // An editor may be given with options: "code --wait".
    let mut words = editor.split_whitespace();
    let status = Command::new(words.next().unwrap_or(EDITOR_DEFAULT)).args(words).arg(file.path()).status();
    match status {
        Ok(status) if status.success() => std::fs::read_to_string(file.path()).map_err(io),
        Ok(status) => Err(Failure::usage(format!("{editor} ended with {status}"), "Nothing was changed.")),
        Err(error) => Err(Failure::usage(
            format!("{editor} cannot be started: {error}"),
            "Name your editor in EDITOR, or give the program with --file.",
        )),
    }
}

async fn diff_program(config: &Config, args: &DiffProgram) -> Outcome {
    let dir = whole_run(config, &args.run)?;
    let mut versions: Vec<(u32, String, Program)> = Vec::new();
    for record in history(&dir).await? {
        if let Ok(
            Event::ProgramAdopted { program, version, why } | Event::Amended { program, version, why, .. },
        ) = serde_json::from_value(record.body)
        {
            // A version that was taken back and written again is the newer one.
            versions.retain(|(known, ..)| *known < version);
            versions.push((version, why, program));
        }
    }
    let last = versions.last().map(|(version, ..)| *version).ok_or_else(|| no_program(&dir))?;
    let to = args.to.unwrap_or(last);
    let from = args.from.unwrap_or(to.saturating_sub(1));
    let of = |wanted: u32| -> Result<(String, String), Failure> {
        if wanted == 0 {
            return Ok((String::new(), "nothing".to_owned()));
        }
        let found = versions.iter().find(|(version, ..)| *version == wanted);
        let (_, why, program) = found.ok_or_else(|| {
            Failure::usage(format!("there is no version {wanted}"), format!("There are 1 to {last}."))
        })?;
        Ok((toml_of(program)?, why.clone()))
    };
    let ((old, _), (new, why)) = (of(from)?, of(to)?);
    let diff = TextDiff::from_lines(&old, &new);
    let text =
        diff.unified_diff().header(&format!("version {from}"), &format!("version {to}: {why}")).to_string();
    Ok(say(args.run.json, text.trim_end(), || json!({ "from": from, "to": to, "why": why, "diff": text })))
}

async fn program_of(dir: &RunDir) -> Result<Program, Failure> {
    let state = dir.state().await?;
    let task = state.start.as_ref().map(|start| start.task.clone());
    let program = state.program.ok_or_else(|| no_program(dir))?;
    Ok(Program { task, ..program })
}

fn toml_of(program: &Program) -> Result<String, Failure> {
    exchange::to_toml(program).map_err(|e| Failure::machine(e.to_string()))
}

fn no_program(dir: &RunDir) -> Failure {
    RunError::NoProgram { run: dir.id.clone() }.into()
}

fn nothing_before(dir: &RunDir) -> Failure {
    Failure::usage(
        format!("there is nothing before that in run {}", dir.id),
        format!("`edvac op log {}` lists its points.", dir.id),
    )
}

async fn begin_of<'a>(dir: &RunDir, all: &'a [Operation], step: u32) -> Result<&'a Operation, Failure> {
    let state = dir.state().await?;
    if state.program.is_some() && state.instruction(InstructionId(step)).is_none() {
        return Err(Failure::usage(
            format!("there is no step {step} in run {}", dir.id),
            format!("`edvac show {}` lists its steps.", dir.id),
        ));
    }
    before_step(all, InstructionId(step)).ok_or_else(|| nothing_before(dir))
}

/// The run that is meant, where no step of it can be.
fn whole_run(config: &Config, one: &OneRun) -> Result<RunDir, Failure> {
    match find(config, one)? {
        (dir, None) => Ok(dir),
        (dir, Some(step)) => Err(Failure::usage(
            format!("step {step} by itself is not meant here"),
            format!("Name the whole run: {}", dir.id),
        )),
    }
}
