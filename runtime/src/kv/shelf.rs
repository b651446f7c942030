//! The directory of snapshots: what is there, what it is worth, and what has to go.
//!
//! Several processes may use one directory. A file has its name only when it is whole, its name says what is in it,
//! and nobody changes it afterwards; so there is nothing to lock, and a file that another process removed is merely
//! not there. Beside `NAME.kv`, the length of `NAME.hits` is how often it was used and its time is when.

use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::snapshot::{self, EXTENSION, Head, Id, Snapshot, SnapshotError, UNFINISHED, file_name, id_of};
use crate::kernels::KvFormat;

/// Most files; beyond them the least valuable go as if bytes were short.
const SNAPSHOTS_MAX: usize = 4096;
/// A file that has not been finished for so long never will be.
const UNFINISHED_MAX: Duration = Duration::from_hours(1);
/// As in memory: a token there costs about twice the first.
const POSITION_DOUBLES: f64 = 8192.0;

/// A snapshot as people see it.
#[derive(Clone, Debug)]
pub struct SnapshotInfo {
    /// The file's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The model's name.
    pub model: String,
    /// What the rows depend on besides their tokens, in hexadecimal.
    pub kv_key: String,
    /// How they are kept.
    pub format: KvFormat,
    /// Tokens whose rows it has.
    pub tokens: usize,
    /// Position of the first of them: those before are in other snapshots.
    pub first_token: usize,
    /// Size of the file.
    pub bytes: u64,
    /// Since it was written.
    pub age: Duration,
    /// Since it was last used, or written.
    pub idle: Duration,
    /// How often it was used.
    pub hits: u64,
}

/// The directory, with the heads of its files as far as they were read.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    known: HashMap<String, Known>,
}

/// What makes a file worth keeping.
#[derive(Clone, Debug)]
struct Known {
    before: Option<String>,
    cost: f64,
}

/// A file that is there now.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    bytes: u64,
    hits: u64,
    used: SystemTime,
}

impl Shelf {
    /// The directory, made if it is not there, for its owner alone.
    pub(super) fn open(dir: &Path) -> Result<Self, std::io::Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // Whether files can be written shows only when one is.
        tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir)?;
        Ok(Self { dir: dir.to_owned(), known: HashMap::new() })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every usable snapshot under a key, those that begin first first. What does not verify is removed.
    pub(super) fn scan(&mut self, kv_key: &[u8; 32]) -> Vec<(Head, Snapshot)> {
        let mut found = Vec::new();
        for entry in entries(&self.dir) {
            match snapshot::read_head(&self.dir.join(&entry.name)) {
                Ok((head, snapshot)) => {
                    self.known.insert(entry.name.clone(), Known::from(&head));
                    if head.kv_key == *kv_key && entry.name == file_name(&snapshot.id) {
                        found.push((head, snapshot));
                    }
                }
                Err(error) => discard(&self.dir.join(&entry.name), &error),
            }
        }
        found.sort_by_key(|(head, _)| head.start);
        found
    }

    /// Removes files until one of `head`'s and `bytes` fits into `bytes_max`. Returns those removed, and
    /// whether it fits: what `head` builds on is not removed.
    pub(super) fn make_room(&mut self, head: &Head, bytes: u64, bytes_max: u64) -> (Vec<Id>, bool) {
        let mut there = entries(&self.dir);
        for entry in &there {
            if !self.known.contains_key(&entry.name)
                && let Ok((head, _)) = snapshot::read_head(&self.dir.join(&entry.name))
            {
                self.known.insert(entry.name.clone(), Known::from(&head));
            }
        }
        let names: HashSet<_> = there.iter().map(|e| e.name.as_str()).collect();
        self.known.retain(|name, _| names.contains(name.as_str()));
        let kept = self.chain(head.before.as_ref());
        let (mut removed, now) = (Vec::new(), SystemTime::now());
        let mut used: u64 = there.iter().map(|e| e.bytes).sum();
        while used + bytes > bytes_max || there.len() >= SNAPSHOTS_MAX {
            let Some(worst) = self.least_valuable(&there, &kept, now) else { return (removed, false) };
            let entry = there.swap_remove(worst);
            used -= entry.bytes;
            remove(&self.dir.join(&entry.name));
            self.known.remove(&entry.name);
            removed.extend(id_of(&entry.name));
        }
        (removed, true)
    }

    /// A snapshot was written.
    pub(super) fn add(&mut self, head: &Head) {
        self.known.insert(file_name(&head.id()), Known::from(head));
    }

    /// Counts one use of a file.
    pub(super) fn used(&self, id: &Id) {
        let mut open = File::options();
        open.create(true).append(true).mode(0o600);
        // A count that cannot be kept makes the file look less valuable, which is all.
        let _ = open
            .open(self.dir.join(file_name(id)).with_extension("hits"))
            .and_then(|mut f| f.write_all(b"."));
    }

    /// The names of the files that a snapshot builds on.
    fn chain(&self, before: Option<&Id>) -> HashSet<String> {
        let mut chain = HashSet::new();
        let mut next = before.map(file_name);
        // A name is inserted once, so also a ring ends.
        while let Some(name) = next.take() {
            next = self.known.get(&name).and_then(|known| known.before.clone());
            if !chain.insert(name) {
                break;
            }
        }
        chain
    }

    /// The file with the most bytes x age / cost, of those nothing builds on; one that nothing can lead to before all.
    fn least_valuable(&self, there: &[Entry], kept: &HashSet<String>, now: SystemTime) -> Option<usize> {
        let names: HashSet<_> = there.iter().map(|e| e.name.as_str()).collect();
        let built_on: HashSet<_> =
            there.iter().filter_map(|e| self.known.get(&e.name)?.before.as_ref()).collect();
        let score = |entry: &Entry| {
            let Some(known) = self.known.get(&entry.name) else { return f64::INFINITY };
            if known.before.as_ref().is_some_and(|b| !names.contains(b.as_str())) {
                return f64::INFINITY;
            }
            let age_s = now.duration_since(entry.used).unwrap_or_default().as_secs_f64() + 1.0;
            entry.bytes as f64 * age_s / known.cost
        };
        let removable = |e: &Entry| !kept.contains(&e.name) && !built_on.contains(&e.name);
        let candidates = (0..there.len()).filter(|&n| removable(&there[n]));
        candidates.max_by(|&a, &b| score(&there[a]).total_cmp(&score(&there[b])))
    }
}

