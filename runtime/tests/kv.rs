//! The KV store under a real model: what is found again gives the bits that computing gives. `EDVAC_TEST_MODELS` names
//! a directory with `smollm2-135m.gguf`; these tests exist only with the feature `model-tests`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use edvac_runtime::kv::{self, KvFormat, KvOptions, SnapshotOptions};
use edvac_runtime::{Engine, EngineOptions, GenerateRequest, Generation};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn file() -> PathBuf {
    let dir =
        std::env::var_os("EDVAC_TEST_MODELS").expect("EDVAC_TEST_MODELS names the directory of test models");
    PathBuf::from(dir).join("smollm2-135m.gguf")
}

fn engine(model: &Path, dir: &Path) -> Engine {
    engine_keeping(KvFormat::F16, model, Some(dir))
}

fn engine_keeping(format: KvFormat, model: &Path, dir: Option<&Path>) -> Engine {
    let snapshots = dir.map(|dir| SnapshotOptions { dir: dir.to_owned(), bytes_max: 1 << 30 });
    let kv = KvOptions { snapshots, format, ..KvOptions::default() };
    Engine::open(model, &EngineOptions { kv, ..EngineOptions::default() }).expect("the test model loads")
}

fn tokens(random: &mut StdRng, len: usize) -> Vec<u32> {
    (0..len).map(|_| random.random_range(100..20_000)).collect()
}

fn generate(engine: &mut Engine, prompt: &[u32]) -> Generation {
    let request = GenerateRequest { prompt: prompt.to_vec(), tokens_max: 6, ..GenerateRequest::default() };
    engine.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|l| l.to_bits()).collect()
}

/// Traces of branches, truncations, replies and restarts; after each step the next token's logits are those of a cold
/// run, bit for bit.
#[test]
fn cached_logits_are_cold_logits() {
    // In one directory: neither finds the other's rows.
    let dir = tempfile::tempdir().unwrap();
    for format in [KvFormat::F16, KvFormat::Q8] {
        cached_logits_are_cold_logits_keeping(format, dir.path());
    }
}

fn cached_logits_are_cold_logits_keeping(format: KvFormat, dir: &Path) {
    let mut random = StdRng::seed_from_u64(3);
    let mut compared = 0;
    let (mut memory, mut disk) = (0, 0);
    let mut warm = engine_keeping(format, &file(), Some(dir));
    let mut cold = engine_keeping(format, &file(), None);
    for _trace in 0..10 {
        let mut seen: Vec<Vec<u32>> = vec![tokens(&mut random, 40)];
        for _step in 0..7 {
            if random.random_bool(0.3) {
                drop(warm);
                warm = engine_keeping(format, &file(), Some(dir));
            }
            let origin = &seen[random.random_range(0..seen.len())];
            let mut prompt = origin[..random.random_range(0..=origin.len())].to_vec();
            let more = random.random_range(1..40);
            prompt.extend(tokens(&mut random, more));
            if random.random_bool(0.5) {
                let made = generate(&mut warm, &prompt);
                assert_eq!(made.reused_tokens, made.reused_ram_tokens + made.restored_disk_tokens);
                assert_eq!(made.reused_tokens + made.prefilled_tokens, prompt.len());
                memory += made.reused_ram_tokens;
                disk += made.restored_disk_tokens;
                prompt.extend(made.ids);
            }
            let found = warm.logits_reusing(&prompt).unwrap();
            let computed = cold.logits(&prompt, 1).unwrap().remove(0);
            assert!(bits(&found) == bits(&computed), "after {} tokens", prompt.len());
            compared += 1;
            seen.push(prompt);
        }
    }
    println!("{compared} logits compared; {memory} tokens from memory, {disk} from disk in replies");
    assert!(memory > 100 && disk > 100);
}

#[test]
fn a_new_process_restores_and_names_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(4);
    let prompt = tokens(&mut random, 200);
    let first = generate(&mut engine(&file(), dir.path()), &prompt);
    assert_eq!((first.reused_tokens, first.prefilled_tokens), (0, 200));
    let mut again = engine(&file(), dir.path());
    let made = generate(&mut again, &prompt);
    assert_eq!((made.restored_disk_tokens, made.reused_ram_tokens, made.prefilled_tokens), (199, 0, 1));
    assert_eq!((made.ids, made.diverged_at), (first.ids, None));
    let mut changed = prompt.clone();
    changed[150] += 1;
    let made = generate(&mut again, &changed);
    assert_eq!((made.reused_tokens, made.prefilled_tokens, made.diverged_at), (150, 50, Some(150)));
    again.flush_kv();
    assert!(kv::list(dir.path()).iter().all(|s| !s.model.is_empty()));
    assert!(kv::verify(dir.path()).1.is_empty());
}

/// Rows belong to the bytes that were loaded. A file that is changed in place, with its size and time kept, is
/// another model, and the engine that loaded the old bytes goes on storing under the old key.
#[test]
fn a_changed_model_finds_nothing_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("kv");
    let model = dir.path().join("model.gguf");
    let bytes = std::fs::read(file()).unwrap();
    std::fs::write(&model, &bytes).unwrap();
    let prompt = tokens(&mut StdRng::seed_from_u64(5), 64);
    let mut old = engine(&model, &cache);
    let time = std::fs::metadata(&model).unwrap().modified().unwrap();
    let mut changed = bytes;
    let at = changed.len() - 1000;
    changed[at] ^= 1;
    std::fs::write(&model, &changed).unwrap();
    std::fs::File::options().write(true).open(&model).unwrap().set_modified(time).unwrap();
    generate(&mut old, &prompt);
    drop(old);
    assert_eq!(generate(&mut engine(&model, &cache), &prompt).reused_tokens, 0);
    let keys: std::collections::HashSet<_> = kv::list(&cache).into_iter().map(|s| s.kv_key).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(generate(&mut engine(&file(), &cache), &prompt).restored_disk_tokens, 63);
}
