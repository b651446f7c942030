//! Element-wise steps of the forward pass. Bodies are plain loops over lanes, compiled for several instruction sets.

/// How a product is added: in one step where the processor has it.
pub(super) trait Fma: Copy {
    fn fma(a: f32, b: f32, c: f32) -> f32;
}

/// One rounding.
#[derive(Clone, Copy)]
pub(super) struct Fused;

/// Two roundings; where there is no instruction, `mul_add` would be a function call.
#[derive(Clone, Copy)]
pub(super) struct Split;

/// What every processor of the architecture has.
#[cfg(target_arch = "aarch64")]
pub(super) type Baseline = Fused;
/// What every processor of the architecture has.
#[cfg(not(target_arch = "aarch64"))]
pub(super) type Baseline = Split;

impl Fma for Fused {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Fma for Split {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// Defines a function that runs a body compiled for what the processor has.
macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident = $body:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        $(#[$doc])*
        pub(crate) fn $name($($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    $body::<$crate::kernels::vector::Fused>($($argument),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    $body::<$crate::kernels::vector::Fused>($($argument),*)
                }
                if $crate::kernels::Isa::best().has_avx512() {
                    // SAFETY: the features that the function is compiled for were just detected.
                    return unsafe { avx512($($argument),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: as above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            $body::<$crate::kernels::vector::Baseline>($($argument),*)
        }
    };
}

dispatched! {
    /// `x / sqrt(mean(x²) + epsilon) * weight`, in place, for each row as long as `weight`.
    rms_norm = rms_norm_body(rows: &mut [f32], weight: &[f32], epsilon: f32)
}

dispatched! {
    /// `gate = gate / (1 + exp(-gate)) * up`.
    silu_times = silu_times_body(gate: &mut [f32], up: &[f32])
}

dispatched! {
    /// Rotates pairs of each head by the (sine, cosine) of each pair.
    rotate = rotate_body(row: &mut [f32], turns: &[(f32, f32)], adjacent: bool)
}

dispatched! {
    /// `to += row`, for each row as long as `row`.
    add_to_rows = add_to_rows_body(to: &mut [f32], row: &[f32])
}

#[inline(always)]
fn rms_norm_body<F: Fma>(rows: &mut [f32], weight: &[f32], epsilon: f32) {
    for row in rows.chunks_exact_mut(weight.len()) {
        let mut lanes = [0.0f32; 16];
        let (chunks, tail) = row.as_chunks::<16>();
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane = F::fma(*x, *x, *lane);
            }
        }
        let squares = lanes.iter().sum::<f32>() + tail.iter().map(|x| x * x).sum::<f32>();
        let scale = 1.0 / (squares / weight.len() as f32 + epsilon).sqrt();
        for (x, w) in row.iter_mut().zip(weight) {
            *x *= scale * w;
        }
    }
}

#[inline(always)]
fn silu_times_body<F: Fma>(gate: &mut [f32], up: &[f32]) {
    for (g, u) in gate.iter_mut().zip(up) {
        *g = *g / (1.0 + exp::<F>(-*g)) * u;
    }
}

#[inline(always)]
fn rotate_body<F: Fma>(row: &mut [f32], turns: &[(f32, f32)], adjacent: bool) {
    for head in row.chunks_exact_mut(2 * turns.len()) {
        if adjacent {
            let (pairs, _) = head.as_chunks_mut::<2>();
            for ([x, y], (sin, cos)) in pairs.iter_mut().zip(turns) {
                (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
            }
        } else {
            let (first, second) = head.split_at_mut(turns.len());
            for ((x, y), (sin, cos)) in first.iter_mut().zip(second).zip(turns) {
                (*x, *y) = (*x * cos - *y * sin, *x * sin + *y * cos);
            }
        }
    }
}

#[inline(always)]
fn add_to_rows_body<F: Fma>(to: &mut [f32], row: &[f32]) {
    for to in to.chunks_exact_mut(row.len()) {
        for (x, y) in to.iter_mut().zip(row) {
            *x += y;
        }
    }
}

/// e to the power of `x`, to about two units in the last place; below the smallest normal number it stays there.
#[inline(always)]
pub(super) fn exp<F: Fma>(x: f32) -> f32 {
    /// Adding it rounds to a whole number, found in the low bits.
    const SHIFT: f32 = 12_582_912.0;
    // ln 2 in two parts, so that a whole multiple of it can be taken away without loss.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.0);
    let shifted = F::fma(x, std::f32::consts::LOG2_E, SHIFT);
    let n = shifted - SHIFT;
    let r = F::fma(n, -LN_2_LOW, F::fma(n, -LN_2_HIGH, x));
    // The Taylor series: |r| <= ln(2) / 2, where its seventh term is below the last place.
    let mut p = 1.0 / 5040.0;
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = F::fma(p, r, term);
    }
    let power = (shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits());
    p * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exp_is_near(x in -87.0f32..88.0) {
            let exact = f64::from(x).exp();
            for found in [exp::<Fused>(x), exp::<Split>(x)] {
                prop_assert!((f64::from(found) / exact - 1.0).abs() < 4e-7, "{x}: {found} {exact}");
            }
        }

        #[test]
        fn vectors_agree_with_their_twins(x in prop::collection::vec(-20.0f32..20.0, 1..200), epsilon in 1e-6f32..1.0) {
            let weight: Vec<f32> = x.iter().rev().copied().collect();
            let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()));
            let (mut a, mut b) = (x.clone(), x.clone());
            rms_norm(&mut a, &weight, epsilon);
            rms_norm_body::<Split>(&mut b, &weight, epsilon);
            prop_assert!(near(&a, &b));
            let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64;
            let exact: Vec<f32> =
                x.iter().zip(&weight).map(|(x, w)| (f64::from(x * w) / (mean + f64::from(epsilon)).sqrt()) as f32).collect();
            prop_assert!(near(&a, &exact));
            let (mut a, mut b) = (x.clone(), x.clone());
            silu_times(&mut a, &weight);
            silu_times_body::<Split>(&mut b, &weight);
            prop_assert!(near(&a, &b));
            let exact: Vec<f32> = x.iter().zip(&weight).map(|(x, w)| x / (1.0 + (-x).exp()) * w).collect();
            prop_assert!(near(&a, &exact));
        }
    }

    #[test]
    #[allow(clippy::many_single_char_names, clippy::float_cmp)] // the same steps give the same bits
    fn rotating_turns_each_pair() {
        let (sin, cos) = 0.5f32.sin_cos();
        let turned = |x: f32, y: f32| [x * cos - y * sin, x * sin + y * cos];
        let (mut a, mut b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]);
        rotate(&mut a, &[(sin, cos), (0.0, 1.0)], true);
        rotate(&mut b, &[(sin, cos), (0.0, 1.0)], false);
        let ([p, q], [r, s]) = (turned(1.0, 2.0), turned(1.0, 3.0));
        assert_eq!(a, [p, q, 3.0, 4.0]);
        assert_eq!(b, [r, 2.0, s, 4.0]);
    }
}
