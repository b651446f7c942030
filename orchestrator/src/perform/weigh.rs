//! Finding out what a control instruction depends on.

use edvac_memory::ids::{InstructionId, TreeId};
use edvac_memory::program::{Check, Control, Found, control};
use edvac_memory::store::StoreError;

use super::{Performer, Trouble, program_of};
use crate::check::Counted;
use crate::control::{Event, RunState};

impl Performer {
    /// Reads a list, or executes the check that a condition is. A list that is not there has no items; a condition whose
    /// check could not be executed does not hold.
    pub(super) async fn weigh(
        &self,
        instruction: InstructionId,
        tree: &TreeId,
        state: &RunState,
    ) -> Result<Event, Trouble> {
        let asks = state.instruction(instruction).and_then(|i| i.control.as_ref());
        let asks = asks.ok_or(Trouble::Misfit("the program has no such control instruction"))?;
        if let Control::ForEach { list, .. } = asks {
            let items = match self.files().read(tree, list) {
                Ok(bytes) => control::items(&String::from_utf8_lossy(&bytes)),
                Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                Err(_) => Vec::new(),
            };
            return Ok(Event::Weighed { instruction, found: Found::Items(items), report: None });
        }
        let kind = asks.condition().ok_or(Trouble::Misfit("nothing is to be weighed"))?;
        let check = Check { kind: kind.clone(), covers: Vec::new() };
        let language = program_of(state)?.language.as_str();
        let supply = self.supply(tree, state).await?;
        // What the tests of earlier steps were is no matter of a condition.
        let counted = Counted::default();
        let reports = self.run_all(std::slice::from_ref(&check), tree, language, &counted, &supply).await?;
        let report = reports.into_iter().next();
        let holds = report.as_ref().is_some_and(|report| report.verdict.is_passed());
        Ok(Event::Weighed { instruction, found: Found::Holds(holds), report })
    }
}
