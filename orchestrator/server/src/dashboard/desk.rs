//! What the dashboard holds: the runs that somebody looks at, and those that this process carries out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use edvac_memory::ids::RunId;
use edvac_memory::index::Embedder;
use edvac_orchestrator::config::{Config, ModelConfig};
use edvac_orchestrator::control::RunState;
use edvac_orchestrator::place::{PlaceError, RunDir, Runs};
use edvac_orchestrator::run::{Machine, ModelClients, RunError};
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use super::hosted::{Ask, Hosted};
use super::view::RunRow;
use super::watched::{Shared, Watched};
use crate::metrics::Tally;

/// Runs that are kept folded. Of more, the one that nobody looked at for longest is folded anew when it is asked for.
const WATCHED_MAX: usize = 16;
/// A run that nobody looks at is kept for so long.
const KEPT: Duration = Duration::from_mins(15);

/// How long the list of runs waits for journals that are read for the first time.
const LIST_PATIENCE: Duration = Duration::from_millis(200);

/// Opens models for runs that begin on the page.
#[async_trait]
pub trait Opener: Send + Sync {
    /// The models of a run; one that is in use already is shared.
    async fn open(&self, own: &ModelConfig, second: Option<&ModelConfig>) -> Result<ModelClients, String>;
    /// Names of the models that are open now.
    async fn names(&self) -> Vec<String>;
    /// What finds files by meaning, where there is such a model.
    fn embedder(&self) -> Option<Arc<dyn Embedder>>;
}

/// Everything behind the pages.
pub struct Desk {
    /// What runs need of the world.
    pub(crate) machine: Machine,
    /// The configuration that new runs begin with.
    pub(crate) config: Config,
    pub(crate) opener: Arc<dyn Opener>,
    pub(crate) hosted: Hosted,
    /// Ends the streams, so that the server can end.
    pub(crate) stopping: CancellationToken,
    runs: Runs,
    watched: Mutex<BTreeMap<RunId, Shared>>,
    rows: Mutex<BTreeMap<RunId, Known>>,
    /// Runs that are being read for the list.
    reading: Mutex<BTreeSet<RunId>>,
    feeds: tokio::sync::Mutex<BTreeMap<RunId, Arc<Feed>>>,
}

/// By what a journal is seen to have changed: times and lengths of its files, and its writer.
type Stamp = (Vec<Option<(SystemTime, u64)>>, Option<u32>);

/// What is known of a run since its journal was as the stamp says.
#[derive(Clone)]
struct Known {
    stamp: Stamp,
    row: RunRow,
    tally: Tally,
}

