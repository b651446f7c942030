//! Trees as directories: the working tree that people look at, and copies for a sandbox.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{ObjectType, Oid};

use super::beneath::{Root, as_path};
use super::git::{GitStore, Place, git, io};
use super::tree::{Contents, Entry, Kept};
use super::{FILE_BYTES_MAX, StoreError};

/// Most names of a working tree that are looked at before it is set right.
const NAMES_MAX: usize = 2_000_000;

/// Regular files that are there: content and whether it can be executed.
type There = BTreeMap<Vec<u8>, (Oid, bool)>;

impl GitStore {
    /// Makes a directory show exactly what a tree has, and sets aside what somebody else wrote into it.
    pub(super) fn show(&self, contents: &Contents, dir: &Path) -> Result<(), StoreError> {
        let root = Root::open(dir)?;
        let there = there(&root, contents)?;
        self.set_aside(&root, &there, contents)?;
        let files = contents.files.keys().map(String::as_bytes);
        root.retain(files.chain(contents.kept.keys().map(Vec::as_slice)))?;
        self.lay_out(&root, contents, &there)
    }

    /// Writes what is not there yet.
    pub(super) fn lay_out(&self, root: &Root, contents: &Contents, there: &There) -> Result<(), StoreError> {
        let named = contents.kept.iter().filter_map(|(path, kept)| match kept {
            Kept::Named(entry) => Some((path.as_slice(), entry)),
            _ => None,
        });
        for (path, entry) in contents.files.iter().map(|(path, entry)| (path.as_bytes(), entry)).chain(named)
        {
            if there.get(path) != Some(&(entry.id, entry.is_executable())) {
                let path = as_path(path);
                root.write(path, &self.blob(&path.to_string_lossy(), entry.id)?, entry.is_executable())?;
            }
        }
        for (path, kept) in &contents.kept {
            let path = as_path(path);
            match kept {
                Kept::Link(target) => {
                    let target = self.blob(&path.to_string_lossy(), *target)?;
                    if root.link_at(path).as_ref() != Some(&target) {
                        root.link(path, &target)?;
                    }
                }
                // As git shows one that nobody has fetched.
                Kept::Submodule => drop(root.make_dirs(path)?),
                Kept::Named(_) => {}
            }
        }
        Ok(())
    }

    /// What somebody else wrote into the working tree since it was shown last, and what is to be shown now is not, is
    /// kept in `set-aside/`, beside the git directory. What cannot be walked or read is left out: it may not keep the
    /// working tree from being set right.
    fn set_aside(&self, root: &Root, there: &There, wanted: &Contents) -> Result<(), StoreError> {
        let Place::Disk { git_dir, .. } = &self.place else { return Ok(()) };
        // A torn index says nothing: then more is kept than need be.
        let index = self.repo.index().ok();
        let shown: BTreeMap<Vec<u8>, Oid> =
            index.iter().flat_map(git2::Index::iter).map(|e| (e.path, e.id)).collect();
        let mut place = None;
        for (path, (id, _)) in there {
            if shown.get(path) == Some(id) || entry(wanted, path).is_some_and(|entry| entry.id == *id) {
                continue;
            }
            let Some(bytes) = root.read(as_path(path), FILE_BYTES_MAX).ok().flatten() else { continue };
            let dir = place.get_or_insert_with(|| {
                let all = git_dir.with_file_name("set-aside");
                let taken = fs::read_dir(&all).map_or(0, Iterator::count);
                all.join((taken + 1).to_string())
            });
            let to = dir.join(OsStr::from_bytes(path));
            let setting = || io(format!("setting {} aside", as_path(path).display()));
            fs::create_dir_all(to.parent().unwrap_or(dir)).map_err(setting())?;
            fs::write(&to, bytes).map_err(setting())?;
        }
        if let Some(place) = place {
            tracing::warn!(
                "the workspace had changes that are not edvac's; they are kept in {}",
                place.display()
            );
        }
        Ok(())
    }
}

/// The regular file that a tree has at a path.
fn entry<'a>(contents: &'a Contents, path: &[u8]) -> Option<&'a Entry> {
    let file = std::str::from_utf8(path).ok().and_then(|path| contents.files.get(path));
    file.or_else(|| match contents.kept.get(path) {
        Some(Kept::Named(entry)) => Some(entry),
        _ => None,
    })
}

/// The regular files below a root that can be read and are no larger than a file of the store, or the one that is wanted
/// there, may be.
fn there(root: &Root, wanted: &Contents) -> Result<There, StoreError> {
    let mut there = There::new();
    for path in root.walk_bytes(NAMES_MAX).unwrap_or_default() {
        let bytes_max = entry(wanted, &path).map_or(0, |entry| entry.bytes).max(FILE_BYTES_MAX);
        let Some(found) = root.look(as_path(&path), bytes_max).ok().flatten() else { continue };
        let id = Oid::hash_object(ObjectType::Blob, &found.bytes).map_err(git("hashing a file"))?;
        there.insert(path, (id, found.executable));
    }
    Ok(there)
}
