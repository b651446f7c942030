//! The file store over git objects, on disk or in RAM.
//!
//! On disk the git directory lies outside the working tree, which holds only a `.git` pointer file: nothing that is
//! written into the working tree is ever read by git as configuration, hook or attribute. In RAM the objects live in
//! libgit2's in-memory pack; ids are the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{Oid, Repository, Signature, Time};

use super::beneath::Root;
use super::draft::Draft;
use super::origin::Origin;
use super::tree::{Contents, Files};
use super::{CommitParts, Edit, FILE_BYTES_MAX, FileStore, Merge, StoreError, path};
use crate::ids::{CommitId, TreeId};

/// The branch that shows finished instructions, where nobody named another.
const BRANCH_DEFAULT: &str = "main";
/// Below it, what the branch was taken away from.
const LEFT: &str = "refs/edvac/left/";
/// Author and committer of every commit; with the journaled time this makes commits reproducible.
pub(super) const AUTHOR: (&str, &str) = ("edvac", "edvac@localhost");
/// How many parents are followed to find out whether a commit is an ancestor.
pub(super) const HISTORY_MAX: usize = 1_000_000;
/// Lock files that a killed process may leave in the git directory.
const STALE_LOCKS: &[&str] = &["index.lock", "HEAD.lock", "config.lock"];
/// Trees whose contents are kept at hand.
const SEEN_MAX: usize = 4;

/// A [`FileStore`] over git objects.
pub struct GitStore {
    pub(super) repo: Repository,
    pub(super) place: Place,
    /// The reference of its branch.
    branch: String,
    pub(super) origin: Option<Origin>,
    seen: RefCell<Vec<(TreeId, Arc<Contents>)>>,
}

pub(super) enum Place {
    Disk { git_dir: PathBuf, work_dir: Option<PathBuf> },
    Ram { head: Option<CommitId> },
}

pub(super) fn git(context: &str) -> impl FnOnce(git2::Error) -> StoreError + '_ {
    move |error| StoreError::Io { context: context.to_owned(), message: error.message().to_owned() }
}

