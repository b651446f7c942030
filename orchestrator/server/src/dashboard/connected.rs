//! What in a run's memory is connected with what: which step wrote which file and was shown which, and which chapters of a book
//! name what its canon settles. As tables, and as drawings beside them.

use std::collections::{BTreeMap, BTreeSet};

use edvac_memory::context::{Fitted, FragmentKind};
use edvac_memory::ids::TreeId;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::place::RunDir;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::Window;
use super::book::{self, Canon, CanonEntry};
use super::files::encoded;
use super::graph;
use super::program_graph::{Drawing, LINE_CHARS_MAX, Node, STEPS_DRAWN_MAX};
use super::trouble::Trouble;
use super::view::{StepRow, beginning, steps};
use super::watched::Watched;

/// Files in the table; of more, the first by their paths.
const FILES_SHOWN_MAX: usize = 500;
/// Files in a drawing, and entries or chapters in one.
const DRAWN_MAX: usize = 100;

/// What is connected with what.
#[derive(Serialize, ToSchema)]
pub(super) struct Connections {
    /// Files that a step wrote or was shown.
    files: Vec<FileRow>,
    /// More of them.
    files_hidden: usize,
    /// Steps and files, as far as they are drawn.
    drawing: Drawing,
    /// Steps before the first that is drawn.
    steps_from: usize,
    /// The place of the last that is drawn, from 1.
    steps_to: usize,
    /// Steps of the program.
    steps_all: usize,
    /// What to ask for to see the steps before; none where there are none.
    #[schema(required)]
    steps_before: Option<usize>,
    /// The same of those after.
    #[schema(required)]
    steps_after: Option<usize>,
    /// Files that the steps drawn are connected with and that are not drawn.
    files_undrawn: usize,
    /// What a book's canon settles; none where there is none.
    #[schema(required)]
    canon: Option<CanonView>,
}

/// A file.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectedFile)]
struct FileRow {
    /// Its path.
    path: String,
    /// The path as a part of an address.
    query: String,
    /// Steps that wrote it.
    written_by: Vec<u32>,
    /// Steps with a prompt that showed it or a part of it.
    shown_to: Vec<u32>,
}

/// A canon and where it is told.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectedCanon)]
struct CanonView {
    /// Its entries, with the chapters that name them.
    entries: Vec<CanonEntry>,
    /// Entries and chapters, as far as they are drawn.
    drawing: Drawing,
    /// Entries and chapters that are not drawn.
    undrawn: usize,
}

/// Files that a prompt showed, whole or in part.
pub(super) fn files_of(fitted: &Fitted) -> impl Iterator<Item = &str> {
    let shows = |kind| matches!(kind, FragmentKind::File | FragmentKind::Retrieved);
    fitted.fragments.iter().filter(move |fragment| shows(fragment.kind)).filter_map(|f| path_of(&f.source))
}

/// The path of a source: `src/a.py:1-20`, or with more behind it.
fn path_of(source: &str) -> Option<&str> {
    let (path, lines) = source.rsplit_once(':')?;
    (!path.is_empty() && lines.starts_with(|c: char| c.is_ascii_digit())).then_some(path)
}

/// What is known of steps and files, before anything is drawn.
pub(super) struct Known {
    run: String,
    steps: Vec<StepRow>,
    from: usize,
    written: BTreeMap<String, BTreeSet<u32>>,
    shown: BTreeMap<String, BTreeSet<u32>>,
}

impl Known {
    /// Of a run as it stands; steps as the window has them.
    pub fn of(watched: &Watched, window: &Window) -> Self {
        let all = steps(watched);
        let numbers: BTreeSet<u32> = all.iter().map(|step| step.id).collect();
        let mut known = Self {
            run: watched.dir.id.to_string(),
            from: window.from(&all, STEPS_DRAWN_MAX),
            steps: all,
            written: BTreeMap::new(),
            shown: BTreeMap::new(),
        };
        for (id, settled) in &watched.state.settled {
            for path in &settled.touched {
                known.written.entry(path.clone()).or_default().insert(id.0);
            }
        }
        for (id, paths) in watched.shown.iter().filter(|(id, _)| numbers.contains(id)) {
            for path in paths {
                known.shown.entry(path.clone()).or_default().insert(*id);
            }
        }
        known
    }

