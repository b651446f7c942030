//! A run as spans: a pure view of its journal, one record after the other.
//!
//! A process that carries the run out is a span, `invoke_workflow`; the same run's later processes are spans of the same trace
//! beside it. Below it stand the planner's conversations and the steps, below a step its attempts, below an attempt the
//! conversations of its roles (`invoke_agent`), and below those what is done in them: prompts that are put together (`retrieval`),
//! model calls (`chat`), and whatever is executed (`execute_tool`). Every effect of the journal is one span at most.
//!
//! A span is handed out when it ends, after all that is below it. Where a process died, what was open ends with the last record that
//! it left, when the next one shows that nobody goes on with it. The same records always give the same spans in the same order.

mod effect;
mod open;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;

use edvac_agents::client::ClientInfo;
use edvac_memory::ids::{EffectKey, InstructionId, RunId};
use edvac_memory::journal::{Record, RecordKind, Seq};
use edvac_memory::program::Program;
use edvac_memory::verdict::CheckReport;
use edvac_orchestrator::control::apply::{FoldError, decoded};
use edvac_orchestrator::control::budget::Tariff;
use edvac_orchestrator::control::effect::site_of;
use edvac_orchestrator::control::{Event, Purpose, RunState, Settlement, StopReason};
use edvac_orchestrator::ledger::Standing;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;
use serde_json::json;

use self::effect::Pending;
use self::open::{Open, Parent};
use self::tree::Step;
use crate::content::Talk;
use crate::ids::{context, parent_of, trace_of};
use crate::measure::Measure;
use crate::semconv::{self as name, Names};

/// What spans say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Which names they use.
    pub names: Names,
    /// Whether they say what was asked and answered, not only how much.
    pub content: bool,
}

/// What came to its end with a record.
#[derive(Debug, Default)]
pub struct Seen {
    /// Spans, those below before those above.
    pub spans: Vec<SpanData>,
    /// What is counted.
    pub measures: Vec<Measure>,
    /// Whether all that was handed out before is of another run, of which this one is a fork.
    pub is_fork: bool,
}

/// A run as spans.
pub struct View {
    options: Options,
    run: RunId,
    trace: TraceId,
    /// The span of whoever asked for the run.
    parent: Option<SpanContext>,
    known: Known,
    /// The last record's time, which never goes back.
    now_ms: i64,
    seq: Seq,
    /// The record that spans end with: the last one of a process that died.
    end_seq: Seq,
    /// The process that carries the run out.
    piece: Option<Open>,
    /// The one before.
    last_piece: Option<SpanContext>,
    /// The planner's conversation.
    planning: Option<(Purpose, Open)>,
    steps: BTreeMap<InstructionId, Step>,
    effects: BTreeMap<EffectKey, Pending>,
    final_reports: Option<Vec<CheckReport>>,
    titles: BTreeMap<InstructionId, String>,
    /// Conversations with their prompts, where their content is asked for.
    talks: BTreeMap<String, Talk>,
    seen: Seen,
}

/// What is known of the run's models.
#[derive(Default)]
struct Known {
    domain: String,
    seed: u64,
    own: Option<(ClientInfo, Tariff)>,
    second: Option<(ClientInfo, Tariff)>,
}

impl Known {
    fn model(&self, is_second: bool) -> Option<&(ClientInfo, Tariff)> {
        self.second.as_ref().filter(|_| is_second).or(self.own.as_ref())
    }
}

/// Why what is open ends.
enum Ending<'a> {
    /// The process died.
    Interrupted,
    /// The run stopped.
    Stopped(&'a StopReason),
    /// The run is over.
    Over,
}

/// All spans of a run, from its records; what is open at the end is left out unless `is_over`: then nobody carries the run out, and
/// it ends as interrupted.
pub fn spans_of(records: &[Record], options: Options, is_over: bool) -> Result<Vec<SpanData>, FoldError> {
    let mut view = View::new(options);
    let mut spans = Vec::new();
    for record in records {
        let seen = view.see(record)?;
        if seen.is_fork {
            spans.clear();
        }
        spans.extend(seen.spans);
    }
    if is_over {
        spans.extend(view.end().spans);
    }
    Ok(spans)
}

impl View {
    /// A run of which nothing was seen yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            run: RunId(String::new()),
            trace: TraceId::INVALID,
            parent: None,
            known: Known::default(),
            now_ms: 0,
            seq: 0,
            end_seq: 0,
            piece: None,
            last_piece: None,
            planning: None,
            steps: BTreeMap::new(),
            effects: BTreeMap::new(),
            final_reports: None,
            titles: BTreeMap::new(),
            talks: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// The last record that was seen.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The trace, and the span of whoever asked for the run.
    pub fn trace(&self) -> (TraceId, Option<&SpanContext>) {
        (self.trace, self.parent.as_ref())
    }

