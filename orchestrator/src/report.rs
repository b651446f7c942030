//! The report: what is met, by which check, what it cost, and where to look further. A view of the folded journal.

use std::fmt::Write as _;

use edvac_memory::verdict::Verdict;
use serde::Serialize;

use crate::account::Account;
use crate::control::budget::Cap;
use crate::control::event::{Clash, Conflict, EXIT_LIMIT, Settlement, StopReason};
use crate::control::review::Retired;
use crate::control::state::{RunState, Totals};
use crate::control::stuck::Stuck;
use crate::dependencies::Package;
use crate::ledger::{Ledger, Standing, describe};
use crate::price::amount;
use crate::raise;

mod existing;

pub use existing::ExistingPart;

/// Packages that one line names.
const PACKAGES_SHOWN_MAX: usize = 24;

/// The report of a run as data.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this shape.
    pub schema_version: u32,
    /// The run.
    pub run: String,
    /// The task, verbatim.
    pub task: String,
    /// One word.
    pub status: &'static str,
    /// Where the files are.
    pub workspace: String,
    /// The model.
    pub model: String,
    /// Whether code may have been executed without a sandbox.
    pub unsafe_no_sandbox: bool,
    /// Whether packages of others may have been installed for it.
    pub install_was_allowed: bool,
    /// Those that were, with what they need themselves.
    pub installed: Vec<Package>,
    /// Installations that failed, in one sentence each.
    pub not_installed: Vec<String>,
    /// What is known of the repository that it worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<ExistingPart>,
    /// The program's title.
    pub title: String,
    /// Each requirement and its evidence; none before the final checks ran.
    pub ledger: Option<Ledger>,
    /// Each instruction.
    pub instructions: Vec<InstructionLine>,
    /// Tests that expect something else since they failed, so that they pass.
    pub rewritten_tests: Vec<String>,
    /// Tests that a later step gave up, why, and what the reviewer said.
    pub retired_tests: Vec<Retired>,
    /// How many checks of the last tree found something wrong, whatever they were evidence for.
    pub spoken_against: usize,
    /// Checks of the last tree that did not pass: what and why.
    pub not_passed: Vec<(String, String)>,
    /// What was used by what is there.
    pub totals: Totals,
    /// What was used besides, by work that was taken back.
    pub taken_back: Totals,
    /// What that cost, and what limits it.
    pub account: Option<Account>,
    /// Why it stopped, where it did.
    pub stopped: Option<StopReason>,
    /// The command that goes on with it, where one does; a limit that stopped it, or cut steps short, is raised in it.
    pub go_on: Option<String>,
}

/// One instruction of the report.
#[derive(Clone, Debug, Serialize)]
pub struct InstructionLine {
    /// Its number.
    pub id: u32,
    /// Its title.
    pub title: String,
    /// How it ended; none while it has not.
    pub settlement: Option<Settlement>,
    /// The limit of which it had used its share, if that ended it.
    pub cut: Option<Cap>,
    /// Attempts it took.
    pub attempts: u32,
    /// Its commit.
    pub commit: Option<String>,
    /// Attempts that were stopped before their turns were used up, and what for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<String>,
    /// Why it was carried out once more, where others were carried out beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// Files that it changed and does not declare, where others were carried out beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undeclared: Vec<String>,
}

/// What is said of a run whose code was not kept apart.
pub const BARE: &str = "code of this run was executed without a sandbox (--unsafe-no-sandbox): it could read, write and send \
                        whatever you can, and what is said to be met was shown by tests that nothing kept honest.";

/// Version of [`Report`]'s JSON.
pub const SCHEMA_VERSION: u32 = 1;

