//! The models of this machine.

use serde::Serialize;
use utoipa::ToSchema;

use super::SchemaVersion;
use crate::dashboard::desk::Desk;
use crate::dashboard::files::in_background;
use crate::dashboard::machine::{self, MachineView};
use crate::dashboard::trouble::Trouble;

/// Models and snapshots of this machine.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct ModelsAnswer {
    schema_version: SchemaVersion,
    machine: MachineView,
}

impl ModelsAnswer {
    pub async fn of(desk: &Desk) -> Result<Self, Trouble> {
        let (config, open) = (desk.config.clone(), desk.opener.names().await);
        let machine = in_background(move || machine::view(&config, open)).await?;
        Ok(Self { schema_version: SchemaVersion, machine })
    }
}
