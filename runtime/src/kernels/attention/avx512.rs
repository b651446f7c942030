//! A tile of keys with one query, or with the queries of a group, on AVX-512.

#[allow(clippy::wildcard_imports)]
use std::arch::x86_64::*;

use half::f16;

use super::{GROUP_MAX, Lanes, State, TILE};

/// Numbers of a vector.
const LANES: usize = 16;
/// How far ahead of what is read rows are asked for.
const AHEAD_ROWS: usize = TILE;
/// What memory is read in.
const LINE_ELEMENTS: usize = 64 / size_of::<f16>();

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

/// As [`one_tile`] for each query of a group, from rows of f16 that lie `stride` apart; bit for bit the same. `ahead` asks
/// for the rows of the next tile.
///
/// # Safety
/// AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
pub(super) unsafe fn group_tile(
    q: &[f32],
    (k, v): (&[f16], &[f16]),
    stride: usize,
    rows: usize,
    mut states: Lanes<'_>,
    ahead: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        match q.len() / states.max.len() / LANES {
            4 => group::<4, 6>(q, (k, v), stride, rows, &mut states, ahead),
            8 => group::<8, 3>(q, (k, v), stride, rows, &mut states, ahead),
            _ => group::<16, 1>(q, (k, v), stride, rows, &mut states, ahead),
        }
    }
}

/// `L` queries at once fit into the registers with their results.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn group<const C: usize, const L: usize>(
    q: &[f32],
    (k, v): (&[f16], &[f16]),
    stride: usize,
    rows: usize,
    states: &mut Lanes<'_>,
    ahead: bool,
) {
    let (d, lanes) = (C * LANES, states.max.len());
    let needed = rows.saturating_sub(1) * stride + d;
    assert!(
        q.len() == lanes * d
            && states.out.len() == q.len()
            && states.sum.len() == lanes
            && (1..=TILE).contains(&rows)
            && lanes <= GROUP_MAX
            && k.len() >= needed
            && v.len() >= needed
    );
    // SAFETY: all addresses are of whole vectors within the slices, by the assertion; what is asked for ahead is not read.
    unsafe {
        let lowest = _mm512_set1_ps(f32::NEG_INFINITY);
        let mut scores = [[lowest; TILE / LANES]; GROUP_MAX];
        for first in (0..rows).step_by(LANES) {
            let count = LANES.min(rows - first);
            let mut sums = [[_mm512_setzero_ps(); LANES]; GROUP_MAX];
            for r in 0..count {
                let at = k.as_ptr().add((first + r) * stride);
                if ahead {
                    ask_for::<C>(at.wrapping_add(AHEAD_ROWS * stride));
                }
                let key: [__m512; C] = std::array::from_fn(|c| load16(at.add(c * LANES)));
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
            values::<C, L>((v, stride, rows), &weights[of.clone()], &shrinks[of], out, ahead && lane == 0);
        }
        for lane in whole..lanes {
            let out = states.out.as_mut_ptr().add(lane * d);
            let of = lane..=lane;
            values::<C, 1>((v, stride, rows), &weights[of.clone()], &shrinks[of], out, ahead && lane == 0);
        }
    }
}

/// Adds weighted values to the results of `L` queries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn values<const C: usize, const L: usize>(
    (v, stride, rows): (&[f16], usize, usize),
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
            let at = v.as_ptr().add(r * stride);
            if ahead {
                ask_for::<C>(at.wrapping_add(AHEAD_ROWS * stride));
            }
            let weight: [__m512; L] = std::array::from_fn(|l| _mm512_set1_ps(weights[l][r]));
            for c in 0..C {
                let value = load16(at.add(c * LANES));
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

/// Sixteen f16 as f32.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load16(from: *const f16) -> __m512 {
    // SAFETY: the caller's: sixteen elements.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
}

/// Asks for a row that is soon read; also one that is not there.
#[inline]
fn ask_for<const C: usize>(row: *const f16) {
    for at in (0..C * LANES).step_by(LINE_ELEMENTS) {
        // SAFETY: nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(at).cast()) };
    }
}

/// Converts a row.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn widen(from: &[f16], to: &mut [f32]) {
    let (from, from_tail) = from.as_chunks::<LANES>();
    let (to, to_tail) = to.as_chunks_mut::<LANES>();
    for (from, to) in from.iter().zip(to) {
        // SAFETY: sixteen f16 and sixteen f32.
        unsafe {
            _mm512_storeu_ps(to.as_mut_ptr(), _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())));
        };
    }
    from_tail.iter().zip(to_tail).for_each(|(from, to)| *to = from.to_f32());
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
