//! A run as it is followed: folded once, then record by record. Every page of it, and every stream, looks at the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use edvac_agents::client::Usage;
use edvac_memory::ids::{EffectKey, InstructionId};
use edvac_memory::journal::{Journal as _, Record, RecordKind, Seq, SqliteJournal};
use edvac_memory::program::Program;
use edvac_memory::verdict::CheckReport;
use edvac_orchestrator::control::apply::{decoded, restored_to};
use edvac_orchestrator::control::effect::{Phase, phase_of};
use edvac_orchestrator::control::{Event, Purpose, RunState};
use edvac_orchestrator::driver::embedded::DriveError;
use edvac_orchestrator::live::{LiveReader, Partials};
use edvac_orchestrator::place::{PlaceError, RunDir};
use edvac_orchestrator::story::{checks_of, in_words, standing, talk, verdict_line};
use serde::Serialize;
use utoipa::ToSchema;

use super::connected::files_of;

/// Records read at once.
const BATCH: u32 = 256;
/// Characters of a line of the log; a check's reason can be long, and is whole at its step.
const LINE_CHARS_MAX: usize = 600;

/// Effects of no step that come before any is carried out.
const BEFORE_STEPS: [&str; 2] = ["adopt", "survey"];

/// A run that somebody looks at.
pub struct Watched {
    /// Where it is.
    pub dir: RunDir,
    /// What its journal folds to.
    pub state: RunState,
    /// What happened, a line each, the oldest first.
    pub log: Vec<LogLine>,
    /// Prompts that were put together.
    pub prompts: Vec<Prompt>,
    /// Replies that came.
    pub replies: Vec<Replied>,
    /// When something was being done.
    pub spans: Vec<Span>,
    /// Files that prompts of each step showed, whole or in part.
    pub shown: BTreeMap<u32, BTreeSet<String>>,
    /// When each version of the program came into force.
    pub versions: Vec<(u32, Seq, String)>,
    /// Records with which each step became another one, or was to be carried out again.
    pub changes: BTreeMap<u32, Vec<Seq>>,
    /// Records that took the run to an earlier one, and that one.
    pub restores: Vec<(Seq, Seq)>,
    /// The process that carries it out.
    pub writer: Option<u32>,
    /// Whether its directory was removed while it was watched.
    pub is_gone: bool,
    /// When it was last looked at.
    pub used: Instant,
    journal: SqliteJournal,
    live: LiveReader,
    open: BTreeMap<EffectKey, usize>,
}

/// One line of the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogLine {
    /// The record.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// Milliseconds since the run began.
    pub at_ms: i64,
    /// The step, where it is about one.
    #[schema(required)]
    pub step: Option<u32>,
    /// What happened.
    pub words: String,
    /// Checks that were executed: a mark and words each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
}

/// A prompt that was put together.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Prompt {
    /// The record that has it.
    #[schema(value_type = u64)]
    pub seq: Seq,
    /// The conversation's name.
    pub conversation: String,
    /// What it is about, in words.
    pub about: String,
    /// Its tokens.
    pub tokens: usize,
}

/// A reply that came.
#[derive(Clone, Debug, Serialize)]
pub struct Replied {
    /// The record that has it.
    pub seq: Seq,
    /// The conversation.
    #[serde(skip)]
    pub purpose: Purpose,
    /// Its name.
    pub conversation: String,
    /// What it cost.
    pub usage: Usage,
}

/// A time in which something was done.
#[derive(Clone, Debug, Serialize)]
pub struct Span {
    /// The part of the run: `plan`, a step's number, or `end`.
    pub of: String,
    /// `call`, `check`, …
    pub what: String,
    /// Milliseconds since the run began.
    pub from_ms: i64,
    /// The same; none while it is being done.
    pub to_ms: Option<i64>,
}

impl Watched {
    /// A run from its first record to its last.
    pub async fn open(dir: RunDir) -> Result<Self, PlaceError> {
        let mut watched = Self::unread(dir).await?;
        watched.refresh().await?;
        Ok(watched)
    }

    /// The run as it was after record `seq`, when nobody was looking.
    pub async fn then(&self, seq: Seq) -> Result<Self, PlaceError> {
        let mut then = Self::unread(self.dir.clone()).await?;
        while then.state.seq < seq {
            let batch = then.journal.read(then.state.seq, BATCH).await?;
            if batch.is_empty() {
                break;
            }
            for record in batch.iter().filter(|record| record.seq <= seq) {
                then.see(record).await?;
            }
        }
        // Somebody carried it out then, unless it had stopped.
        then.writer = Some(0).filter(|_| then.state.stopped.is_none() && then.state.ledger.is_none());
        Ok(then)
    }

