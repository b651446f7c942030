//! The index in SQLite: full-text search (FTS5, bm25) and sentence vectors, fused by reciprocal rank.
//!
//! Reciprocal rank fusion: Cormack, Clarke, Buettcher, SIGIR 2009. Vectors are compared by brute force: cost grows
//! linearly with the pieces of the synced tree, which for a generated project are some thousands at most.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};
use tokio::sync::Mutex;

use super::chunk::chunks;
use super::{Embedder, FileStoreView, Hit, IndexError, MemoryIndex};
use crate::ids::{Digest, TreeId};

/// The constant of reciprocal rank fusion; 60 as in the paper.
const RRF_K: f64 = 60.0;
/// How deep each ranking is read before fusing.
const RANKS_MAX: u32 = 64;
/// Words of a query that are used.
const QUERY_WORDS_MAX: usize = 48;
/// Files larger than this are not indexed.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Pieces embedded at once.
const EMBED_BATCH: usize = 16;
/// Of a tree with more pieces, only those that words find are compared by meaning: embedding all of them would take minutes.
const EMBEDDED_MAX: usize = 2000;

/// A [`MemoryIndex`] in one SQLite file. It is derived: deleting it loses nothing.
pub struct SqliteIndex {
    pool: SqlitePool,
    embedder: Option<Arc<dyn Embedder>>,
    /// Under which name the embedder's vectors are kept; found out at its first use.
    model: OnceLock<String>,
    synced: Mutex<Synced>,
}

/// What is in the tables.
#[derive(Default)]
struct Synced {
    /// The tree; none while it is not whole.
    tree: Option<TreeId>,
    /// Its files' contents.
    files: BTreeMap<String, Digest>,
    pieces: usize,
}

/// Which pieces are ranked.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Others { than: &'a [String] },
    File(&'a str),
}

fn sql(context: &str) -> impl FnOnce(sqlx::Error) -> IndexError + '_ {
    move |error| IndexError::Io { context: context.to_owned(), message: error.to_string() }
}

