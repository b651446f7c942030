//! Python: a small loader of ours over `unittest`, which also takes plain `test_` functions and classes; and `pytest`, with a
//! plugin of ours, where a project needs it. Both write one JSON line a test, so that nothing has to be read out of what is
//! printed.

use std::path::Path;

use regex::Regex;

use super::{OUT, Results, Runner};
use crate::check::tests_run::javascript::{new_key, read_lines};
use crate::sandbox::Outcome as Ran;

const LOADER: &str = include_str!("loader.py");
const REPORT: &str = include_str!("pytest_report.py");
/// Directories of a project that are looked through for tests.
const DEPTH_MAX: usize = 6;

pub(super) struct Python;

impl Runner for Python {
    fn needs(&self) -> (&'static str, &'static str) {
        ("python3", "install Python 3")
    }

    fn command(&self, out: &Path) -> std::io::Result<Vec<String>> {
        std::fs::write(out.join("loader.py"), LOADER)?;
        let key = new_key(out)?;
        Ok(["python3".to_owned(), format!("{OUT}/loader.py"), format!("{OUT}/results.jsonl"), key].to_vec())
    }

    fn read(&self, ran: &Ran, out: &Path) -> Results {
        read_lines(ran, out)
    }
}

/// For projects that use what only pytest has.
pub(super) struct Pytest;

impl Runner for Pytest {
    fn needs(&self) -> (&'static str, &'static str) {
        ("pytest", "pip install pytest, or write the tests with unittest alone")
    }

    fn command(&self, out: &Path) -> std::io::Result<Vec<String>> {
        std::fs::write(out.join("pytest_report.py"), REPORT)?;
        new_key(out)?;
        let line = "python3 -m pytest -q --rootdir=. -p pytest_report -p no:cacheprovider";
        Ok(line.split(' ').map(str::to_owned).collect())
    }

    fn env(&self) -> Vec<(String, String)> {
        [
            ("PYTHONPATH", OUT.to_owned()),
            ("EDVAC_KEY_FILE", format!("{OUT}/key")),
            ("EDVAC_RESULTS", format!("{OUT}/results.jsonl")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn run_by(&self) -> Option<&'static str> {
        Some("python3 -m pytest")
    }

    fn read(&self, ran: &Ran, out: &Path) -> Results {
        read_lines(ran, out)
    }
}

/// Whether a project's tests need pytest: they import it, or it is set up for it.
pub(super) fn wants_pytest(project: &Path) -> bool {
    let imports = Regex::new(r"(?m)^\s*(?:import pytest\b|from pytest\b)").ok();
    let is_pytests = |path: &Path| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        match name {
            "conftest.py" | "pytest.ini" => true,
            "pyproject.toml" | "setup.cfg" | "tox.ini" => read(path).contains("pytest"),
            _ if name.ends_with(".py") && (name.starts_with("test") || name.ends_with("_test.py")) => {
                imports.as_ref().is_some_and(|imports| imports.is_match(&read(path)))
            }
            _ => false,
        }
    };
    any_file(project, DEPTH_MAX, &is_pytests)
}

fn read(path: &Path) -> String {
    crate::check::bench::left_in(path).map_or(String::new(), |b| String::from_utf8_lossy(&b).into_owned())
}

fn any_file(dir: &Path, depth: usize, is: &dyn Fn(&Path) -> bool) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let kind = |e: &std::fs::DirEntry| e.file_type().ok();
    entries.into_iter().any(|entry| match kind(&entry) {
        Some(kind) if kind.is_dir() => depth > 0 && any_file(&entry.path(), depth - 1, is),
        Some(kind) if kind.is_file() => is(&entry.path()),
        _ => false,
    })
}
