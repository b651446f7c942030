//! Checks: what is executed to find out whether something holds. A check that could not be executed has not passed.

mod absent;
mod bench;
mod command;
mod elided;
mod expressions;
pub mod fault;
mod flaky;
mod http;
mod imports;
pub mod integrity;
mod offered;
mod prose;
mod shadow;
mod sound;
mod starts;
mod straight;
mod syntax;
mod tests_run;
mod text;
mod told;
mod undefined;

use std::path::Path;
use std::time::Instant;

use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView;
use edvac_memory::program::{Check, CheckKind};
use edvac_memory::store::StoreError;
use edvac_memory::verdict::{CheckReport, Resources, TestOutcome, Verdict};

pub use elided::elided;
pub use expressions::unusable;
pub(crate) use flaky::with_history;
pub use offered::{Offered, import_line, offered};
pub use prose::title_in;
pub use sound::{Counted, Inventories};
pub use straight::straightened;

use crate::dependencies::{Stock, Supply};
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
    /// Tests that may not ask less than they did.
    pub counted: &'a Counted,
    /// The tests of trees.
    pub inventories: &'a Inventories,
    /// Packages that the tree asks for.
    pub supply: &'a Supply,
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
    output: String,
    causes: Vec<String>,
    /// Faults outside any test, in one line each by which they are known again.
    faults: Vec<String>,
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
            output: String::new(),
            causes: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

/// Executes one check. Always gives a report; what could not be executed is [`Verdict::NoEvidence`].
pub async fn run_check(check: &Check, ground: &Ground<'_>) -> CheckReport {
    let begun = Instant::now();
    let mut found = execute(&check.kind, ground).await;
    if flaky::is_worth_another_run(&check.kind, &found, begun.elapsed()) {
        found = flaky::of_two(found, &execute(&check.kind, ground).await);
    }
    report(check.clone(), absent::weighed(found, ground), ground, begun)
}

/// Runs the tests of a tree on which nobody worked yet, and says what they find and which faults lie outside any test.
/// Whether they are any good is not asked.
pub async fn tests_as_they_are(ground: &Ground<'_>) -> (CheckReport, Vec<String>) {
    let begun = Instant::now();
    let mut found = absent::weighed(tests_run::tests(ground).await, ground);
    let faults = std::mem::take(&mut found.faults);
    (report(Check { kind: CheckKind::Tests, covers: Vec::new() }, found, ground, begun), faults)
}

fn report(check: Check, found: Found, ground: &Ground<'_>, begun: Instant) -> CheckReport {
    let is_passed = found.verdict.is_passed();
    CheckReport {
        check,
        verdict: found.verdict,
        tree: ground.tree.clone(),
        command: found.command,
        exit_status: found.exit_status,
        duration_ms: begun.elapsed().as_millis() as u64,
        resources: found.resources,
        tests: found.tests,
        detail: found.detail,
        output: if is_passed { String::new() } else { found.output },
        causes: found.causes,
    }
}

async fn execute(kind: &CheckKind, ground: &Ground<'_>) -> Found {
    let runner = ground.domain.runner(ground.language);
    match kind {
        CheckKind::Builds => command::tool(command::builder(runner), ground).await,
        CheckKind::Lints => command::tool(command::linter(runner), ground).await,
        CheckKind::Tests => sound::weighed(tests_run::tests(ground).await, ground),
        CheckKind::Runs { command, input, exit_status, output } => {
            command::runs(command, input.as_deref(), *exit_status, output, ground).await
        }
        CheckKind::Starts { commands, caught } => starts::starts(commands, *caught, ground).await,
        CheckKind::Http { start, port, requests } => http::http(start, *port, requests, ground).await,
        CheckKind::Golden { command, files } => command::golden(command.as_deref(), files, ground).await,
        on_files => read(on_files, ground).unwrap_or_else(|error| match error {
            StoreError::NotFound { path } => Found::failed(format!("{path} does not exist")),
            other => Found::nothing(other.to_string()),
        }),
    }
}

/// Checks that only read files.
fn read(kind: &CheckKind, ground: &Ground<'_>) -> Result<Found, StoreError> {
    let text = |path: &str| {
        ground.store.read(ground.tree, path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(match kind {
        CheckKind::Exists { path } => exists(path, &ground.store.read(ground.tree, path)?),
        CheckKind::Parses { path } => syntax::parses(path, &ground.store.read(ground.tree, path)?),
        CheckKind::Words { path, section, min, max } => {
            // What an earlier chapter, or an earlier section, says already makes this one no longer.
            let (before, own) = prose::apart(&text(path)?, *section);
            let mut earlier = earlier(path, ground)?;
            earlier.push(before);
            prose::words(&earlier, &own, *min, *max)
        }
        CheckKind::Headings { path, sections_min } => prose::headings(&text(path)?, *sections_min),
        CheckKind::Outline { path, section: None, beats } => prose::outline(&text(path)?, beats),
        CheckKind::Outline { path, section, beats } => {
            // A heading that names the beat does not tell it.
            let (_, own) = prose::apart(&text(path)?, *section);
            prose::outline(own.split_once('\n').map_or("", |(_, told)| told), beats)
        }
        CheckKind::Variety { path, distinct_min } => prose::variety(&text(path)?, *distinct_min),
        CheckKind::Canon { path, canon } => prose::canon(&text(path)?, &text(canon)?),
        CheckKind::Repetition { path, percent_max } => {
            prose::repetition(&earlier(path, ground)?, &text(path)?, *percent_max)
        }
        CheckKind::Links { path } => {
            let text_of = |path: &str| text(path).ok();
            prose::links(path, &text(path)?, &text_of)
        }
        CheckKind::Builds
        | CheckKind::Tests
        | CheckKind::Lints
        | CheckKind::Runs { .. }
        | CheckKind::Starts { .. }
        | CheckKind::Http { .. }
        | CheckKind::Golden { .. } => Found::nothing("this is run, not read"),
    })
}

/// The texts of the chapters before one.
fn earlier(path: &str, ground: &Ground<'_>) -> Result<Vec<String>, StoreError> {
    let all = ground.store.list(ground.tree)?.into_keys();
    all.filter(|p| p.as_str() < path && ground.domain.is_chapter(p))
        .map(|p| ground.store.read(ground.tree, &p))
        .map(|bytes| Ok(String::from_utf8_lossy(&bytes?).into_owned()))
        .collect()
}

fn exists(path: &str, bytes: &[u8]) -> Found {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        Found::failed(format!("{path} is empty"))
    } else {
        Found::passed()
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
#[path = "check/check_tests.rs"]
mod tests;

/// Runs a shell command that a worker asked for in `dir`, a copy of the tree that is thrown away afterwards.
/// `stock` are the packages that were installed for it.
pub async fn run_command(
    text: &str,
    dir: &Path,
    sandbox: &dyn Sandbox,
    stock: Option<&Stock>,
) -> Result<Outcome, SandboxError> {
    let command = ["sh", "-c", text].map(str::to_owned).to_vec();
    let mut job = Job { time_ms_max: COMMAND_MS_MAX, ..Job::new(command, dir.to_owned()) };
    if let Some(stock) = stock {
        stock.equip(&mut job);
    }
    sandbox.run(&job).await
}
