//! Looking at what was there before the run.

use std::collections::BTreeSet;
use std::path::Path;

use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView as _;

use super::{Performer, Trouble};
use crate::check::{self, Counted};
use crate::control::{Event, RunState};
use crate::survey::Survey;

impl Performer {
    pub(super) async fn survey(&self, tree: &TreeId, state: &RunState) -> Result<Event, Trouble> {
        self.note("looking at what is there, and running its tests");
        let files: BTreeSet<_> = self.files.list(tree)?.into_keys().collect();
        let others = self.files().others(tree)?;
        let language = self.domain.language_of(files.iter().map(String::as_str)).to_owned();
        let runner = self.domain.runner(&language);
        let inventory = self.inventories.of(self.files.as_ref(), tree, runner)?.as_ref().clone();
        let needs = self.needs_of(&language, tree).await?;
        let supply = self.supply_of(&language, tree, state).await?;
        let (tests, faults) = if runner.is_empty() {
            (None, Vec::new())
        } else {
            let counted = Counted::default();
            let export = |dir: &Path| self.files().export(tree, dir);
            let ground = self.ground(tree, &language, &counted, &supply, &export)?;
            let (report, faults) = check::tests_as_they_are(&ground).await;
            (Some(report), faults)
        };
        let survey = Survey {
            tree: tree.clone(),
            language,
            files,
            others,
            inventory,
            tests,
            faults: faults.into_iter().collect(),
            had_packages: supply.stock.is_some(),
            needs,
        };
        Ok(Event::Surveyed { survey })
    }
}
