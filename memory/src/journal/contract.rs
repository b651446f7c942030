//! What every journal must do, run over both; and what only the one on disk can get wrong.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FixedClock, Journal, JournalError, Options, RamJournal, RecordKind, Recorded, SqliteJournal};
use crate::ids::EffectKey;

async fn disk(dir: &Path) -> SqliteJournal {
    let options = Options { clock: Arc::new(FixedClock::new(1000)), stop_after: None };
    SqliteJournal::open(dir, options).await.unwrap()
}

fn on_both(test: &impl AsyncFn(&dyn Journal)) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        test(&RamJournal::new(Arc::new(FixedClock::new(1000)))).await;
        let dir = tempfile::tempdir().unwrap();
        test(&disk(dir.path()).await).await;
    });
}

fn big(text: &str) -> Value {
    json!({ "text": text.repeat(10_000) })
}

#[test]
fn records_come_back_in_order() {
    on_both(&async |journal| {
        let key = EffectKey::from("k");
        journal.fact(json!({"a": 1})).await.unwrap();
        journal.intent(&key, json!({})).await.unwrap();
        journal.result(&key, big("x")).await.unwrap();
        let all = journal.read(0, 10).await.unwrap();
        assert_eq!(
            all.iter().map(|r| (r.seq, r.time_ms)).collect::<Vec<_>>(),
            [(1, 1000), (2, 1001), (3, 1002)]
        );
        assert_eq!(all[2].body, big("x"));
        assert_eq!(journal.read(1, 1).await.unwrap(), all[1..2]);
        assert_eq!(journal.find(&key).await.unwrap().as_ref(), Some(&all[2]));
        assert_eq!(journal.find(&"other".into()).await.unwrap(), None);
    });
}

#[test]
fn the_first_result_stays() {
    on_both(&async |journal| {
        let key = EffectKey::from("k");
        let Recorded::First(first) = journal.result(&key, json!(1)).await.unwrap() else {
            panic!("was absent")
        };
        let Recorded::Winner(winner) = journal.result(&key, json!(2)).await.unwrap() else {
            panic!("was there")
        };
        assert_eq!(first, winner);
        assert_eq!(journal.read(0, 10).await.unwrap().len(), 1);
    });
}

#[test]
fn blobs_are_found_by_their_digest() {
    on_both(&async |journal| {
        let digest = journal.put_blob(b"hello").await.unwrap();
        assert_eq!(journal.get_blob(&digest).await.unwrap(), b"hello");
        assert!(matches!(journal.get_blob(&"../../etc".into()).await, Err(JournalError::Blob { .. })));
    });
}

#[tokio::test]
async fn one_writer_many_readers() {
    let dir = tempfile::tempdir().unwrap();
    let journal = disk(dir.path()).await;
    let view = SqliteJournal::view(dir.path()).await.unwrap();
    assert!(matches!(
        SqliteJournal::open(dir.path(), Options::default()).await,
        Err(JournalError::InUse { pid: Some(pid) }) if pid == std::process::id()
    ));
    journal.fact(json!("seen")).await.unwrap();
    assert_eq!(view.read(0, 10).await.unwrap()[0].body, json!("seen"));
    assert!(matches!(view.fact(json!(1)).await, Err(JournalError::ReadOnly)));
    assert_eq!(SqliteJournal::writer(dir.path()), Some(std::process::id()));
    drop(journal);
    assert_eq!(SqliteJournal::writer(dir.path()), None);
}

#[tokio::test]
async fn a_damaged_blob_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = disk(dir.path()).await;
    journal.fact(big("x")).await.unwrap();
    let text = big("x").to_string();
    let digest = crate::ids::Digest::of(text.as_bytes()).0;
    let file = dir.path().join("blobs").join(&digest[..2]).join(&digest[2..]);
    for damage in [&text.as_bytes()[..100], b""] {
        std::fs::write(&file, damage).unwrap();
        assert!(matches!(journal.read(0, 10).await, Err(JournalError::Blob { .. })));
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(journal.read(0, 10).await, Err(JournalError::Blob { .. })));
    journal.put_blob(text.as_bytes()).await.unwrap();
    assert_eq!(journal.read(0, 10).await.unwrap().len(), 1, "put back, it reads again");
}

