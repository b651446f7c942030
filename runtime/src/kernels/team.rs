//! The threads that share a product's tasks. A token takes some 150 products of a tenth of a millisecond each, so what
//! counts is how long it takes until the other threads have begun, and until all have ended.
//!
//! Tasks are taken one by one, by whoever is free: where another program takes a processor away, the other threads do the
//! rest. A thread without work spins for [`SPIN`], which is longer than what lies between two products, and then sleeps:
//! beside compilers and tests, threads that spin on would take from them, and from each other, what they wait for.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread without work looks for some before it sleeps.
const SPIN: Duration = Duration::from_micros(60);
/// Looks between two looks at the clock.
const LOOKS: usize = 64;

/// Threads that wait for tasks, besides the one that has them.
pub(crate) struct Team {
    helpers: usize,
    shared: &'static Shared,
}

/// A closure over the tasks' numbers, and how many there are. Valid while its round is open.
#[derive(Clone, Copy)]
struct Job {
    act: *const (dyn Fn(usize) + Sync + 'static),
    tasks: usize,
}

struct Shared {
    /// Who hands out tasks; one at a time.
    lead: Mutex<()>,
    /// Odd while there is a job. Each job has its own number.
    round: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    /// The next task.
    next: AtomicUsize,
    /// Helpers that may be using the job.
    inside: AtomicUsize,
    /// Whether a helper's task panicked.
    failed: AtomicBool,
    /// Helpers that sleep, or are about to.
    sleepers: AtomicUsize,
    bed: Mutex<()>,
    bell: Condvar,
    /// Whether the one with the tasks sleeps until the last helper has left.
    leader_sleeps: AtomicBool,
    left: Condvar,
}

// SAFETY: `job` is written by the holder of `lead` while no round is open and nobody is `inside`, and read by those who are
// `inside` while one is; see `Round`.
unsafe impl Sync for Shared {}

static TEAM: OnceLock<Team> = OnceLock::new();

/// How many threads compute; 0 is one for each processor. Only the first call of a process counts, and none after the
/// first product.
pub(crate) fn use_threads(threads: usize) {
    TEAM.get_or_init(|| Team::new(threads));
}

fn team() -> &'static Team {
    TEAM.get_or_init(|| Team::new(0))
}

/// Threads that share tasks.
pub(crate) fn threads() -> usize {
    team().helpers + 1
}

/// Calls `act` with each number below `tasks`, in any order, on several threads. Where another thread of the process is
/// at it already, or a task has tasks of its own, they are done here, one after the other.
pub(crate) fn for_each(tasks: usize, act: impl Fn(usize) + Sync) {
    team().run(tasks, &act);
}

fn locked(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Team {
    fn new(threads: usize) -> Self {
        // More than there are processors would only take them from each other.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads > 0 { threads.min(processors) } else { processors };
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            lead: Mutex::default(),
            round: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::default(),
            bell: Condvar::new(),
            leader_sleeps: AtomicBool::new(false),
            left: Condvar::new(),
        }));
        let start = |n| thread::Builder::new().name(format!("team-{n}")).spawn(|| shared.help());
        // Where the system gives no more threads, those that there are do it.
        let helpers = (1..threads).map_while(|n| start(n).ok()).count();
        Self { helpers, shared }
    }

    fn run(&self, tasks: usize, act: &(dyn Fn(usize) + Sync)) {
        let lead = if tasks > 1 && self.helpers > 0 { self.shared.lead.try_lock().ok() } else { None };
        if lead.is_none() {
            (0..tasks).for_each(act);
            return;
        }
        let round = Round::open(self.shared, tasks, act);
        self.shared.take(Job { act: round.act, tasks });
        drop(round);
        assert!(!self.shared.failed.swap(false, SeqCst), "a task of a product panicked");
    }
}