impl SqliteIndex {
    /// Opens or makes the index. Without an embedder it ranks by words alone.
    pub async fn open(path: &Path, embedder: Option<Arc<dyn Embedder>>) -> Result<Self, IndexError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(sql("opening the index"))?;
        for statement in [
            // An earlier form did not know whose the vectors were.
            "DROP TABLE IF EXISTS vector",
            "CREATE TABLE IF NOT EXISTS embedding (
                model TEXT NOT NULL, digest TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, digest)) STRICT",
            "DROP TABLE IF EXISTS piece",
            "CREATE VIRTUAL TABLE piece USING fts5 (path, symbol, text, first UNINDEXED, last UNINDEXED, digest UNINDEXED)",
        ] {
            sqlx::query(statement).execute(&pool).await.map_err(sql("preparing the index"))?;
        }
        Ok(Self { pool, embedder, model: OnceLock::new(), synced: Mutex::default() })
    }

    /// The model's name and the length of its vectors: one that gives no name is told from others at least by that.
    fn model(&self, embedder: &dyn Embedder) -> Result<&str, IndexError> {
        if let Some(known) = self.model.get() {
            return Ok(known);
        }
        let probe = embedder.embed(&["length"]).map_err(IndexError::Embed)?;
        let length = probe.first().map_or(0, Vec::len);
        Ok(self.model.get_or_init(|| format!("{}/{length}", embedder.model())))
    }

    async fn embed_missing(&self, texts: &BTreeMap<String, String>) -> Result<(), IndexError> {
        let Some(embedder) = &self.embedder else { return Ok(()) };
        let model = self.model(embedder.as_ref())?;
        let mut missing = Vec::new();
        for (digest, text) in texts {
            let known = sqlx::query("SELECT 1 FROM embedding WHERE model = ? AND digest = ?")
                .bind(model)
                .bind(digest)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("looking for a vector"))?;
            if known.is_none() {
                missing.push((digest, text.as_str()));
            }
        }
        for batch in missing.chunks(EMBED_BATCH) {
            let texts: Vec<_> = batch.iter().map(|(_, text)| *text).collect();
            let vectors = embedder.embed(&texts).map_err(IndexError::Embed)?;
            if vectors.len() != batch.len() {
                let problem = format!("{} vectors for {} texts", vectors.len(), batch.len());
                return Err(IndexError::Embed(problem));
            }
            for ((digest, _), vector) in batch.iter().zip(vectors) {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                sqlx::query("INSERT OR REPLACE INTO embedding VALUES (?, ?, ?)")
                    .bind(model)
                    .bind(digest)
                    .bind(bytes)
                    .execute(&self.pool)
                    .await
                    .map_err(sql("keeping a vector"))?;
            }
        }
        Ok(())
    }

    /// Rows of the best pieces by words.
    async fn by_words(&self, query: &str, scope: Scope<'_>) -> Result<Vec<i64>, IndexError> {
        let Some(expression) = fts_expression(query) else { return Ok(Vec::new()) };
        let rows = sqlx::query(
            "SELECT rowid FROM piece WHERE piece MATCH ? AND (? IS NULL OR path = ?)
             ORDER BY bm25(piece, 3.0, 2.0, 1.0), rowid LIMIT ?",
        )
        .bind(expression)
        .bind(scope.file())
        .bind(scope.file())
        .bind(i64::from(RANKS_MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("searching words"))?;
        Ok(rows.iter().map(|r| r.get(0)).collect())
    }

    /// Rows of the best pieces by meaning.
    async fn by_meaning(&self, query: &str, scope: Scope<'_>) -> Result<Vec<i64>, IndexError> {
        let Some(embedder) = &self.embedder else { return Ok(Vec::new()) };
        let wanted = embedder.embed(&[query]).map_err(IndexError::Embed)?.pop().unwrap_or_default();
        let rows = sqlx::query(
            "SELECT piece.rowid, vector FROM piece JOIN embedding USING (digest)
             WHERE model = ? AND (? IS NULL OR path = ?) ORDER BY piece.rowid",
        )
        .bind(self.model(embedder.as_ref())?)
        .bind(scope.file())
        .bind(scope.file())
        .fetch_all(&self.pool)
        .await
        .map_err(sql("reading vectors"))?;
        let mut scored: Vec<(i64, f32)> = rows
            .iter()
            .map(|row| {
                let bytes: Vec<u8> = row.get(1);
                let floats = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
                (row.get(0), floats.zip(&wanted).map(|(a, b)| a * b).sum())
            })
            .collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(scored.into_iter().take(RANKS_MAX as usize).map(|(row, _)| row).collect())
    }

    async fn hit(&self, row: i64, score: f64, reason: String) -> Result<Hit, IndexError> {
        let row = sqlx::query("SELECT path, symbol, text, first, last FROM piece WHERE rowid = ?")
            .bind(row)
            .fetch_one(&self.pool)
            .await
            .map_err(sql("reading a piece"))?;
        Ok(Hit {
            path: row.get("path"),
            line_first: row.get::<i64, _>("first") as u32,
            line_last: row.get::<i64, _>("last") as u32,
            symbol: row.get("symbol"),
            text: row.get("text"),
            score,
            reason,
        })
    }
}

/// A query that FTS5 cannot misread: each word quoted, any of them suffices.
fn fts_expression(query: &str) -> Option<String> {
    let words: Vec<_> = query
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|w| w.chars().count() > 1)
        .take(QUERY_WORDS_MAX)
        .map(|w| format!("\"{w}\""))
        .collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}

impl Scope<'_> {
    fn file(&self) -> Option<&str> {
        match self {
            Self::File(path) => Some(path),
            Self::Others { .. } => None,
        }
    }

    fn has(&self, path: &str) -> bool {
        match self {
            Self::File(own) => *own == path,
            Self::Others { than } => !than.iter().any(|other| other == path),
        }
    }
}

