//! What every file store must do, run over both places objects can be.

use proptest::prelude::*;

use super::{CommitParts, Edit, FileStore, GitStore, Merge, StoreError};
use crate::ids::TreeId;

struct Fixture {
    store: GitStore,
    dir: Option<tempfile::TempDir>,
}

fn both() -> [Fixture; 2] {
    let dir = tempfile::tempdir().unwrap();
    let disk = GitStore::open(&dir.path().join("git"), Some(&dir.path().join("work")), None).unwrap();
    [Fixture { store: GitStore::ram().unwrap(), dir: None }, Fixture { store: disk, dir: Some(dir) }]
}

fn write(path: &str, content: &str) -> Edit {
    Edit::Write { path: path.into(), content: content.into() }
}

fn parts(parent: Option<&crate::ids::CommitId>, tree: &TreeId, message: &str) -> CommitParts {
    CommitParts {
        parent: parent.cloned(),
        tree: tree.clone(),
        message: message.into(),
        time_s: 1_700_000_000,
    }
}

#[test]
fn edits_make_new_trees_and_leave_old_ones() {
    for Fixture { mut store, .. } in both() {
        let empty = store.empty_tree().unwrap();
        let one =
            store.apply(&empty, &[write("a/x.txt", "1\n"), write("a-b", "2"), write("a/y", "3")]).unwrap();
        let edits = [
            Edit::Replace { path: "a/x.txt".into(), search: "1".into(), replace: "one".into() },
            Edit::Delete { path: "a-b".into() },
        ];
        let two = store.apply(&one, &edits).unwrap();
        assert_eq!(store.read(&one, "a/x.txt").unwrap(), b"1\n");
        assert_eq!(store.read(&two, "a/x.txt").unwrap(), b"one\n");
        assert_eq!(store.list(&one).unwrap().len(), 3);
        assert_eq!(store.list(&two).unwrap().keys().collect::<Vec<_>>(), ["a/x.txt", "a/y"]);
        assert!(store.list(&empty).unwrap().is_empty());
        assert!(store.diff(&one, &two).unwrap().contains("+one"));
    }
}

#[test]
fn changes_of_different_files_come_together() {
    let delete = |path: &str| Edit::Delete { path: path.into() };
    for Fixture { mut store, .. } in both() {
        let empty = store.empty_tree().unwrap();
        let base = store.apply(&empty, &[write("a", "1"), write("b", "1"), write("c", "1")]).unwrap();
        let mut on = |edits: &[Edit]| store.apply(&base, edits).unwrap();
        let ours = on(&[write("a", "2"), write("new/x", "x")]);
        let theirs = on(&[write("b", "3"), delete("c"), write("new/y", "y")]);
        let together =
            on(&[write("a", "2"), write("b", "3"), delete("c"), write("new/x", "x"), write("new/y", "y")]);
        let [same, other, gone, file] =
            [write("a", "2"), write("a", "4"), delete("a"), write("new", "")].map(|edit| on(&[edit]));
        assert_eq!(store.merge(&base, &ours, &theirs).unwrap(), Merge::Tree(together.clone()));
        assert_eq!(store.merge(&base, &theirs, &ours).unwrap(), Merge::Tree(together), "from either side");
        assert_eq!(store.merge(&base, &ours, &base).unwrap(), Merge::Tree(ours.clone()));
        assert_eq!(store.merge(&base, &base, &ours).unwrap(), Merge::Tree(ours.clone()));
        assert_eq!(
            store.merge(&base, &ours, &same).unwrap(),
            Merge::Tree(ours.clone()),
            "the same change twice"
        );
        for (theirs, path) in [(other, "a"), (gone, "a"), (file, "new")] {
            assert_eq!(store.merge(&base, &ours, &theirs).unwrap(), Merge::Conflict(vec![path.into()]));
        }
        assert_eq!(store.changed(&base, &theirs).unwrap(), ["b", "c", "new/y"]);
        assert!(store.changed(&ours, &ours).unwrap().is_empty());
    }
}

