//! How keys and values are kept: the bytes of a row.
//!
//! A row holds one position's keys, or values, of all KV heads of a layer. In [`KvFormat::Q8`] it is all codes, one signed
//! byte each, and then all scales, one f16 for every 32 of them.

use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KvFormat {
    /// Two bytes an element.
    #[default]
    F16,
    /// 8.5 bits an element: a signed byte, and an f16 scale for every 32. Rounding changes logits a little.
    Q8,
}

/// Elements that share a scale.
pub(crate) const BLOCK: usize = 32;
/// The largest code.
const CODE_MAX: f32 = 127.0;

impl KvFormat {
    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8 => "q8_0",
        }
    }

    /// Whether heads of so many elements can be kept so.
    pub(crate) fn takes(self, head_dim: usize) -> bool {
        self == Self::F16 || head_dim.is_multiple_of(BLOCK)
    }

    /// Bytes of a row of so many elements.
    pub(crate) fn row_bytes(self, elements: usize) -> usize {
        match self {
            Self::F16 => elements * size_of::<f16>(),
            Self::Q8 => elements + elements / BLOCK * size_of::<f16>(),
        }
    }

    /// Appends rows of `elements` each.
    pub(crate) fn encode(self, rows: &[f32], elements: usize, to: &mut Vec<u8>) {
        let start = to.len();
        to.resize(start + rows.len() / elements * self.row_bytes(elements), 0);
        let to = &mut to[start..];
        match self {
            Self::F16 => {
                // Where the bytes lie is not known to be even.
                for (to, from) in to.chunks_mut(2 * BLOCK).zip(rows.chunks(BLOCK)) {
                    let mut halves = [f16::ZERO; BLOCK];
                    halves[..from.len()].convert_from_f32_slice(from);
                    to.copy_from_slice(bytemuck::cast_slice(&halves[..from.len()]));
                }
            }
            Self::Q8 => {
                for (to, row) in
                    to.chunks_exact_mut(self.row_bytes(elements)).zip(rows.chunks_exact(elements))
                {
                    let (codes, scales) = to.split_at_mut(elements);
                    let blocks = row.as_chunks().0.iter().zip(codes.as_chunks_mut().0);
                    for ((block, codes), scale) in blocks.zip(scales.as_chunks_mut().0) {
                        *scale = encode_block(block, codes).to_ne_bytes();
                    }
                }
            }
        }
    }

    /// The elements from `first` on of a row of `elements`, as many as there is room for; whole blocks.
    pub(super) fn decode(self, row: &[u8], elements: usize, first: usize, to: &mut [f32]) {
        match self {
            Self::F16 => widen(&row[2 * first..2 * (first + to.len())], to),
            Self::Q8 => {
                let (codes, scales) = row[..self.row_bytes(elements)].split_at(elements);
                let scales = scales.as_chunks().0[first / BLOCK..].iter();
                for ((to, codes), scale) in
                    to.chunks_exact_mut(BLOCK).zip(codes[first..].chunks_exact(BLOCK)).zip(scales)
                {
                    let scale = f16::from_ne_bytes(*scale).to_f32();
                    for (to, code) in to.iter_mut().zip(codes) {
                        *to = f32::from(code.cast_signed()) * scale;
                    }
                }
            }
        }
    }
}

impl TryFrom<String> for KvFormat {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = [Self::F16, Self::Q8].into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| format!("{name:?} is neither \"f16\" nor \"q8_0\""))
    }
}

impl From<KvFormat> for String {
    fn from(format: KvFormat) -> Self {
        format.name().to_owned()
    }
}

/// Rounds a block to codes and returns its scale.
fn encode_block(block: &[f32; BLOCK], codes: &mut [u8; BLOCK]) -> f16 {
    let largest = block.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let scale = f16::from_f32((largest / CODE_MAX).min(f16::MAX.to_f32()));
    // The scale is rounded too, so codes are of what it has become.
    let inverse = if scale > f16::ZERO { scale.to_f32().recip() } else { 0.0 };
    for (code, x) in codes.iter_mut().zip(block) {
        *code = ((x * inverse).round_ties_even().clamp(-CODE_MAX, CODE_MAX) as i8).cast_unsigned();
    }
    scale
}

/// f16 as f32.
fn widen(from: &[u8], to: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if crate::kernels::Isa::best().has_avx512() {
        // SAFETY: the instructions were just found.
        return unsafe { super::avx512::widen(from, to) };
    }
    for (to, from) in to.chunks_mut(BLOCK).zip(from.chunks(2 * BLOCK)) {
        let mut halves = [f16::ZERO; BLOCK];
        bytemuck::cast_slice_mut(&mut halves[..to.len()]).copy_from_slice(from);
        halves[..to.len()].convert_to_f32_slice(to);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Half a step of the scale, and what rounding the scale itself to eleven bits costs.
        #[test]
        fn what_is_kept_is_near(rows in prop::collection::vec(prop::num::f32::NORMAL, 64 * 3), size in -3i32..12) {
            let rows: Vec<f32> = rows.iter().map(|x| (x % 1.0) * 2f32.powi(size)).collect();
            for format in [KvFormat::F16, KvFormat::Q8] {
                let mut bytes = Vec::new();
                format.encode(&rows, 64, &mut bytes);
                prop_assert_eq!(bytes.len(), 3 * format.row_bytes(64));
                for (row, kept) in rows.chunks_exact(64).zip(bytes.chunks_exact(format.row_bytes(64))) {
                    let mut found = vec![0.0; 64];
                    format.decode(kept, 64, 0, &mut found);
                    for (block, found) in row.chunks(BLOCK).zip(found.chunks(BLOCK)) {
                        let largest = block.iter().fold(0.0f32, |m, x| m.max(x.abs()));
                        let bound = match format {
                            KvFormat::F16 => largest / 2048.0 + 1e-7,
                            // The smallest scales have fewer bits.
                            KvFormat::Q8 => largest * (0.5 / 127.0 + 2.0 / 2048.0) + 4e-6,
                        };
                        prop_assert!(block.iter().zip(found).all(|(a, b)| (a - b).abs() <= bound));
                    }
                    let mut half = vec![0.0; 32];
                    format.decode(kept, 64, 32, &mut half);
                    prop_assert_eq!(&half, &found[32..]);
                }
            }
        }

        #[test]
        fn any_numbers_can_be_kept(rows in prop::collection::vec(any::<f32>(), 64)) {
            let mut bytes = Vec::new();
            KvFormat::Q8.encode(&rows, 64, &mut bytes);
            let mut found = vec![0.0; 64];
            KvFormat::Q8.decode(&bytes, 64, 0, &mut found);
            prop_assert!(found.iter().all(|x| x.is_finite()));
        }
    }
}
