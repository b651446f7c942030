//! Vitest, where a project names it: started by a script of ours, which hands it a reporter of ours that writes one JSON line
//! a test, as Node's own runner has it.

use std::path::Path;

use super::javascript::{new_key, read_lines};
use super::{OUT, Results, Runner};
use crate::sandbox::Outcome as Ran;

const START: &str = include_str!("vitest.mjs");
/// Where a project says what it needs.
const MANIFEST: &str = "package.json";

pub(super) struct Vitest;

impl Runner for Vitest {
    fn needs(&self) -> (&'static str, &'static str) {
        ("node", "install Node.js 20 or newer")
    }

    fn needs_package(&self) -> Option<&'static str> {
        Some("vitest")
    }

    fn command(&self, out: &Path) -> std::io::Result<Vec<String>> {
        std::fs::write(out.join("vitest.mjs"), START)?;
        new_key(out)?;
        Ok(["node", &format!("{OUT}/vitest.mjs")].map(str::to_owned).to_vec())
    }

    fn run_by(&self) -> Option<&'static str> {
        Some("npx vitest run")
    }

    fn read(&self, ran: &Ran, out: &Path) -> Results {
        read_lines(ran, out)
    }
}

/// Whether a project's tests are vitest's: it says that it needs it.
pub(super) fn is_named(project: &Path) -> bool {
    let manifest = crate::check::bench::left_in(&project.join(MANIFEST)).unwrap_or_default();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap_or_default();
    ["dependencies", "devDependencies"].iter().any(|kind| manifest[kind].get("vitest").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_project_says_counts() {
        let dir = tempfile::tempdir().unwrap();
        for (text, named) in [
            (r#"{ "devDependencies": { "vitest": "^3" } }"#, true),
            (r#"{ "dependencies": { "vitest": "*" } }"#, true),
            (r#"{ "scripts": { "test": "vitest run" } }"#, false),
            (r#"{ "devDependencies": ["vitest"] }"#, false),
            ("{", false),
        ] {
            std::fs::write(dir.path().join(MANIFEST), text).unwrap();
            assert_eq!(is_named(dir.path()), named, "{text}");
        }
    }
}
