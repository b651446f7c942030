//! The runs of this process, as they happen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use edvac_memory::ids::RunId;
use edvac_memory::journal::{Journal as _, JournalError, Record, SqliteJournal};
use edvac_orchestrator::control::apply::FoldError;
use edvac_orchestrator::notice::Notice;
use edvac_orchestrator::observe::{Observer, observe};
use edvac_orchestrator::place::RunDir;
use tokio::runtime::Runtime;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::measure::Measure;
use crate::pipeline::{Cursor, Pipeline};
use crate::settings::Settings;
use crate::view::View;

/// How long a process waits at its end for the collector to take what is left.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// Records read from a journal at once.
const BATCH: u32 = 256;

/// What the collector is waited for on.
static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Tells a collector of the runs of this process.
pub struct Telemetry(Option<Arc<Following>>);

struct Following {
    settings: Settings,
    /// Lives as long as the process, so that nothing that still waits for a collector loses the ground it stands on.
    runtime: &'static Runtime,
    pipeline: OnceLock<Pipeline>,
    runs: Mutex<Vec<JoinHandle<()>>>,
    /// How far each run has come: one that goes on soon after it ended may have spans on their way.
    cursors: Mutex<BTreeMap<RunId, Arc<Cursor>>>,
}

impl Following {
    fn cursor(&self, dir: &RunDir) -> Arc<Cursor> {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = cursors.entry(dir.id.clone()).or_insert_with(|| Cursor::open(dir.exported_file()));
        Arc::clone(cursor)
    }
}

/// Why a run's trace cannot be followed.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Fold(#[from] FoldError),
}

impl Telemetry {
    /// From now on each run of this process is followed, if the environment names a collector. Nothing is set up before there is one.
    pub fn begin() -> Self {
        let settings = Settings::of_environment();
        if !settings.any() {
            return Self(None);
        }
        let made = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("telemetry")
            .enable_all()
            .build();
        let runtime = match made {
            Ok(runtime) => RUNTIME.get_or_init(|| runtime),
            Err(error) => {
                tracing::warn!("nothing is sent to the collector: a thread could not be started: {error}");
                return Self(None);
            }
        };
        let following = Following {
            settings,
            runtime,
            pipeline: OnceLock::new(),
            runs: Mutex::default(),
            cursors: Mutex::default(),
        };
        let following = Arc::new(following);
        observe(Begun(Arc::clone(&following)));
        Self(Some(following))
    }

    /// Sends what is left, for a few seconds at most.
    pub async fn end(self) {
        let Some(following) = self.0 else { return };
        let until = Instant::now() + FLUSH_MAX;
        let runs = std::mem::take(&mut *following.runs.lock().unwrap_or_else(PoisonError::into_inner));
        for run in runs {
            // Where the time is up, what was handed on until now is what there is.
            let _ = tokio::time::timeout_at(until, run).await;
        }
        let ending = Arc::clone(&following);
        let end = move || ending.pipeline.get().iter().for_each(|pipeline| pipeline.end(until));
        let _ = tokio::time::timeout_at(until, following.runtime.spawn_blocking(end)).await;
        following.pipeline.get().iter().for_each(|pipeline| pipeline.conclude());
    }
}

/// Is told of runs.
struct Begun(Arc<Following>);

impl Observer for Begun {
    fn began(&self, dir: &RunDir, notices: Receiver<Notice>) {
        let (following, dir) = (Arc::clone(&self.0), dir.clone());
        let task = self.0.runtime.spawn(async move {
            let new = || Pipeline::new(following.settings, following.runtime.handle());
            let pipeline = following.pipeline.get_or_init(new);
            let id = dir.id.clone();
            if let Err(error) = Follower::of(&following, pipeline, &dir).follow(&dir, notices).await {
                tracing::warn!("the trace of run {id} ends here: {error}");
            }
        });
        let mut runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|run| !run.is_finished());
        runs.push(task);
    }
}

/// Follows one run.
struct Follower<'a> {
    view: View,
    pipeline: &'a Pipeline,
    cursor: Arc<Cursor>,
    /// Spans that ended so far, since the journal's beginning.
    ended: u64,
    /// Whether its trace is sampled; none before that is known.
    is_sampled: Option<bool>,
    /// What happened before this process is not counted again.
    uncounted: Option<Vec<Measure>>,
}

impl<'a> Follower<'a> {
    fn of(following: &Following, pipeline: &'a Pipeline, dir: &RunDir) -> Self {
        Self {
            view: View::new(following.settings.options),
            pipeline,
            cursor: following.cursor(dir),
            ended: 0,
            is_sampled: None,
            uncounted: Some(Vec::new()),
        }
    }

    async fn follow(mut self, dir: &RunDir, mut notices: Receiver<Notice>) -> Result<(), FollowError> {
        let journal = SqliteJournal::view(&dir.path).await?;
        let mut is_over = self.catch_up(&journal).await?;
        for measure in self.uncounted.take().unwrap_or_default() {
            self.pipeline.count(&measure);
        }
        while !is_over {
            is_over = match notices.recv().await {
                Ok(Notice::Recorded(record)) if record.seq == self.view.seq() + 1 => {
                    self.see(&record).await?
                }
                Ok(Notice::Recorded(record)) if record.seq > self.view.seq() => {
                    self.catch_up(&journal).await?
                }
                Ok(_) => false,
                Err(RecvError::Lagged(_)) => self.catch_up(&journal).await?,
                Err(RecvError::Closed) => {
                    self.catch_up(&journal).await?;
                    true
                }
            };
        }
        Ok(())
    }

    /// Reads on to the journal's end. True where the run has ended there.
    async fn catch_up(&mut self, journal: &SqliteJournal) -> Result<bool, FollowError> {
        let mut is_over = false;
        loop {
            let batch = journal.read(self.view.seq(), BATCH).await?;
            if batch.is_empty() {
                return Ok(is_over);
            }
            for record in &batch {
                is_over = self.see(record).await?;
            }
        }
    }

    /// Sees a record, and hands on what ended with it. True where the process has done with the run.
    async fn see(&mut self, record: &Record) -> Result<bool, FollowError> {
        let seen = self.view.see(record)?;
        let event = record.body.get("event").and_then(|event| event.as_str()).unwrap_or_default();
        if seen.is_fork {
            (self.ended, self.is_sampled) = (0, None);
        }
        match &mut self.uncounted {
            // All before is another process's.
            Some(before) if event == "resumed" => before.clear(),
            Some(before) => before.extend(seen.measures),
            None => seen.measures.iter().for_each(|measure| self.pipeline.count(measure)),
        }
        for span in seen.spans {
            let is_sampled = *self.is_sampled.get_or_insert_with(|| self.pipeline.samples(&self.view));
            let number = self.ended;
            self.ended += 1;
            if is_sampled && self.cursor.takes(number) {
                self.pipeline.give(&self.cursor, number, span).await;
            }
        }
        Ok(matches!(event, "stopped" | "finished"))
    }
}
