//! Doing what a worker's reply asks for: all edits or none of them, then its questions.

use edvac_agents::protocol::{Action, Understood};
use edvac_agents::roles::feedback;
use edvac_agents::roles::reviewer::GivenUp;
use edvac_memory::ids::TreeId;
use edvac_memory::program::Retirement;
use edvac_memory::store::StoreError;

use super::edits::{Edited, edited, is_last_turn};
use super::{Performer, Trouble, instruction_of, program_of};
use crate::check;
use crate::control::decide::hands_in;
use crate::control::stuck;
use crate::control::{Event, Purpose, RunState};

/// Questions of one reply that are answered; the others are named.
const QUESTIONS_MAX: usize = 4;
/// The share of the window that the lines of one answer may have.
const READ_SHARE: usize = 8;
/// Bytes that a token of code has, about.
const TOKEN_BYTES: usize = 4;
/// Pieces a search answers with.
const HITS_MAX: usize = 4;

impl Performer {
    pub(super) async fn act(
        &self,
        purpose: Purpose,
        base: &TreeId,
        understood: &Understood,
        repeated: bool,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        self.has_room(base, understood, state)?;
        let Edited { tree, applied, refused, idle } = edited(&self.files, base, understood, repeated, state)?;
        let bytes_written = self.bytes_written(base, &tree, understood)?;
        let mut said = if !refused.is_empty() {
            vec![feedback::refused(&self.templates, &refused)?]
        } else if idle {
            vec![feedback::repeated(&self.templates)?]
        } else if !hands_in(&understood.actions) {
            self.answer(purpose, &tree, &understood.actions, &applied, state).await?
        } else {
            Vec::new()
        };
        if let Some(count) = state.work.as_ref().and_then(|work| stuck::idle(&work.talk.turns, tree != *base))
            && !said.is_empty()
        {
            let writes = &instruction_of(purpose, state)?.writes;
            said.push(feedback::unchanged(&self.templates, count, writes)?);
        }
        // After the last turn nobody reads an answer: what is there is checked instead.
        let answer = (!said.is_empty() && !is_last_turn(state)).then(|| feedback::join(&said));
        let answer_tokens = answer.as_deref().map_or(0, |a| self.client.count_tokens(a));
        let given_up = if answer.is_none() { self.given_up(purpose, &tree, state)? } else { Vec::new() };
        let needs = self.needs(&tree, state).await?;
        let instruction = state.focus;
        Ok(Event::Acted {
            instruction,
            tree,
            applied,
            bytes_written,
            needs,
            refused,
            answer,
            answer_tokens,
            given_up,
        })
    }

    /// Tests that a tree gives up, that its step may give up, and that the reviewer has not agreed to.
    fn given_up(&self, purpose: Purpose, tree: &TreeId, state: &RunState) -> Result<Vec<GivenUp>, Trouble> {
        let instruction = instruction_of(purpose, state)?;
        if instruction.retires.is_empty() {
            return Ok(Vec::new());
        }
        let runner = self.domain.runner(&program_of(state)?.language);
        let known = |r: &Retirement| state.inventory.tests.iter().any(|t| r.is_of(&t.path, &t.name));
        for unknown in instruction.retires.iter().filter(|r| !known(r)) {
            self.note(format!("the step may give up {}, and no earlier test is called that", unknown.test));
        }
        let now = self.inventories.of(self.files.as_ref(), tree, runner)?;
        Ok(self.counted(state)?.given_up(&now, &instruction.retires))
    }

    async fn answer(
        &self,
        purpose: Purpose,
        tree: &TreeId,
        actions: &[Action],
        applied: &[String],
        state: &RunState,
    ) -> Result<Vec<String>, Trouble> {
        let mut problems = Vec::new();
        let mut answers = Vec::new();
        let questions = actions
            .iter()
            .filter(|a| matches!(a, Action::Read { .. } | Action::Search { .. } | Action::Run { .. }));
        for (number, question) in questions.enumerate() {
            if number == QUESTIONS_MAX {
                problems.push(format!("Only {QUESTIONS_MAX} questions of a reply are answered."));
                break;
            }
            match question {
                Action::Read { path, lines } => match self.read(tree, path) {
                    Ok(text) => {
                        let bytes_max = self.window_tokens() / READ_SHARE * TOKEN_BYTES;
                        answers.push(feedback::read(&self.templates, path, &text, *lines, bytes_max)?);
                    }
                    Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                    Err(mistake) => problems.push(format!("{mistake}.")),
                },
                Action::Search { query } => {
                    let hits = self.search(tree, query, HITS_MAX, &[]).await?;
                    answers.push(feedback::searched(&self.templates, query, &hits)?);
                }
                Action::Run { command } => answers.push(self.run(tree, command, state).await?),
                _ => {}
            }
        }
        let mut said = Vec::new();
        if !applied.is_empty() {
            said.push(feedback::applied(&self.templates, applied)?);
        }
        said.extend(answers);
        if !problems.is_empty() {
            said.push(feedback::not_done(&self.templates, &problems)?);
        }
        if said.is_empty() {
            // Files that were there before are not to be written whole.
            let writes = &instruction_of(purpose, state)?.writes;
            let writes = if state.origin().is_some() { &[] } else { writes.as_slice() };
            said.push(feedback::idle(&self.templates, writes)?);
        }
        Ok(said)
    }

    fn read(&self, tree: &TreeId, path: &str) -> Result<String, StoreError> {
        let bytes = self.files().read(tree, path)?;
        String::from_utf8(bytes).map_err(|_| StoreError::NotText { path: path.to_owned() })
    }

    async fn run(&self, tree: &TreeId, command: &str, state: &RunState) -> Result<String, Trouble> {
        let sandbox = self.sandbox.as_ref().map_err(|refusal| Trouble::Sandbox(refusal.clone()))?;
        self.note(format!("running {command}"));
        let copy = self.copy_of(tree)?;
        let stock = self.supply(tree, state).await?.stock;
        let _running = self.running.lock().await;
        let ran = check::run_command(command, copy.path(), sandbox.as_ref(), stock.as_ref())
            .await
            .map_err(|e| Trouble::System(e.to_string()))?;
        let view =
            feedback::Ran { command, exit_status: ran.exit_status, limit: ran.limit, output: &ran.output };
        Ok(feedback::ran(&self.templates, &view)?)
    }

    /// The files of a tree in a directory that goes away with the value.
    pub(super) fn copy_of(&self, tree: &TreeId) -> Result<tempfile::TempDir, Trouble> {
        let system = |e: std::io::Error| Trouble::System(format!("making a scratch directory: {e}"));
        std::fs::create_dir_all(&self.scratch).map_err(system)?;
        let dir = tempfile::tempdir_in(&self.scratch).map_err(system)?;
        self.files().export(tree, dir.path())?;
        Ok(dir)
    }
}
