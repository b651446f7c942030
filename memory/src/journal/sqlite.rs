//! The journal of a run in SQLite, with large bodies as blobs beside it.
//!
//! WAL with `synchronous=FULL`: a committed record survives a power cut (with `NORMAL` every acknowledged record
//! of a power-cut trial was lost). One writer process, held by a lock on a file; any number of readers.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde_json::Value;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, SqlSafeStr as _, SqlitePool};

use super::blob::Blobs;
use super::{Clock, Journal, JournalError, Record, RecordKind, Recorded, Seq, SystemClock, normal, parse};
use crate::ids::{Digest, EffectKey};

/// Bodies longer than this are kept as blobs.
const BODY_BYTES_MAX: usize = 8 << 10;
/// Version of the journal's format; raised when an older edvac could misread it.
const FORMAT: i64 = 1;
/// How long a statement waits for SQLite's own lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and how far apart, a taken lock is tried: long enough for one who only asks who holds it.
const LOCK_TRIES_MAX: u32 = 20;
/// See [`LOCK_TRIES_MAX`].
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// More than any process id needs.
const PID_BYTES_MAX: u64 = 32;
/// SQLite's codes for a file that is damaged (11, and 267 for its tables) or none of its own (26).
const DAMAGED: [&str; 3] = ["11", "26", "267"];
/// Exit status of a process that stopped itself by [`Options::stop_after`].
pub const EXIT_STOPPED_AFTER: i32 = 86;

/// How a journal is opened.
pub struct Options {
    /// Where record times come from.
    pub clock: Arc<dyn Clock>,
    /// The process exits with [`EXIT_STOPPED_AFTER`] as soon as the record with this number is durable. Crash tests
    /// stop a real process after every single record with it; nothing else sets it.
    pub stop_after: Option<Seq>,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), stop_after: None }
    }
}

/// A [`Journal`] in a run's state directory: `journal.sqlite`, `blobs/`, `lock`.
pub struct SqliteJournal {
    pool: SqlitePool,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    stop_after: Option<Seq>,
    /// Held while the journal may be written; none for views.
    lock: Option<File>,
}

fn io(context: &str) -> impl FnOnce(std::io::Error) -> JournalError + '_ {
    move |error| JournalError::Io { context: context.to_owned(), message: error.to_string() }
}

fn sql(context: &str) -> impl FnOnce(sqlx::Error) -> JournalError + '_ {
    move |error| match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
        Some(code) if DAMAGED.contains(&code.as_ref()) => {
            JournalError::Damaged { message: error.to_string() }
        }
        _ => JournalError::Io { context: context.to_owned(), message: error.to_string() },
    }
}

/// The journal's tables, version by version. Without sqlx's macro, which has SQLite compiled a second time.
fn migrations() -> Migrator {
    let journal = include_str!("../../migrations/0001_journal.sql").into_sql_str();
    Migrator::with_migrations(vec![Migration::new(
        1,
        "journal".into(),
        MigrationType::Simple,
        journal,
        false,
    )])
}

