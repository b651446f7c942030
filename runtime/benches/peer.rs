//! Speed of prefill and decode, alone or in turns with llama.cpp's `llama-bench` on the same files.
//!
//! `cargo bench -p edvac-runtime --bench peer -- --models DIR [--llama DIR] [--names a,b] [--depths 0,2048,8192]
//! [--rounds N]`: prints the median tokens per second of a 512-token prefill and of 64 decoded tokens at each depth,
//! with ratios where `--llama` names a directory with `llama-bench`. Run it on an idle machine; both engines are
//! measured in every round, so that a slower minute slows both.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use edvac_runtime::{Engine, EngineOptions, GenerateRequest, Progress};

/// Tokens of the prefill that is measured.
const PREFILL_TOKENS: usize = 512;
/// Tokens decoded at each depth.
const DECODE_TOKENS: usize = 64;

struct Arguments {
    models: PathBuf,
    llama: Option<PathBuf>,
    names: Vec<String>,
    depths: Vec<usize>,
    rounds: usize,
}

fn arguments() -> Arguments {
    let mut found = Arguments {
        models: PathBuf::from("."),
        llama: None,
        names: ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"].map(str::to_owned).to_vec(),
        depths: vec![0, 2048, 8192],
        rounds: 3,
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
fn theirs(dir: &Path, model: &Path, depth: Option<usize>) -> Option<f64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let (prompt, decode) = if depth.is_none() { (PREFILL_TOKENS, 0) } else { (0, DECODE_TOKENS) };
    let output = Command::new(dir.join("llama-bench"))
        .args(["-t", &threads, "-r", "1", "-fa", "1", "-o", "json"])
        .args(["-p", &prompt.to_string(), "-n", &decode.to_string(), "-d", &depth.unwrap_or(0).to_string()])
        .arg("-m")
        .arg(model)
        .output()
        .ok()?;
    let results: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    results[0]["avg_ts"].as_f64()
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
    for name in &arguments.names {
        let path = arguments.models.join(format!("{name}.gguf"));
        let started = Instant::now();
        // Without guesses, which `llama-bench` does not make either.
        let options = EngineOptions { draft_tokens_max: 0, ..EngineOptions::default() };
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
                other.extend(arguments.llama.as_ref().and_then(|dir| theirs(dir, &path, point)));
            }
            let what = point.map_or(format!("prefill {PREFILL_TOKENS}"), |d| format!("decode at {d}"));
            let (mine, other) = (median(mine), median(other));
            // What the machine can do when no other program takes a processor away.
            let best = parts.into_iter().fold(0.0, f64::max);
            print!("{name}: {what:>15}: {mine:8.1}/s (best part {best:.1}/s)");
            if other.is_nan() {
                println!();
            } else {
                println!(", llama.cpp {other:8.1}/s, ratio {:.2}", mine / other);
            }
        }
    }
    println!("load {}", read("/proc/loadavg").trim());
}
