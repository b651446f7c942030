//! A book as its readers will see it, and where what its canon settles is told.

use edvac_memory::ids::TreeId;
use edvac_memory::store::{FileStore as _, GitStore};
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::export::{Book, ExportError, chapter_html};
use edvac_orchestrator::place::RunDir;
use serde::Serialize;
use utoipa::ToSchema;

use super::trouble::Trouble;

/// Shortest name of the canon that is looked for: shorter ones are in too many other words.
const NAME_CHARS_MIN: usize = 3;

/// A book on its page.
#[derive(Serialize, ToSchema)]
#[schema(as = Book)]
pub(super) struct BookView {
    /// Its title.
    title: String,
    /// Words in all.
    words: usize,
    /// Its chapters, in their order.
    chapters: Vec<ChapterView>,
    /// Titles of chapters that are not written yet.
    missing: Vec<String>,
    /// What it has settled.
    canon: Vec<CanonEntry>,
}

/// What a canon settles, and which chapters there are.
pub(super) struct Canon {
    /// Titles of the chapters, in their order.
    pub chapters: Vec<String>,
    /// Its entries.
    pub entries: Vec<CanonEntry>,
}

/// A chapter.
#[derive(Serialize, ToSchema)]
#[schema(as = Chapter)]
struct ChapterView {
    /// Its number, from 1.
    number: usize,
    /// Its title.
    title: String,
    /// Its words.
    words: usize,
    /// Its text as HTML that is safe to be shown.
    html: String,
}

/// Something that the canon settles.
#[derive(Serialize, ToSchema)]
pub(super) struct CanonEntry {
    /// Its name.
    pub name: String,
    /// What the canon says of it.
    pub note: String,
    /// Chapters that name it, and how often.
    pub chapters: Vec<Told>,
}

/// A chapter that names something.
#[derive(Serialize, ToSchema)]
#[schema(as = CanonMention)]
pub(super) struct Told {
    /// The chapter's number, from 1.
    pub number: usize,
    /// How often.
    pub times: usize,
}

/// What a book's canon settles, and where it is told; none while there is no book.
pub(super) fn canon(dir: &RunDir, tree: &TreeId, domain: &Domain) -> Result<Option<Canon>, Trouble> {
    match opened(dir, tree, domain) {
        Ok((book, _, entries)) => {
            let chapters = book.chapters.into_iter().map(|chapter| chapter.title).collect();
            Ok(Some(Canon { chapters, entries }))
        }
        Err(ExportError::NoBook | ExportError::NoChapters) => Ok(None),
        Err(other) => Err(Trouble::machine(other)),
    }
}

fn opened(
    dir: &RunDir,
    tree: &TreeId,
    domain: &Domain,
) -> Result<(Book, Vec<String>, Vec<CanonEntry>), ExportError> {
    let store = GitStore::view(&dir.git_dir())?;
    let canon_file = Some(domain.canon.as_str()).filter(|canon| !canon.is_empty());
    let (book, missing) = Book::of(&store, tree, canon_file, dir.id.as_str(), 0)?;
    let canon = canon_file.and_then(|path| store.read(tree, path).ok());
    let canon = canon.map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let entries = entries(&canon).into_iter().map(|(name, note)| told(&book, name, note)).collect();
    Ok((book, missing, entries))
}

/// The book of a tree.
pub(super) fn view(dir: &RunDir, tree: &TreeId, domain: &Domain) -> Result<BookView, Trouble> {
    let (book, missing, canon) = opened(dir, tree, domain).map_err(|error| match error {
        ExportError::NoBook | ExportError::NoChapters => Trouble::missing(error.to_string()),
        other => Trouble::machine(other),
    })?;
    let anchor = |path: &str| {
        let at = book.chapters.iter().position(|chapter| chapter.path == path)?;
        Some(format!("#chapter-{}", at + 1))
    };
    let chapters = book.chapters.iter().zip(1..).map(|(chapter, number)| ChapterView {
        number,
        title: chapter.title.clone(),
        words: chapter.text.split_whitespace().count(),
        // Raw HTML is text by now; what is left is cleaned once more by rules that know no text of ours.
        html: ammonia::clean(&chapter_html(chapter, &anchor)),
    });
    Ok(BookView { words: book.words(), chapters: chapters.collect(), canon, title: book.title, missing })
}

/// Names and notes of a canon: `- Levain: the starter`.
fn entries(canon: &str) -> Vec<(String, String)> {
    let items = canon.lines().filter_map(|line| line.trim().strip_prefix(['-', '*'])?.split_once(':'));
    let plain = |text: &str| text.trim().trim_matches(['*', '`']).trim().to_owned();
    items.map(|(name, note)| (plain(name), plain(note))).collect()
}

fn told(book: &Book, name: String, note: String) -> CanonEntry {
    let wanted = name.to_lowercase();
    let times = |text: &str| {
        if wanted.chars().count() < NAME_CHARS_MIN { 0 } else { text.to_lowercase().matches(&wanted).count() }
    };
    let all =
        book.chapters.iter().zip(1..).map(|(chapter, number)| Told { number, times: times(&chapter.text) });
    CanonEntry { chapters: all.filter(|told| told.times > 0).collect(), name, note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canon_is_a_list_of_names() {
        let canon = "# Canon\n\n- **Levain**: the starter\n* `Mira`: a baker, 40: widowed\nno entry\n";
        let found = entries(canon);
        let expected = [("Levain", "the starter"), ("Mira", "a baker, 40: widowed")];
        assert_eq!(found, expected.map(|(name, note)| (name.to_owned(), note.to_owned())));
    }

    #[test]
    fn what_is_left_of_hostile_markdown_is_harmless() {
        let text =
            "# A\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![y](https://evil.example/y.png)\n";
        let chapter =
            edvac_orchestrator::export::Chapter { title: "A".into(), path: "a.md".into(), text: text.into() };
        let html = ammonia::clean(&chapter_html(&chapter, &|_| None));
        assert!(
            !html.contains("<script") && !html.contains("javascript:") && !html.contains("<img"),
            "{html}"
        );
    }
}
