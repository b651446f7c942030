//! A tile of keys with one query, or with the queries of a group, on AVX-512.

#[allow(clippy::wildcard_imports)]
use std::arch::x86_64::*;

use half::f16;

use super::format::{BLOCK, KvFormat};
use super::{GROUP_MAX, HeadRows, Lanes, State, TILE};

/// Numbers of a vector.
const LANES: usize = 16;
/// How far ahead of what is read rows are asked for.
const AHEAD_ROWS: usize = TILE;
/// What memory is read in.
const LINE_BYTES: usize = 64;

/// # Safety
/// AVX-512; `q` and `state.out` have a length of 64, 128 or 256, `k` and `v` [`TILE`] rows of it, `rows <= TILE`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
pub(super) unsafe fn one_tile(q: &[f32], k: &[f32], v: &[f32], rows: usize, state: State<'_>) {
    // SAFETY: the caller's.
    unsafe {
        match q.len() / LANES {
            4 => tile::<4>(q, k, v, rows, state),
            8 => tile::<8>(q, k, v, rows, state),
            _ => tile::<16>(q, k, v, rows, state),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn tile<const C: usize>(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    rows: usize,
    State { max: state_max, sum: state_sum, out: state_out }: State<'_>,
) {
    let d = C * LANES;
    assert!(
        q.len() == d && state_out.len() == d && k.len() == TILE * d && v.len() == k.len() && rows <= TILE
    );
    // SAFETY: all addresses are of whole vectors within the slices, by the assertion.
    unsafe {
        let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
        let mut scores = [lowest; TILE / LANES];
        for (n, scores) in scores.iter_mut().enumerate() {
            if n * LANES < rows {
                let seen = visible(rows - n * LANES);
                let products = dots::<C>(q.as_ptr(), k.as_ptr().add(n * LANES * d));
                *scores = _mm512_mask_mov_ps(lowest, seen, products);
            }
        }
        let (weights, shrink) = weigh(&scores, rows, state_max, state_sum);
        let to = state_out.as_mut_ptr();
        let mut out: [__m512; C] =
            std::array::from_fn(|c| _mm512_mul_ps(_mm512_loadu_ps(to.add(c * LANES)), shrink));
        for (r, weight) in weights[..rows].iter().enumerate() {
            let weight = _mm512_set1_ps(*weight);
            for (c, out) in out.iter_mut().enumerate() {
                *out = _mm512_fmadd_ps(weight, _mm512_loadu_ps(v.as_ptr().add(r * d + c * LANES)), *out);
            }
        }
        for (c, out) in out.iter().enumerate() {
            _mm512_storeu_ps(to.add(c * LANES), *out);
        }
    }
}

/// Takes scores into a softmax in progress: the weights of the keys, and what earlier weights are multiplied with.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn weigh(
    scores: &[__m512; TILE / LANES],
    rows: usize,
    state_max: &mut f32,
    state_sum: &mut f32,
) -> ([f32; TILE], __m512) {
    // SAFETY: whole vectors within `weights`.
    unsafe {
        let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
        let largest = scores.iter().fold(lowest, |m, s| _mm512_max_ps(m, *s));
        let max = state_max.max(_mm512_reduce_max_ps(largest));
        let shrink = exp(_mm512_set1_ps(*state_max - max));
        let mut weights = [0.0f32; TILE];
        let mut sum = _mm512_setzero_ps();
        for (n, scores) in scores.iter().enumerate() {
            if n * LANES < rows {
                let weight = exp(_mm512_sub_ps(*scores, _mm512_set1_ps(max)));
                // Exactly nothing for keys that are not seen.
                let weight = _mm512_maskz_mov_ps(visible(rows - n * LANES), weight);
                sum = _mm512_add_ps(sum, weight);
                _mm512_storeu_ps(weights.as_mut_ptr().add(n * LANES), weight);
            }
        }
        *state_sum = state_sum.mul_add(_mm512_cvtss_f32(shrink), _mm512_reduce_add_ps(sum));
        *state_max = max;
        (weights, shrink)
    }
}

/// A way in which sixteen elements of a row are read.
trait Kept {
    /// Elements at the row's beginning take so many bytes each.
    const ELEMENT_BYTES: usize;

    /// Elements `16 * c` to `16 * c + 15` of a head. `codes` is where its elements lie in the row, `scales` its scales.
    ///
    /// # Safety
    /// AVX-512; the row has them.
    unsafe fn load16(codes: *const u8, scales: *const u8, c: usize) -> __m512;
}

struct Halves;

impl Kept for Halves {
    const ELEMENT_BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load16(codes: *const u8, _: *const u8, c: usize) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(codes.add(2 * c * LANES).cast())) }
    }
}

