//! Executing checks, and saying what they found.

use std::collections::BTreeMap;
use std::path::Path;

use edvac_agents::roles::feedback;
use edvac_agents::roles::reviewer::{GivenUp, Opinion};
use edvac_memory::ids::{RequirementId, TreeId};
use edvac_memory::program::{Check, CheckKind};
use edvac_memory::store::StoreError;
use edvac_memory::verdict::{CheckReport, TestOutcome};

use super::{Performer, Trouble, instruction_of, program_of};
use crate::check::fault::faults;
use crate::check::{Counted, Ground, run_check, with_history};
use crate::control::{Event, Purpose, RunState};
use crate::dependencies::Supply;
use crate::ledger::{describe, shows};
use crate::survey::{Before, Survey};

impl Performer {
    pub(super) async fn check(
        &self,
        purpose: Purpose,
        tree: &TreeId,
        opinion: Option<&Opinion>,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        let program = program_of(state)?;
        let instruction = instruction_of(purpose, state)?;
        let language = program.language.as_str();
        let before = self.before(instruction, state).await?;
        let counted = Counted { before, ..self.counted(state)? }.judged(&given_up(state), opinion);
        let supply = self.supply(tree, state).await?;
        let reports = self.run_all(&instruction.checks, tree, language, &counted, &supply).await?;
        // A step that runs no tests cannot be asked for one.
        let tests = instruction.checks.iter().any(|check| check.kind == CheckKind::Tests);
        let shown = |id: &RequirementId| reports.iter().any(|report| shows(id, report));
        let unproven: Vec<RequirementId> =
            instruction.covers.iter().filter(|id| tests && !shown(id)).cloned().collect();
        let hollow = hollow(&reports, &unproven);
        let answer = if reports.iter().any(|r| !r.verdict.is_passed()) {
            Some(feedback::failed(&self.templates, &reports, language)?)
        } else if unproven.is_empty() {
            None
        } else {
            Some(feedback::unproven(&self.templates, &unproven, &program.requirements, &hollow, language)?)
        };
        let answer_tokens = answer.as_deref().map_or(0, |a| self.client.count_tokens(a));
        let faults = faults(&reports, &hollow, self.files.as_ref(), tree, language)?;
        let unproven = unproven.into_iter().map(|id| id.0).collect();
        let opinion = opinion.cloned();
        let instruction = state.focus;
        Ok(Event::Checked { instruction, reports, unproven, faults, answer, answer_tokens, opinion })
    }

    /// The tests that count while a step is worked on.
    pub(super) fn counted(&self, state: &RunState) -> Result<Counted, Trouble> {
        let runner = self.domain.runner(&program_of(state)?.language);
        let nothing = BTreeMap::new();
        let failing = state.work.as_ref().map_or(&nothing, |work| &work.failing);
        let counted = Counted::of(&state.inventory, failing, &self.inventories, self.files.as_ref(), runner)?;
        Ok(match &state.work {
            Some(work) => counted.without(work.review.agreed.iter().map(|r| &r.test)),
            None => counted,
        })
    }

    /// Every check of the program once, on the last tree.
    pub(super) async fn check_all(&self, tree: &TreeId, state: &RunState) -> Result<Event, Trouble> {
        let program = program_of(state)?;
        let mut checks: Vec<Check> = Vec::new();
        for check in program.instructions.iter().flat_map(|i| &i.checks) {
            match checks.iter_mut().find(|known| known.kind == check.kind) {
                Some(known) => known.covers.extend(check.covers.iter().cloned()),
                None => checks.push(check.clone()),
            }
        }
        let retired = state.settled.values().flat_map(|settled| &settled.retired).map(|r| &r.test);
        let counted = Counted {
            committed: state.inventory.clone(),
            before: before_the_run(state),
            ..Counted::default()
        };
        let counted = counted.without(retired);
        let supply = self.supply(tree, state).await?;
        let mut reports = self.run_all(&checks, tree, &program.language, &counted, &supply).await?;
        for report in &mut reports {
            with_history(report, state.settled.values().flat_map(|settled| &settled.reports));
        }
        Ok(Event::FinalChecked { reports })
    }

    /// What checks of a tree stand on.
    pub(super) fn ground<'a>(
        &'a self,
        tree: &'a TreeId,
        language: &'a str,
        counted: &'a Counted,
        supply: &'a Supply,
        export: &'a (dyn Fn(&Path) -> Result<(), StoreError> + Send + Sync),
    ) -> Result<Ground<'a>, Trouble> {
        std::fs::create_dir_all(&self.scratch).map_err(|e| Trouble::System(e.to_string()))?;
        Ok(Ground {
            store: self.files.as_ref(),
            tree,
            language,
            sandbox: self.sandbox.as_ref().map(AsRef::as_ref),
            export,
            scratch: &self.scratch,
            counted,
            inventories: &self.inventories,
            supply,
            domain: &self.domain,
        })
    }

    pub(super) async fn run_all(
        &self,
        checks: &[Check],
        tree: &TreeId,
        language: &str,
        counted: &Counted,
        supply: &Supply,
    ) -> Result<Vec<CheckReport>, Trouble> {
        let export = |dir: &Path| self.files().export(tree, dir);
        let ground = self.ground(tree, language, counted, supply, &export)?;
        let mut reports = Vec::with_capacity(checks.len());
        for check in checks {
            let _running = self.running.lock().await;
            self.note(format!("checking: {}", describe(&check.kind)));
            reports.push(run_check(check, &ground).await);
        }
        Ok(reports)
    }
}

/// What was so before anybody worked on the project.
pub(super) fn before_the_run(state: &RunState) -> Before {
    state.survey.as_ref().map(Survey::before).unwrap_or_default()
}

fn given_up(state: &RunState) -> Vec<GivenUp> {
    state.work.as_ref().map(|work| work.review.given_up.clone()).unwrap_or_default()
}

/// Tests that name what is unproven, and pass without showing it.
fn hollow(reports: &[CheckReport], unproven: &[RequirementId]) -> Vec<TestOutcome> {
    let tests = reports.iter().flat_map(|r| &r.tests);
    tests.filter(|t| t.flaw.is_some() && t.covers.iter().any(|id| unproven.contains(id))).cloned().collect()
}
