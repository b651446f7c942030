//! The file store over git objects, on disk or in RAM.
//!
//! On disk the git directory lies outside the working tree, which holds only a `.git` pointer file: nothing that is
//! written into the working tree is ever read by git as configuration, hook or attribute. In RAM the objects live in
//! libgit2's in-memory pack; ids are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use git2::{FileMode, ObjectType, Oid, Repository, Signature, Time};

use super::beneath::Root;
use super::{
    CommitParts, Edit, FILE_BYTES_MAX, FILES_MAX, FileStore, Merge, StoreError, TREE_BYTES_MAX, edit, path,
};
use crate::ids::{CommitId, TreeId};

/// The branch that shows finished instructions.
const BRANCH: &str = "refs/heads/main";
/// Below it, what the branch was taken away from.
const LEFT: &str = "refs/edvac/left/";
/// Author and committer of every commit; with the journaled time this makes commits reproducible.
const AUTHOR: (&str, &str) = ("edvac", "edvac@localhost");
/// How many parents are followed to find out whether a commit is an ancestor.
const HISTORY_MAX: usize = 1_000_000;
/// Lock files that a killed process may leave in the git directory.
const STALE_LOCKS: &[&str] = &["index.lock", "HEAD.lock", "config.lock", "refs/heads/main.lock"];

/// A [`FileStore`] over git objects.
pub struct GitStore {
    repo: Repository,
    place: Place,
}

enum Place {
    Disk { git_dir: PathBuf, work_dir: Option<PathBuf> },
    Ram { head: Option<CommitId> },
}

fn git(context: &str) -> impl FnOnce(git2::Error) -> StoreError + '_ {
    move |error| StoreError::Io { context: context.to_owned(), message: error.message().to_owned() }
}

fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> StoreError {
    let context = context.into();
    move |error| StoreError::Io { context, message: error.to_string() }
}

/// A tree, flattened: path to blob id and size.
type Files = BTreeMap<String, (Oid, u64)>;

/// Objects and references are fsynced, with their directories, before libgit2 says they are written. The setting lies
/// in a file of ours: the git of people who look at the workspace would warn of it.
fn sync_writes(repo: &Repository, git_dir: &Path) -> Result<(), StoreError> {
    let file = git_dir.join("edvac.config");
    fs::write(&file, "[core]\n\tfsyncObjectFiles = true\n").map_err(io("configuring git"))?;
    let mut config = repo.config().map_err(git("configuring git"))?;
    config.add_file(&file, git2::ConfigLevel::App, true).map_err(git("configuring git"))?;
    repo.set_config(&config).map_err(git("configuring git"))
}

impl GitStore {
    /// A store whose objects are in memory only.
    pub fn ram() -> Result<Self, StoreError> {
        let odb = git2::Odb::new().map_err(git("making a store in memory"))?;
        odb.add_new_mempack_backend(1000).map_err(git("making a store in memory"))?;
        let repo = Repository::from_odb(odb).map_err(git("making a store in memory"))?;
        Ok(Self { repo, place: Place::Ram { head: None } })
    }

    /// Opens the store at `git_dir`, making it when absent, with its files shown in `work_dir` if given.
    ///
    /// The caller holds the run's lock: lock files found here are a dead process's and are removed.
    pub fn open(git_dir: &Path, work_dir: Option<&Path>) -> Result<Self, StoreError> {
        for lock in STALE_LOCKS {
            let _ = fs::remove_file(git_dir.join(lock));
        }
        let repo = if git_dir.join("HEAD").exists() {
            Repository::open_bare(git_dir).map_err(git("opening the git directory"))?
        } else {
            let mut options = git2::RepositoryInitOptions::new();
            options.bare(true).initial_head(BRANCH).external_template(false);
            Repository::init_opts(git_dir, &options).map_err(git("making the git directory"))?
        };
        let git_dir = fs::canonicalize(git_dir).map_err(io("finding the git directory"))?;
        let work_dir = work_dir.map(|dir| set_up_work_dir(dir, &git_dir)).transpose()?;
        let mut config = repo.config().map_err(git("configuring git"))?;
        // The store keeps bytes, not modes; and a person's own line-end settings must not make a clean tree look changed.
        for key in ["core.fileMode", "core.autocrlf"] {
            config.set_bool(key, false).map_err(git("configuring git"))?;
        }
        if let Some(dir) = &work_dir {
            config.set_bool("core.bare", false).map_err(git("configuring git"))?;
            config.set_str("core.worktree", &dir.to_string_lossy()).map_err(git("configuring git"))?;
        }
        // Opened again: libgit2 reads what was just configured only at opening.
        let repo = Repository::open(&git_dir).map_err(git("opening the git directory"))?;
        sync_writes(&repo, &git_dir)?;
        Ok(Self { repo, place: Place::Disk { git_dir, work_dir } })
    }

