//! Content-addressed bytes beside the journal, for bodies too large for a row.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::JournalError;
use crate::ids::Digest;

/// A directory of blobs, named by their digests.
#[derive(Clone, Debug)]
pub(super) struct Blobs {
    dir: PathBuf,
}

fn io(context: &str) -> impl FnOnce(std::io::Error) -> JournalError + '_ {
    move |error| JournalError::Io { context: context.to_owned(), message: error.to_string() }
}

impl Blobs {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn make(&self) -> Result<(), JournalError> {
        fs::create_dir_all(&self.dir).map_err(io("making the blob directory"))
    }

    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        let text = digest.as_str();
        // A digest read from a damaged journal must not become a path.
        let valid = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| self.dir.join(&text[..2]).join(&text[2..]))
    }

    /// Durable when it returns: the file, its name and its directory's name are synced.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        let digest = Digest::of(bytes);
        let Some(path) = self.path(&digest) else { return Err(JournalError::Blob { digest }) };
        if self.get(&digest).is_ok() {
            return Ok(digest);
        }
        let shard = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(shard).map_err(io("making a blob directory"))?;
        let mut file = tempfile::NamedTempFile::new_in(shard).map_err(io("writing a blob"))?;
        file.write_all(bytes).map_err(io("writing a blob"))?;
        file.as_file().sync_all().map_err(io("syncing a blob"))?;
        file.persist(&path).map_err(|e| io("naming a blob")(e.error))?;
        sync_dir(shard)?;
        sync_dir(&self.dir)?;
        Ok(digest)
    }

    /// The bytes, compared with their digest.
    pub(super) fn get(&self, digest: &Digest) -> Result<Vec<u8>, JournalError> {
        let damaged = || JournalError::Blob { digest: digest.clone() };
        let bytes = fs::read(self.path(digest).ok_or_else(damaged)?).map_err(|_| damaged())?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(damaged()) }
    }
}

fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(io("syncing a blob directory"))
}
