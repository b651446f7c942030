//! The models of this machine, and what they need not compute again.

use edvac_orchestrator::config::Config;
use edvac_orchestrator::report::duration;
use edvac_runtime::kv;
use edvac_runtime::models;
use serde::Serialize;
use utoipa::ToSchema;

use super::trouble::Trouble;

/// Snapshots that the page lists at each end.
const SNAPSHOTS_SHOWN: usize = 20;

/// Models and snapshots on their page.
#[derive(Serialize, ToSchema)]
#[schema(as = Machine)]
pub(super) struct MachineView {
    /// The configuration's model.
    model: String,
    /// Models that are open in this process.
    open: Vec<String>,
    /// Models that can be had.
    models: Vec<Model>,
    /// Where their files are.
    models_dir: String,
    snapshots: Snapshots,
}

/// A model.
#[derive(Serialize, ToSchema)]
struct Model {
    /// Its name.
    name: String,
    /// What it is, in a sentence.
    about: String,
    /// Its licence.
    license: String,
    /// Its size in MiB; none where that is not known.
    #[schema(required)]
    megabytes: Option<u64>,
    /// Whether its file is here.
    here: bool,
}

/// Keys and values on disk.
#[derive(Default, Serialize, ToSchema)]
struct Snapshots {
    /// Where they are.
    dir: String,
    /// How many there are.
    count: usize,
    /// Tokens that need not be computed again.
    tokens: usize,
    /// Their size in MiB.
    megabytes: u64,
    /// The room for them in MiB.
    megabytes_max: u64,
    /// How often they were used.
    hits: u64,
    /// How full the room for them is, 0 to 100.
    percent: u64,
    /// Those that were used last.
    recent: Vec<Snapshot>,
    /// Those that go first when room is needed.
    next_out: Vec<Snapshot>,
}

/// Keys and values of one beginning of prompts.
#[derive(Clone, Serialize, ToSchema)]
struct Snapshot {
    /// The model that made it.
    model: String,
    /// Its tokens.
    tokens: usize,
    /// Its size in MiB.
    megabytes: u64,
    /// How often it was used.
    hits: u64,
    /// How long it was not used, in words.
    idle: String,
}

/// What is there now.
pub(super) fn view(config: &Config, open: Vec<String>) -> Result<MachineView, Trouble> {
    let dir = config.models_dir().map_err(Trouble::machine)?;
    let models = models::manifest().iter().map(|model| Model {
        name: model.name.clone(),
        about: model.about.clone(),
        license: model.license.clone(),
        megabytes: model.size_bytes().map(|bytes| bytes >> 20),
        here: models::is_here(model, &dir),
    });
    Ok(MachineView {
        model: config.model.name.clone(),
        open,
        models: models.collect(),
        models_dir: dir.display().to_string(),
        snapshots: snapshots(config),
    })
}

fn snapshots(config: &Config) -> Snapshots {
    let Ok(dir) = config.kv_dir() else { return Snapshots::default() };
    let all = kv::list(&dir);
    let by_name = |name: String| all.iter().find(|snapshot| snapshot.name == name);
    let bytes: u64 = all.iter().map(|snapshot| snapshot.bytes).sum();
    let of = |snapshot: &kv::SnapshotInfo| Snapshot {
        model: snapshot.model.clone(),
        tokens: snapshot.tokens,
        megabytes: snapshot.bytes >> 20,
        hits: snapshot.hits,
        idle: duration(u64::try_from(snapshot.idle.as_millis()).unwrap_or(u64::MAX)),
    };
    Snapshots {
        dir: dir.display().to_string(),
        count: all.len(),
        tokens: all.iter().map(|snapshot| snapshot.tokens).sum(),
        megabytes: bytes >> 20,
        megabytes_max: config.kv.disk_mib,
        hits: all.iter().map(|snapshot| snapshot.hits).sum(),
        percent: ((bytes >> 20) * 100 / config.kv.disk_mib.max(1)).min(100),
        recent: all.iter().take(SNAPSHOTS_SHOWN).map(of).collect(),
        next_out: kv::next_out(&dir, SNAPSHOTS_SHOWN).into_iter().filter_map(by_name).map(of).collect(),
    }
}
