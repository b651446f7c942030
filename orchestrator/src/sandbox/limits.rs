//! Which limit a command failed at, where it was not killed for one: by how it ended and by its own last words.
//!
//! The kernel tells the process that asked for too much, and nobody else. What is said here is a guess that errs towards
//! saying nothing: a limit that is named is no evidence against the code.

use edvac_memory::verdict::{Limit, Resources};

use super::{Job, space, watch};

/// What a shell makes of a signal.
const SIGNALLED: i32 = 128;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

/// What programs say that get no more memory, at the beginning of a line but for blanks.
const NO_MEMORY: &[&str] = &[
    "MemoryError",
    "memory allocation of ",
    "fatal error: runtime: out of memory",
    "runtime: out of memory",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "RangeError: Array buffer allocation failed",
    "OSError: [Errno 12]",
];
/// And anywhere in one.
const NO_MEMORY_WITHIN: &[&str] =
    &["JavaScript heap out of memory", "Fatal process out of memory", "virtual memory exhausted"];
/// That cannot start another.
const NO_PROCESS: &[&str] = &[
    "can't start new thread",
    "BlockingIOError: [Errno 11]",
    "Cannot fork",
    "fork: retry",
    "fork: Resource temporarily unavailable",
    "failed to spawn thread",
    "spawn EAGAIN",
];
/// So often nobody says it who only speaks of it.
const REFUSALS_MIN: usize = 8;
/// That write into what is full, and into a file that is as large as it may be.
const NO_SPACE: &[&str] = &["No space left on device", "ENOSPC"];
const NO_LARGER: &[&str] = &["File too large", "EFBIG"];

/// The limit that a command failed at, if that can be told.
pub(super) fn named(job: &Job, status: Option<i32>, output: &str, used: &Resources) -> Option<Limit> {
    let signal = match status? {
        0 => return None,
        status => status - SIGNALLED,
    };
    let says = |words: &[&str]| words.iter().any(|word| output.contains(word));
    let begins = || output.lines().any(|l| NO_MEMORY.iter().any(|word| l.trim_start().starts_with(word)));
    let much = |used: u64, most: u64| used >= most / 2;
    let killed = matches!(signal, SIGABRT | SIGKILL | SIGSEGV);
    let was_full = || space::has_file_of(watch::dirs(job), job.file_bytes_max);
    if signal == SIGXCPU {
        Some(Limit::CpuTime)
    } else if signal == SIGXFSZ || says(NO_LARGER) || was_full() {
        Some(Limit::FileSize)
    } else if says(NO_SPACE) {
        Some(Limit::DiskSpace)
    } else if used.processes >= job.processes_max
        || (says(NO_PROCESS) && much(used.processes.into(), job.processes_max.into()))
        // Over before anybody looked.
        || refusals(output) >= REFUSALS_MIN
    {
        Some(Limit::Processes)
    } else if begins() || says(NO_MEMORY_WITHIN) || (killed && much(used.memory_bytes, job.memory_bytes_max))
    {
        Some(Limit::Memory)
    } else {
        None
    }
}

/// How often a command says that it cannot start another.
fn refusals(output: &str) -> usize {
    NO_PROCESS.iter().map(|word| output.matches(word).count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_has_a_limit_and_only_where_it_shows() {
        let dir = tempfile::tempdir().unwrap();
        let job = Job { processes_max: 20, memory_bytes_max: 1 << 30, ..Job::new(vec![], dir.path().into()) };
        let of = |status, output: &str, memory_bytes, processes| {
            named(&job, status, output, &Resources { memory_bytes, processes, ..Resources::default() })
        };
        assert_eq!(of(Some(0), "MemoryError", 1 << 30, 20), None);
        assert_eq!(of(None, "MemoryError", 0, 0), None, "what was killed has its limit already");
        assert_eq!(of(Some(1), "Traceback\nMemoryError: no\n", 0, 1), Some(Limit::Memory));
        assert_eq!(of(Some(1), "assertRaises(MemoryError)", 0, 1), None);
        assert_eq!(of(Some(139), "", 0, 1), None, "a segmentation fault is one of the code's");
        assert_eq!(of(Some(139), "", 600 << 20, 1), Some(Limit::Memory));
        assert_eq!(of(Some(134), "memory allocation of 9 bytes failed", 0, 1), Some(Limit::Memory));
        assert_eq!(of(Some(2), "sh: Cannot fork", 0, 1), None);
        assert_eq!(of(Some(2), "sh: Cannot fork", 0, 12), Some(Limit::Processes));
        assert_eq!(of(Some(2), &"sh: Cannot fork\n".repeat(9), 0, 0), Some(Limit::Processes));
        assert_eq!(of(Some(1), "", 0, 20), Some(Limit::Processes));
        assert_eq!(of(Some(153), "", 0, 1), Some(Limit::FileSize));
        assert_eq!(of(Some(152), "", 0, 1), Some(Limit::CpuTime));
        assert_eq!(of(Some(1), "cp: No space left on device", 0, 1), Some(Limit::DiskSpace));
        std::fs::File::create(dir.path().join("f")).unwrap().set_len(job.file_bytes_max).unwrap();
        assert_eq!(of(Some(1), "", 0, 1), Some(Limit::FileSize));
    }
}
