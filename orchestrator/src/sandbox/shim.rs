//! What a process inside the sandbox gives up before it becomes the command.
//!
//! bubblewrap decides what there is to see: a small file system, no network, no other process. The shim, which is this
//! program itself started in there, then closes what bubblewrap leaves open: limits on what a process may use, Landlock
//! on what it may write, and a filter of system calls that have no business in a test run. It says that all of them hold
//! before the command begins; where it does not say so, nothing ran.
//!
//! Its standard input is a socket: the [`Walls`] come as one line, the word that they hold goes back, and the word to go
//! on comes. The command's standard input is `/dev/null`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use rustix::process::{
    Resource, Rlimit, Signal, set_parent_process_death_signal, setpriority_process, setrlimit,
};
use serde::{Deserialize, Serialize};

use super::filter::{self, Calls, Sockets};
use super::service::{self, Service};
use super::{Job, keeper, probes};

/// The first argument of a process that is to be the shim.
pub(super) const ARGUMENT: &str = "edvac-sandbox-shim";
/// What it says when everything holds.
pub(super) const READY: &[u8; 5] = b"ready";
/// And when something does not; as long.
const NOT_READY: &[u8; 5] = b"wrong";
/// What it hears when the command may begin.
pub(super) const GO: &[u8; 2] = b"go";
/// The command that is no program but the probes of [`probes`].
pub(super) const PROBE: &str = "edvac-sandbox-probe";
/// Its exit code where something does not hold.
pub(super) const EXIT_FAILED: u8 = 125;
/// And, as a shell's, where the command cannot be started or is not there.
const EXIT_NOT_STARTED: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;
/// The nicest there is.
const NICEST: i32 = 19;
/// Open files of a process.
const FILES_MAX: u64 = 4096;
/// Landlock's versions that are asked for, best first. What one has, it must enforce.
const VERSIONS: [ABI; 6] = [ABI::V6, ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];

/// What the command is held in, besides what it can see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Walls {
    /// Directories it may write to.
    pub writable: Vec<PathBuf>,
    /// Directories and files it may read and execute.
    pub readable: Vec<PathBuf>,
    /// Devices, or directories of them, it may use.
    pub devices: Vec<PathBuf>,
    /// What is started and asked instead of a command.
    pub service: Option<Service>,
    /// What the filter of system calls is to leave.
    pub calls: Calls,
    /// No walls but the limits: a person said so.
    pub bare: bool,
    /// Where no namespace keeps others from being seen, Landlock must know how to keep signals from them.
    pub alone: bool,
    /// The user it becomes there, where its keeper is root.
    pub user: Option<u32>,
    /// Largest file it can write.
    pub file_bytes_max: u64,
    /// Processes and threads.
    pub processes_max: u64,
    /// Memory that one process can write to.
    pub memory_bytes_max: u64,
    /// Processor time of one process.
    pub cpu_s_max: u64,
}

impl Walls {
    /// The limits of a job, with nothing to read or write.
    pub fn of(job: &Job) -> Self {
        Self {
            writable: Vec::new(),
            readable: Vec::new(),
            devices: Vec::new(),
            service: job.service.clone(),
            calls: Calls { sockets: Sockets::Pairs, others: true, owner: true },
            bare: false,
            alone: true,
            user: None,
            file_bytes_max: job.file_bytes_max,
            // Somewhat more than it may have: at the kernel's limit it would go on trying, over its own it is ended.
            processes_max: u64::from(job.processes_max) * 5 / 4 + 16,
            memory_bytes_max: job.memory_bytes_max,
            cpu_s_max: job.cpu_ms_max / 1000 + 1,
        }
    }
}

