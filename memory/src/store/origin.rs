//! A repository that exists already: what it has, and taking it over. It is only read; nothing of it is ever written to.

use std::path::{Path, PathBuf};

use git2::{
    Commit, ErrorCode, FetchOptions, IndexAddOption, Oid, Repository, Signature, StatusOptions, Time,
};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::git::{AUTHOR, GitStore, Place, git, io, oid};
use super::tree::{self, Changes};
use crate::ids::CommitId;

/// Keeps what was taken over from being collected.
const TAKEN: &str = "refs/edvac/origin";
/// In front of the objects on disk, so that those made on the way stay in memory.
const MEMORY_PRIORITY: i32 = 1000;

/// Where a store's first commit is from, where it does not begin with nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The repository.
    pub path: String,
    /// Its commit at the time.
    pub head: CommitId,
    /// The commit that work begins with: `head`, or one behind it with what was not committed.
    pub base: CommitId,
    /// The branch of the store, as `edvac/some-task`.
    pub branch: String,
    /// Files with changes that were not committed and were taken, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<String>,
    /// Files that git does not know there, and that were not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untracked: Vec<String>,
}

/// Why a repository cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Nothing is there.
    #[error("{} does not exist", .path.display())]
    NotThere {
        /// What was asked for.
        path: PathBuf,
    },
    /// It is a directory like any other.
    #[error("{} is no git repository, so it is not known which of its files belong to the project", .path.display())]
    NoRepository {
        /// What was asked for.
        path: PathBuf,
    },
    /// It lies in one.
    #[error("{} is a directory of the repository {}", .path.display(), .root.display())]
    Inside {
        /// What was asked for.
        path: PathBuf,
        /// The repository.
        root: PathBuf,
    },
    /// Nothing was ever committed.
    #[error("{} has no commit yet", .path.display())]
    NoCommit {
        /// The repository.
        path: PathBuf,
    },
    /// Git cannot make sense of it.
    #[error("the repository {} cannot be read: {message}", .path.display())]
    Unreadable {
        /// The repository.
        path: PathBuf,
        /// What libgit2 said.
        message: String,
    },
}

/// A repository that can be taken over, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its working tree, or the repository itself where it has none.
    pub root: PathBuf,
    /// Its commit.
    pub head: CommitId,
    /// Files that git knows and that are not as they were committed.
    pub changed: Vec<String>,
    /// Files that git does not know and does not ignore.
    pub untracked: Vec<String>,
    /// Its branches.
    pub branches: Vec<String>,
}

