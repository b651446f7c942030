//! What a branch changed, as mails that `git am` and `git apply` take.

use git2::{Email, EmailCreateOptions};

use super::StoreError;
use super::git::{GitStore, HISTORY_MAX, git, oid};
use crate::ids::CommitId;

impl GitStore {
    /// One mail for each commit behind `from` up to `to`, the oldest first; from the very first one where there is no `from`.
    pub fn patch(&self, from: Option<&CommitId>, to: &CommitId) -> Result<Vec<u8>, StoreError> {
        let reading = || git("writing a patch");
        let from = from.map(|from| oid(from.as_str())).transpose()?;
        let mut commits = Vec::new();
        let mut next = Some(oid(to.as_str())?);
        while let Some(id) = next.filter(|id| Some(*id) != from && commits.len() < HISTORY_MAX) {
            let commit = self.repo.find_commit(id).map_err(reading())?;
            next = commit.parent_id(0).ok();
            commits.push(commit);
        }
        let mut mails = Vec::new();
        for commit in commits.iter().rev() {
            let mut options = EmailCreateOptions::new();
            options.omit_numbers(true).diff_options().show_binary(true).id_abbrev(40);
            let mail = Email::from_commit(commit, &mut options).map_err(reading())?;
            mails.extend_from_slice(mail.as_slice());
            mails.push(b'\n');
        }
        Ok(mails)
    }
}
