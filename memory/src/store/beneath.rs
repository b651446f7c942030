//! File access that cannot leave a directory: every path is resolved by the kernel with `RESOLVE_BENEATH`.
//!
//! A check of the resolved path followed by an ordinary open loses races against a renamed symlink; the kernel's
//! own resolution does not (`openat2(2)`). No symlink is followed, not even one that stays below the root.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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

/// What a regular file is.
pub struct Regular {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// A path of bytes, as the system takes it.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Where an entry lies, and its name in there.
fn parts(path: &Path) -> (&Path, &OsStr) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    (parent.unwrap_or(Path::new(".")), path.file_name().unwrap_or(path.as_os_str()))
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

    pub(super) fn open_at(&self, path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&self.dir, path.as_ref(), flags | OFlags::CLOEXEC, Mode::empty(), beneath())
    }

    /// The content of a regular file, up to `bytes_max`; none when nothing regular is there.
    pub fn read(&self, path: impl AsRef<Path>, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.look(path, bytes_max)?.map(|regular| regular.bytes))
    }

    /// A regular file, of up to `bytes_max`; none when nothing regular is there.
    pub fn look(&self, path: impl AsRef<Path>, bytes_max: u64) -> Result<Option<Regular>, StoreError> {
        let path = path.as_ref();
        let shown = path.display();
        // Non-blocking, so that a planted FIFO cannot hold us.
        let fd = match self.open_at(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(io(format!("reading {shown}"))(error)),
        };
        let file = File::from(fd);
        let meta = file.metadata().map_err(|e| failed("reading", path, &e))?;
        if !meta.is_file() {
            return Ok(None);
        }
        if meta.len() > bytes_max {
            return Err(StoreError::TooLarge { what: shown.to_string(), limit: bytes_max });
        }
        let mut bytes = Vec::with_capacity(meta.len() as usize);
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|e| failed("reading", path, &e))?;
        if bytes.len() as u64 > bytes_max {
            return Err(StoreError::TooLarge { what: shown.to_string(), limit: bytes_max });
        }
        Ok(Some(Regular { bytes, executable: meta.permissions().mode() & 0o100 != 0 }))
    }

    /// Replaces the file with `bytes` in one step, making its directories.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8], executable: bool) -> Result<(), StoreError> {
        let path = path.as_ref();
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        self.put(path, |parent, temporary| {
            // One that a crash left there may have another mode.
            let _ = rustix::fs::unlinkat(parent, temporary, AtFlags::empty());
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(parent, temporary, flags, mode)
                .map_err(io(format!("writing {}", path.display())))?;
            File::from(fd).write_all(bytes).map_err(|e| failed("writing", path, &e))
        })
    }

    /// Replaces the name with a symbolic link. Where it leads is not looked at: nothing here follows it.
    pub fn link(&self, path: impl AsRef<Path>, target: &[u8]) -> Result<(), StoreError> {
        let path = path.as_ref();
        self.put(path, |parent, temporary| {
            let _ = rustix::fs::unlinkat(parent, temporary, AtFlags::empty());
            rustix::fs::symlinkat(as_path(target), parent, temporary)
                .map_err(io(format!("writing {}", path.display())))
        })
    }

    /// Where the symbolic link of this name leads; none when there is no link.
    pub fn link_at(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let (parent, name) = parts(path.as_ref());
        let parent = self.open_at(parent, OFlags::DIRECTORY | OFlags::RDONLY).ok()?;
        Some(rustix::fs::readlinkat(&parent, name, Vec::new()).ok()?.into_bytes())
    }

    /// Makes a name with `make`, beside the one that it then takes the place of.
    fn put(
        &self,
        path: &Path,
        make: impl FnOnce(&OwnedFd, &str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (parent, name) = parts(path);
        let parent = self.make_dirs(parent)?;
        let temporary = format!(".edvac-{}.tmp", std::process::id());
        make(&parent, &temporary)?;
        match rustix::fs::renameat(&parent, temporary.as_str(), &parent, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                let occupant = std::ffi::CString::new(name.as_bytes()).map_err(|_| StoreError::BadPath {
                    path: path.display().to_string(),
                    why: "it contains a zero byte",
                })?;
                self.discard(&parent, &occupant)?;
                rustix::fs::renameat(&parent, temporary.as_str(), &parent, name)
            }
            other => other,
        }
        .map_err(io(format!("writing {}", path.display())))
    }

    /// Makes a directory and those above it, and opens it.
    pub fn make_dirs(&self, path: impl AsRef<Path>) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let mut so_far = PathBuf::new();
        for part in path.as_ref().iter().filter(|part| *part != ".") {
            so_far.push(part);
            let shown = so_far.display();
            match self.open_at(&so_far, flags) {
                Ok(_) => continue,
                // A file or a symlink stands where a directory is needed: it is not part of the tree to come.
                Err(Errno::NOTDIR | Errno::LOOP) => self.unlink(&so_far)?,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(io(format!("opening {shown}"))(error)),
            }
            let (parent, name) = parts(&so_far);
            let parent = self.open_at(parent, flags).map_err(io(format!("opening {}", parent.display())))?;
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
                .map_err(io(format!("making {shown}")))?;
        }
        let path = if so_far.as_os_str().is_empty() { Path::new(".") } else { &so_far };
        self.open_at(path, flags).map_err(io(format!("opening {}", path.display())))
    }

    /// Removes one name that is not a directory; a missing one is fine.
    fn unlink(&self, path: &Path) -> Result<(), StoreError> {
        let (parent, name) = parts(path);
        let removing = || io(format!("removing {}", path.display()));
        let parent = match self.open_at(parent, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(removing()(error)),
        };
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(removing()(error)),
        }
    }

    /// Every name below the root that is not a directory, where all of them are UTF-8.
    pub fn walk(&self) -> Result<Vec<String>, StoreError> {
        let not_utf8 = |error: std::string::FromUtf8Error| StoreError::BadPath {
            path: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            why: "it is not UTF-8",
        };
        let names = self.walk_bytes(4 * super::FILES_MAX)?.into_iter();
        names.map(|name| String::from_utf8(name).map_err(not_utf8)).collect()
    }

    /// Every name below the root that is not a directory, sorted; at most `names_max`, directories counted. Nothing called
    /// `.git` is looked into, at any depth: what is in there is some repository's, not the project's.
    pub fn walk_bytes(&self, names_max: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let (mut files, mut dirs, mut open) = (Vec::new(), 0, vec![Vec::new()]);
        while let Some(dir) = open.pop() {
            let at = if dir.is_empty() { Path::new(".") } else { as_path(&dir) };
            let listing = || io(format!("listing {}", at.display()));
            let fd = match self.open_at(at, OFlags::DIRECTORY | OFlags::RDONLY) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(listing()(error)),
            };
            for entry in rustix::fs::Dir::read_from(&fd).map_err(listing())? {
                let entry = entry.map_err(listing())?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") || path::is_git(&String::from_utf8_lossy(name)) {
                    continue;
                }
                let path =
                    if dir.is_empty() { name.to_owned() } else { [dir.as_slice(), b"/", name].concat() };
                let stat = rustix::fs::statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(io(format!("looking at {}", as_path(&path).display())))?;
                if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
                    dirs += 1;
                    open.push(path);
                } else {
                    files.push(path);
                }
                if files.len() + dirs > names_max {
                    return Err(StoreError::TooLarge {
                        what: "the number of files".to_owned(),
                        limit: names_max as u64,
                    });
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Io { context: format!("{doing} {}", path.display()), message: error.to_string() }
}
