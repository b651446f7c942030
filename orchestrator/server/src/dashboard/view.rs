//! What pages and scripts are told of a run. The same for both: a page is a template over one of these.

mod meters;
mod timeline;

use std::collections::BTreeSet;

use edvac_memory::ids::InstructionId;
use edvac_memory::journal::Seq;
use edvac_memory::program::{Control, Instruction};
use edvac_orchestrator::account::Account;
use edvac_orchestrator::control::{RunState, Settlement, StopReason};
use edvac_orchestrator::ledger::{Entry, Ledger, Standing};
use edvac_orchestrator::raise;
use edvac_orchestrator::report::{duration, sentence};
use serde::Serialize;
use utoipa::ToSchema;

use super::watched::{Span, Watched};
use meters::meters;

pub use meters::Meter;
pub use timeline::{Timeline, timeline};

/// A run in progress whose journal has been silent for so long is marked: a check may take that long, but seldom does.
const STALE_MS: i64 = 15 * 60 * 1000;
/// Characters of a task in a list.
const TASK_CHARS_MAX: usize = 160;

/// How something stands: a sign, a word, and the class that colours both. Never the colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Mark {
    /// One sign.
    pub sign: &'static str,
    /// One or two words.
    pub word: &'static str,
    /// `good`, `bad`, `busy`, `wait` or `idle`.
    pub class: &'static str,
}

const fn mark(sign: &'static str, word: &'static str, class: &'static str) -> Mark {
    Mark { sign, word, class }
}

impl Mark {
    /// Of a run's status.
    pub fn of_run(status: &str) -> Self {
        match status {
            "done" => mark("✓", "done", "good"),
            "unmet" => mark("✗", "not all met", "bad"),
            "running" => mark("▶", "running", "busy"),
            "waiting" => mark("?", "waits for you", "wait"),
            "died" => mark("!", "died", "bad"),
            "planned" => mark("≡", "planned", "idle"),
            "cancelled" => mark("■", "cancelled", "idle"),
            "stopped" => mark("‖", "stopped", "wait"),
            "gone" => mark("∅", "gone", "bad"),
            "being read" => mark("…", "being read", "idle"),
            _ => mark("!", "unreadable", "bad"),
        }
    }

    /// Of a requirement.
    pub fn of_standing(standing: Standing) -> Self {
        match standing {
            Standing::Met => mark("✓", "met", "good"),
            Standing::Unmet => mark("✗", "unmet", "bad"),
            Standing::NoEvidence => mark("?", "no evidence", "idle"),
        }
    }
}

/// How many requirements stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tally {
    /// All.
    pub all: usize,
    /// Met.
    pub met: usize,
    /// Unmet.
    pub unmet: usize,
    /// Without evidence, or not looked at yet.
    pub open: usize,
    /// Whether this is of the last tree; if not, each is as it stood at its own step.
    pub is_final: bool,
}

/// A run in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunRow {
    /// Its id.
    pub run: String,
    /// Its status: one of `edvac runs`.
    pub status: &'static str,
    /// The same for the eyes.
    pub mark: Mark,
    /// The program's title, or the beginning of the task.
    pub title: String,
    /// The beginning of the task.
    pub task: String,
    /// The domain.
    pub domain: String,
    /// The model.
    pub model: String,
    /// Steps of the program.
    pub steps: usize,
    /// Of these ended.
    pub steps_ended: usize,
    /// Requirements.
    pub requirements: Tally,
    /// What was paid, in words.
    pub money: String,
    /// Tokens sent and written.
    pub tokens: u64,
    /// Milliseconds worked.
    pub worked_ms: u64,
    /// The same in words.
    pub worked: String,
    /// When it was started, milliseconds since 1970.
    pub started_ms: i64,
    /// The process that carries it out.
    #[schema(required)]
    pub process: Option<u32>,
    /// When it last recorded something, milliseconds since 1970.
    pub last_ms: i64,
    /// Whether it should have said something by now.
    pub stale: bool,
    /// Where its files are.
    pub workspace: String,
    /// The run that it is a fork of.
    #[schema(required)]
    pub forked_from: Option<String>,
}

