//! Git trees: what is in one, and one like it with some entries changed.
//!
//! What nobody changes keeps its id. A tree that was taken from elsewhere so keeps, byte for byte, also what this store
//! cannot change: symbolic links, submodules, names that no path may have, modes that git no longer writes.

use std::collections::BTreeMap;

use git2::{FileMode, ObjectType, Oid, Repository, Tree};

use super::git::git;
use super::{StoreError, path};

/// Most entries of one tree. A small repository can name the same directory so often that nobody could list it.
const ENTRIES_MAX: usize = 1_000_000;
/// The bit by which a file's mode says that it can be executed.
const EXECUTABLE: i32 = 0o100;

/// A regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its content.
    pub id: Oid,
    /// Bytes of it.
    pub bytes: u64,
    /// Its mode, as git writes it today.
    pub mode: i32,
}

impl Entry {
    /// Whether it can be executed.
    pub fn is_executable(self) -> bool {
        self.mode & EXECUTABLE != 0
    }
}

/// What is in a tree and is no file that could be read or changed by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A symbolic link; the object holds where it leads.
    Link(Oid),
    /// A commit of another repository.
    Submodule,
    /// A regular file whose name no path of the store may have.
    Named(Entry),
}

/// Files by path.
pub type Files = BTreeMap<String, Entry>;

/// A tree, flattened.
#[derive(Debug, Default)]
pub struct Contents {
    /// Files that can be read and changed.
    pub files: Files,
    /// Everything else, by path.
    pub kept: BTreeMap<Vec<u8>, Kept>,
}

impl Contents {
    /// Reads a tree. Refuses one that would reach out of a directory it is written to.
    pub fn of(repo: &Repository, tree: Oid) -> Result<Self, StoreError> {
        let mut contents = Self::default();
        let odb = repo.odb().map_err(git("opening the object database"))?;
        let mut open = vec![(Vec::new(), tree)];
        let mut entries = 0;
        while let Some((prefix, id)) = open.pop() {
            let tree = repo.find_tree(id).map_err(git("reading a tree"))?;
            entries += tree.len();
            if entries > ENTRIES_MAX {
                let what = "the number of files".to_owned();
                return Err(StoreError::TooLarge { what, limit: ENTRIES_MAX as u64 });
            }
            for entry in &tree {
                let path = [prefix.as_slice(), checked(entry.name_bytes(), &prefix)?].concat();
                let (id, mode) = (entry.id(), entry.filemode());
                match entry.kind() {
                    Some(ObjectType::Tree) => open.push(([path.as_slice(), b"/"].concat(), id)),
                    Some(ObjectType::Commit) => drop(contents.kept.insert(path, Kept::Submodule)),
                    _ if mode == i32::from(FileMode::Link) => {
                        contents.kept.insert(path, Kept::Link(id));
                    }
                    _ => {
                        let (bytes, _) = odb.read_header(id).map_err(git("reading a file's size"))?;
                        contents.insert(path, Entry { id, bytes: bytes as u64, mode });
                    }
                }
            }
        }
        Ok(contents)
    }

    fn insert(&mut self, path: Vec<u8>, entry: Entry) {
        match String::from_utf8(path) {
            Ok(path) if path::check(&path).is_ok() => drop(self.files.insert(path, entry)),
            Ok(path) => drop(self.kept.insert(path.into_bytes(), Kept::Named(entry))),
            Err(error) => drop(self.kept.insert(error.into_bytes(), Kept::Named(entry))),
        }
    }
}

/// Git writes none of these names itself, and a tree that has them was made to do harm.
fn checked<'a>(name: &'a [u8], prefix: &[u8]) -> Result<&'a [u8], StoreError> {
    let text = String::from_utf8_lossy(name);
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || path::is_git(&text) {
        let path = format!("{}{text}", String::from_utf8_lossy(prefix));
        return Err(StoreError::BadPath { path, why: "no tree may have such a name" });
    }
    Ok(name)
}

/// What becomes of paths: the new object and its mode, or nothing where it goes.
pub type Changes = BTreeMap<Vec<u8>, Option<(Oid, i32)>>;

/// What leads from `old` to `new`.
pub fn changes(old: &Files, new: &Files) -> Changes {
    let gone = old.keys().filter(|path| !new.contains_key(*path)).map(|path| (path, None));
    let other = new.iter().filter(|(path, entry)| old.get(*path) != Some(entry));
    let other = other.map(|(path, entry)| (path, Some((entry.id, entry.mode))));
    gone.chain(other).map(|(path, change)| (path.clone().into_bytes(), change)).collect()
}

/// The tree that `base` becomes by `changes`. Only directories on the way to a change are written.
pub fn changed(repo: &Repository, base: &Tree<'_>, changes: &Changes) -> Result<Oid, StoreError> {
    let changes: Vec<_> = changes.iter().map(|(path, change)| (path.as_slice(), *change)).collect();
    match level(repo, Some(base), &changes, 0)? {
        Some(id) => Ok(id),
        None => repo.treebuilder(None).and_then(|empty| empty.write()).map_err(git("writing a tree")),
    }
}

type Change<'a> = (&'a [u8], Option<(Oid, i32)>);

/// Writes one directory, all of whose changes share their first `skip` bytes; none where nothing is left in it.
fn level(
    repo: &Repository,
    base: Option<&Tree<'_>>,
    changes: &[Change<'_>],
    skip: usize,
) -> Result<Option<Oid>, StoreError> {
    let mut builder = repo.treebuilder(base).map_err(git("building a tree"))?;
    let (mut here, mut dirs) = (Vec::new(), BTreeMap::<&[u8], Vec<Change<'_>>>::new());
    for &(path, change) in changes {
        let rest = &path[skip..];
        match rest.iter().position(|byte| *byte == b'/') {
            Some(end) => dirs.entry(&rest[..end]).or_default().push((path, change)),
            None => here.push((rest, change)),
        }
    }
    // What goes makes room first: a file may become a directory, and the other way round.
    for (name, _) in here.iter().filter(|(_, change)| change.is_none()) {
        remove(&mut builder, name)?;
    }
    for (name, below) in dirs {
        let old = base.and_then(|tree| tree.get_name_bytes(name));
        let old = old.filter(|entry| entry.kind() == Some(ObjectType::Tree));
        let old = old.map(|entry| repo.find_tree(entry.id())).transpose().map_err(git("reading a tree"))?;
        match level(repo, old.as_ref(), &below, skip + name.len() + 1)? {
            Some(id) => insert(&mut builder, name, id, FileMode::Tree.into())?,
            None => remove(&mut builder, name)?,
        }
    }
    for (name, change) in here {
        if let Some((id, mode)) = change {
            insert(&mut builder, name, id, mode)?;
        }
    }
    if builder.is_empty() {
        return Ok(None);
    }
    builder.write().map(Some).map_err(git("writing a tree"))
}

fn insert(builder: &mut git2::TreeBuilder<'_>, name: &[u8], id: Oid, mode: i32) -> Result<(), StoreError> {
    builder.insert(name, id, mode).map(drop).map_err(git("building a tree"))
}

fn remove(builder: &mut git2::TreeBuilder<'_>, name: &[u8]) -> Result<(), StoreError> {
    let is_there = builder.get(name).map_err(git("building a tree"))?.is_some();
    if is_there { builder.remove(name).map_err(git("building a tree")) } else { Ok(()) }
}
