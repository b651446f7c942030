//! Checks: what is executed to find out whether something holds. A check that could not be executed has not passed.

pub mod fault;
mod imports;
mod prose;
mod straight;
mod syntax;
mod tests_run;

use std::path::Path;
use std::time::Instant;

use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView;
use edvac_memory::program::{Check, CheckKind};
use edvac_memory::store::StoreError;
use edvac_memory::verdict::{CheckReport, Resources, TestOutcome, Verdict};

pub use straight::straightened;

use crate::domain::Domain;
use crate::sandbox::{Job, Outcome, Refusal, Sandbox, SandboxError};

/// Wall time of a command that a worker asked for.
const COMMAND_MS_MAX: u64 = 60_000;

/// What checks stand on.
pub struct Ground<'a> {
    /// The files.
    pub store: &'a dyn FileStoreView,
    /// Of which tree.
    pub tree: &'a TreeId,
    /// The program's language.
    pub language: &'a str,
    /// Where commands run, or why they cannot.
    pub sandbox: Result<&'a dyn Sandbox, &'a Refusal>,
    /// Writes the tree's files into an empty directory.
    pub export: &'a (dyn Fn(&Path) -> Result<(), StoreError> + Send + Sync),
    /// For directories that go away again.
    pub scratch: &'a Path,
    /// Knows how tests are run.
    pub domain: &'a Domain,
}

/// What came out of one check, before it is put into a report.
pub(crate) struct Found {
    verdict: Verdict,
    command: Vec<String>,
    exit_status: Option<i32>,
    resources: Option<Resources>,
    tests: Vec<TestOutcome>,
    detail: String,
    causes: Vec<String>,
}

impl Found {
    fn passed() -> Self {
        Self::of(Verdict::Passed)
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::of(Verdict::Failed { reason: reason.into() })
    }

    fn nothing(reason: impl Into<String>) -> Self {
        Self::of(Verdict::NoEvidence { reason: reason.into() })
    }

    fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            command: Vec::new(),
            exit_status: None,
            resources: None,
            tests: Vec::new(),
            detail: String::new(),
            causes: Vec::new(),
        }
    }

    fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

/// Executes one check. Always gives a report; what could not be executed is [`Verdict::NoEvidence`].
pub async fn run_check(check: &Check, ground: &Ground<'_>) -> CheckReport {
    let begun = Instant::now();
    let found = match &check.kind {
        CheckKind::Tests => tests_run::tests(ground).await,
        kind => on_files(kind, ground).unwrap_or_else(|error| match error {
            StoreError::NotFound { path } => Found::failed(format!("{path} does not exist")),
            other => Found::nothing(other.to_string()),
        }),
    };
    CheckReport {
        check: check.clone(),
        verdict: found.verdict,
        tree: ground.tree.clone(),
        command: found.command,
        exit_status: found.exit_status,
        duration_ms: begun.elapsed().as_millis() as u64,
        resources: found.resources,
        tests: found.tests,
        detail: found.detail,
        causes: found.causes,
    }
}

/// Checks that only read files.
fn on_files(kind: &CheckKind, ground: &Ground<'_>) -> Result<Found, StoreError> {
    let text = |path: &str| {
        ground.store.read(ground.tree, path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(match kind {
        CheckKind::Exists { path } => exists(path, &ground.store.read(ground.tree, path)?),
        CheckKind::Parses { path } => syntax::parses(path, &ground.store.read(ground.tree, path)?),
        CheckKind::Words { path, min, max } => {
            // What an earlier chapter says already makes this one no longer.
            let all = ground.store.list(ground.tree)?.into_keys();
            let before = all.filter(|p| p < path && ground.domain.is_chapter(p)).map(|p| text(&p));
            let before = before.collect::<Result<Vec<_>, _>>()?;
            prose::words(&before, &text(path)?, *min, *max)
        }
        CheckKind::Headings { path, sections_min } => prose::headings(&text(path)?, *sections_min),
        CheckKind::Outline { path, beats } => prose::outline(&text(path)?, beats),
        CheckKind::Canon { path, canon } => prose::canon(&text(path)?, &text(canon)?),
        CheckKind::Tests => Found::nothing("tests are run, not read"),
    })
}

fn exists(path: &str, bytes: &[u8]) -> Found {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        Found::failed(format!("{path} is empty"))
    } else {
        Found::passed()
    }
}

/// Runs a shell command that a worker asked for in `dir`, a copy of the tree that is thrown away afterwards.
pub async fn run_command(text: &str, dir: &Path, sandbox: &dyn Sandbox) -> Result<Outcome, SandboxError> {
    let command = ["sh", "-c", text].map(str::to_owned).to_vec();
    sandbox.run(&Job { time_ms_max: COMMAND_MS_MAX, ..Job::new(command, dir.to_owned()) }).await
}