#[test]
fn text_comes_behind_the_end() {
    for Fixture { mut store, .. } in both() {
        let append = |content: &str| Edit::Append { path: "d/a.md".into(), content: content.into() };
        let empty = store.empty_tree().unwrap();
        let one = store.apply(&empty, &[append("\n# One\n\ntext\n")]).unwrap();
        let two = store.apply(&one, &[append("## Two\n"), append("end\n")]).unwrap();
        assert_eq!(store.read(&one, "d/a.md").unwrap(), b"# One\n\ntext\n");
        assert_eq!(store.read(&two, "d/a.md").unwrap(), b"# One\n\ntext\n\n## Two\n\nend\n");
        assert!(store.apply(&two, &[Edit::Append { path: "../a".into(), content: "x".into() }]).is_err());
    }
}

#[test]
fn a_list_with_one_bad_edit_changes_nothing() {
    for Fixture { mut store, .. } in both() {
        let empty = store.empty_tree().unwrap();
        for bad in [write("../x", "1"), write("ok/../x", ""), Edit::Delete { path: "nothing".into() }] {
            assert!(store.apply(&empty, &[write("good", "1"), bad]).is_err());
        }
        let tree = store.apply(&empty, &[write("d/f", "1")]).unwrap();
        assert!(store.apply(&tree, &[write("d", "1")]).is_err(), "a directory stands there");
        assert!(store.apply(&tree, &[write("d/f/g", "1")]).is_err(), "a file stands there");
    }
}

#[test]
fn the_head_moves_back_and_nothing_is_lost() {
    for Fixture { mut store, dir } in both() {
        let empty = store.empty_tree().unwrap();
        let tree = store.apply(&empty, &[write("a", "1")]).unwrap();
        let first = store.commit(&parts(None, &tree, "one")).unwrap();
        let second = store.commit(&parts(Some(&first), &tree, "two")).unwrap();
        store.advance(None, &second).unwrap();
        assert!(matches!(store.reset(&first, None), Err(StoreError::Diverged { .. })), "it is elsewhere");
        store.reset(&second, Some(&first)).unwrap();
        store.reset(&second, Some(&first)).unwrap();
        assert_eq!(store.head().unwrap(), Some(first.clone()));
        store.advance(Some(&first), &second).unwrap();
        store.reset(&second, None).unwrap();
        store.reset(&second, None).unwrap();
        assert_eq!(store.head().unwrap(), None);
        assert_eq!(store.tree_of(&second).unwrap(), tree);
        store.advance(None, &first).unwrap();
        if let Some(dir) = dir {
            let kept = dir.path().join("git/refs/edvac/left").join(second.as_str());
            assert!(kept.is_file(), "git finds it");
        }
    }
}

#[test]
fn commits_are_reproducible_and_the_head_only_moves_forward() {
    let ids = both().map(|Fixture { mut store, .. }| {
        let empty = store.empty_tree().unwrap();
        let tree = store.apply(&empty, &[write("a", "1")]).unwrap();
        let first = store.commit(&parts(None, &tree, "one")).unwrap();
        assert_eq!(first, store.commit(&parts(None, &tree, "one")).unwrap());
        let second = store.commit(&parts(Some(&first), &tree, "two")).unwrap();
        let stray = store.commit(&parts(None, &tree, "stray")).unwrap();
        assert_eq!(store.head().unwrap(), None);
        store.advance(None, &first).unwrap();
        store.advance(None, &first).unwrap();
        store.advance(Some(&first), &second).unwrap();
        assert!(matches!(store.advance(Some(&second), &stray), Err(StoreError::Diverged { .. })));
        assert!(matches!(store.advance(Some(&first), &stray), Err(StoreError::Diverged { .. })));
        assert_eq!(store.head().unwrap(), Some(second.clone()));
        assert_eq!(store.tree_of(&second).unwrap(), tree);
        second
    });
    assert_eq!(ids[0], ids[1], "both places name the same commit alike");
}

