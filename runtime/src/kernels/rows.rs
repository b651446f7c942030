//! Element-wise steps on many rows, on several threads where there are enough of them.

use super::{Disjoint, team};

/// Numbers from which several threads are worth it.
const PARALLEL_NUMBERS_MIN: usize = 1 << 16;
/// Tasks for each thread.
const TASKS_PER_THREAD: usize = 4;

/// Runs `step` on rows of `width`, some at a time.
pub(crate) fn by_rows(rows: &mut [f32], width: usize, step: impl Fn(&mut [f32]) + Sync) {
    parts(rows, width, |part, _| step(part));
}

/// As [`by_rows`], with rows of the same length to read from.
pub(crate) fn by_two_rows(
    rows: &mut [f32],
    other: &[f32],
    width: usize,
    step: impl Fn(&mut [f32], &[f32]) + Sync,
) {
    assert_eq!(rows.len(), other.len());
    parts(rows, width, |part, at| step(part, &other[at..at + part.len()]));
}

/// Calls `step` with parts of whole rows and where each begins.
fn parts(rows: &mut [f32], width: usize, step: impl Fn(&mut [f32], usize) + Sync) {
    let count = rows.len() / width;
    if rows.len() < PARALLEL_NUMBERS_MIN {
        return step(rows, 0);
    }
    let tasks = count.min(team::threads() * TASKS_PER_THREAD);
    let begin = |task: usize| count * task / tasks * width;
    let all = Disjoint::new(rows);
    team::for_each(tasks, |task| {
        let (at, end) = (begin(task), begin(task + 1));
        // SAFETY: the tasks' parts do not overlap.
        step(unsafe { all.part(at, end - at) }, at);
    });
}