/// If this process was started as the shim, raises the walls and becomes the command; it then does not return but with
/// an exit code for this process. To be called first in `main`, while there is one thread.
pub fn become_command_if_asked() -> Option<u8> {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next()?;
    if role == keeper::ARGUMENT {
        return Some(keeper::keep(arguments));
    }
    if role != ARGUMENT {
        return None;
    }
    let (mut socket, service) = match raise() {
        Ok(raised) => raised,
        Err(why) => {
            eprintln!("the sandbox does not hold: {why}");
            // Whoever does not hear it hears nothing, which is as good.
            let _ = rustix::io::write(rustix::stdio::stdin(), NOT_READY);
            return Some(EXIT_FAILED);
        }
    };
    if let Some(service) = service {
        let served = serde_json::to_vec(&service::serve(&service)).unwrap_or_default();
        return Some(socket.write_all(&served).map_or(EXIT_FAILED, |()| 0));
    }
    let program = arguments.next().unwrap_or_default();
    if program == PROBE {
        let open = probes::open(&arguments.collect::<Vec<_>>());
        println!("{}", if open.is_empty() { probes::ALL_CLOSED.to_owned() } else { open.join(", ") });
        return Some(0);
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("{} cannot be started: {error}", program.to_string_lossy());
    let is_there = error.kind() != std::io::ErrorKind::NotFound;
    Some(if is_there { EXIT_NOT_STARTED } else { EXIT_NOT_FOUND })
}

/// Raises the walls, says so, and waits for the word to go on. What a service's answers are told over comes back.
fn raise() -> Result<(File, Option<Service>), String> {
    close_inherited();
    let mut socket = File::from(
        rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(|e| format!("the socket: {e}"))?,
    );
    let mut text = String::new();
    BufReader::new(&socket).read_line(&mut text).map_err(|e| format!("no word of what is allowed: {e}"))?;
    let walls: Walls = serde_json::from_str(&text).map_err(|e| format!("what is allowed is unclear: {e}"))?;
    if walls.alone {
        // Whoever would end it may be killed first.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("its parent's end: {e}"))?;
    }
    // Where the machine has no memory left, this is to be ended first. Not every /proc lets it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let null = File::open("/dev/null").map_err(|e| format!("/dev/null: {e}"))?;
    limits(&walls).map_err(|e| format!("limits: {e}"))?;
    if !walls.bare {
        landlock(&walls)?;
        filter::install(walls.calls)?;
    }
    rustix::stdio::dup2_stdin(&null).map_err(|e| format!("standard input: {e}"))?;
    socket.write_all(READY).map_err(|e| format!("nobody listens: {e}"))?;
    let mut word = [0; GO.len()];
    socket.read_exact(&mut word).map_err(|e| format!("nobody says go: {e}"))?;
    if word == *GO { Ok((socket, walls.service)) } else { Err("the word was another".to_owned()) }
}

/// Whatever whoever started edvac left open goes no further.
#[allow(unsafe_code, reason = "no safe interface closes descriptors that nobody here owns")]
fn close_inherited() {
    // SAFETY: descriptors are marked, not closed: nothing that this process holds loses its meaning. They are closed
    // when the command is executed.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

fn limits(walls: &Walls) -> rustix::io::Result<()> {
    if rustix::process::getuid().is_root() {
        // The kernel holds root to no number of processes. Whoever does comes first, however many there are.
        setpriority_process(None, NICEST)?;
    }
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, walls.file_bytes_max),
        (Resource::Nproc, walls.processes_max),
        // Not of addresses: runtimes reserve far more of those than they use.
        (Resource::Data, walls.memory_bytes_max),
        (Resource::Cpu, walls.cpu_s_max),
        (Resource::Nofile, FILES_MAX),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Reading and writing where it is allowed; signals and abstract sockets stay inside where the kernel knows how.
fn landlock(walls: &Walls) -> Result<(), String> {
    let mut why = String::new();
    let versions = if walls.alone { &VERSIONS[..1] } else { &VERSIONS[..] };
    for &version in versions {
        match landlock_as(version, walls) {
            Ok(()) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    let since = if walls.alone { "6.12" } else { "5.13" };
    Err(format!(
        "this kernel's Landlock will not do ({why}); it is in Linux {since} and later, where lsm= names it"
    ))
}

fn landlock_as(version: ABI, walls: &Walls) -> Result<(), Box<dyn std::error::Error>> {
    let all = AccessFs::from_all(version);
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(all)?;
    if version >= ABI::V6 {
        rules = rules.scope(Scope::from_all(version))?;
    }
    let mut rules = rules.create()?;
    for path in &walls.readable {
        let read = AccessFs::from_read(version);
        let access = if path.is_dir() { read } else { read & AccessFs::from_file(version) };
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, access))?;
    }
    for path in &walls.devices {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, AccessFs::from_file(version)))?;
    }
    for path in &walls.writable {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, all))?;
    }
    rules.restrict_self()?;
    Ok(())
}