/// A lock is poisoned where a page panicked; what it guards are caches.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// The desk over the runs of a configuration.
    pub fn new(config: Config, opener: Arc<dyn Opener>) -> Result<Arc<Self>, RunError> {
        let machine = Machine::new(config.clone())?;
        Ok(Arc::new(Self {
            runs: machine.runs(),
            machine,
            config,
            opener,
            hosted: Hosted::default(),
            stopping: CancellationToken::new(),
            watched: Mutex::default(),
            rows: Mutex::default(),
            reading: Mutex::default(),
            feeds: tokio::sync::Mutex::default(),
        }))
    }

    /// Lets all streams end, and the runs of this process when what is in progress has; waits for them.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.hosted.stop_all(Ask::Stop).await;
    }

    /// The same at once: replies in progress are lost, and asked for again by whoever goes on.
    pub(crate) async fn interrupt(&self) {
        self.stopping.cancel();
        self.hosted.stop_all(Ask::Interrupt).await;
    }

    /// The run that an id, or its beginning, names.
    pub(crate) fn find(&self, wanted: &str) -> Result<RunDir, PlaceError> {
        self.runs.find(wanted)
    }

    /// A run, folded up to its last record.
    pub(crate) async fn watch(&self, dir: &RunDir) -> Result<Shared, PlaceError> {
        let known = lock(&self.watched).get(&dir.id).cloned();
        let shared = match known {
            Some(shared) => shared,
            None => {
                self.remember(dir, Arc::new(tokio::sync::Mutex::new(Watched::unread(dir.clone()).await?)))
            }
        };
        let own = Arc::clone(&shared);
        // By itself: a long journal is read to its end also when the page that asked for it is not waited for any more.
        let read = tokio::spawn(async move { own.lock().await.refresh().await });
        match read.await {
            Ok(read) => read.map(|_| shared),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn remember(&self, dir: &RunDir, new: Shared) -> Shared {
        let mut watched = lock(&self.watched);
        watched.retain(|_, shared| shared.try_lock().map_or(true, |w| w.used.elapsed() < KEPT));
        if watched.len() >= WATCHED_MAX {
            let used = |shared: &Shared| shared.try_lock().map_or_else(|_| Instant::now(), |w| w.used);
            let oldest = watched.iter().min_by_key(|(_, shared)| used(shared)).map(|(id, _)| id.clone());
            oldest.map(|id| watched.remove(&id));
        }
        Arc::clone(watched.entry(dir.id.clone()).or_insert(new))
    }

    /// What happens in a run, as it happens.
    pub(crate) async fn feed(self: &Arc<Self>, dir: &RunDir) -> Result<Arc<Feed>, PlaceError> {
        let shared = self.watch(dir).await?;
        let mut feeds = self.feeds.lock().await;
        feeds.retain(|_, feed| !feed.is_over());
        if let Some(feed) = feeds.get(&dir.id) {
            return Ok(Arc::clone(feed));
        }
        let feed = Feed::begin(Arc::clone(self), shared).await;
        feeds.insert(dir.id.clone(), Arc::clone(&feed));
        Ok(feed)
    }

    /// Lets go of feeds that follow their runs no more.
    pub(crate) async fn forget_feeds(&self) {
        self.feeds.lock().await.retain(|_, feed| !feed.is_over());
    }

    /// Every run, the youngest first. Journals that did not change since the last time are not read again; one that takes long
    /// to be read is listed without what is in it, and is there the next time.
    pub(crate) async fn rows(self: &Arc<Self>, now_ms: i64) -> Vec<RunRow> {
        let until = tokio::time::Instant::now() + LIST_PATIENCE;
        let mut rows = Vec::new();
        for dir in self.runs.all().into_iter().rev() {
            rows.push(self.row(&dir, now_ms, until).await);
        }
        rows
    }

    async fn row(self: &Arc<Self>, dir: &RunDir, now_ms: i64, until: tokio::time::Instant) -> RunRow {
        let writer = dir.writer();
        let stamp = (stamp(&dir.path), writer);
        let mut known = lock(&self.rows).get(&dir.id).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.stamp == stamp) {
            return known.row.clone().at(now_ms);
        }
        let unread = |title: &str, task: String, status| RunRow {
            title: title.to_owned(),
            task,
            ..RunRow::of(dir.id.as_str(), &RunState::default(), status, writer, now_ms)
        };
        if !lock(&self.reading).insert(dir.id.clone()) {
            // Somebody reads it already.
            return known
                .take()
                .map_or_else(|| unread(dir.id.as_str(), String::new(), "being read"), |known| known.row);
        }
        let (desk, of, stamp_then) = (Arc::clone(self), dir.clone(), stamp.clone());
        let reading = tokio::spawn(async move {
            let _reading = Reading { desk: &desk, run: &of.id };
            desk.row_anew(&of, writer, now_ms).await.map(|(row, tally)| {
                let known = Known { stamp: stamp_then, row: row.clone(), tally };
                lock(&desk.rows).insert(of.id.clone(), known);
                row
            })
        });
        let row = match tokio::time::timeout_at(until, reading).await {
            Ok(Ok(Ok(row))) => return row,
            Ok(Ok(Err(error))) => unread("This run cannot be read", error.to_string(), "unreadable"),
            Ok(Err(panic)) => unread("This run cannot be read", panic.to_string(), "unreadable"),
            Err(_) => {
                return known
                    .take()
                    .map_or_else(|| unread(dir.id.as_str(), String::new(), "being read"), |known| known.row);
            }
        };
        // What cannot be read counts for nothing.
        lock(&self.rows).insert(dir.id.clone(), Known { stamp, row: row.clone(), tally: Tally::default() });
        row
    }

    /// What all runs add up to. A run whose journal takes long to be read is counted the next time.
    pub(crate) async fn tally(self: &Arc<Self>) -> Tally {
        let mut sum = Tally::default();
        for row in self.rows(jiff::Timestamp::now().as_millisecond()).await {
            if let Some(known) = lock(&self.rows).get(&RunId(row.run)) {
                sum.add(&known.tally);
            }
        }
        sum
    }

    /// Runs that go on are followed, others are read once.
    async fn row_anew(
        &self,
        dir: &RunDir,
        writer: Option<u32>,
        now_ms: i64,
    ) -> Result<(RunRow, Tally), PlaceError> {
        let of = |watched: &Watched| {
            let (state, status) = (&watched.state, watched.status());
            let row = RunRow::of(dir.id.as_str(), state, status, writer, now_ms);
            (row, Tally::of(state, status))
        };
        if writer.is_some() {
            let shared = self.watch(dir).await?;
            return Ok(of(&*shared.lock().await));
        }
        Ok(of(&Watched::open(dir.clone()).await?))
    }
}

/// A run is being read for the list until this is dropped, also by a panic.
struct Reading<'a> {
    desk: &'a Desk,
    run: &'a RunId,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        lock(&self.desk.reading).remove(self.run);
    }
}

fn stamp(path: &Path) -> Vec<Option<(SystemTime, u64)>> {
    let of = |name: &str| {
        let meta = std::fs::metadata(path.join(name)).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    vec![of("journal.sqlite"), of("journal.sqlite-wal")]
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;
    use crate::dashboard::testing::{asked, board};
    use crate::testing::{read, send};

    #[tokio::test]
    async fn a_reading_that_panics_has_ended() {
        let board = board().await;
        let run = RunId::from("r");
        lock(&board.desk.reading).insert(run.clone());
        let desk = Arc::clone(&board.desk);
        let panicked = tokio::spawn(async move {
            let _reading = Reading { desk: &desk, run: &run };
            panic!("a fault of a page");
        });
        assert!(panicked.await.unwrap_err().is_panic());
        assert!(lock(&board.desk.reading).is_empty());
    }

    #[tokio::test]
    async fn metrics_count_runs_without_naming_them() {
        let board = board().await;
        let (status, text) = read(send(&board.server, asked(Method::GET, "/metrics", &[], "")).await).await;
        assert_eq!(status, 200, "{text}");
        for line in [
            "edvac_runs{status=\"done\"} 1",
            "edvac_run_steps{outcome=\"finished\"} 2",
            "edvac_run_steps{outcome=\"open\"} 0",
            "edvac_run_calls 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
        assert!(!text.contains(&board.run) && !text.contains("notes"), "{text}");
    }
}