    /// The tables and drawings. Reads the book of the tree, where its domain has a canon.
    pub fn connections(self, dir: &RunDir, book: Option<&(TreeId, Domain)>) -> Result<Connections, Trouble> {
        let all: BTreeSet<&String> = self.written.keys().chain(self.shown.keys()).collect();
        let numbers = |of: &BTreeMap<String, BTreeSet<u32>>, path: &String| -> Vec<u32> {
            of.get(path).into_iter().flatten().copied().collect()
        };
        let files = all.iter().take(FILES_SHOWN_MAX).map(|path| FileRow {
            path: (*path).clone(),
            query: encoded(path),
            written_by: numbers(&self.written, path),
            shown_to: numbers(&self.shown, path),
        });
        let to = (self.from + STEPS_DRAWN_MAX).min(self.steps.len());
        let (drawing, files_undrawn) = self.drawing(to);
        let canon = match book {
            Some((tree, domain)) => book::canon(dir, tree, domain)?,
            None => None,
        };
        Ok(Connections {
            files: files.collect(),
            files_hidden: all.len().saturating_sub(FILES_SHOWN_MAX),
            drawing,
            files_undrawn,
            steps_from: self.from + 1,
            steps_to: to,
            steps_all: self.steps.len(),
            steps_before: (self.from > 0).then(|| self.from.saturating_sub(STEPS_DRAWN_MAX)),
            steps_after: (to < self.steps.len()).then_some(to),
            canon: canon.map(|canon| canon_view(&self.run, canon)),
        })
    }

    fn drawing(&self, to: usize) -> (Drawing, usize) {
        let drawn = &self.steps[self.from..to];
        let touches = |of: &BTreeMap<String, BTreeSet<u32>>, path: &str, step: u32| {
            of.get(path).is_some_and(|steps| steps.contains(&step))
        };
        let is_near = |path: &&String| {
            drawn
                .iter()
                .any(|step| touches(&self.written, path, step.id) || touches(&self.shown, path, step.id))
        };
        let paths: BTreeSet<&String> = self.written.keys().chain(self.shown.keys()).collect();
        let near: Vec<&String> = paths.into_iter().filter(is_near).collect();
        let right = near.len().min(DRAWN_MAX);
        let mut lines = Vec::new();
        let mut classes = Vec::new();
        for (at, step) in drawn.iter().enumerate() {
            for (place, path) in near[..right].iter().enumerate() {
                for (of, class) in [(&self.written, "wrote"), (&self.shown, "shown")] {
                    if touches(of, path, step.id) {
                        lines.push((at, drawn.len() + place));
                        classes.push(class);
                    }
                }
            }
        }
        let step_node = |step: &StepRow| Node {
            x: 0.0,
            y: 0.0,
            href: format!("/runs/{}/steps/{}", self.run, step.id),
            line: beginning(&format!("{}. {}", step.id, step.title), LINE_CHARS_MAX),
            below: format!("{} {}", step.sign, step.word),
            class: step.class,
            words: format!("step {}: {}, {}", step.id, step.title, step.word),
        };
        let count = |of: &BTreeMap<String, BTreeSet<u32>>, path: &str| of.get(path).map_or(0, BTreeSet::len);
        let file_node = |path: &&String| {
            let (wrote, shown) = (count(&self.written, path), count(&self.shown, path));
            let below = format!("written by {wrote}, shown to {shown}");
            Node {
                x: 0.0,
                y: 0.0,
                href: format!("/runs/{}/files?path={}", self.run, encoded(path)),
                line: ending(path, LINE_CHARS_MAX),
                words: format!("file {path}: {below} steps"),
                below,
                class: "idle",
            }
        };
        let nodes = drawn.iter().map(step_node).chain(near[..right].iter().map(file_node)).collect();
        let layout = graph::two_columns(drawn.len(), right, &lines);
        (Drawing::of(layout, nodes, classes.into_iter()), near.len() - right)
    }
}

