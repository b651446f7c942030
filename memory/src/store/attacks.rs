//! What a hostile workspace may try: nothing outside is read, written or executed, and what is left out is left out
//! because it is no plain file.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::beneath::Root;
use super::{Edit, FILE_BYTES_MAX, FileStore, GitStore, StoreError};
use crate::ids::TreeId;

const TRIES: usize = 100_000;
/// And where one side was never let run.
const TRIES_MAX: usize = 50 * TRIES;

/// Ends the other side also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Ground {
    dir: tempfile::TempDir,
    store: GitStore,
    tree: TreeId,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).unwrap();
        let empty = store.empty_tree().unwrap();
        let write = |path: &str| Edit::Write { path: path.into(), content: "ours".into() };
        let tree = store.apply(&empty, &[write("a.txt"), write("d/b.txt")]).unwrap();
        store.check_out(&tree).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        Self { dir, store, tree }
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn mark(&self) -> PathBuf {
        self.dir.path().join("executed")
    }

    /// Everything that is done with a workspace is done, and shows the tree; nothing happened outside.
    fn holds(&mut self, imports: bool) {
        let work = self.work();
        let imported = self.store.import(&work);
        assert_eq!(imported.is_ok(), imports, "{imported:?}");
        if let Ok(tree) = imported {
            let listed = self.store.list(&tree).unwrap();
            assert!(listed.keys().all(|path| !path.to_ascii_lowercase().contains(".git/")), "{listed:?}");
            for path in listed.keys() {
                assert_ne!(self.store.read(&tree, path).unwrap(), b"secret", "{path}");
            }
        }
        self.store.check_out(&self.tree).unwrap();
        assert_eq!(self.store.import(&work).unwrap(), self.tree);
        assert_eq!(std::fs::read_to_string(self.outside().join("secret")).unwrap(), "secret");
        assert_eq!(std::fs::read_dir(self.outside()).unwrap().count(), 1);
        assert!(!self.mark().exists(), "nothing was executed");
    }
}

fn open(dir: &Path) -> Result<GitStore, StoreError> {
    GitStore::open(&dir.join("git"), Some(&dir.join("work")), None)
}

fn run(program: &str, args: &[&str], dir: &Path) {
    assert!(Command::new(program).args(args).current_dir(dir).output().unwrap().status.success());
}

#[test]
fn filters_attributes_and_hooks_are_not_run() {
    let mut ground = Ground::new();
    let (work, mark) = (ground.work(), ground.mark());
    let run = format!("touch {}", mark.display());
    std::fs::write(work.join(".gitattributes"), "* filter=evil diff=evil merge=evil text eol=crlf ident\n")
        .unwrap();
    let config = format!(
        "[filter \"evil\"]\n\tclean = {run}\n\tsmudge = {run}\n\trequired\n[diff \"evil\"]\n\ttextconv = {run}\n\
         [core]\n\tfsmonitor = {run}\n\thooksPath = hooks\n[alias]\n\tstatus = !{run}\n"
    );
    for name in [".gitconfig", "config", ".gitmodules"] {
        std::fs::write(work.join(name), &config).unwrap();
    }
    std::fs::create_dir(work.join("hooks")).unwrap();
    for hook in ["pre-commit", "post-checkout", "reference-transaction", "post-index-change"] {
        std::fs::write(work.join("hooks").join(hook), format!("#!/bin/sh\n{run}\n")).unwrap();
        self::run("chmod", &["+x", hook], &work.join("hooks"));
    }
    std::fs::write(work.join("lines"), "kept\r\n$Id$\n").unwrap();
    let tree = ground.store.import(&work).unwrap();
    assert_eq!(ground.store.read(&tree, "lines").unwrap(), b"kept\r\n$Id$\n", "bytes stay bytes");
    assert!(ground.store.diff(&ground.tree, &tree).unwrap().contains("kept"));
    ground.holds(true);
}