impl From<&Head> for Known {
    fn from(head: &Head) -> Self {
        let tokens = (head.ids.len() - head.start) as f64;
        let cost = tokens * (1.0 + head.start as f64 / POSITION_DOUBLES) * head.model_bytes.max(1) as f64;
        Self { before: head.before.as_ref().map(file_name), cost }
    }
}

/// Removes a file that cannot be used and says so.
pub(super) fn discard(path: &Path, error: &SnapshotError) {
    let name = path.file_name().unwrap_or_default().display();
    if matches!(error, SnapshotError::Io(e) if e.kind() == std::io::ErrorKind::NotFound) {
        tracing::debug!("the snapshot {name} is gone; its tokens are computed again");
        return;
    }
    tracing::warn!("the snapshot {name} is discarded and its tokens are computed again: {error}");
    remove(path);
}

fn remove(path: &Path) {
    // One that is not there any more, or cannot be removed, is not counted on either.
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_file(path.with_extension("hits"));
}

/// The snapshots of a directory; none where there is no such directory. What nobody finished is removed.
fn entries(dir: &Path) -> Vec<Entry> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, Ok(data)) = (file.path(), file.metadata()) else { continue };
        let Ok(name) = file.file_name().into_string() else { continue };
        let modified = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if name.starts_with(UNFINISHED) && modified.elapsed().unwrap_or_default() > UNFINISHED_MAX {
            let _ = std::fs::remove_file(&path);
        }
        if path.extension().is_some_and(|e| e == "hits") && !path.with_extension(EXTENSION).exists() {
            let _ = std::fs::remove_file(&path);
        }
        if data.is_file() && path.extension().is_some_and(|e| e == EXTENSION) {
            let hits = std::fs::metadata(path.with_extension("hits")).ok();
            let used = hits.as_ref().and_then(|h| h.modified().ok()).unwrap_or(modified);
            found.push(Entry { name, bytes: data.len(), hits: hits.map_or(0, |h| h.len()), used });
        }
    }
    found
}

/// All snapshots of a directory, the most recently used first. Damaged ones are left out.
pub fn list(dir: &Path) -> Vec<SnapshotInfo> {
    let now = SystemTime::now();
    let mut found: Vec<_> = entries(dir)
        .into_iter()
        .filter_map(|entry| {
            let path = dir.join(&entry.name);
            let (head, _) = snapshot::read_head(&path).ok()?;
            let created =
                SystemTime::UNIX_EPOCH + Duration::from_secs(head.created_s.min(u64::from(u32::MAX)));
            Some(SnapshotInfo {
                name: entry.name,
                path,
                model: head.model,
                kv_key: blake3::Hash::from_bytes(head.kv_key).to_hex().to_string(),
                format: head.shape.format,
                tokens: head.ids.len() - head.start,
                first_token: head.start,
                bytes: entry.bytes,
                age: now.duration_since(created).unwrap_or_default(),
                idle: now.duration_since(entry.used).unwrap_or_default(),
                hits: entry.hits,
            })
        })
        .collect();
    found.sort_by(|a, b| a.idle.cmp(&b.idle).then_with(|| a.name.cmp(&b.name)));
    found
}

/// Names of the snapshots that go first when room is needed, in that order, at most `count`. What an engine is about to build
/// on stays, and nobody here knows what that is.
pub fn next_out(dir: &Path, count: usize) -> Vec<String> {
    let mut there = entries(dir);
    let head = |entry: &Entry| snapshot::read_head(&dir.join(&entry.name)).ok();
    let known = there.iter().filter_map(|e| Some((e.name.clone(), Known::from(&head(e)?.0)))).collect();
    let mut shelf = Shelf { dir: dir.to_owned(), known };
    let (mut out, now) = (Vec::new(), SystemTime::now());
    while out.len() < count
        && let Some(worst) = shelf.least_valuable(&there, &HashSet::new(), now)
    {
        let entry = there.swap_remove(worst);
        shelf.known.remove(&entry.name);
        out.push(entry.name);
    }
    out
}

/// Removes all snapshots of a directory, also under running engines. Returns how many and their bytes.
pub fn flush(dir: &Path) -> (usize, u64) {
    let all = entries(dir);
    all.iter().for_each(|entry| remove(&dir.join(&entry.name)));
    (all.len(), all.iter().map(|entry| entry.bytes).sum())
}

/// Reads every snapshot of a directory whole. Those that are damaged are removed and returned with the reason.
pub fn verify(dir: &Path) -> (usize, Vec<(String, SnapshotError)>) {
    let all = entries(dir);
    let count = all.len();
    let damaged: Vec<_> = all
        .into_iter()
        .filter_map(|entry| Some((snapshot::verify(&dir.join(&entry.name)).err()?, entry.name)))
        .map(|(error, name)| (name, error))
        .collect();
    damaged.iter().for_each(|(name, _)| remove(&dir.join(name)));
    (count, damaged)
}
