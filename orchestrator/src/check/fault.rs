//! Where a fault may lie: the parts of the program that a failed test's error speaks of, found by its line numbers and by
//! the names in the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use edvac_memory::fault::{Fault, Place, PlaceKind};
use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView;
use edvac_memory::program::CheckKind;
use edvac_memory::store::StoreError;
use edvac_memory::store::path::is_test;
use edvac_memory::verdict::{CheckReport, TestOutcome, Verdict};
use regex::Regex;
use tree_sitter::{Node, Point, Tree};

use super::imports;
use super::syntax::{self, language_of};

/// Larger files are not looked into.
const SOURCE_BYTES_MAX: u64 = 512 << 10;

/// Most causes of one check round that are looked into.
const FAULTS_MAX: usize = 4;
/// Most parts that are suspected of one cause.
const PLACES_MAX: usize = 5;
/// Functions that a test uses which are suspected before the test itself.
const USED_BEFORE_TEST_MAX: usize = 2;
/// Most lines of a part; of a longer one the lines around the error are taken.
const PLACE_LINES_MAX: usize = 60;
/// Most lines of a test file's beginning.
const BEGINNING_LINES_MAX: usize = 40;
/// How the line begins by which a program calls its main function.
const CALLS: [&str; 4] = ["if __name__ ==", "main()", "await main()", "process.exitCode = "];
/// Lines on each side of an error where nothing says which part it is in.
const AROUND_LINES: usize = 6;

/// The faults that failed tests show, and those of `hollow` tests, which pass and do not show what they name; none where no
/// error names a line, or where a file is missing: what was not written is no part that could be mended.
pub fn faults(
    reports: &[CheckReport],
    hollow: &[TestOutcome],
    store: &dyn FileStoreView,
    tree: &TreeId,
    language: &str,
) -> Result<Vec<Fault>, StoreError> {
    let missing =
        |r: &CheckReport| matches!(r.check.kind, CheckKind::Exists { .. }) && !r.verdict.is_passed();
    let nothing_said = reports.iter().all(|r| r.causes.is_empty()) && hollow.is_empty();
    if nothing_said || reports.iter().any(missing) {
        return Ok(Vec::new());
    }
    let mut files = BTreeMap::new();
    for (path, bytes) in store.list(tree)? {
        if bytes <= SOURCE_BYTES_MAX
            && let Some(language) = language_of(&path)
            && let Ok(text) = String::from_utf8(store.read(tree, &path)?)
        {
            files.insert(path, (language, text));
        }
    }
    let sources: BTreeMap<&str, Source<'_>> = files
        .iter()
        .filter_map(|(path, (language, text))| {
            Some((path.as_str(), Source { path, text, tree: syntax::tree(text, language).ok()? }))
        })
        .collect();
    Ok(reports
        .iter()
        .filter(|r| matches!(r.verdict, Verdict::Failed { .. } | Verdict::Flaky { .. }))
        .flat_map(|r| r.causes.clone())
        .map(|said| Fault { places: places(&said, &sources, language), said })
        .filter(|fault| !fault.places.is_empty())
        .chain(hollow.iter().filter_map(|test| shows_nothing(test, &sources, language)))
        .take(FAULTS_MAX)
        .collect())
}

/// A test whose passing shows nothing: it is the test that is to be written again, and what it could call lies beside it.
fn shows_nothing(test: &TestOutcome, sources: &BTreeMap<&str, Source<'_>>, language: &str) -> Option<Fault> {
    let own = super::integrity::last_part(&test.name);
    let names = ["def ", "fn ", "func "].map(|word| format!("{word}{own}(")).into_iter();
    let begins: Vec<_> = names.chain(["\"", "'", "`"].map(|quote| format!("{quote}{own}{quote}"))).collect();
    let (source, line) =
        sources.values().filter(|s| is_test(s.path) || language == "rust").find_map(|source| {
            let at = source.text.lines().position(|line| begins.iter().any(|begin| line.contains(begin)))?;
            Some((source, at + 1))
        })?;
    let flaw = test.flaw.as_deref().unwrap_or_default();
    let said = format!("{} passes, and that shows nothing: {flaw}", test.name);
    let names = test.covers.iter().map(|id| id.0.clone()).collect();
    let test =
        Place { kind: PlaceKind::Hollow { above: source.beginning(), names }, ..source.part_at(line)? };
    let (first, last) = source.bounds_at(line)?;
    let mut parts = used(&source.lines(first, last), source, sources);
    if parts.is_empty() {
        let code = sources.values().filter(|s| !is_test(s.path));
        parts =
            code.flat_map(|s| s.definitions().into_iter().filter_map(|(_, lines)| s.place(lines))).collect();
    }
    // They are shown and not written again: nothing says that they are wrong.
    parts.truncate(PLACES_MAX - 1);
    parts.insert(0, test);
    Some(Fault { said, places: parts })
}

