//! What a task's requirements say that a text for people has to show.

use edvac_memory::program::{CheckKind, Expected};
use edvac_memory::store::path::is_text;

/// Words that turn a sentence around.
const NEGATIONS: [&str; 5] = ["not", "no", "never", "without", "nor"];

/// What a sentence asks of a text that it names: the names in backticks stand in there, so `` `README.md` explains the options
/// `--all` and `--open` ``. Where one of them is a file that is `run`, the others stand on lines with it. Placeholders in capitals
/// are not looked for. None where the sentence names no text, nothing else, or says what must not be there.
pub(super) fn shown(line: &str, run: &[String]) -> Option<(String, CheckKind)> {
    let names: Vec<_> = line.split('`').skip(1).step_by(2).collect();
    let path = *names.iter().find(|name| is_text(name))?;
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let is_turned = words.any(|word| NEGATIONS.contains(&word) || word.ends_with("n't"));
    let others = || names.iter().filter(|name| **name != path);
    let is_run = |name: &str| run.iter().any(|file| file == name);
    let beside = others().find(|name| is_run(name));
    let mut contains: Vec<_> =
        others().filter(|name| Some(*name) != beside).filter_map(|name| asked(name)).collect();
    contains.dedup();
    let command = match beside {
        Some(file) if !contains.is_empty() => {
            format!("grep -F {} {}", shlex::try_quote(file).ok()?, shlex::try_quote(path).ok()?)
        }
        _ => format!("cat {}", shlex::try_quote(path).ok()?),
    };
    contains.extend(beside.filter(|_| contains.is_empty()).map(|&file| file.to_owned()));
    let output = Expected { contains, ..Expected::default() };
    let is_asked = !is_turned && !output.is_anything();
    is_asked.then(|| (path.to_owned(), CheckKind::Runs { command, input: None, exit_status: 0, output }))
}

/// A name up to its first placeholder.
fn asked(name: &str) -> Option<String> {
    let is_placeholder =
        |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || "[]<>.".contains(c));
    let words: Vec<_> = name.split_whitespace().take_while(|word| !is_placeholder(word)).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        match shown(line, &["kv.py".to_owned()]) {
            Some((path, CheckKind::Runs { command, output, .. })) => {
                format!("{path}: {command}: {}", output.contains.join(", "))
            }
            _ => String::new(),
        }
    }

    #[test]
    fn names_in_backticks_are_looked_for() {
        for (line, expected) in [
            (
                "R1: `README.md` explains the options `--all` and `--open FILE`.",
                "README.md: cat README.md: --all, --open",
            ),
            (
                "R1: `README.md` shows a line with `kv.py` for `get` and `set`.",
                "README.md: grep -F kv.py README.md: get, set",
            ),
            ("R1: `docs/a b.md` speaks of `kv.py`.", "docs/a b.md: cat 'docs/a b.md': kv.py"),
            ("R1: `README.md` does not speak of `--all`.", ""),
            ("R1: `README.md` doesn't speak of `--all`.", ""),
            ("R1: `README.md` tells how it is used.", ""),
            ("R1: `kv.py` has `get`.", ""),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }
}
