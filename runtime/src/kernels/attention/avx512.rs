//! A tile of keys with one query on AVX-512.

#[allow(clippy::wildcard_imports)]
use std::arch::x86_64::*;

use half::f16;

use super::{State, TILE};

/// Numbers of a vector.
const LANES: usize = 16;

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
