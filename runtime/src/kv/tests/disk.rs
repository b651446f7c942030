//! Snapshots: restarts, damage, other keys, unusable directories, budgets, and more than one process.

use std::collections::HashSet;
use std::os::unix::fs::{FileExt, PermissionsExt};

use super::*;

#[test]
fn a_restart_loses_nothing_and_files_are_private() {
    let dir = scratch();
    let options = snapshots(&dir.path().join("below/kv"), NO_LIMIT);
    let mut store = open(&options);
    let a = ids(1, 5000);
    let b = [a[..3333].to_vec(), ids(2, 77)].concat();
    ask(&mut store, &a, &[]);
    ask(&mut store, &b, &[]);
    drop(store);
    let below = dir.path().join("below/kv");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&below), 0o700);
    for entry in std::fs::read_dir(&below).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let tokens: usize = list(&below).iter().map(|s| s.tokens).sum();
    assert_eq!(tokens, 5000 + 77, "what branches share is written once");
    let mut store = open(&options);
    let found = ask(&mut store, &b, &[]);
    assert_eq!((found.memory_tokens, found.disk_tokens), (0, b.len() - 1));
    assert_eq!(reused(ask(&mut store, &a, &[])), a.len() - 1);
    store.flush();
    assert_eq!(list(&below).iter().map(|s| s.hits).max(), Some(2));
    assert_eq!(verify(&below).1.len(), 0);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let dir = scratch();
    let options = snapshots(dir.path(), NO_LIMIT);
    let prompt = ids(5, 300);
    let path = || list(dir.path())[0].path.clone();
    drop({
        let mut store = open(&options);
        ask(&mut store, &prompt, &[]);
        store
    });
    let mut random = StdRng::seed_from_u64(11);
    let mut bytes = std::fs::read(path()).unwrap();
    let file = std::fs::File::options().write(true).open(path()).unwrap();
    for _ in 0..10_000 {
        let (at, bit) = (random.random_range(0..bytes.len()), random.random_range(0..8));
        file.write_all_at(&[bytes[at] ^ 1 << bit], at as u64).unwrap();
        assert!(snapshot::verify(&dir.path().join(path_name(dir.path()))).is_err(), "byte {at} bit {bit}");
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
    }
    assert!(snapshot::verify(&path()).is_ok());
    // And an engine that meets such a file computes.
    for _ in 0..200 {
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 0x10;
        let name = path_name(dir.path());
        std::fs::write(dir.path().join(&name), &bytes).unwrap();
        bytes[at] ^= 0x10;
        let mut store = open(&options);
        assert!(reused(ask(&mut store, &prompt, &[])) < prompt.len() - 1);
        drop(store);
        assert_eq!(path_name(dir.path()), name, "it is written again");
        assert!(snapshot::verify(&dir.path().join(name)).is_ok());
    }
}

/// The name of the only snapshot, whatever is in it.
fn path_name(dir: &Path) -> String {
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".kv")).min().unwrap()
}

