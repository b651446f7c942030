//! Books for readers, through the real command line.

use std::process::Command;

use crate::home::Home;

const PROGRAM: &str = r#"
title = "Salt"
domain = "custom"

[[requirements]]
id = "R1"
text = "There is a book."

[[instructions]]
id = 1
title = "The first chapter"
text = "Write the book's first chapter."
covers = ["R1"]
writes = ["book.toml", "src/SUMMARY.md", "src/one.md"]
checks = [{ kind = "exists", path = "src/one.md", covers = ["R1"] }]
"#;

const SCRIPT: &str = r#"
[[reply]]
when = ["Your step now: step 1,"]
text = """
@@ write book.toml
[book]
title = "Bread & salt"
language = "en"
@@ end
@@ write src/SUMMARY.md
# Summary

- [One <1>](one.md)
- [Two](two.md)
@@ end
@@ write src/one.md
# One

Salt is *old*.<br> See [two](two.md) & more.

---
@@ end
@@ done
"""
"#;

/// Reads an EPUB as a reader of books does: its container, its package, every page as XML.
const READ: &str = r#"
import sys, zipfile
from xml.dom import minidom
book = zipfile.ZipFile(sys.argv[1])
assert book.testzip() is None
assert book.infolist()[0].filename == "mimetype" and book.infolist()[0].compress_type == 0
root = minidom.parseString(book.read("META-INF/container.xml")).getElementsByTagName("rootfile")[0].getAttribute("full-path")
package = minidom.parseString(book.read(root))
print(package.getElementsByTagName("dc:title")[0].firstChild.data)
folder = root.rsplit("/", 1)[0]
for item in package.getElementsByTagName("item"):
    if item.getAttribute("media-type") == "application/xhtml+xml":
        page = minidom.parseString(book.read(folder + "/" + item.getAttribute("href")))
        print(item.getAttribute("href"), len(page.getElementsByTagName("script")))
"#;

fn made() -> Home {
    let home = Home::new();
    std::fs::write(home.path().join("p.toml"), PROGRAM).unwrap();
    std::fs::write(home.path().join("s.toml"), SCRIPT).unwrap();
    home.say(&["run", "--program", "p.toml", "--provider", "scripted:s.toml"]).expect(0);
    home
}

#[test]
fn a_book_is_an_epub_that_readers_read() {
    let home = made();
    let said = home.say(&["export", "--last"]).expect(0).stdout;
    assert!(
        said.starts_with("bread-salt.epub: 1 chapter(s), ") && said.contains("not written yet: Two"),
        "{said}"
    );
    let read = Command::new("python3")
        .args(["-c", READ, "bread-salt.epub"])
        .current_dir(home.path())
        .output()
        .unwrap();
    let pages = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(pages.starts_with("Bread & salt\n") && pages.contains("chapter-1.xhtml 0"), "{pages}");
    let first = std::fs::read(home.path().join("bread-salt.epub")).unwrap();
    home.say(&["export", "--last", "-o", "again.epub"]).expect(0);
    assert!(first == std::fs::read(home.path().join("again.epub")).unwrap(), "the same run, the same bytes");
}

#[test]
fn a_book_is_a_page_that_needs_nothing_else() {
    let home = made();
    let said = home.say(&["export", "--last", "--format", "html", "--json"]).expect(0).json();
    assert_eq!((&said["title"], &said["missing"][0]), (&"Bread & salt".into(), &"Two".into()));
    let page = std::fs::read_to_string(home.path().join(said["file"].as_str().unwrap())).unwrap();
    assert!(page.contains("<em>old</em>") && page.contains("&lt;br&gt; See two &amp; more"), "{page}");
}

#[test]
fn what_cannot_be_exported_says_why() {
    let home = made();
    home.say(&["export", "--last/1"]).expect(2);
    home.say(&["export", "--last", "-o", "not/there/x.epub"]).expect(2);
    // A home of its own: of two runs that begin in the same second, either may be the youngest.
    let home = Home::new();
    let folder = crate::cases::folder("red");
    let mut args = crate::cases::arguments(&folder, "codebase");
    args.extend(["--attempts", "1", "--turns", "1", "--repairs", "0"].map(str::to_owned));
    home.say(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(1);
    let said = home.say(&["export", "--last", "--format", "epub"]).expect(2).stderr;
    assert!(said.contains("this is no book") && said.contains("domain `book`"), "{said}");
    // Where nobody says as what, it is kept as what fits it.
    let said = home.say(&["export", "--last", "--json"]).expect(0).json();
    assert!(said["file"].as_str().unwrap().ends_with(".zip"), "{said}");
}

#[test]
fn a_run_is_kept_as_its_journal_its_report_and_everything() {
    let home = made();
    let read = |file: &str| std::fs::read_to_string(home.path().join(file)).unwrap();
    home.say(&["export", "--last", "--format", "jsonl", "-o", "run.jsonl"]).expect(0);
    assert_eq!(read("run.jsonl"), home.say(&["logs", "--last", "--json"]).expect(0).stdout);
    home.say(&["export", "--last", "--format", "md", "-o", "run.md"]).expect(0);
    assert!(read("run.md").contains("## Steps"));
    let said = home.say(&["export", "--last", "--format", "zip", "--json"]).expect(0).json();
    let list = "import sys, zipfile; print(chr(10).join(sorted(zipfile.ZipFile(sys.argv[1]).namelist())))";
    let names = Command::new("python3")
        .args(["-c", list, said["file"].as_str().unwrap()])
        .current_dir(home.path())
        .output()
        .unwrap();
    let names = String::from_utf8_lossy(&names.stdout).into_owned();
    for name in ["journal.jsonl", "report.json", "report.md", "/book.toml"] {
        assert!(names.contains(name), "{name} is missing in\n{names}");
    }
}
