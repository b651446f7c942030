//! Rotary position embeddings and their scalings: how far each pair of a head turns at each position.
//!
//! RoPE: Su et al. 2021. Linear scaling: Chen et al. 2023. YaRN: Peng et al. 2023, section 3.4 and appendix A. Llama 3's own
//! scaling comes as one factor for each pair in a tensor of the file.

use std::f64::consts::PI;
use std::ops::Range;

use crate::error::Error;
use crate::gguf::Gguf;
use crate::weights::Weights;

/// Turns within the trained length from which on a pair is left as it is, and up to which it is stretched, where the file
/// says nothing else (YaRN's beta).
const YARN_TURNS: (f64, f64) = (32.0, 1.0);

/// The rotations of a model's heads.
#[derive(Clone, Debug)]
pub(super) struct Rope {
    /// Adjacent pairs instead of halves.
    pub adjacent: bool,
    /// Rotation per position of each pair.
    frequencies: Vec<f32>,
    /// What sines and cosines are multiplied with.
    magnitude: f64,
}

impl Rope {
    pub(super) fn read(gguf: &Gguf, arch: &str, head_dim: usize) -> Result<Self, Error> {
        let header = &gguf.header;
        let key = |name: &str| format!("{arch}.rope.{name}");
        let number = |name: &str, default: f64| header.float(&key(name)).unwrap_or(default);
        if let Some(turned) = header.unsigned(&key("dimension_count")).filter(|n| *n != head_dim as u64) {
            return Err(unsupported(&format!("heads of which {turned} of {head_dim} elements are turned")));
        }
        let base = number("freq_base", 10_000.0);
        let plain: Vec<f64> =
            (0..head_dim / 2).map(|i| base.powf(-2.0 * i as f64 / head_dim as f64)).collect();
        let factor = number("scaling.factor", 1.0);
        if !(factor.is_finite() && factor > 0.0) {
            return Err(Error::BadGguf(format!("{} is {factor}", key("scaling.factor"))));
        }
        let mut magnitude = 1.0;
        let scaled: Vec<f64> = match header.string(&key("scaling.type")).unwrap_or("none") {
            "none" => plain,
            "linear" => plain.iter().map(|f| f / factor).collect(),
            "yarn" => {
                let trained = header.unsigned(&key("scaling.original_context_length"));
                let trained =
                    trained.ok_or_else(|| Error::Missing(key("scaling.original_context_length")))? as f64;
                magnitude = number("scaling.attn_factor", 1.0) * (1.0 + 0.1 * factor.ln());
                let turns = (
                    number("scaling.yarn_beta_fast", YARN_TURNS.0),
                    number("scaling.yarn_beta_slow", YARN_TURNS.1),
                );
                yarn(&plain, base, factor, trained, turns)
            }
            other => return Err(unsupported(&format!("{other:?}"))),
        };
        let factors = Weights { gguf }.vector_optional("rope_freqs.weight", head_dim / 2)?;
        let frequencies = match factors {
            Some(factors) if factors.iter().all(|f| f.is_finite() && *f > 0.0) => {
                scaled.iter().zip(factors).map(|(f, by)| (f / f64::from(by)) as f32).collect()
            }
            Some(_) => return Err(Error::BadGguf("rope_freqs.weight has a factor that is none".to_owned())),
            None => scaled.iter().map(|f| *f as f32).collect(),
        };
        Ok(Self { adjacent: arch == "llama", frequencies, magnitude })
    }

    /// Appends sine and cosine for every pair of some positions.
    pub(super) fn turns(&self, positions: Range<usize>, turns: &mut Vec<(f32, f32)>) {
        for position in positions {
            turns.extend(self.frequencies.iter().map(|frequency| {
                // In f64: at position 100,000 the product in f32 is off by hundredths of a radian.
                let (sin, cos) = (position as f64 * f64::from(*frequency)).sin_cos();
                ((sin * self.magnitude) as f32, (cos * self.magnitude) as f32)
            }));
        }
    }
}

fn unsupported(what: &str) -> Error {
    Error::Missing(format!("RoPE scaling: {what} is not supported by this version"))
}

