//! What a process inside the sandbox gives up before it becomes the command.
//!
//! bubblewrap decides what there is to see: a small file system, no network, no other process. The shim, which is this
//! program itself started in there, then closes what bubblewrap leaves open: limits on what a process may use, Landlock
//! on what it may write, and a filter of system calls that have no business in a test run. It says that all of them hold
//! before the command begins; where it does not say so, nothing ran.
//!
//! Its standard input is a socket, over which the [`Walls`] come and the word goes; the command's is `/dev/null`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

use super::probes;
use super::service::{self, Service};

/// The first argument of a process that is to be the shim.
pub(super) const ARGUMENT: &str = "edvac-sandbox-shim";
/// What it says when everything holds.
pub(super) const READY: &str = "ready";
/// The command that is no program but the probes of [`probes`].
pub(super) const PROBE: &str = "edvac-sandbox-probe";
/// Its exit code where something does not hold.
const EXIT_FAILED: u8 = 125;
/// And, as a shell's, where the command cannot be started or is not there.
const EXIT_NOT_STARTED: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;
/// Open files of a process.
const FILES_MAX: u64 = 4096;
/// Landlock's versions that are asked for, best first. What one has, it must enforce.
const VERSIONS: [ABI; 6] = [ABI::V6, ABI::V5, ABI::V4, ABI::V3, ABI::V2, ABI::V1];

/// What the shim is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// What the command is held in.
    pub walls: Walls,
    /// What is started and asked instead of a command.
    pub service: Option<Service>,
}

/// What the command is held in, besides what it can see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Walls {
    /// Directories it may write to.
    pub writable: Vec<PathBuf>,
    /// Largest file it can write.
    pub file_bytes_max: u64,
    /// Processes and threads.
    pub processes_max: u64,
    /// Memory that one process can write to.
    pub memory_bytes_max: u64,
    /// Processor time of one process.
    pub cpu_s_max: u64,
}

/// If this process was started as the shim, raises the walls and becomes the command; it then does not return but with
/// an exit code for this process. To be called first in `main`, while there is one thread.
pub fn become_command_if_asked() -> Option<u8> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let (mut socket, service) = match raise() {
        Ok(raised) => raised,
        Err(why) => {
            eprintln!("the sandbox does not hold: {why}");
            return Some(EXIT_FAILED);
        }
    };
    if let Some(service) = service {
        let served = serde_json::to_vec(&service::serve(&service)).unwrap_or_default();
        return Some(socket.write_all(&served).map_or(EXIT_FAILED, |()| 0));
    }
    let program = arguments.next().unwrap_or_default();
    if program == PROBE {
        probes::open(&arguments.collect::<Vec<_>>()).iter().for_each(|name| println!("{name}"));
        return Some(0);
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("{} cannot be started: {error}", program.to_string_lossy());
    let is_there = error.kind() != std::io::ErrorKind::NotFound;
    Some(if is_there { EXIT_NOT_STARTED } else { EXIT_NOT_FOUND })
}

/// Raises the walls and says so, over the socket that comes back.
fn raise() -> Result<(std::fs::File, Option<Service>), String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| format!("no word of what is allowed: {e}"))?;
    let Order { walls, service }: Order =
        serde_json::from_str(&text).map_err(|e| format!("what is allowed is unclear: {e}"))?;
    limits(&walls).map_err(|e| format!("limits: {e}"))?;
    landlock(&walls)?;
    let null = std::fs::File::open("/dev/null").map_err(|e| format!("/dev/null: {e}"))?;
    let mut socket = std::fs::File::from(
        rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(|e| format!("the socket: {e}"))?,
    );
    rustix::stdio::dup2_stdin(&null).map_err(|e| format!("standard input: {e}"))?;
    filter()?;
    socket.write_all(READY.as_bytes()).map_err(|e| format!("nobody listens: {e}"))?;
    Ok((socket, service))
}