pub(super) fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> StoreError {
    let context = context.into();
    move |error| StoreError::Io { context, message: error.to_string() }
}

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
        Ok(Self::of(repo, Place::Ram { head: None }, None))
    }

    fn of(repo: Repository, place: Place, origin: Option<&Origin>) -> Self {
        let branch = origin.map_or(BRANCH_DEFAULT, |origin| origin.branch.as_str());
        let branch = format!("refs/heads/{branch}");
        Self { repo, place, branch, origin: origin.cloned(), seen: RefCell::default() }
    }

    /// Goes on from another repository's commit, on a branch of its own.
    pub(super) fn begin_with(&mut self, origin: &Origin) -> Result<(), StoreError> {
        self.branch = format!("refs/heads/{}", origin.branch);
        self.origin = Some(origin.clone());
        self.repo.set_head(&self.branch).map_err(git("naming the branch"))
    }

    /// The same, reading what it does not have from another store's objects, which are not written to.
    pub fn ram_over(git_dir: &Path) -> Result<Self, StoreError> {
        let store = Self::ram()?;
        {
            let odb = store.repo.odb().map_err(git("making a store in memory"))?;
            let objects = git_dir.join("objects");
            odb.add_disk_alternate(&objects.to_string_lossy()).map_err(git("opening the object database"))?;
        }
        Ok(store)
    }

    /// Opens the store at `git_dir`, making it when absent, with its files shown in `work_dir` if given, on the branch that
    /// its origin names.
    ///
    /// The caller holds the run's lock: lock files found here are a dead process's and are removed.
    pub fn open(
        git_dir: &Path,
        work_dir: Option<&Path>,
        origin: Option<&Origin>,
    ) -> Result<Self, StoreError> {
        let branch = origin.map_or(BRANCH_DEFAULT, |origin| origin.branch.as_str());
        let branch = format!("refs/heads/{branch}");
        for lock in STALE_LOCKS.iter().map(|&lock| lock.to_owned()).chain([format!("{branch}.lock")]) {
            let _ = fs::remove_file(git_dir.join(lock));
        }
        let repo = if git_dir.join("HEAD").exists() {
            Repository::open_bare(git_dir).map_err(git("opening the git directory"))?
        } else {
            let mut options = git2::RepositoryInitOptions::new();
            options.bare(true).initial_head(&branch).external_template(false);
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
        Ok(Self::of(repo, Place::Disk { git_dir, work_dir }, origin))
    }

    /// Opens an existing store for reading, also while another process writes to it. Nothing on disk is changed.
    pub fn view(git_dir: &Path) -> Result<Self, StoreError> {
        let repo = Repository::open(git_dir).map_err(git("opening the git directory"))?;
        Ok(Self::of(repo, Place::Disk { git_dir: git_dir.to_owned(), work_dir: None }, None))
    }

    /// What a tree has. Trees never change, so the last few are kept.
    pub(super) fn contents(&self, tree: &TreeId) -> Result<Arc<Contents>, StoreError> {
        let mut seen = self.seen.borrow_mut();
        if let Some((_, contents)) = seen.iter().find(|(id, _)| id == tree) {
            return Ok(Arc::clone(contents));
        }
        let contents = Arc::new(Contents::of(&self.repo, oid(tree.as_str())?)?);
        seen.truncate(SEEN_MAX - 1);
        seen.insert(0, (tree.clone(), Arc::clone(&contents)));
        Ok(contents)
    }

    pub(super) fn blob(&self, path: &str, id: Oid) -> Result<Vec<u8>, StoreError> {
        let blob = self.repo.find_blob(id).map_err(|e| StoreError::Io {
            context: format!("reading {path}"),
            message: e.message().to_owned(),
        })?;
        Ok(blob.content().to_vec())
    }

    /// A new fan-out directory is itself an entry of `objects/`, which libgit2 does not fsync.
    pub(super) fn sync_objects_dir(&self) -> Result<(), StoreError> {
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

/// Paths whose content differs, sorted.
fn differing(a: &Files, b: &Files) -> Vec<String> {
    let all: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    all.into_iter().filter(|path| a.get(*path) != b.get(*path)).cloned().collect()
}

pub(super) fn oid(text: &str) -> Result<Oid, StoreError> {
    Oid::from_str(text).map_err(git("reading an object id"))
}

impl FileStore for GitStore {
    fn empty_tree(&mut self) -> Result<TreeId, StoreError> {
        let builder = self.repo.treebuilder(None).map_err(git("building a tree"))?;
        let id = builder.write().map_err(git("writing a tree"))?;
        self.sync_objects_dir()?;
        Ok(TreeId(id.to_string()))
    }

    fn apply(&mut self, base: &TreeId, edits: &[Edit]) -> Result<TreeId, StoreError> {
        let before = self.contents(base)?;
        let mut draft = Draft { files: before.files.clone(), before };
        for change in edits {
            self.apply_one(&mut draft, change)?;
        }
        self.with_files(base, &draft.files)
    }

    fn merge(&mut self, base: &TreeId, ours: &TreeId, theirs: &TreeId) -> Result<Merge, StoreError> {
        let (base, before, theirs) = (self.contents(base)?, self.contents(ours)?, self.contents(theirs)?);
        let (base, theirs) = (&base.files, &theirs.files);
        let mut draft = Draft { files: before.files.clone(), before };
        let paths = differing(base, theirs);
        let is_changed = |path: &&String| {
            let own = draft.files.get(*path);
            own != base.get(*path) && own != theirs.get(*path)
        };
        let mut conflicts: Vec<_> = paths.iter().filter(is_changed).cloned().collect();
        for path in &paths {
            match theirs.get(path) {
                Some(entry) => draft.files.insert(path.clone(), *entry),
                None => draft.files.remove(path),
            };
        }
        let is_in_the_way = |path: &&String| theirs.contains_key(*path) && draft.clear_way(path).is_err();
        conflicts.extend(paths.iter().filter(is_in_the_way).cloned());
        if conflicts.is_empty() {
            return Ok(Merge::Tree(self.with_files(ours, &draft.files)?));
        }
        conflicts.sort();
        conflicts.dedup();
        Ok(Merge::Conflict(conflicts))
    }

    fn changed(&self, from: &TreeId, to: &TreeId) -> Result<Vec<String>, StoreError> {
        Ok(differing(&self.contents(from)?.files, &self.contents(to)?.files))
    }

    fn list(&self, tree: &TreeId) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.contents(tree)?.files.iter().map(|(path, entry)| (path.clone(), entry.bytes)).collect())
    }

    fn others(&self, tree: &TreeId) -> Result<Vec<String>, StoreError> {
        let contents = self.contents(tree)?;
        Ok(contents.kept.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }

    fn read(&self, tree: &TreeId, path: &str) -> Result<Vec<u8>, StoreError> {
        path::check(path)?;
        let missing = || StoreError::NotFound { path: path.to_owned() };
        let id = self.contents(tree)?.files.get(path).map(|entry| entry.id).ok_or_else(missing)?;
        self.blob(path, id)
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
            Place::Disk { git_dir, .. } => match self.repo.refname_to_id(&self.branch) {
                Ok(id) => Ok(Some(CommitId(id.to_string()))),
                Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
                // A reference torn by a power cut has no content; the journal knows better.
                Err(_) if fs::metadata(git_dir.join(&self.branch)).is_ok_and(|m| m.len() == 0) => {
                    fs::remove_file(git_dir.join(&self.branch)).map_err(io("removing a torn reference"))?;
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
                self.repo
                    .reference(&self.branch, target, false, "edvac")
                    .map_err(git("moving the branch"))?;
            }
            (Place::Disk { .. }, Some(old)) => {
                self.repo
                    .reference_matching(&self.branch, target, true, oid(old.as_str())?, "edvac")
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
                    Some(to) => self
                        .repo
                        .reference_matching(&self.branch, oid(to.as_str())?, true, old, "edvac")
                        .map(drop),
                    None => self.repo.find_reference(&self.branch).and_then(|mut branch| branch.delete()),
                };
                moved.map_err(git("moving the branch"))?;
            }
        }
        Ok(())
    }

    fn check_out(&mut self, tree: &TreeId) -> Result<(), StoreError> {
        let Place::Disk { work_dir: Some(dir), .. } = &self.place else { return Ok(()) };
        self.show(self.contents(tree)?.as_ref(), dir)?;
        self.write_index(tree)
    }

    fn import(&mut self, dir: &Path) -> Result<TreeId, StoreError> {
        let root = Root::open(dir)?;
        let mut files = Files::new();
        for name in root.walk()? {
            path::check(&name)?;
            if let Some(bytes) = root.read(&name, FILE_BYTES_MAX)? {
                let entry = self.put(&name, &bytes, None)?;
                files.insert(name, entry);
            }
        }
        let empty = self.empty_tree()?;
        self.with_files(&empty, &files)
    }

    fn export(&self, tree: &TreeId, dir: &Path) -> Result<(), StoreError> {
        self.lay_out(&Root::open(dir)?, self.contents(tree)?.as_ref(), &BTreeMap::new())
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
