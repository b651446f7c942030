mod bank;

use std::io::BufRead;
use std::process::ExitCode;

fn main() -> ExitCode {
    let strict = std::env::args().any(|argument| argument == "--strict");
    let mut bank = bank::Bank::default();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        match bank.run(&words) {
            Ok(answer) => println!("{answer}"),
            Err(message) => {
                println!("error: {message}");
                if strict {
                    return ExitCode::from(1);
                }
            }
        }
    }
    ExitCode::SUCCESS
}
