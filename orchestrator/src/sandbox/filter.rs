//! The filter of system calls. One that is refused fails with EPERM, `clone3` with ENOSYS, after which libraries use
//! `clone`, whose flags a filter can see.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

/// What is left of sockets and of calls that reach others where no namespace is around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Calls {
    /// Families of sockets that can be made.
    pub sockets: Sockets,
    /// Whether others than the command's own processes can be named: then calls about them are refused.
    pub others: bool,
    /// Whether files outside belong to the user it runs as: then changing modes, owners, times and attributes, which
    /// Landlock does not see, is refused everywhere.
    pub owner: bool,
}

/// Families of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Sockets {
    /// Those that in a network of its own reach nothing but the command itself.
    Loopback,
    /// Only between processes, in the file system.
    Files,
    /// None but pairs.
    Pairs,
    /// Every one, for what is no model's code.
    All,
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
    libc::SYS_fanotify_mark,
    libc::SYS_process_madvise,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_vhangup,
    // Memory and messages that no process is seen to hold, and that outlive all of them where no namespace ends them.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    libc::SYS_kexec_file_load,
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
/// What of a file's is not its content.
const OWNERS: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SYS_SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
];
/// Newer than some libraries' lists; the same on every architecture.
const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;
const SYS_FILE_SETATTR: i64 = 469;
/// Flags of files, by way of `ioctl`.
const FLAGS_OF_FILES: [u64; 2] = [0x4008_6602, 0x401c_5820];
/// Calls about a process, and which argument names it; 0 is the caller itself.
const ABOUT_PROCESSES: &[(i64, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
];
/// Personalities that may be taken: none, and the question for the present one.
const PERSONALITIES: [u64; 2] = [0, 0xffff_ffff];
/// What marks a call of the x32 interface, by which a filter of plain numbers could be passed.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// One word of an argument compared with a value.
fn word(index: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value).map_err(|e| e.to_string())
}

/// Refused where all of some conditions hold.
fn all_of(
    conditions: impl IntoIterator<Item = Result<SeccompCondition, String>>,
) -> Result<SeccompRule, String> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?).map_err(|e| e.to_string())
}

/// Refused where an argument is none of some values.
fn none_of(index: u8, values: &[u64]) -> Result<Vec<SeccompRule>, String> {
    Ok(vec![all_of(values.iter().map(|value| word(index, SeccompCmpOp::Ne, *value)))?])
}

/// Installs the filter for this process and what it becomes.
pub(super) fn install(calls: Calls) -> Result<(), String> {
    let mut refused: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let flags = NEW_NAMESPACE.iter().map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        all_of([word(0, SeccompCmpOp::MaskedEq(flag), flag)])
    });
    refused.insert(libc::SYS_clone, flags.collect::<Result<_, _>>()?);
    let family = |family: i32| u64::from(family.cast_unsigned());
    let (unix, four, six) = (family(libc::AF_UNIX), family(libc::AF_INET), family(libc::AF_INET6));
    let sockets = match calls.sockets {
        Sockets::Loopback => none_of(0, &[unix, four, six])?,
        Sockets::Files => none_of(0, &[unix])?,
        Sockets::Pairs | Sockets::All => Vec::new(),
    };
    if calls.sockets != Sockets::All {
        refused.insert(libc::SYS_socket, sockets);
        refused.insert(libc::SYS_socketpair, none_of(0, &[unix])?);
    }
    refused.insert(libc::SYS_personality, none_of(0, &PERSONALITIES)?);
    // Typing into the terminal of whoever started it.
    let mut requests = vec![libc::TIOCSTI, libc::TIOCLINUX];
    if calls.owner {
        requests.extend(FLAGS_OF_FILES);
        refused.extend(OWNERS.iter().map(|call| (*call, Vec::new())));
    }
    let requests = requests.into_iter().map(|request| all_of([word(1, SeccompCmpOp::Eq, request)]));
    refused.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    if calls.others {
        for &(call, index) in ABOUT_PROCESSES {
            refused.insert(call, none_of(index, &[0])?);
        }
        // Landlock does not keep it from hearing of files that it may not read.
        refused.insert(libc::SYS_inotify_add_watch, Vec::new());
    }
    // Device files; pipes with names are made by the same call.
    let device = |index: u8| {
        [libc::S_IFCHR, libc::S_IFBLK].map(|kind| {
            let mask = SeccompCmpOp::MaskedEq(u64::from(libc::S_IFMT));
            all_of([word(index, mask, u64::from(kind))])
        })
    };
    refused.insert(libc::SYS_mknodat, device(2).into_iter().collect::<Result<_, _>>()?);
    #[cfg(target_arch = "x86_64")]
    {
        refused.insert(libc::SYS_mknod, device(1).into_iter().collect::<Result<_, _>>()?);
        no_x32()?;
    }
    refuse(refused, libc::EPERM)?;
    refuse(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

/// Refuses the x32 interface as a whole.
#[cfg(target_arch = "x86_64")]
fn no_x32() -> Result<(), String> {
    use seccompiler::sock_filter;
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    // The number of the call is the first word of what a filter sees.
    let program: BpfProgram = vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned(),
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    seccompiler::apply_filter(&program).map_err(|e| format!("the filter of system calls: {e}"))
}

fn refuse(calls: Rules, error: i32) -> Result<(), String> {
    let said = |why: &dyn std::fmt::Display| format!("the filter of system calls: {why}");
    let architecture = std::env::consts::ARCH.try_into().map_err(|e: seccompiler::BackendError| said(&e))?;
    let refuse = SeccompAction::Errno(error.cast_unsigned());
    let filter =
        SeccompFilter::new(calls, SeccompAction::Allow, refuse, architecture).map_err(|e| said(&e))?;
    let program: BpfProgram = filter.try_into().map_err(|e: seccompiler::BackendError| said(&e))?;
    seccompiler::apply_filter(&program).map_err(|e| said(&e))
}
