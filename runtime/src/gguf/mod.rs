//! Reading GGUF files, behind limits: every count, length, offset and product is checked before it is believed.
//!
//! The tensor library's own reader panics on a zero alignment, accepts overlapping and overflowing tensors and can
//! need thirty times a metadata array's size; none of its parsing is used. Format: the GGUF specification, versions
//! 2 and 3, little endian.

mod cursor;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::quantized::GgmlDType;

use crate::error::Error;
use cursor::Cursor;

/// Most tensors, and most metadata keys.
const ENTRIES_MAX: u64 = 65_536;
/// Longest key or tensor name.
const KEY_BYTES_MAX: u64 = 1 << 10;
/// Longest string.
const STRING_BYTES_MAX: u64 = 16 << 20;
/// Most elements of an array.
const ARRAY_LEN_MAX: u64 = 1 << 22;
/// Nesting of arrays.
const ARRAY_DEPTH_MAX: u32 = 2;
/// Largest header that is read; real ones with 150,000 tokens and merges have about 6 MiB.
const HEADER_BYTES_MAX: u64 = 256 << 20;
/// Bytes of the header read at first; more is read when the header turns out longer.
const HEADER_BYTES_FIRST: u64 = 16 << 20;
/// Most dimensions of a tensor.
const DIMS_MAX: u32 = 4;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any integer that is not negative.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// 32 or 64 bits.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    String(String),
    /// Elements of one type.
    Array(Vec<Value>),
}

/// Where a tensor lies and what it looks like.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Dimensions, outermost first (the reverse of the file's order).
    pub dims: Vec<usize>,
    /// Element format.
    pub dtype: GgmlDType,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// A validated header.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// All metadata.
    pub metadata: BTreeMap<String, Value>,
    /// All tensors.
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// A GGUF file with a validated header.
#[derive(Debug)]
pub struct Gguf {
    /// Its header.
    pub header: Header,
    /// Its size.
    pub file_bytes: u64,
    file: File,
    /// Of each part of a tensor that was read, by its offset: what was read, whatever happens to the file afterwards.
    digests: Mutex<BTreeMap<u64, blake3::Hash>>,
}

