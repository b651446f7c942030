//! Putting a prompt together. It is journaled as fragments, so that every later turn, every resume and
//! `edvac context` sees the very same text.

use std::collections::BTreeMap;

use edvac_agents::roles::planner::PlanRules;
use edvac_agents::roles::{
    guide, outliner, packages, planner, repairer, reviewer, summariser, tools, worker, writer,
};
use edvac_memory::context::{ContextBudget, Fitted, Fragment, FragmentKind};
use edvac_memory::ids::{InstructionId, TreeId};
use edvac_memory::index::pack;
use edvac_memory::listing::listing;
use edvac_memory::program::{CheckKind, Control, Instruction, Requirement};

use super::{Performer, Trouble, instruction_of, program_of, repair_target};
use crate::control::event::Settlement;
use crate::control::state::Start;
use crate::control::{Event, Purpose, RunState};
use crate::dependencies::manifest_of;
use crate::plan::outline;

/// Words of the text before a section that its writer sees. Small models copy what they see.
const BEFORE_WORDS: usize = 60;
/// The listing's share of the window.
const LISTING_SHARE: usize = 12;
/// The share of what the project says to those who work on it.
const GUIDE_SHARE: usize = 10;
/// The share of tools of other programs.
const TOOLS_SHARE: usize = 8;
/// The share of all retrieved pieces.
const RETRIEVED_SHARE: usize = 10;
/// The share of a transcript that is summed up.
const TRANSCRIPT_SHARE: usize = 2;
/// The share of a change that is judged.
const DIFF_SHARE: usize = 3;
/// Pieces asked of the index.
const HITS_MAX: usize = 6;

impl Performer {
    pub(super) async fn assemble(&self, purpose: Purpose, state: &RunState) -> Result<Event, Trouble> {
        let start = state.start.as_ref().ok_or(Trouble::Misfit("the run has not started"))?;
        let mut fragments = match purpose {
            Purpose::Plan => match self.outline(state) {
                Some((chapters, given)) => {
                    outliner::fragments(&start.task, chapters, &given, &self.templates, &self.counter())?
                }
                None => self.planner_fragments(state, start).await?,
            },
            Purpose::Replan { instruction, .. } if let Some(outlined) = outlined(instruction, state) => {
                self.outlined_fragments(instruction, outlined, state, start)?
            }
            Purpose::Replan { instruction, .. } => self.replanner_fragments(instruction, state, start)?,
            Purpose::Work { attempt, .. } => self.worker_fragments(purpose, attempt, state, start).await?,
            Purpose::Repair { .. } => self.repairer_fragments(purpose, state)?,
            Purpose::Summarise { .. } => self.summariser_fragments(purpose, state)?,
            Purpose::Review { .. } => self.reviewer_fragments(purpose, state)?,
        };
        self.tell_of_packages(purpose, state, &mut fragments)?;
        match purpose {
            Purpose::Plan | Purpose::Replan { .. } => fragments.extend(self.guides(&[], state)?),
            Purpose::Work { .. } => {
                let Instruction { reads, writes, .. } = instruction_of(purpose, state)?;
                fragments.extend(self.guides(&[reads.as_slice(), writes].concat(), state)?);
            }
            _ => {}
        }
        let given_tokens = self.given_tokens(purpose, state)?;
        let fitted = self.fit(fragments, given_tokens, start)?;
        let without_room = fitted.left_out.iter().filter(|out| out.kind == FragmentKind::Tool).count();
        if without_room > 0 {
            self.note(format!(
                "{without_room} tools of other programs find no room in the prompt; `tools` of their servers chooses"
            ));
        }
        Ok(Event::Assembled { purpose, fitted })
    }

    /// Says which packages may be used, behind the rules of the domain, where a person allowed any.
    fn tell_of_packages(
        &self,
        purpose: Purpose,
        state: &RunState,
        fragments: &mut Vec<Fragment>,
    ) -> Result<(), Trouble> {
        let language = match (purpose, &state.program) {
            (Purpose::Work { .. }, Some(program)) => program.language.as_str(),
            // Which one the planner will choose is not known yet; mostly it is this one.
            (Purpose::Plan, _) => self.domain.language(""),
            _ => return Ok(()),
        };
        let packages = self.domain.packages(language);
        let at = fragments.iter().position(|f| f.kind == FragmentKind::Domain);
        if let Some(at) = at.filter(|_| state.allow_install && !packages.is_empty()) {
            let manifest = manifest_of(self.domain.runner(language));
            let told = packages::fragment(packages, manifest, &self.templates, &self.counter())?;
            fragments.insert(at + 1, told);
        }
        Ok(())
    }

