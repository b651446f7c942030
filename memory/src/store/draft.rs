//! Edits: what becomes of a tree's files, one edit after the other, and the tree that they make in the end.

use std::sync::Arc;

use git2::FileMode;

use super::git::{GitStore, git, oid};
use super::tree::{self, Contents, Entry, Files, Kept};
use super::{Edit, FILE_BYTES_MAX, FILES_MAX, FileStore, StoreError, TREE_BYTES_MAX, edit, path};
use crate::ids::TreeId;

/// A tree's files while edits are applied to it.
pub(super) struct Draft {
    pub before: Arc<Contents>,
    pub files: Files,
}

impl Draft {
    /// A file and a directory cannot share a name, and what is no file stays: the edit that would need the name is
    /// refused.
    pub(super) fn clear_way(&self, path: &str) -> Result<(), StoreError> {
        let refused = |why| Err(StoreError::BadPath { path: path.to_owned(), why });
        let below = format!("{path}/");
        let parents = || path.match_indices('/').map(|(at, _)| &path[..at]);
        let is_kept = |path: &str| {
            matches!(self.before.kept.get(path.as_bytes()), Some(Kept::Link(_) | Kept::Submodule))
        };
        if is_kept(path) || parents().any(is_kept) {
            return refused("a symbolic link or a submodule stands there, which stays as it is");
        }
        if self.files.range(below.clone()..).next().is_some_and(|(p, _)| p.starts_with(&below)) {
            return refused("it is a directory");
        }
        if parents().any(|parent| self.files.contains_key(parent)) {
            return refused("a part of it is a file");
        }
        let mut kept = self.before.kept.range(below.as_bytes().to_vec()..);
        if kept.next().is_some_and(|(p, _)| p.starts_with(below.as_bytes())) {
            return refused("it is a directory");
        }
        Ok(())
    }
}

impl GitStore {
    /// The tree that `base` becomes when it has `files` in the place of its own.
    pub(super) fn with_files(&self, base: &TreeId, files: &Files) -> Result<TreeId, StoreError> {
        self.within_bounds(files)?;
        let changes = tree::changes(&self.contents(base)?.files, files);
        let base = self.repo.find_tree(oid(base.as_str())?).map_err(git("reading a tree"))?;
        let id = tree::changed(&self.repo, &base, &changes)?;
        self.sync_objects_dir()?;
        Ok(TreeId(id.to_string()))
    }

    /// What was there before the run does not count: its own files may not be too many or too large.
    fn within_bounds(&self, files: &Files) -> Result<(), StoreError> {
        let too_large = |what: &str, limit| Err(StoreError::TooLarge { what: what.to_owned(), limit });
        let bytes = files.values().map(|entry| entry.bytes).sum::<u64>();
        if files.len() <= FILES_MAX && bytes <= TREE_BYTES_MAX {
            return Ok(());
        }
        let before = match &self.origin {
            Some(origin) => self.contents(&self.tree_of(&origin.base)?)?,
            None => Arc::default(),
        };
        let bytes_before = before.files.values().map(|entry| entry.bytes).sum::<u64>();
        if files.len() > before.files.len() + FILES_MAX {
            return too_large("the number of files", FILES_MAX as u64);
        }
        if bytes > bytes_before + TREE_BYTES_MAX {
            return too_large("the project", TREE_BYTES_MAX);
        }
        Ok(())
    }

    /// A file's entry with new content. What can be executed stays so.
    pub(super) fn put(&self, path: &str, bytes: &[u8], before: Option<&Entry>) -> Result<Entry, StoreError> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(StoreError::TooLarge { what: path.to_owned(), limit: FILE_BYTES_MAX });
        }
        let id = self.repo.blob(bytes).map_err(git("writing a file's content"))?;
        let mode = before.map_or(FileMode::Blob.into(), |entry| entry.mode);
        Ok(Entry { id, bytes: bytes.len() as u64, mode })
    }

    /// A file's text; none where there is no file.
    fn text(&self, draft: &Draft, path: &str) -> Result<Option<String>, StoreError> {
        path::check(path)?;
        let Some(entry) = draft.files.get(path) else { return Ok(None) };
        // One that is larger could not be written again either.
        if entry.bytes > FILE_BYTES_MAX {
            return Err(StoreError::TooLarge { what: path.to_owned(), limit: FILE_BYTES_MAX });
        }
        let text = String::from_utf8(self.blob(path, entry.id)?);
        text.map(Some).map_err(|_| StoreError::NotText { path: path.to_owned() })
    }

    pub(super) fn apply_one(&self, draft: &mut Draft, change: &Edit) -> Result<(), StoreError> {
        let path = change.path();
        path::check(path)?;
        let missing = || StoreError::NotFound { path: path.to_owned() };
        if let Edit::Delete { .. } = change {
            draft.clear_way(path)?;
            return draft.files.remove(path).map(drop).ok_or_else(missing);
        }
        let old = self.text(draft, path)?;
        let new = match change {
            Edit::Write { content, .. } => edit::in_form_of(old.as_deref(), content),
            Edit::Append { content, .. } => {
                let before = old.as_deref().map_or(String::new(), |text| text.trim_end().to_owned() + "\n\n");
                edit::in_form_of(old.as_deref(), &format!("{before}{}", content.trim_start()))
            }
            Edit::Replace { search, replace, .. } => {
                edit::replace(path, &old.ok_or_else(missing)?, search, replace)?
            }
            Edit::ReplaceLines { line_first, old: lines, new, .. } => {
                edit::replace_lines(path, &old.ok_or_else(missing)?, *line_first, lines, new)?
            }
            Edit::Delete { .. } => return Ok(()),
        };
        draft.clear_way(path)?;
        let entry = self.put(path, new.as_bytes(), draft.files.get(path))?;
        draft.files.insert(path.to_owned(), entry);
        Ok(())
    }
}
