//! Which files, and which lines of them, a prompt shows.

use std::collections::BTreeSet;

use edvac_agents::roles::guide;
use edvac_agents::roles::worker::{FileParts, FileView};
use edvac_memory::context::{Fragment, TokenCounter as _};
use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView as _;
use edvac_memory::listing::outline;
use edvac_memory::program::Instruction;
use edvac_memory::store::path;

use super::{Performer, Trouble};
use crate::control::RunState;

/// Ranges of a file that are looked for.
const RANGES_MAX: usize = 12;
/// The share of the room for files that is left for questions about them.
const QUESTIONS_SHARE: usize = 3;
/// Lines of a file that says what the project is.
const README_LINES_MAX: usize = 40;
/// Names of such a file.
const READMES: [&str; 4] = ["README.md", "README.rst", "README.txt", "README"];
/// Larger files are never shown as a whole.
const WHOLE_BYTES_MAX: usize = 256 << 10;

/// A file that is to be shown, with its tokens.
struct Wanted {
    path: String,
    text: String,
    reason: &'static str,
    tokens: usize,
}

impl Performer {
    /// Files the instruction reads, and those it writes that are there already: whole where they fit into `tokens_max`. Where
    /// not all of them do, those that are too long for their share are shown by what is in them and the lines that the
    /// instruction is about, and some room is left for the questions that will be asked then.
    pub(super) async fn files_shown(
        &self,
        instruction: &Instruction,
        tree: &TreeId,
        tokens_max: usize,
    ) -> Result<Vec<Fragment>, Trouble> {
        let counter = self.counter();
        let mut wanted = self.files_wanted(instruction, tree)?;
        // Small ones first: what they do not need is left for the others.
        wanted.sort_by_key(|file| file.tokens);
        let all = wanted.iter().fold(0_usize, |sum, file| sum.saturating_add(file.tokens));
        let spare = if all <= tokens_max { 0 } else { tokens_max / QUESTIONS_SHARE };
        let mut room = tokens_max - spare;
        let mut left = wanted.len();
        let mut shown = Vec::new();
        for file in wanted {
            let share = room / left.max(1);
            left -= 1;
            let fragment = if file.tokens <= share && file.text.len() <= WHOLE_BYTES_MAX {
                let view = FileView::whole(file.path, file.text, file.reason);
                view.fragment(&self.templates, &counter)?
            } else {
                self.parts_of(file, instruction, tree).await?.fragment(share, &self.templates, &counter)?
            };
            room = room.saturating_sub(fragment.tokens);
            shown.push(fragment);
        }
        // In the order of the instruction, whatever their size.
        let order = |fragment: &Fragment| {
            let is_of = |path: &&String| fragment.source.starts_with(&format!("{path}:"));
            instruction.reads.iter().chain(&instruction.writes).position(|path| is_of(&path))
        };
        shown.sort_by_key(order);
        Ok(shown)
    }

    fn files_wanted(&self, instruction: &Instruction, tree: &TreeId) -> Result<Vec<Wanted>, Trouble> {
        let counter = self.counter();
        let known = self.files.list(tree)?;
        let mut seen = BTreeSet::new();
        let mut wanted = Vec::new();
        let reads = instruction.reads.iter().map(|path| (path, "the step reads it"));
        let writes = instruction.writes.iter().map(|path| (path, "the step writes it"));
        for (path, reason) in reads.chain(writes) {
            if !known.contains_key(path) || !seen.insert(path) {
                continue;
            }
            let bytes = self.files.read(tree, path)?;
            let count = bytes.len();
            // What is no text cannot be shown; that it is there can be said.
            let text = String::from_utf8(bytes).map_or_else(
                |_| format!("({count} bytes that are no text)"),
                |text| text.replace("\r\n", "\n"),
            );
            let tokens = if text.len() <= WHOLE_BYTES_MAX { counter.count(&text) } else { usize::MAX };
            wanted.push(Wanted { path: path.clone(), text, reason, tokens });
        }
        Ok(wanted)
    }

    async fn parts_of(
        &self,
        file: Wanted,
        instruction: &Instruction,
        tree: &TreeId,
    ) -> Result<FileParts, Trouble> {
        let Wanted { path, text, reason, .. } = file;
        let query = format!("{} {}", instruction.title, instruction.text);
        let hits = self.search_in(tree, &path, &query, RANGES_MAX).await?;
        let ranges = hits.iter().map(|hit| (hit.line_first as usize, hit.line_last as usize)).collect();
        Ok(FileParts { outline: outline(&path, &text), ranges, reason: reason.to_owned(), path, text })
    }

    /// What the project that was there says to those who work on it: the root's `AGENTS.md`, and those on the way to `paths`.
    pub(super) fn guides(&self, paths: &[String], state: &RunState) -> Result<Vec<Fragment>, Trouble> {
        let (Some(_), Some(tree)) = (state.origin(), &state.tree) else { return Ok(Vec::new()) };
        let files = self.files.list(tree)?;
        let mut fragments = Vec::new();
        for path in guide::about(files.keys(), paths) {
            let text = String::from_utf8_lossy(&self.files.read(tree, path)?).into_owned();
            fragments.push(guide::fragment(path, &text, &self.templates, &self.counter())?);
        }
        Ok(fragments)
    }

    /// Files that prompts show whatever they are about, or that are about no code.
    pub(super) fn shown_anyway(&self, tree: &TreeId) -> Result<Vec<String>, Trouble> {
        let is_shown =
            |path: &String| path::file_name(path) == guide::NAME || READMES.contains(&path.as_str());
        Ok(self.files.list(tree)?.into_keys().filter(is_shown).collect())
    }

    /// The beginning of the file that says what a project is.
    pub(super) fn readme(&self, tree: &TreeId) -> Result<Option<Fragment>, Trouble> {
        let files = self.files.list(tree)?;
        let Some(path) = READMES.iter().find(|path| files.contains_key(**path)) else { return Ok(None) };
        let text = String::from_utf8_lossy(&self.files.read(tree, path)?).replace("\r\n", "\n");
        let view = FileView::lines(path, &text, (1, README_LINES_MAX), "what the project says it is");
        Ok(Some(view.fragment(&self.templates, &self.counter())?))
    }
}
