//! What a task says of its command lines in words in capitals, with values in their place. `` `todo.py done ID` prints `done #ID` ``
//! can be executed with 1 as the ID, and what an error prints with something that is wrong on purpose: the user's own sentences,
//! and no model's reading of them.

use std::sync::LazyLock;

use edvac_memory::ids::RequirementId;
use edvac_memory::program::{CheckKind, Expected};
use regex::Regex;

use super::examples::{Example, commands, exit_status};
use super::given::given;
use super::skeleton::{Word, codes, command_words, is_whole, lines_of};

/// Most of them that are made of a task, the first ones.
const FILLED_MAX: usize = 24;
/// What is neither a number, nor a date, nor a command.
const NONSENSE: &str = "nonsense";
/// A file that there is not.
const NO_FILE: &str = "missing.txt";
/// A file that the first command makes.
const FILE: &str = "sample.txt";
/// Placeholders of files.
const FILES: [&str; 4] = ["FILE", "PATH", "INPUT", "OUTPUT"];
/// Texts for placeholders of which nothing is said, one after the other.
const TEXTS: [&str; 6] = ["tea", "bob", "oak", "red", "sun", "ice"];

/// The examples that become of the requirements of a task; those of a sentence that says no more than what is executed name its
/// requirement.
///
/// - "`python3 a.py add NAME` … prints `added NAME`", behind the first command of the file where it is another one;
/// - "If P is not a date, `add` prints `error: P` … exits with status 1", with something that is none;
/// - "If FILE does not exist, …", "If there is no thing with this ID, …", "If there is already a thing with this name, …", "If the
///   text is missing, …", "For an unknown command …".
///
/// A text or a number is taken where the task does not say what it must be like; of other placeholders no line is filled.
pub(super) fn filled(task: &str) -> Vec<Example> {
    let requirements = given(task).requirements;
    let mut files: Vec<_> = commands(task).into_iter().map(|(file, _)| file).collect();
    files.dedup();
    let mut found = Vec::new();
    for file in &files {
        let texts: Vec<_> = requirements.iter().map(|r| r.text.as_str()).collect();
        let Some(program) = Program::of(file, task, &texts) else { continue };
        for requirement in &requirements {
            found.extend(program.printed(&requirement.text));
            found.extend(program.refused(&requirement.id, &requirement.text));
        }
    }
    found.truncate(FILLED_MAX);
    found
}

/// The words behind a file that is run, as a user may type them first: `add tea`. None where the task does not say what they may be.
pub fn typed(task: &str, file: &str) -> Option<String> {
    let requirements = given(task).requirements;
    let texts: Vec<_> = requirements.iter().map(|r| r.text.as_str()).collect();
    let Some(program) = Program::of(file, task, &texts) else {
        let lines = commands(task).into_iter().filter(|(own, _)| own == file);
        let mut behind = lines.filter_map(|(_, line)| Some(line.split_once(file)?.1.trim().to_owned()));
        let is_literal = |words: &String| {
            let stands_for = |word: &str| word.chars().all(|c| c.is_ascii_uppercase());
            !words.is_empty() && !words.split_whitespace().any(stands_for)
        };
        return behind.find(is_literal);
    };
    let (word, lines) = &program.commands[0];
    let line = lines[0].as_slice();
    let typed = program.typed(word, line, &program.values(line)?)?;
    Some(typed.strip_prefix(&program.begins)?.trim().to_owned())
}

/// A file that is run, with its commands.
struct Program<'a> {
    file: &'a str,
    task: &'a str,
    /// `python3 a.py`
    begins: String,
    /// Each command with the lines that the task shows of it.
    commands: Vec<(String, Vec<Vec<Word>>)>,
}

/// What makes an error.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    /// The value of a placeholder.
    Value(String, &'static str),
    /// There is nothing that the value names.
    Unseen,
    /// It is done twice.
    Twice,
    /// The last words are left out, from this placeholder on where one is named.
    Missing(Option<String>),
    /// There is no such command.
    Command,
}

