//! The files of a run at any of its commits: a list, a text with who wrote each line, and what changed.

use std::collections::BTreeMap;

use edvac_memory::ids::{CommitId, InstructionId, TreeId};
use edvac_memory::store::{FileStore as _, GitStore};
use edvac_orchestrator::control::RunState;
use edvac_orchestrator::place::RunDir;
use serde::Serialize;
use similar::{ChangeTag, DiffTag, TextDiff};
use utoipa::ToSchema;

use super::highlight;
use super::trouble::Trouble;

/// A change of more lines is folded.
const LINES_OPEN_MAX: usize = 1500;
/// A change of more lines is not shown at all; git shows it.
const LINES_MAX: usize = 20_000;
/// Lines around a change.
const AROUND: usize = 3;
/// Bytes of a file that is shown.
const SHOWN_BYTES_MAX: usize = 1 << 20;

/// Which files.
pub(crate) struct At {
    /// None where nothing is committed yet.
    tree: Option<TreeId>,
}

/// What a step left.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = StepCommit)]
pub(super) struct Left {
    /// The step's number.
    step: u32,
    /// Its title.
    title: String,
    /// Its commit.
    commit: String,
    #[serde(skip)]
    tree: TreeId,
}

/// Files, and one of them if one was asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = Files)]
pub(super) struct FilesView {
    /// Steps that left files, in their order.
    history: Vec<Left>,
    /// All files, by their paths.
    list: Vec<Listed>,
    /// The one that was asked for.
    #[schema(required)]
    file: Option<FileView>,
}

/// A file in the list.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedFile)]
struct Listed {
    /// Its path.
    path: String,
    /// The path as a part of an address.
    query: String,
    /// Its length.
    bytes: u64,
}

/// A file.
#[derive(Serialize, ToSchema)]
#[schema(as = FileText)]
pub(super) struct FileView {
    /// Its path.
    path: String,
    /// The path as a part of an address.
    query: String,
    /// Its length.
    bytes: usize,
    /// Why its text is not shown.
    #[schema(required)]
    hidden: Option<&'static str>,
    /// Its text.
    lines: Vec<Line>,
}

/// A line, and the step that wrote it.
#[derive(Serialize, ToSchema)]
#[schema(as = FileLine)]
struct Line {
    /// Its number, from 1.
    number: usize,
    /// Its text.
    text: String,
    /// The same as HTML with colours, where the language is known.
    #[schema(required)]
    html: Option<String>,
    /// None where it was there before the run.
    #[schema(required)]
    step: Option<u32>,
    /// Whether the line before was another step's.
    begins: bool,
}

/// Between which trees something changed.
pub(super) struct Ends {
    from: Option<TreeId>,
    base: Option<CommitId>,
    to: TreeId,
}

/// What changed in a file.
#[derive(Serialize, ToSchema)]
#[schema(as = FileChange)]
pub(super) struct Change {
    /// Its path.
    path: String,
    /// `added`, `changed` or `deleted`.
    what: &'static str,
    /// Lines that came.
    added: usize,
    /// Lines that went.
    removed: usize,
    /// Whether it is folded at first.
    pub folded: bool,
    /// Why it is not shown.
    #[schema(required)]
    hidden: Option<&'static str>,
    /// The changed lines, in groups, with a few lines around each.
    hunks: Vec<Vec<Row>>,
}

/// A line of a change: what it was, and what it is.
#[derive(Serialize, ToSchema)]
#[schema(as = DiffRow)]
pub(super) struct Row {
    /// `same`, `removed`, `added` or `changed`.
    class: &'static str,
    /// The line's number before.
    #[schema(required)]
    old: Option<usize>,
    /// The line before.
    #[schema(required)]
    left: Option<String>,
    /// The line's number after.
    #[schema(required)]
    new: Option<usize>,
    /// The line after.
    #[schema(required)]
    right: Option<String>,
}

impl At {
    /// The files that `wanted` names: `step-3`, or nothing for what is committed last.
    pub fn of(state: &RunState, wanted: &str) -> Result<Self, Trouble> {
        if wanted.is_empty() {
            return Ok(Self { tree: state.tree.clone() });
        }
        let step = wanted.strip_prefix("step-").and_then(|number| number.parse().ok()).map(InstructionId);
        let step = step.ok_or_else(|| Trouble::bad(format!("{wanted:?} is no step: write step-3")))?;
        let settled = state.settled.get(&step);
        let settled = settled.ok_or_else(|| Trouble::missing(format!("step {step} has left nothing yet")))?;
        Ok(Self { tree: Some(settled.tree.clone()) })
    }
}