    /// Sees the next record, and says what ended with it.
    pub fn see(&mut self, record: &Record) -> Result<Seen, FoldError> {
        let event = decoded(record)?;
        let before = (self.now_ms, self.seq);
        self.now_ms = record.time_ms.max(self.now_ms);
        (self.seq, self.end_seq) = (record.seq, record.seq);
        match (&event, &record.key) {
            (None, Some(key)) if record.kind == RecordKind::Intent => self.intent(key, record),
            (Some(event), Some(key)) => self.result(key, event),
            (Some(event), None) => self.fact(event, before),
            (None, _) => {}
        }
        Ok(std::mem::take(&mut self.seen))
    }

    /// Nobody goes on: what is open ends as interrupted, with the last record.
    pub fn end(&mut self) -> Seen {
        self.close(self.now_ms, &Ending::Interrupted);
        std::mem::take(&mut self.seen)
    }

    /// The process that carried the run out died with the record before.
    fn interrupt(&mut self, (before_ms, before_seq): (i64, Seq)) {
        let seq = std::mem::replace(&mut self.end_seq, before_seq);
        self.close(before_ms, &Ending::Interrupted);
        self.end_seq = seq;
    }

    fn fact(&mut self, event: &Event, before: (i64, Seq)) {
        match event {
            Event::RunStarted { run, task, domain, seed, edvac, traceparent, .. } => {
                self.run = run.clone();
                self.parent = traceparent.as_deref().and_then(parent_of);
                self.trace = self.parent.as_ref().map_or_else(|| trace_of(run), SpanContext::trace_id);
                self.known = Known { domain: domain.clone(), seed: *seed, ..Known::default() };
                self.learn_models(event);
                let piece = self.open_piece();
                piece.say(name::RUN_SEED, effect::int(*seed));
                piece.say(name::RUN_VERSION, edvac.clone());
                if self.options.content {
                    self.say_of_run(name::RUN_TASK, task.clone());
                }
            }
            Event::Resumed { .. } => {
                self.interrupt(before);
                self.learn_models(event);
                self.open_piece();
            }
            Event::Forked { run, .. } => {
                // What was copied is the other run's, and so are its spans.
                self.interrupt(before);
                self.seen = Seen { is_fork: true, ..Seen::default() };
                self.run = run.clone();
                (self.trace, self.parent) = (trace_of(run), None);
            }
            // What a person does to a run that nobody carries out.
            Event::Amended { program, .. } => {
                self.interrupt(before);
                self.learn_titles(program);
            }
            Event::Answered { .. } | Event::Restored { .. } => self.interrupt(before),
            Event::Stopped { why } => self.close(self.now_ms, &Ending::Stopped(why)),
            Event::ProgramAdopted { program, version, .. } => self.adopted(program, *version),
            _ => {}
        }
    }

    fn learn_models(&mut self, event: &Event) {
        if let Event::RunStarted { model, tariff, second, .. }
        | Event::Resumed { model, tariff, second, .. } = event
        {
            let tariff = tariff.clone().unwrap_or_else(|| Tariff::unsaid(&model.provider));
            self.known.own = Some((model.clone(), tariff));
            self.known.second = second.as_ref().map(|second| (second.model.clone(), second.tariff.clone()));
        }
    }

    fn learn_titles(&mut self, program: &Program) {
        if self.options.content {
            self.titles = program.instructions.iter().map(|i| (i.id, i.title.clone())).collect();
        }
    }

    fn adopted(&mut self, program: &Program, version: u32) {
        self.learn_titles(program);
        self.final_reports = None;
        let at_ms = self.now_ms;
        let steps = i64::try_from(program.instructions.len()).unwrap_or(i64::MAX);
        if let Some(piece) = &mut self.piece {
            let attributes = vec![
                KeyValue::new(name::PROGRAM_VERSION, i64::from(version)),
                KeyValue::new(name::PROGRAM_STEPS, steps),
            ];
            piece.event(name::PROGRAM_ADOPTED, at_ms, attributes);
        }
    }

    /// The span of the process that carries the run out from now on.
    fn open_piece(&mut self) -> &mut Open {
        let parent = self.parent.as_ref().map_or(Parent::None, |parent| Parent::Remote(parent.span_id()));
        let mut open =
            self.new_span("run", parent, format!("{} {}", name::INVOKE_WORKFLOW, self.known.domain));
        open.say(name::OPERATION_NAME, name::INVOKE_WORKFLOW);
        open.say(self.options.names.workflow_name(), self.known.domain.clone());
        open.say(name::RUN_DOMAIN, self.known.domain.clone());
        // The process before this one, of this run or of the one that it is a fork of.
        open.links.extend(self.last_piece.take().map(|before| Link::new(before, Vec::new(), 0)));
        self.piece.insert(open)
    }

    fn say_of_run(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(piece) = &mut self.piece {
            piece.say(key, value);
        }
    }