impl Report {
    /// The report of a state, finished or not.
    pub fn of(state: &RunState) -> Option<Self> {
        let start = state.start.as_ref()?;
        let program = state.program.clone().unwrap_or_default();
        Some(Self {
            schema_version: SCHEMA_VERSION,
            run: start.run.to_string(),
            task: start.task.clone(),
            status: state.status(),
            workspace: start.workspace.clone(),
            model: start.model.model.clone(),
            unsafe_no_sandbox: state.unsafe_no_sandbox,
            install_was_allowed: state.install_was_allowed,
            installed: state.installed(),
            not_installed: state.installs.values().filter_map(|install| install.fault.clone()).collect(),
            existing: ExistingPart::of(state),
            title: program.title,
            ledger: state.ledger.clone(),
            instructions: program
                .instructions
                .iter()
                .map(|i| {
                    let settled = state.settled.get(&i.id);
                    InstructionLine {
                        id: i.id.0,
                        title: i.title.clone(),
                        settlement: settled.map(|s| s.settlement),
                        cut: settled.and_then(|s| s.cut),
                        attempts: settled.map_or(0, |s| s.attempts),
                        commit: settled.map(|s| s.commit.to_string()),
                        stopped: settled.map(|s| stopped_lines(&s.stopped)).unwrap_or_default(),
                        conflicts: settled.map(|s| s.conflicts.clone()).unwrap_or_default(),
                        undeclared: settled.map(|s| s.undeclared.clone()).unwrap_or_default(),
                    }
                })
                .collect(),
            rewritten_tests: state.settled.values().flat_map(|s| s.rewritten.iter().cloned()).collect(),
            retired_tests: state.settled.values().flat_map(|s| s.retired.iter().cloned()).collect(),
            spoken_against: state.spoken_against(),
            not_passed: state
                .final_reports
                .iter()
                .flatten()
                .filter(|r| !r.verdict.is_passed())
                .map(|r| {
                    let (name, reason) = (r.verdict.name(), r.verdict.reason());
                    let plain = matches!(r.verdict, Verdict::Failed { .. });
                    let why = if plain { reason.to_owned() } else { format!("{name}: {reason}") };
                    (describe(&r.check.kind), why)
                })
                .collect(),
            totals: state.totals,
            taken_back: state.taken_back,
            account: Account::of(state),
            go_on: go_on(state),
            stopped: state.stopped.clone(),
        })
    }

    /// The process exit code: 0 only when every requirement is met.
    pub fn exit_code(&self) -> u8 {
        match (&self.ledger, &self.stopped) {
            (Some(ledger), _) if ledger.all_met() && self.spoken_against == 0 => 0,
            // With more of it, what is not met might be.
            (Some(_), _) if self.is_cut_short() => EXIT_LIMIT,
            (None, Some(why)) => why.exit_code(),
            (Some(_), _) | (None, None) => 1,
        }
    }

    /// Whether a step ended because its share of a limit was used up.
    pub fn is_cut_short(&self) -> bool {
        self.instructions.iter().any(|line| line.cut.is_some())
    }