impl RunRow {
    /// The row of a state.
    pub fn of(id: &str, state: &RunState, status: &'static str, process: Option<u32>, now_ms: i64) -> Self {
        let start = state.start.as_ref();
        let task = start.map_or(String::new(), |s| beginning(&s.task, TASK_CHARS_MAX));
        let title = state.program.as_ref().map(|p| p.title.clone()).filter(|title| !title.is_empty());
        let spent = state.spent();
        Self {
            run: id.to_owned(),
            status,
            mark: match state.stopped {
                Some(StopReason::Interrupted) if status == "stopped" => mark("‖", "paused", "wait"),
                _ => Mark::of_run(status),
            },
            title: title.unwrap_or_else(|| beginning(&task, 80)),
            task,
            domain: start.map_or(String::new(), |s| s.domain.clone()),
            model: start.map_or(String::new(), |s| s.model.model.clone()),
            steps: state.program.as_ref().map_or(0, |p| p.instructions.len()),
            steps_ended: state.settled.len(),
            requirements: tally(state),
            money: Account::of(state).map_or(String::new(), |account| account.money),
            tokens: spent.tokens(),
            worked_ms: spent.worked_ms,
            worked: duration(spent.worked_ms),
            started_ms: start.map_or(0, |s| s.time_ms),
            last_ms: state.time_ms,
            stale: false,
            process,
            workspace: start.map_or(String::new(), |s| s.workspace.clone()),
            forked_from: state.forked_from.as_ref().map(ToString::to_string),
        }
        .at(now_ms)
    }

    /// The same row at another time: a run that is silent gets stale by that alone.
    #[must_use]
    pub fn at(mut self, now_ms: i64) -> Self {
        self.stale = self.status == "running" && now_ms - self.last_ms > STALE_MS;
        self
    }
}

/// A step in the program's list.
#[derive(Clone, Debug, Hash, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepRow {
    /// Its number.
    pub id: u32,
    /// A few words.
    pub title: String,
    /// `waiting`, `running`, `finished` or `unfinished`.
    pub status: &'static str,
    /// A sign for it.
    pub sign: &'static str,
    /// A word for it.
    pub word: String,
    /// The class that colours both.
    pub class: &'static str,
    /// Attempts so far.
    pub attempts: u32,
    /// Requirements that it is to meet.
    pub covers: Vec<String>,
    /// What it writes.
    pub writes: Vec<String>,
    /// What it decides, where it works on no files.
    #[schema(required)]
    pub control: Option<&'static str>,
    /// The step whose decision made it.
    #[schema(required)]
    pub from: Option<u32>,
    /// The step that it stands on; it may begin as soon as that and those before it have ended.
    #[schema(required)]
    pub stands_on: Option<u32>,
    /// Whether it may be carried out beside the one before it.
    pub beside: bool,
}

/// A requirement and how it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RequirementRow {
    /// Its id.
    pub id: String,
    /// Its sentence.
    pub text: String,
    /// How it stands.
    pub mark: Mark,
    /// What speaks for it and against it, a line each.
    pub evidence: Vec<String>,
    /// Steps that are to meet it.
    pub steps: Vec<u32>,
}

/// What can be asked of a run as it stands.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a button, by itself")]
pub struct Choices {
    /// Finish what is in progress, then stop.
    pub pause: bool,
    /// Go on.
    pub resume: bool,
    /// Give it up for good.
    pub cancel: bool,
    /// Answer what it asks.
    pub answer: bool,
    /// Take back, change, try again.
    pub revise: bool,
    /// The limit that stopped it or cut it short: its flag, and a figure with which it gets further.
    #[schema(required)]
    pub raise: Option<RaiseTo>,
}

/// A limit, and a figure for it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RaiseTo {
    /// The flag of `edvac resume`.
    pub flag: &'static str,
    /// Its value.
    pub value: String,
}

/// A run on its page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunView {
    /// As in a list.
    #[serde(flatten)]
    pub row: RunRow,
    /// The last record that this is of.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// The task, verbatim.
    pub task_text: String,
    /// Why it stopped, as a sentence.
    #[schema(required)]
    pub stopped: Option<String>,
    /// What it asks you.
    #[schema(required)]
    pub question: Option<String>,
    /// What is being done, in words.
    pub doing: Vec<String>,
    /// Figures.
    pub meters: Vec<Meter>,
    /// The program's version.
    pub version: u32,
    /// What can be asked of it.
    pub choices: Choices,
    /// The repository that it goes on from, and its branch there, as a sentence.
    pub origin: Option<String>,
    /// Whether code of it may have been executed without a sandbox.
    pub unsafe_no_sandbox: bool,
}