/// The end of a path, which tells more than its beginning.
fn ending(path: &str, chars_max: usize) -> String {
    let count = path.chars().count();
    if count <= chars_max {
        return path.to_owned();
    }
    ['…'].into_iter().chain(path.chars().skip(count + 1 - chars_max)).collect()
}

fn canon_view(run: &str, canon: Canon) -> CanonView {
    let (left, right) = (canon.entries.len().min(DRAWN_MAX), canon.chapters.len().min(DRAWN_MAX));
    let mut lines = Vec::new();
    for (at, entry) in canon.entries[..left].iter().enumerate() {
        let told = entry.chapters.iter().map(|told| told.number - 1).filter(|place| *place < right);
        lines.extend(told.map(|place| (at, left + place)));
    }
    let node = |line: &str, below: String, href: String, words: String| Node {
        x: 0.0,
        y: 0.0,
        href,
        line: beginning(line, LINE_CHARS_MAX),
        below,
        class: "idle",
        words,
    };
    let entries = canon.entries[..left].iter().map(|entry| {
        let below = format!("in {} chapter(s)", entry.chapters.len());
        let words = format!("canon: {}, {below}", entry.name);
        node(&entry.name, below, format!("/runs/{run}/book#canon"), words)
    });
    let chapters = canon.chapters[..right].iter().zip(1..).map(|(title, number)| {
        let words = format!("chapter {number}: {title}");
        node(title, format!("chapter {number}"), format!("/runs/{run}/book#chapter-{number}"), words)
    });
    let nodes = entries.chain(chapters).collect();
    let classes = std::iter::repeat_n("wrote", lines.len());
    let drawing = Drawing::of(graph::two_columns(left, right, &lines), nodes, classes);
    let undrawn = canon.entries.len() - left + canon.chapters.len() - right;
    CanonView { drawing, undrawn, entries: canon.entries }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::book::Told;

    #[test]
    fn a_source_names_its_file() {
        assert_eq!(path_of("src/a.py:1-20"), Some("src/a.py"));
        assert_eq!(path_of("a:b.md:3-4,9-12 of 200 lines"), Some("a:b.md"));
        assert_eq!(path_of("a.py:1-9, first 4 of 9 lines"), Some("a.py"));
        assert_eq!((path_of("listing"), path_of("program: steps"), path_of(":3")), (None, None, None));
    }

    #[test]
    fn a_path_is_known_by_its_end() {
        assert_eq!(ending("a/b.py", 24), "a/b.py");
        assert_eq!(ending("0123456789", 5), "…6789");
    }

    #[test]
    fn a_canon_is_drawn_beside_the_chapters_that_name_it() {
        let entry = |name: &str, chapters: &[usize]| CanonEntry {
            name: name.to_owned(),
            note: "settled".to_owned(),
            chapters: chapters.iter().map(|&number| Told { number, times: 2 }).collect(),
        };
        let canon = Canon {
            chapters: vec!["Flour".into(), "Water <b>".into(), "Salt".into()],
            entries: vec![entry("Levain", &[1, 3]), entry("Mira", &[2]), entry("Nobody", &[])],
        };
        let view = canon_view("r", canon);
        assert_eq!((view.drawing.nodes.len(), view.drawing.arrows.len(), view.undrawn), (6, 3, 0));
        let known = Known {
            run: "r".into(),
            steps: Vec::new(),
            from: 0,
            written: BTreeMap::new(),
            shown: BTreeMap::new(),
        };
        let dir = RunDir { id: "r".into(), path: "/nowhere".into() };
        let connections = Connections { canon: Some(view), ..known.connections(&dir, None).unwrap() };
        let run = serde_json::json!({ "run": "r", "title": "Bread", "domain": "book" });
        let page = serde_json::json!({ "run": run, "q": "", "hits": [], "connections": connections });
        let html = crate::dashboard::render::page("memory.html", &page).unwrap();
        assert!(
            html.contains("canon: Levain, in 2 chapter(s)") && html.contains("/runs/r/book#chapter-3"),
            "{html}"
        );
        assert!(html.contains("Water &lt;b&gt;") && !html.contains("<b>"), "{html}");
    }
}
