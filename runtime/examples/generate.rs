//! `cargo run --release -p edvac-runtime --example generate -- MODEL.gguf "PROMPT" [TOKENS]`: one reply, with its
//! counts and speed, and the same prompt again to show what is reused.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use edvac_runtime::chat_template::ChatMessage;
use edvac_runtime::{Engine, EngineOptions, Error, GenerateRequest, Progress};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(prompt)) = (args.next(), args.next()) else {
        eprintln!("usage: generate MODEL.gguf PROMPT [TOKENS]");
        std::process::exit(2);
    };
    let tokens_max = args.next().and_then(|n| n.parse().ok()).unwrap_or(64);
    let mut engine = Engine::open(Path::new(&model), &EngineOptions::default())?;
    let message = ChatMessage { role: "user".to_owned(), content: prompt };
    let text = engine.render_chat(&[message], true)?;
    let prompt = engine.tokenizer().encode(&text, true)?;
    for _ in 0..2 {
        let request = GenerateRequest { prompt: prompt.clone(), tokens_max, ..GenerateRequest::default() };
        let made = engine.generate(&request, &mut |progress| {
            if let Progress::Piece { text, .. } = progress {
                print!("{text}");
                let _ = std::io::stdout().flush();
            }
            ControlFlow::Continue(())
        })?;
        let rate = |tokens: usize, ms: u64| tokens as f64 * 1000.0 / ms.max(1) as f64;
        println!(
            "\n[{:?}: {} prompt tokens, {} reused, computed at {:.1}/s; {} written at {:.1}/s]",
            made.finish,
            made.prompt_tokens,
            made.reused_tokens,
            rate(made.prompt_tokens - made.reused_tokens, made.prefill_ms),
            made.ids.len(),
            rate(made.ids.len(), made.decode_ms),
        );
    }
    Ok(())
}
