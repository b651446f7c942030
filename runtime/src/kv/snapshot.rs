//! A snapshot: one file with consecutive pages of a remembered sequence.
//!
//! The head holds what the pages are of, all token ids up to their end, and a checksum of each page; its own checksum
//! is its last 8 bytes. Pages follow without gaps, as they are in memory. Numbers are little endian; that pages have
//! the machine's byte order is part of the key.
//!
//! ```text
//! 0    8  magic and version              72  8  position of the first row
//! 8   32  kv_key                         80  8  position behind the last row
//! 40  16  snapshot before this, or 0     88  8  seconds since 1970 when it was written
//! 56   4  layers                         96  8  bytes of the model's file
//! 60   4  elements of a row             104 64  name of the model
//! 64   4  pages                         168     token ids, 4 each
//! 68   4  format: 1 f16, 2 q8_0                  pages: rows 4, checksum 8
//!                                               zeros, up to a multiple of 4096 with the checksum
//! ```

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::page::{PAGE_TOKENS, Shape};
use crate::kernels::KvFormat;

const MAGIC: &[u8; 8] = b"EDVACKV1";
const FIXED_BYTES: usize = 168;
const MODEL_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 8;
const ENTRY_BYTES: usize = 12;
const HEAD_ALIGNMENT: usize = 4096;
/// Formats by their numbers, from 1 on.
const FORMATS: [KvFormat; 2] = [KvFormat::F16, KvFormat::Q8];
/// Longest sequence, most layers and widest row that are believed.
const TOKENS_MAX: u64 = 1 << 24;
const LAYERS_MAX: u32 = 1 << 12;
const ROW_MAX: u32 = 1 << 20;
/// What a file's name ends with.
pub(super) const EXTENSION: &str = "kv";
/// What the name of a file that is not finished begins with.
pub(super) const UNFINISHED: &str = ".unfinished-";

/// Why a file is not a snapshot that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The system.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It begins with something else, or is of another version.
    #[error("it is no snapshot of this version")]
    NotASnapshot,
    /// Its head contradicts itself, its checksum or the file's length.
    #[error("its head is damaged: {0}")]
    BadHead(&'static str),
    /// A page is not what its checksum says.
    #[error("page {0} is damaged")]
    BadPage(usize),
}

/// Bytes that a snapshot's name and the reference to it are made of.
pub(super) type Id = [u8; 16];

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// What the rows depend on besides the tokens.
    pub kv_key: [u8; 32],
    /// The snapshot that has the rows before these.
    pub before: Option<Id>,
    pub shape: Shape,
    /// Position of the first row.
    pub start: usize,
    /// All tokens from position 0 to the last row.
    pub ids: Vec<u32>,
    /// When it was written.
    pub created_s: u64,
    /// How large the model is: what computing the rows again costs.
    pub model_bytes: u64,
    /// The model's name, for people.
    pub model: String,
}

/// A snapshot that is on disk.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub id: Id,
    pub path: PathBuf,
    /// Position of the first row.
    pub start: usize,
    pub pages: Vec<Stored>,
}

/// A page of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub rows: usize,
    checksum: u64,
    offset: u64,
}

impl Head {
    /// Named by what is in it: whoever writes the same rows writes the same file.
    pub(super) fn id(&self) -> Id {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.kv_key).update(&(self.start as u64).to_le_bytes());
        hasher.update(bytemuck::cast_slice(&self.ids));
        let mut id = Id::default();
        hasher.finalize_xof().fill(&mut id);
        id
    }

    /// Bytes of the whole file.
    pub(super) fn file_bytes(&self, pages: usize) -> u64 {
        let rows = (self.ids.len() - self.start) as u64;
        head_bytes(self.ids.len(), pages) as u64 + rows * self.shape.token_bytes()
    }

    fn encode(&self, pages: &[Stored]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.kv_key);
        out.extend(self.before.unwrap_or_default());
        let format =
            FORMATS.iter().position(|format| *format == self.shape.format).expect("all are there") + 1;
        for number in [self.shape.layers, self.shape.row, pages.len(), format] {
            out.extend((number as u32).to_le_bytes());
        }
        for number in [self.start as u64, self.ids.len() as u64, self.created_s, self.model_bytes] {
            out.extend(number.to_le_bytes());
        }
        out.extend(&self.model.as_bytes()[..self.model.floor_char_boundary(MODEL_BYTES)]);
        out.resize(FIXED_BYTES, 0);
        self.ids.iter().for_each(|id| out.extend(id.to_le_bytes()));
        for page in pages {
            out.extend((page.rows as u32).to_le_bytes());
            out.extend(page.checksum.to_le_bytes());
        }
        out.resize(head_bytes(self.ids.len(), pages.len()) - CHECKSUM_BYTES, 0);
        out.extend(xxh3_64(&out).to_le_bytes());
        out
    }
}

/// The name of a snapshot's file.
pub(super) fn file_name(id: &Id) -> String {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.{EXTENSION}")
}