    /// A run of which nothing is read yet.
    pub async fn unread(dir: RunDir) -> Result<Self, PlaceError> {
        let journal = SqliteJournal::view(&dir.path).await?;
        let live = LiveReader::new(dir.live_file());
        Ok(Self {
            state: RunState::default(),
            log: Vec::new(),
            prompts: Vec::new(),
            replies: Vec::new(),
            spans: Vec::new(),
            shown: BTreeMap::new(),
            versions: Vec::new(),
            changes: BTreeMap::new(),
            restores: Vec::new(),
            writer: None,
            is_gone: false,
            used: Instant::now(),
            open: BTreeMap::new(),
            dir,
            journal,
            live,
        })
    }

    /// Reads what was recorded since, and says whether anything was, or whether the process came or went.
    pub async fn refresh(&mut self) -> Result<bool, PlaceError> {
        self.used = Instant::now();
        // Before the records: a process that ends in between is seen to the next time.
        let writer = self.dir.writer();
        // An open journal is still read when its file is removed.
        let is_gone = !self.dir.is_there();
        let mut changed = writer != self.writer || is_gone != self.is_gone;
        self.writer = writer;
        self.is_gone = is_gone;
        if is_gone {
            return Ok(changed);
        }
        loop {
            let batch = self.journal.read(self.state.seq, BATCH).await?;
            if batch.is_empty() {
                return Ok(changed);
            }
            changed = true;
            for record in &batch {
                self.see(record).await?;
            }
        }
    }

    async fn see(&mut self, record: &Record) -> Result<(), PlaceError> {
        let event = decoded(record).map_err(DriveError::from)?;
        let is_program = matches!(event, Some(Event::ProgramAdopted { .. } | Event::Amended { .. }));
        let before = if is_program { self.state.program.clone() } else { None };
        if let Some(to) = restored_to(record) {
            self.restores.push((record.seq, to));
            self.state = self.state_at(record.seq).await?;
            self.state.settled.values_mut().flat_map(|settled| &mut settled.reports).for_each(without_output);
        } else {
            self.state.apply_decoded(record, event.as_ref());
        }
        let at_ms = record.time_ms - self.began_ms();
        self.span(record, at_ms);
        let Some(event) = event else { return Ok(()) };
        if let Some(before) = before {
            self.changed(record.seq, &before, &event);
        }
        self.note(record, &event);
        self.forget_output(&event);
        let phase = record.key.as_ref().map(phase_of);
        let by_key = phase.and_then(|phase| if let Phase::Step(id) = phase { Some(id) } else { None });
        self.log.push(LogLine {
            seq: record.seq,
            at_ms,
            step: event.instruction().or(by_key).map(|id| id.0),
            words: cut(in_words(&event)),
            checks: checks_of(&event).iter().map(|report| cut(verdict_line(report))).collect(),
        });
        Ok(())
    }

    /// What commands printed is in the journal, and is read there when a step is looked at: a run of hundreds of megabytes is
    /// followed in a few.
    fn forget_output(&mut self, event: &Event) {
        let reports = match event {
            Event::Committed { instruction, .. } => {
                self.state.settled.get_mut(instruction).map(|settled| &mut settled.reports)
            }
            Event::FinalChecked { .. } => self.state.final_reports.as_mut(),
            _ => None,
        };
        reports.into_iter().flatten().for_each(without_output);
    }

    /// Takes note of the steps that a new program has otherwise than the one before, and of those that begin again with it.
    fn changed(&mut self, seq: Seq, before: &Program, event: &Event) {
        let none = BTreeSet::new();
        let stale = if let Event::Amended { stale, .. } = event { stale } else { &none };
        for old in &before.instructions {
            if stale.contains(&old.id) || self.state.instruction(old.id) != Some(old) {
                self.changes.entry(old.id.0).or_default().push(seq);
            }
        }
    }

    /// Whether what is there now came of a record: it was not taken back since, or was brought again.
    pub fn is_in_force(&self, seq: Seq) -> bool {
        is_in_force(&self.restores, self.state.seq.max(seq), seq)
    }

    /// The version of the program in force at a record; 0 before the first.
    pub fn version_at(&self, seq: Seq) -> u32 {
        let known = self.versions.iter().rev().find(|(_, from, _)| *from <= seq);
        known.map_or(0, |(version, ..)| *version)
    }

    fn note(&mut self, record: &Record, event: &Event) {
        match event {
            Event::Assembled { purpose, fitted } => {
                if let Some(step) = purpose.instruction() {
                    let shown = self.shown.entry(step.0).or_default();
                    shown.extend(files_of(fitted).map(str::to_owned));
                }
                self.prompts.push(Prompt {
                    seq: record.seq,
                    conversation: purpose.to_string(),
                    about: talk(*purpose),
                    tokens: fitted.fragments.iter().map(|f| f.tokens).sum(),
                });
            }
            Event::Replied { purpose, reply, .. } => self.replies.push(Replied {
                seq: record.seq,
                purpose: *purpose,
                conversation: purpose.to_string(),
                usage: reply.usage,
            }),
            Event::ProgramAdopted { version, why, .. } | Event::Amended { version, why, .. } => {
                self.versions.push((*version, record.seq, why.clone()));
            }
            // Nobody goes on with what was in progress before.
            Event::Resumed { .. } => self.open.clear(),
            _ => {}
        }
    }

