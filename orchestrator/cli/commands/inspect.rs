//! `runs`, `status`, `show`, `logs`, `diff`, `context`: views of the journal.

use std::io::Write as _;

use edvac_memory::context::Fitted;
use edvac_memory::ids::InstructionId;
use edvac_memory::journal::RecordKind;
use edvac_memory::store::{FileStore, GitStore};
use edvac_memory::verdict::CheckReport;
use edvac_orchestrator::account::Account;
use edvac_orchestrator::config::Config;
use edvac_orchestrator::control::{Event, Purpose, RunState};
use edvac_orchestrator::forecast::history::Parts;
use edvac_orchestrator::place::Runs;
use edvac_orchestrator::price::paid;
use edvac_orchestrator::report::{Report, duration, packages_line};
use edvac_orchestrator::revise::history;
use edvac_orchestrator::story::{checks_of, effect, in_words, list, standing, talk, verdict_line, word_of};
use serde_json::{Value, json};

use super::{SCHEMA_VERSION, find, print_json, run::json_line};
use crate::args::{Context, OneRun};
use crate::failure::{Failure, Outcome};
use crate::progress::program_lines;
use crate::terminal::{out_as_is, tell};

pub async fn runs(config: &Config, json: bool) -> Outcome {
    let mut lines = Vec::new();
    for dir in Runs::below(&config.state_dir()?).all() {
        let alive = dir.writer().is_some();
        lines.push(match dir.state().await {
            Ok(state) => run_line(dir.id.as_str(), &state, alive),
            Err(error) => json!({ "run": dir.id, "status": "unreadable", "task": error.to_string() }),
        });
    }
    if json {
        return Ok(print_json(&json!({ "schema_version": SCHEMA_VERSION, "runs": lines })));
    }
    if lines.is_empty() {
        tell!("no runs yet. Start one: edvac run \"A todo app for the command line in Python\"");
    }
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let steps = format!("{}/{}", line["steps_settled"], line["steps"]);
        let task: String = text("task").lines().next().unwrap_or_default().chars().take(60).collect();
        tell!("{}  {:<10}  {:>7}  {}", text("run"), text("status"), steps, task);
    }
    Ok(0)
}

fn run_line(id: &str, state: &RunState, alive: bool) -> Value {
    let status = standing(state.status(), alive);
    json!({
        "run": id,
        "status": status,
        "task": state.start.as_ref().map(|s| s.task.as_str()),
        "domain": state.start.as_ref().map(|s| s.domain.as_str()),
        "workspace": state.start.as_ref().map(|s| s.workspace.as_str()),
        "steps": state.program.as_ref().map_or(0, |p| p.instructions.len()),
        "steps_settled": state.settled.len(),
        "started_ms": state.start.as_ref().map(|s| s.time_ms),
        "totals": state.totals,
        "account": Account::of(state),
    })
}

pub async fn status(config: &Config, one: &OneRun) -> Outcome {
    let (dir, step) = find(config, one)?;
    let state = dir.state().await?;
    if let Some(step) = step {
        return Err(Failure::usage(
            "a step has no status of its own",
            format!("`edvac show {}/{step}` shows the step.", dir.id),
        ));
    }
    let Some(mut report) = Report::of(&state) else {
        return Err(Failure::usage(
            format!("run {} never started", dir.id),
            "Start it again with `edvac run`.",
        ));
    };
    let writer = dir.writer();
    report.status = standing(report.status, writer.is_some());
    if one.json.json {
        return Ok(print_json(&json!({ "schema_version": SCHEMA_VERSION, "report": report })));
    }
    let running = match writer {
        Some(pid) => format!("is running in process {pid}"),
        None if report.status == "died" => {
            format!("died or was stopped at once; go on with `edvac resume {}`", dir.id)
        }
        None => format!("is {}", report.status),
    };
    tell!("run {} {running}\n\n{}", dir.id, report.markdown());
    Ok(0)
}