impl<'a> Program<'a> {
    fn of(file: &'a str, task: &'a str, sentences: &[&str]) -> Option<Self> {
        let line = commands(task).into_iter().find(|(own, _)| own == file)?.1;
        let begins = format!("{}{file}", line.split_once(file)?.0);
        let words = command_words(file, task, sentences);
        let lines = |word: String| Some((word.clone(), lines_of(file, task, &word)?));
        let commands: Vec<_> = words.into_iter().filter_map(lines).collect();
        (!commands.is_empty()).then_some(Self { file, task, begins, commands })
    }

    /// What a command line prints where nothing is wrong.
    fn printed(&self, sentence: &str) -> Option<Example> {
        static PRINTS: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"^`([^`]+)` (.*?)\bprints (?:the line )?`([^`]+)`(.*)$").ok());
        let parts = PRINTS.as_ref()?.captures(sentence)?;
        let (word, line) = self.line_of(&parts[1])?;
        let is_other = self.commands.iter().any(|(word, _)| codes(&parts[2]).any(|code| code.contains(word)));
        let is_choice = [" or ", ", or ", " and `", ", `"].iter().any(|words| parts[4].starts_with(words));
        let has_option = line.iter().any(|word| matches!(word, Word::Option(_)));
        if is_other || is_choice || has_option {
            return None;
        }
        let values = self.values(line)?;
        let typed = self.typed(word, line, &values)?;
        let setup = self.setup(word, line)?;
        let output = expected(&parts[3], &values, false);
        Some(self.example(None, format!("{setup}{typed}"), 0, output))
    }

    /// What a command line prints where something is wrong.
    fn refused(&self, id: &RequirementId, sentence: &str) -> Vec<Example> {
        static PRINTS: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"^If ([^,]+), (.+?) prints? (.+)$").ok());
        static TEMPLATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"^(a line that begins with |the line |or |)`([^`]+)`,?\s*(.*)$").ok()
        });
        let sentence = sentence
            .strip_prefix("For an unknown command ")
            .map_or(sentence.to_owned(), |rest| format!("If COMMAND is unknown, {rest}"));
        let none = Vec::new;
        let Some(parts) = PRINTS.as_ref().and_then(|prints| prints.captures(&sentence)) else {
            return none();
        };
        let (mut templates, mut rest) = (Vec::new(), parts[3].to_owned());
        while let Some(found) = TEMPLATE.as_ref().and_then(|template| template.captures(&rest)) {
            templates.push((found[2].to_owned(), found[1].contains("begins")));
            rest = found[3].to_owned();
        }
        let wrongs: Option<Vec<_>> = parts[1].split(" or ").map(wrong).collect();
        let is_said = rest.contains("status ") || rest.contains("code ");
        let Some(wrongs) = wrongs.filter(|_| is_said && !templates.is_empty()) else { return none() };
        if templates.len() != 1 && templates.len() != wrongs.len() {
            return none();
        }
        let status = exit_status(&rest);
        let stream = if rest.contains("standard error") { " >/dev/null" } else { "" };
        let (mut found, mut is_whole) = (Vec::new(), !SAYS_MORE.iter().any(|words| rest.contains(words)));
        for (wrong, at) in wrongs.iter().zip(0..) {
            let (template, begins) = &templates[at.min(templates.len() - 1)];
            for (word, line) in self.meant(&parts[2], wrong) {
                match self.spoilt(word, line, wrong, template) {
                    Some((typed, values)) => {
                        let output = expected(template, &values, *begins);
                        found.push((format!("{typed}{stream}"), output));
                    }
                    None => is_whole = false,
                }
            }
        }
        let of = (is_whole && !found.is_empty()).then(|| id.clone());
        found.into_iter().map(|(typed, output)| self.example(of.clone(), typed, status, output)).collect()
    }

    /// The commands that a sentence is about, each with its first line; all that can be wrong in this way where it names none.
    fn meant(&self, subject: &str, wrong: &Wrong) -> Vec<(&str, &[Word])> {
        let named = |word: &str| codes(subject).any(|code| code == word);
        let is_any = !self.commands.iter().any(|(word, _)| named(word));
        let has = |line: &[Word]| match wrong {
            Wrong::Value(of, _) | Wrong::Missing(Some(of)) => {
                line.iter().any(|word| word.of().is_some_and(|own| placeholder(own) == *of))
            }
            _ => true,
        };
        let of = |(word, lines): &'_ (String, Vec<Vec<Word>>)| -> bool {
            (is_any || named(word)) && has(&lines[0])
        };
        let meant = self.commands.iter().filter(|command| of(command));
        let most = if is_any && *wrong == Wrong::Command { 1 } else { usize::MAX };
        meant.map(|(word, lines)| (word.as_str(), lines[0].as_slice())).take(most).collect()
    }

    /// A command line with something wrong, behind what has to be there, and the values in it.
    fn spoilt(
        &self,
        word: &str,
        line: &[Word],
        wrong: &Wrong,
        template: &str,
    ) -> Option<(String, Vec<(String, String)>)> {
        let own: Vec<_> = line.iter().filter_map(|word| word.of().map(placeholder)).collect();
        let mut values = match wrong {
            // Nobody reads them.
            Wrong::Command | Wrong::Missing(_) => {
                own.iter().map(|of| (of.clone(), NONSENSE.to_owned())).collect()
            }
            Wrong::Value(of, value) => {
                let mut values = self.values_but(line, Some(of))?;
                values.iter_mut().filter(|(own, _)| own == of).for_each(|(_, own)| (*value).clone_into(own));
                values
            }
            Wrong::Unseen | Wrong::Twice => self.values(line)?,
        };
        let is_first = word == self.commands[0].0;
        match wrong {
            Wrong::Command => {
                values.insert(0, ("COMMAND".to_owned(), NONSENSE.to_owned()));
                return Some((format!("{} {NONSENSE}", self.begins), values));
            }
            Wrong::Missing(from) => {
                let at = match from {
                    Some(from) => {
                        line.iter().position(|w| w.of().is_some_and(|own| placeholder(own) == *from))?
                    }
                    None if line.len() == 1 => 0,
                    None => return None,
                };
                return Some((self.typed(word, &line[..at], &values)?, values));
            }
            Wrong::Unseen => {
                let is_named = |of: &str| words(template).any(|word| word == of);
                let unseen = |of: &str, value: &str| {
                    if value.parse::<i64>().is_ok() { "99".to_owned() } else { of.to_lowercase() + "x" }
                };
                let mut any = false;
                for (of, value) in
                    values.iter_mut().filter(|(of, value)| is_named(of) && !value.contains('-'))
                {
                    (*value, any) = (unseen(of, value), true);
                }
                if !any || is_first {
                    return None;
                }
            }
            Wrong::Twice if !is_first => return None,
            Wrong::Value(..) | Wrong::Twice => {}
        }
        let setup = match wrong {
            Wrong::Value(_, NO_FILE) => String::new(),
            Wrong::Twice => self.unseen(word, line)?,
            _ => self.setup(word, line)?,
        };
        Some((format!("{setup}{}", self.typed(word, line, &values)?), values))
    }

    /// What has to be done before a command line, so that there is what it speaks of: an earlier command with a placeholder that
    /// it has, too, or the first one for the number of what that made. None where no command is known to do it.
    fn setup(&self, word: &str, line: &[Word]) -> Option<String> {
        let of =
            |line: &[Word]| -> Vec<String> { line.iter().filter_map(Word::of).map(placeholder).collect() };
        let own = of(line);
        let mut before = self.commands.iter().take_while(|(earlier, _)| earlier != word);
        let shares = |lines: &[Vec<Word>]| of(&lines[0]).iter().any(|of| own.contains(of));
        let (first, lines) = &self.commands[0];
        if first == word {
            return Some(String::new());
        }
        if own.is_empty() || own == ["ID"] {
            return self.unseen(first, &lines[0]);
        }
        let (earlier, lines) = before.find(|(_, lines)| shares(lines))?;
        self.unseen(earlier, &lines[0])
    }

    /// A command line whose output nobody looks at.
    fn unseen(&self, word: &str, line: &[Word]) -> Option<String> {
        let typed = self.typed(word, line, &self.values(line)?)?;
        Some(format!("{typed} >/dev/null 2>&1; "))
    }

    fn values(&self, line: &[Word]) -> Option<Vec<(String, String)>> {
        self.values_but(line, None)
    }

    /// A value for each placeholder of a line that nothing is wrong with; none where the task says of one what it must be like in
    /// words that are not understood. One may have any value.
    fn values_but(&self, line: &[Word], any: Option<&str>) -> Option<Vec<(String, String)>> {
        let mut values = Vec::new();
        for of in
            line.iter().filter_map(|part| if let Word::Value { of, .. } = part { Some(of) } else { None })
        {
            let of = placeholder(of);
            let value = if any == Some(of.as_str()) { Some(String::new()) } else { self.value(&of) }?;
            values.push((of, value));
        }
        Some(values)
    }

    fn value(&self, of: &str) -> Option<String> {
        let says = |pattern: &str| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(self.task));
        let name = regex::escape(of);
        let lower = of.to_lowercase();
        if FILES.contains(&of) {
            let (first, _) = &self.commands[0];
            let is_made =
                says(&format!(r"If {name} does not exist, `{}` (?:creates|makes) it", regex::escape(first)));
            return is_made.then(|| FILE.to_owned());
        }
        // What lies within bounds may not be just any number.
        let is_bound = says(&format!(
            r"\b{name}\b[^.\n]{{0,80}}\b(?:between|from [0-9]|at most|less than|smaller than)\b"
        ));
        if is_bound {
            return None;
        }
        if is_whole(of, self.task) {
            return Some(if of == "ID" { "1" } else { "3" }.to_owned());
        }
        if says(&format!(r"\b{name}\b[^.`A-Z]{{0,24}}\bnumber\b"))
            || says(&format!(r"(?i)\ban? {lower} is a number\b"))
        {
            return Some("12.50".to_owned());
        }
        if (lower.contains("date") || lower.contains("day")) && self.task.contains("YYYY-MM-DD") {
            return Some("2024-05-01".to_owned());
        }
        // Nothing is said of what it must be, or could be wrong with it.
        let is_open = of.len() > 1
            && !says(&format!(
                r"\bunknown {name}\b|\b{name} (?:is (?:not|one of|either|written|an?)|may be|must be) "
            ));
        let placeholders: Vec<_> = self
            .commands
            .iter()
            .flat_map(|(_, lines)| lines.iter().flatten())
            .filter_map(Word::of)
            .map(placeholder)
            .collect();
        let mut known: Vec<&String> = Vec::new();
        placeholders.iter().for_each(|of| {
            if !known.contains(&of) {
                known.push(of);
            }
        });
        let at = known.iter().position(|known| *known == of)?;
        TEXTS.get(at).filter(|_| is_open).map(|text| (*text).to_owned())
    }

    /// The command line.
    fn typed(&self, word: &str, line: &[Word], values: &[(String, String)]) -> Option<String> {
        let mut typed = format!("{} {word}", self.begins);
        for part in line {
            typed.push(' ');
            match part {
                Word::Option(word) | Word::Flag { word, .. } => typed.push_str(word),
                Word::Value { of, .. } => {
                    typed.push_str(&values.iter().find(|(own, _)| *own == placeholder(of))?.1);
                }
            }
        }
        Some(typed)
    }

    /// The line that a command line of the task is.
    fn line_of(&self, shown: &str) -> Option<(&str, &[Word])> {
        let behind: Vec<_> = shown.strip_prefix(&self.begins)?.split_whitespace().collect();
        let (word, lines) = self.commands.iter().find(|(word, _)| behind.first() == Some(&word.as_str()))?;
        let is_it = |line: &&Vec<Word>| {
            line.len() + 1 == behind.len()
                && line.iter().zip(&behind[1..]).all(|(part, word)| match part {
                    Word::Option(own) | Word::Flag { word: own, .. } => own == word,
                    Word::Value { .. } => !word.starts_with('-'),
                })
        };
        Some((word, lines.iter().find(is_it)?))
    }

    fn example(
        &self,
        of: Option<RequirementId>,
        command: String,
        exit_status: i32,
        output: Expected,
    ) -> Example {
        let check = CheckKind::Runs { command, input: None, exit_status, output };
        Example { of, file: self.file.to_owned(), check }
    }
}

