//! `kv`.

use std::path::Path;
use std::time::Duration;

use edvac_orchestrator::config::Config;
use edvac_runtime::kv::{self, SnapshotError, SnapshotInfo};
use serde_json::json;

use super::models::blocking;
use super::{SCHEMA_VERSION, print_json};
use crate::args::Kv;
use crate::failure::Outcome;

/// The code of `verify` when something was damaged.
const EXIT_DAMAGED: u8 = 1;
/// Characters of a key that are shown: enough to tell models apart.
const KEY_SHOWN: usize = 8;

pub async fn kv(config: &Config, command: Kv) -> Outcome {
    let dir = config.kv_dir()?;
    let there = dir.clone();
    match command {
        Kv::Ls(json) => Ok(list(&dir, &blocking(move || kv::list(&there)).await?, json.json)),
        Kv::Flush(json) => {
            let (count, bytes) = blocking(move || kv::flush(&there)).await?;
            if json.json {
                let removed = json!({ "schema_version": SCHEMA_VERSION, "removed": count, "bytes": bytes });
                return Ok(print_json(&removed));
            }
            println!("{count} snapshots are removed, {} MB are free again", bytes >> 20);
            Ok(0)
        }
        Kv::Verify(json) => {
            let (count, damaged) = blocking(move || kv::verify(&there)).await?;
            Ok(verified(count, &damaged, json.json))
        }
    }
}

fn list(dir: &Path, all: &[SnapshotInfo], json: bool) -> u8 {
    let bytes: u64 = all.iter().map(|s| s.bytes).sum();
    let tokens: usize = all.iter().map(|s| s.tokens).sum();
    if json {
        let snapshots: Vec<_> = all
            .iter()
            .map(|s| {
                json!({
                    "name": s.name, "path": s.path, "model": s.model, "kv_key": s.kv_key, "format": s.format.name(),
                    "tokens": s.tokens,
                    "first_token": s.first_token, "bytes": s.bytes, "age_s": s.age.as_secs(),
                    "idle_s": s.idle.as_secs(), "hits": s.hits,
                })
            })
            .collect();
        return print_json(&json!({
            "schema_version": SCHEMA_VERSION, "dir": dir, "tokens": tokens, "bytes": bytes, "snapshots": snapshots,
        }));
    }
    if all.is_empty() {
        println!("no snapshots in {}", dir.display());
        return 0;
    }
    println!(
        "{:<13}  {:<28} {:<4} {:>13} {:>8} {:>6} {:>6} {:>5}",
        "snapshot", "model", "kept", "tokens", "size", "age", "idle", "hits"
    );
    for s in all {
        let model: String = s.model.chars().take(28 - KEY_SHOWN - 1).collect();
        println!(
            "{:<13}  {:<28} {:<4} {:>13} {:>5} MB {:>6} {:>6} {:>5}",
            s.name.get(..12).unwrap_or(&s.name),
            format!("{model} {}", s.kv_key.get(..KEY_SHOWN).unwrap_or_default()),
            s.format.name(),
            format!("{}-{}", s.first_token, s.first_token + s.tokens),
            s.bytes.div_ceil(1 << 20),
            span(s.age),
            span(s.idle),
            s.hits,
        );
    }
    println!(
        "\n{} snapshots, {tokens} tokens, {} MB in {}",
        all.len(),
        bytes.div_ceil(1 << 20),
        dir.display()
    );
    0
}

/// A span of time in its largest unit.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    [(86_400, "d"), (3_600, "h"), (60, "min")]
        .iter()
        .find(|(unit, _)| seconds >= *unit)
        .map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

fn verified(count: usize, damaged: &[(String, SnapshotError)], json: bool) -> u8 {
    let code = if damaged.is_empty() { 0 } else { EXIT_DAMAGED };
    if json {
        let named: Vec<_> =
            damaged.iter().map(|(name, why)| json!({ "name": name, "why": why.to_string() })).collect();
        print_json(&json!({ "schema_version": SCHEMA_VERSION, "checked": count, "damaged": named }));
        return code;
    }
    for (name, why) in damaged {
        println!("{name}: {why}; it is removed");
    }
    println!("{} of {count} snapshots are as they should be", count - damaged.len());
    code
}
