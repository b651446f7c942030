//! Rust: every `Cargo.toml` of the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;
use toml::{Table, Value};

use super::{Asked, Read, Refused, refused};
use crate::dependencies::Wanted;

const FILE: &str = "Cargo.toml";
/// Manifests that are read.
const MANIFESTS_MAX: usize = 64;
/// Tables of dependencies. Cargo wants all of them before it builds anything.
const KINDS: [&str; 5] =
    ["dependencies", "dev-dependencies", "dev_dependencies", "build-dependencies", "build_dependencies"];
/// What a dependency may say besides its version.
const KEYS: [&str; 8] = [
    "version",
    "features",
    "optional",
    "default-features",
    "default_features",
    "package",
    "workspace",
    "artifact",
];
/// Why something is refused.
const WHY: &str = "only names, versions and features of crates.io can be installed";

/// One crate with a version.
#[derive(Default)]
struct Spec {
    features: BTreeSet<String>,
    default_features: bool,
}

pub(super) fn is_manifest(path: &str) -> bool {
    path == FILE || path.ends_with("/Cargo.toml")
}

pub(super) fn read(text: &Read<'_>, manifests: &[String]) -> Asked {
    let mut asked = Asked::default();
    let parsed = |path: &String| Some((path.clone(), text(path)?.parse::<Table>().ok()?));
    let all: Vec<_> = manifests.iter().take(MANIFESTS_MAX).filter_map(parsed).collect();
    let shared = all.iter().find_map(|(_, m)| m.get("workspace")?.get("dependencies")?.as_table());
    let mut specs: BTreeMap<(String, String), Spec> = BTreeMap::new();
    for (path, manifest) in &all {
        let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
        let targets = targets.filter_map(|(_, target)| target.as_table());
        let tables = std::iter::once(manifest).chain(targets);
        for (name, value) in
            tables.flat_map(|t| KINDS.iter().filter_map(|kind| t.get(*kind)?.as_table())).flatten()
        {
            if let Err(why) = take(path, name, value, shared, &mut specs) {
                asked.refused.push(why);
            }
        }
        for kind in ["patch", "replace"] {
            for (name, _) in manifest.get(kind).and_then(Value::as_table).into_iter().flatten() {
                asked.refused.push(refused(path, name, &format!("[{kind}.{name}]"), WHY));
            }
        }
    }
    asked.wanted.extend(specs.into_iter().map(|((name, version), spec)| {
        let features: Vec<_> = spec.features.into_iter().collect();
        let spec =
            json!({ "version": version, "features": features, "default-features": spec.default_features });
        Wanted { name, spec: spec.to_string() }
    }));
    asked
}

fn take(
    path: &str,
    key: &str,
    value: &Value,
    shared: Option<&Table>,
    specs: &mut BTreeMap<(String, String), Spec>,
) -> Result<(), Refused> {
    let no = || refused(path, key, &format!("{key} = {value}"), WHY);
    let plain = Table::from_iter([("version".to_owned(), value.clone())]);
    let mut own = match value {
        Value::String(_) => plain,
        Value::Table(table) => table.clone(),
        _ => return Err(no()),
    };
    if own.get("workspace").and_then(Value::as_bool) == Some(true) {
        let mut base = match shared.and_then(|s| s.get(key)) {
            Some(Value::String(version)) => {
                Table::from_iter([("version".to_owned(), Value::String(version.clone()))])
            }
            Some(Value::Table(table)) => table.clone(),
            // Cargo says that it is not there.
            _ => return Ok(()),
        };
        let features = [&base, &own].into_iter().filter_map(|t| t.get("features")?.as_array()).flatten();
        let features = Value::Array(features.cloned().collect());
        base.insert("features".to_owned(), features);
        // Its paths are the workspace's, which lies at the top or above its members.
        if base.contains_key("path") && !base.contains_key("git") {
            return if stays_inside(FILE, &base) { Ok(()) } else { Err(no()) };
        }
        own = base;
    }
    if own.contains_key("path") && !own.contains_key("git") && !own.contains_key("registry") {
        return if stays_inside(path, &own) { Ok(()) } else { Err(no()) };
    }
    if own.keys().any(|k| !KEYS.contains(&k.as_str())) {
        return Err(no());
    }
    let name = own.get("package").map_or(Some(key), Value::as_str).filter(|n| is_name(n)).ok_or_else(no)?;
    let version = own.get("version").and_then(Value::as_str).filter(|v| is_version(v)).ok_or_else(no)?;
    let mut features = BTreeSet::new();
    for feature in own.get("features").and_then(Value::as_array).into_iter().flatten() {
        features.insert(feature.as_str().filter(|f| is_feature(f)).ok_or_else(no)?.to_owned());
    }
    let spec = specs.entry((name.to_owned(), version.trim().to_owned())).or_default();
    spec.features.extend(features);
    let off = ["default-features", "default_features"].iter().find_map(|k| own.get(*k)?.as_bool());
    spec.default_features |= off.unwrap_or(true);
    Ok(())
}

