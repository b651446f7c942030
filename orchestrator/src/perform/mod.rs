//! Performing effects: one file a kind. What is performed was decided in [`crate::control`]; nothing here decides
//! what comes next.

mod act;
mod assemble;
mod call;
mod check;
mod coding;
pub(crate) mod commit;
pub(crate) mod edits;
mod install;
mod left;
pub(crate) mod merge;
mod shown;
mod survey;
mod testing;
mod weigh;
mod written;

pub use left::Left;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edvac_agents::client::{Cancel, ModelClient, ModelError};
use edvac_agents::templates::{TemplateError, Templates};
use edvac_memory::context::{Overflow, TokenCounter};
use edvac_memory::fault::{Fault, Place};
use edvac_memory::ids::{EffectKey, TreeId};
use edvac_memory::index::{Hit, IndexError, MemoryIndex};
use edvac_memory::journal::JournalError;
use edvac_memory::program::{Instruction, Program};
use edvac_memory::store::{FileStore, StoreError};

use crate::check::Inventories;
use crate::control::state::Work;
use crate::control::{Effect, Event, Purpose, RunState, StopReason};
use crate::dependencies::{Shelf, There};
use crate::domain::Domain;
use crate::ledger::Ledger;
use crate::notice::{Notice, Notices};
use crate::sandbox::{Refusal, Sandbox};
use crate::tools::Toolbox;