#[test]
fn the_working_tree_shows_exactly_the_tree() {
    for Fixture { mut store, dir } in both() {
        let Some(dir) = dir else { continue };
        let work = dir.path().join("work");
        let empty = store.empty_tree().unwrap();
        let tree = store.apply(&empty, &[write("src/a.py", "print()\n"), write("b", "2")]).unwrap();
        std::fs::create_dir_all(work.join("stray/deep")).unwrap();
        std::fs::write(work.join("stray/deep/x"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", work.join("src")).unwrap();
        store.check_out(&tree).unwrap();
        assert_eq!(std::fs::read_to_string(work.join("src/a.py")).unwrap(), "print()\n");
        assert!(!work.join("stray").exists());
        assert!(work.join(".git").is_file(), "the pointer stays");
        assert_eq!(store.import(&work).unwrap(), tree);

        let commit = store.commit(&parts(None, &tree, "one")).unwrap();
        store.advance(None, &commit).unwrap();
        let status = std::process::Command::new("git")
            .args(["-C", work.to_str().unwrap(), "status", "--porcelain"])
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        assert_eq!(String::from_utf8_lossy(&status.stdout), "", "plain git sees a clean workspace");

        let out = tempfile::tempdir().unwrap();
        store.export(&tree, out.path()).unwrap();
        assert_eq!(store.import(out.path()).unwrap(), tree);
    }
}

#[test]
fn a_symlink_in_the_working_tree_leads_nowhere() {
    for Fixture { mut store, dir } in both() {
        let Some(dir) = dir else { continue };
        let work = dir.path().join("work");
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(&outside, work.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), work.join("file")).unwrap();
        assert!(store.import(&work).and_then(|t| store.list(&t)).unwrap().is_empty());
        let empty = store.empty_tree().unwrap();
        let tree = store.apply(&empty, &[write("link/secret", "mine"), write("file", "mine")]).unwrap();
        store.check_out(&tree).unwrap();
        assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "s");
        assert_eq!(std::fs::read_to_string(work.join("link/secret")).unwrap(), "mine");
    }
}

#[test]
fn files_over_the_cap_are_refused() {
    for Fixture { mut store, .. } in both() {
        let empty = store.empty_tree().unwrap();
        let big = "x".repeat(super::FILE_BYTES_MAX as usize + 1);
        assert!(matches!(store.apply(&empty, &[write("big", &big)]), Err(StoreError::TooLarge { .. })));
    }
}

fn on_disk() -> (GitStore, TreeId, tempfile::TempDir) {
    let [_, Fixture { mut store, dir }] = both();
    let empty = store.empty_tree().unwrap();
    let tree = store.apply(&empty, &[write("a", "1"), write("d/b", "2")]).unwrap();
    (store, tree, dir.unwrap())
}

#[test]
fn the_head_rolls_forward_from_further_back() {
    for Fixture { mut store, .. } in both() {
        let tree = store.empty_tree().unwrap();
        let one = store.commit(&parts(None, &tree, "one")).unwrap();
        let two = store.commit(&parts(Some(&one), &tree, "two")).unwrap();
        let three = store.commit(&parts(Some(&two), &tree, "three")).unwrap();
        store.advance(None, &one).unwrap();
        store.advance(Some(&two), &three).unwrap();
        assert_eq!(store.head().unwrap(), Some(three.clone()));
        assert!(matches!(store.advance(Some(&three), &one), Err(StoreError::Diverged { .. })), "never back");
    }
}

