//! The command lines of a task, word by word: what the function of a command takes, and which words are handed to it.

use regex::Regex;

use super::RESERVED;
use crate::roles::planner::examples::commands;

/// A word behind the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is handed over as this parameter.
    Value {
        /// The parameter.
        of: String,
        /// Whether the task says that it is a whole number.
        is_whole: bool,
    },
    /// It stands there as it is, in front of its value: `--on`.
    Option(String),
    /// It stands there as it is and sets a parameter: `--all`.
    Flag {
        /// The word.
        word: String,
        /// The parameter.
        of: String,
    },
}

impl Word {
    /// The parameter that it gives a value.
    pub fn of(&self) -> Option<&str> {
        match self {
            Self::Value { of, .. } | Self::Flag { of, .. } => Some(of),
            Self::Option(_) => None,
        }
    }
}

/// The command lines of one command of a file, without what they begin with. None where there are none, or where a word is neither
/// a parameter nor an option.
pub fn lines_of(path: &str, task: &str, command: &str) -> Option<Vec<Vec<Word>>> {
    let lines = commands(task).into_iter().filter(|(file, _)| file == path);
    let behind = lines.filter_map(|(_, line)| {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let at = words.iter().position(|word| word == path)? + 1;
        (words.get(at)? == command).then(|| words[at + 1..].to_vec())
    });
    let lines: Option<Vec<_>> = behind.map(|line| of_line(&line, task)).collect();
    lines.filter(|lines| !lines.is_empty())
}

fn of_line(line: &[String], task: &str) -> Option<Vec<Word>> {
    let mut found = Vec::new();
    let mut words = line.iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            found.push(Word::Value { of: parameter(word)?, is_whole: is_whole(word, task) });
            continue;
        };
        let of = parameter(option)?;
        match words.next_if(|next| !next.starts_with('-')) {
            Some(value) => {
                found.push(Word::Option(word.clone()));
                found.push(Word::Value { of, is_whole: is_whole(value, task) });
            }
            None => found.push(Word::Flag { word: word.clone(), of }),
        }
    }
    Some(found)
}

/// The parameter of a placeholder or an option, under a name that Python and JavaScript take.
fn parameter(word: &str) -> Option<String> {
    let name = word.to_lowercase().replace('-', "_");
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let name = if RESERVED.contains(&name.as_str()) { name + "_" } else { name };
    is_name.then_some(name)
}

/// Whether a task says that a placeholder is a whole number: "DAYS is not a whole number", "a whole number N", "an id (a whole
/// number)", "`id` (number)".
pub fn is_whole(word: &str, task: &str) -> bool {
    let (name, lower) = (regex::escape(word), regex::escape(&word.to_lowercase()));
    let said = format!(
        r"\b{name}\b[^.`A-Z]{{0,24}}\bwhole number|\bwhole number {name}\b|\b{lower}`? \((?:a )?(?:whole )?number\)"
    );
    Regex::new(&said).is_ok_and(|said| said.is_match(task))
}

/// What a function takes that all these lines can be handed to: of `FILE AMOUNT`, `FILE AMOUNT --on DAY` and `FILE AMOUNT --all` it
/// is `file, amount, on=None, all=False`.
pub(super) fn taken(lines: &[Vec<Word>], language: &str) -> String {
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for line in lines {
        let mut is_option = false;
        for word in line {
            let nothing = match word {
                Word::Flag { .. } => "False",
                Word::Value { .. } if is_option => "None",
                _ => "",
            };
            is_option = matches!(word, Word::Option(_));
            if let Some(of) = word.of().filter(|of| !taken.iter().any(|(known, _)| known == of)) {
                taken.push((of, nothing));
            }
        }
    }
    for (name, nothing) in &mut taken {
        let is_there = |line: &Vec<Word>| line.iter().any(|word| word.of() == Some(name));
        if nothing.is_empty() && !lines.iter().all(is_there) {
            *nothing = "None";
        }
    }
    // What may be left out comes last.
    taken.sort_by_key(|(_, nothing)| !nothing.is_empty());
    let said = |(name, nothing): &(&str, &str)| match (language, *nothing) {
        (_, "") => (*name).to_owned(),
        ("python", nothing) => format!("{name}={nothing}"),
        (_, "None") => format!("{name} = null"),
        _ => format!("{name} = false"),
    };
    taken.iter().map(said).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_known_by_what_is_said_of_them() {
        let task = "It has an id (a whole number). `f(start, days)` takes a date as a string and a whole number.\nIf DATE is no date or DAYS is not a whole number, it ends; power is for a whole number N. COUNT words, a whole number.";
        let whole = ["ID", "DATE", "DAYS", "N", "COUNT", "TEXT"].map(|word| is_whole(word, task));
        assert_eq!(whole, [true, false, true, true, true, false]);
    }
}
