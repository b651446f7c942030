//! Where installed packages lie: `<state>/dependencies/<language>/<digest>`, shared by all runs. What is there under its own
//! name is whole: it is made beside it and renamed when it is on the disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Needs, Package};
use crate::sandbox::Job;

/// What an installation says about itself, beside what was installed.
const LIST: &str = "packages.json";
/// Begins the names of what is not finished.
const UNFINISHED: &str = ".unfinished-";
/// Held while something is installed.
const LOCK: &str = "lock";
/// Directories that an installation may nest.
const DEPTH_MAX: usize = 64;
/// Where Python's packages are inside; JavaScript's and Rust's lie where their programs look upwards from the project.
const PYTHON: &str = "/packages";

/// All installations.
#[derive(Clone, Debug)]
pub struct Shelf {
    root: PathBuf,
}

/// An installation being made. What is not put on the shelf goes away with the value, and with the next one at the latest.
pub(super) struct Draft {
    dir: TempDir,
    place: PathBuf,
    _lock: File,
}

/// An installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    runner: String,
    dir: PathBuf,
}

impl Shelf {
    /// The shelf of a state directory.
    pub fn below(state_dir: &Path) -> Self {
        Self { root: state_dir.join("dependencies") }
    }

    fn place(&self, needs: &Needs) -> PathBuf {
        self.root.join(&needs.runner).join(&needs.digest)
    }

    /// What was installed for these needs, and its packages.
    pub fn find(&self, needs: &Needs) -> Option<(Stock, Vec<Package>)> {
        let dir = self.place(needs);
        let list = fs::read(dir.join(LIST)).ok()?;
        Some((Stock { runner: needs.runner.clone(), dir }, serde_json::from_slice(&list).ok()?))
    }

    /// Begins an installation. Waits for any other that is being made; what a killed process left is removed.
    pub(super) fn draft(&self, needs: &Needs) -> io::Result<Draft> {
        let place = self.place(needs);
        let beside = place.parent().unwrap_or(&self.root);
        fs::create_dir_all(beside)?;
        let lock = File::create(beside.join(LOCK))?;
        lock.lock()?;
        for entry in fs::read_dir(beside)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let dir = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(beside)?;
        for name in ["home", "tmp", "out"] {
            fs::create_dir(dir.path().join(name))?;
        }
        Ok(Draft { dir, place, _lock: lock })
    }
}

impl Draft {
    /// Everything of it; the only directory that the installer can write to.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What is put on the shelf.
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Puts it on the shelf: readable by whoever runs commands, on the disk, and only then under its name.
    pub fn keep(self, packages: &[Package]) -> io::Result<()> {
        let out = self.out();
        fs::write(out.join(LIST), serde_json::to_vec(packages)?)?;
        open_to_all(&out, DEPTH_MAX)?;
        rustix::fs::syncfs(File::open(&out)?)?;
        fs::rename(&out, &self.place)?;
        File::open(self.place.parent().unwrap_or(&self.place))?.sync_all()
    }
}

/// Lets everybody read what is in a directory. Follows nothing.
fn open_to_all(path: &Path, depth: usize) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    let mode = meta.permissions().mode();
    let more = if meta.is_dir() || mode & 0o100 != 0 { 0o555 } else { 0o444 };
    fs::set_permissions(path, fs::Permissions::from_mode((mode | more) & 0o755))?;
    if meta.is_dir() {
        if depth == 0 {
            return Err(io::Error::other(format!("directories are nested more than {DEPTH_MAX} deep")));
        }
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path(), depth - 1)?;
        }
    }
    Ok(())
}

impl Stock {
    /// Lets a job find it.
    pub fn equip(&self, job: &mut Job) {
        let inside = |name: &str, inside: &str| (self.dir.join(name), inside.to_owned());
        match self.runner.as_str() {
            "python" => {
                job.readable.push(inside("packages", PYTHON));
                job.path.push(format!("{PYTHON}/bin"));
                match job.env.iter_mut().find(|(name, _)| name == "PYTHONPATH") {
                    Some((_, value)) => *value = format!("{value}:{PYTHON}"),
                    None => job.env.push(("PYTHONPATH".to_owned(), PYTHON.to_owned())),
                }
            }
            "javascript" => {
                job.readable.push(inside("node_modules", "/node_modules"));
                job.path.push("/node_modules/.bin".to_owned());
            }
            // The directory of crates is named in there relative to its parent.
            _ => job.readable.extend([inside("vendor", "/vendor"), inside("cargo", "/.cargo")]),
        }
    }

    /// Whether a program is in it.
    pub fn has(&self, program: &str) -> bool {
        let bin = match self.runner.as_str() {
            "python" => "packages/bin",
            "javascript" => "node_modules/.bin",
            _ => return false,
        };
        self.dir.join(bin).join(program).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs() -> Needs {
        Needs { runner: "python".into(), digest: "d".into(), wanted: vec![], refused: vec![] }
    }

    #[test]
    fn only_what_is_finished_is_found() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::below(state.path());
        let draft = shelf.draft(&needs()).unwrap();
        fs::create_dir(draft.out().join("packages")).unwrap();
        assert!(shelf.find(&needs()).is_none());
        // As if the process was killed.
        std::mem::forget(draft);
        let beside = state.path().join("dependencies/python");
        let unfinished = || {
            let all = fs::read_dir(&beside).unwrap().flatten();
            all.filter(|e| e.file_name().to_string_lossy().starts_with(UNFINISHED)).count()
        };
        assert_eq!(unfinished(), 1);
        let packages = [Package { name: "x".into(), version: "1".into() }];
        let second = {
            // The lock is of the forgotten draft's process, which is this one.
            fs::remove_file(beside.join(LOCK)).unwrap();
            shelf.draft(&needs()).unwrap()
        };
        assert_eq!(unfinished(), 1, "what was left is gone");
        second.keep(&packages).unwrap();
        assert_eq!(unfinished(), 0);
        let (stock, found) = shelf.find(&needs()).unwrap();
        assert_eq!(found, packages);
        assert!(!stock.has("x"));
    }
}
