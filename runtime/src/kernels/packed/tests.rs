use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::kernels::testing::numbers;

const WIDE: [GgmlDType; 3] = [GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K];
const NARROW: [GgmlDType; 5] =
    [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1, GgmlDType::Q8_0];

fn packed(dtype: GgmlDType, dims: &[usize], bytes: &[u8]) -> PackedMatrix {
    PackedMatrix::pack(dtype, dims, &|range: Range<usize>| Ok::<_, std::io::Error>(bytes[range].to_vec()))
        .unwrap()
}

/// A random matrix in a format, with the weights that the tensor library's decoder reads out of it.
fn matrix(dtype: GgmlDType, rows: usize, columns: usize, seed: u32) -> (PackedMatrix, Vec<f32>) {
    let source = Tensor::from_vec(numbers(rows * columns, seed), (rows, columns), &Device::Cpu).unwrap();
    let quantised = QTensor::quantize(&source, dtype).unwrap();
    let weights = quantised.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (packed(dtype, &[rows, columns], &quantised.data().unwrap()), weights)
}

fn product(matrix: &PackedMatrix, left: &LeftRows) -> Vec<f32> {
    product_on(Isa::best(), matrix, left)
}

fn product_on(isa: Isa, matrix: &PackedMatrix, left: &LeftRows) -> Vec<f32> {
    let mut out = vec![f32::NAN; left.rows() * matrix.rows];
    assert!(Isa::available().any(|there| there == isa));
    // SAFETY: it is there.
    unsafe { multiply_on(isa, [Product { matrix, left, out: &mut out }]) };
    out
}

fn left(matrix: &PackedMatrix, numbers: &[f32]) -> LeftRows {
    let mut left = LeftRows::default();
    left.fill(matrix.is_wide(), numbers, matrix.columns);
    left
}

/// The scalar twin.
fn twin(matrix: &PackedMatrix, left: &LeftRows) -> Vec<f32> {
    let mut out = Vec::new();
    for row in 0..left.rows() {
        let at = left.at(row / TILE * TILE, row % TILE, 0);
        out.extend((0..matrix.rows).map(|n| {
            let group = matrix.group(n / GROUP);
            // SAFETY: `left` has the matrix's columns.
            unsafe { twin::multiply(matrix.format, group, left.blocks(), n % GROUP, at) }
        }));
    }
    out
}

fn check(dtype: GgmlDType, rows: usize, columns: usize, m: usize, seed: u32) -> Result<(), TestCaseError> {
    let (matrix, weights) = matrix(dtype, rows, columns, seed);
    let numbers = numbers(m * columns, seed ^ 0x5555);
    let left = left(&matrix, &numbers);
    let seen = left.rounded();
    let twin = self::twin(&matrix, &left);
    for (row, x) in seen.chunks_exact(columns).enumerate() {
        for (n, w) in weights.chunks_exact(columns).enumerate() {
            let terms = || w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
            let (sum, size) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
            let got = f64::from(twin[row * rows + n]);
            prop_assert!((got - sum).abs() <= 1e-5 * size + 1e-6, "{dtype:?} {row},{n}: {got} {sum}");
        }
    }
    for isa in Isa::available() {
        prop_assert!(
            product_on(isa, &matrix, &left) == twin,
            "{dtype:?} {m}: other bits than the twin's on {isa:?}"
        );
    }
    for (row, x) in numbers.chunks_exact(columns).enumerate() {
        // Whatever company a row is computed in.
        let alone = product(&matrix, &self::left(&matrix, x));
        prop_assert!(alone == twin[row * rows..(row + 1) * rows], "{dtype:?}: other bits alone");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn products_are_those_of_the_decoded_weights(rows in 1usize..70, blocks in 1usize..4, m in 1usize..40, seed: u32) {
        for dtype in WIDE {
            check(dtype, rows, blocks * 256, m, seed)?;
        }
        for dtype in NARROW {
            // Also rows that end inside a panel.
            check(dtype, rows, blocks * 160, m, seed)?;
        }
    }

    /// Rounding the left side costs at most half a step of its scale per number.
    #[test]
    fn rounding_stays_within_half_a_step(seed: u32, rows in 1usize..40) {
        let numbers = numbers(rows * 256, seed);
        for wide in [false, true] {
            let mut left = LeftRows::default();
            left.fill(wide, &numbers, 256);
            for (a, b) in left.rounded().iter().zip(&numbers) {
                prop_assert!((a - b).abs() <= 2.5 / 127.0 * 0.5 + 1e-6);
            }
        }
    }

    /// Any bytes of the right length are some matrix, and computing with it touches nothing else.
    #[test]
    fn arbitrary_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 210 * 3)) {
        let matrix = packed(GgmlDType::Q6K, &[3, 256], &bytes);
        let mut found = product(&matrix, &left(&matrix, &[1.0; 512]));
        found.truncate(6);
        prop_assert_eq!(found.len(), 6);
    }
}

#[test]
fn several_products_are_the_single_ones() {
    let (a, _) = matrix(GgmlDType::Q4K, 100, 512, 1);
    let (b, _) = matrix(GgmlDType::Q6K, 33, 512, 2);
    let left = left(&a, &numbers(512 * 20, 3));
    let (mut x, mut y) = (vec![0.0; 2000], vec![0.0; 660]);
    multiply([
        Product { matrix: &a, left: &left, out: &mut x },
        Product { matrix: &b, left: &left, out: &mut y },
    ]);
    assert!(x == product(&a, &left) && y == product(&b, &left));
}

#[test]
fn what_the_kernels_do_not_compute_is_not_taken() {
    assert!(!PackedMatrix::takes(GgmlDType::F32, &[1, 2]));
    assert!(!PackedMatrix::takes(GgmlDType::Q4K, &[1, 128]));
    assert!(!PackedMatrix::takes(GgmlDType::Q4K, &[256]));
    assert!(!PackedMatrix::takes(GgmlDType::Q4K, &[0, 256]));
    assert!(PackedMatrix::takes(GgmlDType::Q4K, &[1, 256]));
}

/// For work on the kernels: the fastest of many short runs on one thread, which other programs disturb little.
#[test]
#[ignore = "prints speeds"]
fn speed() {
    for (isa, dtype) in Isa::available().flat_map(|isa| {
        [GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q5_0, GgmlDType::Q4_1, GgmlDType::Q8_0]
            .map(|dtype| (isa, dtype))
    }) {
        let (matrix, _) = matrix(dtype, 64, 1536, 1);
        for m in [1, 2, 4, 8, 12, 16, 128] {
            let left = left(&matrix, &numbers(1536 * m, 3));
            let mut out = vec![0.0; 64 * m];
            let part = Part { matrix: &matrix, left: &left, out: Disjoint::new(&mut out), isa };
            let run = |_| {
                let started = std::time::Instant::now();
                part.run(0..4);
                started.elapsed().as_nanos() as f64
            };
            let best = (0..400).map(run).fold(f64::INFINITY, f64::min);
            let (products, bytes) = ((64 * 1536 * m) as f64 / best, matrix.bytes.len() as f64 / best);
            println!(
                "{isa:?}, {dtype:?}, {m} rows: {best} ns, {products:.1} products/ns, {bytes:.1} bytes of weights/ns"
            );
        }
    }
}
