//! The store on a model that is a function of its tokens: traces, branches, budgets.

mod disk;

use std::path::Path;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::sequence::common_prefix;
use super::store::Found;
use super::*;

const SHAPE: Shape = Shape { layers: 3, row: 4, format: KvFormat::F16 };
const KEY: [u8; 32] = [7; 32];
const NO_LIMIT: u64 = 1 << 40;

/// A directory in memory where there is one: some tests write thousands of files.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A model whose rows depend on all tokens up to theirs, as a real one's do, and nothing else.
fn rows(ids: &[u32], from: usize, layer: usize, kind: u64) -> Vec<u8> {
    let mut state = 1u64;
    let mut out = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        state = (state ^ u64::from(*id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        if at >= from {
            let element = |n| state.wrapping_mul(2 * (n + 16 * (layer as u64 * 2 + kind)) + 1) >> 40;
            out.extend((0..SHAPE.row as u64).flat_map(|n| (element(n) as u16).to_ne_bytes()));
        }
    }
    out
}

fn compute(kv: &mut SequenceKv, ids: &[u32]) {
    let first = kv.ids.len();
    let all: Vec<_> = kv.ids.iter().chain(ids).copied().collect();
    for layer in 0..SHAPE.layers {
        kv.write(layer, first, &rows(&all, first, layer, 0), &rows(&all, first, layer, 1));
    }
    kv.ids = all;
}

fn assert_rows(kv: &SequenceKv) {
    let expected: Vec<_> = (0..SHAPE.layers)
        .flat_map(|layer| [0, 1].map(|kind| rows(&kv.ids, 0, layer, kind)))
        .flatten()
        .collect();
    assert!(kv.copy_out(0, kv.ids.len()) == expected, "rows of {} tokens", kv.ids.len());
}

fn snapshots(dir: &Path, bytes_max: u64) -> KvOptions {
    let snapshots = Some(SnapshotOptions { dir: dir.to_owned(), bytes_max });
    KvOptions { memory_bytes_max: NO_LIMIT, snapshots, ..KvOptions::default() }
}

fn open_as(options: &KvOptions, kv_key: [u8; 32]) -> KvStore {
    KvStore::open(SHAPE, options, Some(Identity { kv_key, model: "fake".to_owned(), model_bytes: 1 }))
}

fn open(options: &KvOptions) -> KvStore {
    open_as(options, KEY)
}

/// One request with its reply, checked on the way.
fn ask(store: &mut KvStore, prompt: &[u32], reply: &[u32]) -> Found {
    let (mut kv, found) = store.begin(prompt);
    assert_eq!(kv.ids, prompt[..found.memory_tokens + found.disk_tokens], "ids are the prompt's");
    assert!(kv.ids.len() < prompt.len(), "the last token is computed");
    assert_rows(&kv);
    let missing = prompt[kv.ids.len()..].to_vec();
    missing.chunks(50).for_each(|chunk| compute(&mut kv, chunk));
    reply.iter().for_each(|id| compute(&mut kv, &[*id]));
    store.finish(kv);
    store.tree().check();
    found
}

fn reused(found: Found) -> usize {
    found.memory_tokens + found.disk_tokens
}

fn ids(seed: u64, len: usize) -> Vec<u32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..len).map(|_| random.random_range(0..50_000)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// A prompt that begins like an earlier sequence.
    Ask { like: usize, keep: u8, more: Vec<u32>, reply: Vec<u32> },
    /// Another process.
    Restart,
    /// All snapshots are removed by somebody else.
    Removed,
}

