//! A step: what it was to do, and each attempt at it with its prompts, replies, edits and checks.

use std::collections::BTreeMap;

use edvac_agents::client::{Finish, Usage};
use edvac_memory::context::{Fitted, FragmentKind};
use edvac_memory::ids::InstructionId;
use edvac_memory::journal::Seq;
use edvac_memory::verdict::{CheckReport, Outcome, TestOutcome};
use edvac_orchestrator::control::event::ToolCalled;
use edvac_orchestrator::control::{Event, Purpose};
use edvac_orchestrator::ledger::describe;
use edvac_orchestrator::report::duration;
use edvac_orchestrator::story::word_of;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::trouble::Trouble;
use super::view::{self, StepRow};
use super::watched::Watched;

/// A step on its page.
#[derive(Serialize, ToSchema)]
pub(super) struct StepView {
    #[serde(flatten)]
    row: StepRow,
    /// What it was told to do.
    text: String,
    /// Files that it reads.
    reads: Vec<String>,
    /// What must hold at its end, in words.
    checks: Vec<String>,
    /// Its commit.
    #[schema(required)]
    commit: Option<String>,
    /// Replies that it took.
    calls: usize,
    /// Tokens that were sent for it.
    prompt_tokens: u64,
    /// Of these, not computed again.
    reused_tokens: u64,
    /// Tokens that were written for it.
    completion_tokens: u64,
    /// Its attempts, with all that was said.
    attempts_made: Vec<Attempt>,
    /// The step before it in the program.
    #[schema(required)]
    previous: Option<u32>,
    /// The step after it in the program.
    #[schema(required)]
    next: Option<u32>,
}

/// One attempt.
#[derive(Serialize, ToSchema)]
struct Attempt {
    /// Its place among those that are shown, from 1.
    place: usize,
    /// From 1; begins anew where the step does.
    number: u32,
    /// The version of the program that it was made under.
    version: u32,
    /// Why it counts no more, if so: the program was changed, or it was taken back.
    #[schema(required)]
    past: Option<String>,
    /// How often the step had begun anew before it.
    #[serde(skip)]
    era: usize,
    /// Its conversations, in the order in which they began.
    talks: Vec<Talk>,
}

/// One conversation: a prompt and what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversation)]
struct Talk {
    /// Its name in the journal.
    conversation: String,
    /// What it is for, in words.
    what: String,
    /// The record with the prompt.
    #[schema(value_type = u64)]
    seq: Seq,
    prompt: Composition,
    /// Its replies.
    turns: Vec<Turn>,
}

/// One reply and what was done with it.
#[derive(Default, Serialize, ToSchema)]
struct Turn {
    /// Its number, from 1.
    number: u32,
    /// The reply, verbatim.
    text: String,
    /// Whether it was cut.
    cut: bool,
    usage: Cost,
    /// How long it took, in words.
    took: String,
    /// What was done, a line each.
    applied: Vec<String>,
    /// What was not done and why, a line each.
    refused: Vec<String>,
    /// Tools of other programs that it called.
    called: Vec<CallView>,
    /// Whether checks were executed after it.
    checked: bool,
    /// These checks.
    checks: Vec<CheckView>,
    /// Requirements of the step that no passing test names.
    unproven: Vec<String>,
    /// What the machine said back.
    #[schema(required)]
    answer: Option<String>,
}

/// A call of a tool of another program. What it answered is in what the machine said back.
#[derive(Serialize, ToSchema)]
#[schema(as = ToolCall)]
struct CallView {
    /// The tool, with its server.
    tool: String,
    /// What it was given, as JSON.
    arguments: String,
    /// Whether it did not do what was asked.
    failed: bool,
    /// How long it took, in words.
    took: String,
}

impl From<ToolCalled> for CallView {
    fn from(called: ToolCalled) -> Self {
        Self {
            tool: called.tool,
            arguments: Value::Object(called.arguments).to_string(),
            failed: called.failed,
            took: duration(called.duration_ms),
        }
    }
}

/// What a reply cost.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Usage)]
struct Cost {
    /// Tokens sent.
    prompt_tokens: u64,
    /// Of these, not computed again.
    reused_tokens: u64,
    /// Of the reused, read from disk; absent where it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    restored_tokens: Option<u64>,
    /// Tokens written.
    completion_tokens: u64,
    /// Until the first token of the reply.
    prefill_ms: u64,
    /// From the first token to the last.
    decode_ms: u64,
    /// Whether the counts are estimates, because the endpoint gave none; absent where they are not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

impl From<Usage> for Cost {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            reused_tokens: usage.reused_tokens,
            restored_tokens: Some(usage.restored_tokens).filter(|tokens| *tokens > 0),
            completion_tokens: usage.completion_tokens,
            prefill_ms: usage.prefill_ms,
            decode_ms: usage.decode_ms,
            estimated: usage.estimated,
        }
    }
}

