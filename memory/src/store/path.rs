//! Which texts are paths of the store. One rule for every way in: edits, reads, plans, imports.

use super::StoreError;

/// Most bytes a whole path may have.
const PATH_BYTES_MAX: usize = 512;
/// Most bytes one component may have; the limit of common file systems.
const COMPONENT_BYTES_MAX: usize = 255;
/// Deepest nesting.
const DEPTH_MAX: usize = 32;

/// Checks that `path` is relative, `/`-separated, normal, and names nothing of git's own. Returns it unchanged.
pub fn check(path: &str) -> Result<&str, StoreError> {
    match fault(path) {
        None => Ok(path),
        Some(why) => Err(StoreError::BadPath { path: path.chars().take(200).collect(), why }),
    }
}

fn fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > PATH_BYTES_MAX {
        return Some("it is too long");
    }
    if path.starts_with('/') || path.starts_with('~') || path.as_bytes().get(1) == Some(&b':') {
        return Some("it must be relative to the project's root");
    }
    if path.contains('\\') {
        return Some("directories are separated by /");
    }
    if path.chars().any(char::is_control) {
        return Some("it contains control characters");
    }
    if path.split('/').count() > DEPTH_MAX {
        return Some("it is nested too deep");
    }
    path.split('/').find_map(component_fault)
}

/// Whether some file system takes `name` for git's own directory.
pub(super) fn is_git(name: &str) -> bool {
    // Case-insensitive file systems and old Windows names let these reach the git directory (CVE-2014-9390,
    // CVE-2019-1352): refused wherever they stand.
    let bare = name.trim_end_matches(['.', ' ']).to_ascii_lowercase();
    let bare = bare.split(':').next().unwrap_or_default();
    let visible: String = bare.chars().filter(|c| !('\u{200b}'..='\u{200f}').contains(c)).collect();
    matches!(visible.as_str(), ".git" | "git~1")
}

fn component_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it has an empty part"),
        "." | ".." => Some("it must not contain . or .."),
        _ if is_git(name) => Some(".git is not part of the project"),
        _ if name.len() > COMPONENT_BYTES_MAX => Some("a part of it is too long"),
        _ if name.ends_with([' ', '.']) || name.starts_with(' ') => Some("a part of it begins or ends badly"),
        _ => None,
    }
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file holds tests, by the names that the runners of all known languages look for.
pub fn is_test(path: &str) -> bool {
    let name = file_name(path);
    name.starts_with("test")
        || name.contains(".test.")
        || name.contains("_test.")
        || path.starts_with("tests/")
}

/// A file's name without its endings and without what marks it as a test: `a` for `a.py`, `test_a.py`, `a.test.mjs`.
pub fn stem(path: &str) -> &str {
    let name = file_name(path).split('.').next().unwrap_or_default();
    name.strip_prefix("test_").or_else(|| name.strip_suffix("_test")).unwrap_or(name)
}

/// Whether a file is text for people.
pub fn is_text(path: &str) -> bool {
    [".md", ".txt", ".rst"].iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::{check, is_test, is_text, stem};

    #[test]
    fn usable_paths() {
        for path in
            ["a", "src/main.rs", ".gitignore", "a b/c-d_e.txt", "x.git/y", "ümlaut/ß.md", ".github/x.yml"]
        {
            assert!(check(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn refused_paths() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            ".git/config",
            ".GIT/x",
            "a/.git",
            ".git ",
            "git~1/x",
            ".git::$INDEX",
            "a\\b",
            "a\nb",
            "~/x",
            "C:/x",
            "a/b.",
            ".g\u{200c}it/config",
        ] {
            assert!(check(path).is_err(), "{path:?}");
        }
        assert!(check(&"a/".repeat(40)).is_err());
        assert!(check(&"a".repeat(600)).is_err());
    }

    #[test]
    fn tests_are_known_by_their_names() {
        for path in ["test_a.py", "a_test.go", "x/a.test.mjs", "tests/cli.rs", "test.py"] {
            assert!(is_test(path), "{path}");
        }
        for path in ["latest.py", "contest.mjs", "src/attestation.rs", "README.md"] {
            assert!(!is_test(path), "{path}");
        }
        assert_eq!(["a.py", "x/test_a.py", "a_test.go", "a.test.mjs"].map(stem), ["a"; 4]);
        assert!(is_text("docs/a.md") && !is_text("a.py"));
    }
}
