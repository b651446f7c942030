//! Doing what a worker's reply asks for: all edits or none of them, then its questions.

use std::time::Instant;

use edvac_agents::client::ModelError;
use edvac_agents::protocol::{Action, Understood};
use edvac_agents::roles::feedback;
use edvac_agents::roles::reviewer::GivenUp;
use edvac_memory::ids::TreeId;
use edvac_memory::program::Retirement;
use edvac_memory::store::StoreError;

use serde_json::{Map, Value};

use super::edits::{Edited, edited, is_last_turn};
use super::{Performer, Trouble, instruction_of, program_of};
use crate::check;
use crate::control::decide::hands_in;
use crate::control::event::ToolCalled;
use crate::control::stuck;
use crate::control::{Event, Purpose, RunState};
use crate::tools::ToolAnswer;

/// Questions of one reply that are answered; the others are named.
const QUESTIONS_MAX: usize = 4;
/// The share of the window that the lines of one answer may have.
const READ_SHARE: usize = 8;
/// Bytes that a token of code has, about.
const TOKEN_BYTES: usize = 4;
/// Pieces a search answers with.
const HITS_MAX: usize = 4;

/// What the model is told of a call that may have been made, by a process that died.
const INTERRUPTED: &str = "edvac was interrupted at this call. Whether it was made is not known, and it was not made again. Look \
                           first; call again only if what you wanted is not there.";

/// A reply whose turn it is.
pub(super) struct Reply<'a> {
    pub(super) purpose: Purpose,
    pub(super) understood: &'a Understood,
    /// Whether this very reply was given before in this attempt.
    pub(super) repeated: bool,
    /// How often it was begun, if it calls tools of other programs: a second time after a process died.
    pub(super) begun: u32,
}

impl Performer {
    pub(super) async fn act(
        &self,
        reply: &Reply<'_>,
        base: &TreeId,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        let Reply { purpose, understood, repeated, .. } = *reply;
        self.has_room(base, understood, state)?;
        let Edited { tree, applied, refused, idle } = edited(&self.files, base, understood, repeated, state)?;
        let bytes_written = self.bytes_written(base, &tree, understood)?;
        let mut called = Vec::new();
        let mut said = if !refused.is_empty() {
            vec![feedback::refused(&self.templates, &refused)?]
        } else if idle {
            vec![feedback::repeated(&self.templates)?]
        } else if !hands_in(&understood.actions) {
            self.answer(reply, &tree, &applied, &mut called, state).await?
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
            called,
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
        reply: &Reply<'_>,
        tree: &TreeId,
        applied: &[String],
        called: &mut Vec<ToolCalled>,
        state: &RunState,
    ) -> Result<Vec<String>, Trouble> {
        let mut problems = Vec::new();
        let mut answers = Vec::new();
        let questions = reply.understood.actions.iter().filter(|action| action.is_question());
        for (number, question) in questions.enumerate() {
            if number == QUESTIONS_MAX {
                problems.push(format!("Only {QUESTIONS_MAX} questions of a reply are answered."));
                break;
            }
            match question {
                Action::Read { path, lines } => match self.read(tree, path) {
                    Ok(text) => {
                        let bytes_max = self.answer_bytes_max();
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
                Action::Call { tool, arguments } => {
                    answers.push(self.call_tool(reply, tool, arguments, called).await?);
                }
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
            let writes = &instruction_of(reply.purpose, state)?.writes;
            let writes = if state.origin().is_some() { &[] } else { writes.as_slice() };
            said.push(feedback::idle(&self.templates, writes)?);
        }
        Ok(said)
    }

    /// Bytes that one answer may have.
    fn answer_bytes_max(&self) -> usize {
        self.window_tokens() / READ_SHARE * TOKEN_BYTES
    }

    async fn call_tool(
        &self,
        reply: &Reply<'_>,
        tool: &str,
        arguments: &Map<String, Value>,
        called: &mut Vec<ToolCalled>,
    ) -> Result<String, Trouble> {
        let begun = Instant::now();
        // A process that died may have made this very call.
        let answer = if reply.begun > 1 && !self.tools.is_repeatable(tool) {
            ToolAnswer::failed(INTERRUPTED)
        } else {
            self.note(format!("calling {tool}"));
            self.tools.call(tool, arguments, &self.cancel).await
        };
        if *self.cancel.borrow() {
            return Err(ModelError::Cancelled.into());
        }
        called.push(ToolCalled {
            tool: tool.to_owned(),
            arguments: arguments.clone(),
            failed: answer.failed,
            bytes: answer.text.len() as u64,
            duration_ms: begun.elapsed().as_millis() as u64,
        });
        let view = feedback::Called { tool, text: &answer.text, failed: answer.failed };
        Ok(feedback::called(&self.templates, &view, self.answer_bytes_max())?)
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