fn limits(walls: &Walls) -> rustix::io::Result<()> {
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

/// Reading everywhere, writing where it is allowed; signals and abstract sockets stay inside where the kernel knows how.
fn landlock(walls: &Walls) -> Result<(), String> {
    let mut why = String::new();
    for version in VERSIONS {
        match landlock_as(version, walls) {
            Ok(()) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(format!("this kernel has no Landlock ({why}); it is in Linux 5.13 and later, where lsm= names it"))
}

fn landlock_as(version: ABI, walls: &Walls) -> Result<(), Box<dyn std::error::Error>> {
    let all = AccessFs::from_all(version);
    let mut rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(all)?;
    if version >= ABI::V6 {
        rules = rules.scope(Scope::from_all(version))?;
    }
    let mut rules = rules.create()?;
    rules = rules.add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::from_read(version)))?;
    rules = rules.add_rule(PathBeneath::new(PathFd::new("/dev")?, AccessFs::from_file(version)))?;
    for path in &walls.writable {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, all))?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// System calls that are refused, by family: other kernels' interfaces, namespaces and mounts, other processes' memory,
/// the machine itself.
const REFUSED: &[i64] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_fanotify_init,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];
/// Flags of `clone` for a namespace of its own.
const NEW_NAMESPACE: &[i32] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];
/// Families of sockets there may be: in a network of its own they reach nothing but the command itself.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
/// What marks a call of the x32 interface, by which a filter of plain numbers could be passed.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Refuses system calls. One that is refused fails with EPERM, `clone3` with ENOSYS, after which libraries use `clone`,
/// whose flags a filter can see.
fn filter() -> Result<(), String> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let words = |index, operator, value: u64| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value).map_err(|e| e.to_string())
    };
    let rule = |conditions| SeccompRule::new(conditions).map_err(|e| e.to_string());
    let flags = NEW_NAMESPACE.iter().map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        rule(vec![words(0, SeccompCmpOp::MaskedEq(flag), flag)?])
    });
    refused.insert(libc::SYS_clone, flags.collect::<Result<_, _>>()?);
    let other_family =
        FAMILIES.iter().map(|family| words(0, SeccompCmpOp::Ne, u64::from(family.cast_unsigned())));
    let other_family = rule(other_family.collect::<Result<_, _>>()?)?;
    refused.insert(libc::SYS_socket, vec![other_family]);
    // Typing into the terminal of whoever started it.
    let terminal =
        [libc::TIOCSTI, libc::TIOCLINUX].map(|request| rule(vec![words(1, SeccompCmpOp::Eq, request)?]));
    refused.insert(libc::SYS_ioctl, terminal.into_iter().collect::<Result<_, _>>()?);
    // Device files; pipes with names are made by the same call.
    let device = |index: u8| {
        [libc::S_IFCHR, libc::S_IFBLK].map(|kind| {
            let mask = SeccompCmpOp::MaskedEq(u64::from(libc::S_IFMT));
            rule(vec![words(index, mask, u64::from(kind))?])
        })
    };
    refused.insert(libc::SYS_mknodat, device(2).into_iter().collect::<Result<_, _>>()?);
    #[cfg(target_arch = "x86_64")]
    {
        refused.insert(libc::SYS_mknod, device(1).into_iter().collect::<Result<_, _>>()?);
        refused.extend(REFUSED.iter().map(|call| (call | X32, Vec::new())).collect::<Vec<_>>());
    }
    install(refused, libc::EPERM)?;
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

fn install(calls: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> Result<(), String> {
    let said = |why: &dyn std::fmt::Display| format!("the filter of system calls: {why}");
    let architecture = std::env::consts::ARCH.try_into().map_err(|e: seccompiler::BackendError| said(&e))?;
    let refuse = SeccompAction::Errno(error.cast_unsigned());
    let filter =
        SeccompFilter::new(calls, SeccompAction::Allow, refuse, architecture).map_err(|e| said(&e))?;
    let program: BpfProgram = filter.try_into().map_err(|e: seccompiler::BackendError| said(&e))?;
    seccompiler::apply_filter(&program).map_err(|e| said(&e))
}
