//! Taking a repository over: nothing of it is written to, and what nobody changes stays as it is, byte for byte.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::{Edit, FILE_BYTES_MAX, FileStore, GitStore, Origin, OriginError, StoreError, look};
use crate::ids::{CommitId, TreeId};
use crate::store::CommitParts;

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A repository with everything that is easily lost.
fn odd(dir: &Path) -> std::path::PathBuf {
    let repo = dir.join("theirs");
    std::fs::create_dir_all(repo.join("src")).unwrap();
    git(&repo, &["init", "-q", "-b", "trunk"]);
    std::fs::write(repo.join("src/a.py"), "x = 1\n").unwrap();
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-qm", "first"]);
    std::fs::write(repo.join("src/windows.txt"), "one\r\ntwo\r\n").unwrap();
    std::fs::write(repo.join("latin1.txt"), b"caf\xe9\n").unwrap();
    std::fs::write(repo.join("image.bin"), [0, 159, 146, 150, 10, 13]).unwrap();
    std::fs::write(repo.join("large.bin"), vec![7; FILE_BYTES_MAX as usize + 1]).unwrap();
    std::fs::write(repo.join("run.sh"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(repo.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(repo.join("a name that ends. "), "odd").unwrap();
    std::fs::write(repo.join(OsStr::from_bytes(b"src/caf\xe9.txt")), "odd").unwrap();
    std::fs::write(repo.join(".gitattributes"), "*.md text=auto\n").unwrap();
    symlink("src/a.py", repo.join("link.py")).unwrap();
    symlink("/nowhere/at/all", repo.join("src/dangling")).unwrap();
    git(&repo, &["add", "-A"]);
    let commit = git(&repo, &["rev-parse", "HEAD"]);
    git(&repo, &["update-index", "--add", "--cacheinfo", &format!("160000,{},vendor/lib", commit.trim())]);
    std::fs::create_dir_all(repo.join("vendor/lib")).unwrap();
    git(&repo, &["commit", "-qm", "second"]);
    repo
}

/// Every file of a directory, with its bytes, its mode and the time it was last changed.
fn everything(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap().flatten() {
            let meta = entry.path().symlink_metadata().unwrap();
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                let bytes = if meta.is_symlink() { Vec::new() } else { std::fs::read(entry.path()).unwrap() };
                let digest = blake3::hash(&bytes);
                let mode = meta.permissions().mode();
                all.push(format!("{:?} {mode:o} {digest} {:?}", entry.path(), meta.modified().unwrap()));
            }
        }
    }
    all.sort();
    all
}

fn taken(dir: &Path, repo: &Path, changes: bool) -> (GitStore, Origin, TreeId) {
    let found = look(repo).unwrap();
    let (git_dir, work) = (dir.join("git"), dir.join("work"));
    let mut store = GitStore::open(&git_dir, Some(&work), None).unwrap();
    let origin = store.take(&found, "edvac/x", changes, 1_700_000_000).unwrap();
    // A later process finds it as it was.
    let mut store = GitStore::open(&git_dir, Some(&work), Some(&origin)).unwrap();
    store.advance(None, &origin.base).unwrap();
    let tree = store.tree_of(&origin.base).unwrap();
    store.check_out(&tree).unwrap();
    (store, origin, tree)
}

fn commit(store: &mut GitStore, parent: &CommitId, tree: &TreeId) -> CommitId {
    let parts = CommitParts {
        parent: Some(parent.clone()),
        tree: tree.clone(),
        message: "Work\n".into(),
        time_s: 1_700_000_001,
    };
    let id = store.commit(&parts).unwrap();
    store.advance(Some(parent), &id).unwrap();
    store.check_out(tree).unwrap();
    id
}

#[test]
fn what_is_not_changed_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let repo = odd(dir.path());
    let before = everything(&repo);
    let (mut store, origin, tree) = taken(dir.path(), &repo, false);
    assert_eq!(origin.head, origin.base);
    assert_eq!(origin.head.as_str(), git(&repo, &["rev-parse", "HEAD"]).trim());
    let work = dir.path().join("work");
    assert_eq!(git(&work, &["status", "--porcelain", "--ignore-submodules"]), "");
    assert_eq!(git(&work, &["rev-parse", "--abbrev-ref", "HEAD"]).trim(), "edvac/x");
    assert_eq!(git(&work, &["log", "--format=%s"]), "second\nfirst\n");
    assert_eq!(std::fs::read_link(work.join("src/dangling")).unwrap(), Path::new("/nowhere/at/all"));
    assert_eq!(std::fs::metadata(work.join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(work.join("vendor/lib").is_dir());
    let mut others = store.others(&tree).unwrap();
    others.sort();
    assert_eq!(
        others,
        ["a name that ends. ", "link.py", "src/caf\u{fffd}.txt", "src/dangling", "vendor/lib"]
    );

    let replace = |path: &str, search: &str, replace: &str| Edit::Replace {
        path: path.into(),
        search: search.into(),
        replace: replace.into(),
    };
    let edits = [
        replace("src/a.py", "x = 1\n", "x = 2\n"),
        replace("src/windows.txt", "two\n", "2\nzwei\n"),
        Edit::Write { path: "run.sh".into(), content: "#!/bin/sh\necho\n".into() },
        Edit::Write { path: "src/new/b.py".into(), content: "y = 1\n".into() },
    ];
    let next = store.apply(&tree, &edits).unwrap();
    assert_eq!(
        store.changed(&tree, &next).unwrap(),
        ["run.sh", "src/a.py", "src/new/b.py", "src/windows.txt"]
    );
    let id = commit(&mut store, &origin.base, &next);
    assert_eq!(std::fs::read(work.join("src/windows.txt")).unwrap(), b"one\r\n2\r\nzwei\r\n");
    assert_eq!(std::fs::metadata(work.join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(git(&work, &["status", "--porcelain", "--ignore-submodules"]), "");
    let changed = git(&work, &["diff", "--raw", "--no-abbrev", &origin.base.0, &id.0]);
    assert_eq!(changed.lines().count(), 4, "{changed}");
    assert!(changed.contains(":100755 100755"), "{changed}");
    git(&work, &["fsck", "--strict", "--no-dangling"]);

    // A sandbox sees the same.
    let copy = tempfile::tempdir().unwrap();
    store.export(&next, copy.path()).unwrap();
    assert_eq!(std::fs::read_link(copy.path().join("link.py")).unwrap(), Path::new("src/a.py"));
    assert_eq!(std::fs::metadata(copy.path().join("large.bin")).unwrap().len(), FILE_BYTES_MAX + 1);

    // The branch is fetched by plain git, and the patch is applied by it.
    let mails = store.patch(Some(&origin.base), &id).unwrap();
    assert_eq!(everything(&repo), before, "it was only read");
    std::fs::write(dir.path().join("x.patch"), mails).unwrap();
    git(&repo, &["fetch", "-q", work.to_str().unwrap(), "edvac/x:edvac/x"]);
    assert_eq!(git(&repo, &["log", "--format=%s", "trunk..edvac/x"]), "Work\n");
    git(&repo, &["apply", "--check", "../x.patch"]);
    git(&repo, &["am", "-q", "--keep-cr", "../x.patch"]);
    assert_eq!(git(&repo, &["diff", "--stat", "edvac/x", "HEAD"]), "", "both ways lead to the same files");
}

#[test]
fn what_is_no_file_of_text_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let repo = odd(dir.path());
    let (mut store, _, tree) = taken(dir.path(), &repo, false);
    let write = |path: &str| Edit::Write { path: path.into(), content: "x\n".into() };
    for path in ["latin1.txt", "image.bin"] {
        assert!(matches!(store.apply(&tree, &[write(path)]), Err(StoreError::NotText { .. })), "{path}");
    }
    assert!(matches!(store.apply(&tree, &[write("large.bin")]), Err(StoreError::TooLarge { .. })));
    for path in ["link.py", "src/dangling/x", "vendor/lib", "vendor/lib/x", "vendor"] {
        assert!(matches!(store.apply(&tree, &[write(path)]), Err(StoreError::BadPath { .. })), "{path}");
    }
    assert!(store.apply(&tree, &[Edit::Delete { path: "link.py".into() }]).is_err());
    assert!(matches!(store.read(&tree, "link.py"), Err(StoreError::NotFound { .. })));
    // A file may make room for a directory, and a directory that is left empty is gone.
    let edits = [Edit::Delete { path: "image.bin".into() }, write("image.bin/part")];
    let next = store.apply(&tree, &edits).unwrap();
    let back = store.apply(&next, &[Edit::Delete { path: "image.bin/part".into() }]).unwrap();
    assert!(store.list(&back).unwrap().keys().all(|path| !path.starts_with("image.bin")));
    assert_eq!(store.others(&back).unwrap(), store.others(&tree).unwrap());
}

#[test]
fn changes_that_were_not_committed_are_taken_where_they_are_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let repo = odd(dir.path());
    std::fs::write(repo.join("src/a.py"), "x = 9\n").unwrap();
    std::fs::remove_file(repo.join("image.bin")).unwrap();
    std::fs::write(repo.join("notes.txt"), "mine\n").unwrap();
    std::fs::write(repo.join(".gitignore"), "secret\n").unwrap();
    std::fs::write(repo.join("secret"), "key\n").unwrap();
    git(&repo, &["status", "--porcelain"]);
    let before = everything(&repo);
    let found = look(&repo).unwrap();
    assert_eq!(found.changed, ["image.bin", "src/a.py"]);
    assert_eq!(found.untracked, [".gitignore", "notes.txt"]);
    let (store, origin, tree) = taken(dir.path(), &repo, true);
    assert_eq!(origin.included, [".gitignore", "image.bin", "notes.txt", "src/a.py"]);
    assert_eq!(store.read(&tree, "src/a.py").unwrap(), b"x = 9\n");
    let files = store.list(&tree).unwrap();
    assert!(!files.contains_key("secret") && !files.contains_key("image.bin"));
    assert_eq!(
        git(&dir.path().join("work"), &["log", "--format=%s"]),
        "Changes that were not committed\nsecond\nfirst\n"
    );
    assert_eq!(everything(&repo), before, "it was only read");
}

#[test]
fn what_is_no_repository_with_a_commit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    assert!(matches!(look(&path("none")), Err(OriginError::NotThere { .. })));
    std::fs::create_dir(path("plain")).unwrap();
    assert!(matches!(look(&path("plain")), Err(OriginError::NoRepository { .. })));
    std::fs::create_dir(path("empty")).unwrap();
    git(&path("empty"), &["init", "-q"]);
    assert!(matches!(look(&path("empty")), Err(OriginError::NoCommit { .. })));
    let repo = odd(dir.path());
    assert!(matches!(look(&repo.join("src")), Err(OriginError::Inside { .. })));
    // A bare one, a linked working tree and a shallow copy are repositories, too.
    git(dir.path(), &["clone", "-q", "--bare", "theirs", "bare"]);
    git(&repo, &["worktree", "add", "-q", "../linked"]);
    git(dir.path(), &["clone", "-q", "--depth", "1", &format!("file://{}", repo.display()), "shallow"]);
    for name in ["bare", "linked", "shallow"] {
        let place = tempfile::tempdir().unwrap();
        let (_, origin, _) = taken(place.path(), &path(name), false);
        assert_eq!(origin.head.as_str(), git(&repo, &["rev-parse", "trunk"]).trim(), "{name}");
        git(&place.path().join("work"), &["log", "--oneline"]);
    }
}

/// Names that lead out of a directory are in no honest tree.
#[test]
fn a_tree_that_was_made_to_do_harm_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let repo = odd(dir.path());
    let blob = git(&repo, &["rev-parse", "HEAD:src/a.py"]);
    let raw = hex(blob.trim());
    for name in ["..", ".git", ".GIT", "git~1"] {
        let tree = [format!("100644 {name}\0").as_bytes(), &raw].concat();
        std::fs::write(dir.path().join("tree"), tree).unwrap();
        let id = git(&repo, &["hash-object", "-t", "tree", "-w", "--literally", "../tree"]);
        let commit = git(&repo, &["commit-tree", "-m", "harm", id.trim()]);
        git(&repo, &["update-ref", "refs/heads/trunk", commit.trim()]);
        let place = tempfile::tempdir().unwrap();
        let mut store = GitStore::open(&place.path().join("git"), None, None).unwrap();
        let mut found = look(&repo).unwrap();
        found.head = CommitId(commit.trim().to_owned());
        let refused = store.take(&found, "edvac/x", false, 0).and_then(|origin| {
            let tree = store.tree_of(&origin.base)?;
            store.list(&tree)
        });
        assert!(refused.is_err(), "{name}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