    /// The window of the model, and who may have how much of it.
    fn budget(&self, start: &Start) -> ContextBudget {
        let window_tokens = self.window_tokens();
        ContextBudget {
            window_tokens,
            reply_tokens: start.limits.reply_tokens_max as usize,
            caps: BTreeMap::from([
                (FragmentKind::Guide, window_tokens / GUIDE_SHARE),
                (FragmentKind::Tool, window_tokens / TOOLS_SHARE),
                (FragmentKind::Listing, window_tokens / LISTING_SHARE),
                (FragmentKind::Retrieved, window_tokens / RETRIEVED_SHARE),
            ]),
        }
    }

    fn fit(&self, fragments: Vec<Fragment>, given_tokens: usize, start: &Start) -> Result<Fitted, Trouble> {
        let mut budget = self.budget(start);
        budget.reply_tokens += given_tokens;
        let mut fitted = budget.fit(fragments, &self.counter())?;
        fitted.given_tokens = given_tokens;
        // The nearest guide has the first claim on the room, and the root's, which all steps share, is read first.
        fitted.fragments.sort_by_key(|f| {
            let depth = if f.kind == FragmentKind::Guide { guide::depth(&f.source) } else { 0 };
            (f.kind, depth)
        });
        Ok(fitted)
    }

    /// What the planner is told; of a project that is there already, also its files, what it says of itself, and what in it
    /// the task may be about.
    async fn planner_fragments(&self, state: &RunState, start: &Start) -> Result<Vec<Fragment>, Trouble> {
        let counter = self.counter();
        let rules = self.plan_rules(state);
        let mut fragments = planner::fragments(&start.task, &rules, &self.templates, &counter)?;
        fragments.extend(tools::for_planner(self.tools.specs(), &self.templates, &counter)?);
        if start.origin.is_some() {
            let tree = tree_of(state)?;
            let readme = self.readme(&tree)?;
            let hits = self.search(&tree, &start.task, HITS_MAX, &self.shown_anyway(&tree)?).await?;
            let relevant: Vec<_> = hits.iter().map(|hit| hit.path.clone()).collect();
            let listing = self.listing(&tree, state, &relevant)?;
            fragments.push(worker::listing(&listing, &self.templates, &counter)?);
            fragments.extend(readme);
            fragments.extend(pack(&hits, self.window_tokens() / RETRIEVED_SHARE, &counter));
        }
        Ok(fragments)
    }

    /// The chapters that the run's book is outlined with, and its settled requirements; none where it is planned at once.
    pub(super) fn outline(&self, state: &RunState) -> Option<(u32, Vec<Requirement>)> {
        let task = &state.start.as_ref()?.task;
        outline::chapters(task, &self.domain).map(|count| (count, planner::given(task).requirements))
    }

    /// What is told of the part or the chapter whose turn it is.
    fn outlined_fragments(
        &self,
        id: InstructionId,
        outlined: Outlined,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let program = program_of(state)?;
        let beats = match outlined {
            Outlined::Beats(beats) => beats,
            Outlined::Chapters(chapters) => {
                let parts = outline::parts(program);
                let part = state.instruction(id).map_or("", |part| part.title.as_str());
                let view = outliner::PartView { task: &start.task, parts: &parts, part, chapters };
                return Ok(outliner::part(&view, &self.templates, &self.counter())?);
            }
        };
        let told = outline::told(program);
        let told = &told[told.len().saturating_sub(outline::TOLD_MAX)..];
        let tree = tree_of(state)?;
        let store = self.files();
        let canon = if store.list(&tree)?.contains_key(&self.domain.canon) {
            store.read(&tree, &self.domain.canon)?
        } else {
            Vec::new()
        };
        let canon = String::from_utf8_lossy(&canon);
        let ahead = outline::ahead(program);
        let (title, gist) = ahead.first().map_or(("", ""), |(title, gist)| (title.as_str(), gist.as_str()));
        let view = outliner::ChapterView { task: &start.task, title, gist, told, canon: &canon, beats };
        Ok(outliner::chapter(&view, &self.templates, &self.counter())?)
    }

