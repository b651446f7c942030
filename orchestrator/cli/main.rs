//! The `edvac` binary: arguments in, one command, an exit code out.

mod args;
mod commands;
mod failure;
mod progress;
mod terminal;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use args::Cli;

/// The exit code where nobody reads what is printed any more, as a shell gives it for SIGPIPE.
const EXIT_UNREAD: i32 = 141;

fn main() -> ExitCode {
    if let Some(code) = edvac_orchestrator::sandbox::become_command_if_asked() {
        return ExitCode::from(code);
    }
    quiet_when_unread();
    let matches = Cli::command().get_matches();
    let json = asks_for_json(&matches);
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
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
            if json {
                // On stdout, where a script reads what it asked for. It may be gone.
                let _ = writeln!(std::io::stdout(), "{}", failure.json());
            }
            eprintln!("{}", terminal::for_stderr(&failure.to_string()));
            ExitCode::from(failure.code)
        }
    }
}

/// Whether the command that was given, or the one below it, has `--json`.
fn asks_for_json(matches: &ArgMatches) -> bool {
    let here = matches.try_get_one::<bool>("json").ok().flatten().copied().unwrap_or_default();
    here || matches.subcommand().is_some_and(|(_, below)| asks_for_json(below))
}

/// `edvac logs | head` ends without a word: printing panics where the reader went away.
fn quiet_when_unread() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to") && said.contains("Broken pipe") {
            std::process::exit(EXIT_UNREAD);
        }
        usual(panic);
    }));
}
