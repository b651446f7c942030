//! How `main` hands the command lines that a task shows to their functions. Small models miscount the words, hand over a text where
//! a number is compared, or forget what may be left out; the task says all of it.

use super::quoted;
use crate::roles::planner::{Command, Function, Skeleton, Word};

/// The lines of `main` that hand over what is right, in Python or JavaScript, with what has to stand before `main`. What stands
/// behind them answers any other command line. None where the task shows no command line.
pub(super) fn handed(skeleton: &Skeleton, language: &str) -> Option<(&'static str, String)> {
    let with_command = skeleton.functions.iter().filter_map(|f| Some((f.command.as_ref()?, f)));
    let mut lines: Vec<(&Command, &Function, &[Word])> = with_command
        .flat_map(|(command, f)| command.lines.iter().map(move |line| (command, f, line.as_slice())))
        .collect();
    if lines.is_empty() {
        return None;
    }
    // `list --all` would be taken for `list NAME`.
    let fixed = |line: &[Word]| line.iter().filter(|word| !matches!(word, Word::Value { .. })).count();
    lines.sort_by_key(|(_, _, line)| usize::MAX - fixed(line));
    let is_python = language == "python";
    let converts = lines
        .iter()
        .any(|(_, _, line)| line.iter().any(|word| matches!(word, Word::Value { is_whole: true, .. })));
    let before = match (converts, is_python) {
        (false, _) => "",
        (true, true) => AS_NUMBER_PYTHON,
        (true, false) => AS_NUMBER_JAVASCRIPT,
    };
    let words = if is_python {
        "    words = sys.argv[1:]\n    command = words[0] if words else \"\"\n"
    } else {
        "  const words = process.argv.slice(2);\n  const command = words[0] ?? \"\";\n"
    };
    let branches = lines.iter().map(|(command, function, line)| {
        if is_python { in_python(command, function, line) } else { in_javascript(command, function, line) }
    });
    Some((before, words.to_owned() + &branches.collect::<String>()))
}

const AS_NUMBER_PYTHON: &str = "# A whole number as a number; what is none stays a text.
def as_number(word):
    return int(word) if word.removeprefix(\"-\").isdecimal() else word

";
const AS_NUMBER_JAVASCRIPT: &str = "// A whole number as a number; what is none stays a text.
function asNumber(word) {
  return /^-?[0-9]+$/.test(word) ? Number(word) : word;
}

";

fn in_python(command: &Command, function: &Function, line: &[Word]) -> String {
    let is_command = format!("command == {}", quoted(&command.word));
    if command.is_text {
        let called = format!("{}(\" \".join(words[1:]))", function.name);
        return format!("    if {is_command}:\n        return {called}\n");
    }
    let mut asked = vec![is_command, format!("len(words) == {}", line.len() + 1)];
    let mut given = Vec::new();
    for (word, at) in line.iter().zip(1..) {
        match word {
            Word::Option(word) => asked.push(format!("words[{at}] == {}", quoted(word))),
            Word::Flag { word, of } => {
                asked.push(format!("words[{at}] == {}", quoted(word)));
                given.push(format!("{of}=True"));
            }
            Word::Value { of, is_whole } => {
                let value =
                    if *is_whole { format!("as_number(words[{at}])") } else { format!("words[{at}]") };
                given.push(format!("{of}={value}"));
            }
        }
    }
    format!("    if {}:\n        return {}({})\n", asked.join(" and "), function.name, given.join(", "))
}

fn in_javascript(command: &Command, function: &Function, line: &[Word]) -> String {
    let is_command = format!("command === {}", quoted(&command.word));
    if command.is_text {
        let called = format!("{}(words.slice(1).join(\" \"))", function.name);
        return format!("  if ({is_command}) {{\n    return {called};\n  }}\n");
    }
    let mut asked = vec![is_command, format!("words.length === {}", line.len() + 1)];
    let takes = function.takes.as_deref().unwrap_or_default();
    let names = takes.split(", ").filter_map(|taken| taken.split(' ').next());
    let mut given: Vec<(&str, String)> = names.map(|name| (name, "undefined".to_owned())).collect();
    for (word, at) in line.iter().zip(1..) {
        let value = match word {
            Word::Option(word) => {
                asked.push(format!("words[{at}] === {}", quoted(word)));
                continue;
            }
            Word::Flag { word, .. } => {
                asked.push(format!("words[{at}] === {}", quoted(word)));
                "true".to_owned()
            }
            Word::Value { is_whole: true, .. } => format!("asNumber(words[{at}])"),
            Word::Value { .. } => format!("words[{at}]"),
        };
        given
            .iter_mut()
            .filter(|(name, _)| word.of() == Some(name))
            .for_each(|(_, given)| given.clone_from(&value));
    }
    while given.last().is_some_and(|(_, value)| value == "undefined") {
        given.pop();
    }
    let given: Vec<_> = given.into_iter().map(|(_, value)| value).collect();
    format!("  if ({}) {{\n    return {}({});\n  }}\n", asked.join(" && "), function.name, given.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(of: &str) -> Word {
        Word::Value { of: of.to_owned(), is_whole: of == "days" }
    }

    fn skeleton(list: &str) -> Skeleton {
        let of = |name: &str, takes: &str, word: &str, lines: Vec<Vec<Word>>, is_text| Function {
            name: name.to_owned(),
            takes: Some(takes.to_owned()),
            command: Some(Command { word: word.to_owned(), lines, is_text }),
            ..Function::default()
        };
        let all = Word::Flag { word: "--all".to_owned(), of: "all".to_owned() };
        let on = vec![value("name"), Word::Option("--in".to_owned()), value("days")];
        Skeleton {
            functions: vec![
                Function { name: "load".to_owned(), ..Function::default() },
                of("add", "text", "add", vec![vec![value("text")]], true),
                of("list", list, "list", vec![vec![], vec![value("name")], on, vec![all]], false),
            ],
            ..Skeleton::default()
        }
    }

    #[test]
    fn each_line_of_the_task_is_handed_to_its_function() {
        let (before, python) = handed(&skeleton("name=None, days=None, all=False"), "python").unwrap();
        assert!(before.contains("def as_number"));
        insta::assert_snapshot!("handed_python", python);
        let (before, javascript) =
            handed(&skeleton("name = null, days = null, all = false"), "javascript").unwrap();
        assert!(before.contains("function asNumber"));
        insta::assert_snapshot!("handed_javascript", javascript);
        assert_eq!(handed(&Skeleton::default(), "python"), None);
    }
}
