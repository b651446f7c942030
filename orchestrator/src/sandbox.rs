//! Where code that a model wrote may run: no network, one writable tree, bounded time and space. Or nowhere.

mod bwrap;
mod output;
mod probes;
mod service;
mod shim;
mod toolchains;

use std::path::PathBuf;

use async_trait::async_trait;
use edvac_memory::verdict::{Limit, Resources};

pub use bwrap::BwrapSandbox;
pub use service::{Answer, Served, Service};
pub use shim::become_command_if_asked;

/// Why nothing may be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is missing or does not hold.
    pub why: String,
    /// What a person can do about it.
    pub fix: String,
}

/// One command and the bounds it runs in.
#[derive(Clone, Debug)]
pub struct Job {
    /// Program and arguments; the program is found on the sandbox's own `PATH`.
    pub command: Vec<String>,
    /// A service that is started and asked instead of the command.
    pub service: Option<Service>,
    /// The only directory that the command can write to besides `/tmp`; it sees it as `/project` and starts in it.
    pub dir: PathBuf,
    /// Further directories, writable, as (host, inside).
    pub writable: Vec<(PathBuf, String)>,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
    /// Wall time until it is killed with everything it started.
    pub time_ms_max: u64,
    /// Output kept; the middle of more is left out.
    pub output_bytes_max: usize,
    /// Largest file it can write.
    pub file_bytes_max: u64,
    /// Processes and threads it can have at once.
    pub processes_max: u32,
    /// Memory that each of its processes can write to.
    pub memory_bytes_max: u64,
}

impl Job {
    /// A command in a directory, with the usual bounds.
    pub fn new(command: Vec<String>, dir: PathBuf) -> Self {
        Self {
            command,
            service: None,
            dir,
            writable: Vec::new(),
            env: Vec::new(),
            time_ms_max: 120_000,
            output_bytes_max: 256 << 10,
            file_bytes_max: 64 << 20,
            processes_max: 256,
            memory_bytes_max: 4 << 30,
        }
    }
}

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit status; none when a signal ended it.
    pub exit_status: Option<i32>,
    /// The limit that ended it, if one did.
    pub limit: Option<Limit>,
    /// What it used.
    pub resources: Resources,
    /// What became of a job's service, where nothing stopped it before.
    pub served: Option<Served>,
    /// What it printed, both streams as they came, without the middle where it was too much.
    pub output: String,
    /// Wall time.
    pub duration_ms: u64,
}

/// The sandbox could not be started. What runs inside it never causes this.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox could not be started: {0}")]
pub struct SandboxError(pub String);

/// Runs commands apart from everything else.
///
/// Promises: no network; nothing outside the job's directories is written; files of the user's are not readable
/// except the system's programs and libraries; when the call returns or is dropped, nothing it started lives.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Runs one command.
    async fn run(&self, job: &Job) -> Result<Outcome, SandboxError>;
    /// Whether a program can be found inside.
    fn has(&self, program: &str) -> bool;
}
