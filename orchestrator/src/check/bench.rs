//! A place where a check's command runs: the tree's files in a directory of their own, a directory of ours beside it, and
//! a sandbox around both.

use std::path::{Path, PathBuf};

use edvac_memory::store::FILE_BYTES_MAX;
use edvac_memory::verdict::{Limit, Verdict};

use super::Ground;
use crate::dependencies::Stock;
use crate::sandbox::{Job, Level, Outcome, Sandbox, read_left};

/// Where a check's own files lie, beside the project.
pub(super) const OUT: &str = "/out";
/// What a shell says where there is no such command, and where there is one that cannot be started.
const NOT_FOUND: i32 = 127;
const NOT_STARTED: i32 = 126;
/// What a shell adds to a signal's number.
const BY_SIGNAL: i32 = 128;
/// Words by which programs say that they want a person at a terminal.
const TERMINAL_WORDS: [&str; 6] = [
    "not a terminal",
    "not a tty",
    "stdin is not a",
    "Inappropriate ioctl for device",
    "must be run from a terminal",
    "TERM environment variable not set",
];
/// And that they waited for words that never came.
const INPUT_WORDS: [&str; 2] = ["EOFError: EOF when reading a line", "ERR_USE_AFTER_CLOSE"];

/// The place. It goes away with the value.
pub(super) struct Bench<'a> {
    sandbox: &'a dyn Sandbox,
    stock: Option<&'a Stock>,
    /// The project, as [`Job::dir`].
    pub work: PathBuf,
    /// What the command sees as [`OUT`].
    pub out: PathBuf,
    _dir: tempfile::TempDir,
}

impl<'a> Bench<'a> {
    /// A place with the files of the ground's tree, or why there is none, which is no evidence.
    pub fn of(ground: &Ground<'a>) -> Result<Self, String> {
        let sandbox = ground.sandbox.map_err(|refusal| refusal.why.clone())?;
        let made = tempfile::tempdir_in(ground.scratch).and_then(|dir| {
            let (work, out) = (dir.path().join("work"), dir.path().join("out"));
            std::fs::create_dir(&work)?;
            std::fs::create_dir(&out)?;
            Ok(Self { sandbox, stock: ground.supply.stock.as_ref(), work, out, _dir: dir })
        });
        let bench = made.map_err(|error| format!("no directory for the check: {error}"))?;
        (ground.export)(&bench.work).map_err(|error| error.to_string())?;
        Ok(bench)
    }

    /// A command with the project as its directory and [`OUT`] beside it.
    pub fn job(&self, command: Vec<String>, time_ms_max: u64) -> Job {
        Job {
            writable: vec![(self.out.clone(), OUT.to_owned())],
            time_ms_max,
            ..Job::new(command, self.work.clone())
        }
    }

    /// Whether a service can be asked here: where it is alone in its network.
    pub fn has_loopback(&self) -> bool {
        self.sandbox.level() == Level::Apart
    }

    /// Runs a command, with the packages that were installed for the project.
    pub async fn run(&self, job: &Job) -> Result<Outcome, String> {
        let mut job = job.clone();
        if let Some(stock) = self.stock {
            stock.equip(&mut job);
        }
        self.sandbox.run(&job).await.map_err(|error| error.to_string())
    }

    /// Whether a program is there, or what there is to say where it is not.
    pub fn needs(&self, (program, fix): (&str, &str)) -> Result<(), String> {
        let is_there = self.sandbox.has(program) || self.stock.is_some_and(|stock| stock.has(program));
        if is_there { Ok(()) } else { Err(format!("{program} is not installed ({fix})")) }
    }

    /// Whether a package of JavaScript's is there, installed or in the tree.
    pub fn needs_package(&self, package: &str) -> Result<(), String> {
        let in_tree = self.work.join("node_modules").join(package).join("package.json").exists();
        let is_there = in_tree || self.stock.is_some_and(|stock| stock.has(package));
        if is_there { Ok(()) } else { Err(format!("{package} is not installed")) }
    }

    /// Files of the project that a command changed, as far as they are code: then it ran on other files than the tree's.
    pub fn changed_code(&self, ground: &Ground<'_>) -> Vec<String> {
        let paths = ground.store.list(ground.tree).map(|all| all.into_keys().collect::<Vec<_>>());
        let is_code = |path: &String| super::syntax::language_of(path).is_some();
        let differs = |path: &String| {
            let now = left_in(&self.work.join(path));
            ground.store.read(ground.tree, path).is_ok_and(|then| now.as_deref() != Some(then.as_slice()))
        };
        paths.unwrap_or_default().into_iter().filter(is_code).filter(differs).collect()
    }
}

/// What is in a file of the project, of as many bytes as a file of the store may have and one more; see [`read_left`].
pub(super) fn left_in(path: &Path) -> Option<Vec<u8>> {
    read_left(path, FILE_BYTES_MAX + 1)
}

/// The verdict on a command that did not get as far as saying something about the project: one that a limit or a signal
/// ended, that is not there, or that wants a person.
pub(super) fn not_of_the_project(ran: &Outcome) -> Option<Verdict> {
    if let Some(limit) = ran.limit {
        return Some(Verdict::Stopped { limit, reason: stopped_by(limit) });
    }
    let nothing = |reason: String| Some(Verdict::NoEvidence { reason });
    let failed = |reason: String| Some(Verdict::Failed { reason });
    let says = |words: &[&str]| words.iter().any(|w| ran.output.contains(w));
    match ran.exit_status {
        Some(0) => None,
        Some(NOT_FOUND) => nothing(format!("a command is not installed: {}", last_line(&ran.output))),
        Some(NOT_STARTED) => failed(format!("a command cannot be started: {}", last_line(&ran.output))),
        _ if says(&TERMINAL_WORDS) => {
            failed("it wants a terminal, and there is none; it must work without one".to_owned())
        }
        _ if says(&INPUT_WORDS) => failed(
            "it waits for input, and there is none; it must take what it needs as arguments".to_owned(),
        ),
        None => failed("a signal ended it".to_owned()),
        Some(status) if status > BY_SIGNAL && status < BY_SIGNAL + 65 => {
            failed(format!("signal {} ended it", status - BY_SIGNAL))
        }
        Some(_) => None,
    }
}

/// What a limit's being hit means, for whoever has to mend it.
fn stopped_by(limit: Limit) -> String {
    match limit {
        Limit::WallTime => "it did not end in time; it must not wait for input or for ever",
        Limit::CpuTime => "it used more processor time than it may; it must not work for ever",
        Limit::Memory => "it used more memory than it may",
        Limit::Processes => "it started more processes than it may",
        Limit::FileSize => "it wrote a file that is larger than one may be",
        Limit::DiskSpace => "it wrote more than it may",
        Limit::Output => "it printed more than it may",
    }
    .to_owned()
}

pub(super) fn last_line(text: &str) -> &str {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed nothing").trim()
}