impl SqliteIndex {
    /// Puts the pieces of files that are new or other into the table, and takes out those of files that are not there any
    /// more.
    async fn update(
        &self,
        synced: &mut Synced,
        store: &dyn FileStoreView,
        tree: &TreeId,
    ) -> Result<(), IndexError> {
        let mut files = BTreeMap::new();
        let mut transaction = self.pool.begin().await.map_err(sql("updating the index"))?;
        for (path, bytes) in store.list(tree)? {
            if bytes > FILE_BYTES_MAX {
                continue;
            }
            let Ok(text) = String::from_utf8(store.read(tree, &path)?) else { continue };
            let digest = Digest::of(text.as_bytes());
            let known = synced.files.remove(&path);
            if known.as_ref() != Some(&digest) {
                if known.is_some() {
                    forget(&mut transaction, &path).await?;
                }
                for chunk in chunks(&path, &text) {
                    sqlx::query(
                        "INSERT INTO piece (path, symbol, text, first, last, digest) VALUES (?, ?, ?, ?, ?, ?)",
                    )
                    .bind(&path)
                    .bind(&chunk.symbol)
                    .bind(&chunk.text)
                    .bind(chunk.line_first)
                    .bind(chunk.line_last)
                    .bind(Digest::of(chunk.text.as_bytes()).0)
                    .execute(&mut *transaction)
                    .await
                    .map_err(sql("indexing a piece"))?;
                }
            }
            files.insert(path, digest);
        }
        for path in std::mem::take(&mut synced.files).into_keys() {
            forget(&mut transaction, &path).await?;
        }
        let count = sqlx::query("SELECT count(*) FROM piece").fetch_one(&mut *transaction).await;
        let pieces: i64 = count.map_err(sql("counting pieces"))?.get(0);
        transaction.commit().await.map_err(sql("updating the index"))?;
        synced.files = files;
        synced.pieces = usize::try_from(pieces).unwrap_or(usize::MAX);
        Ok(())
    }

    /// Embeds all pieces, or those of `rows` where there are too many.
    async fn embed(&self, synced: &Synced, rows: &[i64]) -> Result<(), IndexError> {
        let all = "SELECT digest, text FROM piece";
        let found = if synced.pieces <= EMBEDDED_MAX {
            sqlx::query(all).fetch_all(&self.pool).await
        } else {
            let rows = serde_json::to_string(rows).unwrap_or_default();
            sqlx::query("SELECT digest, text FROM piece WHERE rowid IN (SELECT value FROM json_each(?))")
                .bind(rows)
                .fetch_all(&self.pool)
                .await
        };
        let found = found.map_err(sql("reading pieces"))?;
        self.embed_missing(&found.iter().map(|row| (row.get(0), row.get(1))).collect()).await
    }

    async fn ranked(&self, query: &str, hits_max: usize, scope: Scope<'_>) -> Result<Vec<Hit>, IndexError> {
        let synced = self.synced.lock().await;
        let words = self.by_words(query, scope).await?;
        if synced.pieces > EMBEDDED_MAX && self.embedder.is_some() {
            self.embed(&synced, &words).await?;
        }
        let meaning = self.by_meaning(query, scope).await?;
        let mut fused: HashMap<i64, (f64, Vec<String>)> = HashMap::new();
        for (name, ranking) in [("words", words), ("meaning", meaning)] {
            for (row, rank) in ranking.into_iter().zip(1u32..) {
                let entry = fused.entry(row).or_default();
                entry.0 += 1.0 / (RRF_K + f64::from(rank));
                entry.1.push(format!("{name} {rank}"));
            }
        }
        let mut ranked: Vec<_> = fused.into_iter().collect();
        ranked.sort_by(|a, b| b.1.0.total_cmp(&a.1.0).then(a.0.cmp(&b.0)));
        let mut hits = Vec::new();
        for (row, (score, reasons)) in ranked {
            if hits.len() == hits_max {
                break;
            }
            let hit = self.hit(row, score, reasons.join(", ")).await?;
            if scope.has(&hit.path) {
                hits.push(hit);
            }
        }
        Ok(hits)
    }
}

async fn forget(transaction: &mut sqlx::SqliteConnection, path: &str) -> Result<(), IndexError> {
    let done = sqlx::query("DELETE FROM piece WHERE path = ?").bind(path).execute(transaction).await;
    done.map(drop).map_err(sql("updating the index"))
}

