//! Where code that a model wrote may run: no network, one writable tree, bounded time and space. Or nowhere.

mod bare;
mod behind;
mod bwrap;
mod canary;
mod fetch;
mod filter;
mod held;
mod keeper;
mod limits;
mod names;
mod output;
mod probes;
mod proc;
mod service;
mod shim;
mod space;
mod stage;
mod toolchains;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use edvac_memory::verdict::{Limit, Resources};

pub use bare::NoSandbox;
pub use behind::BehindSandbox;
pub use bwrap::BwrapSandbox;
use canary::Unproven;
pub use fetch::fetch;
pub use names::Names;
pub use service::{Answer, Served, Service};
pub use shim::become_command_if_asked;
pub use toolchains::Toolchains;

/// Why nothing may be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is missing or does not hold.
    pub why: String,
    /// What a person can do about it.
    pub fix: String,
}

/// What sockets reach. Never anything but the job's own processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// There are none for IP.
    None,
    /// A loopback of the job's own. Where a level has none, it is the same as [`Network::None`].
    Loopback,
}

/// How code is kept apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// In namespaces of its own, made by bubblewrap, behind limits, Landlock and a filter of system calls.
    Apart,
    /// Behind limits, Landlock and a stricter filter only, where no namespaces can be had.
    Behind,
    /// Not at all, since a person said so. See [`NoSandbox`].
    Bare,
}

/// One command and the bounds it runs in.
#[derive(Clone, Debug)]
pub struct Job {
    /// Program and arguments; the program is found on the sandbox's own `PATH`.
    pub command: Vec<String>,
    /// A service that is started and asked instead of the command, where the level has a loopback.
    pub service: Option<Service>,
    /// The only directory that the command can write to besides `/tmp`; it sees it as `/project` and starts in it.
    pub dir: PathBuf,
    /// Further directories, writable, as (host, inside).
    pub writable: Vec<(PathBuf, String)>,
    /// Further directories and files that can only be read, as (host, inside). Of those right below `/` programs find the
    /// name when they look upwards from the project, at every level.
    pub readable: Vec<(PathBuf, String)>,
    /// Further directories with programs, as they are named inside; the sandbox's own come first.
    pub path: Vec<String>,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
    /// What sockets reach.
    pub network: Network,
    /// Wall time until it is killed with everything it started.
    pub time_ms_max: u64,
    /// Processor time of all its processes together.
    pub cpu_ms_max: u64,
    /// Output kept; the middle of more is left out.
    pub output_bytes_max: usize,
    /// Output at which it is killed.
    pub output_bytes_hard_max: u64,
    /// Largest file it can write.
    pub file_bytes_max: u64,
    /// What it can add to its directories, all files together; each counts as a block at least.
    pub disk_bytes_max: u64,
    /// Processes and threads it can have at once.
    pub processes_max: u32,
    /// Memory of all its processes together, and what each of them can ask for.
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
            readable: Vec::new(),
            path: Vec::new(),
            env: Vec::new(),
            network: Network::Loopback,
            time_ms_max: 120_000,
            cpu_ms_max: 1_440_000,
            output_bytes_max: 256 << 10,
            output_bytes_hard_max: 64 << 20,
            file_bytes_max: 64 << 20,
            disk_bytes_max: 2 << 30,
            processes_max: 256,
            memory_bytes_max: 4 << 30,
        }
    }
}

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit status; none when a signal ended it, or a limit.
    pub exit_status: Option<i32>,
    /// The limit that it was killed for, or that it failed at as far as that can be told.
    pub limit: Option<Limit>,
    /// What became of a job's service, where nothing stopped it before.
    pub served: Option<Served>,
    /// What it printed, both streams as they came, without the middle where it was too much.
    pub output: String,
    /// Wall time.
    pub duration_ms: u64,
    /// What it used.
    pub resources: Resources,
    /// What its directories were called inside.
    pub names: Names,
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
    /// How it keeps code apart.
    fn level(&self) -> Level;
    /// Whether a program can be found inside.
    fn has(&self, program: &str) -> bool;
}

