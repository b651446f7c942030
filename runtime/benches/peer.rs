//! Speed of prefill and decode, alone or in turns with llama.cpp's `llama-bench` and `llama-batched-bench` on the same files.
//!
//! `cargo bench -p edvac-runtime --bench peer -- --models DIR [--llama DIR] [--names a,b] [--depths 0,2048,8192]
//! [--rounds N] [--kv f16|q8_0]`: prints the median tokens per second of a 512-token prefill, of 64 decoded tokens at each depth, and of
//! four sequences that decode 64 tokens each together, with ratios where `--llama` names a directory with those programs.
//! What decoding reads of the weights is compared with what the machine's memory gives. With `--rewrite FILE --rename A=B` it
//! is also measured how much faster guesses make the reply that is the file with a name changed. Run it on an idle machine; both engines are measured in every round, so that a slower minute slows both.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use edvac_runtime::chat_template::ChatMessage;
use edvac_runtime::kv::{KvFormat, KvOptions};
use edvac_runtime::{Engine, EngineOptions, GenerateRequest, Progress, SharedEngine};

/// Tokens of the prefill that is measured.
const PREFILL_TOKENS: usize = 512;
/// Tokens decoded at each depth.
const DECODE_TOKENS: usize = 64;

/// Sequences that decode together.
const TOGETHER: usize = 4;
/// Tokens of the prompt of each.
const TOGETHER_PROMPT_TOKENS: usize = 128;

struct Arguments {
    models: PathBuf,
    llama: Option<PathBuf>,
    names: Vec<String>,
    depths: Vec<usize>,
    rounds: usize,
    /// How both engines keep keys and values.
    kv: KvFormat,
    rewrite: Option<PathBuf>,
    rename: Option<(String, String)>,
}

fn arguments() -> Arguments {
    let mut found = Arguments {
        models: PathBuf::from("."),
        llama: None,
        names: ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"].map(str::to_owned).to_vec(),
        depths: vec![0, 2048, 8192],
        rounds: 3,
        kv: KvFormat::F16,
        rewrite: None,
        rename: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        // What `cargo bench` adds by itself.
        if name == "--bench" {
            continue;
        }
        let value = given.next().unwrap_or_else(|| panic!("{name} needs a value"));
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match name.as_str() {
            "--models" => found.models = PathBuf::from(value),
            "--llama" => found.llama = Some(PathBuf::from(value)),
            "--names" => found.names = list(),
            "--depths" => {
                found.depths = list().iter().map(|d| d.parse().expect("depths are numbers")).collect();
            }
            "--rewrite" => found.rewrite = Some(PathBuf::from(value)),
            "--rename" => {
                found.rename = value.split_once('=').map(|(old, new)| (old.to_owned(), new.to_owned()));
            }
            "--kv" => {
                found.kv = KvFormat::try_from(value).expect("f16 or q8_0");
            }
            "--rounds" => found.rounds = value.parse().expect("rounds are a number"),
            other => panic!("{other} is not an option of this benchmark"),
        }
    }
    found
}

/// Ids that mean nothing but differ, so that nothing is reused by chance.
fn ids(count: usize, seed: u32) -> Vec<u32> {
    let mut x = seed * 2 + 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        1000 + x % 20_000
    };
    (0..count).map(|_| next()).collect()
}

/// Tokens per second, once as a whole and then of every part on its own: of the prefill, or of the decoding behind a
/// prompt of `depth` tokens.
fn ours(engine: &mut Engine, depth: Option<usize>, seed: u32) -> (f64, Vec<f64>) {
    let prompt = ids(depth.map_or(PREFILL_TOKENS, |d| d.max(1)), seed);
    let tokens_max = depth.map_or(1, |_| DECODE_TOKENS);
    let request = GenerateRequest { prompt, tokens_max, ..GenerateRequest::default() };
    let mut parts = Vec::new();
    let mut last = (Instant::now(), 0);
    let made = engine.generate(&request, &mut |progress| {
        let present = match progress {
            Progress::Prefill { done, .. } if depth.is_none() => done,
            Progress::Piece { tokens, .. } if depth.is_some() => tokens,
            _ => return ControlFlow::Continue(()),
        };
        let now = Instant::now();
        if present > last.1 && last.1 > 0 {
            parts.push((present - last.1) as f64 / (now - last.0).as_secs_f64());
        }
        last = (now, present);
        ControlFlow::Continue(())
    });
    let made = made.expect("a reply");
    let (tokens, ms) = match depth {
        None => (made.prompt_tokens - made.reused_tokens, made.prefill_ms),
        Some(_) => (made.ids.len(), made.decode_ms),
    };
    (tokens as f64 * 1000.0 / ms.max(1) as f64, parts)
}