/// What a sentence says beyond what is printed, and nobody has looked at.
const SAYS_MORE: [&str; 6] =
    ["changes nothing", "change nothing", "leaves", "adds nothing", "keeps", "nothing is"];

/// What is wrong, in the words of a condition.
fn wrong(said: &str) -> Option<Wrong> {
    static IS_NOT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^([A-Z][A-Z0-9_-]*) is not (?:an?|one) ").ok());
    static NO_FILE_IS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^([A-Z][A-Z0-9_-]*) (?:does not exist|cannot be (?:read|opened|found))$").ok()
    });
    static IS_MISSING: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^(?:the )?([A-Za-z-]+) is missing$").ok());
    let first = |pattern: &LazyLock<Option<Regex>>| {
        let found = pattern.as_ref().and_then(|pattern| pattern.captures(said));
        found.map(|found| found[1].replace('-', "_"))
    };
    if matches!(said, "COMMAND is unknown" | "the command is unknown") {
        return Some(Wrong::Command);
    }
    if let Some(of) = first(&NO_FILE_IS) {
        return FILES.contains(&of.as_str()).then_some(Wrong::Value(of, NO_FILE));
    }
    if let Some(of) = first(&IS_NOT) {
        return Some(Wrong::Value(of, NONSENSE));
    }
    if let Some(of) = first(&IS_MISSING) {
        let is_placeholder = of.chars().all(|c| !c.is_ascii_lowercase());
        return Some(Wrong::Missing(is_placeholder.then_some(of)));
    }
    if said.starts_with("there is no ") && said.contains(" with ") {
        return Some(Wrong::Unseen);
    }
    (said.starts_with("there is already ") && said.contains(" with ")).then_some(Wrong::Twice)
}