    /// Opens an existing store for reading, also while another process writes to it. Nothing on disk is changed.
    pub fn view(git_dir: &Path) -> Result<Self, StoreError> {
        let repo = Repository::open(git_dir).map_err(git("opening the git directory"))?;
        Ok(Self { repo, place: Place::Disk { git_dir: git_dir.to_owned(), work_dir: None } })
    }

    /// What somebody else wrote into the working tree since it was shown last, and what is to be shown now is not, is
    /// kept in `set-aside/`, beside the git directory. What cannot be walked or read is left out: it may not keep the
    /// working tree from being set right.
    fn set_aside(&self, root: &Root, wanted: &Files) -> Result<(), StoreError> {
        let Place::Disk { git_dir, .. } = &self.place else { return Ok(()) };
        // A torn index says nothing: then more is kept than need be.
        let index = self.repo.index().ok();
        let shown: BTreeMap<String, Oid> = index
            .iter()
            .flat_map(git2::Index::iter)
            .map(|e| (String::from_utf8_lossy(&e.path).into_owned(), e.id))
            .collect();
        let mut place = None;
        for path in root.walk().unwrap_or_default() {
            let Some(bytes) = root.read(&path, FILE_BYTES_MAX).ok().flatten() else { continue };
            let id = Oid::hash_object(ObjectType::Blob, &bytes).map_err(git("hashing a file"))?;
            if shown.get(&path) == Some(&id) || wanted.get(&path).is_some_and(|(wanted, _)| *wanted == id) {
                continue;
            }
            let dir = place.get_or_insert_with(|| {
                let all = git_dir.with_file_name("set-aside");
                let taken = fs::read_dir(&all).map_or(0, Iterator::count);
                all.join((taken + 1).to_string())
            });
            let to = dir.join(&path);
            let parent = to.parent().unwrap_or(dir);
            fs::create_dir_all(parent).map_err(io(format!("setting {path} aside")))?;
            fs::write(&to, bytes).map_err(io(format!("setting {path} aside")))?;
        }
        if let Some(place) = place {
            tracing::warn!(
                "the workspace had changes that are not edvac's; they are kept in {}",
                place.display()
            );
        }
        Ok(())
    }

    fn files(&self, tree: &TreeId) -> Result<Files, StoreError> {
        let mut files = Files::new();
        let mut open = vec![(String::new(), oid(tree.as_str())?)];
        let odb = self.repo.odb().map_err(git("opening the object database"))?;
        while let Some((prefix, id)) = open.pop() {
            let tree = self.repo.find_tree(id).map_err(git("reading a tree"))?;
            for entry in &tree {
                let name = entry
                    .name()
                    .map_err(|_| StoreError::BadPath { path: prefix.clone(), why: "it is not UTF-8" })?;
                let path = format!("{prefix}{name}");
                match entry.kind() {
                    Some(ObjectType::Tree) => open.push((path + "/", entry.id())),
                    Some(ObjectType::Blob) => {
                        let (size, _) = odb.read_header(entry.id()).map_err(git("reading a file's size"))?;
                        files.insert(path, (entry.id(), size as u64));
                    }
                    _ => {}
                }
            }
        }
        Ok(files)
    }

