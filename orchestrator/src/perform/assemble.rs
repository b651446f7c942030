//! Putting a prompt together. It is journaled as fragments, so that every later turn, every resume and
//! `edvac context` sees the very same text.

use std::collections::{BTreeMap, BTreeSet};

use edvac_agents::roles::worker::FileView;
use edvac_agents::roles::{packages, planner, repairer, reviewer, summariser, worker};
use edvac_memory::context::{ContextBudget, Fitted, Fragment, FragmentKind};
use edvac_memory::ids::{InstructionId, TreeId};
use edvac_memory::index::pack;
use edvac_memory::listing::listing;
use edvac_memory::program::Instruction;

use super::{Performer, Trouble, instruction_of, program_of, repair_target};
use crate::control::state::Start;
use crate::control::{Event, Purpose, RunState};
use crate::dependencies::manifest_of;

/// The listing's share of the window.
const LISTING_SHARE: usize = 12;
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
            Purpose::Plan => {
                let rules = self.domain.plan_rules(start.model.window_tokens);
                planner::fragments(&start.task, &rules, &self.templates, &self.counter())?
            }
            Purpose::Work { attempt, .. } => self.worker_fragments(purpose, attempt, state, start).await?,
            Purpose::Repair { .. } => self.repairer_fragments(purpose, state)?,
            Purpose::Summarise { .. } => self.summariser_fragments(purpose, state, start)?,
            Purpose::Review { .. } => self.reviewer_fragments(purpose, state, start)?,
        };
        self.tell_of_packages(purpose, state, &mut fragments)?;
        Ok(Event::Assembled { purpose, fitted: self.fit(fragments, start)? })
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

    fn fit(&self, fragments: Vec<Fragment>, start: &Start) -> Result<Fitted, Trouble> {
        let window_tokens = start.model.window_tokens;
        let budget = ContextBudget {
            window_tokens,
            reply_tokens: start.limits.reply_tokens_max as usize,
            caps: BTreeMap::from([
                (FragmentKind::Listing, window_tokens / LISTING_SHARE),
                (FragmentKind::Retrieved, window_tokens / RETRIEVED_SHARE),
            ]),
        };
        Ok(budget.fit(fragments, &self.counter())?)
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
        let tree = tree_of(state)?;
        let counter = self.counter();
        let window = start.model.window_tokens;
        let files = self.files_shown(instruction, &tree)?;
        let retrieved = {
            let shown: Vec<_> = files.iter().map(|f| f.path.clone()).collect();
            self.index.sync(self.files.as_ref(), &tree).await?;
            let query = format!("{} {}", instruction.title, instruction.text);
            let hits = self.index.search(&query, HITS_MAX, &shown).await?;
            pack(&hits, window / RETRIEVED_SHARE, &counter)
        };
        // A little less than the cap, for the words around the listing.
        let listing_tokens_max = (window / LISTING_SHARE).saturating_sub(32);
        let listing = listing(self.files.as_ref(), &tree, &touched(state), listing_tokens_max, &counter)?;
        let view = worker::WorkerView {
            task: &start.task,
            program,
            instruction,
            attempt,
            grammar: self.client.info().grammar,
            can_run: self.sandbox.is_ok() && self.domain.runs_commands(),
            tests_run_by: self.domain.tests_run_by(&program.language),
            listing: &listing,
            files: &files,
            retrieved: &retrieved,
            summary: state.work.as_ref().and_then(|w| w.summary.as_deref()),
        };
        Ok(worker::fragments(&view, &self.templates, &counter)?)
    }

    /// Files the instruction reads, and those it writes that are there already.
    fn files_shown(&self, instruction: &Instruction, tree: &TreeId) -> Result<Vec<FileView>, Trouble> {
        let store = self.files();
        let known = store.list(tree)?;
        let mut seen = BTreeSet::new();
        let mut views = Vec::new();
        let reads = instruction.reads.iter().map(|path| (path, "the step reads it"));
        let writes = instruction.writes.iter().map(|path| (path, "the step writes it"));
        for (path, reason) in reads.chain(writes) {
            if known.contains_key(path) && seen.insert(path) {
                let bytes = store.read(tree, path)?;
                if let Ok(text) = String::from_utf8(bytes) {
                    views.push(FileView::whole(path.clone(), text, reason));
                }
            }
        }
        Ok(views)
    }

    fn repairer_fragments(&self, purpose: Purpose, state: &RunState) -> Result<Vec<Fragment>, Trouble> {
        let work = state.work.as_ref().ok_or(Trouble::Misfit("nothing is being worked on"))?;
        let (fault, place) = repair_target(state)?;
        let view = repairer::RepairerView {
            requirements: &program_of(state)?.requirements,
            instruction: instruction_of(purpose, state)?,
            fault,
            place,
            anew: work.writes_anew(),
        };
        Ok(repairer::fragments(&view, &self.templates, &self.counter())?)
    }

    fn reviewer_fragments(
        &self,
        purpose: Purpose,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let work = state.work.as_ref().ok_or(Trouble::Misfit("nothing is being worked on"))?;
        let before = state.tree.as_ref().ok_or(Trouble::Misfit("there is no tree"))?;
        let diff = self.files().diff(before, &work.tree)?;
        let view = reviewer::ReviewerView {
            instruction: instruction_of(purpose, state)?,
            requirements: &program_of(state)?.requirements,
            given_up: &work.review.given_up,
            diff: &diff,
            diff_tokens_max: start.model.window_tokens / DIFF_SHARE,
        };
        Ok(reviewer::fragments(&view, &self.templates, &self.counter())?)
    }

    fn summariser_fragments(
        &self,
        purpose: Purpose,
        state: &RunState,
        start: &Start,
    ) -> Result<Vec<Fragment>, Trouble> {
        let work = state.work.as_ref().ok_or(Trouble::Misfit("nothing is being worked on"))?;
        // Of a repair that came to nothing there is nothing to tell.
        let past = work.past.iter().filter(|t| !t.refused);
        let turns: Vec<_> =
            past.chain(&work.talk.turns).map(|t| (t.reply.as_str(), t.answer.as_deref())).collect();
        let view = summariser::SummariserView {
            instruction: instruction_of(purpose, state)?,
            earlier: work.summary.as_deref(),
            turns: &turns,
            tokens_max: start.model.window_tokens / TRANSCRIPT_SHARE,
        };
        Ok(summariser::fragments(&view, &self.templates, &self.counter())?)
    }
}

/// The tree that the next prompt speaks of: of the work in progress, or the last committed one.
fn tree_of(state: &RunState) -> Result<TreeId, Trouble> {
    let work = state.work.as_ref().map(|w| w.tree.clone());
    work.or_else(|| state.tree.clone()).ok_or(Trouble::Misfit("there is no tree"))
}

/// Which instruction changed a file last.
fn touched(state: &RunState) -> BTreeMap<String, InstructionId> {
    let mut out = BTreeMap::new();
    for (id, settled) in &state.settled {
        out.extend(settled.touched.iter().map(|path| (path.clone(), *id)));
    }
    out
}