/// A job that helpers may take tasks of. Dropping it waits until none of them uses it any more, also where a task
/// panicked: the closure it lends them lives longer.
struct Round {
    shared: &'static Shared,
    act: *const (dyn Fn(usize) + Sync + 'static),
}

impl Round {
    /// The caller holds `lead`.
    fn open(shared: &'static Shared, tasks: usize, act: &(dyn Fn(usize) + Sync)) -> Self {
        #[allow(
            clippy::transmute_ptr_to_ptr,
            reason = "a cast does not change the lifetime of what is borrowed"
        )]
        // SAFETY: only the lifetime changes. Nobody uses it after the round is closed, and it is closed before the
        // reference ends: `Round` does not leave `run`.
        let act = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(
                act,
            )
        };
        shared.next.store(0, Relaxed);
        // SAFETY: no round is open, and closing the last one waited until nobody was inside.
        unsafe { *shared.job.get() = Some(Job { act, tasks }) };
        shared.round.fetch_add(1, SeqCst);
        if shared.sleepers.load(SeqCst) > 0 {
            drop(locked(&shared.bed));
            shared.bell.notify_all();
        }
        Self { shared, act }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        let shared = self.shared;
        shared.round.fetch_add(1, SeqCst);
        let empty = || shared.inside.load(SeqCst) == 0;
        if spin_until(empty) {
            return;
        }
        let mut bed = locked(&shared.bed);
        shared.leader_sleeps.store(true, SeqCst);
        while !empty() {
            bed = shared.left.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        shared.leader_sleeps.store(false, SeqCst);
    }
}

impl Shared {
    /// What a helper does, for ever.
    fn help(&self) {
        let mut last = 0;
        loop {
            self.wait_for_other_than(last);
            self.inside.fetch_add(1, SeqCst);
            let round = self.round.load(SeqCst);
            if round % 2 == 1 && round != last {
                last = round;
                // SAFETY: the round is open, so the job is written; it stays while we are inside.
                if let Some(job) = unsafe { *self.job.get() }
                    && catch_unwind(AssertUnwindSafe(|| self.take(job))).is_err()
                {
                    self.failed.store(true, SeqCst);
                }
            }
            if self.inside.fetch_sub(1, SeqCst) == 1 && self.leader_sleeps.load(SeqCst) {
                drop(locked(&self.bed));
                self.left.notify_all();
            }
        }
    }

    /// Does tasks until none is left.
    fn take(&self, job: Job) {
        // Ends because each turn takes a number.
        loop {
            let n = self.next.fetch_add(1, Relaxed);
            if n >= job.tasks {
                return;
            }
            // SAFETY: the job's round is open: the caller is its leader or inside.
            unsafe { (*job.act)(n) };
        }
    }

    fn wait_for_other_than(&self, last: usize) {
        let is_there = || {
            let round = self.round.load(SeqCst);
            round % 2 == 1 && round != last
        };
        if spin_until(is_there) {
            return;
        }
        let mut bed = locked(&self.bed);
        self.sleepers.fetch_add(1, SeqCst);
        while !is_there() {
            bed = self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }
}

/// Looks until `done` or for [`SPIN`]; whether it was done.
fn spin_until(done: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    // Ends by the clock.
    loop {
        for _ in 0..LOOKS {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if started.elapsed() > SPIN {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A team of its own for each test: the process's may be busy with another's.
    fn counts(team: &Team, tasks: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        team.run(tasks, &|n| {
            counts[n].fetch_add(1, SeqCst);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_is_done_once() {
        for threads in [1, 2, 3, 8] {
            let team = Team::new(threads);
            for round in 0..2000 {
                let tasks = round % 40;
                assert_eq!(counts(&team, tasks), vec![1; tasks], "{threads} threads, round {round}");
                if round % 500 == 0 {
                    // Long enough that all helpers sleep.
                    thread::sleep(SPIN * 4);
                }
            }
        }
    }

    #[test]
    fn tasks_have_tasks_and_teams_have_several_leaders() {
        let team = Team::new(3);
        let inner = AtomicUsize::new(0);
        team.run(6, &|_| {
            team.run(5, &|_| {
                inner.fetch_add(1, SeqCst);
            });
        });
        assert_eq!(inner.into_inner(), 30);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..500).for_each(|_| assert_eq!(counts(&team, 7), [1; 7])));
            }
        });
    }

    #[test]
    fn a_panic_in_a_task_is_the_callers_and_the_team_goes_on() {
        let team = Team::new(3);
        for n in 0..20 {
            let failed = catch_unwind(AssertUnwindSafe(|| {
                team.run(16, &|task| assert!(task != n % 16, "on purpose"));
            }));
            assert!(failed.is_err());
            assert_eq!(counts(&team, 9), [1; 9]);
        }
    }
}
