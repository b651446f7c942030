//! The models of this machine, and what they need not compute again.

use edvac_orchestrator::config::Config;
use edvac_orchestrator::report::duration;
use edvac_runtime::kv;
use edvac_runtime::models;
use serde::Serialize;

use super::trouble::Trouble;

/// Snapshots that the page lists at each end.
const SNAPSHOTS_SHOWN: usize = 20;

/// Models and snapshots on their page.
#[derive(Serialize)]
pub(super) struct MachineView {
    /// The configuration's model.
    model: String,
    /// Models that are open in this process.
    open: Vec<String>,
    models: Vec<Model>,
    models_dir: String,
    snapshots: Snapshots,
}

#[derive(Serialize)]
struct Model {
    name: String,
    about: String,
    license: String,
    megabytes: Option<u64>,
    here: bool,
}

/// Keys and values on disk.
#[derive(Default, Serialize)]
struct Snapshots {
    dir: String,
    count: usize,
    tokens: usize,
    megabytes: u64,
    megabytes_max: u64,
    hits: u64,
    /// How full the room for them is.
    percent: u64,
    /// Those that were used last.
    recent: Vec<Snapshot>,
    /// Those that go first when room is needed.
    next_out: Vec<Snapshot>,
}

#[derive(Clone, Serialize)]
struct Snapshot {
    model: String,
    tokens: usize,
    megabytes: u64,
    hits: u64,
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
