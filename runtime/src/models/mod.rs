//! Model files on this machine: which there are, where they are from, and whether they are what they should be.

mod digest;
mod hub;
mod manifest;
mod packages;
mod pull;

use std::path::{Path, PathBuf};

pub use manifest::{DEFAULT, FileSpec, Hub, ModelSpec, Packages, find, manifest};
pub use pull::pull;

/// Why a model cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// Neither a name nor a file.
    #[error("there is no model {name:?}, and no such file")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A model edvac knows that is not here.
    #[error("the model {name} is not here")]
    Absent {
        /// Its name.
        name: String,
    },
    /// A file that is not what the manifest says. It is not kept.
    #[error("{} is not the file that was asked for: its SHA-256 is {found}, not {wanted}", .path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it should have.
        wanted: String,
    },
    /// No source gave it.
    #[error("{name} could not be fetched:\n{}", .tried.join("\n"))]
    NoSource {
        /// The model.
        name: String,
        /// What each source said.
        tried: Vec<String>,
    },
    /// Another process fetches it.
    #[error("another process is fetching {name}")]
    Busy {
        /// The model.
        name: String,
    },
    /// The person gave up. What was fetched stays for the next time.
    #[error("cancelled")]
    Cancelled,
    /// The file system.
    #[error("{}: {message}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ModelsError + '_ {
    move |error| ModelsError::Io { path: path.to_owned(), message: error.to_string() }
}

/// How a pull or a verification goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A source is asked.
    Trying {
        /// In words.
        source: String,
    },
    /// It failed; the next one is tried.
    SourceFailed {
        /// In words.
        source: String,
        /// What it said.
        why: String,
    },
    /// Bytes that are here now, of how many; 0 where that is not known.
    Downloading {
        /// Here.
        done_bytes: u64,
        /// In all.
        total_bytes: u64,
    },
    /// Bytes whose digest was computed.
    Hashing {
        /// So far.
        done_bytes: u64,
        /// In all.
        total_bytes: u64,
    },
}

/// Receives progress; must not block.
pub type Sink<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// Where a model that was asked for is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The file to open.
    pub path: PathBuf,
    /// What the manifest says of it; none for a file of the user's own.
    pub spec: Option<&'static ModelSpec>,
}

/// The file of a name or of a path. A name is looked up first.
pub fn resolve(wanted: &str, dir: &Path) -> Result<Resolved, ModelsError> {
    if let Some(spec) = find(wanted) {
        let path = main_file(spec, dir);
        let absent = || ModelsError::Absent { name: spec.name.clone() };
        return if is_here(spec, dir) { Ok(Resolved { path, spec: Some(spec) }) } else { Err(absent()) };
    }
    let path = Path::new(wanted);
    if path.is_file() {
        return Ok(Resolved { path: path.to_owned(), spec: None });
    }
    Err(ModelsError::Unknown { name: wanted.to_owned() })
}

fn main_file(spec: &ModelSpec, dir: &Path) -> PathBuf {
    dir.join(spec.files.first().map_or("", |f| f.name.as_str()))
}

/// Whether all files of a model are here with their right sizes. Digests were checked when they came.
pub fn is_here(spec: &ModelSpec, dir: &Path) -> bool {
    let right = |f: &FileSpec| {
        std::fs::metadata(dir.join(&f.name))
            .is_ok_and(|m| m.is_file() && f.size_bytes.is_none_or(|size| size == m.len()))
    };
    spec.files.iter().all(right)
}

/// Computes the digests of a model's files again.
pub fn verify(spec: &ModelSpec, dir: &Path, sink: Sink<'_>) -> Result<(), ModelsError> {
    if !is_here(spec, dir) {
        return Err(ModelsError::Absent { name: spec.name.clone() });
    }
    spec.files.iter().try_for_each(|f| digest::check(&dir.join(&f.name), f, sink))
}

/// Removes a model's files, and what is left of a pull that did not end.
pub fn remove(spec: &ModelSpec, dir: &Path) -> Result<u64, ModelsError> {
    let mut freed = 0;
    for file in &spec.files {
        let path = dir.join(&file.name);
        if let Ok(meta) = std::fs::metadata(&path) {
            std::fs::remove_file(&path).map_err(io(&path))?;
            freed += meta.len();
        }
    }
    let partial = pull::partial_dir(spec, dir);
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(io(&partial))?;
    }
    Ok(freed)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
