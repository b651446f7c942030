//! The keys and values of the live sequence: contiguous rows per layer, so that attention needs no page table.
//!
//! Buffers are anonymous maps and at least double when they grow. The system commits such memory when it is first
//! touched, so room for a long sequence costs nothing until there is one.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut, Range};

use memmap2::MmapMut;

use super::page::Shape;

/// Rows a buffer has at first.
const ROWS_MIN: usize = 1024;

/// Keys and values of all layers for a sequence of token ids.
#[derive(Default)]
pub(crate) struct SequenceKv {
    /// The tokens whose rows are present, in order.
    pub ids: Vec<u32>,
    layers: Vec<LayerKv>,
    row_bytes: usize,
}

/// One layer: row `p` belongs to position `p`; each row holds all KV heads.
#[derive(Default)]
pub(crate) struct LayerKv {
    pub k: Rows,
    pub v: Rows,
}

/// A buffer of rows, a slice to those who read and write it.
#[derive(Default)]
pub(crate) struct Rows(Option<MmapMut>);

/// Consecutive rows of every layer, keys and values, to be filled.
pub(super) struct RowsMut<'a>(Vec<[&'a mut [u8]; 2]>);

impl SequenceKv {
    pub(crate) fn new(shape: Shape) -> Self {
        let layers = (0..shape.layers).map(|_| LayerKv::default()).collect();
        Self { ids: Vec::new(), layers, row_bytes: shape.row_bytes() }
    }

    /// Forgets everything from position `len` on; later rows are overwritten, not freed.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
    }

    /// Writes rows at position `at` of a layer and returns the layer.
    pub(crate) fn write(&mut self, layer: usize, at: usize, k: &[u8], v: &[u8]) -> &LayerKv {
        let (start, end) = (at * self.row_bytes, at * self.row_bytes + k.len());
        let layer = &mut self.layers[layer];
        layer.reserve(end, start, self.row_bytes);
        layer.k[start..end].copy_from_slice(k);
        layer.v[start..end].copy_from_slice(v);
        layer
    }

    /// Appends the rows that another sequence has between the end of this one and position `end`, up to which their ids are
    /// the same.
    pub(crate) fn copy_from(&mut self, other: &Self, end: usize) {
        let start = self.ids.len();
        debug_assert!(other.ids[..start] == self.ids && self.row_bytes == other.row_bytes);
        for (mine, theirs) in self.layers.iter_mut().zip(&other.layers) {
            let range = start * self.row_bytes..end * self.row_bytes;
            mine.reserve(range.end, range.start, self.row_bytes);
            mine.k[range.clone()].copy_from_slice(&theirs.k[range.clone()]);
            mine.v[range.clone()].copy_from_slice(&theirs.v[range]);
        }
        self.ids.extend_from_slice(&other.ids[start..end]);
    }

    /// Keys and values of some positions of a layer.
    pub(crate) fn rows(&self, layer: usize, positions: Range<usize>) -> [&[u8]; 2] {
        let range = positions.start * self.row_bytes..positions.end * self.row_bytes;
        let LayerKv { k, v } = &self.layers[layer];
        [&k[range.clone()], &v[range]]
    }

    /// A page's worth of rows, in the order of [`Shape`].
    pub(crate) fn copy_out(&self, from: usize, to: usize) -> Vec<u8> {
        let range = from * self.row_bytes..to * self.row_bytes;
        let mut out = Vec::with_capacity(2 * self.layers.len() * range.len());
        for layer in &self.layers {
            out.extend_from_slice(&layer.k[range.clone()]);
            out.extend_from_slice(&layer.v[range.clone()]);
        }
        out
    }

    /// The rows from `from` on as consecutive parts of the given lengths, made room for. `ids` does not change.
    pub(super) fn parts_mut(&mut self, from: usize, rows: &[usize]) -> Vec<RowsMut<'_>> {
        let row = self.row_bytes;
        let end = (from + rows.iter().sum::<usize>()) * row;
        let mut parts: Vec<_> = rows.iter().map(|_| RowsMut(Vec::with_capacity(self.layers.len()))).collect();
        for layer in &mut self.layers {
            layer.reserve(end, from * row, row);
            let (mut k, mut v) = (&mut layer.k[from * row..end], &mut layer.v[from * row..end]);
            for (part, rows) in parts.iter_mut().zip(rows) {
                let ((k_part, k_rest), (v_part, v_rest)) =
                    (k.split_at_mut(rows * row), v.split_at_mut(rows * row));
                part.0.push([k_part, v_part]);
                (k, v) = (k_rest, v_rest);
            }
        }
        parts
    }
}

impl LayerKv {
    /// Makes room for `len` bytes; of the old ones the first `used` are kept.
    fn reserve(&mut self, len: usize, used: usize, row: usize) {
        if self.k.len() >= len {
            return;
        }
        let room = len.max(2 * self.k.len()).max(ROWS_MIN * row);
        for buffer in [&mut self.k, &mut self.v] {
            let mut larger = Rows::zeroed(room);
            let used = used.min(buffer.len());
            larger[..used].copy_from_slice(&buffer[..used]);
            *buffer = larger;
        }
    }
}

impl Rows {
    fn zeroed(len: usize) -> Self {
        let Ok(map) = MmapMut::map_anon(len) else {
            handle_alloc_error(Layout::array::<u8>(len).unwrap_or(Layout::new::<u8>()));
        };
        // Fewer faults where the system has huge pages; the same bytes where not.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Self(Some(map))
    }
}

impl Deref for Rows {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |map| map)
    }
}

impl DerefMut for Rows {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_mut().map_or(&mut [], |map| map)
    }
}

impl RowsMut<'_> {
    /// Fills the rows from those of a page that begin at its row `offset`.
    pub(super) fn fill(&mut self, page: &[u8], page_rows: usize, offset: usize, shape: Shape) {
        let pieces = page.chunks_exact(page_rows * shape.row_bytes());
        for (mine, theirs) in self.0.iter_mut().flatten().zip(pieces) {
            let start = offset * shape.row_bytes();
            mine.copy_from_slice(&theirs[start..start + mine.len()]);
        }
    }
}

/// Tokens that `a` and `b` begin with alike, compared one by one.
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