/// Looks at the repository at `path`. Takes time linear in its files; changes nothing.
pub fn look(path: &Path) -> Result<Found, OriginError> {
    let unreadable = |error: git2::Error| OriginError::Unreadable {
        path: path.to_owned(),
        message: error.message().to_owned(),
    };
    let full = std::fs::canonicalize(path).map_err(|_| OriginError::NotThere { path: path.to_owned() })?;
    let repo = match Repository::open(&full) {
        Ok(repo) => repo,
        Err(error) if error.code() == ErrorCode::NotFound => return Err(no_repository(path, &full)),
        Err(error) => return Err(unreadable(error)),
    };
    let head = match repo.head().and_then(|head| head.peel_to_commit()) {
        Ok(commit) => CommitId(commit.id().to_string()),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            return Err(OriginError::NoCommit { path: path.to_owned() });
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Found {
        root: repo.workdir().map_or(full, |dir| dir.components().collect()),
        head,
        changed: Vec::new(),
        untracked: Vec::new(),
        branches: Vec::new(),
    };
    for branch in repo.branches(Some(git2::BranchType::Local)).map_err(unreadable)? {
        let (branch, _) = branch.map_err(unreadable)?;
        found.branches.extend(branch.name().ok().flatten().map(str::to_owned));
    }
    if !repo.is_bare() {
        let mut options = StatusOptions::new();
        options.include_untracked(true).exclude_submodules(true).update_index(false);
        for entry in repo.statuses(Some(&mut options)).map_err(unreadable)?.iter() {
            let name = String::from_utf8_lossy(entry.path_bytes()).into_owned();
            let is_new = entry.status() == git2::Status::WT_NEW;
            if is_new { found.untracked.push(name) } else { found.changed.push(name) }
        }
    }
    Ok(found)
}

fn no_repository(path: &Path, full: &Path) -> OriginError {
    match Repository::discover(full).ok().and_then(|repo| Some(repo.workdir()?.components().collect())) {
        Some(root) => OriginError::Inside { path: path.to_owned(), root },
        None => OriginError::NoRepository { path: path.to_owned() },
    }
}

impl GitStore {
    /// Takes the commit of a repository over, with all of its history, so that what is made of it can be fetched back by
    /// plain git. With `changes`, a commit of `time_s` behind it holds what `git add --all` would add there.
    ///
    /// Takes time linear in the objects of the history. `branch` is where the work goes on: the store is on it from now on.
    pub fn take(
        &mut self,
        found: &Found,
        branch: &str,
        changes: bool,
        time_s: i64,
    ) -> Result<Origin, StoreError> {
        let source = Repository::open(&found.root).map_err(git("opening the repository"))?;
        let from = found.root.to_string_lossy();
        let copying = || git("copying the repository's history");
        let (base, included) = {
            let mut remote = self.repo.remote_anonymous(&from).map_err(copying())?;
            let mut options = FetchOptions::new();
            options.download_tags(git2::AutotagOption::None).update_fetchhead(false);
            // By its reference: a commit may have come meanwhile, but the one that was looked at is in its history.
            remote.fetch(&[format!("+HEAD:{TAKEN}")], Some(&mut options), None).map_err(copying())?;
            let head = self.repo.find_commit(oid(found.head.as_str())?).map_err(copying())?;
            if changes { self.with_changes(&source, &head, time_s)? } else { (head.id(), Vec::new()) }
        };
        self.share_shallow(&source)?;
        self.repo.reference(TAKEN, base, true, "edvac").map_err(copying())?;
        let origin = Origin {
            path: from.into_owned(),
            head: found.head.clone(),
            base: CommitId(base.to_string()),
            branch: branch.to_owned(),
            included,
            untracked: if changes { Vec::new() } else { found.untracked.clone() },
        };
        self.begin_with(&origin)?;
        Ok(origin)
    }

    /// A history that is cut off there is cut off here, too.
    fn share_shallow(&self, source: &Repository) -> Result<(), StoreError> {
        let Place::Disk { git_dir, .. } = &self.place else { return Ok(()) };
        if source.is_shallow() {
            let roots = source.commondir().join("shallow");
            std::fs::copy(roots, git_dir.join("shallow")).map_err(io("copying where the history begins"))?;
        }
        Ok(())
    }

    /// A commit behind `head` with what differs in the working tree, and the files it is about.
    fn with_changes(
        &self,
        source: &Repository,
        head: &Commit<'_>,
        time_s: i64,
    ) -> Result<(Oid, Vec<String>), StoreError> {
        let reading = || git("reading what was not committed");
        let theirs = source.odb().map_err(reading())?;
        // What git has to write to find out about changes goes to memory and is gone afterwards.
        let memory = theirs.add_new_mempack_backend(MEMORY_PRIORITY).map_err(reading())?;
        let mut index = source.index().map_err(reading())?;
        index.add_all(["*"], IndexAddOption::DEFAULT, None).map_err(reading())?;
        index.update_all(["*"], None).map_err(reading())?;
        let new = index.write_tree().and_then(|id| source.find_tree(id)).map_err(reading())?;
        let old = source.find_tree(head.tree_id()).map_err(reading())?;
        let diff = source.diff_tree_to_tree(Some(&old), Some(&new), None).map_err(reading())?;
        let ours = self.repo.odb().map_err(reading())?;
        let mut changes = Changes::new();
        for delta in diff.deltas() {
            let (before, after) = (delta.old_file(), delta.new_file());
            let path = after.path_bytes().or(before.path_bytes()).unwrap_or_default().to_owned();
            let change = if after.id().is_zero() {
                None
            } else {
                if after.mode() != git2::FileMode::Commit {
                    let object = theirs.read(after.id()).map_err(reading())?;
                    ours.write(object.kind(), object.data()).map_err(reading())?;
                }
                Some((after.id(), i32::from(after.mode())))
            };
            changes.insert(path, change);
        }
        memory.reset().map_err(reading())?;
        if changes.is_empty() {
            return Ok((head.id(), Vec::new()));
        }
        let base = head.tree().map_err(reading())?;
        let tree = tree::changed(&self.repo, &base, &changes)?;
        let tree = self.repo.find_tree(tree).map_err(reading())?;
        let author =
            Signature::new(AUTHOR.0, AUTHOR.1, &Time::new(time_s, 0)).map_err(git("signing a commit"))?;
        let message = "Changes that were not committed\n\nAs they were when the run began.\n";
        let id = self.repo.commit(None, &author, &author, message, &tree, &[head]).map_err(reading())?;
        let paths = changes.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        Ok((id, paths))
    }
}