/// What a file's name says, if it is a snapshot's.
pub(super) fn id_of(name: &str) -> Option<Id> {
    let hex = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.as_bytes();
    if hex.len() != 2 * size_of::<Id>() {
        return None;
    }
    let mut id = Id::default();
    for (byte, pair) in id.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

fn head_bytes(tokens: usize, pages: usize) -> usize {
    (FIXED_BYTES + 4 * tokens + ENTRY_BYTES * pages + CHECKSUM_BYTES).next_multiple_of(HEAD_ALIGNMENT)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// Reads and checks a head. Nothing is allocated for a length that the file's own does not bear out.
pub(super) fn read_head(path: &Path) -> Result<(Head, Snapshot), SnapshotError> {
    let file = File::open(path)?;
    let file_bytes = file.metadata()?.len();
    let mut fixed = [0; FIXED_BYTES];
    if file_bytes < FIXED_BYTES as u64 {
        return Err(SnapshotError::NotASnapshot);
    }
    file.read_exact_at(&mut fixed, 0)?;
    let format = FORMATS.get((u32_at(&fixed, 68) as usize).wrapping_sub(1));
    let Some(format) = format.copied().filter(|_| &fixed[..8] == MAGIC) else {
        return Err(SnapshotError::NotASnapshot);
    };
    let (layers, row, page_count) = (u32_at(&fixed, 56), u32_at(&fixed, 60), u32_at(&fixed, 64));
    let (start, end) = (u64_at(&fixed, 72), u64_at(&fixed, 80));
    let plausible = (1..=LAYERS_MAX).contains(&layers) && (1..=ROW_MAX).contains(&row) && end <= TOKENS_MAX;
    if !plausible || start >= end || u64::from(page_count) > end - start {
        return Err(SnapshotError::BadHead("impossible sizes"));
    }
    let shape = Shape { layers: layers as usize, row: row as usize, format };
    let (start, end, page_count) = (start as usize, end as usize, page_count as usize);
    let head_bytes = head_bytes(end, page_count);
    let wanted = u128::from(shape.token_bytes()) * (end - start) as u128 + head_bytes as u128;
    if wanted != u128::from(file_bytes) {
        return Err(SnapshotError::BadHead("it is of another length"));
    }
    let mut bytes = vec![0; head_bytes];
    file.read_exact_at(&mut bytes, 0)?;
    let (said, checksum) = bytes.split_at(head_bytes - CHECKSUM_BYTES);
    if xxh3_64(said) != u64_at(checksum, 0) || said[..FIXED_BYTES] != fixed {
        return Err(SnapshotError::BadHead("its checksum is another"));
    }
    let ids: Vec<_> = (0..end).map(|n| u32_at(said, FIXED_BYTES + 4 * n)).collect();
    let mut offset = head_bytes as u64;
    let mut pages = Vec::with_capacity(page_count);
    let (mut at, table) = (start, FIXED_BYTES + 4 * end);
    for entry in (0..page_count).map(|n| table + ENTRY_BYTES * n) {
        let rows = u32_at(said, entry) as usize;
        // A page must not cross a boundary, or it could not be split and shared like one made here.
        if rows == 0 || rows > PAGE_TOKENS - at % PAGE_TOKENS {
            return Err(SnapshotError::BadHead("impossible pages"));
        }
        pages.push(Stored { rows, checksum: u64_at(said, entry + 4), offset });
        offset += rows as u64 * shape.token_bytes();
        at += rows;
    }
    if at != end {
        return Err(SnapshotError::BadHead("pages are missing"));
    }
    let model = &said[104..104 + MODEL_BYTES];
    let model = String::from_utf8_lossy(model).trim_end_matches('\0').to_owned();
    let before: Id = std::array::from_fn(|i| said[40 + i]);
    let head = Head {
        kv_key: std::array::from_fn(|i| said[8 + i]),
        before: (before != Id::default()).then_some(before),
        shape,
        start,
        ids,
        created_s: u64_at(said, 88),
        model_bytes: u64_at(said, 96),
        model,
    };
    let id = head.id();
    Ok((head, Snapshot { id, path: path.to_owned(), start, pages }))
}

/// Writes a snapshot so that it is there as a whole or not at all, also after a power cut.
pub(super) fn write(dir: &Path, head: &Head, pages: &[Arc<[u8]>]) -> Result<Snapshot, std::io::Error> {
    let mut offset = head_bytes(head.ids.len(), pages.len()) as u64;
    let stored: Vec<_> = pages
        .iter()
        .map(|page| {
            let rows = page.len() / head.shape.token_bytes() as usize;
            let stored = Stored { rows, checksum: xxh3_64(page), offset };
            offset += page.len() as u64;
            stored
        })
        .collect();
    // The library's temporary files are for their owner alone (0600), and removed when something fails.
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir)?;
    file.write_all(&head.encode(&stored))?;
    for page in pages {
        file.write_all(page)?;
    }
    file.as_file().sync_all()?;
    let id = head.id();
    let path = dir.join(file_name(&id));
    file.persist(&path).map_err(|e| e.error)?;
    File::open(dir)?.sync_all()?;
    Ok(Snapshot { id, path, start: head.start, pages: stored })
}

impl Snapshot {
    /// Reads a page into `page` and checks it. The file is read, not mapped: one that another process cuts short
    /// is an error here, and would be the end of the process there.
    pub(super) fn read_page(
        &self,
        file: &File,
        index: usize,
        shape: Shape,
        page: &mut Vec<u8>,
    ) -> Result<usize, SnapshotError> {
        let stored = self.pages[index];
        page.resize(stored.rows * shape.token_bytes() as usize, 0);
        file.read_exact_at(page, stored.offset)?;
        if xxh3_64(page) != stored.checksum {
            return Err(SnapshotError::BadPage(index));
        }
        Ok(stored.rows)
    }
}

/// Reads all of a snapshot and checks it.
pub(super) fn verify(path: &Path) -> Result<(), SnapshotError> {
    let (head, snapshot) = read_head(path)?;
    let file = File::open(path)?;
    let mut page = Vec::new();
    for index in 0..snapshot.pages.len() {
        snapshot.read_page(&file, index, head.shape, &mut page)?;
    }
    Ok(())
}
