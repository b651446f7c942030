//! A run as people watch it: lines for what happened, and one moving line for what is going on.
//!
//! Lines go to stderr; stdout is for results. Without a terminal nothing moves and only lines are printed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use edvac_agents::client::{Delta, Usage};
use edvac_memory::ids::{EffectKey, InstructionId};
use edvac_memory::journal::RecordKind;
use edvac_memory::program::{Control, Instruction};
use edvac_memory::verdict::{CheckReport, Verdict};
use edvac_orchestrator::control::budget::Tariff;
use edvac_orchestrator::control::event::Settlement;
use edvac_orchestrator::control::{Effect, Event, Purpose, RunState};
use edvac_orchestrator::ledger::describe;
use edvac_orchestrator::notice::Notice;
use edvac_orchestrator::price::{amount, terms};
use edvac_orchestrator::report::{conflicts_line, duration, packages_line};
use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::{bold, dim, for_stderr, terminal};

/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(120);

/// Watches one run.
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
    /// Steps in their order with their titles, once there is a program.
    steps: Vec<(InstructionId, String)>,
    /// What is being done, by its key in the journal.
    doing: BTreeMap<EffectKey, Doing>,
    /// The key of what is begun next.
    begun: Option<EffectKey>,
    /// What the model costs.
    tariff: Tariff,
}

/// One thing that is being done.
#[derive(Default)]
struct Doing {
    /// For which step.
    step: Option<InstructionId>,
    /// What, as the moving line begins.
    what: String,
    /// How far it is.
    detail: String,
    /// Since when the reply in progress is written.
    writing_since: Option<Instant>,
    /// Prompt tokens that were there before the first one was computed.
    reused: Option<usize>,
}

impl Progress {
    /// Begins to watch.
    pub fn new() -> Self {
        let bar = if terminal().animated { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            quiet: terminal().quiet,
            steps: Vec::new(),
            doing: BTreeMap::new(),
            begun: None,
            tariff: Tariff::default(),
        }
    }

    /// Takes note of a program that was in force before anybody watched.
    fn knows(&mut self, program: &edvac_memory::program::Program) {
        self.steps = program.instructions.iter().map(|i| (i.id, i.title.clone())).collect();
    }

