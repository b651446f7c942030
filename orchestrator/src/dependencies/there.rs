//! What is there already: packages that come with the sandbox's own Python, or that lie in the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView;
use edvac_memory::store::StoreError;
use serde::Deserialize;

use super::{Asked, Needs, Wanted};
use crate::sandbox::{Job, Sandbox, SandboxError};

const PROBE: &str = include_str!("there.py");
/// Wall time of asking Python.
const PROBE_MS_MAX: u64 = 20_000;

/// What Python said.
#[derive(Clone, Debug, Default, Deserialize)]
struct Said {
    /// Which Python it is, as far as packages depend on it.
    machine: String,
    /// Numbers of the packages that are not there.
    missing: BTreeSet<usize>,
}

/// Looks what is there, and remembers it: an installation does not change during a run.
#[derive(Debug, Default)]
pub struct There {
    known: Mutex<BTreeMap<Vec<Wanted>, Said>>,
}

/// Why it is not known what is there.
#[derive(Debug, thiserror::Error)]
pub enum ThereError {
    /// The tree cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox could not be started.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A directory to ask in.
    #[error("making a scratch directory: {0}")]
    Io(#[from] std::io::Error),
}

impl There {
    /// What a tree asks for that is not there; none where that is nothing. Without manifests this reads some names.
    pub async fn needs(
        &self,
        runner: &str,
        allowed: &[String],
        store: &dyn FileStoreView,
        tree: &TreeId,
        sandbox: Option<&dyn Sandbox>,
        scratch: &Path,
    ) -> Result<Option<Needs>, ThereError> {
        let asked = Asked::of(runner, allowed, store, tree)?;
        if asked.is_empty() {
            return Ok(None);
        }
        let Asked { wanted, refused } = asked;
        let (machine, wanted) = match (runner, sandbox) {
            ("python", Some(sandbox)) if !wanted.is_empty() => {
                let said = self.python(&wanted, sandbox, scratch).await?;
                let missing = |(n, wanted)| said.missing.contains(&n).then_some(wanted);
                (said.machine, wanted.into_iter().enumerate().filter_map(missing).collect())
            }
            _ => {
                let lies_in_tree = |wanted: &Wanted| {
                    let file = match runner {
                        "javascript" => format!("node_modules/{}/package.json", wanted.name),
                        _ => format!("vendor/{}/Cargo.toml", wanted.name),
                    };
                    store.read(tree, &file).is_ok()
                };
                let wanted: Vec<_> = wanted.into_iter().filter(|w| !lies_in_tree(w)).collect();
                (format!("{} {}", std::env::consts::OS, std::env::consts::ARCH), wanted)
            }
        };
        if wanted.is_empty() && refused.is_empty() {
            return Ok(None);
        }
        let digest = Needs::digest(runner, &machine, &wanted);
        Ok(Some(Needs { runner: runner.to_owned(), digest, wanted, refused }))
    }

    /// Asks the sandbox's Python. One that cannot answer has nothing.
    async fn python(
        &self,
        wanted: &[Wanted],
        sandbox: &dyn Sandbox,
        scratch: &Path,
    ) -> Result<Said, ThereError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = known().get(wanted) {
            return Ok(said.clone());
        }
        std::fs::create_dir_all(scratch)?;
        let dir = tempfile::tempdir_in(scratch)?;
        let words = wanted.iter().flat_map(|w| [w.name.clone(), w.spec.clone()]);
        let command = ["python3", "-I", "-c", PROBE].map(str::to_owned).into_iter().chain(words).collect();
        let job = Job { time_ms_max: PROBE_MS_MAX, ..Job::new(command, dir.path().to_owned()) };
        let ran = sandbox.run(&job).await?;
        let said = ran.output.lines().next_back().and_then(|line| serde_json::from_str(line).ok());
        let said: Said = said
            .unwrap_or_else(|| Said { machine: "unknown".to_owned(), missing: (0..wanted.len()).collect() });
        known().insert(wanted.to_vec(), said.clone());
        Ok(said)
    }
}
