//! Fetches models by name; what `scripts/test` uses before there is a binary.
//!
//! `cargo run -p edvac-runtime --example pull -- DIR NAME...`

use edvac_runtime::models::{Progress, find, pull};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, names @ ..] = &arguments[..] else { return Err("usage: pull DIR NAME...".into()) };
    for name in names {
        let spec = find(name).ok_or_else(|| format!("no model is called {name}"))?;
        let mut say = |progress: Progress| {
            if let Progress::Trying { .. } | Progress::SourceFailed { .. } = progress {
                eprintln!("{name}: {progress:?}");
            }
        };
        pull(spec, dir.as_ref(), &mut say, &|| false)?;
        eprintln!("{name} is here");
    }
    Ok(())
}