    /// Takes note of a run as it stands before anybody watches.
    pub fn knows_run(&mut self, state: &RunState) {
        if let Some(start) = &state.start {
            self.tariff = start.tariff.clone();
            if self.tariff != Tariff::Free {
                self.line(&dim(&format!("  {}", terms(&self.tariff, &start.model.provider))));
            }
        }
        if let Some(program) = &state.program {
            self.knows(program);
        }
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        let text = for_stderr(text);
        if terminal().animated {
            self.bar.println(text);
        } else {
            // A reader that went away or a full disk must not end hours of work.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// The end of the moving line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Something new.
    pub fn see(&mut self, notice: &Notice) {
        match notice {
            Notice::Performing(effect) => self.begin(effect),
            Notice::Delta(purpose, delta) => self.delta(purpose.instruction(), delta),
            Notice::Note(text) => self.note(text),
            Notice::Recorded(record) => {
                match record.kind {
                    RecordKind::Intent => self.begun.clone_from(&record.key),
                    RecordKind::Result => drop(record.key.as_ref().and_then(|key| self.doing.remove(key))),
                    RecordKind::Fact => {}
                }
                if let Ok(event) = serde_json::from_value::<Event>(record.body.clone()) {
                    self.happened(&event);
                }
            }
        }
    }

    fn begin(&mut self, effect: &Effect) {
        let what = match effect {
            Effect::Assemble { purpose } => format!("{}: putting the prompt together", self.whose(*purpose)),
            Effect::Call { purpose, turn, .. } => format!("{}, reply {}", self.whose(*purpose), turn + 1),
            Effect::Act { purpose, .. } => format!("{}: doing what the reply says", self.whose(*purpose)),
            Effect::Install { needs, .. } => format!("installing {}", needs.names().join(", ")),
            Effect::Check { purpose, .. } => format!("{}: checks", self.whose(*purpose)),
            Effect::CheckMerged { instruction, .. } => {
                format!("{}: checks once more", self.step(*instruction))
            }
            Effect::CheckAll { .. } => "final checks".to_owned(),
            other => other.name().replace('_', " "),
        };
        if let Some(key) = self.begun.take() {
            self.doing.insert(key, Doing { step: effect.instruction(), what, ..Doing::default() });
        }
        self.show();
    }

    /// The moving line: what is being done and how far it is, of several things one after the other.
    fn show(&self) {
        let said = |doing: &Doing| match doing.detail.as_str() {
            "" => doing.what.clone(),
            detail => format!("{} · {detail}", doing.what),
        };
        self.bar.set_message(self.doing.values().map(said).collect::<Vec<_>>().join(" | "));
    }

    /// A note says how far the only thing is that is being done; of several nobody knows which one it is about.
    fn note(&mut self, text: &str) {
        if let [doing] = self.doing.values_mut().collect::<Vec<_>>().as_mut_slice() {
            text.clone_into(&mut doing.detail);
            self.show();
        }
    }

    fn whose(&self, purpose: Purpose) -> String {
        match purpose {
            Purpose::Plan => "planning".to_owned(),
            Purpose::Replan { .. } => "planning again".to_owned(),
            Purpose::Work { instruction, attempt, .. } => {
                let tries = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                format!("{}{tries}", self.step(instruction))
            }
            Purpose::Repair { instruction, repair, .. } => {
                format!("{}: repair {repair}", self.step(instruction))
            }
            Purpose::Review { instruction, .. } => {
                format!("{}: the reviewer on tests that are given up", self.step(instruction))
            }
            Purpose::Summarise { instruction, .. } => {
                format!("{}: summing up", self.step(instruction))
            }
        }
    }

    /// `step 2/5`; where steps are not numbered through, with the place among them: `step 9 (2/5)`.
    fn step(&self, id: InstructionId) -> String {
        let place = self.steps.iter().position(|(other, _)| *other == id).map_or(0, |at| at + 1);
        let all = self.steps.len();
        if place == id.0 as usize { format!("step {id}/{all}") } else { format!("step {id} ({place}/{all})") }
    }

    fn delta(&mut self, step: Option<InstructionId>, delta: &Delta) {
        let of = if self.doing.len() > 1 { self.of(step) } else { String::new() };
        let Some(doing) = self.doing.values_mut().find(|doing| doing.step == step) else { return };
        match delta {
            Delta::Prefill { done, total } => {
                let reused = *doing.reused.get_or_insert(*done);
                doing.detail =
                    format!("reading the prompt: {done} of {total} tokens, {reused} from the KV cache");
                self.show();
            }
            Delta::Text { tokens, .. } => {
                let since = *doing.writing_since.get_or_insert_with(Instant::now);
                let rate = *tokens as f64 / since.elapsed().as_secs_f64().max(0.1);
                doing.detail = format!("{tokens} tokens written, {rate:.1} a second");
                self.show();
            }
            Delta::Withdrawn { tokens } => {
                self.line(&dim(&format!(
                    "  {of}the reply goes round in circles; it goes on from its token {tokens}"
                )));
            }
            Delta::Retry { why, after } => {
                let seconds = after.as_secs_f64();
                self.line(&format!("  {of}the endpoint failed ({why}); again in {seconds:.1} s"));
            }
        }
    }

    /// Whose a line is, where several steps are in progress and the event says it.
    fn of(&self, step: Option<InstructionId>) -> String {
        step.map_or(String::new(), |id| format!("{}: ", self.step(id)))
    }

    fn happened(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run, domain, model, workspace, tariff, .. } => {
                self.tariff = tariff.clone().unwrap_or_default();
                self.line(&format!("run {run} · {domain} · {} · {workspace}", model.model));
            }
            Event::Surveyed { survey } => {
                let tests = survey.standing().unwrap_or_else(|| "none that can be run".to_owned());
                self.line(&format!("{} files are there; tests: {tests}", survey.files.len()));
            }
            Event::Replied { purpose, reply, .. } => {
                let usage = &reply.usage;
                self.line(&dim(&format!(
                    "  {}: {} prompt tokens ({} reused), {} written in {:.1} s{}",
                    self.whose(*purpose),
                    usage.prompt_tokens,
                    usage.reused_tokens,
                    usage.completion_tokens,
                    (usage.prefill_ms + usage.decode_ms) as f64 / 1000.0,
                    self.cost(usage),
                )));
            }
            Event::PlanRefused { problems, .. } => {
                self.line("  the plan cannot be used yet:");
                problems.iter().take(4).for_each(|p| self.line(&format!("    - {p}")));
            }
            Event::ProgramAdopted { program, version: 1, .. } => {
                self.knows(program);
                self.line(&program_lines(program));
            }
            Event::ProgramAdopted { program, version, why }
            | Event::Amended { program, version, why, .. } => {
                self.knows(program);
                let steps = program.instructions.len();
                self.line(&bold(&format!("plan, version {version}: {why}; {steps} steps now")));
            }
            Event::Weighed { report: Some(report), .. } => self.report("", report),
            Event::Acted { instruction, applied, refused, called, .. } => {
                let of = self.of(*instruction);
                for call in called {
                    let how = if call.failed { "failed" } else { "answered" };
                    self.line(&format!("  {of}{} {how} in {}", call.tool, duration(call.duration_ms)));
                }
                applied.iter().for_each(|a| self.line(&format!("  {of}{a}")));
                refused.iter().take(3).for_each(|r| self.line(&format!("  {of}refused: {r}")));
            }
            Event::Installed { needs, fault: Some(fault), .. } => {
                self.line(&format!("  could not install {}: {fault}", needs.names().join(", ")));
            }
            Event::Installed { packages, duration_ms, .. } => {
                self.line(&format!("  installed {} in {}", packages_line(packages), duration(*duration_ms)));
            }
            Event::Checked { instruction, reports, unproven, .. } => {
                let of = self.of(*instruction);
                reports.iter().for_each(|r| self.report(&of, r));
                if !unproven.is_empty() {
                    self.line(&format!("  {of}no passing test names {}", unproven.join(", ")));
                }
            }
            Event::Undeclared { instruction, paths, .. } => {
                let of = self.of(Some(*instruction));
                self.line(&format!("  {of}it changed what it does not declare: {}", paths.join(", ")));
            }
            Event::Conflicted { instruction, conflicts } => {
                let of = self.of(Some(*instruction));
                self.line(&format!("  {of}once more: {}", conflicts_line(conflicts)));
            }
            Event::MergeChecked { instruction, reports } => {
                let of = self.of(Some(*instruction));
                let failed = reports.iter().filter(|r| !r.verdict.is_passed());
                failed.for_each(|r| self.report(&format!("{of}once more: "), r));
            }
            Event::Committed { instruction, settlement, cut, commit, .. } => {
                let word = match (settlement, cut) {
                    (Settlement::Finished, _) => "finished".to_owned(),
                    (Settlement::Unfinished, None) => "UNFINISHED, the best tree is kept".to_owned(),
                    (Settlement::Unfinished, Some(cap)) => {
                        format!(
                            "UNFINISHED, its share of the {} is used up; the best tree is kept",
                            cap.words()
                        )
                    }
                };
                let title =
                    self.steps.iter().find(|(id, _)| id == instruction).map_or("", |(_, title)| title);
                let short = &commit.as_str()[..commit.as_str().len().min(10)];
                self.line(&bold(&format!("{} {title}: {word}, commit {short}", self.step(*instruction))));
            }
            _ => {}
        }
    }

