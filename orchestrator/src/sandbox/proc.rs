//! What `/proc` says of processes. One that has ended meanwhile has nothing to say, which is no error.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

/// Milliseconds in one of the kernel's ticks, which are a hundredth of a second on every architecture we know.
const TICK_MS: u64 = 10;

/// One process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    /// Its parent's id.
    pub parent: i32,
    /// Whether it has ended and waits for its parent to notice.
    pub ended: bool,
    /// Processor time of it and of all children it waited for.
    pub cpu_ms: u64,
    /// Its threads.
    pub threads: u32,
}

/// The process `pid`, if it is there.
pub(super) fn process(pid: i32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may have blanks and brackets itself.
    let fields: Vec<_> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
        cpu_ms: (11..15).map(number).sum::<u64>() * TICK_MS,
        threads: number(17) as u32,
    })
}

/// What descends from `root`, without it: everything, or at least `enough` of it.
pub(super) fn below(root: i32, enough: usize) -> Vec<i32> {
    let (mut found, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            // What is seen twice changed its place meanwhile.
            if found.insert(child) {
                open.push(child);
            }
        }
        if found.len() >= enough {
            break;
        }
    }
    found.into_iter().collect()
}

/// The children of a process.
pub(super) fn children(parent: i32) -> Vec<i32> {
    static TOLD: LazyLock<bool> = LazyLock::new(|| fs::exists("/proc/thread-self/children").unwrap_or(false));
    if !*TOLD {
        return all().filter(|pid| process(*pid).is_some_and(|p| p.parent == parent)).collect();
    }
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    texts.flat_map(|t| t.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>()).collect()
}

fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Memory that is a process's own or shared, in bytes; what several hold together counts for each.
pub(super) fn memory_at_most(pid: i32) -> u64 {
    sum(&format!("/proc/{pid}/status"), &["RssAnon:", "RssShmem:"]).unwrap_or(0)
}

/// The same with what is shared divided among those who share it. Slower; none where it may not be read.
pub(super) fn memory(pid: i32) -> Option<u64> {
    sum(&format!("/proc/{pid}/smaps_rollup"), &["Pss_Anon:", "Pss_Shmem:"])
}

/// Memory of the machine that can still be had, and all of it.
pub(super) fn machine_memory() -> (u64, u64) {
    let of = |name| sum("/proc/meminfo", &[name]).unwrap_or(u64::MAX);
    (of("MemAvailable:"), of("MemTotal:"))
}

/// Bytes that a process and all children it waited for sent to a disk.
pub(super) fn written(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let of = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|v| v.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    of("write_bytes:").saturating_sub(of("cancelled_write_bytes:"))
}

/// The sum of some values, given in kB.
fn sum(file: &str, names: &[&str]) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut found = names.iter().filter_map(|name| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    });
    let first = found.next()?;
    Some((first + found.sum::<u64>()) << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_below_and_says_what_it_holds() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (pid, own) = (child.id().cast_signed(), std::process::id().cast_signed());
        assert!(below(own, usize::MAX).contains(&pid) && children(own).contains(&pid));
        let seen = process(pid).unwrap();
        assert!(seen.parent == own && !seen.ended && seen.threads == 1, "{seen:?}");
        assert!(
            memory_at_most(own) > 0 && memory(own).is_some_and(|m| m > 0 && m <= memory_at_most(own) * 2)
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process(pid).is_none());
    }
}
