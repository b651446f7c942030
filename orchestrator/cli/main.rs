//! The `edvac` binary. It has no commands yet and says so.

use std::process::ExitCode;

/// Wrong use; clap's code for it too.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    eprintln!("edvac {} has no commands yet; README.md says what works.", env!("CARGO_PKG_VERSION"));
    ExitCode::from(EXIT_USAGE)
}