impl RunView {
    /// The view of a run as it stands.
    pub fn of(watched: &Watched, now_ms: i64) -> Self {
        let state = &watched.state;
        let status = watched.status();
        let row = RunRow::of(watched.dir.id.as_str(), state, status, watched.writer, now_ms);
        let question = match &state.stopped {
            Some(StopReason::Approval { question, .. }) if status == "waiting" => Some(question.clone()),
            _ => None,
        };
        Self {
            seq: state.seq,
            task_text: state.start.as_ref().map_or(String::new(), |s| s.task.clone()),
            stopped: stopped(state, status),
            question,
            doing: match watched.writer {
                Some(_) => watched.doing().into_iter().map(in_progress).collect(),
                None => Vec::new(),
            },
            meters: meters(watched),
            version: state.program_version,
            choices: choices(watched),
            origin: state.origin().map(|origin| {
                let included = match origin.included.len() {
                    0 => String::new(),
                    count => format!(", with {count} changed file(s) that were not committed"),
                };
                format!("works on a copy of {} on the branch {}{included}", origin.path, origin.branch)
            }),
            unsafe_no_sandbox: state.unsafe_no_sandbox,
            row,
        }
    }
}

/// Why a run does not go on.
fn stopped(state: &RunState, status: &str) -> Option<String> {
    if status == "gone" {
        return Some(
            "Its directory was removed while you watched it. What is shown here is what was read of it last."
                .to_owned(),
        );
    }
    if status == "died" {
        return Some(
            "The process that carried it out ended without a word. Nothing that was recorded is lost."
                .to_owned(),
        );
    }
    state.stopped.as_ref().filter(|_| state.ledger.is_none() && status != "running").map(sentence)
}

fn choices(watched: &Watched) -> Choices {
    if watched.is_gone {
        return Choices::default();
    }
    let state = &watched.state;
    let is_written = watched.writer.is_some();
    let goes_on = state.stopped.as_ref().is_none_or(StopReason::resumable);
    let is_asked = matches!(state.stopped, Some(StopReason::Approval { .. }));
    let idle = !is_written && state.start.is_some();
    let is_cut = state.settled.values().any(|settled| settled.cut.is_some());
    Choices {
        pause: is_written,
        resume: idle && goes_on && !is_asked && (!state.is_over() || is_cut),
        cancel: is_written || (idle && goes_on && !state.is_over()),
        answer: idle && is_asked,
        revise: idle && state.program.is_some(),
        raise: raise::raise(state)
            .filter(|_| idle)
            .map(|raise| RaiseTo { flag: raise.flag, value: raise.value }),
    }
}

/// An effect in progress, in words.
fn in_progress(span: &Span) -> String {
    let what = match span.what.as_str() {
        "assemble" => "putting the prompt together",
        "call" => "the model writes",
        "act" => "doing what the reply says",
        "check" | "check_merged" => "checks",
        "check_all" => "checks of everything",
        "commit" => "commit",
        "install" => "installing packages",
        "survey" => "looking at what is there",
        other => other,
    };
    match span.of.as_str() {
        "plan" => format!("planning: {what}"),
        "end" => what.to_owned(),
        step => format!("step {step}: {what}"),
    }
}

fn tally(state: &RunState) -> Tally {
    let all = state.program.as_ref().map_or(0, |p| p.requirements.len());
    let Some(ledger) = ledger(state) else { return Tally { all, open: all, ..Tally::default() } };
    let (met, unmet) = (ledger.count(Standing::Met), ledger.count(Standing::Unmet));
    Tally { all, met, unmet, open: all - met - unmet, is_final: state.ledger.is_some() }
}

/// The ledger; before the end, what the steps' own checks showed.
fn ledger(state: &RunState) -> Option<Ledger> {
    state.ledger.clone().or_else(|| {
        let reports: Vec<_> = state.settled.values().flat_map(|s| s.reports.iter().cloned()).collect();
        state.program.as_ref().map(|program| Ledger::weigh(program, &reports))
    })
}

