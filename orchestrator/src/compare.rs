//! Two runs beside each other: what is met, what it cost, and in what their files differ.

use std::collections::BTreeSet;

use edvac_memory::ids::TreeId;
use edvac_memory::store::{FileStore, GitStore};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::account::Account;
use crate::control::RunState;
use crate::control::state::Totals;
use crate::ledger::Standing;
use crate::place::RunDir;
use crate::run::RunError;

/// Lines around a change.
const CONTEXT_LINES: usize = 3;

/// Two runs beside each other.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The one.
    pub a: Side,
    /// The other.
    pub b: Side,
    /// Each requirement that one of them has, by its id.
    pub requirements: Vec<Row>,
    /// Files that differ.
    pub files: Vec<FileRow>,
}

/// One of two runs.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Its id.
    pub run: String,
    /// One word.
    pub status: &'static str,
    /// Its model.
    pub model: String,
    /// Steps that finished with all checks passed, and steps there are.
    pub steps: (usize, usize),
    /// What it used, taken back work included.
    pub totals: Totals,
    /// What that cost, and what limits it.
    pub account: Option<Account>,
}

/// One requirement in both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its sentence; where they differ, that of the first.
    pub text: String,
    /// How it stands in the first; none where it has none, or where no final checks ran.
    pub a: Option<Standing>,
    /// The same of the second.
    pub b: Option<Standing>,
}

/// One file that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// Its path.
    pub path: String,
    /// Lines that only the second has.
    pub added: usize,
    /// Lines that only the first has.
    pub removed: usize,
    /// The difference as a unified diff; empty where one is no text.
    pub diff: String,
}

/// Compares two runs as they are now. Reads every file of both last trees.
pub async fn compare(a: &RunDir, b: &RunDir) -> Result<Comparison, RunError> {
    let (of_a, of_b) = (a.state().await?, b.state().await?);
    let trees = (of_a.tree.as_ref(), of_b.tree.as_ref());
    Ok(Comparison {
        requirements: requirements(&of_a, &of_b),
        files: differing(a, b, trees, file_row)?,
        a: side(a, &of_a),
        b: side(b, &of_b),
    })
}

fn side(dir: &RunDir, state: &RunState) -> Side {
    let finished = state.settled.values().filter(|s| s.settlement == crate::control::Settlement::Finished);
    Side {
        run: dir.id.to_string(),
        status: state.status(),
        model: state.start.as_ref().map_or_else(String::new, |start| start.model.model.clone()),
        steps: (finished.count(), state.program.as_ref().map_or(0, |p| p.instructions.len())),
        totals: state.spent(),
        account: Account::of(state),
    }
}

/// Each requirement that one of two runs has, by its id, those of the first before the others.
pub fn requirements(a: &RunState, b: &RunState) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (state, is_first) in [(a, true), (b, false)] {
        for requirement in state.program.iter().flat_map(|p| &p.requirements) {
            let standing = state
                .ledger
                .as_ref()
                .and_then(|ledger| ledger.entries.iter().find(|e| e.id == requirement.id))
                .map(|entry| entry.standing);
            let id = requirement.id.to_string();
            let at = rows.iter().position(|row| row.id == id).unwrap_or_else(|| {
                rows.push(Row { id, text: requirement.text.clone(), a: None, b: None });
                rows.len() - 1
            });
            *(if is_first { &mut rows[at].a } else { &mut rows[at].b }) = standing;
        }
    }
    rows
}

/// What `of` makes of each file that differs between two trees, in the order of their paths. It is given the path and both
/// contents, none where the file is not there. Reads every file of both trees, two at a time; a run without a tree has none.
pub fn differing<T>(
    a: &RunDir,
    b: &RunDir,
    (tree_a, tree_b): (Option<&TreeId>, Option<&TreeId>),
    mut of: impl FnMut(&str, Option<&[u8]>, Option<&[u8]>) -> T,
) -> Result<Vec<T>, RunError> {
    let (store_a, store_b) = (GitStore::view(&a.git_dir())?, GitStore::view(&b.git_dir())?);
    let listed = |store: &GitStore, tree: Option<&TreeId>| match tree {
        Some(tree) => store.list(tree).map(|all| all.into_keys().collect::<BTreeSet<_>>()),
        None => Ok(BTreeSet::new()),
    };
    let (in_a, in_b) = (listed(&store_a, tree_a)?, listed(&store_b, tree_b)?);
    let bytes = |store: &GitStore, tree: Option<&TreeId>, has: &BTreeSet<String>, path: &String| match tree {
        Some(tree) if has.contains(path) => store.read(tree, path).map(Some),
        _ => Ok(None),
    };
    let mut found = Vec::new();
    for path in in_a.union(&in_b) {
        let (old, new) = (bytes(&store_a, tree_a, &in_a, path)?, bytes(&store_b, tree_b, &in_b, path)?);
        if old != new {
            found.push(of(path, old.as_deref(), new.as_deref()));
        }
    }
    Ok(found)
}

fn file_row(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> FileRow {
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let (Ok(old), Ok(new)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return FileRow { path: path.to_owned(), added: 0, removed: 0, diff: String::new() };
    };
    let diff = TextDiff::from_lines(old, new);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    FileRow {
        path: path.to_owned(),
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
        diff: diff.unified_diff().context_radius(CONTEXT_LINES).header(path, path).to_string(),
    }
}
