//! What a function does, as far as it matters for what a test shows: one small form for every language.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::Tokens;

/// Why an assertion cannot fail its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lost {
    /// The code around it catches what it throws.
    Swallowed,
    /// It runs when the test is over.
    Floating,
    /// It never runs.
    Dead,
}

/// One element of a table that a loop goes over.
pub(super) type Row = Vec<Tokens>;

/// What a loop goes over.
#[derive(Clone, Debug)]
pub(super) enum Over {
    /// What stands there.
    Rows(Vec<Row>),
    /// A table of this name.
    Named(String),
    /// Something that the program makes.
    Unknown,
}

/// One step of a body.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// An assertion: what it asks, and of what.
    Assert(Asked),
    /// A name is given to something.
    Let(String, Tokens),
    /// A name is given to a table.
    Table(String, Vec<Row>),
    /// A function is called; whether its end is waited for.
    Call { name: String, given: Vec<Tokens>, awaited: bool },
    /// Steps that are taken for every row.
    Each { names: Vec<String>, over: Over, steps: Vec<Step> },
    /// Steps whose assertions cannot fail the test.
    Lost(Lost, Vec<Step>),
    /// Steps inside of something of this name, which may catch what they throw; [`File::swallowers`] says whether it does.
    Within(String, Vec<Step>),
}

/// What an assertion asks.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) of: Vec<Tokens>,
}

/// The kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Is the expression true? What it compares is found in it.
    Holds,
    /// Is it false?
    HoldsNot,
    Equal,
    Differs,
    Compares,
    Contains,
    Same,
    /// Like a pattern, or of a type.
    Like,
    /// Does it throw this?
    Throws,
    /// A failure that stands in a branch with this condition.
    Fails,
    /// Only that nothing is thrown: `unwrap`.
    Works,
}

/// A function with what it does.
#[derive(Clone, Debug, Default)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) parameters: Vec<String>,
    pub(super) steps: Vec<Step>,
    pub(super) tokens: Tokens,
    pub(super) is_async: bool,
}

/// A test as its file says it.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) name: String,
    /// As the runner says it in full, as far as the file knows.
    pub(super) full: String,
    pub(super) function: Function,
    /// Parameters that a table fills.
    pub(super) table: Option<(Vec<String>, Over)>,
    /// What stands above it and says how it is run.
    pub(super) marks: Vec<String>,
    pub(super) skipped: bool,
    pub(super) dead: Option<String>,
}

/// What a file brings in.
#[derive(Clone, Debug, Default)]
pub(super) struct Import {
    /// As it is written: `calc`, `./calc.mjs`, `crate::calc`.
    pub(super) module: String,
    /// Names and what they are called here; none for the module itself.
    pub(super) names: Vec<(String, String)>,
    /// What the module is called here.
    pub(super) alias: Option<String>,
    pub(super) everything: bool,
}

/// A file as its language's reader sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) tests: Vec<Found>,
    pub(super) functions: Vec<Function>,
    pub(super) imports: Vec<Import>,
    /// Top-level and shared names with the tokens that say what they are.
    pub(super) defines: BTreeMap<String, BTreeSet<String>>,
    pub(super) lets: BTreeMap<String, Tokens>,
    pub(super) tables: BTreeMap<String, Vec<Row>>,
    /// Names that other files can use.
    pub(super) offers: BTreeSet<String>,
    /// Functions and classes among them.
    pub(super) callables: BTreeSet<String>,
    /// Functions, decorators and context managers that catch whatever the code that they are given throws.
    pub(super) swallowers: BTreeSet<String>,
    /// Classes whose objects are equal to everything.
    pub(super) always_equal: BTreeSet<String>,
    /// Names that are imported from a module after another was put in its place, each with that module.
    pub(super) substitutes: BTreeMap<String, String>,
    /// What its documentation shows by example, under the names that a runner of such examples gives: `calc.add`.
    pub(super) examples: BTreeSet<String>,
}

impl File {
    /// Notes that a name is made of these tokens.
    pub(super) fn define(&mut self, name: &str, tokens: &Tokens) {
        self.defines.entry(name.to_owned()).or_default().extend(tokens.iter().cloned());
    }
}

/// Steps that are taken as they are.
pub(super) fn once(steps: Vec<Step>) -> Step {
    Step::Each { names: Vec::new(), over: Over::Unknown, steps }
}

/// A failure in a branch asks what the branch asks.
pub(super) fn fill(steps: &mut [Step], condition: &Tokens) {
    for step in steps {
        if let Step::Assert(Asked { kind: Kind::Fails, of }) = step
            && of.is_empty()
        {
            of.push(condition.clone());
        }
    }
}

/// Whether a test's own assertions stand here; what only says that something is thrown, or works, is none.
pub(super) fn asks_itself(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Assert(Asked { kind, .. }) => !matches!(kind, Kind::Fails | Kind::Throws | Kind::Works),
        Step::Each { steps, .. } | Step::Within(_, steps) => asks_itself(steps),
        _ => false,
    })
}