    /// What a reply cost, where that is known and not nothing.
    fn cost(&self, usage: &Usage) -> String {
        match (self.tariff.currency(), self.tariff.cost_micros(usage)) {
            (Some(currency), Some(micros)) => format!(", {}", amount(micros, currency)),
            _ => String::new(),
        }
    }

    fn report(&self, of: &str, report: &CheckReport) {
        let what = format!("{of}{}", describe(&report.check.kind));
        let (mark, reason) = (report.verdict.mark(), report.verdict.reason());
        match &report.verdict {
            Verdict::Passed => self.line(&format!("  {mark} {what}")),
            Verdict::Failed { .. } | Verdict::NoEvidence { .. } => {
                self.line(&format!("  {mark} {what}: {reason}"));
            }
            other => self.line(&format!("  {mark} {what}: {}: {reason}", other.name())),
        }
    }
}

/// A program as people read it.
pub fn program_lines(program: &edvac_memory::program::Program) -> String {
    let mut out = vec![bold(&format!(
        "plan {}: {} requirements, {} steps",
        program.title,
        program.requirements.len(),
        program.instructions.len()
    ))];
    for requirement in &program.requirements {
        out.push(format!("  {}  {}", requirement.id, requirement.text));
    }
    for step in &program.instructions {
        let covers: Vec<_> = step.covers.iter().map(edvac_memory::ids::RequirementId::as_str).collect();
        let covers = if covers.is_empty() { String::new() } else { format!(" for {}", covers.join(", ")) };
        match &step.control {
            None => out.push(format!("  {}. {} → {}{covers}", step.id, step.title, step.writes.join(", "))),
            Some(control) => control_lines(step, control, 1, &mut out),
        }
    }
    out.join("\n")
}

