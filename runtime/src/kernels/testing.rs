//! What tests of several kernels need.

/// Numbers from -1.5 to 2.5 that follow from a seed.
pub(crate) fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (f64::from(x) / f64::from(u32::MAX) * 4.0 - 1.5) as f32
    };
    (0..count).map(|_| next()).collect()
}
