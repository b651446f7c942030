//! `replay`: a run once more from its journal.

use std::path::Path;

use edvac_agents::templates::Templates;
use edvac_orchestrator::config::Config;
use edvac_orchestrator::control::Rules;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::replay;
use edvac_orchestrator::run::RunError;
use serde_json::json;

use super::{SCHEMA_VERSION, find, print_json};
use crate::args::Replay;
use crate::failure::{Failure, Outcome};
use crate::terminal::tell;

pub async fn replay(config: &Config, args: &Replay) -> Outcome {
    let (dir, step) = find(config, &args.run)?;
    if let Some(step) = step {
        return Err(Failure::usage(
            "a step is not replayed by itself",
            format!(
                "`edvac replay {}` replays the run; `edvac show {}/{step}` shows the step.",
                dir.id, dir.id
            ),
        ));
    }
    if let Some(out) = &args.out {
        is_empty(out)?;
    }
    let state = dir.state().await?;
    let Some(start) = &state.start else {
        return Err(Failure::usage(format!("run {} never started", dir.id), "There is nothing to replay."));
    };
    let templates = Templates::load(config.templates_dir().as_deref()).map_err(RunError::from)?;
    let domain = Domain::load(&start.domain, &templates).map_err(RunError::from)?;
    let records: Vec<_> = dir.history().await?.into_iter().map(|(record, _)| record).collect();
    let replayed = replay::replay(&records, &Rules { domain: &domain }, &dir.git_dir(), args.out.as_deref())
        .map_err(|e| Failure::machine(e.to_string()))?;
    let code = u8::from(!replayed.is_same());
    if args.run.json.json {
        print_json(&json!({
            "schema_version": SCHEMA_VERSION, "run": dir.id, "same": replayed.is_same(), "replayed": replayed,
        }));
        return Ok(code);
    }
    tell!(
        "run {}: {} of {} records, {} decisions, {} tree(s) and {} commit(s) came out as they had",
        dir.id,
        replayed.records,
        records.len(),
        replayed.decisions,
        replayed.trees,
        replayed.commits
    );
    for difference in &replayed.differences {
        tell!("  differs at {}: {}", difference.seq, difference.what);
    }
    match (&args.out, replayed.is_same()) {
        (Some(out), true) => tell!("its files are in {}", out.display()),
        (Some(_), false) => tell!("no files were written, since they would not be the run's"),
        (None, _) => {}
    }
    Ok(code)
}

/// A directory that may be filled.
fn is_empty(dir: &Path) -> Result<(), Failure> {
    let usage = |why: String| Failure::usage(why, "Name a directory that is empty or does not exist.");
    std::fs::create_dir_all(dir).map_err(|e| usage(format!("{} cannot be made: {e}", dir.display())))?;
    let mut entries =
        std::fs::read_dir(dir).map_err(|e| usage(format!("{} cannot be read: {e}", dir.display())))?;
    if entries.next().is_some() { Err(usage(format!("{} is not empty", dir.display()))) } else { Ok(()) }
}
