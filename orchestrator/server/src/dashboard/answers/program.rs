//! The program of a run, and what its versions changed.

use edvac_memory::program::{Program, exchange};
use edvac_orchestrator::control::Event;
use serde::{Deserialize, Serialize};
use similar::TextDiff;
use utoipa::{IntoParams, ToSchema};

use super::{RunPath, SchemaVersion};
use crate::dashboard::desk::Desk;
use crate::dashboard::files::{self, Row};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::view::{RunView, now_ms};
use crate::dashboard::watched::Watched;

/// Which versions of the program are compared.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct Versions {
    /// The older version; 0 is an empty program. The one before `to` when absent.
    from: Option<u32>,
    /// The newer version; the one in force when absent.
    to: Option<u32>,
}

/// The program of a run.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct PlanAnswer {
    schema_version: SchemaVersion,
    run: RunView,
    /// The program in force, as TOML, with the task.
    program: String,
    /// All its versions, the first first.
    versions: Vec<ProgramVersion>,
    /// The older version that is compared.
    from: u32,
    /// The newer version that is compared.
    to: u32,
    /// What changed between the two, in groups of lines.
    changes: Vec<Vec<Row>>,
    /// The same as `program`.
    toml: String,
}

/// A version of a program.
#[derive(Serialize, ToSchema)]
struct ProgramVersion {
    /// Its number, from 1.
    version: u32,
    /// Why it came into force.
    why: String,
}

impl PlanAnswer {
    pub async fn of(desk: &Desk, run: &RunPath, versions: &Versions) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&run.run)?).await?;
        let watched = shared.lock().await;
        let state = &watched.state;
        let Some(program) = &state.program else {
            return Err(Trouble::missing("this run has no program yet"));
        };
        let task = state.start.as_ref().map(|start| start.task.clone());
        let text = toml(&Program { task, ..program.clone() })?;
        let to = versions.to.unwrap_or(state.program_version);
        let from = versions.from.unwrap_or(to.saturating_sub(1));
        let (old, new) = (version(&watched, from).await?, version(&watched, to).await?);
        let known = watched
            .versions
            .iter()
            .map(|(version, _, why)| ProgramVersion { version: *version, why: why.clone() });
        Ok(Self {
            schema_version: SchemaVersion,
            run: RunView::of(&watched, now_ms()),
            program: text.clone(),
            versions: known.collect(),
            from,
            to,
            changes: files::compared(&TextDiff::from_lines(&old, &new)),
            toml: text,
        })
    }
}

/// A version of the program as a file; nothing before the first.
async fn version(watched: &Watched, wanted: u32) -> Result<String, Trouble> {
    if wanted == 0 {
        return Ok(String::new());
    }
    // One that was taken back and written again is the newer one.
    let found = watched.versions.iter().rev().find(|(version, ..)| *version == wanted);
    let (_, seq, _) =
        found.ok_or_else(|| Trouble::missing(format!("there is no version {wanted} of the program")))?;
    match watched.event(*seq).await? {
        Some(Event::ProgramAdopted { program, .. } | Event::Amended { program, .. }) => toml(&program),
        _ => Err(Trouble::machine("the journal has no program there")),
    }
}

fn toml(program: &Program) -> Result<String, Trouble> {
    exchange::to_toml(program).map_err(Trouble::machine)
}
