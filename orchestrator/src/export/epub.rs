//! A book as an EPUB 3 file. The same book gives the same bytes.

use chrono::DateTime;
use epub_builder::{EpubBuilder, EpubContent, EpubVersion, ReferenceType, ZipLibrary};
use uuid::Builder;

use super::html::STYLE;
use super::{Book, ExportError, chapter_html, escaped};

/// The whole book as the bytes of an EPUB.
pub fn epub(book: &Book) -> Result<Vec<u8>, ExportError> {
    let failed = |e: epub_builder::Error| ExportError::Epub(e.to_string());
    let mut epub = EpubBuilder::new(ZipLibrary::new().map_err(failed)?).map_err(failed)?;
    epub.epub_version(EpubVersion::V33).escape_html(true);
    epub.set_title(&book.title);
    epub.set_languages(vec![book.language.clone()]);
    epub.set_generator("edvac");
    // A work keeps its identity, however often it is exported.
    let digest = blake3::hash(book.id.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_bytes()[..16]);
    epub.set_uuid(Builder::from_custom_bytes(id).into_uuid());
    epub.set_modified_date(DateTime::from_timestamp(book.time_s, 0).unwrap_or_default());
    epub.stylesheet(STYLE.as_bytes()).map_err(failed)?;
    let file = |number: usize| format!("chapter-{number}.xhtml");
    let anchor = |path: &str| {
        let at = book.chapters.iter().position(|chapter| chapter.path == path)?;
        Some(file(at + 1))
    };
    for (chapter, number) in book.chapters.iter().zip(1..) {
        let page = page(&chapter.title, &book.language, &chapter_html(chapter, &anchor));
        let content = EpubContent::new(file(number), page.as_bytes())
            .title(&chapter.title)
            .reftype(ReferenceType::Text);
        epub.add_content(content).map_err(failed)?;
    }
    epub.inline_toc();
    let mut bytes = Vec::new();
    epub.generate(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn page(title: &str, language: &str, body: &str) -> String {
    let (title, language) = (escaped(title), escaped(language));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE html>\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"{language}\" xml:lang=\"{language}\">\n<head>\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" type=\"text/css\" href=\"stylesheet.css\"/>\n</head>\n\
         <body>\n{body}</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::book;
    use super::*;

    #[test]
    fn a_book_is_an_epub_with_its_chapters() {
        let bytes = epub(&book()).unwrap();
        assert_eq!(&bytes[30..58], b"mimetypeapplication/epub+zip", "the first entry, not compressed");
        assert_eq!(bytes, epub(&book()).unwrap(), "the same book, the same bytes");
        assert_eq!(bytes[10..14], [0, 0, 0x21, 0], "1980-01-01: no clock is asked");
    }
}
