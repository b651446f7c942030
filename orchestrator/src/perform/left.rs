//! What steps that were not finished left failing. Nobody who works on a later step is held to it: with a test before them
//! that is wrong, or does not even parse, small models change what is right until it is not.

use std::collections::BTreeMap;
use std::path::Path;

use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView as _;
use edvac_memory::program::{CheckKind, Instruction};
use edvac_memory::store::Edit;
use edvac_memory::store::path::is_test;

use super::check::before_the_run;
use super::{Performer, Trouble, program_of};
use crate::check::{Counted, tests_as_they_are};
use crate::control::RunState;
use crate::control::event::Settlement;
use crate::survey::{Before, failing};

/// What was found so far, by the tree. Derived: a tree never changes.
#[derive(Debug, Default)]
pub struct Left(tokio::sync::Mutex<BTreeMap<TreeId, Before>>);

impl Performer {
    /// What was so before a step began: before the run, and what fails since a step ended unfinished. Tests in files that the
    /// step itself writes are its own.
    pub(super) async fn before(
        &self,
        instruction: &Instruction,
        state: &RunState,
    ) -> Result<Before, Trouble> {
        let before = before_the_run(state);
        let is_left = state.settled.values().any(|settled| settled.settlement == Settlement::Unfinished);
        let runs_tests = instruction.checks.iter().any(|check| check.kind == CheckKind::Tests);
        if !is_left || !runs_tests {
            return Ok(before);
        }
        // The last committed tree: what the step itself breaks is its own.
        let Some(committed) = &state.tree else { return Ok(before) };
        let tree = self.without_tests_of(instruction, committed)?;
        let left = self.fails(&tree, &before, state).await?;
        Ok(Before {
            failing: before.failing.into_iter().chain(left.failing).collect(),
            faults: before.faults.into_iter().chain(left.faults).collect(),
            ..before
        })
    }

    fn without_tests_of(&self, instruction: &Instruction, tree: &TreeId) -> Result<TreeId, Trouble> {
        let there = self.files.list(tree)?;
        let own = instruction.writes.iter().filter(|path| is_test(path) && there.contains_key(*path));
        let edits: Vec<_> = own.map(|path| Edit::Delete { path: path.clone() }).collect();
        Ok(self.files().apply(tree, &edits)?)
    }

    async fn fails(&self, tree: &TreeId, before: &Before, state: &RunState) -> Result<Before, Trouble> {
        let mut known = self.left.0.lock().await;
        if let Some(left) = known.get(tree) {
            return Ok(left.clone());
        }
        self.note("looking at what fails already");
        let language = program_of(state)?.language.as_str();
        let supply = self.supply(tree, state).await?;
        let counted = Counted { before: before.clone(), ..Counted::default() };
        let export = |dir: &Path| self.files().export(tree, dir);
        let ground = self.ground(tree, language, &counted, &supply, &export)?;
        let _running = self.running.lock().await;
        let (report, faults) = tests_as_they_are(&ground).await;
        let left = Before {
            failing: failing(&report.tests),
            faults: faults.into_iter().collect(),
            ..Before::default()
        };
        known.insert(tree.clone(), left.clone());
        Ok(left)
    }
}