/// What must be printed: a template with its values; what has none stands for anything.
fn expected(template: &str, values: &[(String, String)], begins: bool) -> Expected {
    let (mut text, mut pattern, mut is_open) = (String::new(), String::new(), false);
    let mut rest = template;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let (word, behind) =
            rest.split_at(if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end });
        rest = behind;
        let is_placeholder =
            word.chars().any(|c| c.is_ascii_uppercase()) && !word.contains(|c: char| c.is_ascii_lowercase());
        match values.iter().find(|(of, _)| of == word) {
            Some((_, value)) => {
                text.push_str(value);
                pattern.push_str(&regex::escape(value));
            }
            None if is_placeholder => {
                is_open = true;
                pattern.push_str(".+");
            }
            None => {
                text.push_str(word);
                pattern.push_str(&regex::escape(word));
            }
        }
    }
    if begins {
        return Expected { matches: Some(format!("^{pattern}")), ..Expected::default() };
    }
    if is_open {
        return Expected { matches: Some(format!(r"^{pattern}\s*$")), ..Expected::default() };
    }
    Expected { equals: Some(text), ..Expected::default() }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_of_word(c)).filter(|word| !word.is_empty())
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The placeholder of a parameter.
fn placeholder(of: &str) -> String {
    of.trim_end_matches('_').to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "# Notes\n\nWrite a tool in Python. A day is written `YYYY-MM-DD`.\n\nFiles:\n\n- `notes.py`: run as `python3 notes.py COMMAND ...`\n\n## Requirements\n\n";

    fn shown(requirements: &[&str]) -> Vec<String> {
        let listed: String =
            requirements.iter().zip(1..).map(|(text, number)| format!("R{number}: {text}\n")).collect();
        let tell = |example: Example| {
            let CheckKind::Runs { command, exit_status, output, .. } = example.check else {
                return String::new();
            };
            let of = example.of.as_ref().map_or("-", RequirementId::as_str);
            let command = command.replace("python3 notes.py", "$");
            format!("{of} {command} | {exit_status} {}", output.equals.or(output.matches).unwrap_or_default())
        };
        filled(&format!("{TASK}{listed}")).into_iter().map(tell).collect()
    }

    const ADD: &str =
        "`python3 notes.py add NAME ON-DAY` adds a note and prints `added NAME (ON_DAY), note N`.";
    const DONE: &str = "`python3 notes.py done NAME` marks it and prints `done NAME`.";

    #[test]
    fn what_is_printed_is_executed_with_values() {
        assert_eq!(
            shown(&[ADD, DONE]),
            [
                r"- $ add tea 2024-05-01 | 0 ^added tea \(2024\-05\-01\), note .+\s*$",
                "- $ add tea 2024-05-01 >/dev/null 2>&1; $ done tea | 0 done tea",
            ]
        );
        assert_eq!(
            shown(&[DONE, "`python3 notes.py show NAME` prints `a NAME`, or `none`."]).len(),
            1,
            "one of two"
        );
        assert_eq!(
            shown(&[DONE, "`python3 notes.py list` prints one line `NAME` per note."]).len(),
            1,
            "of each"
        );
        let init = "`python3 notes.py init` begins and prints `ready`.";
        assert_eq!(shown(&[init, DONE]), ["- $ init | 0 ready"], "nobody knows what makes a note");
        let rate = "`python3 notes.py rate N` rates and prints `rated N`, where N is a whole number between 1 and 5.";
        assert!(shown(&[rate, "`list` lists."]).is_empty());
        let chosen = "If NAME is not one of the notes, nothing happens.";
        assert!(shown(&[DONE, chosen]).is_empty(), "nobody knows a right one");
    }

    #[test]
    fn what_a_user_may_type_first() {
        let task = format!("{TASK}R1: {ADD}\nR2: {DONE}\n");
        assert_eq!(typed(&task, "notes.py").as_deref(), Some("add tea 2024-05-01"));
        assert_eq!(typed(&task, "other.py"), None);
        let task =
            format!("{TASK}R1: `python3 notes.py A B` adds, so `python3 notes.py 2 3` prints `5`.\nR2: x.\n");
        assert_eq!(typed(&task, "notes.py").as_deref(), Some("2 3"));
    }

    #[test]
    fn what_is_wrong_is_done_on_purpose() {
        let one = |sentence: &str| -> Vec<String> { shown(&[ADD, DONE, sentence]).split_off(2) };
        let add = "$ add tea 2024-05-01";
        assert_eq!(
            one(
                "If ON-DAY is not a day, `add` prints `error: no day: ON_DAY` to standard error and exits with status 1."
            ),
            ["R3 $ add tea nonsense >/dev/null | 1 error: no day: nonsense"]
        );
        assert_eq!(
            one(
                "If there is no note with this name, `done` prints `error: no NAME` to standard error, exits with status 1 and changes nothing."
            ),
            [format!("- {add} >/dev/null 2>&1; $ done namex >/dev/null | 1 error: no namex")]
        );
        assert_eq!(
            one(
                "If there is already a note with this name, `add` prints `NAME is there` and exits with status 3."
            ),
            [format!("R3 {add} >/dev/null 2>&1; {add} | 3 tea is there")]
        );
        assert_eq!(
            one(
                "If NAME is missing, `done` and `add` print a line that begins with `usage: notes.py` to standard error and exit with status 2."
            ),
            [r"R3 $ add >/dev/null | 2 ^usage: notes\.py", r"R3 $ done >/dev/null | 2 ^usage: notes\.py"]
        );
        assert_eq!(
            one(
                "For an unknown command the tool prints `error: unknown: COMMAND` to standard error and exits with status 2."
            ),
            ["R3 $ nonsense >/dev/null | 2 error: unknown: nonsense"]
        );
        for sentence in [
            "If the moon is full, `add` prints `error: wolf` and exits with status 1.",
            "If NAME is missing, `add` prints `error: x` to standard error.",
            "If NAME is missing, `add` waits.",
        ] {
            assert!(one(sentence).is_empty(), "{sentence}");
        }
    }
}