#[test]
fn a_pointer_that_was_replaced() {
    let ground = Ground::new();
    let (work, pointer) = (ground.work(), ground.work().join(".git"));
    let right = std::fs::read_to_string(&pointer).unwrap();
    let evil = ground.dir.path().join("evil");
    run("git", &["init", "--quiet", "--bare", evil.to_str().unwrap()], ground.dir.path());
    for kind in ["another", "link", "pipe", "link to a directory"] {
        std::fs::remove_file(&pointer).unwrap();
        match kind {
            "another" => std::fs::write(&pointer, format!("gitdir: {}\n", evil.display())).unwrap(),
            "link" => symlink(ground.outside().join("secret"), &pointer).unwrap(),
            "pipe" => run("mkfifo", &[".git"], &work),
            _ => symlink(&evil, &pointer).unwrap(),
        }
        open(ground.dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&pointer).unwrap(), right, "{kind}");
        assert!(std::fs::symlink_metadata(&pointer).unwrap().is_file());
    }
    assert_eq!(std::fs::read_to_string(ground.outside().join("secret")).unwrap(), "secret");
    std::fs::remove_file(&pointer).unwrap();
    run("git", &["init", "--quiet"], &work);
    let refused = open(ground.dir.path()).err().unwrap().to_string();
    assert!(refused.contains("a git repository of its own"), "{refused}");
}

#[test]
fn repositories_in_it() {
    let mut ground = Ground::new();
    let work = ground.work();
    run("git", &["init", "--quiet", "empty"], &work);
    run("git", &["init", "--quiet", "d/full"], &work);
    std::fs::write(work.join("d/full/f"), "f").unwrap();
    let full = work.join("d/full");
    run("git", &["add", "f"], &full);
    run("git", &["-c", "user.name=x", "-c", "user.email=x", "commit", "--quiet", "-m", "x"], &full);
    let tree = ground.store.import(&work).unwrap();
    let names: Vec<_> = ground.store.list(&tree).unwrap().into_keys().collect();
    assert_eq!(names, ["a.txt", "d/b.txt", "d/full/f"], "files, no links to commits");
    ground.holds(true);
}

#[test]
fn links_and_other_things_than_files() {
    let mut ground = Ground::new();
    let (work, outside) = (ground.work(), ground.outside());
    symlink(outside.join("secret"), work.join("link")).unwrap();
    symlink(&outside, work.join("linked")).unwrap();
    symlink("link", work.join("chain")).unwrap();
    symlink("loop", work.join("loop")).unwrap();
    symlink("/dev/zero", work.join("endless")).unwrap();
    run("mkfifo", &["pipe"], &work);
    let _listener = std::os::unix::net::UnixListener::bind(work.join("socket")).unwrap();
    // Only root can make these.
    let _ = Command::new("mknod").args(["device", "c", "1", "5"]).current_dir(&work).output().unwrap();
    // What stands where files of the tree are to be.
    std::fs::remove_file(work.join("a.txt")).unwrap();
    symlink(outside.join("secret"), work.join("a.txt")).unwrap();
    std::fs::remove_dir_all(work.join("d")).unwrap();
    symlink(&outside, work.join("d")).unwrap();
    let tree = ground.store.import(&work).unwrap();
    assert!(ground.store.list(&tree).unwrap().is_empty());
    ground.holds(true);
}

/// A file that has a name outside, too, is replaced, not written to.
#[test]
fn hard_links() {
    let mut ground = Ground::new();
    let (work, outside) = (ground.work(), ground.outside());
    let shared = outside.join("secret");
    std::fs::remove_file(work.join("a.txt")).unwrap();
    std::fs::hard_link(&shared, work.join("a.txt")).unwrap();
    ground.store.check_out(&ground.tree).unwrap();
    assert_eq!(std::fs::read_to_string(&shared).unwrap(), "secret");
    assert_eq!(std::fs::metadata(&shared).unwrap().nlink(), 1);
    assert_eq!(std::fs::read_to_string(work.join("a.txt")).unwrap(), "ours");
    ground.holds(true);
}

#[test]
fn huge_files_and_holes() {
    let mut ground = Ground::new();
    let sparse = std::fs::File::create(ground.work().join("sparse")).unwrap();
    sparse.set_len(8 << 30).unwrap();
    assert!(
        matches!(ground.store.import(&ground.work()), Err(StoreError::TooLarge { what, .. }) if what == "sparse")
    );
    sparse.set_len(FILE_BYTES_MAX).unwrap();
    ground.store.import(&ground.work()).unwrap();
    sparse.set_len(FILE_BYTES_MAX + 1).unwrap();
    ground.holds(false);
}

