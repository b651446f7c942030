//! How much lies in a directory that hostile code writes to: nothing is followed, and nothing keeps us for ever.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

/// The least that a name takes, whatever is in it.
const NAME_BYTES: u64 = 4096;
/// Levels that are looked into. What lies deeper counts as what its processes wrote (see [`super::watch`]).
const DEPTH_MAX: usize = 48;
/// What the blocks of files are counted in.
const BLOCK_BYTES: u64 = 512;

/// The bytes that files below some directories take, counted up to `at_most`. Holes take nothing.
pub(super) fn taken<'a>(dirs: impl Iterator<Item = &'a Path>, at_most: u64) -> u64 {
    let mut taken = 0;
    for dir in dirs {
        let _ = each(dir, &mut |stat| {
            taken += ((stat.st_blocks as u64) * BLOCK_BYTES).max(NAME_BYTES);
            taken <= at_most
        });
    }
    taken
}

/// Whether a file of at least this size lies below one of some directories.
pub(super) fn has_file_of<'a>(mut dirs: impl Iterator<Item = &'a Path>, bytes: u64) -> bool {
    dirs.any(|dir| {
        let mut found = false;
        let _ = each(dir, &mut |stat| {
            found = FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_size as u64 >= bytes;
            !found
        });
        found
    })
}

/// Shows every name below a directory until one is enough.
fn each(dir: &Path, enough: &mut impl FnMut(&Stat) -> bool) -> rustix::io::Result<bool> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    level(&rustix::fs::openat(CWD, dir, flags, Mode::empty())?, DEPTH_MAX, enough)
}

fn level(dir: &OwnedFd, depth: usize, go_on: &mut impl FnMut(&Stat) -> bool) -> rustix::io::Result<bool> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for entry in Dir::read_from(dir.as_fd())? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // It may be gone by now, which frees what it took.
        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if !go_on(&stat) {
            return Ok(false);
        }
        if FileType::from_raw_mode(stat.st_mode).is_dir() && depth > 0 {
            let Ok(below) = rustix::fs::openat(dir, name, flags, Mode::empty()) else { continue };
            if !level(&below, depth - 1, go_on)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_nothing_and_names_something() {
        let dir = tempfile::tempdir().unwrap();
        let of = |at_most| taken([dir.path()].into_iter(), at_most);
        assert_eq!(of(u64::MAX), 0);
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::File::create(dir.path().join("d/sparse")).unwrap().set_len(1 << 40).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        assert!((3 * NAME_BYTES..=4 * NAME_BYTES).contains(&of(u64::MAX)), "{}", of(u64::MAX));
        assert_eq!(of(NAME_BYTES), 2 * NAME_BYTES, "no further than need be");
        assert!(has_file_of([dir.path()].into_iter(), 1 << 40));
        assert!(!has_file_of([dir.path()].into_iter(), (1 << 40) + 1));
    }
}