/// What an instruction decides, and the steps in it, further in.
fn control_lines(step: &Instruction, control: &Control, deep: usize, out: &mut Vec<String>) {
    let indent = "  ".repeat(deep);
    let mut line = |text: String| out.push(format!("{indent}{}. {}: {text}", step.id, step.title));
    let bodies: Vec<(&str, &[Instruction])> = match control {
        Control::ForEach { list, items_max, body } => {
            line(format!("for each item of {list}, at most {items_max}"));
            vec![("", body)]
        }
        Control::If { condition, then, otherwise } => {
            line(format!("if {}", describe(condition)));
            vec![("", then), ("else", otherwise)]
        }
        Control::While { condition, rounds_max, body, .. } => {
            line(format!("while {}, at most {rounds_max} rounds", describe(condition)));
            vec![("", body)]
        }
        Control::Part { first, chapters, words_min, words_max, .. } => {
            let last = first + chapters.saturating_sub(1);
            line(format!("chapters {first} to {last} are planned, in {words_min} to {words_max} words each"));
            Vec::new()
        }
        Control::Chapter { beats, words_min, words_max, body } => {
            line(format!("{beats} beats are planned, in {words_min} to {words_max} words"));
            vec![("", body)]
        }
        Control::Replan { steps_max, .. } => {
            line(format!("what is left is planned again, at most {steps_max} steps"));
            Vec::new()
        }
        Control::Approve { question } => {
            line(format!("a person is asked: {question}"));
            Vec::new()
        }
    };
    for (name, body) in bodies.into_iter().filter(|(_, body)| !body.is_empty()) {
        if !name.is_empty() {
            out.push(format!("{indent}{name}"));
        }
        for inner in body {
            match &inner.control {
                None => {
                    out.push(format!(
                        "{indent}  {}. {} → {}",
                        inner.id,
                        inner.title,
                        inner.writes.join(", ")
                    ));
                }
                Some(control) => control_lines(inner, control, deep + 1, out),
            }
        }
    }
}
