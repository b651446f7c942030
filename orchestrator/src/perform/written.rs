//! Bytes that replies write: what one may write is known before its edits are made, and counted as it is after them.

use std::collections::{BTreeMap, BTreeSet};

use edvac_agents::protocol::{Action, Understood};
use edvac_memory::ids::TreeId;
use edvac_memory::store::{Edit, StoreError};

use super::{Performer, Trouble};
use crate::control::{RunState, StopReason};

impl Performer {
    /// An error where the edits of a reply write more than the run may still write. Nothing was done then: the reply is in the
    /// journal, and is carried out once the limit is raised.
    pub(super) fn has_room(
        &self,
        base: &TreeId,
        understood: &Understood,
        state: &RunState,
    ) -> Result<(), Trouble> {
        let Some(left) = state.bytes_left().filter(|_| understood.problems.is_empty()) else { return Ok(()) };
        let next = bytes_of(self.files().list(base)?, edits(understood));
        if next <= left {
            return Ok(());
        }
        let used = state.bill.bytes_written;
        Err(Trouble::Room(StopReason::ByteLimit { used, limit: used.saturating_add(left), next }))
    }

    /// Bytes of the files that a reply's edits left in `tree`.
    pub(super) fn bytes_written(
        &self,
        base: &TreeId,
        tree: &TreeId,
        understood: &Understood,
    ) -> Result<u64, StoreError> {
        if base == tree {
            return Ok(0);
        }
        let sizes = self.files().list(tree)?;
        let paths: BTreeSet<_> = edits(understood).map(Edit::path).collect();
        Ok(paths.into_iter().filter_map(|path| sizes.get(path)).sum())
    }
}

fn edits(understood: &Understood) -> impl Iterator<Item = &Edit> {
    understood.actions.iter().filter_map(|action| match action {
        Action::Edit { edit } => Some(edit),
        _ => None,
    })
}

/// Bytes that the files of edits have after them, where files have these `sizes` before. An edit that will be refused counts
/// as if it were not.
fn bytes_of<'a>(mut sizes: BTreeMap<String, u64>, edits: impl Iterator<Item = &'a Edit>) -> u64 {
    let mut changed = BTreeSet::new();
    for edit in edits {
        let path = edit.path();
        let before = sizes.get(path).copied().unwrap_or(0);
        let after = match edit {
            Edit::Write { content, .. } => content.len() as u64,
            Edit::Append { content, .. } => before + content.len() as u64,
            Edit::Replace { search: old, replace: new, .. } | Edit::ReplaceLines { old, new, .. } => {
                before.saturating_sub(old.len() as u64) + new.len() as u64
            }
            Edit::Delete { .. } => 0,
        };
        sizes.insert(path.to_owned(), after);
        changed.insert(path);
    }
    changed.into_iter().filter_map(|path| sizes.get(path)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_as_large_as_it_becomes() {
        let path = || "a.md".to_owned();
        let sizes = BTreeMap::from([("a.md".to_owned(), 10), ("b.md".to_owned(), 99)]);
        let bytes = |edits: &[Edit]| bytes_of(sizes.clone(), edits.iter());
        assert_eq!(bytes(&[]), 0);
        let append = Edit::Append { path: path(), content: "12345".into() };
        let write = Edit::Write { path: path(), content: "123".into() };
        assert_eq!(bytes(std::slice::from_ref(&append)), 15);
        assert_eq!(bytes(&[write.clone(), append.clone()]), 8);
        let replace = Edit::Replace { path: path(), search: "12".into(), replace: "1234".into() };
        assert_eq!(bytes(&[write, replace]), 5);
        assert_eq!(bytes(&[append, Edit::Delete { path: path() }]), 0);
        let other = Edit::Write { path: "c.md".into(), content: "12".into() };
        assert_eq!(bytes(&[other]), 2, "b.md is not touched");
    }
}
