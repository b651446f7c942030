//! Working on what exists: a person's repository is looked at, copied, and never written to.

use std::path::{Path, PathBuf};

use edvac_memory::store::{Found, GitStore, Origin, OriginError, StoreError, look};

/// What branches of runs begin with.
const PREFIX: &str = "edvac";
/// Names that are tried until one is free.
const NAMES_MAX: usize = 1000;
/// Files that are named to a person; the others are counted.
const NAMED_MAX: usize = 5;

/// What a person says about the repository that a run is to work on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Where it is.
    pub path: PathBuf,
    /// Whether what was not committed belongs to it, too.
    pub include_changes: bool,
}

/// Why a run cannot work on a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExistingError {
    /// It is none, or cannot be read.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// There are changes, and nobody said what is to become of them.
    #[error("{} has changes that are not committed: {}", .path.display(), some(.files))]
    Uncommitted {
        /// The repository.
        path: PathBuf,
        /// Files that git knows and that are not as they were committed.
        files: Vec<String>,
    },
    /// Everything of edvac's would lie in the repository.
    #[error("edvac's state and workspaces lie in {}, which is not written to", .path.display())]
    Within {
        /// The repository.
        path: PathBuf,
    },
}

impl ExistingError {
    /// What a person can do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::Uncommitted { .. } => {
                "Commit or stash them; or take them, too, with --include-changes.".to_owned()
            }
            Self::Within { .. } => {
                "Give EDVAC_STATE and EDVAC_WORKSPACES, or paths.state and paths.workspaces, a place outside."
                    .to_owned()
            }
            Self::Origin(OriginError::NoRepository { path }) => {
                format!("Make it one (git init {}), and a commit of what belongs to it.", path.display())
            }
            Self::Origin(OriginError::NoCommit { path }) => {
                let path = path.display();
                format!(
                    "Make one of what belongs to the project: git -C {path} add --all, then git -C {path} commit."
                )
            }
            Self::Origin(OriginError::Inside { root, .. }) => {
                format!("Give the whole repository: --in {}", root.display())
            }
            Self::Origin(OriginError::NotThere { .. }) => "Give a repository that exists.".to_owned(),
            Self::Origin(OriginError::Unreadable { .. }) => "`git status` there says more.".to_owned(),
        }
    }
}

/// Looks whether a run can work on a repository.
pub fn check(existing: &Existing) -> Result<Found, ExistingError> {
    let found = look(&existing.path)?;
    if !found.changed.is_empty() && !existing.include_changes {
        return Err(ExistingError::Uncommitted { path: existing.path.clone(), files: found.changed });
    }
    Ok(found)
}

/// What a person is to know before a run begins, a line each.
pub fn notes(found: &Found, existing: &Existing) -> Vec<String> {
    let head: String = found.head.as_str().chars().take(10).collect();
    let mut notes = vec![format!("works on a copy of {} at {head}", found.root.display())];
    let (changed, untracked) = (&found.changed, &found.untracked);
    if existing.include_changes && !(changed.is_empty() && untracked.is_empty()) {
        notes.push(format!(
            "with what is not committed there: {}",
            some(&[changed.as_slice(), untracked].concat())
        ));
    } else if !untracked.is_empty() {
        notes.push(format!(
            "without {}, which git does not know there (--include-changes takes them)",
            some(untracked)
        ));
    }
    notes
}

/// Takes the repository over into a run's store.
pub fn take(
    store: &mut GitStore,
    found: &Found,
    existing: &Existing,
    slug: &str,
) -> Result<Origin, StoreError> {
    let now_s = jiff::Timestamp::now().as_second();
    store.take(found, &branch(slug, found), existing.include_changes, now_s)
}

/// The branch of a run: `edvac/some-task`, or one like it that the repository does not have.
fn branch(slug: &str, found: &Found) -> String {
    // A branch `edvac` leaves no room for others below it.
    let is_taken = |name: &str| found.branches.iter().any(|branch| branch == name);
    let joint = if is_taken(PREFIX) { '-' } else { '/' };
    let names = (1..=NAMES_MAX).map(|number| match number {
        1 => format!("{PREFIX}{joint}{slug}"),
        _ => format!("{PREFIX}{joint}{slug}-{number}"),
    });
    names.into_iter().find(|name| !is_taken(name)).unwrap_or_else(|| format!("{PREFIX}-{slug}"))
}

/// The first of these directories that does not lie in a repository.
pub fn outside<'a>(dirs: &[&'a Path], repository: &Path) -> Option<&'a Path> {
    dirs.iter().copied().find(|dir| !full(dir).starts_with(full(repository)))
}

/// A path without symbolic links and dots, also of what does not exist yet.
fn full(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = path.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    match real {
        Some((above, real)) => real.join(path.strip_prefix(above).unwrap_or(Path::new(""))),
        None => path,
    }
}

/// Some names as one line.
pub fn some(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// How what a run made is fetched into the repository, and how it is applied as a patch.
pub fn commands(origin: &Origin, workspace: &str, run: &str) -> (String, String) {
    let quoted =
        |text: &str| shlex::try_quote(text).map_or_else(|_| text.to_owned(), |text| text.to_string());
    let (path, branch) = (quoted(&origin.path), quoted(&origin.branch));
    (
        format!("git -C {path} fetch {} {branch}:{branch}", quoted(workspace)),
        format!("edvac patch {run} | git -C {path} am --keep-cr"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(branches: &[&str]) -> Found {
        Found {
            root: "/r".into(),
            head: "0".into(),
            changed: Vec::new(),
            untracked: Vec::new(),
            branches: branches.iter().map(|&branch| branch.to_owned()).collect(),
        }
    }

    #[test]
    fn a_branch_that_is_not_there_yet() {
        assert_eq!(branch("x", &found(&["main"])), "edvac/x");
        assert_eq!(branch("x", &found(&["edvac/x", "edvac/x-2"])), "edvac/x-3");
        assert_eq!(branch("x", &found(&["edvac"])), "edvac-x");
    }

    #[test]
    fn nothing_is_put_into_the_repository() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("r")).unwrap();
        std::os::unix::fs::symlink("r", at("link")).unwrap();
        let [inside, linked, beside] = [at("r/not/yet"), at("link/x"), at("rx")];
        assert_eq!(outside(&[&inside, &linked, &beside], &at("r")), Some(beside.as_path()));
        assert_eq!(outside(&[&inside], &at("r")), None);
        assert_eq!(outside(&[&at("r")], &at("link")), None);
    }

    #[test]
    fn what_a_person_has_to_type() {
        let origin = Origin {
            path: "/home/a b/r".into(),
            head: "1".into(),
            base: "1".into(),
            branch: "edvac/x".into(),
            included: Vec::new(),
            untracked: Vec::new(),
        };
        let (fetch, patch) = commands(&origin, "/w/x", "r1");
        assert_eq!(fetch, "git -C '/home/a b/r' fetch /w/x edvac/x:edvac/x");
        assert_eq!(patch, "edvac patch r1 | git -C '/home/a b/r' am --keep-cr");
    }
}
