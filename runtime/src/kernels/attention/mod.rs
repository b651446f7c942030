//! Causal attention of grouped queries over kept keys and values on the CPU.
//!
//! Online softmax over tiles of keys (Milakov and Gimelshein 2018; Dao et al. 2022). Keys are cut into spans that start
//! at multiples of [`SPAN`] from position 0; every query goes over the tiles of a span with fresh sums, and spans are
//! merged in order. So a result does not depend on how a prompt was split into chunks, and the spans of one late query
//! can be computed by several threads.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod format;
mod portable;

use std::cell::RefCell;
use std::ops::Range;
use std::sync::OnceLock;

use super::{Disjoint, team};
pub use format::KvFormat;

/// Keys converted to f32 at once: 32 rows of 128 keys and values are 32 KiB, which stays in the first-level cache.
const TILE: usize = 32;
/// Keys after which a query's sums start anew.
const SPAN: usize = 256;
/// Queries of one task; converting a tile is shared by them.
const QUERIES: usize = 16;
/// Heads are padded to a multiple of this, so that vectors are whole.
const PAD: usize = 64;
/// Most heads of a group for which rows are read as they are, once for all; for larger groups they are converted first.
const GROUP_MAX: usize = 8;
/// Largest padded head of the vector kernel.
const VECTOR_DIM_MAX: usize = 256;

/// Sizes of one attention call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Position of the first query; rows `0..first + queries` of keys and values are present.
    pub first: usize,
    /// How keys and values are kept; it takes `head_dim`.
    pub format: KvFormat,
}

impl AttentionShape {
    /// Elements of a padded head.
    fn padded(self) -> usize {
        let whole = self.head_dim.next_multiple_of(PAD);
        // The vector kernel is compiled for these lengths.
        if whole <= VECTOR_DIM_MAX { whole.next_power_of_two() } else { whole }
    }

    fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// A head of the rows from a position on.
    fn head_rows(self, bytes: &[u8], position: usize, head: usize) -> HeadRows<'_> {
        let elements = self.kv_heads * self.head_dim;
        let bytes = &bytes[position * self.format.row_bytes(elements)..];
        HeadRows { bytes, format: self.format, elements, first: head * self.head_dim }
    }
}

/// `q` is `[queries][heads][head_dim]`, `k` and `v` are `[positions]` rows of `[kv_heads][head_dim]` in the format; `out` is
/// shaped as `q`.
pub(crate) fn attention(q: &[f32], k: &[u8], v: &[u8], shape: AttentionShape, out: &mut [f32]) {
    let queries = q.len() / (shape.heads * shape.head_dim);
    let call = Call { q, k, v, shape };
    let out = Disjoint::new(out);
    let parts = queries.div_ceil(QUERIES);
    let spans = (shape.first + queries).div_ceil(SPAN);
    let tasks = shape.kv_heads * parts;
    if spans > 1 && tasks < 4 * team::threads() {
        // Few queries: one task per span, then the merging.
        let all: Vec<OnceLock<States>> = (0..tasks * spans).map(|_| OnceLock::new()).collect();
        team::for_each(tasks * spans, |n| {
            let (task, span) = (n / spans, n % spans);
            let range = part(task % parts, queries);
            let mut states = States::new(range.len() * shape.group(), shape.padded());
            call.span(task / parts, range, span, &mut states);
            let _ = all[n].set(states);
        });
        for (task, spans) in all.chunks_exact(spans).enumerate() {
            let range = part(task % parts, queries);
            let mut total = States::new(range.len() * shape.group(), shape.padded());
            spans.iter().filter_map(OnceLock::get).for_each(|span| total.merge(span));
            call.finish(task / parts, range, &total, &out);
        }
        return;
    }
    team::for_each(tasks, |task| {
        let range = part(task % parts, queries);
        let lanes = range.len() * shape.group();
        let (mut total, mut states) =
            (States::new(lanes, shape.padded()), States::new(lanes, shape.padded()));
        for span in 0..(shape.first + range.end).div_ceil(SPAN) {
            states.reset();
            call.span(task / parts, range.clone(), span, &mut states);
            total.merge(&states);
        }
        call.finish(task / parts, range, &total, &out);
    });
}

fn part(n: usize, queries: usize) -> Range<usize> {
    n * QUERIES..((n + 1) * QUERIES).min(queries)
}

/// Softmax in progress: for each query and each of its heads in a group, the largest score so far, and the sum of
/// weights and of weighted values relative to it.
struct States {
    max: Vec<f32>,
    sum: Vec<f32>,
    /// `[lane][padded head]`
    out: Vec<f32>,
    dim: usize,
}

