//! A book as one page of HTML that needs nothing else.

use std::fmt::Write as _;

use super::{Book, chapter_html, escaped};

/// Comfortable to read on any width, by day and by night, and on paper.
pub(super) const STYLE: &str = include_str!("book.css");

/// The whole book as a page. Nothing in it is executed or fetched.
pub fn html(book: &Book) -> String {
    let anchor = |path: &str| {
        let at = book.chapters.iter().position(|chapter| chapter.path == path)?;
        Some(format!("#chapter-{}", at + 1))
    };
    let (title, language) = (escaped(&book.title), escaped(&book.language));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<p class=\"title\">{title}</p>\n\
         </header>\n<nav aria-label=\"Contents\">\n<ol>\n"
    );
    for (chapter, number) in book.chapters.iter().zip(1..) {
        let _ = writeln!(out, "<li><a href=\"#chapter-{number}\">{}</a></li>", escaped(&chapter.title));
    }
    out.push_str("</ol>\n</nav>\n<main>\n");
    for (chapter, number) in book.chapters.iter().zip(1..) {
        let _ =
            writeln!(out, "<section id=\"chapter-{number}\">\n{}</section>", chapter_html(chapter, &anchor));
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::book;

    #[test]
    fn one_page_has_it_all() {
        let page = super::html(&book());
        assert!(page.contains("<title>Bread &lt;and&gt; salt</title>"), "{page}");
        assert!(page.contains("<li><a href=\"#chapter-2\">Part 2 &amp; more</a></li>"));
        assert!(page.contains("see <a href=\"#chapter-2\">next</a>") && page.contains("<em>white</em>"));
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    }
}