struct Codes;

impl Kept for Codes {
    const ELEMENT_BYTES: usize = 1;

    #[inline(always)]
    unsafe fn load16(codes: *const u8, scales: *const u8, c: usize) -> __m512 {
        // SAFETY: the caller's.
        unsafe {
            let scale = scales.add(c * LANES / BLOCK * size_of::<f16>()).cast::<u16>().read_unaligned();
            let scale = _mm512_cvtph_ps(_mm256_set1_epi16(scale.cast_signed()));
            let codes = _mm512_cvtepi8_epi32(_mm_loadu_si128(codes.add(c * LANES).cast()));
            _mm512_mul_ps(_mm512_cvtepi32_ps(codes), scale)
        }
    }
}

/// Where a head's elements and scales lie, row by row.
#[derive(Clone, Copy)]
struct HeadAt {
    codes: *const u8,
    scales: *const u8,
    row_bytes: usize,
}

impl HeadAt {
    /// `rows` rows are there, with `d` elements of the head.
    fn new(kept: HeadRows<'_>, rows: usize, d: usize) -> Self {
        let row_bytes = kept.row_bytes();
        assert!(rows * row_bytes <= kept.bytes.len() && kept.first + d <= kept.elements);
        let (codes, scales) = match kept.format {
            KvFormat::F16 => (2 * kept.first, 0),
            KvFormat::Q8 => (kept.first, kept.elements + kept.first / BLOCK * size_of::<f16>()),
        };
        let start = kept.bytes.as_ptr();
        Self { codes: start.wrapping_add(codes), scales: start.wrapping_add(scales), row_bytes }
    }

    #[inline(always)]
    fn row(self, n: usize) -> (*const u8, *const u8) {
        (self.codes.wrapping_add(n * self.row_bytes), self.scales.wrapping_add(n * self.row_bytes))
    }
}

