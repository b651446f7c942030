//! A listing of more files than there is room for: directories with their counts, opened as far as it goes.
//!
//! Nothing goes missing: every file has a line of its own or is counted in the line of a directory above it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use super::{Entry, Lines};
use crate::context::TokenCounter;

/// The share of the budget that files of interest have for lines of their own.
const RELEVANT_SHARE: usize = 2;
/// Steps that did not fit, after which no other is tried.
const FAILED_MAX: usize = 100;

/// Files and their bytes.
#[derive(Clone, Copy, Default)]
struct Sum {
    files: usize,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, files: usize, bytes: u64) {
        self.files += files;
        self.bytes += bytes;
    }
}

#[derive(Default)]
struct Directory<'a> {
    /// Files right in it that have no line of their own.
    own: Sum,
    /// The same, with those of all directories below it.
    all: Sum,
    below: BTreeSet<&'a str>,
}

/// How far directories are opened.
struct Fold<'a> {
    entries: &'a [Entry],
    named: BTreeSet<&'a str>,
    dirs: BTreeMap<&'a str, Directory<'a>>,
    /// Directories that have a line, or lines, of their own below the one that they lie in.
    shown: BTreeSet<&'a str>,
    /// Directories whose files have lines of their own.
    open: BTreeSet<&'a str>,
}