pub async fn show(config: &Config, one: &OneRun) -> Outcome {
    let (dir, step) = find(config, one)?;
    let state = dir.state().await?;
    let Some(program) = &state.program else {
        return Err(Failure::usage(
            format!("run {} has no program yet", dir.id),
            "`edvac logs` shows how far it is.",
        ));
    };
    let Some(step) = step else {
        if one.json.json {
            return Ok(print_json(&json!({
                "schema_version": SCHEMA_VERSION, "program": program,
                "install_was_allowed": state.install_was_allowed, "installed": state.installed(),
                "account": Account::of(&state),
            })));
        }
        tell!("{}", program_lines(program));
        if let Some(account) = Account::of(&state) {
            tell!("money so far: {}", account.money);
        }
        if state.install_was_allowed {
            let installed = state.installed();
            let what = if installed.is_empty() { "none".to_owned() } else { packages_line(&installed) };
            tell!("packages that were installed (--allow-install): {what}");
        }
        return Ok(0);
    };
    let id = InstructionId(step);
    let instruction = state.instruction(id).ok_or_else(|| no_step(step, program.instructions.len()))?;
    let settled = state.settled.get(&id);
    let took = Parts::of(&history(&dir).await?, None).steps.remove(&id).unwrap_or_default();
    if one.json.json {
        return Ok(print_json(&json!({
            "schema_version": SCHEMA_VERSION, "instruction": instruction, "took": took,
            "settlement": settled.map(|s| s.settlement), "cut": settled.and_then(|s| s.cut),
            "attempts": settled.map(|s| s.attempts),
            "commit": settled.map(|s| &s.commit), "reports": settled.map(|s| &s.reports),
        })));
    }
    tell!("step {step} of {}: {}\n\n{}\n", program.instructions.len(), instruction.title, instruction.text);
    tell!("writes {}; reads {}", list(&instruction.writes), list(&instruction.reads));
    if let Some(on) = state.stands_on(id) {
        tell!("begins when step {on} and those before it have ended");
    }
    for retirement in &instruction.retires {
        tell!("may give up {}: {}", retirement.test, retirement.reason);
    }
    let start = state.start.as_ref();
    tell!(
        "took {} model call(s), {} prompt tokens ({} reused), {} written, {}, {}",
        took.calls,
        took.prompt_tokens,
        took.reused_tokens,
        took.completion_tokens,
        duration(took.work_ms),
        start.map_or(String::new(), |s| paid(&took.money, &s.tariff, &s.model.provider)),
    );
    match settled {
        None => tell!("not finished yet"),
        Some(settled) => {
            let cut = settled.cut.map_or(String::new(), |cap| {
                format!(", because its share of the {} was used up", cap.words())
            });
            tell!(
                "{:?} after {} attempt(s){cut}, commit {}",
                settled.settlement,
                settled.attempts,
                settled.commit
            );
            settled.reports.iter().for_each(show_report);
        }
    }
    Ok(0)
}

/// Lines of what a check printed that are shown; `--json` has them all.
const DETAIL_LINES_MAX: usize = 12;

/// A check, what it ran and used, and what it said where it did not pass.
fn show_report(report: &CheckReport) {
    tell!("  {}", verdict_line(report));
    if !report.command.is_empty() {
        let status = report
            .exit_status
            .map_or("ended by a signal or a limit".to_owned(), |s| format!("exit code {s}"));
        let used = report.resources.map_or(String::new(), |r| {
            format!(
                ", {} ms of processor time, {} MiB at most in {} processes",
                r.cpu_ms,
                r.memory_bytes >> 20,
                r.processes
            )
        });
        tell!("      `{}`: {status}, {} ms{used}", report.command.join(" "), report.duration_ms);
    }
    for test in &report.tests {
        let flaw = test.flaw.as_ref().map_or(String::new(), |flaw| format!(", which shows nothing: {flaw}"));
        tell!("      {:?} {}{flaw}", test.outcome, test.name);
    }
    if !report.verdict.is_passed() {
        report.detail.lines().take(DETAIL_LINES_MAX).for_each(|line| tell!("      | {line}"));
    }
}

fn no_step(step: u32, steps: usize) -> Failure {
    Failure::usage(format!("there is no step {step}"), format!("The program has steps 1 to {steps}."))
}

/// An error where the run's program has no such step.
fn has_step(state: &RunState, step: Option<u32>) -> Result<(), Failure> {
    match (step, &state.program) {
        (Some(step), Some(program)) if state.instruction(InstructionId(step)).is_none() => {
            Err(no_step(step, program.instructions.len()))
        }
        _ => Ok(()),
    }
}

pub async fn logs(config: &Config, one: &OneRun) -> Outcome {
    let (dir, step) = find(config, one)?;
    has_step(&dir.state().await?, step)?;
    let history = dir.history().await?;
    let begin = history.first().map_or(0, |(r, _)| r.time_ms);
    for (record, event) in &history {
        let key = record.key.as_ref().map_or("", |k| k.as_str());
        if step.is_some_and(|s| !key.starts_with(&format!("i{s}/"))) {
            continue;
        }
        if one.json.json {
            tell!("{}", json_line(record));
            continue;
        }
        let at = duration(u64::try_from(record.time_ms - begin).unwrap_or(0));
        let what = match (record.kind, event) {
            (RecordKind::Intent, _) => continue,
            (_, Some(event)) => in_words(event),
            (_, None) => "(an event this edvac does not know)".to_owned(),
        };
        let of = record.key.as_ref().map_or(String::new(), effect);
        tell!("{:>5}  {at:>12}  {of:<26} {what}", record.seq);
        for report in event.iter().flat_map(checks_of) {
            tell!("{:>48}{}", "", verdict_line(report));
        }
    }
    Ok(0)
}