    fn replanner_fragments(
        &self,
        asks: InstructionId,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let program = program_of(state)?;
        let ended = |how| {
            let of = move |i: &&Instruction| state.settled.get(&i.id).is_some_and(|s| s.settlement == how);
            program.instructions.iter().filter(of).collect::<Vec<_>>()
        };
        let (done, unfinished) = (ended(Settlement::Finished), ended(Settlement::Unfinished));
        let listing = self.listing(&tree_of(state)?, state, &[])?;
        let answer = state.answer.as_ref().filter(|a| a.instruction == asks).map(|a| a.reason.as_str());
        let shortfall = match state.instruction(asks).and_then(|i| i.control.as_ref()) {
            Some(Control::Replan { shortfall: Some(shortfall), .. }) => Some(shortfall.why.as_str()),
            _ => None,
        };
        let reason = answer.or(shortfall).unwrap_or_default();
        let unfinished = &unfinished;
        let view = planner::AgainView { program, done: &done, unfinished, listing: &listing, reason };
        let rules = self.replan_rules(asks, state);
        Ok(planner::again(&start.task, &view, &rules, &self.templates, &self.counter())?)
    }

    /// The domain's rules, with what the task settles itself.
    pub(super) fn plan_rules(&self, state: &RunState) -> PlanRules {
        let task = state.start.as_ref().map_or("", |start| start.task.as_str());
        let rules = self.domain.plan_rules(self.window_tokens()).with(planner::given(task));
        on_existing(rules, state)
    }

    /// The domain's rules, with no more steps than the instruction allows that asks for them.
    pub(super) fn replan_rules(&self, asks: InstructionId, state: &RunState) -> PlanRules {
        let requirements =
            state.program.as_ref().map(|program| program.requirements.clone()).unwrap_or_default();
        let given = planner::Given { requirements, ..planner::Given::default() };
        let rules = self.domain.plan_rules(self.window_tokens()).with(given);
        let control = state.instruction(asks).and_then(|i| i.control.as_ref());
        let steps_max = match control {
            Some(Control::Replan { steps_max, .. }) => rules.steps_max.min(*steps_max as usize),
            _ => rules.steps_max,
        };
        on_existing(PlanRules { steps_max, ..rules }, state)
    }

    /// The files of the last tree, within their share of the window.
    fn listing(&self, tree: &TreeId, state: &RunState, relevant: &[String]) -> Result<String, Trouble> {
        // A little less than the cap, for the words around it.
        let tokens_max = (self.window_tokens() / LISTING_SHARE).saturating_sub(32);
        let touched = touched(state);
        Ok(listing(self.files.as_ref(), tree, &touched, relevant, tokens_max, &self.counter())?)
    }

