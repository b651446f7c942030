//! What the terminal can show, decided once, and where logs go.

use std::borrow::Cow;
use std::io::{IsTerminal, Write as _};
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
    let filter =
        EnvFilter::try_from_env("EDVAC_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{level},rmcp=off")));
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

/// A line for people on stdout, as `println!` has it; see [`out`].
macro_rules! tell {
    ($($words:tt)*) => { $crate::terminal::out(format!($($words)*)) };
}
pub(crate) use tell;

/// What this program itself says to a terminal.
const OWN: [&str; 4] = ["\u{1b}[1m", "\u{1b}[1;31m", "\u{1b}[2m", "\u{1b}[0m"];

/// A line for people on stdout. What a model, a task or a file says in it cannot do anything to a terminal; to a file or another
/// program it goes as it is.
pub fn out(text: impl AsRef<str>) {
    let mut text = text.as_ref().to_owned();
    text.push('\n');
    out_as_is(&text);
}

/// The same without an end of line.
pub fn out_as_is(text: &str) {
    let mut stdout = std::io::stdout();
    let shown = if stdout.is_terminal() { visible(text) } else { Cow::Borrowed(text) };
    // A reader that went away wanted no more of it.
    let _ = stdout.write_all(shown.as_bytes());
}

/// A text for stderr, as it may be shown there.
pub fn for_stderr(text: &str) -> Cow<'_, str> {
    if std::io::stderr().is_terminal() { visible(text) } else { Cow::Borrowed(text) }
}

/// A text whose control characters are seen, and not obeyed: all but ends of lines and tabs, and what turns the direction of
/// writing round. Weight and colour that this program itself uses stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(own) = OWN.iter().find(|own| rest.starts_with(**own)) {
            shown.push_str(own);
            rest = &rest[own.len()..];
            continue;
        }
        match next {
            // Ends of lines of another system.
            '\r' if rest[1..].starts_with('\n') => {}
            c @ '\u{0}'..='\u{1f}' if is_obeyed(c) => {
                shown.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'));
            }
            '\u{7f}' => shown.push('\u{2421}'),
            c if is_obeyed(c) => shown.push_str(&format!("<U+{:04X}>", c as u32)),
            c => shown.push(c),
        }
        rest = &rest[next.len_utf8()..];
    }
    Cow::Owned(shown)
}

/// Whether a terminal does something else with a character than show it.
fn is_obeyed(c: char) -> bool {
    let turns =
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    turns || c.is_control() && !matches!(c, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_obeyed() {
        for (text, shown) in [
            ("a\tb\n", "a\tb\n"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}", "␛[2J␛]0;x␇"),
            ("back\u{8}\u{8} over\rit", "back␈␈ over␍it"),
            ("one\r\ntwo", "one\ntwo"),
            ("\u{9b}31m \u{90}q \u{7f}", "<U+009B>31m <U+0090>q ␡"),
            ("user\u{202e}txt.exe", "user<U+202E>txt.exe"),
            ("\u{1b}[1mtitle\u{1b}[0m \u{1b}[31mred", "\u{1b}[1mtitle\u{1b}[0m ␛[31mred"),
            ("é\u{301} 🙂", "é\u{301} 🙂"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
    }
}
