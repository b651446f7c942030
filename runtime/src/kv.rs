//! The keys and values of one sequence: contiguous f16 rows per layer, grown on demand, truncated in O(1).

use half::f16;

/// Rows a buffer grows by.
const GROW_ROWS: usize = 512;

/// Keys and values of all layers for a sequence of token ids.
#[derive(Default)]
pub(crate) struct SequenceKv {
    /// The tokens whose rows are present, in order.
    pub ids: Vec<u32>,
    layers: Vec<LayerKv>,
    row: usize,
}

/// One layer: row `p` belongs to position `p`; each row holds all KV heads.
#[derive(Default)]
pub(crate) struct LayerKv {
    pub k: Vec<f16>,
    pub v: Vec<f16>,
}

impl SequenceKv {
    pub(crate) fn new(layers: usize, row: usize) -> Self {
        Self { ids: Vec::new(), layers: (0..layers).map(|_| LayerKv::default()).collect(), row }
    }

    /// Forgets everything from position `len` on; later rows are overwritten, not freed.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
    }

    /// Writes rows at position `at` of a layer and returns the layer.
    pub(crate) fn write(&mut self, layer: usize, at: usize, k: &[f16], v: &[f16]) -> &LayerKv {
        let (start, end) = (at * self.row, at * self.row + k.len());
        let layer = &mut self.layers[layer];
        if layer.k.len() < end {
            let rows = (end / self.row).next_multiple_of(GROW_ROWS);
            layer.k.resize(rows * self.row, f16::ZERO);
            layer.v.resize(rows * self.row, f16::ZERO);
        }
        layer.k[start..end].copy_from_slice(k);
        layer.v[start..end].copy_from_slice(v);
        layer
    }

    /// Becomes a copy of the first `len` tokens of `other`: a branch that leaves its origin usable.
    pub(crate) fn copy_prefix(&mut self, other: &Self, len: usize) {
        self.ids = other.ids[..len].to_vec();
        let used = len * self.row;
        for (mine, theirs) in self.layers.iter_mut().zip(&other.layers) {
            mine.k = theirs.k[..used].to_vec();
            mine.v = theirs.v[..used].to_vec();
        }
    }
}

/// Tokens that `a` and `b` begin with alike, compared one by one.
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
