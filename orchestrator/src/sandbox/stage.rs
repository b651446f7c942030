//! A job's directories where no namespace shows them under other names: handed to the user who is to use them, and given
//! back as they were owned.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use tempfile::TempDir;

use super::held::{self, Failed, Keeper};
use super::shim::Walls;
use super::toolchains::Toolchains;
use super::watch::dirs;
use super::{Job, Names, Outcome, keeper, plain_environment};

/// Where directories are moved that another user cannot reach, in this order.
const REACHABLE: [&str; 2] = ["/var/tmp", "/tmp"];
/// Levels whose owner is changed. A job that nests deeper finds the rest not its own.
const DEPTH_MAX: usize = 64;
/// The repository's pointer, and the most of it that is kept.
const POINTER: &str = ".git";
const POINTER_BYTES_MAX: u64 = 4096;

/// A job that is set up. Dropped, it is given back too, but nobody hears of what failed.
#[derive(Debug)]
pub(super) struct Stage {
    job: Job,
    names: Names,
    /// Holds the job's own `/tmp`, and what was moved.
    top: TempDir,
    /// Directories as (where they were, where they are).
    moved: Vec<(PathBuf, PathBuf)>,
    /// What the pointer held.
    pointer: Option<Vec<u8>>,
    /// Names beside the project that lead to what can only be read.
    beside: Vec<PathBuf>,
    user: Option<u32>,
    struck: bool,
}

impl Stage {
    /// Sets a job up for `user`, or for the user that this is.
    pub fn set(job: &Job, user: Option<u32>) -> io::Result<Self> {
        let readable = || job.readable.iter().map(|(host, _)| host.join("x"));
        let hidden =
            user.is_some() && !(dirs(job).all(is_reachable) && readable().all(|path| is_reachable(&path)));
        let top = if hidden {
            let made = REACHABLE.iter().find_map(|base| on_same_disk(&job.dir, Path::new(base)));
            made.ok_or_else(|| {
                io::Error::other(format!(
                    "{} is hidden from other users, and on another disk than /tmp and /var/tmp: set EDVAC_STATE to a directory that others may enter",
                    job.dir.display()
                ))
            })?
        } else if user.is_some() && !is_reachable(&std::env::temp_dir().join("x")) {
            tempfile::tempdir_in(REACHABLE[1])?
        } else {
            tempfile::tempdir()?
        };
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711))?;
        let pointer = job.dir.join(POINTER);
        let pointer = match fs::symlink_metadata(&pointer) {
            Ok(meta) if meta.is_file() && meta.len() <= POINTER_BYTES_MAX => Some(fs::read(&pointer)?),
            _ => None,
        };
        let mut stage = Self {
            job: job.clone(),
            names: Names::default(),
            top,
            moved: Vec::new(),
            pointer,
            beside: Vec::new(),
            user,
            struck: false,
        };
        fs::create_dir(stage.tmp())?;
        if hidden {
            for (number, from) in dirs(job).map(Path::to_owned).collect::<Vec<_>>().into_iter().enumerate() {
                let to = stage.top.path().join(number.to_string());
                fs::rename(&from, &to)?;
                stage.moved.push((from, to));
            }
            stage.job.dir = stage.now(&job.dir);
            let writable = job.writable.iter().map(|(host, inside)| (stage.now(host), inside.clone()));
            stage.job.writable = writable.collect();
        }
        if let Some(user) = user {
            for dir in dirs(&stage.job).chain([stage.tmp().as_path()]) {
                hand_over(dir, user, user)?;
            }
        }
        stage.show(hidden)?;
        let tmp = stage.tmp();
        stage.names = {
            let others = stage.job.writable.iter().chain(&stage.job.readable);
            let others = others.map(|(host, inside)| (host.as_path(), inside.as_str()));
            let own = [(stage.job.dir.as_path(), "/project"), (tmp.as_path(), "/tmp")];
            Names::new(own.into_iter().chain(others))
        };
        let (job, names) = (&mut stage.job, &stage.names);
        job.command.iter_mut().for_each(|word| *word = names.outside(word));
        job.env.iter_mut().for_each(|(_, value)| *value = names.outside(value));
        job.path.iter_mut().for_each(|dir| *dir = names.outside(dir));
        Ok(stage)
    }

    /// Lets what can only be read be found. Where it is hidden from the user, under other names of the same files, which
    /// still belong to somebody else; others use it at the same time, so that it cannot be moved.
    fn show(&mut self, hidden: bool) -> io::Result<()> {
        for number in 0..self.job.readable.len() {
            let (host, inside) = self.job.readable[number].clone();
            if hidden {
                let shown = self.top.path().join(format!("shown-{number}"));
                link_all(&host, &shown, DEPTH_MAX)?;
                self.job.readable[number].0.clone_from(&shown);
            }
            let above = self.job.dir.parent().filter(|_| inside.matches('/').count() == 1);
            if let Some(above) = above {
                let name = above.join(inside.trim_start_matches('/'));
                if fs::symlink_metadata(&name).is_ok_and(|meta| meta.is_symlink()) {
                    // A killed process left it.
                    fs::remove_file(&name)?;
                }
                std::os::unix::fs::symlink(&self.job.readable[number].0, &name)?;
                self.beside.push(name);
            }
        }
        Ok(())
    }

    /// What the job may only read.
    pub fn readable(&self) -> Vec<PathBuf> {
        self.job.readable.iter().map(|(host, _)| host.clone()).collect()
    }

    /// The job's own directory for what is thrown away.
    pub fn tmp(&self) -> PathBuf {
        self.top.path().join("tmp")
    }

    /// What the job may write to.
    pub fn writable(&self) -> Vec<PathBuf> {
        dirs(&self.job).map(Path::to_owned).chain([self.tmp()]).collect()
    }

    fn now(&self, dir: &Path) -> PathBuf {
        self.moved.iter().find(|(from, _)| from == dir).map_or_else(|| dir.to_owned(), |(_, to)| to.clone())
    }

    /// Runs the job under a keeper and gives everything back. `shim` is the program that is the keeper, too.
    pub async fn run(self, shim: &Path, toolchains: &Toolchains, walls: &Walls) -> Result<Outcome, Failed> {
        let mut command = Command::new(shim);
        command.arg(keeper::ARGUMENT).args(&self.job.command).current_dir(&self.job.dir);
        command.env_clear().env("TMPDIR", self.tmp());
        command.envs(plain_environment(toolchains, &self.job.path, self.tmp()));
        command.envs(self.job.env.iter().map(|(name, value)| (name, value)));
        let ran = held::run(command, walls, Keeper::Itself, &self.job, self.names.clone()).await;
        self.strike()?;
        ran
    }

    /// Gives everything back.
    pub fn strike(mut self) -> io::Result<()> {
        self.give_back()
    }

    fn give_back(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.struck, true) {
            return Ok(());
        }
        for name in &self.beside {
            fs::remove_file(name)?;
        }
        if let Some(pointer) = &self.pointer {
            put_back(&self.job.dir.join(POINTER), pointer)?;
        }
        if self.user.is_some() {
            let (own, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            for dir in dirs(&self.job) {
                hand_over(dir, own, group)?;
            }
        }
        // Undone in reverse: one may have lain in another.
        for (from, to) in self.moved.drain(..).rev() {
            fs::rename(to, from)?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.give_back() {
            tracing::warn!("a directory of a command could not be given back: {error}");
        }
    }
}

