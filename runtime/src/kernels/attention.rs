//! Causal attention of grouped queries over f16 keys and values on the CPU.
//!
//! Online softmax over tiles of keys (Milakov and Gimelshein 2018; Dao et al. 2022). Tiles start at multiples of
//! [`TILE`] from position 0 and each query goes over them alone, so its result does not depend on how a prompt was
//! split into chunks.

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Keys converted to f32 at once: 64 rows of 128 are 32 KiB, which stays in the cache.
const TILE: usize = 64;
/// Queries of one task; converting a tile is shared by them.
const QUERIES: usize = 16;

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
}

/// `q` is `[queries][heads][head_dim]`, `k` and `v` are `[positions][kv_heads][head_dim]`; the result is shaped as `q`.
pub(crate) fn attention(q: &[f32], k: &[f16], v: &[f16], shape: AttentionShape, out: &mut [f32]) {
    let row = shape.heads * shape.head_dim;
    let queries = q.len() / row;
    let group = shape.heads / shape.kv_heads;
    let tasks: Vec<_> = (0..shape.kv_heads)
        .flat_map(|head| (0..queries).step_by(QUERIES).map(move |start| (head, start)))
        .collect();
    let parts: Vec<_> = tasks
        .par_iter()
        .map(|&(head, start)| block(q, k, v, shape, head, start..(start + QUERIES).min(queries)))
        .collect();
    let wide = group * shape.head_dim;
    for (&(head, start), part) in tasks.iter().zip(&parts) {
        for (offset, values) in part.chunks_exact(wide).enumerate() {
            let at = (start + offset) * row + head * wide;
            out[at..at + wide].copy_from_slice(values);
        }
    }
}

/// All query heads of one KV head for a range of queries: `[query][group][head_dim]`.
fn block(
    q: &[f32],
    k: &[f16],
    v: &[f16],
    shape: AttentionShape,
    head: usize,
    range: std::ops::Range<usize>,
) -> Vec<f32> {
    let AttentionShape { heads, kv_heads, head_dim: d, first } = shape;
    let group = heads / kv_heads;
    let last = first + range.end;
    let mut out = vec![0.0f32; range.len() * group * d];
    let mut max = vec![f32::NEG_INFINITY; range.len() * group];
    let mut sum = vec![0.0f32; range.len() * group];
    let (mut k_tile, mut v_tile) = (vec![0.0f32; TILE * d], vec![0.0f32; TILE * d]);
    let scale = 1.0 / (d as f32).sqrt();
    for tile in (0..last).step_by(TILE) {
        let rows = TILE.min(last - tile);
        for r in 0..rows {
            let at = ((tile + r) * kv_heads + head) * d;
            k[at..at + d].convert_to_f32_slice(&mut k_tile[r * d..(r + 1) * d]);
            v[at..at + d].convert_to_f32_slice(&mut v_tile[r * d..(r + 1) * d]);
        }
        for (n, query) in range.clone().enumerate() {
            // Causal: a query sees its own position and those before it.
            let visible = (first + query + 1).saturating_sub(tile).min(rows);
            if visible == 0 {
                continue;
            }
            for g in 0..group {
                let at = (query * heads + head * group + g) * d;
                let lane = n * group + g;
                let state = (&mut max[lane], &mut sum[lane], &mut out[lane * d..(lane + 1) * d]);
                one_tile(&q[at..at + d], &k_tile, &v_tile, visible, scale, state);
            }
        }
    }
    for (values, sum) in out.chunks_exact_mut(d).zip(&sum) {
        values.iter_mut().for_each(|x| *x /= sum);
    }
    out
}

/// Running maximum, sum and weighted values of one query.
type State<'a> = (&'a mut f32, &'a mut f32, &'a mut [f32]);

fn one_tile(q: &[f32], k: &[f32], v: &[f32], rows: usize, scale: f32, state: State<'_>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the features that the function is compiled for were just detected.
        unsafe { one_tile_avx2(q, k, v, rows, scale, state) };
        return;
    }
    one_tile_portable(q, k, v, rows, scale, state);
}

/// The portable body, compiled with wider vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn one_tile_avx2(q: &[f32], k: &[f32], v: &[f32], rows: usize, scale: f32, state: State<'_>) {
    one_tile_body(q, k, v, rows, scale, state, f32::mul_add);
}

fn one_tile_portable(q: &[f32], k: &[f32], v: &[f32], rows: usize, scale: f32, state: State<'_>) {
    one_tile_body(q, k, v, rows, scale, state, |a, b, c| a * b + c);
}

#[inline(always)]
fn one_tile_body(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    rows: usize,
    scale: f32,
    (max, sum, out): State<'_>,
    fma: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    const LANES: usize = 16;
    let d = q.len();
    let mut scores = [0.0f32; TILE];
    let mut tile_max = *max;
    for (score, key) in scores[..rows].iter_mut().zip(k.chunks_exact(d)) {
        let mut lanes = [0.0f32; LANES];
        for (a, b) in q.chunks_exact(LANES).zip(key.chunks_exact(LANES)) {
            for i in 0..LANES {
                lanes[i] = fma(a[i], b[i], lanes[i]);
            }
        }
        let tail: f32 = (d - d % LANES..d).map(|i| q[i] * key[i]).sum();
        *score = (lanes.iter().sum::<f32>() + tail) * scale;
        tile_max = tile_max.max(*score);
    }
    let shrink = if *max == f32::NEG_INFINITY { 0.0 } else { (*max - tile_max).exp() };
    *max = tile_max;
    *sum *= shrink;
    out.iter_mut().for_each(|x| *x *= shrink);
    for (score, value) in scores[..rows].iter().zip(v.chunks_exact(d)) {
        let weight = (score - tile_max).exp();
        *sum += weight;
        for (x, y) in out.iter_mut().zip(value) {
            *x = fma(weight, *y, *x);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, one query at a time, in f64.
    fn reference(q: &[f32], k: &[f16], v: &[f16], s: AttentionShape) -> Vec<f32> {
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn agrees_with_the_definition_and_with_any_split(
            seed in any::<u32>(), kv_heads in 1usize..3, group in 1usize..4, dim in 1usize..3, first in 0usize..150, queries in 1usize..40,
        ) {
            let shape = AttentionShape { heads: kv_heads * group, kv_heads, head_dim: dim * 24, first };
            let mut x = seed | 1;
            let mut next = || { x ^= x << 13; x ^= x >> 17; x ^= x << 5; (f64::from(x) / f64::from(u32::MAX) * 4.0 - 2.0) as f32 };
            let row = shape.heads * shape.head_dim;
            let q: Vec<f32> = (0..queries * row).map(|_| next()).collect();
            let mut half = || (0..(first + queries) * kv_heads * shape.head_dim).map(|_| f16::from_f32(next())).collect::<Vec<_>>();
            let (k, v) = (half(), half());
            let mut got = vec![0.0; q.len()];
            attention(&q, &k, &v, shape, &mut got);
            for (a, b) in got.iter().zip(reference(&q, &k, &v, shape)) {
                prop_assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
            let split = queries / 2;
            let mut parts = vec![0.0; q.len()];
            let (before, after) = parts.split_at_mut(split * row);
            attention(&q[..split * row], &k, &v, shape, before);
            attention(&q[split * row..], &k, &v, AttentionShape { first: first + split, ..shape }, after);
            prop_assert!(got == parts, "splitting a prompt changes no bit");
        }
    }
}