fn step() -> impl Strategy<Value = Step> {
    let tokens = |max| proptest::collection::vec(0u32..3, 0..max);
    prop_oneof![
        12 => (any::<usize>(), any::<u8>(), tokens(70), tokens(20)).prop_map(|(like, keep, more, reply)| {
            Step::Ask { like, keep, more, reply }
        }),
        2 => Just(Step::Restart),
        1 => Just(Step::Removed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_trace_finds_what_was_stored(
        steps in proptest::collection::vec(step(), 1..24),
        memory_tokens in prop_oneof![Just(0u64), 20u64..200, Just(NO_LIMIT >> 10)],
        disk_tokens in prop_oneof![3 => Just(None), 1 => (100u64..600).prop_map(Some), 2 => Just(Some(NO_LIMIT >> 10))],
        flushes in any::<bool>(),
    ) {
        let dir = scratch();
        let disk_max = disk_tokens.map_or(0, |tokens| tokens * SHAPE.token_bytes() + 4096 * 8);
        let options = KvOptions { memory_bytes_max: memory_tokens * SHAPE.token_bytes(), ..snapshots(dir.path(), disk_max) };
        let no_limit = memory_tokens * SHAPE.token_bytes() >= NO_LIMIT >> 10;
        let all_on_disk = flushes && disk_tokens == Some(NO_LIMIT >> 10);
        let mut store = open(&options);
        let mut seen: Vec<Vec<u32>> = Vec::new();
        for step in steps {
            match step {
                Step::Ask { like, keep, more, reply } => {
                    let empty = Vec::new();
                    let origin = if seen.is_empty() { &empty } else { &seen[like % seen.len()] };
                    let mut prompt = origin[..origin.len() * usize::from(keep) / 255].to_vec();
                    prompt.extend(more);
                    prompt.push(2);
                    let found = ask(&mut store, &prompt, &reply);
                    let most = &prompt[..prompt.len() - 1];
                    let best = seen.iter().map(|s| common_prefix(s, most)).max().unwrap_or(0);
                    prop_assert!(reused(found) <= best, "nothing is found that was not stored");
                    if no_limit && (all_on_disk || disk_tokens.is_none()) {
                        prop_assert_eq!(reused(found), best, "with room, all is found");
                    }
                    prompt.extend(reply);
                    seen.push(prompt);
                    if flushes {
                        store.flush();
                        store.tree().check();
                        let used: u64 = list(dir.path()).iter().map(|s| s.bytes).sum();
                        prop_assert!(used <= disk_max);
                    }
                }
                Step::Restart => {
                    drop(store);
                    store = open(&options);
                    store.tree().check();
                    if disk_tokens.is_none() {
                        seen.clear();
                    }
                }
                Step::Removed if all_on_disk => {}
                Step::Removed => {
                    flush(dir.path());
                }
            }
        }
        if disk_tokens.is_none() {
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn branches_come_back_at_any_token() {
    let mut store = open(&KvOptions::default());
    let shared = ids(1, 160);
    let mut branches =
        [(2, 480), (3, 40), (4, 300)].map(|(seed, len)| [shared.clone(), ids(seed, len)].concat());
    for (turn, which) in [0, 1, 0, 2, 0, 1, 2, 0, 0, 1].into_iter().enumerate() {
        let sequence = &mut branches[which];
        let first_time = [0, 1, 3].contains(&turn);
        let new = if first_time { sequence.len() - if turn == 0 { 0 } else { shared.len() } } else { 5 };
        if !first_time {
            sequence.extend(ids(100 + turn as u64, new));
        }
        let found = ask(&mut store, sequence, &[9, 9]);
        assert_eq!(sequence.len() - reused(found), new, "turn {turn}: new tokens alone are computed");
        // The same prompt again: its last token.
        assert_eq!(sequence.len() - reused(ask(&mut store, sequence, &[9, 9])), 1);
        sequence.extend([9, 9]);
    }
}

#[test]
fn sub_agents_share_the_pages_of_what_they_share() {
    let mut store = open(&KvOptions::default());
    let shared = ids(1, 2001);
    let mut own = 0;
    for round in 0..3 {
        for agent in 0..8 {
            let prompt = [shared.clone(), ids(agent + 10, 30 + 45 * round)].concat();
            ask(&mut store, &prompt, &[]);
            own += if round == 2 { prompt.len() - shared.len() } else { 0 };
        }
    }
    let stored = store.tree().memory_bytes as f64 / SHAPE.token_bytes() as f64;
    let unique = (shared.len() + own) as f64;
    assert_eq!(store.tree().tokens(), shared.len() + own);
    assert!(stored <= 1.1 * unique, "{stored} stored for {unique}");
    println!("8 agents: {stored} tokens stored for {unique} unique ones");
}

#[test]
fn a_live_sequence_that_is_lost_is_not_missed() {
    let mut store = open(&KvOptions::default());
    let prompt = ids(1, 80);
    ask(&mut store, &prompt, &[]);
    drop(store.begin(&prompt));
    assert_eq!(reused(ask(&mut store, &prompt, &[5])), 79);
}

#[test]
fn the_first_other_token_is_named() {
    let mut store = open(&KvOptions::default());
    let a = ids(1, 100);
    ask(&mut store, &a, &[]);
    let mut changed = a.clone();
    changed[70] += 1;
    assert_eq!(ask(&mut store, &changed, &[]).diverged_at, Some(70));
    assert_eq!(ask(&mut store, &[a.clone(), vec![1]].concat(), &[]).diverged_at, None, "it goes on");
    assert_eq!(ask(&mut store, &a[..50], &[]).diverged_at, None, "it is the beginning");
    let mut early = a.clone();
    early[20] += 1;
    assert_eq!(ask(&mut store, &early, &[]).diverged_at, None, "little is shared");
}

#[test]
fn memory_goes_by_value_and_disk_keeps_it() {
    let dir = scratch();
    let options =
        KvOptions { memory_bytes_max: 300 * SHAPE.token_bytes(), ..snapshots(dir.path(), NO_LIMIT) };
    let mut store = open(&options);
    let sequences: Vec<_> = (0..5).map(|seed| ids(seed, 150)).collect();
    for sequence in &sequences {
        ask(&mut store, sequence, &[]);
        store.flush();
    }
    for sequence in &sequences {
        let found = ask(&mut store, sequence, &[]);
        assert_eq!(reused(found), 149);
    }
    let old = ask(&mut store, &sequences[0], &[]);
    assert!(old.disk_tokens > 0, "{old:?}");
    let without = KvOptions { snapshots: None, ..options };
    let mut store = open(&without);
    for sequence in &sequences {
        ask(&mut store, sequence, &[]);
    }
    assert!(reused(ask(&mut store, &sequences[3], &[])) >= 100, "the younger stay");
    assert!(reused(ask(&mut store, &sequences[0], &[])) < 32, "the oldest went");
}