/// A file with its syntax tree.
pub(super) struct Source<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    pub(super) tree: Tree,
}

/// Lines, from 1, inclusive.
type Lines = (usize, usize);

fn places(said: &str, sources: &BTreeMap<&str, Source<'_>>, language: &str) -> Vec<Place> {
    static AT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"([A-Za-z0-9_][A-Za-z0-9_./-]*\.[a-z]+)(?:", line |:)(\d+)"#).ok());
    static FROM: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"Cannot find (?:package|module) .* imported from (?:file://)?(\S+)").ok()
    });
    static UNKNOWN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^\s*(NameError|ModuleNotFoundError|ImportError|ReferenceError|SyntaxError: The requested module)").ok()
    });
    let mut frames: Vec<(&Source<'_>, usize)> = AT
        .iter()
        .flat_map(|at| at.captures_iter(said))
        .filter_map(|m| Some((sources.get(m.get(1)?.as_str())?, m.get(2)?.as_str().parse().ok()?)))
        .collect();
    // Python's tracebacks end with the line that failed, others begin with it.
    if language == "python" {
        frames.reverse();
    }
    // Node.js names the file that wants what is not there, and no line; there what is wrong is to go.
    let wanting = FROM.iter().filter_map(|from| from.captures(said)).filter_map(|m| m.get(1));
    let wanting: Vec<_> = wanting.filter_map(|path| sources.get(path.as_str())).collect();
    let mut out: Vec<Place> = Vec::new();
    let mut add = |place: Option<Place>| {
        if let Some(place) = place.filter(|p| !out.contains(p) && out.len() < PLACES_MAX) {
            out.push(place);
        }
    };
    // What a user typed is first of all the business of the command; parts that it calls do what their own sentences say.
    add(of_command(said, sources).or_else(|| of_example(said, sources)));
    wanting.iter().for_each(|source| add(source.imports().map(|p| Place { kind: PlaceKind::Code, ..p })));
    if UNKNOWN.as_ref().is_some_and(|unknown| unknown.is_match(said)) {
        let place = frames.first().and_then(|(source, _)| Some((*source, source.imports()?)));
        add(place.map(|(source, place)| Place { offers: imports::offers(said, source, sources), ..place }));
    }
    // What a test expected says nothing about where it was not done: the functions that it uses come first.
    let expected = said.contains("AssertionError") || said.contains("ERR_ASSERTION");
    if !expected {
        frames.iter().for_each(|(source, line)| add(source.part_at(*line)));
    }
    for (source, line) in frames.iter().filter(|(source, _)| is_test(source.path)) {
        let Some((first, last)) = source.bounds_at(*line) else { continue };
        let mut parts = used(&source.lines(first, last), source, sources).into_iter();
        parts.by_ref().take(USED_BEFORE_TEST_MAX).for_each(|part| add(Some(part)));
        add(source.part_at(*line));
        parts.for_each(|part| add(Some(part)));
    }
    frames.iter().for_each(|(source, line)| add(source.part_at(*line)));
    // It hands over what a user typed, and others do something about it.
    if out.len() > 1 {
        out.retain(|place| !is_main(&place.text));
    }
    let expectations = out.iter_mut().filter(|place| expected && is_test(&place.path));
    for place in expectations {
        let above = sources.get(place.path.as_str()).map(Source::beginning).unwrap_or_default();
        place.kind = PlaceKind::Expectation { above };
    }
    for mark in marks(said) {
        let holds = |p: &&mut Place| {
            p.path == mark.path && p.until_failure.is_empty() && p.kind != PlaceKind::Imports
        };
        for place in out.iter_mut().filter(holds) {
            place.until_failure = until(place, &mark).unwrap_or_default();
        }
    }
    out
}

fn is_main(text: &str) -> bool {
    ["def main(", "function main(", "async function main("].iter().any(|begin| text.starts_with(begin))
}