pub async fn diff(config: &Config, one: &OneRun) -> Outcome {
    let (dir, step) = find(config, one)?;
    let state = dir.state().await?;
    has_step(&state, step)?;
    let mut store = GitStore::view(&dir.git_dir()).map_err(|e| Failure::machine(e.to_string()))?;
    let machine = |e: edvac_memory::store::StoreError| Failure::machine(e.to_string());
    let begin = match state.origin() {
        Some(origin) => store.tree_of(&origin.base).map_err(machine)?,
        None => store.empty_tree().map_err(machine)?,
    };
    let (from, to) = match step {
        None => (begin, state.tree.clone()),
        Some(step) => {
            let id = InstructionId(step);
            let after = state.settled.get(&id).map(|s| s.tree.clone());
            (state.tree_before(id).unwrap_or(begin), after)
        }
    };
    let Some(to) = to else {
        return Err(Failure::usage(
            "nothing is committed there yet",
            "`edvac status` shows how far the run is.",
        ));
    };
    let diff = store.diff(&from, &to).map_err(machine)?;
    if one.json.json {
        return Ok(print_json(&json!({
            "schema_version": SCHEMA_VERSION, "run": dir.id, "step": step, "from": from, "to": to, "diff": diff,
        })));
    }
    out_as_is(&diff);
    Ok(0)
}

/// What a run changed as mails.
pub async fn patch(config: &Config, one: &OneRun) -> Outcome {
    let (dir, step) = find(config, one)?;
    if step.is_some() {
        return Err(Failure::usage(
            "a step has no patch of its own",
            format!("`edvac diff {}/{}` shows what it changed.", dir.id, step.unwrap_or_default()),
        ));
    }
    let state = dir.state().await?;
    let base = state.origin().map(|origin| &origin.base);
    let Some(head) = state.head.as_ref().filter(|head| Some(*head) != base) else {
        return Err(Failure::usage("nothing is committed yet", "`edvac status` shows how far the run is."));
    };
    let machine = |e: edvac_memory::store::StoreError| Failure::machine(e.to_string());
    let store = GitStore::view(&dir.git_dir()).map_err(machine)?;
    let mails = store.patch(base, head).map_err(machine)?;
    if one.json.json {
        return Ok(print_json(&json!({
            "schema_version": SCHEMA_VERSION, "run": dir.id, "from": base, "to": head,
            "patch": String::from_utf8_lossy(&mails),
        })));
    }
    // A reader that went away wanted no more of it.
    let _ = std::io::stdout().write_all(&mails);
    Ok(0)
}

pub async fn context(config: &Config, args: &Context) -> Outcome {
    let (dir, step) = find(config, &args.run)?;
    has_step(&dir.state().await?, step)?;
    let mut prompts = Vec::new();
    for (_, event) in dir.history().await? {
        if let Some(Event::Assembled { purpose, fitted }) = event
            && about(purpose, step)
        {
            prompts.push((purpose, fitted));
        }
    }
    if prompts.is_empty() {
        return Err(Failure::usage(
            format!("run {} has no prompt for that yet", dir.id),
            "Name a step that was begun, like `edvac context RUN/1`; without a step it is the planner's.",
        ));
    }
    if args.run.json.json {
        let prompts: Vec<_> = prompts
            .iter()
            .map(|(purpose, fitted)| json!({ "conversation": purpose.to_string(), "context": fitted }))
            .collect();
        return Ok(print_json(&json!({ "schema_version": SCHEMA_VERSION, "prompts": prompts })));
    }
    for (purpose, fitted) in &prompts {
        print_prompt(*purpose, fitted, args.text);
    }
    Ok(0)
}

fn about(purpose: Purpose, step: Option<u32>) -> bool {
    match (purpose, step) {
        (Purpose::Plan | Purpose::Replan { .. }, None) => true,
        (
            Purpose::Replan { instruction, .. }
            | Purpose::Work { instruction, .. }
            | Purpose::Repair { instruction, .. }
            | Purpose::Summarise { instruction, .. }
            | Purpose::Review { instruction, .. },
            Some(step),
        ) => instruction.0 == step,
        _ => false,
    }
}

fn print_prompt(purpose: Purpose, fitted: &Fitted, text: bool) {
    let total: usize = fitted.fragments.iter().map(|f| f.tokens).sum();
    tell!("{}: {total} tokens", talk(purpose));
    for fragment in &fitted.fragments {
        tell!(
            "  {:>6}  {:<9}  {:<34}  {}",
            fragment.tokens,
            word_of(fragment.kind),
            fragment.source,
            fragment.reason
        );
        if text {
            tell!("");
            fragment.text.lines().for_each(|line| tell!("      | {line}"));
            tell!("");
        }
    }
    for out in &fitted.left_out {
        tell!("  {:>6}  {:<9}  {:<34}  LEFT OUT: {}", out.tokens, word_of(out.kind), out.source, out.why);
    }
}