impl Gguf {
    /// Opens and validates `path`. Tensor data is not read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |e: std::io::Error| Error::Io { path: path.to_owned(), message: e.to_string() };
        let file = File::open(path).map_err(io)?;
        let file_bytes = file.metadata().map_err(io)?.len();
        let mut want = HEADER_BYTES_FIRST.min(file_bytes);
        loop {
            let mut bytes = vec![0; want as usize];
            file.read_exact_at(&mut bytes, 0).map_err(io)?;
            match parse(&bytes, file_bytes) {
                // The header may go on behind what was read.
                Err(_) if want < file_bytes.min(HEADER_BYTES_MAX) => {
                    want = (want * 4).min(file_bytes).min(HEADER_BYTES_MAX);
                }
                Err(error) => return Err(error),
                Ok(header) => return Ok(Self { header, file_bytes, file, digests: Mutex::default() }),
            }
        }
    }

    /// The bytes of a tensor.
    pub fn read(&self, info: &TensorInfo) -> Result<Vec<u8>, Error> {
        self.read_part(info, 0..info.bytes as usize)
    }

    /// A range of the bytes of a tensor. Which ranges a tensor is read in is a part of its digest.
    pub fn read_part(&self, info: &TensorInfo, range: Range<usize>) -> Result<Vec<u8>, Error> {
        let at = info.offset + range.start as u64;
        let bytes = read_part(&self.file, info, range)?;
        let digest = blake3::hash(&bytes);
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(at, digest);
        Ok(bytes)
    }

    /// A way to read a tensor's bytes later. They are read once now, to know them again.
    pub fn tensor_file(&self, info: &TensorInfo) -> Result<TensorFile, Error> {
        let kept = |e: std::io::Error| Error::BadGguf(format!("it cannot be kept open: {e}"));
        let file = self.file.try_clone().map_err(kept)?;
        let changed = changed_at(&file).map_err(kept)?;
        let digest = blake3::hash(&self.read(info)?);
        Ok(TensorFile { file, info: info.clone(), digest, changed: Mutex::new(changed) })
    }

    /// Digest of all tensors: of the bytes that were read where one was, of the file's where not. The bytes go through
    /// memory anyway, so no digest has to be remembered, and a file that is changed in place cannot have an old one.
    pub fn weights_digest(&self) -> Result<[u8; 32], Error> {
        let mut hasher = blake3::Hasher::new();
        for (name, info) in &self.header.tensors {
            let known = || -> Vec<_> {
                let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
                digests
                    .range(info.offset..info.offset + info.bytes)
                    .map(|(at, d)| (at - info.offset, *d))
                    .collect()
            };
            let mut parts = known();
            if parts.is_empty() {
                self.read(info)?;
                parts = known();
            }
            hasher.update(format!("{name}\0{:?}\0{:?}\0", info.dims, info.dtype).as_bytes());
            for (at, digest) in parts {
                hasher.update(&at.to_le_bytes());
                hasher.update(digest.as_bytes());
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }
}

/// A tensor in an open file.
#[derive(Debug)]
pub struct TensorFile {
    /// Where it lies.
    pub info: TensorInfo,
    file: File,
    digest: blake3::Hash,
    /// When the file was last found to hold these bytes, by its own clock.
    changed: Mutex<(i64, i64)>,
}

impl TensorFile {
    /// A range of the tensor's bytes.
    pub fn read_part(&self, range: Range<usize>) -> Result<Vec<u8>, Error> {
        read_part(&self.file, &self.info, range)
    }

    /// An error if the tensor is not what it was when it was opened. Costs one system call as long as nobody touched
    /// the file, and reading the tensor where somebody did: the time is that of the last change of any kind, which
    /// nobody can set back.
    pub fn is_as_opened(&self) -> Result<(), Error> {
        let gone = |e: std::io::Error| Error::BadGguf(format!("the model file cannot be looked at: {e}"));
        let mut seen = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = changed_at(&self.file).map_err(gone)?;
        if now != *seen {
            if blake3::hash(&self.read_part(0..self.info.bytes as usize)?) != self.digest {
                return Err(Error::BadGguf("the model file was changed while it is in use".to_owned()));
            }
            *seen = now;
        }
        Ok(())
    }
}

fn changed_at(file: &File) -> std::io::Result<(i64, i64)> {
    let about = file.metadata()?;
    Ok((about.ctime(), about.ctime_nsec()))
}

fn read_part(file: &File, info: &TensorInfo, range: Range<usize>) -> Result<Vec<u8>, Error> {
    if range.end as u64 > info.bytes {
        return Err(Error::BadGguf(format!("{range:?} is not within a tensor of {} bytes", info.bytes)));
    }
    let mut bytes = vec![0; range.len()];
    file.read_exact_at(&mut bytes, info.offset + range.start as u64)
        .map_err(|e| Error::BadGguf(format!("tensor data cannot be read: {e}")))?;
    Ok(bytes)
}

impl Header {
    /// Text of a key.
    pub fn string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// An integer of a key that is not negative.
    pub fn unsigned(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            Value::Unsigned(number) => Some(*number),
            _ => None,
        }
    }

    /// A number of a key.
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            Value::Float(number) => Some(*number),
            Value::Unsigned(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// True or false of a key.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The array of a key.
    pub fn array(&self, key: &str) -> Option<&[Value]> {
        match self.metadata.get(key)? {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }
}

fn bad(what: impl Into<String>) -> Error {
    Error::BadGguf(what.into())
}

/// Parses and validates a header out of the first bytes of a file of `file_bytes`. Never panics.
pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Header, Error> {
    let mut cursor = Cursor::new(bytes);
    let magic = cursor.take(4).map_err(|_| Error::NotGguf { found: bytes.to_vec() })?;
    if magic != b"GGUF" {
        return Err(Error::NotGguf { found: magic.to_vec() });
    }
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        return Err(bad(format!("version {version} is not 2 or 3")));
    }
    let tensor_count = cursor.count("tensors", ENTRIES_MAX)?;
    let key_count = cursor.count("metadata keys", ENTRIES_MAX)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..key_count {
        let key = cursor.string(KEY_BYTES_MAX)?;
        let kind = cursor.u32()?;
        let value = value(&mut cursor, kind, 0)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(bad(format!("key {key} is given twice")));
        }
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Value::Unsigned(n)) if n.is_power_of_two() && (8..=4096).contains(n) => *n,
        Some(other) => return Err(bad(format!("alignment {other:?} is not a power of two from 8 to 4096"))),
    };
    let mut raw = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..tensor_count {
        let (name, info) = tensor(&mut cursor)?;
        if !names.insert(name.clone()) {
            return Err(bad(format!("tensor {name} is given twice")));
        }
        raw.push((name, info));
    }
    let data_start = (cursor.position() as u64).next_multiple_of(alignment);
    let tensors = place(raw, data_start, alignment, file_bytes)?;
    Ok(Header { metadata, tensors })
}

