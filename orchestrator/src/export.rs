//! Books for readers: the chapters of a finished workspace as one file.
//!
//! A book's workspace is mdBook's tree (`book.toml`, `src/SUMMARY.md`, chapters); that stays the source, and this is what is
//! handed to people without git. What the text holds of HTML is shown as the text that it is, and links lead to the web or
//! within the book: nothing that a model wrote is executed where the book is read.

mod epub;
mod html;

use std::path::{Component, Path, PathBuf};

use edvac_memory::ids::TreeId;
use edvac_memory::store::{FileStore, StoreError};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

pub use epub::epub;
pub use html::html;

/// mdBook's own file.
const BOOK: &str = "book.toml";
/// Where mdBook has its chapters.
const SOURCE: &str = "src";
/// The table of contents.
pub const SUMMARY: &str = "src/SUMMARY.md";

/// A book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Its title.
    pub title: String,
    /// Its language, as `en`.
    pub language: String,
    /// Of which work it is, for programs that keep books: the same for every export of a run.
    pub id: String,
    /// When its last chapter was committed, in seconds since 1970.
    pub time_s: i64,
    /// Its chapters, in their order.
    pub chapters: Vec<Chapter>,
}

/// A chapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// As the table of contents has it.
    pub title: String,
    /// Its file, as `src/chapter-01.md`.
    pub path: String,
    /// Its Markdown.
    pub text: String,
}

/// Why a workspace cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no table of contents, so it is no book.
    #[error("there is no {SUMMARY}, so this is no book")]
    NoBook,
    /// No chapter is there yet.
    #[error("no chapter that {SUMMARY} names is written yet")]
    NoChapters,
    /// The file store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The EPUB could not be put together.
    #[error("the EPUB could not be put together: {0}")]
    Epub(String),
}

impl Book {
    /// The book that a tree holds. Chapters are what the table of contents names, in its order; what is not written yet is left
    /// out and returned by its title. `without` is a file that is for writers, not for readers.
    pub fn of(
        store: &dyn FileStore,
        tree: &TreeId,
        without: Option<&str>,
        id: &str,
        time_s: i64,
    ) -> Result<(Self, Vec<String>), ExportError> {
        let files = store.list(tree)?;
        let read = |path: &str| -> Result<Option<String>, StoreError> {
            if !files.contains_key(path) {
                return Ok(None);
            }
            Ok(Some(String::from_utf8_lossy(&store.read(tree, path)?).replace("\r\n", "\n")))
        };
        let summary = read(SUMMARY)?.ok_or(ExportError::NoBook)?;
        let about: toml::Table = read(BOOK)?.and_then(|text| text.parse().ok()).unwrap_or_default();
        let of_book = |key: &str| Some(about.get("book")?.get(key)?.as_str()?.to_owned());
        let (mut chapters, mut missing) = (Vec::new(), Vec::new());
        for (title, path) in contents(&summary).into_iter().filter(|(_, path)| Some(path.as_str()) != without)
        {
            match read(&path)? {
                Some(text) => chapters.push(Chapter { title, path, text }),
                None => missing.push(title),
            }
        }
        if chapters.is_empty() {
            return Err(ExportError::NoChapters);
        }
        let title = of_book("title").unwrap_or_else(|| "Untitled".to_owned());
        let language = of_book("language").unwrap_or_else(|| "en".to_owned());
        Ok((Self { title, language, id: id.to_owned(), time_s, chapters }, missing))
    }

    /// The number of words of its chapters, headings included.
    pub fn words(&self) -> usize {
        self.chapters.iter().map(|chapter| chapter.text.split_whitespace().count()).sum()
    }
}

/// Titles and files of a table of contents.
fn contents(summary: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut open: Option<(String, String)> = None;
    for event in Parser::new(summary) {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                open = normal(Path::new(SOURCE), &dest_url).map(|path| (String::new(), path));
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some((title, _)) = &mut open {
                    title.push_str(&text);
                }
            }
            Event::End(TagEnd::Link) => {
                found.extend(open.take().filter(|(_, path)| !found.iter().any(|(_, known)| known == path)));
            }
            _ => {}
        }
    }
    found
}

