//! A tile of keys with one query in plain Rust, also compiled for AVX2.

use super::{State, TILE};
use crate::kernels::vector::{Baseline, Fma, exp};

pub(super) fn one_tile(q: &[f32], k: &[f32], v: &[f32], rows: usize, state: State<'_>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features that the function is compiled for were just detected.
        unsafe { one_tile_avx2(q, k, v, rows, state) };
        return;
    }
    body::<Baseline>(q, k, v, rows, state);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn one_tile_avx2(q: &[f32], k: &[f32], v: &[f32], rows: usize, state: State<'_>) {
    body::<crate::kernels::vector::Fused>(q, k, v, rows, state);
}

#[inline(always)]
fn body<F: Fma>(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    rows: usize,
    State { max: state_max, sum: state_sum, out }: State<'_>,
) {
    const LANES: usize = 16;
    let d = q.len();
    let mut scores = [f32::NEG_INFINITY; TILE];
    let mut max = *state_max;
    for (score, key) in scores[..rows].iter_mut().zip(k.chunks_exact(d)) {
        let mut lanes = [0.0f32; LANES];
        for (a, b) in q.chunks_exact(LANES).zip(key.chunks_exact(LANES)) {
            for i in 0..LANES {
                lanes[i] = F::fma(a[i], b[i], lanes[i]);
            }
        }
        *score = lanes.iter().sum::<f32>();
        max = max.max(*score);
    }
    let shrink = exp::<F>(*state_max - max);
    let mut weights = [0.0f32; TILE];
    for (weight, score) in weights.iter_mut().zip(scores) {
        *weight = exp::<F>(score - max);
    }
    let sum: f32 = weights[..rows].iter().sum();
    *state_sum = F::fma(*state_sum, shrink, sum);
    *state_max = max;
    out.iter_mut().for_each(|x| *x *= shrink);
    for (weight, value) in weights[..rows].iter().zip(v.chunks_exact(d)) {
        for (x, y) in out.iter_mut().zip(value) {
            *x = F::fma(*weight, *y, *x);
        }
    }
}
