//! What a run is just writing, for those who watch it from another process: the replies in progress, in a file beside the
//! journal. For the eyes alone. Nothing depends on it, it may be missed, and with the end of a reply it is gone: the reply
//! itself is in the journal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use edvac_agents::client::Delta;
use edvac_memory::journal::{Record, RecordKind};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;

use crate::control::Purpose;
use crate::notice::Notice;
use crate::story::talk;

/// Between two writes of what was said meanwhile: 12 a second are read as one flow, whatever the model's pace.
const PAUSE: Duration = Duration::from_millis(80);
/// Most bytes of a file that are read; what a model writes before it is cut is far less.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// A reply in progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Prompt tokens that are read.
    pub prompt_done: usize,
    /// Prompt tokens in all; 0 while that is not known.
    pub prompt_total: usize,
    /// Tokens that are written.
    pub tokens: usize,
    /// The text so far.
    pub text: String,
    /// What the conversation is about, in words.
    #[serde(default)]
    pub about: String,
}

/// One line of the file: what came to a reply since the line before.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// The conversation.
    purpose: Purpose,
    /// Whether `text` is all of it, and not only what came since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
    /// Prompt tokens that are read, and all.
    prompt: (usize, usize),
    /// Tokens that are written.
    tokens: usize,
    /// More text.
    text: String,
}

/// The replies in progress, by the conversation's name.
pub type Partials = BTreeMap<String, Partial>;

/// Writes what a run is just writing, until nobody tells any more.
pub struct LiveWriter {
    path: PathBuf,
    file: Option<File>,
    open: Vec<(Purpose, Partial)>,
    /// Of each reply in `open`: bytes of its text that are in the file, or none where it has to be written anew.
    said: Vec<Option<usize>>,
}

impl LiveWriter {
    /// A writer of the file at `path`, which is made with the first reply.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, open: Vec::new(), said: Vec::new() }
    }

    /// Follows a run's notices to their end. Who began this takes the file away.
    pub async fn follow(mut self, mut notices: Receiver<Notice>) {
        let mut clock = tokio::time::interval(PAUSE);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = false;
        loop {
            tokio::select! {
                notice = notices.recv() => match notice {
                    Ok(notice) => changed |= self.hear(&notice),
                    // What was missed is missed: the next reply begins anew.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                },
                _ = clock.tick(), if changed => {
                    changed = false;
                    self.write();
                }
            }
        }
    }

    /// Takes note of what happened; true where it has to be written.
    fn hear(&mut self, notice: &Notice) -> bool {
        match notice {
            Notice::Delta(purpose, delta) => self.said_more(*purpose, delta),
            Notice::Recorded(record) => self.ended(record),
            Notice::Performing(_) | Notice::Note(_) => false,
        }
    }

    fn said_more(&mut self, purpose: Purpose, delta: &Delta) -> bool {
        let at = self.open.iter().position(|(of, _)| *of == purpose).unwrap_or_else(|| {
            self.open.push((purpose, Partial::default()));
            self.said.push(None);
            self.open.len() - 1
        });
        let partial = &mut self.open[at].1;
        match delta {
            Delta::Prefill { done, total } => (partial.prompt_done, partial.prompt_total) = (*done, *total),
            Delta::Text { text, tokens } => {
                partial.text.push_str(text);
                partial.tokens = *tokens;
            }
            Delta::Withdrawn { tokens } => {
                // The text that stays comes again as the next piece.
                partial.text.clear();
                partial.tokens = *tokens;
                self.said[at] = None;
            }
            Delta::Retry { .. } => return false,
        }
        true
    }

    /// A reply that is recorded is not in progress any more.
    fn ended(&mut self, record: &Record) -> bool {
        let is_result = record.kind == RecordKind::Result;
        let purpose = record.body.get("purpose").and_then(|found| Purpose::deserialize(found).ok());
        let at = purpose.and_then(|purpose| self.open.iter().position(|(of, _)| *of == purpose));
        let Some(at) = at.filter(|_| is_result) else { return false };
        self.open.remove(at);
        // The others stay, in a file of their own: a reader sees that it is another one, and reads it from its beginning.
        self.said = vec![None; self.open.len()];
        self.file = None;
        true
    }

    /// Failures are of no account: a watcher sees the reply a little later, in the journal.
    fn write(&mut self) {
        let mut lines = Vec::new();
        for ((purpose, partial), said) in self.open.iter().zip(&mut self.said) {
            let from = said.filter(|from| *from <= partial.text.len());
            let line = Line {
                purpose: *purpose,
                whole: from.is_none(),
                prompt: (partial.prompt_done, partial.prompt_total),
                tokens: partial.tokens,
                text: partial.text[from.unwrap_or(0)..].to_owned(),
            };
            *said = Some(partial.text.len());
            if serde_json::to_writer(&mut lines, &line).is_ok() {
                lines.push(b'\n');
            }
        }
        if self.file.is_none() {
            self.file = anew(&self.path).ok();
        }
        if let Some(file) = &mut self.file
            && file.write_all(&lines).is_err()
        {
            self.file = None;
        }
    }
}