impl States {
    fn new(lanes: usize, dim: usize) -> Self {
        Self { max: vec![f32::NEG_INFINITY; lanes], sum: vec![0.0; lanes], out: vec![0.0; lanes * dim], dim }
    }

    fn lanes(&mut self, range: Range<usize>) -> Lanes<'_> {
        let out = &mut self.out[range.start * self.dim..range.end * self.dim];
        Lanes { max: &mut self.max[range.clone()], sum: &mut self.sum[range], out }
    }

    fn reset(&mut self) {
        self.max.fill(f32::NEG_INFINITY);
        self.sum.fill(0.0);
        self.out.fill(0.0);
    }

    /// Takes in a later span.
    fn merge(&mut self, span: &Self) {
        for lane in 0..self.max.len() {
            // Spans that a query does not reach leave no trace.
            if span.max[lane] == f32::NEG_INFINITY {
                continue;
            }
            let max = self.max[lane].max(span.max[lane]);
            let (old, new) = ((self.max[lane] - max).exp(), (span.max[lane] - max).exp());
            self.max[lane] = max;
            self.sum[lane] = self.sum[lane] * old + span.sum[lane] * new;
            let at = lane * self.dim..(lane + 1) * self.dim;
            for (x, y) in self.out[at.clone()].iter_mut().zip(&span.out[at]) {
                *x = *x * old + y * new;
            }
        }
    }
}

/// Keys and values of a tile as f32, rows padded, and padded queries; kept by each thread.
#[derive(Default)]
struct Buffers {
    k: Vec<f32>,
    v: Vec<f32>,
    q: Vec<f32>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

struct Call<'a> {
    q: &'a [f32],
    k: &'a [u8],
    v: &'a [u8],
    shape: AttentionShape,
}

/// Rows of keys or of values from some position on, of which one KV head is looked at.
#[derive(Clone, Copy)]
struct HeadRows<'a> {
    bytes: &'a [u8],
    format: KvFormat,
    /// Elements of a whole row.
    elements: usize,
    /// The head's first.
    first: usize,
}

impl HeadRows<'_> {
    fn row_bytes(self) -> usize {
        self.format.row_bytes(self.elements)
    }

    /// Row `n`, as far as the head's elements need it.
    fn decode(self, n: usize, to: &mut [f32]) {
        let bytes = self.row_bytes();
        self.format.decode(&self.bytes[n * bytes..(n + 1) * bytes], self.elements, self.first, to);
    }
}

impl Call<'_> {
    /// All query heads of one KV head, for some queries, with the keys of one span.
    fn span(&self, head: usize, range: Range<usize>, span: usize, states: &mut States) {
        let AttentionShape { heads, head_dim: d, first, .. } = self.shape;
        let (group, dim) = (self.shape.group(), self.shape.padded());
        let end = (first + range.end).min((span + 1) * SPAN);
        let scale = 1.0 / (d as f32).sqrt();
        BUFFERS.with_borrow_mut(|Buffers { k, v, q }| {
            for (buffer, rows) in [(&mut *k, TILE), (&mut *v, TILE), (&mut *q, range.len() * group)] {
                // Behind a tile's rows may be an earlier tile's: finite, and not seen. Padding must be zero.
                if dim != d {
                    buffer.clear();
                }
                buffer.resize(rows * dim, 0.0);
            }
            for (n, query) in range.clone().enumerate() {
                for g in 0..group {
                    let at = (query * heads + head * group + g) * d;
                    let to = (n * group + g) * dim;
                    for (to, from) in q[to..to + d].iter_mut().zip(&self.q[at..at + d]) {
                        *to = from * scale;
                    }
                }
            }
            let as_they_are = dim == d && group <= GROUP_MAX && has_group_tile(d);
            for tile in (span * SPAN..end).step_by(TILE) {
                let rows = TILE.min(end - tile);
                let [keys, values] = [self.k, self.v].map(|bytes| self.shape.head_rows(bytes, tile, head));
                if !as_they_are {
                    for r in 0..rows {
                        keys.decode(r, &mut k[r * dim..r * dim + d]);
                        values.decode(r, &mut v[r * dim..r * dim + d]);
                    }
                }
                for (n, query) in range.clone().enumerate() {
                    // Causal: a query sees its own position and those before it.
                    let visible = (first + query + 1).saturating_sub(tile).min(rows);
                    let lanes = n * group..(n + 1) * group;
                    let q = &q[lanes.start * dim..lanes.end * dim];
                    match states.lanes(lanes) {
                        _ if visible == 0 => {}
                        states if as_they_are => {
                            group_tile(q, [keys, values], visible, states, n == 0);
                        }
                        states => {
                            let each = q.chunks_exact(dim).zip(states.each());
                            each.for_each(|(q, state)| one_tile(q, k, v, visible, state));
                        }
                    }
                }
            }
        });
    }

    /// Writes the results of some queries.
    fn finish(&self, head: usize, range: Range<usize>, states: &States, out: &Disjoint<'_, f32>) {
        let AttentionShape { heads, head_dim: d, .. } = self.shape;
        let group = self.shape.group();
        let lanes = states.out.chunks_exact(states.dim).zip(&states.sum).enumerate();
        for (lane, (values, sum)) in lanes {
            let at = ((range.start + lane / group) * heads + head * group + lane % group) * d;
            // SAFETY: a query's head is one task's.
            let to = unsafe { out.part(at, d) };
            for (to, x) in to.iter_mut().zip(values) {
                *to = x / sum;
            }
        }
    }
}