/// What the steps left, in the program's order.
pub(super) fn history(state: &RunState) -> Vec<Left> {
    let all = state.program.iter().flat_map(|program| &program.instructions);
    let left = all.filter_map(|instruction| {
        let settled = state.settled.get(&instruction.id)?;
        Some(Left {
            step: instruction.id.0,
            title: instruction.title.clone(),
            commit: settled.commit.to_string(),
            tree: settled.tree.clone(),
        })
    });
    left.collect()
}

/// Between what was there before a step, or the run, and what it left.
pub(super) fn ends(state: &RunState, step: Option<InstructionId>) -> Result<Ends, Trouble> {
    let base = state.origin().map(|origin| origin.base.clone());
    let nothing = || Trouble::missing("nothing is committed there yet");
    Ok(match step {
        None => Ends { from: None, base, to: state.tree.clone().ok_or_else(nothing)? },
        Some(id) => {
            let settled = state.settled.get(&id).ok_or_else(nothing)?;
            Ends { from: state.tree_before(id), base, to: settled.tree.clone() }
        }
    })
}

/// Reading git objects blocks.
pub(crate) async fn in_background<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(act).await.map_err(Trouble::machine)?
}

/// The files of a tree, and the text of one.
pub(super) fn view(
    dir: &RunDir,
    at: &At,
    history: &[Left],
    path: Option<&str>,
) -> Result<FilesView, Trouble> {
    let store = GitStore::view(&dir.git_dir())?;
    let Some(tree) = &at.tree else {
        return Ok(FilesView { history: history.to_vec(), list: Vec::new(), file: None });
    };
    let list = store
        .list(tree)?
        .into_iter()
        .map(|(path, bytes)| Listed { query: encoded(&path), path, bytes })
        .collect();
    let file = path.map(|path| file(&store, tree, history, path)).transpose()?;
    Ok(FilesView { history: history.to_vec(), list, file })
}

/// The paths of all files, and their bytes.
pub(crate) fn names(dir: &RunDir, at: &At) -> Result<BTreeMap<String, u64>, Trouble> {
    match &at.tree {
        Some(tree) => Ok(GitStore::view(&dir.git_dir())?.list(tree)?),
        None => Ok(BTreeMap::new()),
    }
}

/// The bytes of a file.
pub(crate) fn content(dir: &RunDir, at: &At, path: &str) -> Result<Vec<u8>, Trouble> {
    let tree = at.tree.as_ref().ok_or_else(|| Trouble::missing("nothing is committed yet"))?;
    Ok(GitStore::view(&dir.git_dir())?.read(tree, path)?)
}

fn file(store: &GitStore, tree: &TreeId, history: &[Left], path: &str) -> Result<FileView, Trouble> {
    let content = store.read(tree, path)?;
    let bytes = content.len();
    let hidden = |why| {
        Ok(FileView {
            path: path.to_owned(),
            query: encoded(path),
            bytes,
            hidden: Some(why),
            lines: Vec::new(),
        })
    };
    if bytes > SHOWN_BYTES_MAX {
        return hidden("it is too large to be shown here");
    }
    let Ok(text) = String::from_utf8(content) else { return hidden("it is no text") };
    // What came after the tree that is looked at has no part in it.
    let until = history.iter().position(|left| left.tree == *tree).map_or(history.len(), |at| at + 1);
    let mut authors: Vec<Option<u32>> = Vec::new();
    let mut before = String::new();
    for left in &history[..until] {
        let now = store.read(&left.tree, path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let now = now.unwrap_or_default();
        if now != before {
            authors = blamed(&before, &now, &authors, left.step);
            before = now;
        }
    }
    let mut coloured = highlight::lines(path, &text).unwrap_or_default().into_iter();
    let mut last = None;
    let lines = text.lines().zip(1..).map(|(text, number)| {
        let step = authors.get(number - 1).copied().flatten();
        let begins = last != Some(step);
        last = Some(step);
        Line { number, text: text.to_owned(), html: coloured.next(), step, begins }
    });
    Ok(FileView { path: path.to_owned(), query: encoded(path), bytes, hidden: None, lines: lines.collect() })
}

/// A path as a part of an address.
pub(super) fn encoded(path: &str) -> String {
    form_urlencoded::byte_serialize(path.as_bytes()).collect()
}

/// Who wrote each line of `now`, knowing who wrote those of `before`.
fn blamed(before: &str, now: &str, authors: &[Option<u32>], step: u32) -> Vec<Option<u32>> {
    let diff = TextDiff::from_lines(before, now);
    let changes = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Delete);
    let author = |change: similar::Change<&str>| match change.tag() {
        ChangeTag::Equal => change.old_index().and_then(|at| authors.get(at).copied().flatten()),
        _ => Some(step),
    };
    changes.map(author).collect()
}