/// Whether a dependency's path leads to a directory of the tree.
fn stays_inside(manifest: &str, dependency: &Table) -> bool {
    let Some(path) = dependency.get("path").and_then(Value::as_str).filter(|p| !p.starts_with('/')) else {
        return false;
    };
    let mut depth = manifest.matches('/').count();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

fn is_name(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(of_name)
}

fn is_feature(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | '/' | '?' | ':');
    !name.is_empty() && name.chars().all(of_name)
}

fn is_version(text: &str) -> bool {
    static VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^\s*(?:\^|~|=|>=|<=|>|<)?\s*[0-9*][0-9A-Za-z.*+-]*(?:\s*,\s*(?:\^|~|=|>=|<=|>|<)?\s*[0-9*][0-9A-Za-z.*+-]*)*\s*$").ok()
    });
    VERSION.as_ref().is_some_and(|v| v.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Asked {
        let paths: Vec<_> =
            files.iter().map(|(path, _)| (*path).to_owned()).filter(|p| is_manifest(p)).collect();
        read(&|path| files.iter().find(|(p, _)| *p == path).map(|(_, text)| (*text).to_owned()), &paths)
    }

    fn one(line: &str) -> Asked {
        of(&[(FILE, &format!("[package]\nname = 'x'\n[dependencies]\n{line}\n"))])
    }

    #[test]
    fn crates_are_taken_with_their_features() {
        let text = "[dependencies]\nserde = { version = '1', features = ['derive'] }\nlog = '^0.4, <0.5'\nown = { path = 'own' }\n\
                    [dev-dependencies]\nserde = { version = '1', default-features = false, features = ['rc'] }\n\
                    [target.'cfg(unix)'.dependencies]\nr = { package = 'rand', version = '0.9', optional = true }\n\
                    [build-dependencies]\nlog.workspace = true\n";
        let asked = of(&[(FILE, text), ("own/Cargo.toml", "[dependencies]\nup = { path = '../' }\n")]);
        let spec = r#"{"version":"1","features":["derive","rc"],"default-features":true}"#;
        let names: Vec<_> = asked.wanted.iter().map(|w| w.name.as_str()).collect();
        assert_eq!((names, asked.refused.len()), (vec!["log", "rand", "serde"], 0));
        assert_eq!(asked.wanted[2].spec, spec);
        let inherited = [
            (
                FILE,
                "[workspace]\nmembers = ['a', 'b']\n[workspace.dependencies]\nhex = '0.4'\na = { path = 'a' }\n",
            ),
            (
                "b/Cargo.toml",
                "[dependencies]\nhex = { workspace = true, features = ['serde'] }\na.workspace = true\n",
            ),
        ];
        let asked = of(&inherited);
        assert_eq!((asked.wanted.len(), asked.refused.len()), (1, 0), "{asked:?}");
        assert!(asked.wanted[0].spec.contains("[\"serde\"]"));
        assert_eq!(of(&[(FILE, "[dependencies\n")]), Asked::default());
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for line in [
            "serde = { git = 'https://example.com/serde' }",
            "serde = { git = 'https://example.com/serde', version = '1' }",
            "serde = { path = '../serde' }",
            "serde = { path = '/serde' }",
            "serde = { path = 'a/../../serde' }",
            "serde = { version = '1', registry = 'other' }",
            "serde = { version = '1', registry-index = 'https://example.com' }",
            "serde = { version = '1', base = 'x', path = 'y', git = 'z' }",
            "serde = { features = ['derive'] }",
            "serde = 'latest'",
            "serde = ''",
            "serde = '1\"'",
            "serde = 1",
            "serde = ['1']",
            "serde = { version = '1', features = ['a b'] }",
            "serde = { version = '1', features = [1] }",
            "x = { package = '../serde', version = '1' }",
            "'-x' = '1'",
            "'a b' = '1'",
        ] {
            let asked = one(line);
            assert!(asked.wanted.is_empty() && asked.refused.len() == 1, "{line}: {asked:?}");
        }
        let asked = one("serde = '1'\n[patch.crates-io]\nserde = { path = 'x' }");
        assert_eq!((asked.wanted.len(), asked.refused.len()), (1, 1));
    }
}