    /// The report as Markdown. Headings come in the order in which people ask.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# {}\n", if self.title.is_empty() { "(no plan)" } else { &self.title });
        if self.unsafe_no_sandbox {
            let _ = writeln!(out, "**UNSAFE**: {BARE}\n");
        }
        self.packages(&mut out);
        self.requirements(&mut out);
        self.retired(&mut out);
        self.steps(&mut out);
        self.open_ends(&mut out);
        if let Some(existing) = &self.existing {
            existing.before(&mut out);
            existing.take_over(&mut out);
        }
        self.cost(&mut out);
        let run = &self.run;
        let _ = writeln!(out, "\n## Look further\n");
        let _ = writeln!(out, "- files and history: `git -C {} log --stat`", self.workspace);
        if self.instructions.is_empty() {
            let _ = writeln!(out, "- the planner's prompt: `edvac context {run}`");
        } else {
            let _ = writeln!(out, "- a step and its prompt: `edvac show {run}/1`, `edvac context {run}/1`");
        }
        let _ = writeln!(out, "- everything that happened: `edvac logs {run}`");
        out
    }

    fn packages(&self, out: &mut String) {
        if !self.install_was_allowed {
            return;
        }
        let what = if self.installed.is_empty() {
            "nothing was".to_owned()
        } else {
            format!("{} were", packages_line(&self.installed))
        };
        let _ = writeln!(out, "Packages might be installed (--allow-install): {what}.\n");
        for fault in &self.not_installed {
            let _ = writeln!(out, "- an installation failed: {fault}\n");
        }
    }

    fn requirements(&self, out: &mut String) {
        let Some(ledger) = &self.ledger else {
            if let Some(why) = &self.stopped {
                let _ = writeln!(out, "Stopped before the end: {}\n", sentence(why));
                if let Some(command) = &self.go_on {
                    let _ = writeln!(out, "Go on: `{command}`\n");
                }
            }
            return;
        };
        let _ = writeln!(
            out,
            "{} of {} requirements met, {} unmet, {} without evidence.\n",
            ledger.count(Standing::Met),
            ledger.entries.len(),
            ledger.count(Standing::Unmet),
            ledger.count(Standing::NoEvidence),
        );
        if ledger.all_met() && self.spoken_against > 0 {
            let _ = writeln!(
                out,
                "**Not done**: {} check(s) found something wrong on the last tree; see below.\n",
                self.spoken_against
            );
        }
        if let Some(command) = self.go_on.as_ref().filter(|_| self.is_cut_short()) {
            let _ = writeln!(
                out,
                "**Cut short**: steps used up their share of a limit; see below. With more of it they are taken up again: \
                 `{command}`\n"
            );
        }
        let _ = writeln!(
            out,
            "Met means: executed checks speak for it and none against it. That a test tests what its name says, \
             nobody has checked.\n"
        );
        for entry in &ledger.entries {
            let (mark, word) = match entry.standing {
                Standing::Met => ("✓", "met"),
                Standing::Unmet => ("✗", "unmet"),
                Standing::NoEvidence => ("?", "no evidence"),
            };
            let _ = writeln!(out, "- {mark} **{}** {word}: {}", entry.id, entry.text);
            for evidence in &entry.evidence {
                let _ = write!(out, "    - {} {}", evidence.word(), evidence.what);
                let command = evidence.command.join(" ");
                if !command.is_empty() && !evidence.what.contains(&command) {
                    let _ = write!(out, " (`{command}`)");
                }
                if self.rewritten_tests.iter().any(|test| evidence.what.contains(test)) {
                    let _ = write!(out, ", written again after it failed");
                }
                out.push('\n');
            }
            for nothing in &entry.nothing {
                let _ = writeln!(out, "    - shows nothing: {} ({})", nothing.what, nothing.why);
            }
        }
        if !self.rewritten_tests.is_empty() {
            let _ = writeln!(
                out,
                "\nTests that were written again because what they expected failed: {}. They may ask for less than \
                 before.",
                self.rewritten_tests.join(", ")
            );
        }
    }

    /// Tests that once counted and do not any more.
    fn retired(&self, out: &mut String) {
        for Retired { test, reviewer } in &self.retired_tests {
            let _ = writeln!(
                out,
                "\nGiven up: {}. Reason of the step: {} The reviewer, a model, agreed: {}",
                test.said,
                test.reason,
                reviewer.join(" ")
            );
        }
    }

    fn steps(&self, out: &mut String) {
        if self.instructions.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n## Steps\n");
        for step in &self.instructions {
            let word = match step.settlement {
                Some(Settlement::Finished) => "finished",
                Some(Settlement::Unfinished) => "UNFINISHED",
                None => "not reached",
            };
            let commit =
                step.commit.as_ref().map_or(String::new(), |c| format!(", commit {}", &c[..c.len().min(10)]));
            let cut = step.cut.map_or(String::new(), |cap| {
                format!(", because its share of the {} was used up", cap.words())
            });
            let tries =
                if step.attempts > 1 { format!(" after {} attempts", step.attempts) } else { String::new() };
            let again = match step.conflicts.as_slice() {
                [] => String::new(),
                conflicts => format!("; once more: {}", conflicts_line(conflicts)),
            };
            let beside = match step.undeclared.as_slice() {
                [] => String::new(),
                paths => format!("; it also changed {}", paths.join(", ")),
            };
            let _ = writeln!(out, "{}. {}: {word}{tries}{cut}{commit}{beside}{again}", step.id, step.title);
            for line in &step.stopped {
                let _ = writeln!(out, "   - {line}");
            }
        }
    }

    fn open_ends(&self, out: &mut String) {
        if self.not_passed.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n## Checks that did not pass on the last tree\n");
        for (what, why) in &self.not_passed {
            let _ = writeln!(out, "- {what}: {why}");
        }
    }

    fn cost(&self, out: &mut String) {
        let t = &self.totals;
        let computed = t.prompt_tokens - t.reused_tokens.min(t.prompt_tokens);
        let _ = writeln!(out, "\n## Cost\n");
        let _ = writeln!(
            out,
            "- {} model calls, {} prompt tokens sent ({} computed or {} %, {} reused), {} written, model {}",
            t.calls,
            t.prompt_tokens,
            computed,
            computed * 100 / t.prompt_tokens.max(1),
            t.reused_tokens,
            t.completion_tokens,
            self.model
        );
        let _ = writeln!(
            out,
            "- {} of work: {} reading prompts, {} writing ({:.1} tokens/s)",
            duration(t.worked_ms),
            duration(t.prefill_ms),
            duration(t.decode_ms),
            rate(t.completion_tokens, t.decode_ms),
        );
        let back = &self.taken_back;
        if back.calls > 0 {
            let _ = writeln!(
                out,
                "- and {} model calls, {} prompt tokens sent, {} written, {} of work for what was taken back",
                back.calls,
                back.prompt_tokens,
                back.completion_tokens,
                duration(back.worked_ms),
            );
        }
        for line in self.account.iter().flat_map(Account::lines) {
            let _ = writeln!(out, "- {line}");
        }
    }
}