/// The same of llama.cpp; `None` where the program fails.
fn theirs(dir: &Path, model: &Path, kv: KvFormat, depth: Option<usize>) -> Option<f64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let (prompt, decode) = if depth.is_none() { (PREFILL_TOKENS, 0) } else { (0, DECODE_TOKENS) };
    let output = Command::new(dir.join("llama-bench"))
        .args(["-t", &threads, "-r", "1", "-fa", "1", "-o", "json", "-ctk", kv.name(), "-ctv", kv.name()])
        .args(["-p", &prompt.to_string(), "-n", &decode.to_string(), "-d", &depth.unwrap_or(0).to_string()])
        .arg("-m")
        .arg(model)
        .output()
        .ok()?;
    let results: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    results[0]["avg_ts"].as_f64()
}

/// Tokens per second of all sequences that decode together. Their prompts are known already, so that only the last token of
/// each is computed besides.
fn ours_together(engine: &SharedEngine, seed: u32) -> f64 {
    let request = |n: usize, tokens_max| GenerateRequest {
        prompt: ids(TOGETHER_PROMPT_TOKENS, seed + n as u32),
        tokens_max,
        ..GenerateRequest::default()
    };
    let make = &|n, tokens_max| {
        engine
            .generate(&request(n, tokens_max), &mut |_| ControlFlow::Continue(()))
            .expect("a reply")
            .ids
            .len()
    };
    (0..TOGETHER).for_each(|n| assert!(make(n, 1) <= 1));
    let started = Instant::now();
    let made: usize = std::thread::scope(|scope| {
        let each: Vec<_> = (0..TOGETHER).map(|n| scope.spawn(move || make(n, DECODE_TOKENS))).collect();
        each.into_iter().map(|one| one.join().expect("a reply")).sum()
    });
    made as f64 / started.elapsed().as_secs_f64()
}

/// The same of llama.cpp; `None` where the program fails.
fn theirs_together(dir: &Path, model: &Path) -> Option<f64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let window = TOGETHER * (TOGETHER_PROMPT_TOKENS + DECODE_TOKENS);
    let output = Command::new(dir.join("llama-batched-bench"))
        .args(["-t", &threads, "-tb", &threads, "-fa", "on", "--output-format", "jsonl"])
        .args(["-npp", &TOGETHER_PROMPT_TOKENS.to_string(), "-ntg", &DECODE_TOKENS.to_string()])
        .args(["-npl", &TOGETHER.to_string(), "-c", &window.to_string()])
        .arg("-m")
        .arg(model)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line: serde_json::Value = said.lines().find_map(|line| serde_json::from_str(line).ok())?;
    line["speed_tg"].as_f64()
}

/// Bytes a second that as many threads as there are processors read from memory together, in the best of some rounds.
fn bandwidth() -> f64 {
    const BYTES: usize = 256 << 20;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let memory: Vec<Vec<u64>> = (0..threads as u64).map(|n| vec![n + 1; BYTES / size_of::<u64>()]).collect();
    let round = || {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for part in &memory {
                scope.spawn(|| std::hint::black_box(part.iter().fold(0, |sum: u64, x| sum.wrapping_add(*x))));
            }
        });
        (BYTES * threads) as f64 / started.elapsed().as_secs_f64()
    };
    (0..5).map(|_| round()).fold(0.0, f64::max)
}

/// Milliseconds of decoding the rewritten file with guesses and without, and the tokens of the reply, which is the same.
fn rewriting(path: &Path, file: &str, (old, new): &(String, String)) -> (f64, f64, usize) {
    let said = format!(
        "Write this file again with every `{old}` renamed to `{new}` and nothing else changed. Reply with the file only.\n\n```\n{file}```"
    );
    let make = |draft_tokens_max: Option<usize>| {
        let options = EngineOptions::default();
        let draft_tokens_max = draft_tokens_max.unwrap_or(options.draft_tokens_max);
        let mut engine = Engine::open(path, &EngineOptions { draft_tokens_max, ..options }).expect("a model");
        let message = ChatMessage { role: "user".to_owned(), content: said.clone() };
        let text = engine.render_chat(&[message], true).expect("a prompt");
        let prompt = engine.tokenizer().encode(&text, true).expect("tokens");
        let request = GenerateRequest { prompt, tokens_max: 8192, ..GenerateRequest::default() };
        engine.generate(&request, &mut |_| ControlFlow::Continue(())).expect("a reply")
    };
    let (with, without) = (make(None), make(Some(0)));
    assert_eq!(with.ids, without.ids, "guesses change no token");
    let changed = file.replace(old.as_str(), new);
    let right = with.text.lines().filter(|line| changed.lines().any(|l| l == *line)).count();
    println!("{} of {} lines of the reply are the file's, renamed", right, with.text.lines().count());
    (with.decode_ms as f64, without.decode_ms as f64, with.ids.len())
}

