//! The part of a reply that changes files: all of its edits, or none. It depends on the reply, the tree and the state alone, so
//! that a replay comes to the same tree.

use std::fmt::Write as _;

use edvac_agents::protocol::{Action, Understood};
use edvac_agents::roles::planner;
use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView as _;
use edvac_memory::store::{Edit, StoreError};

use super::Files;
use crate::check;
use crate::control::RunState;

/// Lines up to which a file may be written again with less in it.
const REWRITTEN_LINES_MAX: usize = 120;

/// What came of a reply's edits.
pub(crate) struct Edited {
    /// The tree after them.
    pub tree: TreeId,
    /// Edits applied, one line each.
    pub applied: Vec<String>,
    /// What could not be done, one sentence each.
    pub refused: Vec<String>,
    /// Whether nothing was done since the same reply was given before.
    pub idle: bool,
}

/// Applies the edits of a reply. A model's mistakes are refused; an error is the machine's.
pub(crate) fn edited(
    files: &Files,
    base: &TreeId,
    understood: &Understood,
    repeated: bool,
    state: &RunState,
) -> Result<Edited, StoreError> {
    // The same reply again would do the same again, to files that have it already.
    let idle = repeated && !is_last_turn(state);
    let mut out = Edited {
        tree: base.clone(),
        applied: Vec::new(),
        refused: understood.problems.clone(),
        idle: idle && understood.problems.is_empty(),
    };
    let edits: Vec<_> = understood
        .actions
        .iter()
        .filter_map(|a| match a {
            Action::Edit { edit } => Some(edit.clone()),
            _ => None,
        })
        .collect();
    if !out.refused.is_empty() || out.idle || edits.is_empty() {
        return Ok(out);
    }
    out.refused = edits.iter().filter_map(|edit| left_out(files, base, edit)).collect();
    if state.origin().is_some() {
        out.refused.extend(edits.iter().filter_map(|edit| lost(files, base, edit)));
    }
    if !out.refused.is_empty() {
        return Ok(out);
    }
    let applied = super::locked(files).apply(base, &edits);
    match applied {
        Ok(tree) => {
            out.applied = edits.iter().map(describe).collect();
            out.tree = put_right(files, &tree, &edits, state, &mut out.applied)?;
        }
        Err(error @ (StoreError::Io { .. } | StoreError::Diverged { .. })) => return Err(error),
        Err(mistake) => out.refused.push(format!("{mistake}.")),
    }
    Ok(out)
}

/// What is said of an edit that leaves code out.
fn left_out(files: &Files, base: &TreeId, edit: &Edit) -> Option<String> {
    let text = match edit {
        Edit::Write { content, .. } | Edit::Append { content, .. } => content,
        Edit::Replace { replace, .. } => replace,
        Edit::ReplaceLines { new, .. } => new,
        Edit::Delete { .. } => return None,
    };
    let path = edit.path();
    let before = files.read(base, path).unwrap_or_default();
    let (_, line) = check::elided(path, text, &String::from_utf8_lossy(&before))?;
    Some(format!("{path} leaves code out ({line}). Write all of the code; nothing is put in its place."))
}

/// What is said of a file that was there before, is long, and is written again without most of it: whoever was shown a part of
/// it wrote that part.
fn lost(files: &Files, base: &TreeId, edit: &Edit) -> Option<String> {
    let Edit::Write { path, content } = edit else { return None };
    let before = files.read(base, path).ok()?;
    let (before, after) = (String::from_utf8_lossy(&before).lines().count(), content.lines().count());
    (before > REWRITTEN_LINES_MAX && after * 2 < before).then(|| {
        format!(
            "{path} has {before} lines, and `@@ write` would leave {after} of them. Change the lines that have to change \
             with `@@ edit`."
        )
    })
}

/// Puts right in the changed files what has one right answer, and says so.
fn put_right(
    files: &Files,
    tree: &TreeId,
    edits: &[Edit],
    state: &RunState,
    applied: &mut Vec<String>,
) -> Result<TreeId, StoreError> {
    let mut better = Vec::new();
    let texts = state.start.as_ref().map_or(Vec::new(), |start| planner::told_texts(&start.task));
    for path in edits.iter().map(Edit::path) {
        // One that is gone again needs no more.
        let Ok(bytes) = files.read(tree, path) else { continue };
        if let Some((content, done)) = check::straightened(path, &String::from_utf8_lossy(&bytes), &texts) {
            applied.extend(done.into_iter().map(|what| format!("{path}: {what}")));
            better.push(Edit::Write { path: path.to_owned(), content });
        }
    }
    if better.is_empty() { Ok(tree.clone()) } else { super::locked(files).apply(tree, &better) }
}

/// Whether an attempt has no further turn.
pub(super) fn is_last_turn(state: &RunState) -> bool {
    match (&state.start, &state.work) {
        // A repair has one turn, and another repair can follow.
        (Some(start), Some(work)) => work.repair.is_none() && work.turns_used >= start.limits.turns_max,
        _ => false,
    }
}

/// One edit as one line.
fn describe(edit: &Edit) -> String {
    let mut line = String::new();
    let _ = match edit {
        Edit::Write { path, content } => write!(line, "{path} written ({} lines)", content.lines().count()),
        Edit::Append { path, content } => {
            write!(line, "{path} goes on ({} lines)", content.lines().count())
        }
        Edit::Replace { path, .. } | Edit::ReplaceLines { path, .. } => write!(line, "{path} changed"),
        Edit::Delete { path } => write!(line, "{path} deleted"),
    };
    line
}