/// The command that goes on with a run.
fn go_on(state: &RunState) -> Option<String> {
    let is_stopped =
        matches!(&state.stopped, Some(why) if why.resumable() && !matches!(why, StopReason::Approval { .. }));
    let plain = || state.start.as_ref().map(|start| format!("edvac resume {}", start.run));
    raise::command(state).or_else(|| plain().filter(|_| is_stopped && !state.is_over()))
}

/// What attempts were stopped for, a line each.
fn stopped_lines(stopped: &[(u32, Stuck)]) -> Vec<String> {
    stopped.iter().map(|(attempt, stuck)| format!("attempt {attempt} was stopped: {stuck}")).collect()
}

/// Why a step was carried out once more, as one line.
pub fn conflicts_line(conflicts: &[Conflict]) -> String {
    let one = |conflict: &Conflict| {
        let who = conflict.with.map_or("another step".to_owned(), |id| format!("step {id}"));
        let what = &conflict.what;
        match conflict.clash {
            Clash::Written => format!("{who} had changed {what}, too"),
            Clash::Read => format!("{who} had changed {what}, which it read"),
            Clash::Checked => format!("a check failed beside what others had changed ({what})"),
        }
    };
    conflicts.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Packages with their versions as one line; of many, the first ones and the number of the others.
pub fn packages_line(packages: &[Package]) -> String {
    let named = packages.iter().take(PACKAGES_SHOWN_MAX).map(|p| format!("{} {}", p.name, p.version));
    let named = named.collect::<Vec<_>>().join(", ");
    match packages.len().saturating_sub(PACKAGES_SHOWN_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Tokens a second; 0 where no time passed.
pub fn rate(tokens: u64, ms: u64) -> f64 {
    if ms == 0 { 0.0 } else { tokens as f64 * 1000.0 / ms as f64 }
}

/// Milliseconds as people say them: `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(ms: u64) -> String {
    match ms / 1000 {
        0..=59 => format!("{:.1} s", ms as f64 / 1000.0),
        s @ 60..=3599 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// A stop reason as a sentence for people, with the way on.
pub fn sentence(why: &StopReason) -> String {
    match why {
        StopReason::Interrupted => "paused; everything finished so far is saved.".to_owned(),
        StopReason::PlanOnly => "the plan is ready.".to_owned(),
        StopReason::TokenLimit { used, limit, next } => {
            format!(
                "the token limit is reached ({used} of {limit} used, and the next call could take {next})."
            )
        }
        StopReason::CostLimit { used_micros, limit_micros, next_micros, currency } => format!(
            "the cost limit is reached ({} of {} used, and the next call could cost {}).",
            amount(*used_micros, ""),
            amount(*limit_micros, currency),
            amount(*next_micros, "")
        ),
        StopReason::CallLimit { used, limit } => {
            format!("the limit of model calls is reached ({used} of {limit} made).")
        }
        StopReason::ByteLimit { used, limit, next } => format!(
            "the limit of bytes is reached ({used} of {limit} written, and the last reply writes {next}); the reply is kept and carried out once there is room."
        ),
        StopReason::TimeLimit { used_ms, limit_ms } => {
            format!("the time limit is reached ({} of {}).", duration(*used_ms), duration(*limit_ms))
        }
        StopReason::NoPlan { problems } => {
            format!("no valid plan came out of the planner. The last one's problems: {}", problems.join("; "))
        }
        StopReason::Approval { instruction, question } => {
            format!("step {instruction} asks you: {question}")
        }
        StopReason::Model { why, .. } => format!("the model gave no answer: {why}"),
        StopReason::NoSandbox { why } => format!("nothing may be executed without a sandbox: {why}"),
        StopReason::Window { tokens, available } => format!(
            "a prompt of at least {tokens} tokens does not fit the model's window ({available} are available); use a model with a larger window or a shorter task."
        ),
        StopReason::Machine { why } => format!("the machine failed: {why}"),
        StopReason::Cancelled => "cancelled.".to_owned(),
    }
}