    fn write_files(&self, files: &Files) -> Result<TreeId, StoreError> {
        if files.len() > FILES_MAX {
            return Err(StoreError::TooLarge {
                what: "the number of files".to_owned(),
                limit: FILES_MAX as u64,
            });
        }
        if files.values().map(|(_, size)| size).sum::<u64>() > TREE_BYTES_MAX {
            return Err(StoreError::TooLarge { what: "the project".to_owned(), limit: TREE_BYTES_MAX });
        }
        let entries: Vec<_> = files.iter().map(|(path, (id, _))| (path.as_str(), *id)).collect();
        let id = self.write_level(&entries, 0)?;
        self.sync_objects_dir()?;
        Ok(TreeId(id.to_string()))
    }

    /// Writes one directory; `entries` share their first `skip` bytes.
    fn write_level(&self, entries: &[(&str, Oid)], skip: usize) -> Result<Oid, StoreError> {
        let mut builder = self.repo.treebuilder(None).map_err(git("building a tree"))?;
        // Grouped by name: sorted whole paths may put `a-b` between `a/x` and `a/y`.
        let mut dirs: BTreeMap<&str, Vec<(&str, Oid)>> = BTreeMap::new();
        for &(path, id) in entries {
            match path[skip..].split_once('/') {
                Some((name, _)) => dirs.entry(name).or_default().push((path, id)),
                None => {
                    builder
                        .insert(&path[skip..], id, FileMode::Blob.into())
                        .map_err(git("building a tree"))?;
                }
            }
        }
        for (name, children) in dirs {
            let id = self.write_level(&children, skip + name.len() + 1)?;
            builder.insert(name, id, FileMode::Tree.into()).map_err(git("building a tree"))?;
        }
        builder.write().map_err(git("writing a tree"))
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(Oid, u64), StoreError> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(StoreError::TooLarge { what: path.to_owned(), limit: FILE_BYTES_MAX });
        }
        let id = self.repo.blob(bytes).map_err(git("writing a file's content"))?;
        Ok((id, bytes.len() as u64))
    }

    fn blob(&self, path: &str, id: Oid) -> Result<Vec<u8>, StoreError> {
        let blob = self.repo.find_blob(id).map_err(|e| StoreError::Io {
            context: format!("reading {path}"),
            message: e.message().to_owned(),
        })?;
        Ok(blob.content().to_vec())
    }

    fn text(&self, files: &Files, path: &str) -> Result<String, StoreError> {
        path::check(path)?;
        let (id, _) = files.get(path).ok_or_else(|| StoreError::NotFound { path: path.to_owned() })?;
        String::from_utf8(self.blob(path, *id)?).map_err(|_| StoreError::Io {
            context: format!("editing {path}"),
            message: "it is not a text file".to_owned(),
        })
    }

    fn apply_one(&self, files: &mut Files, change: &Edit) -> Result<(), StoreError> {
        match change {
            Edit::Write { path, content } => {
                path::check(path)?;
                let entry = self.put(path, content.as_bytes())?;
                clear_way(files, path)?;
                files.insert(path.clone(), entry);
            }
            Edit::Append { path, content } => {
                let before = match self.text(files, path) {
                    Ok(text) => text.trim_end().to_owned() + "\n\n",
                    Err(StoreError::NotFound { .. }) => String::new(),
                    Err(other) => return Err(other),
                };
                let entry = self.put(path, format!("{before}{}", content.trim_start()).as_bytes())?;
                clear_way(files, path)?;
                files.insert(path.clone(), entry);
            }
            Edit::Replace { path, search, replace } => {
                let old = self.text(files, path)?;
                let new = edit::replace(path, &old, search, replace)?;
                files.insert(path.clone(), self.put(path, new.as_bytes())?);
            }
            Edit::ReplaceLines { path, line_first, old, new } => {
                let text = edit::replace_lines(path, &self.text(files, path)?, *line_first, old, new)?;
                files.insert(path.clone(), self.put(path, text.as_bytes())?);
            }
            Edit::Delete { path } => {
                path::check(path)?;
                files.remove(path).ok_or_else(|| StoreError::NotFound { path: path.clone() })?;
            }
        }
        Ok(())
    }

    /// A new fan-out directory is itself an entry of `objects/`, which libgit2 does not fsync.
    fn sync_objects_dir(&self) -> Result<(), StoreError> {
        if let Place::Disk { git_dir, .. } = &self.place {
            fs::File::open(git_dir.join("objects"))
                .and_then(|d| d.sync_all())
                .map_err(io("syncing objects"))?;
        }
        Ok(())
    }

    fn is_ancestor(&self, old: Oid, new: Oid) -> Result<bool, StoreError> {
        let mut at = new;
        for _ in 0..HISTORY_MAX {
            if at == old {
                return Ok(true);
            }
            let commit = self.repo.find_commit(at).map_err(git("reading a commit"))?;
            match commit.parent_id(0) {
                Ok(parent) => at = parent,
                Err(_) => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Makes plain `git status` in the workspace clean: the index shows what is checked out.
    fn write_index(&self, tree: &TreeId) -> Result<(), StoreError> {
        let tree = self.repo.find_tree(oid(tree.as_str())?).map_err(git("reading a tree"))?;
        let mut index = match (self.repo.index(), &self.place) {
            (Ok(index), _) => index,
            // Torn by a power cut. It only mirrors the tree: a new one is as good.
            (Err(_), Place::Disk { git_dir, .. }) => {
                fs::remove_file(git_dir.join("index")).map_err(io("removing a torn index"))?;
                self.repo.index().map_err(git("opening the index"))?
            }
            (Err(error), Place::Ram { .. }) => return Err(git("opening the index")(error)),
        };
        index.read_tree(&tree).map_err(git("writing the index"))?;
        index.write().map_err(git("writing the index"))
    }
}

fn set_up_work_dir(dir: &Path, git_dir: &Path) -> Result<PathBuf, StoreError> {
    fs::create_dir_all(dir).map_err(io(format!("making {}", dir.display())))?;
    let dir = fs::canonicalize(dir).map_err(io("finding the workspace"))?;
    let pointer = dir.join(".git");
    let text = format!("gitdir: {}\n", git_dir.display());
    // Asked for what it is first: a pipe of that name would hold whoever reads it.
    let found = fs::symlink_metadata(&pointer).ok();
    let is_file = found.as_ref().is_some_and(fs::Metadata::is_file);
    if !is_file || fs::read_to_string(&pointer).ok().as_deref() != Some(&text) {
        if found.is_some_and(|meta| meta.is_dir()) {
            return Err(StoreError::Io {
                context: format!("using {}", dir.display()),
                message: "it is a git repository of its own".to_owned(),
            });
        }
        let _ = fs::remove_file(&pointer);
        fs::write(&pointer, text).map_err(io("writing the .git pointer"))?;
    }
    Ok(dir)
}

/// A file and a directory cannot share a name: the edit that would need it is refused.
fn clear_way(files: &Files, path: &str) -> Result<(), StoreError> {
    let below = format!("{path}/");
    let parent_is_file = path.match_indices('/').any(|(at, _)| files.contains_key(&path[..at]));
    let is_directory = files.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below));
    if is_directory {
        return Err(StoreError::BadPath { path: path.to_owned(), why: "it is a directory" });
    }
    if parent_is_file {
        return Err(StoreError::BadPath { path: path.to_owned(), why: "a part of it is a file" });
    }
    Ok(())
}

