//! A check that failed for want of a package shows nothing about the project.
//!
//! Checks are run without looking what the project asks for: much of what small models write into manifests is never used, and
//! what passes without a package is as true as ever. Only what does not pass, and says itself that something is not there, is
//! held against what is missing.

use std::sync::LazyLock;

use edvac_memory::verdict::Verdict;
use regex::Regex;

use super::{Found, Ground};
use crate::dependencies::Missing;

/// What became of a check, in the light of what was not there for it.
pub(super) fn weighed(mut found: Found, ground: &Ground<'_>) -> Found {
    let Some(missing) = &ground.supply.missing else { return found };
    let wants = |text: &str| wants(text, missing, ground);
    let is_for_want = match &found.verdict {
        // Some other cause beside it is a cause.
        Verdict::Failed { .. } if !found.causes.is_empty() => found.causes.iter().all(|cause| wants(cause)),
        Verdict::Failed { .. } => wants(&found.output),
        // A failure that was asked for, and was another one.
        Verdict::Passed => found.exit_status.is_some_and(|status| status != 0) && wants(&found.output),
        Verdict::NoEvidence { reason } => names_one(reason, missing),
        _ => false,
    };
    if is_for_want {
        found.verdict = Verdict::NoEvidence { reason: missing.why.clone() };
    }
    found
}

/// Whether a text says that something is not there which could be of a missing package.
fn wants(text: &str, missing: &Missing, ground: &Ground<'_>) -> bool {
    static PYTHON: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"No module named '?(\w+)").ok());
    static JAVASCRIPT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let said = "Cannot find (?:package|module) |Failed to resolve import |Failed to load url ";
        Regex::new(&format!(r#"(?:{said})['"]?((?:@[\w.~-]+/)?[\w~][\w.~-]*)"#)).ok()
    });
    const RUST: [&str; 6] = [
        "no matching package",
        "failed to get `",
        "failed to load source for dependency",
        "failed to select a version for the requirement",
        "unable to update registry",
        "--offline was specified",
    ];
    let all = |pattern: &'static LazyLock<Option<Regex>>| {
        pattern.iter().flat_map(|p| p.captures_iter(text)).map(|hit| hit[1].to_owned()).collect::<Vec<_>>()
    };
    match ground.domain.runner(ground.language) {
        // Modules have other names than their packages; what is of the project is not another's.
        "python" => all(&PYTHON).iter().any(|module| !is_of_project(module, ground)),
        "javascript" => all(&JAVASCRIPT).iter().any(|package| names_one(package, missing)),
        "rust" => RUST.iter().any(|words| text.contains(words)),
        _ => false,
    }
}

fn is_of_project(module: &str, ground: &Ground<'_>) -> bool {
    let all = ground.store.list(ground.tree).unwrap_or_default();
    all.into_keys().any(|path| path.split('/').any(|part| part.strip_suffix(".py").unwrap_or(part) == module))
}

/// Whether a text names a missing package.
fn names_one(text: &str, missing: &Missing) -> bool {
    let mut words =
        text.split(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '`' | '\'' | '"' | '('));
    words.any(|word| missing.names.iter().any(|name| name == word))
}