    /// Ends everything.
    fn close(&mut self, at_ms: i64, ending: &Ending<'_>) {
        let (error, status) = match ending {
            Ending::Interrupted => ("interrupted".to_owned(), Some(Status::error("interrupted"))),
            Ending::Stopped(why) => (effect::word(&json!(why), "reason"), None),
            Ending::Over => (String::new(), None),
        };
        for (_, pending) in std::mem::take(&mut self.effects) {
            self.fail(pending, at_ms, &error);
        }
        let at = Some(at_ms);
        self.close_planning(at);
        for (_, step) in std::mem::take(&mut self.steps) {
            self.close_step(step, at, status.clone());
        }
        self.talks.clear();
        let Some(mut piece) = self.piece.take() else { return };
        let status = match ending {
            Ending::Stopped(why) => {
                let stopped = RunState { stopped: Some((*why).clone()), ..RunState::default() };
                let standing = stopped.status();
                piece.say(name::RUN_STATUS, standing);
                piece.say(name::RUN_STOP_REASON, error.clone());
                self.seen.measures.push(Measure::Run { status: standing });
                is_failure(why).then(|| Status::error(error.clone()))
            }
            Ending::Interrupted => {
                piece.say(name::RUN_STATUS, "interrupted");
                status
            }
            Ending::Over => None,
        };
        if matches!(status, Some(Status::Error { .. })) {
            piece.say(name::ERROR_TYPE, error);
        }
        self.last_piece = Some(context(self.trace, piece.id));
        self.close_span(piece, at, status);
    }

    fn committed(&mut self, event: &Event) {
        let Event::Committed { instruction, settlement, commit, touched, .. } = event else { return };
        let is_finished = *settlement == Settlement::Finished;
        let outcome = if is_finished { "finished" } else { "unfinished" };
        self.seen.measures.push(Measure::Step { outcome });
        let Some(mut step) = self.steps.remove(instruction) else { return };
        let files = i64::try_from(touched.len()).unwrap_or(i64::MAX);
        let attributes = vec![
            KeyValue::new(name::COMMIT_ID, commit.to_string()),
            KeyValue::new(name::COMMIT_FILES, files),
        ];
        step.open.event(name::COMMITTED, self.now_ms, attributes);
        step.open.say(name::STEP_OUTCOME, outcome);
        step.open.last_ms = self.now_ms;
        let status = if is_finished { Status::Ok } else { Status::error(outcome) };
        self.close_step(step, None, Some(status));
    }

    fn finished(&mut self, event: &Event) {
        let Event::Finished { ledger } = event else { return };
        let met = i64::try_from(ledger.count(Standing::Met)).unwrap_or(i64::MAX);
        let all = i64::try_from(ledger.entries.len()).unwrap_or(i64::MAX);
        let final_reports = self.final_reports.take();
        let status = RunState { ledger: Some(ledger.clone()), final_reports, ..RunState::default() }.status();
        self.seen.measures.push(Measure::Run { status });
        if let Some(piece) = &mut self.piece {
            piece.say(name::RUN_STATUS, status);
            piece.say(name::REQUIREMENTS_MET, met);
            piece.say(name::REQUIREMENTS_COUNT, all);
            piece.status = if status == "done" { Status::Ok } else { Status::error(status) };
        }
        self.close(self.now_ms, &Ending::Over);
    }

    fn intent(&mut self, key: &EffectKey, record: &Record) {
        let site = site_of(key);
        let what = record.body.get("effect").and_then(|e| e.as_str()).unwrap_or_default();
        if what == "adopt" {
            self.close_planning(None);
        }
        let above = self.above(site, what);
        self.touch(site);
        if let Some(pending) = self.begin(key, site, what, above, &record.body) {
            // A key that is begun again was in flight in a process that is gone; what it began was closed with it.
            self.effects.insert(key.clone(), pending);
        }
    }

    fn result(&mut self, key: &EffectKey, event: &Event) {
        let site = site_of(key);
        self.touch(site);
        if let Event::FinalChecked { reports } = event {
            self.final_reports = Some(reports.clone());
        }
        self.remember(site, event);
        if let Some(pending) = self.effects.remove(key) {
            self.complete(pending, event);
        }
        match event {
            Event::Committed { .. } => self.committed(event),
            Event::Finished { .. } => self.finished(event),
            Event::ProgramAdopted { program, version, .. } => self.adopted(program, *version),
            _ => {}
        }
    }
}

/// Whether a run stops because something does not work, and not because somebody or a limit wants it to.
fn is_failure(why: &StopReason) -> bool {
    matches!(
        why,
        StopReason::NoPlan { .. }
            | StopReason::Model { .. }
            | StopReason::NoSandbox { .. }
            | StopReason::Window { .. }
            | StopReason::Machine { .. }
    )
}
