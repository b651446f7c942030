//! Doing what a worker's reply asks for: all edits or none of them, then its questions.

use std::fmt::Write as _;

use edvac_agents::protocol::{Action, Understood};
use edvac_agents::roles::feedback;
use edvac_memory::ids::TreeId;
use edvac_memory::store::{Edit, StoreError};

use super::{Performer, Trouble, instruction_of};
use crate::check;
use crate::control::decide::hands_in;
use crate::control::{Event, Purpose, RunState};

/// Questions of one reply that are answered; the others are named.
const QUESTIONS_MAX: usize = 4;
/// Pieces a search answers with.
const HITS_MAX: usize = 4;

/// What came of a reply.
#[derive(Default)]
struct Outcome {
    applied: Vec<String>,
    refused: Vec<String>,
    said: Vec<String>,
}

impl Performer {
    pub(super) async fn act(
        &self,
        purpose: Purpose,
        base: &TreeId,
        understood: &Understood,
        repeated: bool,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        let mut out = Outcome::default();
        let mut tree = base.clone();
        // The same reply again would do the same again, to files that have it already.
        let idle = repeated && !is_last_turn(state);
        if !understood.problems.is_empty() {
            out.refused.clone_from(&understood.problems);
        } else if !idle {
            tree = self.edit(base, &understood.actions, &mut out)?;
        }
        if !out.refused.is_empty() {
            out.said.push(feedback::refused(&self.templates, &out.refused)?);
        } else if idle {
            out.said.push(feedback::repeated(&self.templates)?);
        } else if !hands_in(&understood.actions) {
            self.answer(purpose, &tree, &understood.actions, state, &mut out).await?;
        }
        // After the last turn nobody reads an answer: what is there is checked instead.
        let answer = (!out.said.is_empty() && !is_last_turn(state)).then(|| feedback::join(&out.said));
        let answer_tokens = answer.as_deref().map_or(0, |a| self.client.count_tokens(a));
        let needs = self.needs(&tree, state).await?;
        Ok(Event::Acted { tree, applied: out.applied, needs, refused: out.refused, answer, answer_tokens })
    }

    fn edit(&self, base: &TreeId, actions: &[Action], out: &mut Outcome) -> Result<TreeId, Trouble> {
        let edits: Vec<_> = actions
            .iter()
            .filter_map(|a| match a {
                Action::Edit { edit } => Some(edit.clone()),
                _ => None,
            })
            .collect();
        if edits.is_empty() {
            return Ok(base.clone());
        }
        let applied = self.files().apply(base, &edits);
        match applied {
            Ok(tree) => {
                out.applied = edits.iter().map(describe).collect();
                self.put_right(&tree, &edits, out)
            }
            Err(error @ (StoreError::Io { .. } | StoreError::Diverged { .. })) => Err(error.into()),
            Err(mistake) => {
                out.refused.push(format!("{mistake}."));
                Ok(base.clone())
            }
        }
    }

    /// Puts right in the changed files what has one right answer, and says so.
    fn put_right(&self, tree: &TreeId, edits: &[Edit], out: &mut Outcome) -> Result<TreeId, Trouble> {
        let mut better = Vec::new();
        for path in edits.iter().map(Edit::path) {
            // One that is gone again needs no more.
            let Ok(text) = self.read(tree, path) else { continue };
            if let Some((content, done)) = check::straightened(path, &text) {
                out.applied.extend(done.into_iter().map(|what| format!("{path}: {what}")));
                better.push(Edit::Write { path: path.to_owned(), content });
            }
        }
        Ok(if better.is_empty() { tree.clone() } else { self.files().apply(tree, &better)? })
    }

    async fn answer(
        &self,
        purpose: Purpose,
        tree: &TreeId,
        actions: &[Action],
        state: &RunState,
        out: &mut Outcome,
    ) -> Result<(), Trouble> {
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
                    Ok(text) => answers.push(feedback::read(&self.templates, path, &text, *lines)?),
                    Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                    Err(mistake) => problems.push(format!("{mistake}.")),
                },
                Action::Search { query } => {
                    self.index.sync(self.files.as_ref(), tree).await?;
                    let hits = self.index.search(query, HITS_MAX, &[]).await?;
                    answers.push(feedback::searched(&self.templates, query, &hits)?);
                }
                Action::Run { command } => answers.push(self.run(tree, command, state).await?),
                _ => {}
            }
        }
        if !out.applied.is_empty() {
            out.said.push(feedback::applied(&self.templates, &out.applied)?);
        }
        out.said.extend(answers);
        if !problems.is_empty() {
            out.said.push(feedback::not_done(&self.templates, &problems)?);
        }
        if out.said.is_empty() {
            out.said.push(feedback::idle(&self.templates, &instruction_of(purpose, state)?.writes)?);
        }
        Ok(())
    }

    fn read(&self, tree: &TreeId, path: &str) -> Result<String, StoreError> {
        Ok(String::from_utf8_lossy(&self.files().read(tree, path)?).into_owned())
    }

    async fn run(&self, tree: &TreeId, command: &str, state: &RunState) -> Result<String, Trouble> {
        let sandbox = self.sandbox.as_ref().map_err(|refusal| Trouble::Sandbox(refusal.clone()))?;
        self.note(format!("running {command}"));
        let copy = self.copy_of(tree)?;
        let stock = self.supply(tree, state).await?.stock;
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

fn is_last_turn(state: &RunState) -> bool {
    match (&state.start, &state.work) {
        // A repair has one turn, and another repair can follow.
        (Some(start), Some(work)) => work.repair.is_none() && work.turns_used >= start.limits.turns_max,
        _ => false,
    }
}

/// One edit as one line.
fn describe(edit: &Edit) -> String {
    let mut line = String::new();
    let _ = match edit {
        Edit::Write { path, content } => write!(line, "{path} written ({} lines)", content.lines().count()),
        Edit::Replace { path, .. } | Edit::ReplaceLines { path, .. } => write!(line, "{path} changed"),
        Edit::Delete { path } => write!(line, "{path} deleted"),
    };
    line
}