/// The path of a link to a file of the project; none for one that leads anywhere else.
fn normal(from: &Path, link: &str) -> Option<String> {
    let link = link.split(['#', '?']).next().unwrap_or_default();
    if link.is_empty() || link.contains(':') {
        return None;
    }
    let mut path = PathBuf::new();
    for part in from.join(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop().then_some(())?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    path.to_str().map(str::to_owned)
}

/// A chapter as HTML that is XML, too. `anchor` says where a file of the book is; links elsewhere in the project lead nowhere and
/// are shown as their text. Images are shown as what they are said to show: the book has none of its own.
pub fn chapter_html(chapter: &Chapter, anchor: &dyn Fn(&str) -> Option<String>) -> String {
    let from = Path::new(&chapter.path).parent().unwrap_or(Path::new(""));
    let target = |link: &str| -> Option<String> {
        let is_of_the_web = ["https://", "http://", "mailto:"].iter().any(|begin| link.starts_with(begin));
        if is_of_the_web { Some(link.to_owned()) } else { normal(from, link).and_then(|path| anchor(&path)) }
    };
    // Whether each open link is shown as one.
    let mut links = Vec::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_SMART_PUNCTUATION;
    let events = Parser::new_ext(&chapter.text, options).filter_map(|event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let target = target(&dest_url);
            links.push(target.is_some());
            Some(Event::Start(Tag::Link { link_type, dest_url: target?.into(), title, id }))
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or(false).then_some(event),
        Event::Start(Tag::Image { .. } | Tag::HtmlBlock) | Event::End(TagEnd::Image | TagEnd::HtmlBlock) => {
            None
        }
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        other => Some(other),
    });
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, events);
    out
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    pulldown_cmark::html::push_html(&mut out, std::iter::once(Event::Text(text.into())));
    out
}

#[cfg(test)]
mod tests {
    use edvac_memory::store::{Edit, GitStore};

    use super::*;

    fn tree(store: &mut GitStore, files: &[(&str, &str)]) -> TreeId {
        let empty = store.empty_tree().unwrap();
        let edits: Vec<_> = files
            .iter()
            .map(|&(path, text)| Edit::Write { path: path.into(), content: text.into() })
            .collect();
        store.apply(&empty, &edits).unwrap()
    }

    pub(super) fn book() -> Book {
        let chapter = |number: usize, text: &str| Chapter {
            title: format!("Part {number} & more"),
            path: format!("src/chapter-{number:02}.md"),
            text: text.to_owned(),
        };
        Book {
            title: "Bread <and> salt".into(),
            language: "en".into(),
            id: "run-1".into(),
            time_s: 1_700_000_000,
            chapters: vec![
                chapter(1, "# Flour\n\nIt is *white*, see [next](chapter-02.md#x).\n\n---\n\nLine  \nbreak"),
                chapter(
                    2,
                    "# Water\n\n<script>alert(1)</script> and <b>bold</b>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
                ),
            ],
        }
    }

    #[test]
    fn chapters_stand_as_the_table_of_contents_has_them() {
        let mut store = GitStore::ram().unwrap();
        let files = [
            ("book.toml", "[book]\ntitle = \"Salt\"\nlanguage = \"de\"\n"),
            (
                "src/SUMMARY.md",
                "# Summary\n\n- [The `end`](b.md)\n- [Begin](./a.md)\n- [Again](a.md)\n- [Later](c.md)\n- [Canon](canon.md)\n- [Out](../../x.md)\n",
            ),
            ("src/a.md", "# A\r\n\r\nOne two.\r\n"),
            ("src/b.md", "# B"),
            ("src/canon.md", "# Canon"),
        ];
        let tree = tree(&mut store, &files);
        let (book, missing) = Book::of(&store, &tree, Some("src/canon.md"), "r", 0).unwrap();
        let chapters: Vec<_> = book.chapters.iter().map(|c| (c.title.as_str(), c.path.as_str())).collect();
        assert_eq!(chapters, [("The end", "src/b.md"), ("Begin", "src/a.md")]);
        assert_eq!((book.title.as_str(), book.language.as_str(), book.words()), ("Salt", "de", 6));
        assert_eq!(missing, ["Later"]);
    }

    #[test]
    fn what_is_no_book_says_so() {
        let mut store = GitStore::ram().unwrap();
        let none = tree(&mut store, &[("a.py", "x")]);
        assert!(matches!(Book::of(&store, &none, None, "r", 0), Err(ExportError::NoBook)));
        let empty = tree(&mut store, &[("src/SUMMARY.md", "- [A](a.md)\n")]);
        assert!(matches!(Book::of(&store, &empty, None, "r", 0), Err(ExportError::NoChapters)));
    }

    #[test]
    fn nothing_of_a_chapter_is_executed() {
        let text = "[a](javascript:alert(1)) [b](HTTPS://x) [c](data:text/html,x) ![pic](x.png) <img src=x onerror=y>\n\n\
                    <script>\nalert(1)\n</script>\n\n[ok](https://a.b/?c&d) [up](../../x.md) [self](#x)\n";
        let chapter = Chapter { title: "T".into(), path: "src/a.md".into(), text: text.into() };
        let html = chapter_html(&chapter, &|_| None);
        assert!(html.contains("a b c pic &lt;img src=x onerror=y&gt;"), "{html}");
        assert!(
            html.contains("&lt;script&gt;")
                && html.contains("<a href=\"https://a.b/?c&amp;d\">ok</a> up self")
        );
        assert_eq!(html.matches("<a ").count(), 1, "{html}");
    }
}