fn value(cursor: &mut Cursor<'_>, kind: u32, depth: u32) -> Result<Value, Error> {
    let signed = |n: i64| u64::try_from(n).map_or(Value::Signed(n), Value::Unsigned);
    Ok(match kind {
        0 => Value::Unsigned(u64::from(cursor.take(1)?[0])),
        1 => signed(i64::from(cursor.take(1)?[0].cast_signed())),
        2 => Value::Unsigned(u64::from(cursor.u16()?)),
        3 => signed(i64::from(cursor.u16()?.cast_signed())),
        4 => Value::Unsigned(u64::from(cursor.u32()?)),
        5 => signed(i64::from(cursor.u32()?.cast_signed())),
        6 => Value::Float(f64::from(f32::from_bits(cursor.u32()?))),
        7 => match cursor.take(1)?[0] {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            other => return Err(bad(format!("{other} is not a truth value"))),
        },
        8 => Value::String(cursor.string(STRING_BYTES_MAX)?),
        9 if depth < ARRAY_DEPTH_MAX => {
            let kind = cursor.u32()?;
            let len = cursor.count("array elements", ARRAY_LEN_MAX)?;
            let mut values = Vec::new();
            for _ in 0..len {
                values.push(value(cursor, kind, depth + 1)?);
            }
            Value::Array(values)
        }
        9 => return Err(bad("arrays are nested too deep")),
        10 => Value::Unsigned(cursor.u64()?),
        11 => signed(cursor.u64()?.cast_signed()),
        12 => Value::Float(f64::from_bits(cursor.u64()?)),
        other => return Err(bad(format!("metadata type {other} is not known"))),
    })
}

/// A tensor's name and description; its offset is still relative to the data section.
fn tensor(cursor: &mut Cursor<'_>) -> Result<(String, TensorInfo), Error> {
    let name = cursor.string(KEY_BYTES_MAX)?;
    let rank = cursor.u32()?;
    if !(1..=DIMS_MAX).contains(&rank) {
        return Err(bad(format!("tensor {name} has {rank} dimensions")));
    }
    let mut dims = Vec::new();
    let mut elements: u64 = 1;
    for _ in 0..rank {
        let dim = cursor.u64()?;
        elements = elements
            .checked_mul(dim)
            .filter(|n| dim > 0 && usize::try_from(*n).is_ok())
            .ok_or_else(|| bad(format!("tensor {name} has an impossible size")))?;
        dims.push(dim as usize);
    }
    let number = cursor.u32()?;
    let dtype =
        dtype(number).ok_or_else(|| Error::UnsupportedTensor { tensor: name.clone(), dtype: number })?;
    let block = dtype.block_size() as u64;
    if !(dims[0] as u64).is_multiple_of(block) {
        return Err(bad(format!("tensor {name} has rows of {} elements, blocks of {block}", dims[0])));
    }
    let bytes = (elements / block)
        .checked_mul(dtype.type_size() as u64)
        .ok_or_else(|| bad(format!("tensor {name} has an impossible size")))?;
    dims.reverse();
    Ok((name, TensorInfo { dims, dtype, offset: cursor.u64()?, bytes }))
}

/// Turns offsets absolute and checks that tensors are aligned, inside the file and apart from each other.
fn place(
    raw: Vec<(String, TensorInfo)>,
    data_start: u64,
    alignment: u64,
    file_bytes: u64,
) -> Result<BTreeMap<String, TensorInfo>, Error> {
    let mut placed = Vec::new();
    for (name, mut info) in raw {
        if !info.offset.is_multiple_of(alignment) {
            return Err(bad(format!("tensor {name} is not aligned")));
        }
        let end = info.offset.checked_add(data_start).and_then(|start| start.checked_add(info.bytes));
        if end.is_none_or(|end| end > file_bytes) {
            return Err(bad(format!("tensor {name} goes past the end of the file; it may be cut short")));
        }
        info.offset += data_start;
        placed.push((name, info));
    }
    placed.sort_by_key(|(_, info)| info.offset);
    for pair in placed.windows(2) {
        if pair[0].1.offset + pair[0].1.bytes > pair[1].1.offset {
            return Err(bad(format!("tensors {} and {} overlap", pair[0].0, pair[1].0)));
        }
    }
    Ok(placed.into_iter().collect())
}