#[async_trait]
impl MemoryIndex for SqliteIndex {
    async fn sync(&self, store: &dyn FileStoreView, tree: &TreeId) -> Result<(), IndexError> {
        let mut synced = self.synced.lock().await;
        if synced.tree.as_ref() == Some(tree) {
            return Ok(());
        }
        let mut next = std::mem::take(&mut *synced);
        next.tree = None;
        if let Err(error) = self.update(&mut next, store, tree).await {
            // What the tables hold now is not known any more.
            let emptied = sqlx::query("DELETE FROM piece").execute(&self.pool).await;
            return emptied.map_err(sql("updating the index")).and(Err(error));
        }
        *synced = next;
        if synced.pieces <= EMBEDDED_MAX {
            self.embed(&synced, &[]).await?;
        }
        synced.tree = Some(tree.clone());
        Ok(())
    }

    async fn search(&self, query: &str, hits_max: usize, exclude: &[String]) -> Result<Vec<Hit>, IndexError> {
        self.ranked(query, hits_max, Scope::Others { than: exclude }).await
    }

    async fn search_in(&self, path: &str, query: &str, hits_max: usize) -> Result<Vec<Hit>, IndexError> {
        self.ranked(query, hits_max, Scope::File(path)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use super::*;
    use crate::store::{Edit, FileStore, GitStore};

    /// Letters as dimensions: texts with the same letters mean the same.
    struct Letters;
    impl Embedder for Letters {
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
            Ok(texts
                .iter()
                .map(|text| {
                    let mut vector = [0f32; 26];
                    text.bytes()
                        .filter(u8::is_ascii_lowercase)
                        .for_each(|b| vector[usize::from(b - b'a')] += 1.0);
                    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
                    vector.iter().map(|x| x / norm).collect()
                })
                .collect())
        }
    }

    async fn index(embedder: Option<Arc<dyn Embedder>>) -> (SqliteIndex, tempfile::TempDir) {
        let mut store = GitStore::ram().unwrap();
        let write = |path: &str, content: &str| Edit::Write { path: path.into(), content: content.into() };
        let edits = [
            write("store.py", "def save_items(path):\n    json dump\n"),
            write("cli.py", "def parse_arguments(argv):\n    argparse\n"),
            write("zzz.md", "# Notes\nzzz zzz\n"),
        ];
        let empty = store.empty_tree().unwrap();
        let tree = store.apply(&empty, &edits).unwrap();
        let view: StdMutex<Box<dyn FileStore>> = StdMutex::new(Box::new(store));
        let dir = tempfile::tempdir().unwrap();
        let index = SqliteIndex::open(&dir.path().join("index.sqlite"), embedder).await.unwrap();
        index.sync(&view, &tree).await.unwrap();
        index.sync(&view, &tree).await.unwrap();
        (index, dir)
    }

    #[tokio::test]
    async fn words_find_their_file() {
        let (index, _dir) = index(None).await;
        let hits = index.search("save the items to json", 5, &[]).await.unwrap();
        assert_eq!((hits[0].path.as_str(), hits[0].symbol.as_deref()), ("store.py", Some("save_items")));
        assert_eq!(hits[0].reason, "words 1");
        assert!(index.search("save json", 5, &["store.py".into()]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_file_is_searched_by_itself() {
        let (index, _dir) = index(Some(Arc::new(Letters))).await;
        let hits = index.search_in("cli.py", "save the items to json", 5).await.unwrap();
        assert!(hits.iter().all(|hit| hit.path == "cli.py") && hits.len() == 1, "{hits:?}");
        assert!(index.search_in("none.py", "save", 5).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn another_tree_changes_what_differs() {
        let mut store = GitStore::ram().unwrap();
        let write = |path: &str, content: &str| Edit::Write { path: path.into(), content: content.into() };
        let empty = store.empty_tree().unwrap();
        let one =
            store.apply(&empty, &[write("a.py", "def apple():\n"), write("b.py", "def pear():\n")]).unwrap();
        let edits = [
            write("a.py", "def plum():\n"),
            Edit::Delete { path: "b.py".into() },
            write("c.py", "def fig():\n"),
        ];
        let two = store.apply(&one, &edits).unwrap();
        let view: StdMutex<Box<dyn FileStore>> = StdMutex::new(Box::new(store));
        let dir = tempfile::tempdir().unwrap();
        let index = SqliteIndex::open(&dir.path().join("i"), None).await.unwrap();
        let found = async |tree: &TreeId| {
            index.sync(&view, tree).await.unwrap();
            let hits = index.search("apple pear plum fig", 9, &[]).await.unwrap();
            let mut found: Vec<_> = hits.into_iter().filter_map(|hit| hit.symbol).collect();
            found.sort();
            found.join(" ")
        };
        assert_eq!(found(&one).await, "apple pear");
        assert_eq!(found(&two).await, "fig plum");
        assert_eq!(found(&one).await, "apple pear");
    }

    /// Counts what it is asked for.
    struct Counting(Arc<std::sync::atomic::AtomicUsize>);
    impl Embedder for Counting {
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
            self.0.fetch_add(texts.len(), std::sync::atomic::Ordering::SeqCst);
            Letters.embed(texts)
        }
    }

    #[tokio::test]
    async fn of_too_many_pieces_only_those_that_words_find_are_embedded() {
        let mut store = GitStore::ram().unwrap();
        let write =
            |n: usize| Edit::Write { path: format!("f{n}.md"), content: format!("# Part {n}\ntext\n") };
        let empty = store.empty_tree().unwrap();
        let tree = store.apply(&empty, &(0..=EMBEDDED_MAX).map(write).collect::<Vec<_>>()).unwrap();
        let view: StdMutex<Box<dyn FileStore>> = StdMutex::new(Box::new(store));
        let dir = tempfile::tempdir().unwrap();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let embedder: Arc<dyn Embedder> = Arc::new(Counting(Arc::clone(&asked)));
        let index = SqliteIndex::open(&dir.path().join("i"), Some(embedder)).await.unwrap();
        index.sync(&view, &tree).await.unwrap();
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 0);
        let hits = index.search("77", 3, &[]).await.unwrap();
        assert_eq!(hits[0].path, "f77.md");
        assert!(asked.load(std::sync::atomic::Ordering::SeqCst) <= RANKS_MAX as usize + 2);
    }

    #[tokio::test]
    async fn meaning_finds_what_words_do_not() {
        let (index, _dir) = index(Some(Arc::new(Letters))).await;
        let hits = index.search("zzzzz", 1, &[]).await.unwrap();
        assert_eq!((hits[0].path.as_str(), hits[0].reason.as_str()), ("zzz.md", "meaning 1"));
    }

    #[tokio::test]
    async fn no_query_breaks_the_search() {
        let (index, _dir) = index(Some(Arc::new(Letters))).await;
        for query in
            ["", "\"", "a AND (", "NEAR/3 *", "path:x", "'; DROP TABLE piece", "\u{0}\u{200b}", "-- ^"]
        {
            index.search(query, 3, &[]).await.unwrap();
        }
    }

    /// A model of its own: every text means the same.
    struct Constant(usize);
    impl Embedder for Constant {
        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
            Ok(texts.iter().map(|_| vec![1.0; self.0]).collect())
        }
    }

    async fn vectors(path: &Path, embedder: impl Embedder + 'static) -> Result<i64, IndexError> {
        let mut store = GitStore::ram().unwrap();
        let empty = store.empty_tree().unwrap();
        let edit = Edit::Write { path: "a.md".into(), content: "# One\ntext\n".into() };
        let tree = store.apply(&empty, &[edit]).unwrap();
        let view: StdMutex<Box<dyn FileStore>> = StdMutex::new(Box::new(store));
        let index = SqliteIndex::open(path, Some(Arc::new(embedder))).await?;
        index.sync(&view, &tree).await?;
        let row = sqlx::query("SELECT count(*) FROM embedding").fetch_one(&index.pool).await.unwrap();
        Ok(row.get(0))
    }

    #[tokio::test]
    async fn another_model_makes_its_own_vectors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sqlite");
        let counts = [
            vectors(&path, Constant(4)).await.unwrap(),
            vectors(&path, Constant(4)).await.unwrap(),
            vectors(&path, Constant(8)).await.unwrap(),
        ];
        assert_eq!(counts, [1, 1, 2]);
    }

    #[tokio::test]
    async fn a_missing_vector_is_an_error() {
        struct Silent;
        impl Embedder for Silent {
            fn embed(&self, _: &[&str]) -> Result<Vec<Vec<f32>>, String> {
                Ok(Vec::new())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let error = vectors(&dir.path().join("index.sqlite"), Silent).await.unwrap_err();
        assert!(matches!(error, IndexError::Embed(_)));
    }
}