/// A check that was executed.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckResult)]
pub(super) struct CheckView {
    /// A sign for the verdict.
    sign: &'static str,
    /// `good`, `bad` or `idle`.
    class: &'static str,
    /// The verdict, in a word or two.
    verdict: &'static str,
    /// What was checked, in words.
    what: String,
    /// Why it did not pass.
    reason: String,
    /// The command line, where one was run.
    command: String,
    /// Its exit code; none where nothing ran or a signal ended it.
    #[schema(required)]
    exit_status: Option<i32>,
    /// How long it took, in words.
    took: String,
    /// Tests that the runner named.
    tests: Vec<TestView>,
    /// What was printed, as far as it was kept.
    output: String,
}

/// One test as its runner reported it.
#[derive(Serialize, ToSchema)]
#[schema(as = TestResult)]
struct TestView {
    /// The runner's full name for it.
    name: String,
    /// `passed`, `failed`, `skipped` or `flaky`.
    #[schema(value_type = String)]
    outcome: Outcome,
    /// Requirements that it names.
    covers: Vec<String>,
    /// Why its passing shows nothing; absent for a sound test.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    flaw: Option<String>,
}

impl From<&TestOutcome> for TestView {
    fn from(test: &TestOutcome) -> Self {
        Self {
            name: test.name.clone(),
            outcome: test.outcome,
            covers: test.covers.iter().map(ToString::to_string).collect(),
            flaw: test.flaw.clone(),
        }
    }
}

/// What a prompt is made of.
#[derive(Serialize, ToSchema)]
#[schema(as = PromptComposition)]
pub(super) struct Composition {
    /// Its tokens.
    tokens: usize,
    /// How many of them are of which kind.
    kinds: Vec<Kind>,
    /// Its pieces, in their order.
    fragments: Vec<Piece>,
    /// Pieces for which there was no room.
    left_out: Vec<Piece>,
}

/// All fragments of one kind, as a piece of the bar.
#[derive(Serialize, ToSchema)]
#[schema(as = PromptKind)]
struct Kind {
    /// The kind, in a word.
    #[serde(rename = "kind")]
    name: String,
    /// Its tokens.
    tokens: usize,
    /// Where it begins, in percent of the bar.
    x: f64,
    /// How long it is, in percent of the bar.
    width: f64,
}

/// A fragment.
#[derive(Serialize, ToSchema)]
#[schema(as = Fragment)]
struct Piece {
    /// Its kind, in a word.
    kind: String,
    /// Where it is from.
    source: String,
    /// Why it is there, or was left out.
    reason: String,
    /// Its tokens.
    tokens: usize,
    /// Its text; empty where it was left out.
    text: String,
}

/// The step with this number.
pub(super) async fn view(watched: &Watched, id: InstructionId) -> Result<StepView, Trouble> {
    let state = &watched.state;
    let instruction = state
        .instruction(id)
        .ok_or_else(|| Trouble::missing(format!("there is no step {id} in this run")))?;
    let rows = view::steps(watched);
    let at = rows.iter().position(|row| row.id == id.0).unwrap_or(0);
    let (previous, next) = (at.checked_sub(1).map(|at| rows[at].id), rows.get(at + 1).map(|row| row.id));
    let settled = state.settled.get(&id);
    let replies: Vec<_> =
        watched.replies.iter().filter(|reply| reply.purpose.instruction() == Some(id)).collect();
    let sum = |of: fn(&Usage) -> u64| replies.iter().map(|reply| of(&reply.usage)).sum();
    let mut attempts = Vec::new();
    let lines = watched.log.iter().filter(|line| line.step == Some(id.0));
    for seq in lines.map(|line| line.seq) {
        if let Some(event) = watched.event(seq).await? {
            take(&mut attempts, watched, id, seq, event);
        }
    }
    Ok(StepView {
        text: instruction.text.clone(),
        reads: instruction.reads.clone(),
        checks: instruction.checks.iter().map(|check| describe(&check.kind)).collect(),
        commit: settled.map(|settled| settled.commit.to_string()),
        calls: replies.len(),
        prompt_tokens: sum(|usage| usage.prompt_tokens),
        reused_tokens: sum(|usage| usage.reused_tokens),
        completion_tokens: sum(|usage| usage.completion_tokens),
        attempts_made: attempts,
        row: rows.into_iter().nth(at).ok_or_else(|| Trouble::missing("the program is empty"))?,
        previous,
        next,
    })
}

