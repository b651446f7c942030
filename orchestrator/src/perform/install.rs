//! Packages of others: what a tree asks for, installing it, and what a command has of it.

use edvac_agents::client::ModelError;
use edvac_memory::ids::TreeId;

use super::{Performer, Trouble, program_of};
use crate::control::{Event, RunState};
use crate::dependencies::install::{Installed, install};
use crate::dependencies::{Needs, Supply};
use crate::sandbox::Level;

impl Performer {
    /// What a tree asks for that is not there by itself.
    pub(super) async fn needs(&self, tree: &TreeId, state: &RunState) -> Result<Option<Needs>, Trouble> {
        self.needs_of(&program_of(state)?.language, tree).await
    }

    /// The same for a language.
    pub(super) async fn needs_of(&self, language: &str, tree: &TreeId) -> Result<Option<Needs>, Trouble> {
        let sandbox = self.sandbox.as_ref().ok().map(AsRef::as_ref);
        let (runner, allowed) = (self.domain.runner(language), self.domain.packages(language));
        let needs = self.there.needs(runner, allowed, self.files.as_ref(), tree, sandbox, &self.scratch);
        needs.await.map_err(|e| Trouble::System(e.to_string()))
    }

    /// Installs it. What cannot be installed is a result like any other.
    pub(super) async fn install(&self, needs: &Needs) -> Result<Event, Trouble> {
        self.note(format!("installing {}", needs.names().join(", ")));
        let bare = self.sandbox.as_ref().is_ok_and(|sandbox| sandbox.level() == Level::Bare);
        let mut cancel = self.cancel.clone();
        let done = tokio::select! {
            done = install(&self.shelf, needs, bare) => done,
            Ok(_) = cancel.wait_for(|asked| *asked) => return Err(ModelError::Cancelled.into()),
        };
        let Installed { packages, command, exit_status, duration_ms, output, fault } =
            done.unwrap_or_else(|error| Installed { fault: Some(error.to_string()), ..Installed::default() });
        let needs = needs.clone();
        Ok(Event::Installed { needs, packages, command, exit_status, duration_ms, output, fault })
    }

    /// What commands on a tree have of what it asks for. Only what this run installed counts, whatever lies on the shelf.
    pub(super) async fn supply(&self, tree: &TreeId, state: &RunState) -> Result<Supply, Trouble> {
        self.supply_of(&program_of(state)?.language, tree, state).await
    }

    /// The same for a language.
    pub(super) async fn supply_of(
        &self,
        language: &str,
        tree: &TreeId,
        state: &RunState,
    ) -> Result<Supply, Trouble> {
        let Some(needs) = self.needs_of(language, tree).await? else { return Ok(Supply::default()) };
        let known = state.installs.get(&needs.digest);
        let stock = known.filter(|install| install.fault.is_none()).and_then(|_| self.shelf.find(&needs));
        let stock = stock.map(|(stock, _)| stock);
        let missing = match &stock {
            Some(_) => Needs { wanted: Vec::new(), ..needs }.missing(state.allow_install, None),
            None => needs.missing(state.allow_install, known.and_then(|install| install.fault.as_deref())),
        };
        Ok(Supply { stock, missing })
    }
}