    fn span(&mut self, record: &Record, at_ms: i64) {
        let Some(key) = &record.key else { return };
        match record.kind {
            RecordKind::Intent => {
                let what = record.body.get("effect").and_then(|e| e.as_str()).unwrap_or("effect").to_owned();
                let of = match phase_of(key) {
                    Phase::Planning => "plan".to_owned(),
                    Phase::Step(id) => id.to_string(),
                    Phase::Rest if BEFORE_STEPS.contains(&what.as_str()) => "plan".to_owned(),
                    Phase::Rest => "end".to_owned(),
                };
                self.open.insert(key.clone(), self.spans.len());
                self.spans.push(Span { of, what, from_ms: at_ms, to_ms: None });
            }
            RecordKind::Result => {
                if let Some(at) = self.open.remove(key) {
                    self.spans[at].to_ms = Some(at_ms);
                }
            }
            RecordKind::Fact => {}
        }
    }

    /// When it was started, milliseconds since 1970.
    pub fn began_ms(&self) -> i64 {
        self.state.start.as_ref().map_or(self.state.time_ms, |start| start.time_ms)
    }

    /// The state after record `seq`.
    pub async fn state_at(&self, seq: Seq) -> Result<RunState, PlaceError> {
        let mut records = Vec::new();
        loop {
            let after = records.last().map_or(0, |record: &Record| record.seq);
            let batch = self.journal.read(after, BATCH).await?;
            let whole = batch.len() == BATCH as usize;
            records.extend(batch.into_iter().filter(|record| record.seq <= seq));
            if !whole || records.last().is_some_and(|last| last.seq >= seq) {
                break;
            }
        }
        Ok(RunState::of(&records).map_err(DriveError::from)?)
    }

    /// The event of a record, whole.
    pub async fn event(&self, seq: Seq) -> Result<Option<Event>, PlaceError> {
        let found = self.journal.read(seq.saturating_sub(1), 1).await?.pop();
        let record = found.filter(|record| record.seq == seq && record.kind != RecordKind::Intent);
        Ok(record.and_then(|record| serde_json::from_value(record.body).ok()))
    }

    /// The replies in progress.
    pub fn partials(&mut self) -> Partials {
        // A process that was killed leaves its last words behind.
        if self.writer.is_none() { Partials::new() } else { self.live.read().clone() }
    }

    /// How the run stands, in a word.
    pub fn status(&self) -> &'static str {
        if self.is_gone {
            return "gone";
        }
        standing(self.state.status(), self.writer.is_some())
    }

    /// Steps that are being carried out.
    pub fn in_progress(&self) -> Vec<InstructionId> {
        let alone = self.state.work.as_ref().map(|work| work.instruction);
        alone.into_iter().chain(self.state.open.keys().copied()).collect()
    }

    /// What is being done, as far as the journal says.
    pub fn doing(&self) -> Vec<&Span> {
        self.open.values().map(|at| &self.spans[*at]).collect()
    }
}

/// Whether a run that is at record `now`, after these restorations, came of record `seq`.
fn is_in_force(restores: &[(Seq, Seq)], mut now: Seq, seq: Seq) -> bool {
    // Each restoration leads to an earlier record, so this ends.
    while let Some((at, to)) = restores.iter().rev().find(|(at, _)| *at <= now) {
        if seq >= *at {
            return seq <= now;
        }
        now = *to;
    }
    seq <= now
}

fn without_output(report: &mut CheckReport) {
    report.output = String::new();
    report.detail = String::new();
    report.causes = Vec::new();
}

fn cut(line: String) -> String {
    if line.chars().count() <= LINE_CHARS_MAX {
        return line;
    }
    line.chars().take(LINE_CHARS_MAX).chain(['…']).collect()
}

/// A run that is watched, for whoever needs it next.
pub type Shared = Arc<tokio::sync::Mutex<Watched>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_not_in_force_until_it_is_brought_again() {
        let in_force = |restores: &[(Seq, Seq)], now| {
            (1..=now).filter(|seq| is_in_force(restores, now, *seq)).collect::<Vec<_>>()
        };
        assert_eq!(in_force(&[], 3), [1, 2, 3]);
        // At 6 back to 3; then 7.
        assert_eq!(in_force(&[(6, 3)], 7), [1, 2, 3, 6, 7]);
        // At 8 forward again to 5, which had been taken back.
        assert_eq!(in_force(&[(6, 3), (8, 5)], 9), [1, 2, 3, 4, 5, 8, 9]);
        // At 8 to 7, which came of the first restoration.
        assert_eq!(in_force(&[(6, 3), (8, 7)], 8), [1, 2, 3, 6, 7, 8]);
    }
}
