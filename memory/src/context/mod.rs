//! Fragments and the budget they share: the only way text reaches a model.

mod budget;

use serde::{Deserialize, Serialize};

pub use budget::{ContextBudget, Overflow};

/// Counts tokens the way the model that will read the text does (or says that it estimates).
pub trait TokenCounter: Send + Sync {
    /// Tokens of `text`.
    fn count(&self, text: &str) -> usize;
}

/// What a fragment is; also the order in which kinds stand in a prompt, stable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FragmentKind {
    /// Who the agent is and how it answers.
    System,
    /// Rules of the domain.
    Domain,
    /// A tool of another program, or how such tools are called.
    Tool,
    /// The task in the user's words, and its requirements.
    Task,
    /// What the project says to those who work on it.
    Guide,
    /// The program: all instructions, one line each.
    Program,
    /// The listing of the file store.
    Listing,
    /// A file, or a range of one, that the instruction reads.
    File,
    /// A piece that the memory index ranked for the instruction.
    Retrieved,
    /// What earlier attempts of this instruction found out.
    Summary,
    /// The instruction itself.
    Step,
    /// An earlier reply of this attempt, or the machine's answer to it.
    Turn,
}

/// One piece of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// What it is.
    pub kind: FragmentKind,
    /// Where it is from: a path with lines, a template, `turn 2`.
    pub source: String,
    /// Why it is here, in a few words.
    pub reason: String,
    /// The text as the model gets it.
    pub text: String,
    /// Measured tokens of `text`.
    pub tokens: usize,
}

impl Fragment {
    /// A fragment with its tokens measured.
    pub fn new(
        kind: FragmentKind,
        source: impl Into<String>,
        reason: impl Into<String>,
        text: impl Into<String>,
        counter: &dyn TokenCounter,
    ) -> Self {
        let text = text.into();
        let tokens = counter.count(&text);
        Self { kind, source: source.into(), reason: reason.into(), text, tokens }
    }
}

/// What was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it would have been.
    pub kind: FragmentKind,
    /// Where it is from.
    pub source: String,
    /// Its tokens.
    pub tokens: usize,
    /// The cap it hit.
    pub why: String,
}

/// A fitted prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fitted {
    /// What is in it, in prompt order.
    pub fragments: Vec<Fragment>,
    /// What is not.
    pub left_out: Vec<LeftOut>,
    /// Tokens of the reply that the grammar writes and not the model: about so many more than others may it have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given_tokens: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks with a reference
fn is_zero(tokens: &usize) -> bool {
    *tokens == 0
}
