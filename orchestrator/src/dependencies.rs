//! Packages of others that a project asks for: read out of its manifests, held against the domain's list, installed where a
//! person allows it, and shown to commands read-only.
//!
//! Nothing of a package or of the project runs while it is installed: see [`install`]. What is installed lies on a [`Shelf`]
//! that all runs share.

pub mod install;
mod manifest;
mod shelf;
mod there;

use std::collections::BTreeSet;

use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView;
use edvac_memory::store::StoreError;
use serde::{Deserialize, Serialize};

pub use shelf::{Shelf, Stock};
pub use there::There;

/// Packages that a project may name; what comes behind them is refused.
const PACKAGES_MAX: usize = 64;
/// Part of the digest: a shelf that is filled in another way has other places.
const FORM: &str = "1";

/// A package as an installer is asked for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wanted {
    /// Its name, as its registry spells it.
    pub name: String,
    /// Python: the line of a requirements file. JavaScript: the range of versions. Rust: version and features, as JSON.
    pub spec: String,
}

/// Something that a manifest asks for and that is not installed whoever allows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refused {
    /// The package's name, as far as it has one.
    pub name: String,
    /// Why, in one sentence that says what it is.
    pub why: String,
}

/// A package that was installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What a tree's manifests ask for that is not there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Whose packages: `python`, `javascript` or `rust`.
    pub runner: String,
    /// The same packages for the same language have the same.
    pub digest: String,
    /// Those that the domain allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<Wanted>,
    /// Those that are not installed whoever allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

impl Needs {
    /// The names of those that can be installed.
    pub fn names(&self) -> Vec<&str> {
        let names: BTreeSet<_> = self.wanted.iter().map(|w| w.name.as_str()).collect();
        names.into_iter().collect()
    }

    /// What an installation of these packages is known by: they, their language, and what of the machine they depend on.
    fn digest(runner: &str, machine: &str, wanted: &[Wanted]) -> String {
        let text = serde_json::json!([FORM, runner, machine, wanted]).to_string();
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }

    /// How a person is told that something of this is missing.
    pub fn missing(&self, allowed: bool, fault: Option<&str>) -> Option<Missing> {
        let names = self.names();
        let is = if names.len() == 1 { "is" } else { "are" };
        let mut why = Vec::new();
        match (names.is_empty(), fault) {
            (false, Some(fault)) => why.push(format!("{} could not be installed: {fault}", names.join(", "))),
            (false, None) if allowed => why.push(format!("{} {is} not installed", names.join(", "))),
            (false, None) => {
                why.push(format!(
                    "{} {is} not installed; run again with --allow-install, or do without",
                    names.join(", ")
                ));
            }
            (true, _) => {}
        }
        why.extend(self.refused.iter().map(|refused| refused.why.clone()));
        let refused = self.refused.iter().map(|refused| refused.name.as_str());
        let names = names.into_iter().chain(refused).filter(|n| !n.is_empty()).map(str::to_owned).collect();
        (!why.is_empty()).then(|| Missing { names, why: why.join("; ") })
    }
}

/// The file in which projects of a language name their packages.
pub fn manifest_of(runner: &str) -> &'static str {
    match runner {
        "python" => "requirements.txt",
        "javascript" => "package.json",
        _ => "Cargo.toml",
    }
}

/// Packages that a tree asks for and that its commands do not find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Their names.
    pub names: Vec<String>,
    /// Why they are missing, and what is to be done.
    pub why: String,
}

/// What a check or a command has of the packages that its tree asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supply {
    /// What was installed.
    pub stock: Option<Stock>,
    /// What was not.
    pub missing: Option<Missing>,
}

/// What manifests ask for, before anybody looked what is there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    wanted: Vec<Wanted>,
    refused: Vec<Refused>,
}

impl Asked {
    /// Of a tree. What cannot be read as a manifest asks for nothing: whoever uses it says so.
    fn of(
        runner: &str,
        allowed: &[String],
        store: &dyn FileStoreView,
        tree: &TreeId,
    ) -> Result<Self, StoreError> {
        let mut asked = manifest::read(runner, store, tree)?;
        let is_allowed = |name: &str| allowed.iter().any(|known| manifest::same_name(runner, known, name));
        let (mut wanted, others): (Vec<_>, Vec<_>) =
            asked.wanted.into_iter().partition(|w| is_allowed(&w.name));
        for other in others {
            let why = format!(
                "{} is not on the list of packages that the domain allows: add it to `packages` in a domain.toml of your own, or do without",
                other.name
            );
            asked.refused.push(Refused { name: other.name, why });
        }
        wanted.sort();
        wanted.dedup();
        for beyond in wanted.drain(wanted.len().min(PACKAGES_MAX)..) {
            let why = format!("{} is one of more than {PACKAGES_MAX} packages", beyond.name);
            asked.refused.push(Refused { name: beyond.name, why });
        }
        asked.refused.sort();
        asked.refused.dedup();
        asked.refused.truncate(PACKAGES_MAX);
        Ok(Self { wanted, refused: asked.refused })
    }

    fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.refused.is_empty()
    }
}
