//! What happened in a run, in words: one line an event, one line a check, one word for how it stands.

use edvac_memory::context::FragmentKind;
use edvac_memory::ids::EffectKey;
use edvac_memory::program::Found;
use edvac_memory::verdict::{CheckReport, Verdict};

use crate::control::{Event, Purpose};
use crate::ledger::describe;
use crate::report::{conflicts_line, duration, packages_line, sentence};

/// A run's status, knowing whether a process writes its journal: one without an end that nobody writes has died.
pub fn standing(status: &'static str, is_written: bool) -> &'static str {
    if status == "running" && !is_written { "died" } else { status }
}

/// What a conversation is about: `step 3, attempt 1`.
pub fn talk(purpose: Purpose) -> String {
    match purpose {
        Purpose::Plan => "the plan".to_owned(),
        Purpose::Replan { instruction, version } => {
            format!("the plan again, at step {instruction} of version {version}")
        }
        Purpose::Work { instruction, attempt, restart: 0 } => {
            format!("step {instruction}, attempt {attempt}")
        }
        Purpose::Work { instruction, attempt, restart } => {
            format!("step {instruction}, attempt {attempt}, after summary {restart}")
        }
        Purpose::Repair { instruction, attempt, repair } => {
            format!("step {instruction}, attempt {attempt}, repair {repair}")
        }
        Purpose::Summarise { instruction, attempt, restart } => {
            format!("step {instruction}, attempt {attempt}, summary {}", restart + 1)
        }
        Purpose::Review { instruction, attempt, review } => {
            format!("step {instruction}, attempt {attempt}, review {review} of tests that are given up")
        }
    }
}

/// What an effect belongs to and what it is, from its key: `step 3, attempt 1: call`. A key of no step stays as it is.
pub fn effect(key: &EffectKey) -> String {
    let number = |part: &str, letter| part.strip_prefix(letter).and_then(|rest| rest.parse::<u32>().ok());
    let mut parts = key.as_str().split('/').skip_while(|part| number(part, 'e').is_some());
    let Some(step) = parts.next().and_then(|part| number(part, 'i')) else { return key.to_string() };
    let (mut whose, mut what) = (format!("step {step}"), Vec::new());
    for part in parts {
        match (number(part, 'a'), number(part, 'r'), number(part, 'm')) {
            (Some(attempt), ..) => whose.push_str(&format!(", attempt {attempt}")),
            (_, Some(0), _) => {}
            (_, Some(restart), _) => whose.push_str(&format!(", after summary {restart}")),
            (.., Some(repair)) => whose.push_str(&format!(", repair {repair}")),
            _ if part == "again" => whose.push_str(", once more"),
            // Which reply, and of which version of the program, is seen by what comes before.
            _ if number(part, 't').is_some() || number(part, 'v').is_some() => {}
            _ => what.push(part),
        }
    }
    format!("{whose}: {}", what.join(" "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_words() {
        for (key, words) in [
            ("i3/a1/r0/t2/call", "step 3, attempt 1: call"),
            ("e2/i12/a2/r1/assemble", "step 12, attempt 2, after summary 1: assemble"),
            ("i3/a1/m4/t0/check", "step 3, attempt 1, repair 4: check"),
            ("i3/a1/r0/summary/t0/call", "step 3, attempt 1: summary call"),
            ("i4/again/merge/check", "step 4, once more: merge check"),
            ("plan/t0/call", "plan/t0/call"),
            ("install/abc/1", "install/abc/1"),
        ] {
            assert_eq!(effect(&EffectKey(key.into())), words);
        }
    }
}