/// Why an effect has no result. The run stops with it and can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The templates.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What cannot be left out of a prompt does not fit.
    #[error(transparent)]
    Window(#[from] Overflow),
    /// What a reply writes does not fit into what the run may write.
    #[error("the run may not write so many bytes")]
    Room(StopReason),
    /// No sandbox.
    #[error("{}", .0.why)]
    Sandbox(Refusal),
    /// An effect that does not belong to the state; a defect of ours.
    #[error("the effect does not fit the run's state: {0}")]
    Misfit(&'static str),
    /// The operating system.
    #[error("{0}")]
    System(String),
}

impl Trouble {
    /// As a reason to stop.
    pub fn into_stop(self) -> StopReason {
        match self {
            Self::Model(ModelError::Cancelled) => StopReason::Interrupted,
            Self::Model(ModelError::Overflow { prompt_tokens, window_tokens }) => {
                StopReason::Window { tokens: prompt_tokens, available: window_tokens }
            }
            Self::Model(error) => StopReason::Model { why: error.to_string(), unread: error.is_unread() },
            Self::Room(why) => why,
            Self::Window(Overflow { tokens, available }) => StopReason::Window { tokens, available },
            Self::Sandbox(refusal) => {
                StopReason::NoSandbox { why: format!("{} {}", refusal.why, refusal.fix) }
            }
            other => StopReason::Machine { why: other.to_string() },
        }
    }
}

/// The store as everybody here shares it.
pub type Files = Arc<Mutex<Box<dyn FileStore>>>;

/// Counts tokens as the run's model does.
pub struct Counter(pub Arc<dyn ModelClient>);

impl TokenCounter for Counter {
    fn count(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }
}

/// Everything that effects act upon. A copy acts upon the same.
#[derive(Clone)]
pub struct Performer {
    /// The versioned files.
    pub files: Files,
    /// The model.
    pub client: Arc<dyn ModelClient>,
    /// The model that is asked where the first came to nothing.
    pub second: Option<Arc<dyn ModelClient>>,
    /// Search over the files.
    pub index: Arc<dyn MemoryIndex>,
    /// All texts.
    pub templates: Arc<Templates>,
    /// The run's domain.
    pub domain: Arc<Domain>,
    /// Where code runs; the reason why it cannot, otherwise.
    pub sandbox: Result<Arc<dyn Sandbox>, Refusal>,
    /// The tests of the last few trees.
    pub inventories: Arc<Inventories>,
    /// What unfinished steps left failing.
    pub left: Arc<Left>,
    /// Packages that were installed, by this run or another.
    pub shelf: Shelf,
    /// Packages that need not be.
    pub there: Arc<There>,
    /// Tools of other programs.
    pub tools: Arc<Toolbox>,
    /// A directory of ours for copies of trees; what is in it can be lost.
    pub scratch: PathBuf,
    /// Held while the index is asked: it holds one tree at a time, and several instructions have each their own.
    pub asking: Arc<tokio::sync::Mutex<()>>,
    /// Held while a command of the project runs: a service has its port for itself, and limits of time are for one alone.
    pub running: Arc<tokio::sync::Mutex<()>>,
    /// For the eyes.
    pub notices: Notices,
    /// Turns true when the reply in progress is not wanted any more.
    pub cancel: Cancel,
}

impl Performer {
    /// Performs `effect`, with the model that its conversation is held with. Performing it again gives the same result, or one
    /// that is as good.
    pub async fn perform(
        &self,
        key: &EffectKey,
        effect: &Effect,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        let asks_second = effect.purpose().is_some_and(|purpose| state.asks_second(purpose));
        match self.second.as_ref().filter(|_| asks_second) {
            Some(second) => {
                Self { client: Arc::clone(second), ..self.clone() }.perform_with_own(key, effect, state).await
            }
            None => self.perform_with_own(key, effect, state).await,
        }
    }

    async fn perform_with_own(
        &self,
        key: &EffectKey,
        effect: &Effect,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        match effect {
            Effect::Survey { tree, .. } => self.survey(tree, state).await,
            Effect::Assemble { purpose } => self.assemble(*purpose, state).await,
            Effect::Call { purpose, turn, .. } => self.call(*purpose, *turn, state).await,
            Effect::RefusePlan { problems, .. } => {
                let answer = edvac_agents::roles::feedback::plan_refused(&self.templates, problems)?;
                let answer_tokens = self.client.count_tokens(&answer);
                Ok(Event::PlanRefused { problems: problems.clone(), answer, answer_tokens })
            }
            Effect::Adopt { program, version, why } => {
                Ok(Event::ProgramAdopted { program: program.clone(), version: *version, why: why.clone() })
            }
            Effect::Weigh { instruction, tree, .. } => self.weigh(*instruction, tree, state).await,
            Effect::Act { purpose, base, understood, repeated, .. } => {
                let begun = state.reaching_out.get(key).copied().unwrap_or(0);
                let reply = act::Reply { purpose: *purpose, understood, repeated: *repeated, begun };
                self.act(&reply, base, state).await
            }
            Effect::Install { needs, .. } => self.install(needs).await,
            Effect::Check { purpose, tree, opinion, .. } => {
                self.check(*purpose, tree, opinion.as_ref(), state).await
            }
            Effect::Merge { instruction, ended, base, onto, reads, writes, admitted } => {
                let (instruction, admitted) = (*instruction, *admitted);
                let parts = merge::Parts { instruction, ended, base, onto, reads, writes, admitted };
                Ok(merge::merged(&self.files, &parts, state)?)
            }
            Effect::CheckMerged { instruction, tree } => self.check_merged(*instruction, tree, state).await,
            Effect::Commit { instruction, attempt, settlement, cut, parent, tree, time_s } => {
                let parts = commit::Parts {
                    instruction: *instruction,
                    attempt: *attempt,
                    settlement: *settlement,
                    cut: *cut,
                    parent: parent.as_ref(),
                    tree,
                    time_s: *time_s,
                };
                self.commit(&parts, state).await
            }
            Effect::CheckAll { tree, .. } => self.check_all(tree, state).await,
            Effect::Finish => {
                let program = program_of(state)?;
                let reports = state.final_reports.as_deref().unwrap_or_default();
                Ok(Event::Finished { ledger: Ledger::weigh(program, reports) })
            }
            Effect::Stop { .. } => Err(Trouble::Misfit("a stop is recorded, not performed")),
        }
    }

    /// The store, for as long as the guard lives; never held over an await.
    pub fn files(&self) -> MutexGuard<'_, Box<dyn FileStore>> {
        locked(&self.files)
    }

    /// The best pieces of a tree for a query.
    async fn search(
        &self,
        tree: &TreeId,
        query: &str,
        hits_max: usize,
        exclude: &[String],
    ) -> Result<Vec<Hit>, IndexError> {
        let _asking = self.asking.lock().await;
        self.index.sync(self.files.as_ref(), tree).await?;
        self.index.search(query, hits_max, exclude).await
    }

    /// The best pieces of one file of it.
    async fn search_in(
        &self,
        tree: &TreeId,
        path: &str,
        query: &str,
        hits_max: usize,
    ) -> Result<Vec<Hit>, IndexError> {
        let _asking = self.asking.lock().await;
        self.index.sync(self.files.as_ref(), tree).await?;
        self.index.search_in(path, query, hits_max).await
    }

    fn window_tokens(&self) -> usize {
        self.client.info().window_tokens
    }

    fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.client))
    }

    fn note(&self, text: impl Into<String>) {
        self.notices.send(Notice::Note(text.into()));
    }
}

/// The store, for as long as the guard lives.
pub(crate) fn locked(files: &Files) -> MutexGuard<'_, Box<dyn FileStore>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

fn program_of(state: &RunState) -> Result<&Program, Trouble> {
    state.program.as_ref().ok_or(Trouble::Misfit("there is no program"))
}

/// What a repair is about.
fn repair_target(state: &RunState) -> Result<(&Fault, &Place), Trouble> {
    state.work.as_ref().and_then(Work::target).ok_or(Trouble::Misfit("there is nothing to repair"))
}

/// The instruction a conversation is about.
fn instruction_of(purpose: Purpose, state: &RunState) -> Result<&Instruction, Trouble> {
    match purpose {
        Purpose::Plan | Purpose::Replan { .. } => Err(Trouble::Misfit("planning has no instruction")),
        Purpose::Work { instruction, .. }
        | Purpose::Repair { instruction, .. }
        | Purpose::Summarise { instruction, .. }
        | Purpose::Review { instruction, .. } => {
            state.instruction(instruction).ok_or(Trouble::Misfit("the program has no such instruction"))
        }
    }
}