/// The softmaxes in progress of a query's heads in a group.
struct Lanes<'a> {
    max: &'a mut [f32],
    sum: &'a mut [f32],
    /// `[lane][padded head]`
    out: &'a mut [f32],
}

impl<'a> Lanes<'a> {
    fn each(self) -> impl Iterator<Item = State<'a>> {
        let dim = self.out.len() / self.max.len().max(1);
        let out = self.out.chunks_exact_mut(dim);
        self.max.iter_mut().zip(self.sum).zip(out).map(|((max, sum), out)| State { max, sum, out })
    }
}

/// One query's softmax in progress.
struct State<'a> {
    max: &'a mut f32,
    sum: &'a mut f32,
    out: &'a mut [f32],
}

/// Takes the first `rows` of a tile in. All rows are padded to `q`'s length, and `q` is scaled.
fn one_tile(q: &[f32], k: &[f32], v: &[f32], rows: usize, state: State<'_>) {
    assert!(k.len() == TILE * q.len() && v.len() == k.len() && state.out.len() == q.len() && rows <= TILE);
    #[cfg(target_arch = "x86_64")]
    if super::Isa::best().has_avx512() && q.len() <= VECTOR_DIM_MAX {
        // SAFETY: the instructions were just found, the lengths just checked; padded heads are a power of two up to
        // the largest.
        unsafe { avx512::one_tile(q, k, v, rows, state) };
        return;
    }
    portable::one_tile(q, k, v, rows, state);
}

/// Whether there is a [`group_tile`] for heads of `dim` elements.
fn has_group_tile(dim: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    return super::Isa::best().has_avx512() && [64, 128, 256].contains(&dim);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = dim;
        false
    }
}