fn print(name: &str, what: &str, mine: f64, best: Option<f64>, other: f64) {
    print!("{name}: {what:>15}: {mine:8.1}/s");
    if let Some(best) = best {
        print!(" (best part {best:.1}/s)");
    }
    if other.is_nan() {
        println!();
    } else {
        println!(", llama.cpp {other:8.1}/s, ratio {:.2}", mine / other);
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let arguments = arguments();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let line = |name: &str| cpu.lines().find(|l| l.starts_with(name)).unwrap_or_default().to_owned();
    let flags = line("flags");
    let wanted = ["avx2", "avx512f", "avx512_vnni", "amx_int8"];
    let has: Vec<_> = wanted.into_iter().filter(|f| flags.split(' ').any(|flag| flag == *f)).collect();
    println!("{}; {}; load {}", line("model name"), has.join(" "), read("/proc/loadavg").trim());
    println!("edvac computes with {}", edvac_runtime::instruction_set());
    for name in &arguments.names {
        let path = arguments.models.join(format!("{name}.gguf"));
        let started = Instant::now();
        // Without guesses, which `llama-bench` does not make either.
        let kv = KvOptions { format: arguments.kv, ..KvOptions::default() };
        let options = EngineOptions { draft_tokens_max: 0, kv, ..EngineOptions::default() };
        let mut engine =
            Engine::open(&path, &options).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("{name}: loaded in {:.2} s", started.elapsed().as_secs_f64());
        let room = engine.meta().window_tokens.saturating_sub(DECODE_TOKENS);
        let depths = arguments.depths.iter().copied().filter(|depth| *depth < room);
        let points = std::iter::once(None).chain(depths.map(Some));
        for (n, point) in points.enumerate() {
            let (mut mine, mut parts, mut other) = (Vec::new(), Vec::new(), Vec::new());
            for round in 0..arguments.rounds {
                let (whole, of_parts) = ours(&mut engine, point, (n * 100 + round) as u32 + 7);
                mine.push(whole);
                parts.extend(of_parts);
                other
                    .extend(arguments.llama.as_ref().and_then(|dir| theirs(dir, &path, arguments.kv, point)));
            }
            let what = point.map_or(format!("prefill {PREFILL_TOKENS}"), |d| format!("decode at {d}"));
            let (mine, other) = (median(mine), median(other));
            // What the machine can do when no other program takes a processor away.
            let best = parts.into_iter().fold(0.0, f64::max);
            print(name, &what, mine, Some(best), other);
            if point == Some(0) {
                let (read, most) = (mine * engine.meta().packed_bytes as f64, bandwidth());
                let share = read / most;
                println!(
                    "{name}:    weights read: {:.1} GB/s, where a plain loop reads {:.1}: {share:.2}",
                    read / 1e9,
                    most / 1e9
                );
            }
        }
        let engine = SharedEngine::new(engine).expect("a thread");
        let (mut mine, mut other) = (Vec::new(), Vec::new());
        for round in 0..arguments.rounds {
            mine.push(ours_together(&engine, (round * TOGETHER) as u32 + 5007));
            other.extend(arguments.llama.as_ref().and_then(|dir| theirs_together(dir, &path)));
        }
        print(name, &format!("{TOGETHER} together"), median(mine), None, median(other));
        drop(engine);
        if let (Some(file), Some(rename)) = (&arguments.rewrite, &arguments.rename) {
            let (with, without, tokens) = rewriting(&path, &read(&file.to_string_lossy()), rename);
            println!(
                "{name}: rewriting {tokens} tokens: {with:.0} ms with guesses, {without:.0} without, ratio {:.2}",
                without / with
            );
        }
    }
    println!("load {}", read("/proc/loadavg").trim());
}
