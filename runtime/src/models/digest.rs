//! SHA-256 of files, with progress.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{FileSpec, ModelsError, Progress, Sink, io};

/// Bytes hashed between two reports.
const CHUNK_BYTES: usize = 4 << 20;

/// Checks a file against its digest; one without passes.
pub fn check(path: &Path, spec: &FileSpec, sink: Sink<'_>) -> Result<(), ModelsError> {
    let Some(wanted) = &spec.sha256 else { return Ok(()) };
    let found = sha256(path, sink)?;
    if found == *wanted {
        Ok(())
    } else {
        Err(ModelsError::WrongDigest { path: path.to_owned(), found, wanted: wanted.clone() })
    }
}

fn sha256(path: &Path, sink: Sink<'_>) -> Result<String, ModelsError> {
    let mut file = File::open(path).map_err(io(path))?;
    let total_bytes = file.metadata().map_err(io(path))?.len();
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut done_bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(io(path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        done_bytes += read as u64;
        sink(Progress::Hashing { done_bytes, total_bytes });
    }
    Ok(hasher.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}
