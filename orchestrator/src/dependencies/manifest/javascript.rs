//! JavaScript and TypeScript: `package.json`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{Asked, Read, refused};
use crate::dependencies::Wanted;

const FILE: &str = "package.json";
/// What is installed for a project and its tests.
const KINDS: [&str; 2] = ["dependencies", "devDependencies"];
/// Words that stand for a version.
const TAGS: [&str; 4] = ["", "*", "latest", "next"];

pub(super) fn read(text: &Read<'_>) -> Asked {
    let mut asked = Asked::default();
    let manifest = text(FILE).and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or_default();
    for (name, range) in KINDS.iter().filter_map(|kind| manifest.get(kind)?.as_object()).flatten() {
        match range.as_str().map(str::trim) {
            Some(range) if is_name(name) && is_range(range) => {
                asked.wanted.push(Wanted { name: name.clone(), spec: range.to_owned() });
            }
            _ => asked.refused.push(refused(
                FILE,
                name,
                &format!("{name}: {range}"),
                "only names and versions of the registry can be installed",
            )),
        }
    }
    asked
}

fn is_name(name: &str) -> bool {
    static NAME: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^(?:@[a-z0-9][a-z0-9._~-]*/)?[a-z0-9][a-z0-9._~-]*$").ok());
    NAME.as_ref().is_some_and(|n| n.is_match(name))
}

/// Whether a text is versions and nothing but: `^1.2.3`, `>=1 <3 || 4.x`, `1.0.0 - 2.0.0`, or a tag.
fn is_range(text: &str) -> bool {
    static VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let number = r"(?:[0-9]+|[xX*])";
        Regex::new(&format!(
            r"^(?:\^|~|>=|<=|>|<|=)?v?{number}(?:\.{number}){{0,2}}(?:[-+][0-9A-Za-z.+-]+)?$"
        ))
        .ok()
    });
    let is_word = |word: &str| {
        matches!(word, "-" | ">" | ">=" | "<" | "<=" | "=" | "^" | "~")
            || VERSION.as_ref().is_some_and(|v| v.is_match(word))
    };
    TAGS.contains(&text)
        || text.split("||").all(|part| !part.trim().is_empty() && part.split_whitespace().all(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Asked {
        read(&|path| (path == FILE).then(|| text.to_owned()))
    }

    #[test]
    fn names_and_versions_are_taken() {
        for range in
            ["^1.2.3", "~1.2", "1.x", ">=1 <3 || 4.*", "1.0.0 - 2.0.0", "*", "", "latest", "v1.0.0-beta.1"]
        {
            let text = serde_json::json!({ "devDependencies": { "@types/node": range } }).to_string();
            let wanted = vec![Wanted { name: "@types/node".into(), spec: range.into() }];
            assert_eq!(of(&text), Asked { wanted, refused: vec![] }, "{range}");
        }
        assert_eq!(of("{"), Asked::default());
        assert_eq!(of("[]"), Asked::default());
        assert_eq!(of(r#"{ "dependencies": 1, "scripts": { "test": "x" } }"#), Asked::default());
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (name, range) in [
            ("ms", "file:../ms"),
            ("ms", "link:ms"),
            ("ms", "workspace:*"),
            ("ms", "npm:other@1"),
            ("ms", "git+ssh://git@example.com/ms.git"),
            ("ms", "git://example.com/ms.git"),
            ("ms", "github:vercel/ms"),
            ("ms", "vercel/ms"),
            ("ms", "vercel/ms#main"),
            ("ms", "https://example.com/ms.tgz"),
            ("ms", "../ms"),
            ("ms", "./ms"),
            ("ms", "~/ms"),
            ("ms", "/ms.tgz"),
            ("ms", "ms.tgz"),
            ("ms", "beta"),
            ("ms", "1 || ../ms"),
            ("ms", "1 --registry=x"),
            ("../ms", "1"),
            ("--registry", "1"),
            ("-g", "1"),
            (".bin", "1"),
            ("MS", "1"),
            ("@a/b/c", "1"),
            ("@a", "1"),
            ("ms@1", "1"),
            ("", "1"),
        ] {
            let asked = of(&serde_json::json!({ "dependencies": { name: range } }).to_string());
            assert!(asked.wanted.is_empty() && asked.refused.len() == 1, "{name} {range}: {asked:?}");
        }
        let asked = of(r#"{ "dependencies": { "ms": { "version": "1" }, "zod": null } }"#);
        assert_eq!((asked.wanted.len(), asked.refused.len()), (0, 2));
    }
}