/// Puts an event where it belongs: events of a step come one after the other.
fn take(attempts: &mut Vec<Attempt>, watched: &Watched, id: InstructionId, seq: Seq, event: Event) {
    match event {
        Event::Assembled { purpose, fitted } => {
            let number = purpose.attempt().unwrap_or(1);
            let changes = watched.changes.get(&id.0).into_iter().flatten();
            let era = changes.filter(|at| **at < seq).count()
                + watched.restores.iter().filter(|(at, _)| *at < seq).count();
            if attempts.last().is_none_or(|last| (last.era, last.number) != (era, number)) {
                attempts.push(Attempt {
                    place: attempts.len() + 1,
                    number,
                    version: watched.version_at(seq),
                    past: past(watched, id, seq),
                    era,
                    talks: Vec::new(),
                });
            }
            if let Some(attempt) = attempts.last_mut() {
                attempt.talks.push(Talk {
                    conversation: purpose.to_string(),
                    what: what(purpose),
                    seq,
                    prompt: composition(&fitted),
                    turns: Vec::new(),
                });
            }
        }
        Event::Replied { turn, reply, .. } => {
            if let Some(talk) = attempts.last_mut().and_then(|attempt| attempt.talks.last_mut()) {
                talk.turns.push(Turn {
                    number: turn + 1,
                    text: reply.text,
                    cut: reply.finish != Finish::Stop,
                    took: duration(reply.usage.prefill_ms + reply.usage.decode_ms),
                    usage: reply.usage.into(),
                    ..Turn::default()
                });
            }
        }
        Event::Acted { applied, refused, answer, called, .. } => {
            if let Some(turn) = last_turn(attempts) {
                turn.called = called.into_iter().map(CallView::from).collect();
                (turn.applied, turn.refused, turn.answer) = (applied, refused, answer);
            }
        }
        Event::Checked { reports, unproven, answer, .. } => {
            if let Some(turn) = last_turn(attempts) {
                turn.checked = true;
                turn.checks = reports.iter().map(check).collect();
                turn.unproven = unproven;
                turn.answer = answer.or(turn.answer.take());
            }
        }
        _ => {}
    }
}

/// Why what was done for a step at a record counts no more.
fn past(watched: &Watched, id: InstructionId, seq: Seq) -> Option<String> {
    if !watched.is_in_force(seq) {
        return Some("it was taken back".to_owned());
    }
    let mut changes = watched.changes.get(&id.0).into_iter().flatten();
    let at = changes.find(|at| **at > seq && watched.is_in_force(**at))?;
    Some(format!("version {} of the program changed the step, or what it stands on", watched.version_at(*at)))
}

fn last_turn(attempts: &mut [Attempt]) -> Option<&mut Turn> {
    attempts.last_mut()?.talks.last_mut()?.turns.last_mut()
}

fn what(purpose: Purpose) -> String {
    match purpose {
        Purpose::Plan => "the plan".to_owned(),
        Purpose::Replan { .. } => "the plan again".to_owned(),
        Purpose::Work { restart: 0, .. } => "the step".to_owned(),
        Purpose::Work { restart, .. } => format!("the step, after summary {restart}"),
        Purpose::Repair { repair, .. } => format!("repair {repair}"),
        Purpose::Summarise { .. } => "summing up".to_owned(),
        Purpose::Review { .. } => "review of tests that are given up".to_owned(),
    }
}

/// A check for the eyes.
pub(super) fn check(report: &CheckReport) -> CheckView {
    let class = match (report.verdict.is_passed(), report.verdict.speaks_against()) {
        (true, _) => "good",
        (false, true) => "bad",
        (false, false) => "idle",
    };
    CheckView {
        sign: report.verdict.mark(),
        class,
        verdict: report.verdict.name(),
        what: describe(&report.check.kind),
        reason: report.verdict.reason().to_owned(),
        command: report.command.join(" "),
        exit_status: report.exit_status,
        took: duration(report.duration_ms),
        tests: report.tests.iter().map(TestView::from).collect(),
        output: if report.output.is_empty() { report.detail.clone() } else { report.output.clone() },
    }
}

/// What a prompt is made of, with all its texts.
pub(super) fn composition(fitted: &Fitted) -> Composition {
    let tokens: usize = fitted.fragments.iter().map(|fragment| fragment.tokens).sum();
    let mut by_kind: BTreeMap<FragmentKind, usize> = BTreeMap::new();
    for fragment in &fitted.fragments {
        *by_kind.entry(fragment.kind).or_default() += fragment.tokens;
    }
    let mut x = 0.0;
    let kinds = by_kind.into_iter().map(|(kind, own)| {
        let width = own as f64 * 100.0 / tokens.max(1) as f64;
        x += width;
        Kind { name: word_of(kind), tokens: own, x: x - width, width }
    });
    Composition {
        tokens,
        kinds: kinds.collect(),
        fragments: fitted
            .fragments
            .iter()
            .map(|f| Piece {
                kind: word_of(f.kind),
                source: f.source.clone(),
                reason: f.reason.clone(),
                tokens: f.tokens,
                text: f.text.clone(),
            })
            .collect(),
        left_out: fitted
            .left_out
            .iter()
            .map(|out| Piece {
                kind: word_of(out.kind),
                source: out.source.clone(),
                reason: out.why.clone(),
                tokens: out.tokens,
                text: String::new(),
            })
            .collect(),
    }
}