fn dtype(number: u32) -> Option<GgmlDType> {
    Some(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Builds small GGUF files, good and bad.
    struct Builder {
        version: u32,
        tensors: Vec<(&'static str, Vec<u64>, u32, u64)>,
        alignment: Option<u32>,
        counts: Option<(u64, u64)>,
    }

    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }

    impl Builder {
        fn good() -> Self {
            let tensors = vec![("a", vec![4, 2], 0, 0), ("b", vec![32], 8, 32)];
            Self { version: 3, tensors, alignment: Some(32), counts: None }
        }

        fn bytes(&self) -> Vec<u8> {
            let mut out = b"GGUF".to_vec();
            out.extend(self.version.to_le_bytes());
            let keys = 2 + u64::from(self.alignment.is_some());
            let (tensors, keys) = self.counts.unwrap_or((self.tensors.len() as u64, keys));
            out.extend(tensors.to_le_bytes());
            out.extend(keys.to_le_bytes());
            if let Some(alignment) = self.alignment {
                text(&mut out, "general.alignment");
                out.extend(4u32.to_le_bytes());
                out.extend(alignment.to_le_bytes());
            }
            text(&mut out, "general.architecture");
            out.extend(8u32.to_le_bytes());
            text(&mut out, "llama");
            text(&mut out, "tokens");
            out.extend(9u32.to_le_bytes());
            out.extend(8u32.to_le_bytes());
            out.extend(2u64.to_le_bytes());
            text(&mut out, "x");
            text(&mut out, "y");
            for (name, dims, kind, offset) in &self.tensors {
                text(&mut out, name);
                out.extend((dims.len() as u32).to_le_bytes());
                dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
                out.extend(kind.to_le_bytes());
                out.extend(offset.to_le_bytes());
            }
            out.resize(out.len().next_multiple_of(32) + 32 + 34, 7);
            out
        }
    }

    fn parsed(builder: &Builder) -> Result<Header, Error> {
        let bytes = builder.bytes();
        parse(&bytes, bytes.len() as u64)
    }

    #[test]
    fn a_good_file() {
        let header = parsed(&Builder::good()).unwrap();
        assert_eq!(header.string("general.architecture"), Some("llama"));
        assert_eq!(header.array("tokens").unwrap().len(), 2);
        assert_eq!(header.tensors["a"].dims, [2, 4]);
        assert_eq!(header.tensors["b"].offset, header.tensors["a"].offset + 32);
    }

    type Change = fn(&mut Builder);

    #[test]
    fn hostile_files_are_refused() {
        let cases: Vec<(&str, Change)> = vec![
            ("version", |b| b.version = 1),
            ("version", |b| b.version = u32::MAX),
            ("alignment", |b| b.alignment = Some(0)),
            ("alignment", |b| b.alignment = Some(7)),
            ("alignment", |b| b.alignment = Some(1 << 20)),
            ("tensors", |b| b.counts = Some((u64::MAX, 3))),
            ("metadata keys", |b| b.counts = Some((0, u64::MAX))),
            ("over the limit", |b| b.counts = Some((60_000, 3))),
            ("twice", |b| b.tensors[1].0 = "a"),
            ("overlap", |b| b.tensors[1].3 = 0),
            ("aligned", |b| b.tensors[1].3 = 33),
            ("past the end", |b| b.tensors[1].3 = 1 << 40),
            ("past the end", |b| b.tensors[1].3 = u64::MAX - 31),
            ("impossible size", |b| b.tensors[0].1 = vec![1 << 40, 1 << 40]),
            ("impossible size", |b| b.tensors[0].1 = vec![4, 0]),
            ("impossible size", |b| b.tensors[0].1 = vec![1 << 63, 2]),
            ("0 dimensions", |b| b.tensors[0].1.clear()),
            ("5 dimensions", |b| b.tensors[0].1 = vec![1; 5]),
            ("blocks of 32", |b| b.tensors[1].1 = vec![31]),
            ("type 99", |b| b.tensors[0].2 = 99),
        ];
        for (expected, change) in cases {
            let mut builder = Builder::good();
            change(&mut builder);
            let error = parsed(&builder).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert!(matches!(parse(b"GG", 2), Err(Error::NotGguf { .. })));
        assert!(matches!(parse(b"<html>", 6), Err(Error::NotGguf { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), cut in any::<prop::sample::Index>()) {
            let mut bytes = Builder::good().bytes();
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let whole = bytes.len() as u64;
            let _ = parse(&bytes, whole);
            let cut = cut.index(bytes.len());
            let _ = parse(&bytes[..cut], cut as u64);
        }
    }
}