/// Paths whose content differs, sorted.
fn differing(a: &Files, b: &Files) -> Vec<String> {
    let all: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let id = |files: &Files, path: &String| files.get(path).map(|(id, _)| *id);
    all.into_iter().filter(|path| id(a, path) != id(b, path)).cloned().collect()
}

fn oid(text: &str) -> Result<Oid, StoreError> {
    Oid::from_str(text).map_err(git("reading an object id"))
}

impl FileStore for GitStore {
    fn empty_tree(&mut self) -> Result<TreeId, StoreError> {
        self.write_files(&Files::new())
    }

    fn apply(&mut self, base: &TreeId, edits: &[Edit]) -> Result<TreeId, StoreError> {
        let mut files = self.files(base)?;
        for change in edits {
            self.apply_one(&mut files, change)?;
        }
        self.write_files(&files)
    }

    fn merge(&mut self, base: &TreeId, ours: &TreeId, theirs: &TreeId) -> Result<Merge, StoreError> {
        let (base, mut merged, theirs) = (self.files(base)?, self.files(ours)?, self.files(theirs)?);
        let paths = differing(&base, &theirs);
        let id = |files: &Files, path: &String| files.get(path).map(|(id, _)| *id);
        let is_changed = |path: &&String| {
            let own = id(&merged, path);
            own != id(&base, path) && own != id(&theirs, path)
        };
        let mut conflicts: Vec<_> = paths.iter().filter(is_changed).cloned().collect();
        for path in &paths {
            match theirs.get(path) {
                Some(entry) => merged.insert(path.clone(), *entry),
                None => merged.remove(path),
            };
        }
        let is_in_the_way = |path: &&String| theirs.contains_key(*path) && clear_way(&merged, path).is_err();
        conflicts.extend(paths.iter().filter(is_in_the_way).cloned());
        if conflicts.is_empty() {
            return Ok(Merge::Tree(self.write_files(&merged)?));
        }
        conflicts.sort();
        conflicts.dedup();
        Ok(Merge::Conflict(conflicts))
    }