#[test]
fn no_name_keeps_the_working_tree_from_being_set_right() {
    use std::os::unix::ffi::OsStrExt;
    let (mut store, tree, dir) = on_disk();
    let work = dir.path().join("work");
    std::fs::write(work.join(std::ffi::OsStr::from_bytes(b"x\xff")), "1").unwrap();
    std::fs::create_dir_all(work.join("d/.git/hooks")).unwrap();
    std::fs::create_dir_all(work.join("a/was/a/directory")).unwrap();
    // Deeper than any path can say.
    let level = rustix::fs::open(&work, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    let name = "n".repeat(200);
    (0..30).fold(level, |level, _| {
        rustix::fs::mkdirat(&level, &name, rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
        rustix::fs::openat(&level, &name, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap()
    });
    store.check_out(&tree).unwrap();
    let mut left: Vec<_> =
        std::fs::read_dir(&work).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".git", "a", "d"]);
    assert_eq!(store.import(&work).unwrap(), tree);
}

#[test]
fn an_import_leaves_repositories_alone() {
    let (mut store, tree, dir) = on_disk();
    let project = dir.path().join("project");
    store
        .export(&tree, &{
            std::fs::create_dir(&project).unwrap();
            project.clone()
        })
        .unwrap();
    std::fs::create_dir_all(project.join("d/.git/objects")).unwrap();
    std::fs::write(project.join("d/.git/config"), "x").unwrap();
    assert_eq!(store.import(&project).unwrap(), tree);
}

#[test]
fn a_torn_index_is_made_anew() {
    let (mut store, tree, dir) = on_disk();
    for torn in ["", "no index at all, but long enough"] {
        store.check_out(&tree).unwrap();
        std::fs::write(dir.path().join("git/index"), torn).unwrap();
        store = GitStore::open(&dir.path().join("git"), Some(&dir.path().join("work")), None).unwrap();
        store.check_out(&tree).unwrap();
    }
}

#[test]
fn a_mode_is_no_change() {
    use std::os::unix::fs::PermissionsExt;
    let (mut store, tree, dir) = on_disk();
    let work = dir.path().join("work");
    let commit = store.commit(&parts(None, &tree, "one")).unwrap();
    store.advance(None, &commit).unwrap();
    store.check_out(&tree).unwrap();
    std::fs::set_permissions(work.join("a"), PermissionsExt::from_mode(0o755)).unwrap();
    let status = std::process::Command::new("git")
        .args(["-C", work.to_str().unwrap(), "status", "--porcelain"])
        .output()
        .unwrap();
    assert!(status.status.success());
    assert_eq!(String::from_utf8_lossy(&status.stdout), "");
}

/// What a person wrote into the working tree is not shown any more, but not lost.
#[test]
fn changes_that_are_not_ours_are_set_aside() {
    let [_, mut disk] = both();
    let dir = disk.dir.as_ref().unwrap().path().to_owned();
    let work = dir.join("work");
    let empty = disk.store.empty_tree().unwrap();
    let write = |path: &str, content: &str| Edit::Write { path: path.into(), content: content.into() };
    let first = disk.store.apply(&empty, &[write("a.txt", "ours"), write("b.txt", "ours")]).unwrap();
    disk.store.check_out(&first).unwrap();
    std::fs::write(work.join("a.txt"), "mine").unwrap();
    std::fs::create_dir(work.join("sub")).unwrap();
    std::fs::write(work.join("sub/new.txt"), "mine too").unwrap();
    let second = disk.store.apply(&first, &[write("b.txt", "later")]).unwrap();
    disk.store.check_out(&second).unwrap();
    assert_eq!(std::fs::read_to_string(work.join("a.txt")).unwrap(), "ours");
    assert!(!work.join("sub").exists());
    let aside = dir.join("set-aside/1");
    assert_eq!(std::fs::read_to_string(aside.join("a.txt")).unwrap(), "mine");
    assert_eq!(std::fs::read_to_string(aside.join("sub/new.txt")).unwrap(), "mine too");
    assert!(!aside.join("b.txt").exists(), "what edvac wrote is in the history");
    disk.store.check_out(&first).unwrap();
    assert!(!dir.join("set-aside/2").exists());
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let path = prop_oneof!["[abc]", "[ab]/[xy]", "a-b", "[ab]/[xy]/z"];
    (path, "[ab\n]{0,6}", 0..4).prop_map(|(path, text, kind)| match kind {
        0 => Edit::Delete { path },
        3 => Edit::ReplaceLines { path, line_first: 2, old: "a".into(), new: text },
        4 => Edit::Append { path, content: text },
        1 => Edit::Replace { path, search: "a".into(), replace: text },
        _ => Edit::Write { path, content: text },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn both_places_agree(lists in prop::collection::vec(prop::collection::vec(any_edit(), 1..5), 1..6)) {
        let [mut ram, mut disk] = both();
        let mut tree = ram.store.empty_tree().unwrap();
        prop_assert_eq!(&tree, &disk.store.empty_tree().unwrap());
        for list in lists {
            let (a, b) = (ram.store.apply(&tree, &list), disk.store.apply(&tree, &list));
            prop_assert_eq!(a.is_ok(), b.is_ok());
            if let (Ok(a), Ok(b)) = (a, b) {
                prop_assert_eq!(&a, &b);
                disk.store.check_out(&b).unwrap();
                let work = disk.dir.as_ref().unwrap().path().join("work");
                prop_assert_eq!(&disk.store.import(&work).unwrap(), &b);
                tree = a;
            }
        }
    }
}