/// One step of opening.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step<'a> {
    Show(&'a str),
    Files(&'a str),
}

/// The listing of `entries` in at most `tokens_max`. Files that `relevant` names, the most important first, have lines of
/// their own before any other; then directories are opened: those on the way to such files first, then from the top down.
pub(super) fn folded(
    entries: &[Entry],
    relevant: &[String],
    tokens_max: usize,
    counter: &dyn TokenCounter,
) -> String {
    let mut named: Vec<&str> = Vec::new();
    let mut used = 0;
    for path in relevant {
        let Some(entry) = entries.iter().find(|e| e.path == *path && !named.contains(&e.path.as_str()))
        else {
            continue;
        };
        used += counter.count(&entry.line(Lines::Symbols));
        if used > tokens_max / RELEVANT_SHARE {
            break;
        }
        named.push(&entry.path);
    }
    // What was counted line by line may be a little more as a whole.
    loop {
        let mut fold = Fold::of(entries, &named);
        let mut taken = fold.open_while_it_fits(&named, tokens_max, counter);
        loop {
            let text = fold.render();
            if counter.count(&text) <= tokens_max {
                return text;
            }
            let Some(last) = taken.pop() else { break };
            fold.undo(last);
        }
        if named.pop().is_none() {
            break;
        }
    }
    let least = format!("({} files)\n", entries.len());
    if counter.count(&least) <= tokens_max { least } else { String::new() }
}

/// The directory that a path lies in; empty for the root.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// A directory as it is listed.
fn shown_as(dir: &str) -> String {
    if dir.is_empty() { "./".to_owned() } else { format!("{dir}/") }
}

impl<'a> Fold<'a> {
    fn of(entries: &'a [Entry], named: &[&'a str]) -> Self {
        let named: BTreeSet<_> = named.iter().copied().collect();
        let mut dirs: BTreeMap<&'a str, Directory<'a>> = BTreeMap::from([("", Directory::default())]);
        for entry in entries.iter().filter(|entry| !named.contains(entry.path.as_str())) {
            let mut dir = parent(&entry.path);
            let directory = dirs.entry(dir).or_default();
            directory.own.add(1, entry.bytes);
            directory.all.add(1, entry.bytes);
            while !dir.is_empty() {
                let above = parent(dir);
                let directory = dirs.entry(above).or_default();
                directory.all.add(1, entry.bytes);
                directory.below.insert(dir);
                dir = above;
            }
        }
        Self { entries, named, dirs, shown: BTreeSet::new(), open: BTreeSet::new() }
    }

    /// Takes steps as long as the sum of their lines' tokens allows it; says in which order.
    fn open_while_it_fits(
        &mut self,
        named: &[&'a str],
        tokens_max: usize,
        counter: &dyn TokenCounter,
    ) -> Vec<Step<'a>> {
        let mut room = tokens_max.saturating_sub(counter.count(&self.render()));
        let mut taken = Vec::new();
        let mut failed = 0;
        for step in self.steps(named) {
            let cost = self.cost(step, counter);
            if cost > room {
                failed += 1;
                if failed > FAILED_MAX {
                    break;
                }
                continue;
            }
            room -= cost;
            self.take(step);
            taken.push(step);
        }
        taken
    }

    /// What could be opened, the most useful first. A directory comes behind the one that it lies in.
    fn steps(&self, named: &[&'a str]) -> Vec<Step<'a>> {
        let is_there = |dir: &&str| self.dirs.contains_key(*dir);
        let mut steps = Vec::new();
        for path in named {
            let above = path.match_indices('/').map(|(at, _)| &path[..at]);
            steps.extend(above.filter(is_there).map(Step::Show));
        }
        steps.extend(named.iter().map(|path| parent(path)).filter(is_there).map(Step::Files));
        let mut queue = VecDeque::from([""]);
        while let Some(dir) = queue.pop_front() {
            let below = &self.dirs[dir].below;
            steps.extend(below.iter().copied().map(Step::Show));
            steps.push(Step::Files(dir));
            queue.extend(below);
        }
        let mut seen = BTreeSet::new();
        let has_files = |dir: &str| self.dirs[dir].own.files > 0;
        steps.retain(|step| seen.insert(*step) && !matches!(step, Step::Files(dir) if !has_files(dir)));
        steps
    }

    /// Tokens that a step adds, about. What lies in a directory that is not shown cannot be.
    fn cost(&self, step: Step<'a>, counter: &dyn TokenCounter) -> usize {
        let is_shown = |dir: &str| dir.is_empty() || self.shown.contains(dir);
        match step {
            Step::Show(dir) if self.is_open(parent(dir)) => counter.count(&self.closed(dir)),
            // Its own line, and one for what stays closed beside it.
            Step::Show(dir) if is_shown(parent(dir)) => {
                counter.count(&self.closed(dir)) + counter.count(&self.closed(parent(dir)))
            }
            Step::Files(dir) if is_shown(dir) => {
                self.files_in(dir).map(|entry| counter.count(&entry.line(Lines::Names))).sum()
            }
            _ => usize::MAX,
        }
    }

    fn is_open(&self, dir: &str) -> bool {
        self.open.contains(dir) || self.dirs[dir].below.iter().any(|below| self.shown.contains(below))
    }

    fn take(&mut self, step: Step<'a>) {
        match step {
            Step::Show(dir) => self.shown.insert(dir),
            Step::Files(dir) => self.open.insert(dir),
        };
    }

    fn undo(&mut self, step: Step<'a>) {
        match step {
            Step::Show(dir) => self.shown.remove(dir),
            Step::Files(dir) => self.open.remove(dir),
        };
    }

    fn files_in(&self, dir: &'a str) -> impl Iterator<Item = &'a Entry> {
        let is_own =
            move |entry: &&Entry| parent(&entry.path) == dir && !self.named.contains(entry.path.as_str());
        self.entries.iter().filter(is_own)
    }

    fn render(&self) -> String {
        let mut out = "(many files; of some directories only the number is listed)\n".to_owned();
        for entry in self.entries.iter().filter(|entry| self.named.contains(entry.path.as_str())) {
            out.push_str(&entry.line(Lines::Symbols));
        }
        self.render_dir("", &mut out);
        out
    }

    fn render_dir(&self, dir: &'a str, out: &mut String) {
        if !self.is_open(dir) {
            out.push_str(&self.closed(dir));
            return;
        }
        let below = &self.dirs[dir].below;
        for shown in below.iter().filter(|below| self.shown.contains(**below)) {
            self.render_dir(shown, out);
        }
        let (mut closed, mut count) = (Sum::default(), 0);
        for rest in below.iter().filter(|below| !self.shown.contains(**below)) {
            let Sum { files, bytes } = self.dirs[rest].all;
            closed.add(files, bytes);
            count += 1;
        }
        if count > 0 {
            let Sum { files, bytes } = closed;
            let name = shown_as(dir);
            let _ = writeln!(out, "{name} {count} more directories: {files} files, {bytes} bytes");
        }
        let Sum { files, bytes } = self.dirs[dir].own;
        if self.open.contains(dir) {
            self.files_in(dir).for_each(|entry| out.push_str(&entry.line(Lines::Names)));
        } else if files > 0 {
            let _ = writeln!(out, "{} itself: {files} files, {bytes} bytes", shown_as(dir));
        }
    }

    /// A directory's line with everything below it.
    fn closed(&self, dir: &str) -> String {
        let Sum { files, bytes } = self.dirs[dir].all;
        let mut line = String::new();
        if files > 0 {
            let others = if self.named.is_empty() { "" } else { "other " };
            let _ = writeln!(line, "{} {others}{files} files, {bytes} bytes", shown_as(dir));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Words;
    impl TokenCounter for Words {
        fn count(&self, text: &str) -> usize {
            text.split_whitespace().count()
        }
    }

    fn entry(path: &str) -> Entry {
        Entry {
            path: path.to_owned(),
            bytes: 10,
            lines: Some(2),
            symbols: vec!["f".to_owned()],
            purpose: String::new(),
            touched: None,
        }
    }

    /// Files that a listing names or counts.
    fn accounted(text: &str) -> usize {
        let of = |line: &str| match line.split_once(" files, ") {
            Some((before, _)) => before.rsplit(' ').next().unwrap().parse().unwrap(),
            None => usize::from(line.contains(" bytes)")),
        };
        text.lines().map(of).sum()
    }

    #[test]
    fn directories_are_opened_where_something_is_of_interest() {
        let entries: Vec<_> = (0..200).map(|n| entry(&format!("src/d{:02}/m{n:03}.py", n % 20))).collect();
        let relevant = ["src/d07/m007.py".to_owned()];
        let show = |tokens| folded(&entries, &relevant, tokens, &Words);
        assert!(show(160).contains("src/d07/m007.py (2 lines, 10 bytes): f"), "{}", show(160));
        assert!(show(160).contains("src/d07/m027.py (2 lines, 10 bytes)"), "{}", show(160));
        assert!(show(160).contains("src/ 8 more directories: 80 files, 800 bytes"), "{}", show(160));
        assert!(show(40).contains("src/ other 199 files, 1990 bytes"), "{}", show(40));
        for tokens in [30, 40, 80, 160, 300, 600] {
            let text = show(tokens);
            assert!(Words.count(&text) <= tokens, "{tokens}: {text}");
            assert_eq!(accounted(&text), 200, "{tokens}: {text}");
        }
        assert_eq!(show(2), "(200 files)\n");
        assert_eq!(show(1), "");
    }

    proptest! {
        #[test]
        fn within_the_budget_and_nothing_missing(
            paths in prop::collection::btree_set("([abc]/){0,3}[a-z]{1,2}", 1..60),
            picks in prop::collection::vec(0usize..60, 0..4),
            tokens in 20usize..400,
        ) {
            // A name cannot be a file and a directory.
            let is_dir = |path: &String| paths.iter().any(|other| other.starts_with(&format!("{path}/")));
            let paths: Vec<_> = paths.iter().filter(|path| !is_dir(path)).cloned().collect();
            let entries: Vec<_> = paths.iter().map(|path| entry(path)).collect();
            let relevant: Vec<_> = picks.iter().filter_map(|at| paths.get(*at).cloned()).collect();
            let text = folded(&entries, &relevant, tokens, &Words);
            prop_assert!(Words.count(&text) <= tokens, "{}", text);
            prop_assert_eq!(accounted(&text), paths.len(), "{}", text);
        }
    }
}
