//! What happened in a run, in words: one line an event, one line a check, one word for how it stands.

use edvac_memory::context::FragmentKind;
use edvac_memory::program::Found;
use edvac_memory::verdict::{CheckReport, Verdict};

use crate::control::Event;
use crate::ledger::describe;
use crate::report::{conflicts_line, duration, packages_line, sentence};

/// A run's status, knowing whether a process writes its journal: one without an end that nobody writes has died.
pub fn standing(status: &'static str, is_written: bool) -> &'static str {
    if status == "running" && !is_written { "died" } else { status }
}

/// What a fragment of a prompt is, in a word.
pub fn word_of(kind: FragmentKind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Names as people list them.
pub fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// What a line says of a person's word that packages may be installed.
fn installing(allowed: bool) -> &'static str {
    if allowed { ", with --allow-install" } else { "" }
}

/// An event as one line.
pub fn in_words(event: &Event) -> String {
    match event {
        Event::RunStarted { task, model, allow_install, .. } => {
            let task: String = task.lines().next().unwrap_or_default().chars().take(80).collect();
            format!("started on {}{}: {task}", model.model, installing(*allow_install))
        }
        Event::Resumed { model, allow_install, .. } => {
            format!("resumed on {}{}", model.model, installing(*allow_install))
        }
        Event::Stopped { why } => format!("stopped: {}", sentence(why)),
        Event::Assembled { fitted, .. } => {
            let tokens: usize = fitted.fragments.iter().map(|f| f.tokens).sum();
            format!(
                "prompt of {} fragments, {tokens} tokens, {} left out",
                fitted.fragments.len(),
                fitted.left_out.len()
            )
        }
        Event::Replied { reply, .. } => {
            let u = &reply.usage;
            format!(
                "reply of {} tokens to {} ({} reused), {}",
                u.completion_tokens,
                u.prompt_tokens,
                u.reused_tokens,
                duration(u.prefill_ms + u.decode_ms)
            )
        }
        Event::Overflowed { prompt_tokens, .. } => format!("{prompt_tokens} tokens do not fit the window"),
        Event::PlanRefused { problems, .. } => format!("plan refused: {}", problems.join("; ")),
        Event::Surveyed { survey } => {
            let tests = survey.standing().unwrap_or_else(|| "none that can be run".to_owned());
            format!("{} files were there; tests: {tests}", survey.files.len())
        }
        Event::ProgramAdopted { program, version, why } => {
            format!("program version {version} of {} steps, {why}", program.instructions.len())
        }
        Event::Amended { program, version, why, .. } => {
            format!("program version {version} of {} steps by hand, {why}", program.instructions.len())
        }
        Event::Weighed { instruction, found: Found::Items(items), .. } => {
            format!("step {instruction} has {} item(s)", items.len())
        }
        Event::Weighed { instruction, found: Found::Holds(holds), .. } => {
            format!("the condition of step {instruction} holds: {holds}")
        }
        Event::Answered { instruction, approved: true, .. } => format!("step {instruction} is approved"),
        Event::Answered { instruction, reason, .. } => format!("step {instruction} is rejected: {reason}"),
        Event::Restored { to, why } => format!("{why} (record {to})"),
        Event::Forked { from, .. } => format!("a fork of {from}"),
        Event::Acted { applied, refused, called, .. } if refused.is_empty() => {
            let called = called.iter().map(|call| {
                format!("{} {}", if call.failed { "called in vain" } else { "called" }, call.tool)
            });
            format!("did: {}", list(&applied.iter().cloned().chain(called).collect::<Vec<_>>()))
        }
        Event::Acted { refused, .. } => format!("refused: {}", refused.join("; ")),
        Event::Installed { needs, fault: Some(fault), .. } => {
            format!("could not install {}: {fault}", needs.names().join(", "))
        }
        Event::Installed { packages, command, duration_ms, .. } if command.is_empty() => {
            format!("installed before: {} ({})", packages_line(packages), duration(*duration_ms))
        }
        Event::Installed { packages, duration_ms, .. } => {
            format!("installed {} in {}", packages_line(packages), duration(*duration_ms))
        }
        Event::Checked { reports, unproven, .. } => {
            let passed = reports.iter().filter(|r| r.verdict.is_passed()).count();
            let open = if unproven.is_empty() {
                String::new()
            } else {
                format!(", no test for {}", unproven.join(", "))
            };
            format!("{passed} of {} checks passed{open}", reports.len())
        }
        Event::Undeclared { paths, .. } => format!("it changed what it does not declare: {}", list(paths)),
        Event::Merged { tree, .. } => format!("merged as tree {tree}"),
        Event::Conflicted { conflicts, .. } => {
            format!("carried out once more: {}", conflicts_line(conflicts))
        }
        Event::MergeChecked { reports, .. } => {
            let passed = reports.iter().filter(|r| r.verdict.is_passed()).count();
            let again = if passed < reports.len() { "; carried out once more" } else { "" };
            format!("{passed} of {} checks passed on the merged tree{again}", reports.len())
        }
        Event::Committed { settlement, commit, cut: Some(cap), .. } => {
            format!("commit {commit} ({settlement:?}, its share of the {} is used up)", cap.words())
        }
        Event::Committed { settlement, commit, .. } => format!("commit {commit} ({settlement:?})"),
        Event::FinalChecked { reports } => {
            let passed = reports.iter().filter(|r| r.verdict.is_passed()).count();
            format!("{passed} of {} checks passed on the last tree", reports.len())
        }
        Event::Finished { ledger } => format!("over; all met: {}", ledger.all_met()),
    }
}

/// The checks that an event is about.
pub fn checks_of(event: &Event) -> &[CheckReport] {
    match event {
        Event::Checked { reports, .. }
        | Event::MergeChecked { reports, .. }
        | Event::FinalChecked { reports } => reports,
        _ => &[],
    }
}

/// A check and its verdict: the mark, what was asked, and where it did not pass its name and reason.
pub fn verdict_line(report: &CheckReport) -> String {
    let (mark, reason) = (report.verdict.mark(), report.verdict.reason());
    let named = match &report.verdict {
        Verdict::Passed => String::new(),
        other => format!(": {}: {reason}", other.name()),
    };
    format!("{mark} {}{named}", describe(&report.check.kind))
}