/// The function of the command that a command line names, the last of several: `do_add` or `doAdd` of `python3 todo.py add TEXT`.
fn of_command(said: &str, sources: &BTreeMap<&str, Source<'_>>) -> Option<Place> {
    static LINE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\b(?:python3?|node) (\S+) ([A-Za-z][A-Za-z0-9-]*)").ok());
    let plain = |name: &str| name.replace(['_', '-'], "").to_lowercase();
    let line = said.lines().next()?;
    let command = LINE.as_ref()?.captures_iter(line).last()?;
    let source = sources.get(&command[1])?;
    let is_of = |name: &str| plain(name) == format!("do{}", plain(&command[2]));
    let (_, lines) = source.definitions().into_iter().find(|(name, _)| is_of(name))?;
    source.place(lines)
}

/// The function that an example of the task calls: `python3 -c 'from lib import total …'`.
fn of_example(said: &str, sources: &BTreeMap<&str, Source<'_>>) -> Option<Place> {
    static CALL: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^`(?:python3 -c|node --input-type=module -e) [\s\S]*?\bimport \{? ?(\w+)(?: \}|\ngot =)")
            .ok()
    });
    let name = CALL.as_ref()?.captures_iter(said).last()?.get(1)?.as_str();
    let defines = |source: &&Source<'_>| source.definitions().into_iter().any(|(own, _)| own == name);
    let source = sources.values().filter(|source| !is_test(source.path)).find(defines)?;
    let (_, lines) = source.definitions().into_iter().find(|(own, _)| *own == name)?;
    source.place(lines)
}

/// Where a Python traceback marks the expression of a line that failed.
struct Mark<'a> {
    path: &'a str,
    line: usize,
    /// Characters of the line's own text, without its indentation, up to the end of the expression.
    end: usize,
}

/// The marks of a traceback, the innermost first.
fn marks(said: &str) -> Vec<Mark<'_>> {
    static MARKED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?m)^ *File "([^"]+)", line (\d+).*\n( *)\S.*\n( *)([~^]+) *$"#).ok());
    let mut found: Vec<_> = MARKED
        .iter()
        .flat_map(|marked| marked.captures_iter(said))
        .filter_map(|m| {
            let length = |group| m.get(group).map(|m| m.len());
            let first = length(4)?.checked_sub(length(3)?)?;
            let (path, line) = (m.get(1)?.as_str(), m.get(2)?.as_str().parse().ok()?);
            Some(Mark { path, line, end: first + length(5)? })
        })
        .collect();
    found.reverse();
    found
}

/// The text of a place up to the end of what is marked in it. A line that is marked to its end leaves nothing to go by: it
/// would be written again with a word behind it.
fn until(place: &Place, mark: &Mark<'_>) -> Option<String> {
    let number = mark.line.checked_sub(place.line_first)?;
    let line = place.text.lines().nth(number)?;
    let indent = line.chars().count() - line.trim_start().chars().count();
    let end = line.char_indices().nth(indent + mark.end).map(|(at, _)| at)?;
    let before: usize = place.text.split_inclusive('\n').take(number).map(str::len).sum();
    (end < line.len()).then(|| place.text[..before + end].to_owned())
}

/// Definitions outside the tests that a test names, or that helpers in its file name for it; the last named first,
/// since a test ends with what it is about.
fn used(test: &str, own: &Source<'_>, sources: &BTreeMap<&str, Source<'_>>) -> Vec<Place> {
    let mut text = test.to_owned();
    for (_, (first, last)) in own.definitions().iter().filter(|(name, _)| words(test).contains(name)) {
        let helper = own.lines(*first, *last);
        if !test.contains(&helper) {
            text.insert_str(0, &helper);
        }
    }
    let known = words(&text);
    let mut found: Vec<(usize, Place)> = Vec::new();
    for source in sources.values().filter(|s| !is_test(s.path)) {
        for (name, lines) in source.definitions() {
            if known.contains(name) {
                found.extend(source.place(lines).map(|place| (text.rfind(name).unwrap_or(0), place)));
            }
        }
    }
    found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    found.into_iter().map(|(_, place)| place).collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect()
}

impl<'a> Source<'a> {
    /// Every named function and method, with its lines.
    fn definitions(&self) -> Vec<(&'a str, Lines)> {
        syntax::nodes(self.tree.root_node())
            .filter(|node| is_function(*node))
            .filter_map(|node| {
                let name = node.child_by_field_name("name")?;
                Some((&self.text[name.byte_range()], lines_of(whole(node))))
            })
            .collect()
    }

    /// The lines of the innermost function around a line, or else of what stands at the top of the file.
    fn bounds_at(&self, line: usize) -> Option<Lines> {
        let total = self.text.lines().count();
        let row = line.checked_sub(1).filter(|row| *row < total)?;
        let text = self.text.lines().nth(row)?;
        let point = Point { row, column: text.len() - text.trim_start().len() };
        let around = (line.saturating_sub(AROUND_LINES).max(1), (line + AROUND_LINES).min(total));
        let root = self.tree.root_node();
        if root.has_error() {
            return Some(around);
        }
        let inmost = root.descendant_for_point_range(point, point)?;
        let outwards: Vec<_> =
            std::iter::successors(Some(inmost), Node::parent).take_while(|n| *n != root).collect();
        if let Some(function) = outwards.iter().find(|node| is_function(**node)) {
            return Some(lines_of(whole(*function)));
        }
        let (first, last) = outwards.last().map_or(around, |top| lines_of(*top));
        Some(if last - first < PLACE_LINES_MAX { (first, last) } else { around })
    }

    fn part_at(&self, line: usize) -> Option<Place> {
        let (first, last) = self.bounds_at(line)?;
        // That a program calls its main function is no fault of it, and not calling it no remedy.
        if CALLS.iter().any(|call| self.text.lines().nth(first - 1).unwrap_or_default().starts_with(call)) {
            return None;
        }
        if last - first < PLACE_LINES_MAX {
            return self.place((first, last));
        }
        let from = line.saturating_sub(PLACE_LINES_MAX / 2).max(first);
        self.place((from, (from + PLACE_LINES_MAX - 1).min(last)))
    }

    /// From the first import to the last; the first line where there is none.
    fn imports(&self) -> Option<Place> {
        let root = self.tree.root_node();
        let mut cursor = root.walk();
        let imports: Vec<_> = root
            .children(&mut cursor)
            .filter(|n| n.kind().contains("import") || n.kind() == "use_declaration")
            .map(lines_of)
            .collect();
        let lines = (imports.first().map_or(1, |l| l.0), imports.last().map_or(1, |l| l.1));
        // One that stands far below is not the head of the file.
        let place = self.place((lines.0, lines.1.min(lines.0 + PLACE_LINES_MAX - 1)))?;
        Some(Place { kind: PlaceKind::Imports, ..place })
    }

    /// The lines before the second test: imports, what tests share, and one that shows how a test is written here.
    fn beginning(&self) -> String {
        let begins =
            |text: &str| ["def test", "test(", "it("].iter().any(|word| text.trim_start().starts_with(word));
        let mut tests = 0;
        let until_second = |line: &&str| {
            tests += usize::from(begins(line));
            tests < 2
        };
        self.text.split_inclusive('\n').take(BEGINNING_LINES_MAX).take_while(until_second).collect()
    }

    fn place(&self, (first, last): Lines) -> Option<Place> {
        let text = self.lines(first, last);
        // A grammar cannot say control characters.
        let plain = !text.contains(|c: char| c.is_control() && !"\n\r\t".contains(c));
        let fits = plain && last - first < PLACE_LINES_MAX && !text.trim().is_empty();
        let path = self.path.to_owned();
        let kind = PlaceKind::Code;
        let (offers, until_failure) = (Vec::new(), String::new());
        fits.then_some(Place { path, line_first: first, line_last: last, text, kind, offers, until_failure })
    }

    fn lines(&self, first: usize, last: usize) -> String {
        self.text.split_inclusive('\n').skip(first - 1).take(last + 1 - first).collect()
    }
}

fn is_function(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "function_definition"
            | "function_declaration"
            | "method_definition"
            | "function_item"
            | "method_declaration"
    )
}

/// With what belongs to a definition: decorators, `export`.
fn whole(node: Node<'_>) -> Node<'_> {
    node.parent().filter(|p| matches!(p.kind(), "decorated_definition" | "export_statement")).unwrap_or(node)
}

fn lines_of(node: Node<'_>) -> Lines {
    let (first, end) = (node.start_position(), node.end_position());
    // A node that ends with its line's end ends on the line before.
    let last = if end.column == 0 && end.row > first.row { end.row } else { end.row + 1 };
    (first.row + 1, last)
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
