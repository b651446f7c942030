//! File access that cannot leave a directory: every path is resolved by the kernel with `RESOLVE_BENEATH`.
//!
//! A check of the resolved path followed by an ordinary open loses races against a renamed symlink; the kernel's
//! own resolution does not (`openat2(2)`). No symlink is followed, not even one that stays below the root.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{StoreError, path};

/// An opened directory below which everything happens.
pub struct Root {
    dir: OwnedFd,
}

pub(super) fn io(context: impl Into<String>) -> impl FnOnce(Errno) -> StoreError {
    let context = context.into();
    move |error| StoreError::Io { context, message: std::io::Error::from(error).to_string() }
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

impl Root {
    /// Opens `dir`, which must exist.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let dir_fd =
            rustix::fs::open(dir, flags, Mode::empty()).map_err(io(format!("opening {}", dir.display())))?;
        Ok(Self { dir: dir_fd })
    }

    /// The root itself.
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.dir
    }

    pub(super) fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&self.dir, path, flags | OFlags::CLOEXEC, Mode::empty(), beneath())
    }

    /// The content of a regular file, up to `bytes_max`; none when nothing regular is there.
    pub fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        // Non-blocking, so that a planted FIFO cannot hold us.
        let fd = match self.open_at(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(io(format!("reading {path}"))(error)),
        };
        let file = File::from(fd);
        let meta = file.metadata().map_err(|e| failed("reading", path, &e))?;
        if !meta.is_file() {
            return Ok(None);
        }
        if meta.len() > bytes_max {
            return Err(StoreError::TooLarge { what: path.to_owned(), limit: bytes_max });
        }
        let mut bytes = Vec::with_capacity(meta.len() as usize);
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|e| failed("reading", path, &e))?;
        if bytes.len() as u64 > bytes_max {
            return Err(StoreError::TooLarge { what: path.to_owned(), limit: bytes_max });
        }
        Ok(Some(bytes))
    }

    /// Replaces the file with `bytes` in one step, making its directories.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let parent = self.make_dirs(parent)?;
        let temporary = format!(".edvac-{}.tmp", std::process::id());
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, temporary.as_str(), flags, Mode::from_raw_mode(0o644))
            .map_err(io(format!("writing {path}")))?;
        let mut file = File::from(fd);
        file.write_all(bytes).map_err(|e| failed("writing", path, &e))?;
        match rustix::fs::renameat(&parent, temporary.as_str(), &parent, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                let occupant = std::ffi::CString::new(name).map_err(|_| StoreError::BadPath {
                    path: path.to_owned(),
                    why: "it contains a zero byte",
                })?;
                self.discard(&parent, &occupant)?;
                rustix::fs::renameat(&parent, temporary.as_str(), &parent, name)
            }
            other => other,
        }
        .map_err(io(format!("writing {path}")))
    }

    fn make_dirs(&self, path: &str) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let mut so_far = String::new();
        for part in path.split('/').filter(|p| *p != ".") {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(part);
            match self.open_at(&so_far, flags) {
                Ok(_) => continue,
                // A file or a symlink stands where a directory is needed: it is not part of the tree to come.
                Err(Errno::NOTDIR | Errno::LOOP) => self.unlink(&so_far)?,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(io(format!("opening {so_far}"))(error)),
            }
            let (parent, name) = so_far.rsplit_once('/').unwrap_or((".", &so_far));
            let parent = self.open_at(parent, flags).map_err(io(format!("opening {parent}")))?;
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                .map_err(io(format!("making {so_far}")))?;
        }
        let path = if so_far.is_empty() { "." } else { &so_far };
        self.open_at(path, flags).map_err(io(format!("opening {path}")))
    }

    /// Removes one name that is not a directory; a missing one is fine.
    fn unlink(&self, path: &str) -> Result<(), StoreError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let parent = match self.open_at(parent, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(io(format!("removing {path}"))(error)),
        };
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(io(format!("removing {path}"))(error)),
        }
    }

    /// Every name below the root that is not a directory. Nothing called `.git` is looked into, at any depth: what
    /// is in there is some repository's, not the project's.
    pub fn walk(&self) -> Result<Vec<String>, StoreError> {
        let (mut files, mut dirs, mut open) = (Vec::new(), 0, vec![String::new()]);
        while let Some(dir) = open.pop() {
            let at = if dir.is_empty() { "." } else { &dir };
            let fd = match self.open_at(at, OFlags::DIRECTORY | OFlags::RDONLY) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(io(format!("listing {at}"))(error)),
            };
            for entry in rustix::fs::Dir::read_from(&fd).map_err(io(format!("listing {at}")))? {
                let entry = entry.map_err(io(format!("listing {at}")))?;
                let Ok(name) = entry.file_name().to_str() else {
                    return Err(StoreError::BadPath {
                        path: entry.file_name().to_string_lossy().into_owned(),
                        why: "it is not UTF-8",
                    });
                };
                if matches!(name, "." | "..") || path::is_git(name) {
                    continue;
                }
                let path = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
                let stat = rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(io(format!("looking at {path}")))?;
                if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
                    dirs += 1;
                    open.push(path);
                } else {
                    files.push(path);
                }
                if files.len() + dirs > 4 * super::FILES_MAX {
                    return Err(StoreError::TooLarge {
                        what: "the number of files".to_owned(),
                        limit: 4 * super::FILES_MAX as u64,
                    });
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

fn failed(doing: &str, path: &str, error: &std::io::Error) -> StoreError {
    StoreError::Io { context: format!("{doing} {path}"), message: error.to_string() }
}
