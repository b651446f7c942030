use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use proptest::prelude::*;

use super::left::{FineRow, WideRow};
use super::*;
use crate::kernels::testing::numbers;

const WIDE: [GgmlDType; 2] = [GgmlDType::Q4K, GgmlDType::Q6K];
const FINE: [GgmlDType; 4] = [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q8_0];

/// A random matrix in a format, with the weights that the tensor library's decoder reads out of it.
fn matrix(dtype: GgmlDType, rows: usize, columns: usize, seed: u32) -> (QuantMatrix, Vec<f32>) {
    let source = Tensor::from_vec(numbers(rows * columns, seed), (rows, columns), &Device::Cpu).unwrap();
    let quantised = QTensor::quantize(&source, dtype).unwrap();
    let weights = quantised.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let bytes = quantised.data().unwrap().into_owned();
    (QuantMatrix::new(bytes, dtype, &[rows, columns]).expect("a format of these kernels"), weights)
}

/// The left side as the kernels see it: after rounding to eight bits.
fn rounded(family: Family, left: &[f32]) -> Vec<f32> {
    left.chunks(PANEL)
        .flat_map(|part| {
            let (wide, fine) = (WideRow::quantise(part), FineRow::quantise(part));
            (0..part.len())
                .map(move |i| match family {
                    Family::Wide => f32::from(wide.numbers[i]) * wide.scale,
                    Family::Fine => f32::from(fine.numbers[i]) * fine.scales[i / 32],
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn check(dtype: GgmlDType, rows: usize, columns: usize, m: usize, seed: u32) -> Result<(), TestCaseError> {
    let (matrix, weights) = matrix(dtype, rows, columns, seed);
    let left = numbers(m * columns, seed ^ 0x5555);
    let found = matrix.multiply(&left);
    for (row, x) in left.chunks_exact(columns).enumerate() {
        let seen = rounded(matrix.family, x);
        for (n, w) in weights.chunks_exact(columns).enumerate() {
            let terms = || w.iter().zip(&seen).map(|(w, x)| f64::from(*w) * f64::from(*x));
            let (sum, size) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
            let got = f64::from(found[row * rows + n]);
            prop_assert!((got - sum).abs() <= 1e-5 * size + 1e-6, "{dtype:?} {row},{n}: {got} {sum}");
        }
        // Whatever company a row is computed in.
        prop_assert!(
            matrix.multiply(x) == found[row * rows..(row + 1) * rows],
            "{dtype:?}: other bits alone"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_are_those_of_the_decoded_weights(rows in 1usize..20, blocks in 1usize..4, m in 1usize..40, seed: u32) {
        if avx2::is_available() {
            for dtype in WIDE {
                check(dtype, rows, blocks * 256, m, seed)?;
            }
            for dtype in FINE {
                // Also rows that end inside a panel.
                check(dtype, rows, blocks * 160, m, seed)?;
            }
        }
    }

    /// Rounding the left side costs at most half a step of its scale per number.
    #[test]
    fn rounding_stays_within_half_a_step(seed: u32, count in 1usize..=256) {
        let left = numbers(count, seed);
        for family in [Family::Wide, Family::Fine] {
            for (a, b) in rounded(family, &left).iter().zip(&left) {
                prop_assert!((a - b).abs() <= 2.5 / 127.0 * 0.5 + 1e-6);
            }
        }
    }

    /// Any bytes of the right length are some matrix, and computing with it touches nothing else.
    #[test]
    fn arbitrary_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 210 * 3)) {
        if avx2::is_available() {
            let matrix = QuantMatrix::new(bytes, GgmlDType::Q6K, &[3, 256]).unwrap();
            prop_assert_eq!(matrix.multiply(&[1.0; 512]).len(), 6);
        }
    }
}

#[test]
fn what_the_kernels_do_not_compute_is_given_back() {
    assert!(QuantMatrix::new(vec![0; 8], GgmlDType::F32, &[1, 2]).is_err());
    assert!(QuantMatrix::new(vec![0; 143], GgmlDType::Q4K, &[1, 256]).is_err());
    assert!(QuantMatrix::new(vec![0; 144], GgmlDType::Q4K, &[256]).is_err());
    assert!(QuantMatrix::new(Vec::new(), GgmlDType::Q4K, &[0, 256]).is_err());
}