/// Pairs that turn often within the trained length stay, those that turn less than once are stretched, those between are
/// mixed.
fn yarn(plain: &[f64], base: f64, factor: f64, trained: f64, turns: (f64, f64)) -> Vec<f64> {
    let dim = 2.0 * plain.len() as f64;
    // The pair that turns so often within the trained length.
    let pair = |turns: f64| dim * (trained / (turns * 2.0 * PI)).ln() / (2.0 * base.ln());
    let first = pair(turns.0).floor().max(0.0);
    let last = pair(turns.1).ceil().min(dim - 1.0);
    let mixed = |(i, frequency): (usize, &f64)| {
        let stretched = ((i as f64 - first) / (last - first).max(0.001)).clamp(0.0, 1.0);
        frequency / factor * stretched + frequency * (1.0 - stretched)
    };
    plain.iter().enumerate().map(mixed).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::gguf_file::{self, Value};
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::*;

    /// The RoPE of a file with these keys and factors, with heads of 8 elements.
    fn read(keys: &[(&str, Value)], factors: Option<[f32; 4]>) -> Result<Rope, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tensor = Tensor::new(factors.unwrap_or_default().to_vec(), &Device::Cpu).unwrap();
        let tensor = QTensor::quantize(&tensor, GgmlDType::F32).unwrap();
        let name = if factors.is_some() { "rope_freqs.weight" } else { "other" };
        let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value)).collect();
        gguf_file::write(&mut file.as_file(), &keys, &[(name, &tensor)]).unwrap();
        Rope::read(&Gguf::open(file.path()).unwrap(), "llama", 8)
    }

    #[test]
    fn what_a_file_says_of_its_scaling_is_done_or_named() {
        let kind = |kind: &str| ("llama.rope.scaling.type", Value::String(kind.to_owned()));
        let factor = ("llama.rope.scaling.factor", Value::F32(2.0));
        let plain = read(&[], None).unwrap();
        let ratios = |rope: Rope| -> Vec<f32> {
            plain.frequencies.iter().zip(rope.frequencies).map(|(plain, f)| plain / f).collect()
        };
        assert_eq!(ratios(read(&[kind("linear"), factor.clone()], None).unwrap()), [2.0; 4]);
        assert_eq!(ratios(read(&[], Some([1.0, 1.0, 4.0, 8.0])).unwrap()), [1.0, 1.0, 4.0, 8.0]);
        let trained = ("llama.rope.scaling.original_context_length", Value::U32(512));
        let yarn = read(&[kind("yarn"), factor.clone(), trained], None).unwrap();
        assert!((yarn.magnitude - 1.069_314_7).abs() < 1e-6, "0.1 ln 2 more than 1");
        let error = |keys: &[_], factors| read(keys, factors).map(|_| ()).unwrap_err().to_string();
        assert!(error(&[kind("yarn"), factor], None).contains("original_context_length"));
        assert!(error(&[kind("longrope")], None).contains("longrope"));
        assert!(error(&[("llama.rope.dimension_count", Value::U32(4))], None).contains("4 of 8"));
        assert!(error(&[("llama.rope.scaling.factor", Value::F32(0.0))], None).contains("factor"));
        assert!(error(&[], Some([1.0, 0.0, 1.0, 1.0])).contains("rope_freqs"));
    }

    #[test]
    fn yarn_keeps_what_turns_often_and_stretches_what_does_not() {
        let base: f64 = 1_000_000.0;
        let plain: Vec<f64> = (0..64).map(|i| base.powf(-2.0 * f64::from(i) / 128.0)).collect();
        let scaled = yarn(&plain, base, 4.0, 32_768.0, YARN_TURNS);
        // Qwen's 32k model at 128k, worked out by hand: pair 23 turns 32 times within 32k tokens, pair 40 once.
        let ratio = |i: usize| plain[i] / scaled[i];
        assert!((0..=23).all(|i| (ratio(i) - 1.0).abs() < 1e-12), "{}", ratio(23));
        assert!((40..64).all(|i| (ratio(i) - 4.0).abs() < 1e-12), "{}", ratio(40));
        assert!((24..40).all(|i| ratio(i) > ratio(i - 1)));
        assert_eq!(yarn(&plain, base, 1.0, 32_768.0, YARN_TURNS), plain);
    }
}