/// The best sandbox of this machine that its canary finds to hold.
///
/// Without bubblewrap there is none, although the walls alone might hold: it is installed in a minute, and keeps more
/// apart. Where it is there and cannot begin anything, which is what it says without user namespaces, the walls alone
/// are tried. Where it begins something that does not hold, nothing is tried any more: what else is not as it seems there
/// is not known.
pub async fn open() -> Result<Arc<dyn Sandbox>, Refusal> {
    open_with(tokio::task::spawn_blocking(Toolchains::find).await.unwrap_or_default()).await
}

/// The same, with languages that were found already.
pub async fn open_with(toolchains: Toolchains) -> Result<Arc<dyn Sandbox>, Refusal> {
    let none = |why: String, fix: &str| Refusal { why, fix: fix.to_owned() };
    let Some(program) = on_path("bwrap") else {
        return Err(none(
            "there is no sandbox: bubblewrap (bwrap) is not installed.".to_owned(),
            "Install it: apt install bubblewrap, dnf install bubblewrap or pacman -S bubblewrap.",
        ));
    };
    let shim = this_program()?;
    let fix = "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile \
               for bwrap) and Landlock (Linux 5.13 or later, named in lsm= if that is set); inside a container, run it \
               with --security-opt seccomp=unconfined.";
    let why = match BwrapSandbox::open(program, shim.clone(), toolchains.clone()).await {
        Ok(sandbox) => return Ok(Arc::new(sandbox)),
        // Only bubblewrap itself begins so: something else of that name is as much a surprise.
        Err(Unproven::NotBegun(why)) if why.starts_with("bwrap: ") => why,
        Err(unproven) => {
            return Err(none(format!("bubblewrap does not hold here: {}.", unproven.why()), fix));
        }
    };
    match BehindSandbox::open(shim, toolchains).await {
        Ok(sandbox) => Ok(Arc::new(sandbox)),
        Err(without) => Err(none(
            format!(
                "bubblewrap does not hold here: {why}. Nor does what holds without namespaces: {}.",
                without.why()
            ),
            fix,
        )),
    }
}

fn this_program() -> Result<PathBuf, Refusal> {
    std::env::current_exe().map_err(|e| Refusal {
        why: format!("there is no sandbox: where this program lies is not known ({e})."),
        fix: "Start edvac by its full path.".to_owned(),
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file() && p.is_absolute())
}

/// The variables there are inside, besides a job's own; `path` are the job's directories of programs.
fn plain_environment(
    toolchains: &Toolchains,
    path: &[String],
    home: PathBuf,
) -> Vec<(&'static str, OsString)> {
    let own = toolchains.path.iter().map(|p| p.as_os_str().to_owned());
    let path = own.chain(path.iter().map(OsString::from)).collect::<Vec<_>>();
    vec![
        ("PATH", path.join(&OsString::from(":"))),
        ("HOME", home.into_os_string()),
        ("LANG", "C.UTF-8".into()),
        ("TZ", "UTC".into()),
        // What a test leaves behind must not depend on the interpreter's moods.
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ("PYTHONHASHSEED", "0".into()),
        ("NO_COLOR", "1".into()),
    ]
}

/// What a command left in a file, up to `bytes_max`; none where no plain file is. Nothing is followed or waited for: a name
/// in a directory that a command could write to may be anything.
pub fn read_left(file: &Path, bytes_max: u64) -> Option<Vec<u8>> {
    use rustix::fs::{Mode, OFlags};
    use std::io::Read;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::open(file, flags, Mode::empty()).ok()?);
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return None;
    }
    let mut bytes = Vec::new();
    // What could be read before a fault is as good as a file that ends there.
    let _ = file.take(bytes_max).read_to_end(&mut bytes);
    Some(bytes)
}

#[cfg(test)]
#[path = "sandbox/contract_tests.rs"]
mod contract_tests;