/// What changed, file by file.
pub(super) fn changes(dir: &RunDir, ends: &Ends) -> Result<Vec<Change>, Trouble> {
    let mut store = GitStore::view(&dir.git_dir())?;
    let from = match (&ends.from, &ends.base) {
        (Some(tree), _) => tree.clone(),
        (None, Some(base)) => store.tree_of(base)?,
        (None, None) => store.empty_tree()?,
    };
    let changed = store.changed(&from, &ends.to)?;
    let (old_files, new_files) = (store.list(&from)?, store.list(&ends.to)?);
    changed
        .into_iter()
        .map(|path| {
            let read = |tree: &TreeId, there: bool| there.then(|| store.read(tree, &path)).transpose();
            let old = read(&from, old_files.contains_key(&path))?;
            let new = read(&ends.to, new_files.contains_key(&path))?;
            Ok(Change::between(&path, old.as_deref(), new.as_deref()))
        })
        .collect()
}

impl Change {
    /// From one content to another one; none where the file is not there.
    pub fn between(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Self {
        let unshown = |why| Self::unshown(path, old, new, why);
        let (Ok(before), Ok(after)) =
            (str::from_utf8(old.unwrap_or_default()), str::from_utf8(new.unwrap_or_default()))
        else {
            return unshown("it is no text");
        };
        if before.lines().count().max(after.lines().count()) > LINES_MAX {
            return unshown("it is too long to be shown here");
        }
        let diff = TextDiff::from_lines(before, after);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
        let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
        let folded = added + removed > LINES_OPEN_MAX;
        Self { added, removed, folded, hidden: None, hunks: compared(&diff), ..unshown("") }
    }

    /// The same without its lines, and why.
    pub fn unshown(path: &str, old: Option<&[u8]>, new: Option<&[u8]>, why: &'static str) -> Self {
        let what = match (old, new) {
            (None, _) => "added",
            (_, None) => "deleted",
            _ => "changed",
        };
        let path = path.to_owned();
        Self { path, what, added: 0, removed: 0, folded: false, hidden: Some(why), hunks: Vec::new() }
    }

    /// Lines that it shows.
    pub fn lines(&self) -> usize {
        self.hunks.iter().map(Vec::len).sum()
    }
}

/// A comparison as rows of two sides, with a few lines around each change.
pub(super) fn compared(diff: &TextDiff<'_, '_, str>) -> Vec<Vec<Row>> {
    let plain = |text: Option<&str>| text.map(|text| text.trim_end_matches(['\n', '\r']).to_owned());
    let mut hunks = Vec::new();
    for group in diff.grouped_ops(AROUND) {
        let mut rows = Vec::new();
        for op in group {
            let (tag, olds, news) = op.as_tag_tuple();
            let class = match tag {
                DiffTag::Equal => "same",
                DiffTag::Delete => "removed",
                DiffTag::Insert => "added",
                DiffTag::Replace => "changed",
            };
            for at in 0..olds.len().max(news.len()) {
                let (left, right) = (olds.start + at, news.start + at);
                let (has_left, has_right) = (at < olds.len(), at < news.len());
                rows.push(Row {
                    class,
                    old: has_left.then_some(left + 1),
                    left: plain(diff.old_slice(left).filter(|_| has_left)),
                    new: has_right.then_some(right + 1),
                    right: plain(diff.new_slice(right).filter(|_| has_right)),
                });
            }
        }
        hunks.push(rows);
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_author_until_they_change() {
        let first = blamed("", "a\nb\nc\n", &[], 1);
        assert_eq!(first, [Some(1); 3]);
        let second = blamed("a\nb\nc\n", "a\nB\nc\nd\n", &first, 2);
        assert_eq!(second, [Some(1), Some(2), Some(1), Some(2)]);
        assert_eq!(blamed("a\nB\nc\nd\n", "c\n", &second, 3), [Some(1)]);
    }

    #[test]
    fn two_sides_stand_beside_each_other() {
        let diff = TextDiff::from_lines("a\nb\nc\n", "a\nB\nB2\nc\n");
        let hunks = compared(&diff);
        let shown: Vec<_> = hunks[0].iter().map(|row| (row.class, row.old, row.new)).collect();
        assert_eq!(
            shown,
            [
                ("same", Some(1), Some(1)),
                ("changed", Some(2), Some(2)),
                ("changed", None, Some(3)),
                ("same", Some(3), Some(4))
            ]
        );
        assert_eq!(hunks[0][1].right.as_deref(), Some("B"));
    }
}
