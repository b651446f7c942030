//! Texts that the task wants printed, put as it has them: with its punctuation, and to standard error where they belong there.
//! Small models write most of them right and leave out a `#`, or forget where errors go, also when they are told so.

use std::ops::Range;

use edvac_agents::roles::planner::ToldText;
use tree_sitter::Node;

use super::syntax::nodes;

/// Fewest letters and digits of a text that is known by them.
const LETTERS_MIN: usize = 6;

/// The places of strings that are a text of the task but for what is no letter and no digit, with the text in their place. The end of
/// a line behind it stays.
pub(super) fn as_written(text: &str, root: Node<'_>, told: &[ToldText]) -> Vec<(Range<usize>, String)> {
    let is_string = |node: &Node<'_>| matches!(node.kind(), "string" | "template_string");
    let better = |string: Node<'_>| {
        let (inner, mut own, holes) = parts(text, string)?;
        let last = own.last_mut()?;
        let ends = if last.ends_with("\\n") { "\\n" } else { "" };
        last.truncate(last.len() - ends.len());
        let same = |told: &&ToldText| {
            told.pieces.len() == own.len()
                && told.pieces.iter().zip(&own).all(|(a, b)| letters(a) == letters(b))
        };
        let mut all = told.iter().filter(same);
        let it = &all.next()?.pieces;
        let is_only = all.all(|other| other.pieces == *it);
        let is_known = it.iter().map(|piece| letters(piece).len()).sum::<usize>() >= LETTERS_MIN;
        let is_plain = |piece: &String| !piece.contains(['"', '\'', '`', '\\', '{', '}', '$']);
        if *it == own || !is_only || !is_known || !it.iter().all(is_plain) {
            return None;
        }
        let holes = holes.into_iter().chain([ends]);
        Some((inner, it.iter().zip(holes).flat_map(|(piece, hole)| [piece.as_str(), hole]).collect()))
    };
    nodes(root).filter(is_string).filter_map(better).collect()
}

/// The places of strings that are a text of the task with `{name}` in it, and would print just that: Python's need an `f`,
/// JavaScript's other quotes.
pub(super) fn filled_in(text: &str, root: Node<'_>, told: &[ToldText]) -> Vec<(Range<usize>, String)> {
    let is_python = root.kind() == "module";
    let mut places = Vec::new();
    for string in nodes(root).filter(|node| node.kind() == "string") {
        let own = &text[string.byte_range()];
        let Some((inner, pieces, holes)) = parts(text, string) else { continue };
        // One that is formatted is no plain one.
        let is_formatted =
            string.parent().is_some_and(|p| matches!(p.kind(), "attribute" | "binary_operator"));
        if !own.starts_with(['"', '\'']) || !holes.is_empty() || is_formatted {
            continue;
        }
        let found = pieces.first().map(|plain| named_holes(plain, if is_python { "{" } else { "${" }));
        let Some(found) = found.filter(|found| found.len() > 1) else { continue };
        if !told.iter().any(|told| told.pieces == found) {
            continue;
        }
        if is_python {
            places.push((string.start_byte()..string.start_byte(), "f".to_owned()));
        } else if !text[inner.clone()].contains('`') {
            places.push((string.byte_range(), format!("`{}`", &text[inner])));
        }
    }
    places
}

/// A text cut where names stand in braces.
fn named_holes(text: &str, begin: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find(begin) {
        let behind = &rest[at + begin.len()..];
        let name = behind.split('}').next().unwrap_or_default();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if let Some(last) = pieces.last_mut() {
            last.push_str(&rest[..at]);
            if !is_name || !behind[name.len()..].starts_with('}') {
                last.push_str(begin);
            }
        }
        rest = behind;
        if is_name && behind[name.len()..].starts_with('}') {
            pieces.push(String::new());
            rest = &behind[name.len() + 1..];
        }
    }
    if let Some(last) = pieces.last_mut() {
        last.push_str(rest);
    }
    pieces
}

/// The places where a text of the task that belongs to standard error is printed to standard output, with what prints it there.
pub(super) fn to_errors(text: &str, root: Node<'_>, told: &[ToldText]) -> Vec<(Range<usize>, String)> {
    let mut places = Vec::new();
    for call in nodes(root).filter(|node| matches!(node.kind(), "call" | "call_expression")) {
        let (Some(function), Some(arguments)) =
            (call.child_by_field_name("function"), call.child_by_field_name("arguments"))
        else {
            continue;
        };
        let Some(first) = arguments.named_child(0) else { continue };
        let Some((_, own, _)) = parts(text, first) else { continue };
        let begins = |told: &&ToldText| {
            let (Some(told), Some(own)) = (told.pieces.first(), own.first()) else { return false };
            letters(told).len() >= LETTERS_MIN && own.starts_with(told.trim_end())
        };
        let mut all = told.iter().filter(begins).peekable();
        if all.peek().is_none() || !all.all(|told| told.to_error) {
            continue;
        }
        match &text[function.byte_range()] {
            "console.log" => places.push((function.byte_range(), "console.error".to_owned())),
            "print" if !text[arguments.byte_range()].contains("file=") => {
                let end = arguments.end_byte() - 1;
                places.push((end..end, ", file=sys.stderr".to_owned()));
            }
            _ => {}
        }
    }
    places
}

