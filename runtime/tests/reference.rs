//! Agreement with llama.cpp on the same files. The values and how they were made are in `reference/`.
//!
//! Both engines quantise activations in their own way, so log-probabilities differ a little, and where two tokens are
//! almost equally likely the first place may change. What must hold: the same token ids for a text; the same first
//! token wherever llama.cpp's choice is clear; and log-probabilities that are near.

use std::path::{Path, PathBuf};

use edvac_runtime::kv::{KvFormat, KvOptions};
use edvac_runtime::{Engine, EngineOptions};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// A choice is clear when the second token is less likely by more than this (natural logarithm).
const CLEAR: f32 = 0.7;
/// Mean difference of the first tokens' log-probabilities over all positions.
const MEAN_DIFFERENCE_MAX: f32 = 0.2;
/// Largest difference at any one position.
const DIFFERENCE_MAX: f32 = 1.5;

#[derive(Deserialize)]
struct Reference {
    sha256: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    id: u32,
    top: Vec<(u32, f32)>,
}

fn model(name: &str) -> PathBuf {
    let dir =
        std::env::var_os("EDVAC_TEST_MODELS").expect("EDVAC_TEST_MODELS names the directory of test models");
    PathBuf::from(dir).join(format!("{name}.gguf"))
}

fn reference(name: &str) -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn log_probabilities(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|l| (l - max).exp()).sum();
    logits.iter().map(|l| l - max - sum.ln()).collect()
}

/// On `device`, with at most `cases_max` of the texts.
fn agrees(name: &str, device: &str, cases_max: usize) {
    agrees_keeping(KvFormat::F16, name, device, cases_max);
}

fn agrees_keeping(format: KvFormat, name: &str, device: &str, cases_max: usize) {
    let reference = reference(name);
    let bytes = std::fs::read(model(name)).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(digest, reference.sha256, "the values are of another file");
    assert!(reference.cases.len() >= 20);
    let kv = KvOptions { format, ..KvOptions::default() };
    let options = EngineOptions { device: device.to_owned(), kv, ..EngineOptions::default() };
    let mut engine = Engine::open(&model(name), &options).unwrap();
    let (mut clear, mut positions, mut difference) = (0, 0, 0.0);
    for case in reference.cases.iter().take(cases_max) {
        assert_eq!(engine.tokenizer().encode(&case.text, false).unwrap(), case.ids, "{:?}", case.text);
        // Each position with what llama.cpp chose before it.
        let mut ids = case.ids.clone();
        ids.extend(case.steps.iter().map(|s| s.id));
        ids.pop();
        let rows = engine.logits(&ids, case.steps.len()).unwrap();
        for (step, row) in case.steps.iter().zip(&rows) {
            let ours = log_probabilities(row);
            let (best, theirs) = step.top[0];
            let apart = (ours[best as usize] - theirs).abs();
            assert!(apart < DIFFERENCE_MAX, "{:?}: {apart} at token {best}", case.text);
            difference += apart;
            positions += 1;
            if theirs - step.top[1].1 > CLEAR {
                clear += 1;
                let most = (0..ours.len()).max_by(|&a, &b| ours[a].total_cmp(&ours[b])).unwrap();
                assert_eq!(most, best as usize, "{:?}", case.text);
            }
        }
    }
    let mean = difference / positions as f32;
    println!(
        "{name} on {device}, {}: {clear} clear choices of {positions} agree, mean difference {mean:.4}",
        format.name()
    );
    assert!(clear * 2 > positions, "most choices are clear");
    assert!(mean < MEAN_DIFFERENCE_MAX, "{mean}");
}

#[test]
fn smollm2_agrees_with_llama_cpp() {
    agrees("smollm2-135m", "cpu", usize::MAX);
}

#[test]
fn qwen_agrees_with_llama_cpp() {
    agrees("qwen2.5-coder-0.5b", "cpu", usize::MAX);
}

/// Keys and values in eight bits, against llama.cpp's in sixteen. The keys of the second are not what eight bits can hold
/// as they are.
#[test]
fn rounded_keys_and_values_agree_with_llama_cpp() {
    agrees_keeping(KvFormat::Q8, "smollm2-135m", "cpu", usize::MAX);
    agrees_keeping(KvFormat::Q8, "qwen2.5-coder-0.5b", "cpu", usize::MAX);
}

/// The way of CUDA and Metal, computed on the CPU: slowly, so a few texts have to do.
#[test]
fn the_way_of_other_devices_agrees_with_llama_cpp() {
    agrees("smollm2-135m", "candle-cpu", 10);
    agrees("qwen2.5-coder-0.5b", "candle-cpu", 5);
}