    async fn worker_fragments(
        &self,
        purpose: Purpose,
        attempt: u32,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let program = program_of(state)?;
        let instruction = instruction_of(purpose, state)?;
        if instruction.section().is_some() {
            return self.writer_fragments(instruction, state, start);
        }
        let tree = tree_for(attempt, state)?;
        if let Some(testing) = self.testing(instruction, &tree, state)? {
            return self.tester_fragments(&testing, state, start);
        }
        if let Some(coding) = self.coding(instruction, &tree, state)? {
            return self.coder_fragments(instruction, &coding, state, start);
        }
        let counter = self.counter();
        let window = self.window_tokens();
        let query = format!("{} {}", instruction.title, instruction.text);
        let calls = tools::named(self.tools.specs(), &query);
        let tools = tools::fragments(self.tools.specs(), &self.templates, &counter)?;
        let own: Vec<_> = instruction.reads.iter().chain(&instruction.writes).cloned().collect();
        let anyway = if start.origin.is_some() { self.shown_anyway(&tree)? } else { Vec::new() };
        let hits = self.search(&tree, &query, HITS_MAX, &[own.as_slice(), &anyway].concat()).await?;
        let retrieved = pack(&hits, window / RETRIEVED_SHARE, &counter);
        let relevant: Vec<_> = own.iter().cloned().chain(hits.into_iter().map(|hit| hit.path)).collect();
        let listing = self.listing(&tree, state, &relevant)?;
        let view = worker::WorkerView {
            task: &start.task,
            program,
            instruction,
            attempt,
            grammar: self.client.info().grammar,
            can_run: self.sandbox.is_ok() && self.domain.runs_commands(),
            calls: &calls,
            tests_run_by: self.domain.tests_run_by(&program.language),
            listing: &listing,
            files: &[],
            existing: start.origin.is_some(),
            retrieved: &retrieved,
            summary: state.work.as_ref().and_then(|w| w.summary.as_deref()),
        };
        // Files have what the rest leaves: what goes before them is what a worker cannot do without.
        let rest = worker::fragments(&view, &self.templates, &counter)?;
        let rest: usize = rest.iter().map(|fragment| fragment.tokens).sum();
        let told: usize = tools.iter().map(|fragment| fragment.tokens).sum();
        let guides: usize = self.guides(&own, state)?.iter().map(|fragment| fragment.tokens).sum();
        let taken = rest + guides.min(window / GUIDE_SHARE) + told.min(window / TOOLS_SHARE);
        let room = self.budget(start).available().saturating_sub(taken);
        let files = self.files_shown(instruction, &tree, room).await?;
        let told =
            worker::fragments(&worker::WorkerView { files: &files, ..view }, &self.templates, &counter)?;
        Ok(told.into_iter().chain(tools).collect())
    }