/// Of a string: where its content stands, its own pieces, and what is put between them.
fn parts<'a>(text: &'a str, string: Node<'_>) -> Option<(Range<usize>, Vec<String>, Vec<&'a str>)> {
    if !matches!(string.kind(), "string" | "template_string") || string.has_error() {
        return None;
    }
    let own = &text[string.byte_range()];
    let quote = own.find(['"', '\'', '`'])?;
    let width = if own[quote..].starts_with("\"\"\"") || own[quote..].starts_with("'''") { 3 } else { 1 };
    let inner = string.start_byte() + quote + width..string.end_byte().checked_sub(width)?;
    let (mut pieces, mut holes, mut at) = (Vec::new(), Vec::new(), inner.start);
    let mut cursor = string.walk();
    for hole in
        string.children(&mut cursor).filter(|n| matches!(n.kind(), "interpolation" | "template_substitution"))
    {
        pieces.push(text.get(at..hole.start_byte())?.to_owned());
        holes.push(&text[hole.byte_range()]);
        at = hole.end_byte();
    }
    pieces.push(text.get(at..inner.end)?.to_owned());
    Some((inner, pieces, holes))
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::super::syntax::{language_of, tree};
    use super::*;

    fn told(text: &str, to_error: bool) -> ToldText {
        ToldText { pieces: text.split('_').map(str::to_owned).collect(), to_error }
    }

    fn put(path: &str, text: &str) -> String {
        let told = [
            told("error: no task #_", true),
            told("total: _, done: _", false),
            told("total: none", true),
            told("added #_: _", false),
        ];
        let mut text = text.to_owned();
        for places in [filled_in, as_written, to_errors] {
            let tree = tree(&text, &language_of(path).unwrap()).unwrap();
            let found = places(&text, tree.root_node(), &told);
            for (place, words) in found.into_iter().rev() {
                text.replace_range(place, &words);
            }
        }
        text
    }

    #[test]
    fn a_text_of_the_task_is_written_as_it_has_it() {
        for (path, text, better) in [
            (
                "a.mjs",
                "console.error(`error: no task ${id}`);\n",
                "console.error(`error: no task #${id}`);\n",
            ),
            ("a.mjs", "console.log('Total: none');\n", "console.error('total: none');\n"),
            ("a.py", "print(f'Total: {t} done: {d}')\n", "print(f'total: {t}, done: {d}')\n"),
            (
                "a.py",
                "sys.stderr.write(f\"error no task {i}\\n\")\n",
                "sys.stderr.write(f\"error: no task #{i}\\n\")\n",
            ),
        ] {
            assert_eq!(put(path, text), better);
            assert_eq!(put(path, better), better);
        }
        for text in ["print('error: no task')\n", "print(f'{a} done {b}')\n", "x = f'error: no task #{i}!'\n"]
        {
            let better = put("a.py", text);
            assert!(better == text || better.ends_with("#{i}'\n"), "{better}");
        }
    }

    #[test]
    fn names_in_braces_stand_for_values() {
        for (path, text, better) in [
            ("a.py", "x = 'error: no task #{i}'\n", "x = f'error: no task #{i}'\n"),
            ("a.mjs", "x = \"added #${id}: ${text}\";\n", "x = `added #${id}: ${text}`;\n"),
            ("a.py", "x = 'error: no task #{i}'.format(i=1)\n", "x = 'error: no task #{i}'.format(i=1)\n"),
            ("a.py", "x = 'error: no task #{i+1}'\n", "x = 'error: no task #{i+1}'\n"),
            ("a.py", "x = 'error: no {i} task #'\n", "x = 'error: no {i} task #'\n"),
        ] {
            assert_eq!(put(path, text), better);
            assert_eq!(put(path, better), better);
        }
    }

    #[test]
    fn errors_go_where_they_belong() {
        for (path, text, better) in [
            (
                "a.py",
                "print(f'error: no task #{x(1)}')\n",
                "print(f'error: no task #{x(1)}', file=sys.stderr)\n",
            ),
            ("a.py", "print('error: no task #%s' % i)\n", "print('error: no task #%s' % i)\n"),
            ("a.py", "print(f'added #{i}: {t}')\n", "print(f'added #{i}: {t}')\n"),
            ("a.mjs", "console.log('total: ' + t);\n", "console.log('total: ' + t);\n"),
            ("a.mjs", "console.log('error: no task #', id);\n", "console.error('error: no task #', id);\n"),
        ] {
            assert_eq!(put(path, text), better);
            assert_eq!(put(path, better), better);
        }
    }
}
