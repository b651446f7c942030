//! Removing what does not belong, whatever it is called and however deep it lies.
//!
//! A command that a model wrote may leave names that are no UTF-8 and directories nested deeper than any path can
//! say. Neither may keep the working tree from being set right, so names stay bytes here, and a stray directory is
//! emptied level by level: its own directories are first renamed up into the root.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, RenameFlags};
use rustix::io::Errno;

use super::StoreError;
use super::beneath::{Root, as_path, io};

/// Most names that are removed in one go; a working tree with more is not cleared but reported.
const NAMES_MAX: usize = 2_000_000;

impl Root {
    /// Removes every name below the root that is neither in `keep` nor a directory on the way to one of them. The
    /// root's own `.git` stays, and so does a directory that is in `keep` itself, with everything in it.
    pub fn retain<'a>(&self, keep: impl Iterator<Item = &'a [u8]>) -> Result<(), StoreError> {
        let keep: BTreeSet<&[u8]> = keep.collect();
        let mut dirs: BTreeSet<&[u8]> = BTreeSet::new();
        for path in &keep {
            dirs.extend((0..path.len()).filter(|at| path[*at] == b'/').map(|at| &path[..at]));
        }
        let mut open = vec![Vec::new()];
        while let Some(dir) = open.pop() {
            let at = if dir.is_empty() { Path::new(".") } else { as_path(&dir) };
            let fd = self
                .open_at(at, OFlags::DIRECTORY | OFlags::RDONLY)
                .map_err(io(format!("listing {}", at.display())))?;
            for (name, is_dir) in entries(&fd)? {
                let bytes = name.to_bytes();
                let path = match dir.as_slice() {
                    b"" => bytes.to_owned(),
                    dir => [dir, b"/", bytes].concat(),
                };
                match path.as_slice() {
                    b".git" => {}
                    path if keep.contains(path) => {}
                    path if is_dir && dirs.contains(path) => open.push(path.to_owned()),
                    _ if is_dir => self.discard(&fd, &name)?,
                    _ => unlink(&fd, &name)?,
                }
            }
        }
        Ok(())
    }

    /// Removes the directory `name` of `parent` with everything in it.
    pub fn discard(&self, parent: impl AsFd, name: &CStr) -> Result<(), StoreError> {
        let mut strays = vec![self.move_up(parent, name)?];
        let mut removed = 0;
        while let Some(stray) = strays.pop() {
            let fd = rustix::fs::openat(
                self.fd(),
                stray.as_c_str(),
                OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
            )
            .map_err(io("opening a stray directory"))?;
            for (name, is_dir) in entries(&fd)? {
                if is_dir {
                    strays.push(self.move_up(&fd, &name)?);
                } else {
                    unlink(&fd, &name)?;
                }
                removed += 1;
                if removed > NAMES_MAX {
                    let what = "the number of stray files in the workspace".to_owned();
                    return Err(StoreError::TooLarge { what, limit: NAMES_MAX as u64 });
                }
            }
            match rustix::fs::unlinkat(self.fd(), stray.as_c_str(), AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(io("removing a stray directory")(error)),
            }
        }
        Ok(())
    }

    /// Renames a directory to a free name in the root. One that a crash leaves there belongs to no tree, so the next
    /// clearing removes it.
    fn move_up(&self, parent: impl AsFd, name: &CStr) -> Result<CString, StoreError> {
        for number in 0..NAMES_MAX {
            let stray = CString::new(format!(".edvac-stray-{number}")).unwrap_or_default();
            match rustix::fs::renameat_with(
                &parent,
                name,
                self.fd(),
                stray.as_c_str(),
                RenameFlags::NOREPLACE,
            ) {
                Ok(()) => return Ok(stray),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(io(format!("removing {}", name.to_string_lossy()))(error)),
            }
        }
        Err(StoreError::TooLarge { what: "the number of stray directories".into(), limit: NAMES_MAX as u64 })
    }
}

/// The names in a directory, and whether each is a directory itself; a symlink to one is not.
fn entries(fd: &OwnedFd) -> Result<Vec<(CString, bool)>, StoreError> {
    let mut found = Vec::new();
    for entry in Dir::read_from(fd).map_err(io("listing a directory"))? {
        let name = entry.map_err(io("listing a directory"))?.file_name().to_owned();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::statat(fd, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => found.push((name, FileType::from_raw_mode(stat.st_mode).is_dir())),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(io(format!("looking at {}", name.to_string_lossy()))(error)),
        }
    }
    Ok(found)
}

fn unlink(fd: &OwnedFd, name: &CStr) -> Result<(), StoreError> {
    match rustix::fs::unlinkat(fd, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(io(format!("removing {}", name.to_string_lossy()))(error)),
    }
}