#[test]
fn names_that_mean_something_else() {
    for name in
        ["git~1", ".GIT", ".Git", ".git ", ".git.", ".git::$INDEX_ALLOCATION", ".git\u{200c}", ".g\u{200b}it"]
    {
        let mut ground = Ground::new();
        let there = ground.work().join(name);
        std::fs::create_dir_all(there.join("hooks")).unwrap();
        std::fs::write(there.join("config"), "[core]\n").unwrap();
        let tree = ground.store.import(&ground.work()).unwrap();
        assert_eq!(tree, ground.tree, "{name:?}");
        ground.holds(true);
    }
    for name in [b"a\xff".as_slice(), b"a\nb", b"a\\b", b" a", b"a."] {
        let mut ground = Ground::new();
        std::fs::write(ground.work().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        let refused = ground.store.import(&ground.work());
        assert!(matches!(refused, Err(StoreError::BadPath { .. })), "{name:?}: {refused:?}");
        ground.holds(false);
    }
}

#[test]
fn very_deep_directories() {
    let mut ground = Ground::new();
    let deep = (0..60).fold(ground.work(), |dir, _| dir.join("deep"));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("f"), "f").unwrap();
    let refused = ground.store.import(&ground.work());
    assert!(matches!(refused, Err(StoreError::BadPath { .. })), "{refused:?}");
    ground.holds(false);
}

/// A directory becomes a link to outside and back, all the time.
#[test]
fn a_race_with_a_link() {
    let ground = Ground::new();
    let (work, outside) = (ground.work(), ground.outside());
    std::fs::write(outside.join("b.txt"), "secret").unwrap();
    symlink(&outside, work.join("link")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let (d, link) = (work.join("d"), work.join("link"));
                // A write puts a directory in the place of a link: for a moment nothing is there, and then no link. It is
                // planted again where the files are not.
                let _ = renameat_with(CWD, &d, CWD, &link, RenameFlags::EXCHANGE);
                if !d.is_symlink() && !link.is_symlink() {
                    let other = if d.join("b.txt").exists() { &link } else { &d };
                    let _ = std::fs::remove_dir_all(other).and_then(|()| symlink(&outside, other));
                }
            }
        });
        let root = Root::open(&work).unwrap();
        let _end = Over(&over);
        let (mut seen, mut refused) = (0, 0);
        for number in 0..TRIES_MAX {
            // A machine that is busy lets one side wait for long.
            if number >= TRIES && seen > 0 && refused > 0 {
                break;
            }
            match root.read("d/b.txt", FILE_BYTES_MAX) {
                Ok(Some(bytes)) => {
                    assert_eq!(bytes, b"ours");
                    seen += 1;
                }
                _ => refused += 1,
            }
            if number % 100 == 0 {
                // Either it is written where it belongs, or not at all.
                let _ = root.write("d/new.txt", b"new", false);
                let _ = root.walk();
            }
            if number % TRIES == TRIES / 2 {
                std::thread::yield_now();
            }
        }
        assert!(seen > 0 && refused > 0, "{seen} seen, {refused} refused: there was no race");
    });
    assert_eq!(std::fs::read_to_string(outside.join("b.txt")).unwrap(), "secret");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 2, "nothing was made outside");
}

/// A file that grows while it is read is read up to what a file may have, or refused.
#[test]
fn a_file_that_changes_while_it_is_read() {
    let ground = Ground::new();
    let path = ground.work().join("a.txt");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            for bytes in [0, FILE_BYTES_MAX, 2 * FILE_BYTES_MAX, 17].into_iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                file.set_len(bytes).unwrap();
            }
        });
        let root = Root::open(&ground.work()).unwrap();
        for _ in 0..300 {
            match root.read("a.txt", FILE_BYTES_MAX) {
                Ok(Some(bytes)) => assert!(bytes.len() as u64 <= FILE_BYTES_MAX),
                Ok(None) => panic!("it is a file"),
                Err(error) => assert!(matches!(error, StoreError::TooLarge { .. }), "{error}"),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}
