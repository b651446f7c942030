//! What the terminal can show, decided once, and where logs go.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::args::Cli;

/// What may be shown.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Lines that move.
    pub animated: bool,
    /// Colours.
    pub coloured: bool,
    /// Nothing but errors and results.
    pub quiet: bool,
}

static TERMINAL: OnceLock<Terminal> = OnceLock::new();

/// Looks at flags, environment and terminal; must come first.
pub fn set_up(cli: &Cli) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let plain = cli.no_color || set("NO_COLOR") || std::env::var("TERM").is_ok_and(|t| t == "dumb");
    let tty = std::io::stderr().is_terminal();
    let terminal =
        Terminal { animated: tty && !plain && !cli.quiet, coloured: tty && !plain, quiet: cli.quiet };
    let _ = TERMINAL.set(terminal);
    let level = match cli.verbose {
        0 => "warn",
        1 => "info,sqlx=warn",
        _ => "debug,sqlx=warn",
    };
    let filter = EnvFilter::try_from_env("EDVAC_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal.coloured)
        .init();
}

/// What [`set_up`] found.
pub fn terminal() -> Terminal {
    *TERMINAL.get_or_init(|| Terminal { animated: false, coloured: false, quiet: false })
}

/// `text` in bold, where that can be shown.
pub fn bold(text: &str) -> String {
    if terminal().coloured { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// `text` in red, where that can be shown.
pub fn red(text: &str) -> String {
    if terminal().coloured { format!("\u{1b}[1;31m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// `text` without weight, where that can be shown.
pub fn dim(text: &str) -> String {
    if terminal().coloured { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
}
