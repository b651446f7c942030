//! Looks at a job while it runs: what all of its processes use together, which no limit of the kernel's bounds that an
//! ordinary user can set.
//!
//! Looking takes samples: what comes and goes between two of them is not seen. What one process alone can do in that
//! time is bounded by the shim's limits.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use edvac_memory::verdict::{Limit, Resources};

use super::{Job, proc, space};

/// The first sample comes after this; each next one after twice the time, up to the usual.
const FIRST: Duration = Duration::from_millis(4);
/// Between two samples, usually.
const USUAL: Duration = Duration::from_millis(25);
/// And where memory or processes are used up faster than that. The kernel does not bound root's processes, which in a
/// namespace the machine's root's are.
const HURRIED: Duration = Duration::from_millis(2);
/// Between two looks at the disk.
const DISK: Duration = Duration::from_millis(250);
/// Looking may take one part in this many of the time.
const PART: u32 = 10;
/// The part of the machine's memory and of a disk that must stay free.
const FREE_PART: u64 = 16;

/// A job and what was there before it.
pub(super) struct Watch<'a> {
    job: &'a Job,
    /// The process that everything of the job descends from; itself it is not of the job.
    root: i32,
    begun: Instant,
    /// What lay in its directories.
    taken_before: u64,
    memory_before: u64,
    disk_before: u64,
    used: Resources,
}

/// The least nice there is.
const FIRST_OF_ALL: i32 = -20;

impl<'a> Watch<'a> {
    /// Begins the job's time.
    pub fn new(job: &'a Job, root: i32, taken_before: u64) -> Self {
        Self {
            job,
            root,
            begun: Instant::now(),
            taken_before,
            memory_before: proc::machine_memory().0,
            disk_before: disk_free(&job.dir).0,
            used: Resources::default(),
        }
    }

    /// Looks until the job has ended or is over a limit, which it then names.
    pub fn until(mut self, ended: &Receiver<()>) -> (Option<Limit>, Resources) {
        // Among thousands of processes its turn would come late; on Linux this is of the one thread. Only root may ask for this, and only root has no other
        // limit: the kernel holds everybody else to a number of processes.
        let _ = rustix::process::setpriority_process(None, FIRST_OF_ALL);
        let end = self.begun + Duration::from_millis(self.job.time_ms_max);
        let (mut pause, mut disk_next) = (FIRST, Instant::now() + DISK);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if !matches!(ended.recv_timeout(pause.min(left)), Err(RecvTimeoutError::Timeout)) {
                return (None, self.used);
            }
            let looking = Instant::now();
            if looking >= end {
                return (Some(Limit::WallTime), self.used);
            }
            let memory_before = self.used.memory_bytes;
            let mut over = self.look();
            if over.is_none() && looking >= disk_next {
                over = self.look_at_disk();
                disk_next = Instant::now() + DISK.max(looking.elapsed() * PART);
            }
            if over.is_some() {
                return (over, self.used);
            }
            let grown = self.used.memory_bytes.saturating_sub(memory_before);
            let hurried = self.used.memory_bytes.saturating_add(2 * grown) > self.job.memory_bytes_max
                || self.used.processes > self.job.processes_max / 4;
            let usual = (pause * 2).clamp(FIRST, USUAL).max(looking.elapsed() * PART);
            pause = if hurried { HURRIED } else { usual };
        }
    }

    fn look(&mut self) -> Option<Limit> {
        // One more than there may be is enough to know.
        let all = proc::below(self.root, self.job.processes_max as usize + 1);
        if all.len() > self.job.processes_max as usize {
            self.used.processes = self.used.processes.max(all.len() as u32);
            return Some(Limit::Processes);
        }
        let found: Vec<_> = all.iter().filter_map(|pid| proc::process(*pid)).collect();
        let processes = found.iter().filter(|p| !p.ended).map(|p| p.threads).sum::<u32>();
        let waited = proc::process(self.root).map_or(0, |p| p.cpu_ms);
        let cpu_ms = waited + found.iter().map(|p| p.cpu_ms).sum::<u64>();
        let memory = self.memory(&all);
        self.used.processes = self.used.processes.max(processes);
        // Of one whose parent does not wait for it nothing is known any more.
        self.used.cpu_ms = self.used.cpu_ms.max(cpu_ms);
        self.used.memory_bytes = self.used.memory_bytes.max(memory);
        let job = self.job;
        [
            (memory > job.memory_bytes_max || self.starves_the_machine(), Limit::Memory),
            (processes > job.processes_max, Limit::Processes),
            (cpu_ms > job.cpu_ms_max, Limit::CpuTime),
        ]
        .into_iter()
        .find_map(|(over, limit)| over.then_some(limit))
    }

    /// What several processes share counts once, which is only looked at where it matters.
    fn memory(&self, all: &[i32]) -> u64 {
        let at_most = all.iter().map(|pid| proc::memory_at_most(*pid)).sum();
        if at_most <= self.job.memory_bytes_max {
            return at_most;
        }
        all.iter().map(|pid| proc::memory(*pid).unwrap_or_else(|| proc::memory_at_most(*pid))).sum()
    }

    /// Memory that no process is seen to hold, such as what lies in pipes, is memory all the same.
    fn starves_the_machine(&self) -> bool {
        let (free, all) = proc::machine_memory();
        free < all / FREE_PART && self.memory_before.saturating_sub(free) > self.job.memory_bytes_max
    }

    fn look_at_disk(&self) -> Option<Limit> {
        let job = self.job;
        let at_most = self.taken_before.saturating_add(job.disk_bytes_max);
        // A file without a name lies in no directory, but was written.
        let all = proc::below(self.root, usize::MAX).into_iter().chain([self.root]);
        let written = all.map(proc::written).sum::<u64>();
        let (free, size) = disk_free(&job.dir);
        let starved = free < size / FREE_PART && self.disk_before.saturating_sub(free) > job.disk_bytes_max;
        let over = starved || written > job.disk_bytes_max || space::taken(dirs(job), at_most) > at_most;
        over.then_some(Limit::DiskSpace)
    }
}

/// The directories on a disk that a job can write to.
pub(super) fn dirs(job: &Job) -> impl Iterator<Item = &Path> {
    [&job.dir].into_iter().chain(job.writable.iter().map(|(host, _)| host)).map(PathBuf::as_path)
}

/// Free and all bytes of the disk that a directory lies on.
fn disk_free(dir: &Path) -> (u64, u64) {
    rustix::fs::statvfs(dir).map_or((u64::MAX, 0), |s| (s.f_bavail * s.f_frsize, s.f_blocks * s.f_frsize))
}