/// A file in place of the one that is there, which its readers keep.
fn anew(path: &Path) -> std::io::Result<File> {
    let beside = path.with_extension("new");
    let file = File::create(&beside)?;
    std::fs::rename(&beside, path)?;
    Ok(file)
}

/// Reads what a run is just writing.
pub struct LiveReader {
    path: PathBuf,
    /// Which file it is, by device and inode, and how far it is read.
    at: Option<((u64, u64), u64)>,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    partials: Partials,
}

impl LiveReader {
    /// A reader of the file at `path`, which need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path, at: None, rest: Vec::new(), partials: Partials::new() }
    }

    /// The replies in progress now.
    pub fn read(&mut self) -> &Partials {
        if self.read_on().is_err() {
            self.forget();
            self.at = None;
        }
        &self.partials
    }

    fn forget(&mut self) {
        self.partials.clear();
        self.rest.clear();
    }

    fn read_on(&mut self) -> std::io::Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        let mut file = File::open(&self.path)?;
        let meta = file.metadata()?;
        let id = (meta.dev(), meta.ino());
        let mut from = match self.at {
            Some((known, from)) if known == id && from <= meta.len() => from,
            _ => {
                self.forget();
                0
            }
        };
        if from < meta.len() && from < FILE_BYTES_MAX {
            file.seek(SeekFrom::Start(from))?;
            from += file.take(FILE_BYTES_MAX - from).read_to_end(&mut self.rest)? as u64;
        }
        self.at = Some((id, from));
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            if let Ok(line) = serde_json::from_slice::<Line>(&line) {
                self.see(&line);
            }
        }
        Ok(())
    }

    fn see(&mut self, line: &Line) {
        let partial = self
            .partials
            .entry(line.purpose.to_string())
            .or_insert_with(|| Partial { about: talk(line.purpose), ..Partial::default() });
        if line.whole {
            partial.text.clear();
        }
        (partial.prompt_done, partial.prompt_total) = line.prompt;
        partial.tokens = line.tokens;
        partial.text.push_str(&line.text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use edvac_memory::ids::InstructionId;
    use serde_json::json;

    use super::*;

    fn work(id: u32) -> Purpose {
        Purpose::Work { instruction: InstructionId(id), attempt: 1, restart: 0 }
    }

    fn text(writer: &mut LiveWriter, id: u32, text: &str, tokens: usize) {
        assert!(writer.hear(&Notice::Delta(work(id), Delta::Text { text: text.into(), tokens })));
        writer.write();
    }

    fn reply(id: u32) -> Notice {
        let body = json!({ "event": "replied", "purpose": "work", "x": 1 });
        let mut body = body;
        body["purpose"] = serde_json::to_value(work(id)).unwrap();
        Notice::Recorded(Arc::new(Record { seq: 9, time_ms: 0, kind: RecordKind::Result, key: None, body }))
    }

    #[test]
    fn a_reader_sees_what_is_written_and_no_more_of_what_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live");
        let (mut writer, mut reader) = (LiveWriter::new(path.clone()), LiveReader::new(path));
        assert!(reader.read().is_empty());
        text(&mut writer, 1, "on", 1);
        text(&mut writer, 2, "zwei", 2);
        assert_eq!(reader.read()["i1/a1/r0"].text, "on");
        text(&mut writer, 1, "e", 2);
        let seen = reader.read();
        assert_eq!((seen["i1/a1/r0"].text.as_str(), seen["i1/a1/r0"].tokens), ("one", 2));
        assert_eq!(seen["i2/a1/r0"].text, "zwei");
        // What is taken back is said again.
        assert!(writer.hear(&Notice::Delta(work(1), Delta::Withdrawn { tokens: 1 })));
        text(&mut writer, 1, "on", 1);
        assert_eq!(reader.read()["i1/a1/r0"].text, "on");
        // The end of one leaves the other, for old readers and new ones.
        assert!(writer.hear(&reply(1)));
        writer.write();
        text(&mut writer, 2, "!", 3);
        assert_eq!(reader.read().keys().collect::<Vec<_>>(), ["i2/a1/r0"]);
        assert_eq!(reader.read()["i2/a1/r0"].text, "zwei!");
        let mut late = LiveReader::new(reader.path.clone());
        assert_eq!(late.read()["i2/a1/r0"].text, "zwei!");
        assert!(writer.hear(&reply(2)));
        writer.write();
        assert!(reader.read().is_empty());
    }

    #[test]
    fn damage_is_skipped_and_half_a_line_waits_for_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live");
        let mut reader = LiveReader::new(path.clone());
        let line = |text: &str| {
            let line = Line { purpose: work(1), whole: false, prompt: (1, 2), tokens: 1, text: text.into() };
            serde_json::to_string(&line).unwrap() + "\n"
        };
        let whole = format!("{}nonsense\n\u{0}\n{}", line("a"), line("b"));
        let (first, second) = whole.split_at(whole.len() - 5);
        std::fs::write(&path, first).unwrap();
        assert_eq!(reader.read()["i1/a1/r0"].text, "a");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(second.as_bytes()).unwrap();
        assert_eq!(reader.read()["i1/a1/r0"].text, "ab");
        std::fs::remove_file(&path).unwrap();
        assert!(reader.read().is_empty());
    }
}