/// As [`one_tile`] for each query of a group, from rows as they are kept; bit for bit the same. `ahead` asks for the rows of
/// the next tile.
///
/// # Safety
/// AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
pub(super) unsafe fn group_tile(
    q: &[f32],
    kept: [HeadRows<'_>; 2],
    rows: usize,
    mut states: Lanes<'_>,
    ahead: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        match kept[0].format {
            KvFormat::F16 => group_of::<Halves>(q, kept, rows, &mut states, ahead),
            KvFormat::Q8 => group_of::<Codes>(q, kept, rows, &mut states, ahead),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn group_of<K: Kept>(
    q: &[f32],
    kept: [HeadRows<'_>; 2],
    rows: usize,
    states: &mut Lanes<'_>,
    ahead: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        match q.len() / states.max.len() / LANES {
            4 => group::<K, 4, 6>(q, kept, rows, states, ahead),
            8 => group::<K, 8, 3>(q, kept, rows, states, ahead),
            _ => group::<K, 16, 1>(q, kept, rows, states, ahead),
        }
    }
}

/// `L` queries at once fit into the registers with their results.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn group<K: Kept, const C: usize, const L: usize>(
    q: &[f32],
    kept: [HeadRows<'_>; 2],
    rows: usize,
    states: &mut Lanes<'_>,
    ahead: bool,
) {
    let (d, lanes) = (C * LANES, states.max.len());
    assert!(
        q.len() == lanes * d
            && states.out.len() == q.len()
            && states.sum.len() == lanes
            && (1..=TILE).contains(&rows)
            && lanes <= GROUP_MAX
            && kept[0].format == kept[1].format
    );
    let [k, v] = kept.map(|kept| HeadAt::new(kept, rows, d));
    // SAFETY: all addresses are of whole vectors within the slices, by the assertion; what is asked for ahead is not read.
    unsafe {
        let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
        let mut scores = [[lowest; TILE / LANES]; GROUP_MAX];
        for first in (0..rows).step_by(LANES) {
            let count = LANES.min(rows - first);
            let mut sums = [[_mm512_setzero_ps(); LANES]; GROUP_MAX];
            for r in 0..count {
                let (codes, scales) = k.row(first + r);
                if ahead {
                    ask_for::<K, C>(codes.wrapping_add(AHEAD_ROWS * k.row_bytes));
                }
                let mut key = [_mm512_setzero_ps(); C];
                for (c, key) in key.iter_mut().enumerate() {
                    *key = K::load16(codes, scales, c);
                }
                for (lane, sums) in sums[..lanes].iter_mut().enumerate() {
                    let q = q.as_ptr().add(lane * d);
                    let mut sum = _mm512_setzero_ps();
                    for (c, key) in key.iter().enumerate() {
                        sum = _mm512_fmadd_ps(_mm512_loadu_ps(q.add(c * LANES)), *key, sum);
                    }
                    sums[r] = sum;
                }
            }
            for (scores, sums) in scores.iter_mut().zip(&sums[..lanes]) {
                scores[first / LANES] = _mm512_mask_mov_ps(lowest, visible(count), across(sums));
            }
        }
        let mut weights = [[0.0; TILE]; GROUP_MAX];
        let mut shrinks = [lowest; GROUP_MAX];
        for lane in 0..lanes {
            (weights[lane], shrinks[lane]) =
                weigh(&scores[lane], rows, &mut states.max[lane], &mut states.sum[lane]);
        }
        let whole = lanes - lanes % L;
        for lane in (0..whole).step_by(L) {
            let out = states.out.as_mut_ptr().add(lane * d);
            let of = lane..lane + L;
            values::<K, C, L>((v, rows), &weights[of.clone()], &shrinks[of], out, ahead && lane == 0);
        }
        for lane in whole..lanes {
            let out = states.out.as_mut_ptr().add(lane * d);
            let of = lane..=lane;
            values::<K, C, 1>((v, rows), &weights[of.clone()], &shrinks[of], out, ahead && lane == 0);
        }
    }
}

/// Adds weighted values to the results of `L` queries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn values<K: Kept, const C: usize, const L: usize>(
    (v, rows): (HeadAt, usize),
    weights: &[[f32; TILE]],
    shrinks: &[__m512],
    to: *mut f32,
    ahead: bool,
) {
    // SAFETY: the caller's: `v` has `rows` rows, `to` L results.
    unsafe {
        let mut out: [[__m512; C]; L] = std::array::from_fn(|l| {
            std::array::from_fn(|c| _mm512_mul_ps(_mm512_loadu_ps(to.add((l * C + c) * LANES)), shrinks[l]))
        });
        for r in 0..rows {
            let (codes, scales) = v.row(r);
            if ahead {
                ask_for::<K, C>(codes.wrapping_add(AHEAD_ROWS * v.row_bytes));
            }
            let weight: [__m512; L] = std::array::from_fn(|l| _mm512_set1_ps(weights[l][r]));
            for c in 0..C {
                let value = K::load16(codes, scales, c);
                for (out, weight) in out.iter_mut().zip(&weight) {
                    out[c] = _mm512_fmadd_ps(*weight, value, out[c]);
                }
            }
        }
        for (l, out) in out.iter().enumerate() {
            for (c, out) in out.iter().enumerate() {
                _mm512_storeu_ps(to.add((l * C + c) * LANES), *out);
            }
        }
    }
}

/// Asks for a head's elements of a row that is soon read; also ones that are not there.
#[inline]
fn ask_for<K: Kept, const C: usize>(codes: *const u8) {
    for at in (0..C * LANES * K::ELEMENT_BYTES).step_by(LINE_BYTES) {
        // SAFETY: nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(at).cast()) };
    }
}

/// Converts f16.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn widen(from: &[u8], to: &mut [f32]) {
    let (from, from_tail) = from.as_chunks::<{ 2 * LANES }>();
    let (to, to_tail) = to.as_chunks_mut::<LANES>();
    for (from, to) in from.iter().zip(to) {
        // SAFETY: sixteen f16 and sixteen f32.
        unsafe {
            _mm512_storeu_ps(to.as_mut_ptr(), _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())));
        };
    }
    let tail = from_tail.as_chunks().0.iter().zip(to_tail);
    tail.for_each(|(from, to)| *to = f16::from_ne_bytes(*from).to_f32());
}

