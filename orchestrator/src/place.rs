//! Where runs are on disk, and how one is found by what a person types.

use std::path::{Path, PathBuf};

use edvac_memory::ids::RunId;
use edvac_memory::journal::{Journal, JournalError, Record, SqliteJournal};

use crate::control::{Event, RunState};
use crate::driver::embedded::{DriveError, fold};

/// Records read at once when the whole history is wanted.
const HISTORY_BATCH: u32 = 512;

/// Why a run cannot be found or read.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No run has such an id.
    #[error("there is no run {wanted:?} in {}", .dir.display())]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// Where runs are.
        dir: PathBuf,
    },
    /// More than one has.
    #[error("{wanted:?} is the beginning of {count} runs")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many.
        count: usize,
    },
    /// There is no run at all.
    #[error("there is no run in {}", .dir.display())]
    None {
        /// Where runs are.
        dir: PathBuf,
    },
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its journal cannot be folded.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

/// The directory of all runs, `runs/` below the state directory.
#[derive(Clone, Debug)]
pub struct Runs {
    dir: PathBuf,
}

/// One run's directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// Its id.
    pub id: RunId,
    /// Its path.
    pub path: PathBuf,
}

impl Runs {
    /// The runs of a state directory.
    pub fn below(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("runs") }
    }

    /// Every run that has a journal, oldest first.
    pub fn all(&self) -> Vec<RunDir> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter(|e| e.path().join("journal.sqlite").is_file())
            .filter_map(|e| e.file_name().into_string().ok())
            // A fork that is not whole yet.
            .filter(|name| !name.starts_with('.'))
            .map(|name| RunDir { path: self.dir.join(&name), id: RunId(name) })
            .collect();
        found.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        found
    }

    /// The run that an id, or its beginning, names.
    pub fn find(&self, wanted: &str) -> Result<RunDir, PlaceError> {
        let all = self.all();
        if let Some(exact) = all.iter().find(|r| r.id.as_str() == wanted) {
            return Ok(exact.clone());
        }
        let mut matching =
            all.into_iter().filter(|r| !wanted.is_empty() && r.id.as_str().starts_with(wanted));
        match (matching.next(), matching.count()) {
            (None, _) => Err(PlaceError::Unknown { wanted: wanted.to_owned(), dir: self.dir.clone() }),
            (Some(only), 0) => Ok(only),
            (Some(_), more) => Err(PlaceError::Ambiguous { wanted: wanted.to_owned(), count: more + 1 }),
        }
    }

    /// The youngest run.
    pub fn last(&self) -> Result<RunDir, PlaceError> {
        self.all().pop().ok_or_else(|| PlaceError::None { dir: self.dir.clone() })
    }

    /// The directory of a new run.
    pub fn new_dir(&self, id: &RunId) -> RunDir {
        RunDir { id: id.clone(), path: self.dir.join(id.as_str()) }
    }
}

impl RunDir {
    /// Whether it has a journal.
    pub fn is_there(&self) -> bool {
        self.path.join("journal.sqlite").is_file()
    }

    /// The git directory of its workspace.
    pub fn git_dir(&self) -> PathBuf {
        self.path.join("git")
    }

    /// The report for people.
    pub fn report_file(&self) -> PathBuf {
        self.path.join("report.md")
    }

    /// The replies in progress, while a process carries the run out; see [`crate::live`].
    pub fn live_file(&self) -> PathBuf {
        self.path.join("live")
    }

    /// How many spans of the run's trace a collector has acknowledged.
    pub fn exported_file(&self) -> PathBuf {
        self.path.join("exported")
    }

    /// Marks that the running process is asked to give the run up for good.
    pub fn cancel_file(&self) -> PathBuf {
        self.path.join("cancel")
    }

    /// The process that has the run open for writing, if any.
    pub fn writer(&self) -> Option<u32> {
        SqliteJournal::writer(&self.path)
    }

    /// Its state, folded from the journal; works while the run goes on.
    pub async fn state(&self) -> Result<RunState, PlaceError> {
        let journal = SqliteJournal::view(&self.path).await?;
        Ok(fold(&journal).await?)
    }

    /// Every record with its event; intents have none.
    pub async fn history(&self) -> Result<Vec<(Record, Option<Event>)>, PlaceError> {
        let journal = SqliteJournal::view(&self.path).await?;
        let mut out = Vec::new();
        let mut after = 0;
        loop {
            let batch = journal.read(after, HISTORY_BATCH).await?;
            let Some(last) = batch.last() else { return Ok(out) };
            after = last.seq;
            out.extend(batch.into_iter().map(|record| {
                let event = serde_json::from_value(record.body.clone()).ok();
                (record, event)
            }));
        }
    }
}

/// Asks a process to end (SIGTERM), as the run's own terminal would.
pub fn ask_to_end(pid: u32) -> Result<(), String> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| "the run's process is not known".to_owned())?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_runs(names: &[&str]) -> (tempfile::TempDir, Runs) {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join("runs").join(name);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("journal.sqlite"), "").unwrap();
        }
        let runs = Runs::below(dir.path());
        (dir, runs)
    }

    #[test]
    fn a_run_is_found_by_its_beginning() {
        let (_dir, runs) = with_runs(&["20261122-1", "20261122-2", "20261123-1"]);
        assert_eq!(runs.find("20261123").unwrap().id.as_str(), "20261123-1");
        assert_eq!(runs.find("20261122-1").unwrap().id.as_str(), "20261122-1");
        assert!(matches!(runs.find("20261122"), Err(PlaceError::Ambiguous { count: 2, .. })));
        assert!(matches!(runs.find("nine"), Err(PlaceError::Unknown { .. })));
        assert!(matches!(runs.find(""), Err(PlaceError::Unknown { .. })));
        assert_eq!(runs.last().unwrap().id.as_str(), "20261123-1");
    }

    #[test]
    fn nothing_there_is_said() {
        let (_dir, runs) = with_runs(&[]);
        assert!(matches!(runs.last(), Err(PlaceError::None { .. })));
    }
}