#[test]
fn what_is_no_usable_snapshot_is_computed_again() {
    let dir = scratch();
    let options = snapshots(dir.path(), NO_LIMIT);
    let prompt = ids(6, 100);
    let stored = || {
        flush(dir.path());
        ask(&mut open(&options), &prompt, &[]);
        dir.path().join(path_name(dir.path()))
    };
    let mut foreign = open_as(&options, [8; 32]);
    stored();
    assert_eq!(reused(ask(&mut foreign, &prompt, &[])), 0);
    assert_eq!(reused(ask(&mut open_as(&options, [9; 32]), &prompt, &[])), 0, "another key");
    for other in [Shape { row: 2, ..SHAPE }, Shape { format: KvFormat::Q8, ..SHAPE }] {
        let identity = Identity { kv_key: KEY, model: String::new(), model_bytes: 1 };
        let mut store = KvStore::open(other, &options, Some(identity));
        assert_eq!(reused(store.begin(&prompt).1), 0, "another shape");
    }
    let change = |what: &dyn Fn(&Path)| {
        let path = stored();
        what(&path);
        let found = ask(&mut open(&options), &prompt, &[]);
        assert!(reused(found) < prompt.len() - 1, "{found:?}");
    };
    change(&|path| std::fs::write(path, "").unwrap());
    change(&|path| std::fs::write(path, "EDVACKV1").unwrap());
    for cut in [1, 100, 4000, 4096, 5000] {
        change(&|path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() - cut.min(bytes.len())]).unwrap();
        });
    }
    change(&|path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.push(0);
        std::fs::write(path, bytes).unwrap();
    });
    change(&|path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::remove_file(path).unwrap();
        std::fs::write(path.with_file_name("00112233445566778899aabbccddeeff.kv"), bytes).unwrap();
    });
    // Cut short while an engine knows it.
    let path = stored();
    let mut store = open(&options);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
    assert!(reused(ask(&mut store, &prompt, &[])) < prompt.len() - 1);
}

#[test]
fn without_a_usable_directory_memory_works() {
    let dir = scratch();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let prompt = ids(7, 90);
    for unusable in [&file, &file.join("below"), Path::new("/proc/edvac")] {
        let mut store = open(&snapshots(unusable, NO_LIMIT));
        ask(&mut store, &prompt, &[]);
        store.flush();
        assert_eq!(reused(ask(&mut store, &prompt, &[])), 89);
    }
    // It goes away later.
    let gone = dir.path().join("gone");
    let mut store = open(&snapshots(&gone, NO_LIMIT));
    std::fs::remove_dir_all(&gone).unwrap();
    for _ in 0..2 {
        ask(&mut store, &prompt, &[]);
        store.flush();
    }
    assert_eq!(reused(ask(&mut store, &prompt, &[])), 89);
    // No budget, or too small a one for any file.
    for bytes_max in [0, 5000] {
        let none = dir.path().join("none");
        let mut store = open(&snapshots(&none, bytes_max));
        ask(&mut store, &prompt, &[]);
        store.flush();
        assert_eq!(reused(ask(&mut store, &prompt, &[])), 89);
        assert!(list(&none).is_empty());
    }
    let mut store = open(&KvOptions { memory_bytes_max: 0, ..KvOptions::default() });
    ask(&mut store, &prompt, &[]);
    assert_eq!(reused(ask(&mut store, &prompt, &[])), 89, "the live sequence remains");
}

#[test]
fn the_directory_keeps_its_budget_and_beginnings() {
    let dir = scratch();
    let bytes_max = 20 * 4096 + 2000 * SHAPE.token_bytes();
    let options = snapshots(dir.path(), bytes_max);
    let shared = ids(1, 400);
    let mut store = open(&options);
    for branch in 0..40 {
        ask(&mut store, &[shared.clone(), ids(branch + 2, 200)].concat(), &[]);
        store.flush();
        assert!(list(dir.path()).iter().map(|s| s.bytes).sum::<u64>() <= bytes_max);
    }
    drop(store);
    let left = list(dir.path());
    assert!(left.len() > 3 && left.len() < 40, "{}", left.len());
    assert!(left.iter().any(|s| s.first_token == 0), "what the others build on stays");
    let last = [shared, ids(41, 200)].concat();
    assert_eq!(ask(&mut open(&options), &last, &[]).disk_tokens, last.len() - 1);
}