impl SqliteJournal {
    /// Opens the journal for writing, making it when absent. Only one process at a time can.
    pub async fn open(dir: &Path, options: Options) -> Result<Self, JournalError> {
        fs::create_dir_all(dir).map_err(io("making the run's directory"))?;
        let lock = take_lock(&dir.join("lock")).await?;
        let blobs = Blobs::at(dir.join("blobs"));
        blobs.make()?;
        let connect = SqliteConnectOptions::new()
            .filename(dir.join("journal.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = pool(connect).await?;
        refuse_newer(&pool).await?;
        migrations().run(&pool).await.map_err(|e| JournalError::Io {
            context: "preparing the journal".to_owned(),
            message: e.to_string(),
        })?;
        // A constant: SQLite takes no parameter here.
        sqlx::query("PRAGMA user_version = 1").execute(&pool).await.map_err(sql("marking the journal"))?;
        Ok(Self { pool, blobs, clock: options.clock, stop_after: options.stop_after, lock: Some(lock) })
    }

    /// Opens an existing journal for reading, also while another process writes it.
    pub async fn view(dir: &Path) -> Result<Self, JournalError> {
        let file = dir.join("journal.sqlite");
        if !file.exists() {
            return Err(JournalError::Io {
                context: format!("opening {}", file.display()),
                message: "there is no journal".to_owned(),
            });
        }
        // Not SQLite's read-only mode: a reader of a WAL database may have to make its shared-memory file.
        let connect = SqliteConnectOptions::new().filename(file).busy_timeout(BUSY_TIMEOUT);
        let pool = pool(connect).await?;
        refuse_newer(&pool).await?;
        let blobs = Blobs::at(dir.join("blobs"));
        Ok(Self { pool, blobs, clock: Arc::new(SystemClock), stop_after: None, lock: None })
    }

    /// Copies the records of the journal in `from`, which a process may be writing, into a new journal in `to`. Blobs are not
    /// copied.
    pub async fn copy(from: &Path, to: &Path) -> Result<(), JournalError> {
        let journal = Self::view(from).await?;
        let file = to.join("journal.sqlite");
        sqlx::query("VACUUM INTO ?")
            .bind(file.to_string_lossy().as_ref())
            .execute(&journal.pool)
            .await
            .map_err(sql("copying the journal"))?;
        Ok(())
    }

    /// Whether some process has the journal of `dir` open for writing, and its id.
    pub fn writer(dir: &Path) -> Option<u32> {
        let file = File::open(dir.join("lock")).ok()?;
        // Shared and for a moment: two who ask do not see each other, and one who opens waits longer than that.
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Some(holder(&file).unwrap_or(0)),
            _ => None,
        }
    }

    async fn append(
        &self,
        kind: RecordKind,
        key: Option<&EffectKey>,
        body: Value,
    ) -> Result<Recorded, JournalError> {
        if self.lock.is_none() {
            return Err(JournalError::ReadOnly);
        }
        let (text, body) = normal(&body)?;
        // The blob is durable before the row that names it.
        let blob = if text.len() > BODY_BYTES_MAX { Some(self.blobs.put(text.as_bytes())?) } else { None };
        let time_ms = self.clock.now_ms();
        let mut transaction = self.pool.begin().await.map_err(sql("writing the journal"))?;
        if let (RecordKind::Result, Some(key)) = (kind, key) {
            let winner = sqlx::query("SELECT * FROM record WHERE key = ? AND kind = 'result'")
                .bind(key.as_str())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(sql("looking for a result"))?;
            if let Some(row) = winner {
                return Ok(Recorded::Winner(self.record(&row)?));
            }
        }
        let row = sqlx::query(
            "INSERT INTO record (seq, time_ms, kind, key, body, blob)
             VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM record), ?, ?, ?, ?, ?) RETURNING seq",
        )
        .bind(time_ms)
        .bind(name(kind))
        .bind(key.map(EffectKey::as_str))
        .bind(blob.is_none().then_some(text.as_str()))
        .bind(blob.as_ref().map(Digest::as_str))
        .fetch_one(&mut *transaction)
        .await
        .map_err(sql("writing a record"))?;
        transaction.commit().await.map_err(sql("committing a record"))?;
        let seq = row.get::<i64, _>(0) as Seq;
        if self.stop_after == Some(seq) {
            std::process::exit(EXIT_STOPPED_AFTER);
        }
        Ok(Recorded::First(Record { seq, time_ms, kind, key: key.cloned(), body }))
    }

    fn record(&self, row: &SqliteRow) -> Result<Record, JournalError> {
        let text = match row.get::<Option<String>, _>("blob") {
            None => row.get::<String, _>("body").into_bytes(),
            Some(digest) => self.blobs.get(&Digest(digest))?,
        };
        Ok(Record {
            seq: row.get::<i64, _>("seq") as Seq,
            time_ms: row.get("time_ms"),
            kind: match row.get::<String, _>("kind").as_str() {
                "fact" => RecordKind::Fact,
                "intent" => RecordKind::Intent,
                _ => RecordKind::Result,
            },
            key: row.get::<Option<String>, _>("key").map(EffectKey),
            body: parse(&text)?,
        })
    }
}

fn name(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Fact => "fact",
        RecordKind::Intent => "intent",
        RecordKind::Result => "result",
    }
}

async fn pool(connect: SqliteConnectOptions) -> Result<SqlitePool, JournalError> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(connect)
        .await
        .map_err(sql("opening the journal"))
}

async fn refuse_newer(pool: &SqlitePool) -> Result<(), JournalError> {
    let row = sqlx::query("PRAGMA user_version").fetch_one(pool).await.map_err(sql("reading the journal"))?;
    let found: i64 = row.get(0);
    if found > FORMAT { Err(JournalError::Newer { found, known: FORMAT }) } else { Ok(()) }
}

async fn take_lock(path: &Path) -> Result<File, JournalError> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(io("opening the run's lock"))?;
    let mut tries = 0;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if tries < LOCK_TRIES_MAX => tokio::time::sleep(LOCK_PAUSE).await,
            Err(Errno::WOULDBLOCK) => return Err(JournalError::InUse { pid: holder(&file) }),
            Err(error) => return Err(io("locking the run")(error.into())),
        }
        tries += 1;
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(io("writing the run's lock"))?;
    write!(file, "{}", std::process::id()).map_err(io("writing the run's lock"))?;
    Ok(file)
}

/// The process id that the lock's holder left in it.
fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn fact(&self, body: Value) -> Result<Record, JournalError> {
        Ok(self.append(RecordKind::Fact, None, body).await?.into_record())
    }

    async fn intent(&self, key: &EffectKey, body: Value) -> Result<Record, JournalError> {
        Ok(self.append(RecordKind::Intent, Some(key), body).await?.into_record())
    }

    async fn result(&self, key: &EffectKey, body: Value) -> Result<Recorded, JournalError> {
        self.append(RecordKind::Result, Some(key), body).await
    }

    async fn find(&self, key: &EffectKey) -> Result<Option<Record>, JournalError> {
        sqlx::query("SELECT * FROM record WHERE key = ? AND kind = 'result'")
            .bind(key.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("looking for a result"))?
            .map(|row| self.record(&row))
            .transpose()
    }

    async fn read(&self, after: Seq, limit: u32) -> Result<Vec<Record>, JournalError> {
        sqlx::query("SELECT * FROM record WHERE seq > ? ORDER BY seq LIMIT ?")
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(sql("reading the journal"))?
            .iter()
            .map(|row| self.record(row))
            .collect()
    }

    async fn put_blob(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        if self.lock.is_none() {
            return Err(JournalError::ReadOnly);
        }
        self.blobs.put(bytes)
    }

    async fn get_blob(&self, digest: &Digest) -> Result<Vec<u8>, JournalError> {
        self.blobs.get(digest)
    }
}

impl Recorded {
    /// The record that is in the journal, whoever wrote it.
    pub fn into_record(self) -> Record {
        let (Self::First(record) | Self::Winner(record)) = self;
        record
    }
}
