//! Names for things. Each is its own type, so that a commit is never passed where a tree is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// One run. Sortable by start time, safe as a directory name: `20261122-235501-3f9a`.
    RunId
}
text_id! {
    /// One requirement of the task: `R1`, `R2`, …
    RequirementId
}
text_id! {
    /// A git tree object, hexadecimal.
    TreeId
}
text_id! {
    /// A git commit object, hexadecimal.
    CommitId
}
text_id! {
    /// BLAKE3 of a blob, hexadecimal.
    Digest
}
text_id! {
    /// The stable name of one effect of one run: `i3/a1/t2/model`. The same decision always has the same key.
    EffectKey
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }
}

/// One instruction of a program. Never reused after an amendment removed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstructionId(pub u32);

impl fmt::Display for InstructionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