#[test]
fn what_others_build_on_goes_after_them() {
    let dir = scratch();
    let options = snapshots(dir.path(), 10 * 4096 + 1000 * SHAPE.token_bytes());
    let shared = ids(1, 100);
    let mut store = open(&options);
    ask(&mut store, &shared, &[]);
    store.flush();
    // It looks as if nobody had used it for ages.
    let oldest = std::fs::File::options().write(true).open(dir.path().join(path_name(dir.path()))).unwrap();
    oldest.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    for n in 0..3 {
        ask(&mut store, &[shared.clone(), ids(n + 2, 60)].concat(), &[]);
        store.flush();
    }
    for n in 0..12 {
        ask(&mut store, &ids(n + 20, 150), &[]);
        store.flush();
        for snapshot in list(dir.path()) {
            let before = snapshot::read_head(&snapshot.path).unwrap().0.before;
            let there = before.is_none_or(|id| dir.path().join(snapshot::file_name(&id)).exists());
            assert!(there, "{} can still be reached", snapshot.name);
        }
    }
}

#[test]
fn two_stores_share_a_directory() {
    let dir = scratch();
    let options = snapshots(dir.path(), NO_LIMIT);
    let shared = ids(1, 100);
    let prompts: Vec<_> = (0..2).map(|n| [shared.clone(), ids(n + 2, 60)].concat()).collect();
    let mut stores = [open(&options), open(&options)];
    std::thread::scope(|scope| {
        for store in &mut stores {
            let prompts = &prompts;
            scope.spawn(move || {
                for prompt in prompts.iter().cycle().take(20) {
                    ask(store, prompt, &[]);
                    store.flush();
                }
            });
        }
    });
    drop(stores);
    let names: HashSet<_> = list(dir.path()).into_iter().map(|s| s.name).collect();
    let tokens: usize = list(dir.path()).iter().map(|s| s.tokens).sum();
    assert_eq!((names.len(), tokens), (2, 220), "the same rows are the same file");
    let mut store = open(&options);
    for prompt in &prompts {
        assert_eq!(ask(&mut store, prompt, &[]).disk_tokens, if prompt == &prompts[0] { 159 } else { 59 });
    }
    // One removes what the other knows.
    let mut store = open(&options);
    flush(dir.path());
    assert_eq!(reused(ask(&mut store, &prompts[0], &[])), 0);
    assert_eq!(reused(ask(&mut store, &prompts[0], &[])), 159);
}

#[test]
#[ignore = "a measurement: cargo test --release -p edvac-runtime how_long -- --ignored --nocapture"]
fn how_long_storing_and_restoring_4096_tokens_takes() {
    let shape = Shape { layers: 28, row: 256, ..SHAPE };
    let dir = tempfile::tempdir().unwrap();
    let options = snapshots(dir.path(), NO_LIMIT);
    let identity = || Some(Identity { kv_key: KEY, model: "qwen2.5-coder-1.5b".to_owned(), model_bytes: 1 });
    let prompt = ids(1, 4097);
    let row: Vec<_> = (0..256 * 4096).flat_map(|n| ((n * 7919) as u16).to_ne_bytes()).collect();
    let mut store = KvStore::open(shape, &options, identity());
    let mut live = SequenceKv::new(shape);
    for layer in 0..shape.layers {
        live.write(layer, 0, &row, &row);
    }
    live.ids.extend(&prompt[..4096]);
    let started = std::time::Instant::now();
    store.finish(live);
    println!("exported in {:?}", started.elapsed());
    drop(store);
    println!("on disk after {:?}", started.elapsed());
    // On a machine with other work, processor time says more than the clock does.
    let processor_ms = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let ran = tasks.map(|t| std::fs::read_to_string(t.unwrap().path().join("schedstat")).unwrap());
        ran.map(|text| text.split(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() / 1e6
    };
    for _ in 0..8 {
        let started = std::time::Instant::now();
        let mut store = KvStore::open(shape, &options, identity());
        let opened = started.elapsed();
        let (started, cpu) = (std::time::Instant::now(), processor_ms());
        let (kv, found) = store.begin(&prompt);
        let restored = started.elapsed();
        let cpu = processor_ms() - cpu;
        println!(
            "opened in {opened:?}, {} tokens in {restored:?}, {cpu:.1} ms of processors",
            found.disk_tokens
        );
        store.finish(kv);
    }
}
