//! Python: `requirements.txt` and its like, and `pyproject.toml`.

use std::sync::LazyLock;

use regex::Regex;

use super::{Asked, Read, refused};
use crate::dependencies::Wanted;

/// Files of requirements, one a line.
const FILES: [&str; 5] = [
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-test.txt",
    "dev-requirements.txt",
    "test-requirements.txt",
];
/// Groups of `pyproject.toml` that tests need.
const GROUPS: [&str; 4] = ["dev", "test", "tests", "testing"];

pub(super) fn read(text: &Read<'_>) -> Asked {
    let mut asked = Asked::default();
    for file in FILES {
        for line in text(file).unwrap_or_default().lines() {
            let line = without_comment(line).trim();
            if !line.is_empty() {
                take(file, line, &mut asked);
            }
        }
    }
    let file = "pyproject.toml";
    let Some(project) = text(file).and_then(|text| text.parse::<toml::Table>().ok()) else { return asked };
    let of_project = |name: &str| project.get("project").and_then(|p| p.get(name));
    let groups = |table: Option<&toml::Value>| {
        let of = |name: &&str| table.and_then(|t| t.get(*name)).cloned();
        GROUPS.iter().filter_map(of).collect::<Vec<_>>()
    };
    let lists = of_project("dependencies")
        .cloned()
        .into_iter()
        .chain(groups(of_project("optional-dependencies")))
        .chain(groups(project.get("dependency-groups")));
    for entry in lists.filter_map(|list| list.as_array().cloned()).flatten() {
        match entry.as_str() {
            Some(line) => take(file, line.trim(), &mut asked),
            None => asked.refused.push(refused(file, "", &entry.to_string(), "that is no package's name")),
        }
    }
    asked
}

fn take(file: &str, line: &str, asked: &mut Asked) {
    // Of the standard for requirements, what names a package of the registry: no address, no path, no option.
    static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let name = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?";
        let one = r"(?:==|>=|<=|!=|~=|<|>)\s*[A-Za-z0-9.*+!_-]+";
        let extras = format!(r"(?:\[\s*{name}(?:\s*,\s*{name})*\s*\])?");
        let versions = format!(r"(?:{one}(?:\s*,\s*{one})*)?");
        let marker = r#"(?:;[A-Za-z0-9_.<>=!~'"() ]+)?"#;
        Regex::new(&format!(r"^({name})\s*{extras}\s*{versions}\s*{marker}$")).ok()
    });
    match LINE.as_ref().and_then(|l| l.captures(line)) {
        Some(hit) => asked.wanted.push(Wanted { name: plain(&hit[1]), spec: line.to_owned() }),
        None => asked.refused.push(refused(
            file,
            &plain(
                line.split(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).next().unwrap_or(""),
            ),
            line,
            "only NAME, NAME[EXTRAS] and versions behind them can be installed",
        )),
    }
}

/// A name as the registry compares it.
pub(super) fn plain(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_lowercase()
}

fn without_comment(line: &str) -> &str {
    let begins = |at: &usize| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    let at = line.match_indices('#').map(|(at, _)| at).find(begins);
    at.map_or(line, |at| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, text: &str) -> Asked {
        read(&|path| (path == file).then(|| text.to_owned()))
    }

    #[test]
    fn what_names_a_package_is_taken() {
        for (line, name) in [
            ("flask", "flask"),
            ("Flask==3.0.*", "flask"),
            ("ruamel.yaml >= 0.17, <1", "ruamel-yaml"),
            ("uvicorn[standard]~=0.30", "uvicorn"),
            ("a[b, c] != 1.0+local.1", "a"),
            ("tomli>=2; python_version < '3.11'", "tomli"),
            ("requests  # for the client", "requests"),
            ("typing_extensions", "typing-extensions"),
        ] {
            let asked = of("requirements.txt", line);
            assert!(asked.refused.is_empty(), "{asked:?}");
            assert_eq!(asked.wanted.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(), [name], "{line}");
        }
        assert_eq!(of("requirements.txt", "# nothing\n\n   \n"), Asked::default());
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for line in [
            "-r other.txt",
            "-e .",
            "--index-url https://example.com/simple",
            "--extra-index-url=https://example.com/simple",
            "--find-links ./wheels",
            "-c constraints.txt",
            "flask --global-option=x",
            "flask --hash=sha256:00",
            "flask @ https://example.com/flask.whl",
            "flask@git+https://example.com/flask",
            "git+https://example.com/flask#egg=flask",
            "https://example.com/flask.whl",
            "file:///tmp/flask",
            "./flask",
            "../flask",
            "/tmp/flask.whl",
            "flask===3",
            "flask==$VERSION",
            "${FLASK}",
            "flask; os_name == 'a' && x",
            "flask \\",
            "flask rich",
            "flask`id`",
            "flask;`id`",
            "flask\u{0}",
            "-flask",
            "flask-",
            "flаsk",
        ] {
            let asked = of("requirements.txt", line);
            assert!(asked.wanted.is_empty(), "{line:?} is taken: {asked:?}");
            assert_eq!(asked.refused.len(), 1, "{line:?}");
            assert!(asked.refused[0].why.starts_with("requirements.txt asks for `"), "{asked:?}");
        }
    }

    #[test]
    fn a_project_file_names_what_it_and_its_tests_need() {
        let text = "[project]\nname = 'x'\ndependencies = ['click>=8', 'x @ file:///x']\n\
                    [project.optional-dependencies]\ntest = ['pytest']\ndocs = ['sphinx']\n\
                    [dependency-groups]\ndev = ['rich', { include-group = 'docs' }]\n[build-system]\nrequires = ['hatchling']\n";
        let asked = of("pyproject.toml", text);
        assert_eq!(
            asked.wanted.iter().map(|w| w.name.as_str()).collect::<Vec<_>>(),
            ["click", "pytest", "rich"]
        );
        assert_eq!(asked.refused.len(), 2, "{asked:?}");
        assert_eq!(of("pyproject.toml", "[project\n"), Asked::default());
        assert_eq!(of("pyproject.toml", "project = 1\ndependency-groups = 'x'\n"), Asked::default());
    }
}