/// Each requirement as it stands.
pub fn requirements(state: &RunState) -> Vec<RequirementRow> {
    let entries = ledger(state).map(|ledger| ledger.entries).unwrap_or_default();
    entries.iter().map(requirement).collect()
}

fn requirement(entry: &Entry) -> RequirementRow {
    let shown = entry.evidence.iter().map(|e| {
        let command = e.command.join(" ");
        let ran = if command.is_empty() || e.what.contains(&command) {
            String::new()
        } else {
            format!(" (`{command}`)")
        };
        format!("{} {}{ran}", e.word(), e.what)
    });
    let nothing = entry.nothing.iter().map(|n| format!("shows nothing: {} ({})", n.what, n.why));
    RequirementRow {
        id: entry.id.to_string(),
        text: entry.text.clone(),
        mark: Mark::of_standing(entry.standing),
        evidence: shown.chain(nothing).collect(),
        steps: entry.instructions.iter().map(|id| id.0).collect(),
    }
}

/// Each step of the program in force, in its order.
pub fn steps(watched: &Watched) -> Vec<StepRow> {
    let state = &watched.state;
    let running: BTreeSet<InstructionId> =
        if watched.writer.is_some() { watched.in_progress().into_iter().collect() } else { BTreeSet::new() };
    let all = state.program.iter().flat_map(|program| &program.instructions);
    let mut before = None;
    all.map(|instruction| {
        let row = step(state, instruction, running.contains(&instruction.id), before);
        before = Some(instruction.id.0);
        row
    })
    .collect()
}

fn step(state: &RunState, instruction: &Instruction, running: bool, before: Option<u32>) -> StepRow {
    let settled = state.settled.get(&instruction.id);
    let work = state.work.as_ref().filter(|work| work.instruction == instruction.id);
    let beside = state.open.get(&instruction.id).and_then(|open| open.work.as_ref());
    let attempts = settled.map_or(work.or(beside).map_or(0, |work| work.attempt), |settled| settled.attempts);
    let cut = settled.and_then(|s| s.cut).map_or(String::new(), |cap| format!(" ({} used up)", cap.words()));
    let (status, sign, word, class) = match settled.map(|s| s.settlement) {
        Some(Settlement::Finished) => ("finished", "✓", "finished".to_owned(), "good"),
        Some(Settlement::Unfinished) => ("unfinished", "✗", format!("unfinished{cut}"), "bad"),
        None if running => ("running", "▶", "in progress".to_owned(), "busy"),
        None => ("waiting", "·", "to do".to_owned(), "idle"),
    };
    let stands_on = state.stands_on(instruction.id).map(|id| id.0);
    StepRow {
        id: instruction.id.0,
        title: instruction.title.clone(),
        status,
        sign,
        word,
        class,
        attempts,
        covers: instruction.covers.iter().map(ToString::to_string).collect(),
        writes: instruction.writes.clone(),
        control: instruction.control.as_ref().map(control),
        from: instruction.from.map(|id| id.0),
        beside: state.course.is_some() && before.is_some() && stands_on != before,
        stands_on,
    }
}

fn control(control: &Control) -> &'static str {
    match control {
        Control::ForEach { .. } => "for each",
        Control::If { .. } => "if",
        Control::While { .. } => "while",
        Control::Replan { .. } => "plan again",
        Control::Approve { .. } => "asks you",
        Control::Part { .. } => "chapters",
        Control::Chapter { .. } => "sections",
    }
}

/// `12 345`, with thin spaces.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The first line of a text, cut where it is long.
pub fn beginning(text: &str, chars_max: usize) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    if line.chars().count() <= chars_max {
        return line.to_owned();
    }
    line.chars().take(chars_max - 1).chain(['…']).collect()
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_makes_a_run_stale() {
        let row = RunRow::of("r", &RunState::default(), "running", Some(1), 0);
        assert!(!row.stale && row.clone().at(STALE_MS + 1).stale);
        assert!(!RunRow { status: "done", ..row }.at(STALE_MS + 1).stale);
    }
}