    fn writer_fragments(
        &self,
        instruction: &Instruction,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let tree = tree_of(state)?;
        let store = self.files();
        let known = store.list(&tree)?;
        let text = |path: &str| -> Result<String, Trouble> {
            let bytes = if known.contains_key(path) { store.read(&tree, path)? } else { Vec::new() };
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let path = instruction.writes.first().map_or("", String::as_str);
        // The first section follows on the chapter before, where the step reads it.
        let is_chapter = |path: &&String| self.domain.is_chapter(path) && known.contains_key(*path);
        let before =
            [path].into_iter().chain(instruction.reads.iter().filter(is_chapter).map(String::as_str));
        let before = before.into_iter().find(|path| known.contains_key(*path));
        let before = before.map(text).transpose()?.unwrap_or_default();
        let canon = if self.domain.canon.is_empty() { String::new() } else { text(&self.domain.canon)? };
        let (mut beat, mut words) = (instruction.title.as_str(), (0, 0));
        for check in &instruction.checks {
            match &check.kind {
                CheckKind::Outline { section: Some(_), beats, .. } => {
                    beat = beats.first().map_or(beat, String::as_str);
                }
                CheckKind::Words { section: Some(_), min, max, .. } => words = (*min, *max),
                _ => {}
            }
        }
        let view = writer::WriterView {
            task: &start.task,
            path,
            chapter: &instruction.text,
            beat,
            words,
            before: end_of(&before),
            canon: &canon,
            summary: state.work.as_ref().and_then(|work| work.summary.as_deref()),
            grammar: self.client.info().grammar,
        };
        Ok(writer::fragments(&view, &self.templates, &self.counter())?)
    }

    fn repairer_fragments(&self, purpose: Purpose, state: &RunState) -> Result<Vec<Fragment>, Trouble> {
        let work = state.work.as_ref().ok_or(Trouble::Misfit("nothing is being worked on"))?;
        let (fault, place) = repair_target(state)?;
        let told = self.told(purpose, state)?;
        let view = repairer::RepairerView {
            requirements: &program_of(state)?.requirements,
            instruction: instruction_of(purpose, state)?,
            told: &told,
            fault,
            place,
            anew: told.is_empty() && work.writes_anew(),
        };
        Ok(repairer::fragments(&view, &self.templates, &self.counter())?)
    }

    fn reviewer_fragments(&self, purpose: Purpose, state: &RunState) -> Result<Vec<Fragment>, Trouble> {
        let work = state.work.as_ref().ok_or(Trouble::Misfit("nothing is being worked on"))?;
        let before = state.tree.as_ref().ok_or(Trouble::Misfit("there is no tree"))?;
        let diff = self.files().diff(before, &work.tree)?;
        let view = reviewer::ReviewerView {
            instruction: instruction_of(purpose, state)?,
            requirements: &program_of(state)?.requirements,
            given_up: &work.review.given_up,
            diff: &diff,
            diff_tokens_max: self.window_tokens() / DIFF_SHARE,
        };
        Ok(reviewer::fragments(&view, &self.templates, &self.counter())?)
    }

    fn summariser_fragments(&self, purpose: Purpose, state: &RunState) -> Result<Vec<Fragment>, Trouble> {
        let work = state.work.as_ref().ok_or(Trouble::Misfit("nothing is being worked on"))?;
        // Of a repair that came to nothing there is nothing to tell.
        let past = work.past.iter().filter(|t| !t.refused);
        let turns: Vec<_> =
            past.chain(&work.talk.turns).map(|t| (t.reply.as_str(), t.answer.as_deref())).collect();
        let view = summariser::SummariserView {
            instruction: instruction_of(purpose, state)?,
            earlier: work.summary.as_deref(),
            turns: &turns,
            tokens_max: self.window_tokens() / TRANSCRIPT_SHARE,
        };
        Ok(summariser::fragments(&view, &self.templates, &self.counter())?)
    }
}

/// What of an outline is asked for.
#[derive(Clone, Copy)]
pub(super) enum Outlined {
    /// So many chapters of a part.
    Chapters(u32),
    /// So many beats of a chapter.
    Beats(u32),
}

/// What an instruction asks for, if it is a part or a chapter.
pub(super) fn outlined(id: InstructionId, state: &RunState) -> Option<Outlined> {
    match state.instruction(id)?.control {
        Some(Control::Part { chapters, .. }) => Some(Outlined::Chapters(chapters)),
        Some(Control::Chapter { beats, .. }) => Some(Outlined::Beats(beats)),
        _ => None,
    }
}

/// Rules for planning changes of what was there, where anything was.
fn on_existing(rules: PlanRules, state: &RunState) -> PlanRules {
    let Some(survey) = &state.survey else { return rules };
    let tests = survey.standing().map_or(String::new(), |standing| format!("Its tests: {standing}."));
    let known = [survey.language.clone()].into_iter().filter(|language| !language.is_empty());
    let languages: Vec<_> = known.collect();
    let languages = if languages.is_empty() { rules.languages.clone() } else { languages };
    PlanRules { languages, existing: Some(planner::Existing { tests }), ..rules }
}

/// The tree that the next prompt speaks of: of the work in progress, or the last committed one.
fn tree_of(state: &RunState) -> Result<TreeId, Trouble> {
    let work = state.work.as_ref().map(|w| w.tree.clone());
    work.or_else(|| state.tree.clone()).ok_or(Trouble::Misfit("there is no tree"))
}

/// The tree that the prompt of an attempt speaks of. The next candidate is told nothing of the one before it, which is still the
/// work in progress until the prompt is there.
pub(super) fn tree_for(attempt: u32, state: &RunState) -> Result<TreeId, Trouble> {
    let begins = state.work.as_ref().is_some_and(|work| work.is_candidate && attempt > work.attempt);
    match &state.tree {
        Some(committed) if begins => Ok(committed.clone()),
        _ => tree_of(state),
    }
}

/// Which instruction changed a file last.
fn touched(state: &RunState) -> BTreeMap<String, InstructionId> {
    let mut out = BTreeMap::new();
    for (id, settled) in &state.settled {
        out.extend(settled.touched.iter().map(|path| (path.clone(), *id)));
    }
    out
}

/// The last lines of a text, of about [`BEFORE_WORDS`] words together.
fn end_of(text: &str) -> &str {
    let mut words = 0;
    let mut from = text.len();
    for line in text.split_inclusive('\n').rev() {
        if words >= BEFORE_WORDS {
            break;
        }
        words += line.split_whitespace().count();
        from -= line.len();
    }
    &text[from..]
}