    fn changed(&self, from: &TreeId, to: &TreeId) -> Result<Vec<String>, StoreError> {
        Ok(differing(&self.files(from)?, &self.files(to)?))
    }

    fn list(&self, tree: &TreeId) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.files(tree)?.into_iter().map(|(path, (_, size))| (path, size)).collect())
    }

    fn read(&self, tree: &TreeId, path: &str) -> Result<Vec<u8>, StoreError> {
        path::check(path)?;
        let tree = self.repo.find_tree(oid(tree.as_str())?).map_err(git("reading a tree"))?;
        let missing = || StoreError::NotFound { path: path.to_owned() };
        let entry = tree.get_path(Path::new(path)).map_err(|_| missing())?;
        if entry.kind() != Some(ObjectType::Blob) {
            return Err(missing());
        }
        self.blob(path, entry.id())
    }

    fn commit(&mut self, parts: &CommitParts) -> Result<CommitId, StoreError> {
        let time = Time::new(parts.time_s, 0);
        let author = Signature::new(AUTHOR.0, AUTHOR.1, &time).map_err(git("signing a commit"))?;
        let tree = self.repo.find_tree(oid(parts.tree.as_str())?).map_err(git("reading a tree"))?;
        let parent = match &parts.parent {
            Some(id) => Some(self.repo.find_commit(oid(id.as_str())?).map_err(git("reading the parent"))?),
            None => None,
        };
        let parents: Vec<_> = parent.iter().collect();
        let id = self
            .repo
            .commit(None, &author, &author, &parts.message, &tree, &parents)
            .map_err(git("writing a commit"))?;
        self.sync_objects_dir()?;
        Ok(CommitId(id.to_string()))
    }

    fn head(&self) -> Result<Option<CommitId>, StoreError> {
        match &self.place {
            Place::Ram { head } => Ok(head.clone()),
            Place::Disk { git_dir, .. } => match self.repo.refname_to_id(BRANCH) {
                Ok(id) => Ok(Some(CommitId(id.to_string()))),
                Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
                // A reference torn by a power cut has no content; the journal knows better.
                Err(_) if fs::metadata(git_dir.join(BRANCH)).is_ok_and(|m| m.len() == 0) => {
                    fs::remove_file(git_dir.join(BRANCH)).map_err(io("removing a torn reference"))?;
                    Ok(None)
                }
                Err(e) => Err(git("reading the branch")(e)),
            },
        }
    }

    fn tree_of(&self, commit: &CommitId) -> Result<TreeId, StoreError> {
        let commit = self.repo.find_commit(oid(commit.as_str())?).map_err(git("reading a commit"))?;
        Ok(TreeId(commit.tree_id().to_string()))
    }

    fn advance(&mut self, _from: Option<&CommitId>, to: &CommitId) -> Result<(), StoreError> {
        let found = self.head()?;
        if found.as_ref() == Some(to) {
            return Ok(());
        }
        let target = oid(to.as_str())?;
        let in_line = match &found {
            None => true,
            Some(head) => self.is_ancestor(oid(head.as_str())?, target)?,
        };
        // Not compared with the commit before: a crash between two records leaves the reference further back than that.
        if !in_line {
            return Err(StoreError::Diverged { expected: Some(to.clone()), found });
        }
        match (&mut self.place, found) {
            (Place::Ram { head }, _) => *head = Some(to.clone()),
            (Place::Disk { .. }, None) => {
                self.repo.reference(BRANCH, target, false, "edvac").map_err(git("moving the branch"))?;
            }
            (Place::Disk { .. }, Some(old)) => {
                self.repo
                    .reference_matching(BRANCH, target, true, oid(old.as_str())?, "edvac")
                    .map_err(git("moving the branch"))?;
            }
        }
        Ok(())
    }

    fn reset(&mut self, from: &CommitId, to: Option<&CommitId>) -> Result<(), StoreError> {
        let found = self.head()?;
        if found.as_ref() == to {
            return Ok(());
        }
        if found.as_ref() != Some(from) {
            return Err(StoreError::Diverged { expected: Some(from.clone()), found });
        }
        let old = oid(from.as_str())?;
        match &mut self.place {
            Place::Ram { head } => *head = to.cloned(),
            Place::Disk { .. } => {
                let kept = format!("{LEFT}{from}");
                self.repo.reference(&kept, old, true, "edvac").map_err(git("keeping what was there"))?;
                let moved = match to {
                    Some(to) => {
                        self.repo.reference_matching(BRANCH, oid(to.as_str())?, true, old, "edvac").map(drop)
                    }
                    None => self.repo.find_reference(BRANCH).and_then(|mut branch| branch.delete()),
                };
                moved.map_err(git("moving the branch"))?;
            }
        }
        Ok(())
    }

    fn check_out(&mut self, tree: &TreeId) -> Result<(), StoreError> {
        let Place::Disk { work_dir: Some(dir), .. } = &self.place else { return Ok(()) };
        let files = self.files(tree)?;
        let root = Root::open(dir)?;
        self.set_aside(&root, &files)?;
        root.retain(files.keys().map(String::as_str))?;
        for (path, (id, _)) in &files {
            let wanted = self.blob(path, *id)?;
            if root.read(path, FILE_BYTES_MAX).ok().flatten().as_ref() != Some(&wanted) {
                root.write(path, &wanted)?;
            }
        }
        self.write_index(tree)
    }

    fn import(&mut self, dir: &Path) -> Result<TreeId, StoreError> {
        let root = Root::open(dir)?;
        let mut files = Files::new();
        for name in root.walk()? {
            path::check(&name)?;
            if let Some(bytes) = root.read(&name, FILE_BYTES_MAX)? {
                let entry = self.put(&name, &bytes)?;
                files.insert(name, entry);
            }
        }
        self.write_files(&files)
    }

    fn export(&self, tree: &TreeId, dir: &Path) -> Result<(), StoreError> {
        let root = Root::open(dir)?;
        for (path, (id, _)) in &self.files(tree)? {
            root.write(path, &self.blob(path, *id)?)?;
        }
        Ok(())
    }

    fn diff(&self, from: &TreeId, to: &TreeId) -> Result<String, StoreError> {
        let find = |tree: &TreeId| self.repo.find_tree(oid(tree.as_str())?).map_err(git("reading a tree"));
        let (from, to) = (find(from)?, find(to)?);
        let diff =
            self.repo.diff_tree_to_tree(Some(&from), Some(&to), None).map_err(git("comparing trees"))?;
        let mut text = Vec::new();
        diff.print(git2::DiffFormat::Patch, |_, _, line| {
            if matches!(line.origin(), '+' | '-' | ' ') {
                text.push(line.origin() as u8);
            }
            text.extend_from_slice(line.content());
            true
        })
        .map_err(git("comparing trees"))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