#[tokio::test]
async fn a_newer_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = disk(dir.path()).await;
    sqlx::query("PRAGMA user_version = 99").execute(&raw(dir.path()).await).await.unwrap();
    drop(journal);
    for result in
        [SqliteJournal::open(dir.path(), Options::default()).await, SqliteJournal::view(dir.path()).await]
    {
        assert!(matches!(result, Err(JournalError::Newer { found: 99, known: 1 })));
    }
}

#[tokio::test]
async fn what_is_returned_is_what_is_read_later() {
    let dir = tempfile::tempdir().unwrap();
    let journal = disk(dir.path()).await;
    // Some of these come back from their text as a neighbouring number.
    let numbers: Vec<f64> = (1..2000u32).map(|n| f64::from(n.wrapping_mul(2_654_435_761)) / 1e9).collect();
    let written = journal.fact(json!(numbers)).await.unwrap();
    assert_eq!(journal.read(0, 1).await.unwrap(), [written]);
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    assert!(journal.fact(deep).await.is_err(), "it could not be read again");
    assert_eq!(journal.read(0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn asking_who_writes_keeps_nobody_from_writing() {
    let dir = tempfile::tempdir().unwrap();
    drop(disk(dir.path()).await);
    let asking = std::fs::File::open(dir.path().join("lock")).unwrap();
    rustix::fs::flock(&asking, rustix::fs::FlockOperation::LockShared).unwrap();
    assert_eq!(SqliteJournal::writer(dir.path()), None, "two may ask at once");
    let opening = tokio::spawn({
        let dir = dir.path().to_owned();
        async move { SqliteJournal::open(&dir, Options::default()).await.map(drop) }
    });
    tokio::task::yield_now().await;
    drop(asking);
    opening.await.unwrap().unwrap();
}

async fn raw(dir: &Path) -> sqlx::SqlitePool {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("journal.sqlite"));
    sqlx::SqlitePool::connect_with(options).await.unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Fact,
    Intent(u8),
    Result(u8, bool),
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Fact),
        (0u8..4).prop_map(Step::Intent),
        ((0u8..4), any::<bool>()).prop_map(|(k, big)| Step::Result(k, big)),
        Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_sequence_keeps_the_promises(steps in prop::collection::vec(any_step(), 1..24)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut journal = disk(dir.path()).await;
            let mut firsts = std::collections::BTreeMap::new();
            let mut written = 0;
            for (number, step) in steps.iter().enumerate() {
                match step {
                    Step::Fact => { journal.fact(json!(number)).await.unwrap(); written += 1; }
                    Step::Intent(k) => {
                        journal.intent(&EffectKey(k.to_string()), json!(number)).await.unwrap();
                        written += 1;
                    }
                    Step::Result(k, large) => {
                        let body = if *large { big(&number.to_string()) } else { json!(number) };
                        let recorded = journal.result(&EffectKey(k.to_string()), body.clone()).await.unwrap();
                        let expected = firsts.entry(*k).or_insert_with(|| { written += 1; body });
                        assert_eq!(&recorded.into_record().body, expected);
                    }
                    Step::Reopen => { drop(journal); journal = disk(dir.path()).await; }
                }
            }
            let all = journal.read(0, 1000).await.unwrap();
            assert_eq!(all.len(), written);
            assert!(all.iter().zip(1..).all(|(r, seq)| r.seq == seq), "no gaps");
            for (k, body) in firsts {
                let found = journal.find(&EffectKey(k.to_string())).await.unwrap().unwrap();
                assert_eq!((found.kind, found.body), (RecordKind::Result, body));
            }
        });
    }
}
