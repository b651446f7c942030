//! The thread that writes snapshots, so that no reply waits for a disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::shelf::Shelf;
use super::snapshot::{self, Head, Id, Snapshot};

/// Jobs that may wait. Pages of a job that finds no place are offered again after the next reply.
const JOBS_MAX: usize = 16;

/// What the writer is asked for.
enum Job {
    Write { head: Head, pages: Vec<Arc<[u8]>> },
    Used { ids: Vec<Id> },
    Answer { when_done: SyncSender<()> },
}

/// What it answers.
pub(super) enum Event {
    /// Where the pages are now; nowhere if they could not be written.
    Settled { id: Id, written: Option<Arc<Snapshot>> },
    /// A file was removed to make room.
    Removed { id: Id },
}

/// The thread's other end. Dropping it waits until everything handed over is written.
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(shelf: Shelf, bytes_max: u64) -> Result<Self, std::io::Error> {
        let (jobs, jobs_here) = sync_channel(JOBS_MAX);
        let (events_here, events) = channel();
        let desk = Desk { shelf, bytes_max, events: events_here, broken: false };
        let thread =
            std::thread::Builder::new().name("kv-writer".to_owned()).spawn(|| desk.work(jobs_here))?;
        Ok(Self { jobs: Some(jobs), events, thread: Some(thread) })
    }

    /// Hands pages over; false if there is no place. `wait` waits for one.
    pub(super) fn write(&self, head: Head, pages: Vec<Arc<[u8]>>, wait: bool) -> bool {
        let job = Job::Write { head, pages };
        let Some(jobs) = &self.jobs else { return false };
        if wait { jobs.send(job).is_ok() } else { jobs.try_send(job).is_ok() }
    }

    /// Counts a use of these files. A count that finds no place is lost.
    pub(super) fn used(&self, ids: Vec<Id>) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.try_send(Job::Used { ids });
        }
    }

    /// Waits until everything handed over so far is done.
    pub(super) fn wait(&self) {
        let (when_done, done) = sync_channel(1);
        if self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job::Answer { when_done }).is_ok()) {
            // An error means that the thread is gone, and nothing is left to wait for.
            let _ = done.recv();
        }
    }

    /// What happened since this was last asked.
    pub(super) fn events(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Desk {
    shelf: Shelf,
    bytes_max: u64,
    events: Sender<Event>,
    /// Nothing can be written; this was said once.
    broken: bool,
}

impl Desk {
    fn work(mut self, jobs: Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Write { head, pages } => {
                    let written = self.write(&head, &pages).map(Arc::new);
                    // Nobody listens any more when the engine ends; the file is there all the same.
                    let _ = self.events.send(Event::Settled { id: head.id(), written });
                }
                Job::Used { ids } => ids.iter().for_each(|id| self.shelf.used(id)),
                Job::Answer { when_done } => {
                    let _ = when_done.send(());
                }
            }
        }
    }

    fn write(&mut self, head: &Head, pages: &[Arc<[u8]>]) -> Option<Snapshot> {
        if self.broken {
            return None;
        }
        let (removed, fits) = self.shelf.make_room(head, head.file_bytes(pages.len()), self.bytes_max);
        for id in removed {
            let _ = self.events.send(Event::Removed { id });
        }
        if !fits {
            return None;
        }
        match snapshot::write(self.shelf.dir(), head, pages) {
            Ok(snapshot) => {
                self.shelf.add(head);
                Some(snapshot)
            }
            Err(error) => {
                self.broken = true;
                no_snapshots(self.shelf.dir(), &error);
                None
            }
        }
    }
}

/// Says that nothing is written any more.
pub(super) fn no_snapshots(dir: &Path, error: &std::io::Error) {
    tracing::warn!(
        "no snapshots are written to {}: {error}. Tokens are still reused within this process",
        dir.display()
    );
}