/// Takes a tile in for one query and all its heads in a group, as [`one_tile`] does for each.
fn group_tile(q: &[f32], kept: [HeadRows<'_>; 2], rows: usize, states: Lanes<'_>, ahead: bool) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions by `has_group_tile`; all else is asserted.
    unsafe {
        avx512::group_tile(q, kept, rows, states, ahead);
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (q, kept, rows, states, ahead);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, one query at a time, in f64.
    fn reference(q: &[f32], k: &[f32], v: &[f32], s: AttentionShape) -> Vec<f32> {
        let row = s.heads * s.head_dim;
        let group = s.heads / s.kv_heads;
        let mut out = Vec::new();
        for (n, query) in q.chunks_exact(row).enumerate() {
            for (h, q) in query.chunks_exact(s.head_dim).enumerate() {
                let at = |p: usize| (p * s.kv_heads + h / group) * s.head_dim;
                let scores: Vec<f64> = (0..=s.first + n)
                    .map(|p| {
                        (0..s.head_dim).map(|i| f64::from(q[i]) * f64::from(k[at(p) + i])).sum::<f64>()
                            / (s.head_dim as f64).sqrt()
                    })
                    .collect();
                let max = scores.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = scores.iter().map(|x| (x - max).exp()).sum();
                out.extend((0..s.head_dim).map(|i| {
                    let mixed: f64 = scores
                        .iter()
                        .enumerate()
                        .map(|(p, x)| (x - max).exp() * f64::from(v[at(p) + i]))
                        .sum();
                    (mixed / sum) as f32
                }));
            }
        }
        out
    }

    fn encoded(format: KvFormat, rows: &[f32], elements: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        format.encode(rows, elements, &mut bytes);
        bytes
    }

    /// What was kept, as f32.
    fn decoded(format: KvFormat, rows: &[u8], elements: usize) -> Vec<f32> {
        let mut all = Vec::new();
        for row in rows.chunks_exact(format.row_bytes(elements)) {
            let start = all.len();
            all.resize(start + elements, 0.0);
            format.decode(row, elements, 0, &mut all[start..]);
        }
        all
    }

    const FORMATS: [KvFormat; 2] = [KvFormat::F16, KvFormat::Q8];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn agrees_with_the_definition_and_with_any_split(
            seed in any::<u32>(), kv_heads in 1usize..3, group in 1usize..10, head_dim in prop::sample::select(vec![24usize, 48, 64, 96, 128, 256]), first in 0usize..700, queries in 1usize..24, format in prop::sample::select(FORMATS.as_slice()),
        ) {
            prop_assume!(format.takes(head_dim));
            let shape = AttentionShape { heads: kv_heads * group, kv_heads, head_dim, first, format };
            let mut x = seed | 1;
            let mut next = || { x ^= x << 13; x ^= x >> 17; x ^= x << 5; (f64::from(x) / f64::from(u32::MAX) * 4.0 - 2.0) as f32 };
            let row = shape.heads * shape.head_dim;
            let q: Vec<f32> = (0..queries * row).map(|_| next()).collect();
            let elements = kv_heads * head_dim;
            let mut kept = || encoded(format, &(0..(first + queries) * elements).map(|_| next()).collect::<Vec<_>>(), elements);
            let (k, v) = (kept(), kept());
            let mut got = vec![0.0; q.len()];
            attention(&q, &k, &v, shape, &mut got);
            for (a, b) in got.iter().zip(reference(&q, &decoded(format, &k, elements), &decoded(format, &v, elements), shape)) {
                prop_assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
            let split = queries / 2;
            let mut parts = vec![0.0; q.len()];
            let (before, after) = parts.split_at_mut(split * row);
            attention(&q[..split * row], &k, &v, shape, before);
            attention(&q[split * row..], &k, &v, AttentionShape { first: first + split, ..shape }, after);
            prop_assert!(got == parts, "splitting a prompt changes no bit");
        }

        #[test]
        fn a_group_at_once_is_each_of_it(
            numbers in prop::collection::vec(-2.0f32..2.0, TILE * 256), rows in 1..=TILE, dim in prop::sample::select(vec![64usize, 128, 256]), group in 1..=GROUP_MAX, format in prop::sample::select(FORMATS.as_slice()),
        ) {
            if !has_group_tile(dim) {
                return Ok(());
            }
            // Two KV heads lie side by side; the second is looked at.
            let many: Vec<f32> = numbers.iter().cycle().take(2 * TILE * dim).copied().collect();
            let other: Vec<f32> = many.iter().rev().copied().collect();
            let (k, v) = (encoded(format, &many, 2 * dim), encoded(format, &other, 2 * dim));
            let kept = [&k, &v].map(|bytes| HeadRows { bytes, format, elements: 2 * dim, first: dim });
            let q: Vec<f32> = numbers.iter().rev().cycle().take(group * dim).copied().collect();
            let [mut all, mut each] = [(); 2].map(|()| States::new(group, dim));
            group_tile(&q, kept, rows, all.lanes(0..group), true);
            let mut wide = [(); 2].map(|()| vec![0.0; TILE * dim]);
            for (wide, kept) in wide.iter_mut().zip(kept) {
                wide.chunks_exact_mut(dim).take(rows).enumerate().for_each(|(n, to)| kept.decode(n, to));
            }
            let lanes = q.chunks_exact(dim).zip(each.lanes(0..group).each());
            lanes.for_each(|(q, state)| one_tile(q, &wide[0], &wide[1], rows, state));
            prop_assert!(all.max == each.max && all.sum == each.sum && all.out == each.out);
        }

        #[test]
        fn tiles_agree_with_the_portable_ones(
            numbers in prop::collection::vec(-2.0f32..2.0, 2 * TILE * 128), rows in 1..=TILE, dim in prop::sample::select(vec![64usize, 128]),
        ) {
            let (k, v) = numbers.split_at(TILE * 128);
            let (k, v, q) = (&k[..TILE * dim], &v[..TILE * dim], &numbers[7..7 + dim]);
            let (mut maxima, mut sums, mut outs) = ([0.5f32; 2], [1.0f32; 2], [vec![1.0f32; dim], vec![1.0f32; dim]]);
            let [a, b] = &mut outs;
            one_tile(q, k, v, rows, State { max: &mut maxima[0], sum: &mut sums[0], out: a });
            portable::one_tile(q, k, v, rows, State { max: &mut maxima[1], sum: &mut sums[1], out: b });
            let near = |a: f32, b: f32| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
            prop_assert!(near(maxima[0], maxima[1]) && near(sums[0], sums[1]));
            prop_assert!(a.iter().zip(b.iter()).all(|(a, b)| near(*a, *b)));
        }
    }
}
