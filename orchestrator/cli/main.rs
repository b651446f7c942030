//! The `edvac` binary: arguments in, one command, an exit code out.

mod args;
mod commands;
mod failure;
mod progress;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::set_up(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("edvac: no threads could be started: {error}");
            return ExitCode::from(failure::EXIT_MACHINE);
        }
    };
    let outcome = runtime.block_on(commands::perform(cli));
    // A reply that is still being made on a blocking thread must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