/// Whether any user can get to a path, whatever it is itself.
pub(super) fn is_reachable(path: &Path) -> bool {
    let open = |meta: Metadata| meta.permissions().mode() & 0o001 != 0;
    path.ancestors().skip(1).all(|dir| dir.as_os_str().is_empty() || fs::metadata(dir).is_ok_and(open))
}

/// A new directory below `base`, if that is on the same disk as `dir`.
fn on_same_disk(dir: &Path, base: &Path) -> Option<TempDir> {
    let disk = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    (disk(dir).ok()? == disk(base).ok()?).then(|| tempfile::tempdir_in(base).ok())?
}

/// Makes a file what it was, whatever is there now.
fn put_back(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let found = fs::symlink_metadata(path).ok();
    if found.as_ref().is_some_and(Metadata::is_file) && fs::read(path).is_ok_and(|now| now == bytes) {
        return Ok(());
    }
    match found {
        Some(meta) if meta.is_dir() => fs::remove_dir_all(path)?,
        Some(_) => fs::remove_file(path)?,
        None => {}
    }
    fs::write(path, bytes)
}

/// Makes a directory of further names of the same files.
fn link_all(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    if meta.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if !meta.is_dir() {
        return fs::hard_link(from, to);
    }
    if depth == 0 {
        return Err(io::Error::other(format!("{} is nested too deep", from.display())));
    }
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        link_all(&entry.path(), &to.join(entry.file_name()), depth - 1)?;
    }
    Ok(())
}

/// Changes the owner of a directory and of what is in it. Follows nothing.
fn hand_over(dir: &Path, user: u32, group: u32) -> io::Result<()> {
    let dir = OwnedFd::from(File::open(dir)?);
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    rustix::fs::fchown(&dir, Some(user), Some(group))?;
    Ok(below(&dir, user, group, DEPTH_MAX)?)
}

fn below(dir: &OwnedFd, user: Uid, group: Gid, depth: usize) -> rustix::io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for entry in Dir::read_from(dir.as_fd())? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // What is gone by now needs no owner.
        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        rustix::fs::chownat(dir, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode).is_dir() && depth > 0 {
            let inner = rustix::fs::openat(dir, name, flags, Mode::empty())?;
            below(&inner, user, group, depth - 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_comes_back_whatever_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let (pointer, other) = (dir.path().join(POINTER), dir.path().join("other"));
        fs::write(&other, "other").unwrap();
        let job = Job::new(vec!["/project/x".to_owned()], dir.path().to_owned());
        for spoil in 0..4 {
            fs::write(&pointer, "gitdir: /somewhere\n").unwrap();
            let stage = Stage::set(&job, None).unwrap();
            assert_eq!(stage.job.command, [format!("{}/x", dir.path().display())]);
            match spoil {
                0 => fs::write(&pointer, "gitdir: /elsewhere\n").unwrap(),
                1 => fs::remove_file(&pointer).unwrap(),
                2 => {
                    fs::remove_file(&pointer).unwrap();
                    fs::create_dir_all(pointer.join("hooks")).unwrap();
                }
                _ => {
                    fs::remove_file(&pointer).unwrap();
                    std::os::unix::fs::symlink(&other, &pointer).unwrap();
                }
            }
            stage.strike().unwrap();
            assert_eq!(fs::read_to_string(&pointer).unwrap(), "gitdir: /somewhere\n");
            assert!(fs::symlink_metadata(&pointer).unwrap().is_file());
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
    }
}