/// The first `count` lanes.
#[inline]
fn visible(count: usize) -> __mmask16 {
    if count >= LANES { !0 } else { (1 << count) - 1 }
}

/// Products of a query with 16 keys.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,fma")]
unsafe fn dots<const C: usize>(q: *const f32, k: *const f32) -> __m512 {
    // SAFETY: the caller's: `q` has C vectors, `k` 16 rows of as many.
    unsafe {
        let mut sums = [_mm512_setzero_ps(); LANES];
        for (r, sum) in sums.iter_mut().enumerate() {
            for c in 0..C {
                let key = _mm512_loadu_ps(k.add((r * C + c) * LANES));
                *sum = _mm512_fmadd_ps(_mm512_loadu_ps(q.add(c * LANES)), key, *sum);
            }
        }
        across(&sums)
    }
}

/// The sums over each of sixteen vectors, as one. Each step adds halves (of vectors, of quarters, of pairs) and joins
/// two vectors' results in one.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn across(v: &[__m512; LANES]) -> __m512 {
    // Rows r and r + 8: lanes of both, added across 256-bit halves.
    let halves: [__m512; 8] = std::array::from_fn(|r| {
        let (a, b) = (v[r], v[r + 8]);
        _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b),
            _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b),
        )
    });
    // Rows r, r + 8 and r + 4, r + 12: across 128-bit quarters.
    let quarters: [__m512; 4] = std::array::from_fn(|r| {
        let (a, b) = (halves[r], halves[r + 4]);
        _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b),
        )
    });
    // Within quarters: rows r and r + 2.
    let pairs: [__m512; 2] = std::array::from_fn(|r| {
        let (a, b) = (quarters[r], quarters[r + 2]);
        _mm512_add_ps(_mm512_shuffle_ps::<0b01_00_01_00>(a, b), _mm512_shuffle_ps::<0b11_10_11_10>(a, b))
    });
    let (a, b) = (pairs[0], pairs[1]);
    let sums =
        _mm512_add_ps(_mm512_shuffle_ps::<0b10_00_10_00>(a, b), _mm512_shuffle_ps::<0b11_01_11_01>(a, b));
    // Quarters now hold rows 0, 8, 4 and 12 and those behind them, in the order 0, 2, 1, 3.
    let order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
    _mm512_permutexvar_ps(order, sums)
}

/// As the scalar one of [`crate::kernels::vector`], sixteen at once.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,fma")]
fn exp(x: __m512) -> __m512 {
    let x = _mm512_max_ps(x, _mm512_set1_ps(-87.3));
    let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
    let r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693_359_4), x);
    let r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.121_944_4e-4), r);
    let mut p = _mm512_set1_ps(1.0 / 5040.0);
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(term));
    }
    _mm512_scalef_ps(p, n)
}
