//! Things that must not be possible inside, tried from inside.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Pid, getppid, test_kill_process};

use super::Level;

/// What is said when everything was tried and nothing was possible.
pub(super) const ALL_CLOSED: &str = "all closed";
/// What is made in the project, where it can be written to.
pub(super) const MADE: &str = "ok";
/// Processes that are there inside: bubblewrap's own first one, and this.
const PROCESSES_MAX: usize = 2;
/// Variables there may be.
const VARIABLES: [&str; 9] =
    ["HOME", "LANG", "NO_COLOR", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "TMPDIR", "TZ"];

/// How a level is called to the probes.
pub(super) fn argument(level: Level) -> &'static str {
    match level {
        Level::Apart => "apart",
        // Of what promises nothing, nothing is tried.
        Level::Behind | Level::Bare => "behind",
    }
}

/// Names of what turned out to be possible. The arguments are the level, and a file of the host's that must not be seen.
pub(super) fn open(arguments: &[OsString]) -> Vec<&'static str> {
    let [level, witness] = arguments else { return vec!["arguments"] };
    let witness = Path::new(witness);
    let mut all = everywhere(witness);
    if level == argument(Level::Apart) {
        all.extend(apart(witness));
    } else {
        all.extend(behind(witness));
    }
    all.into_iter().filter(|(_, open)| *open).map(|(name, _)| name).collect()
}

fn everywhere(witness: &Path) -> Vec<(&'static str, bool)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let says = |name: &str, value: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.is_some_and(|found| found.trim() == value)
    };
    // Without namespaces nobody may ask the host's /proc, not even about himself.
    let known = !status.is_empty();
    vec![
        ("workspace-not-writable", fs::write(MADE, "x").is_err()),
        ("system-writable", writable("/usr/edvac-canary")),
        // In a namespace the root is memory that only Landlock keeps from being written to.
        ("root-writable", writable("/edvac-canary")),
        ("host-readable", fs::read(witness).is_ok()),
        ("host-writable", fs::OpenOptions::new().append(true).open(witness).is_ok()),
        (
            "environment-leaks",
            std::env::vars_os().any(|(name, _)| VARIABLES.iter().all(|known| name != *known)),
        ),
        ("capabilities", known && !says("CapEff", "0000000000000000")),
        ("new-privileges", known && !says("NoNewPrivs", "1")),
        ("system-calls", known && !says("Seccomp", "2")),
        ("netlink", socket(AddressFamily::NETLINK)),
        // On a virtual machine a channel to its host, which no namespace covers.
        ("vsock", socket(AddressFamily::VSOCK)),
    ]
}

/// What namespaces keep away.
fn apart(witness: &Path) -> Vec<(&'static str, bool)> {
    vec![
        ("host-visible", witness.exists()),
        ("no-proc", !Path::new("/proc/self/status").exists()),
        ("network", interfaces()),
        ("other-processes", processes() > PROCESSES_MAX),
    ]
}

/// What only Landlock, the filter and the user keep away.
fn behind(witness: &Path) -> Vec<(&'static str, bool)> {
    let keeper = getppid();
    let read = |pid: Option<Pid>, file: &str| {
        pid.is_some_and(|pid| fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).is_ok())
    };
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    vec![
        ("internet", socket(AddressFamily::INET) || socket(AddressFamily::INET6)),
        ("unix-sockets", socket(AddressFamily::UNIX)),
        ("still-root", rustix::process::geteuid().is_root() || rustix::process::getegid().is_root()),
        (
            "processes-readable",
            read(keeper, "cmdline") || read(keeper, "environ") || read(Pid::INIT.into(), "cmdline"),
        ),
        ("signals", keeper.is_some_and(|pid| test_kill_process(pid).is_ok())),
        ("signals-to-all", test_kill_process(Pid::INIT).is_ok()),
        ("scratch-writable", writable("/tmp/edvac-canary") || writable("/var/tmp/edvac-canary")),
        ("memory-writable", writable("/dev/shm/edvac-canary")),
        ("accounts-readable", fs::read("/etc/passwd").is_ok()),
        ("modes", fs::set_permissions(witness, permissions).is_ok()),
        ("devices", fs::read_dir("/dev").is_ok()),
        ("listing", fs::read_dir("/").is_ok()),
    ]
}

/// Whether a file can be made there. It is not left there.
fn writable(path: &str) -> bool {
    let made = fs::write(path, "x").is_ok();
    if made {
        // It is reported all the same.
        let _ = fs::remove_file(path);
    }
    made
}

fn socket(family: AddressFamily) -> bool {
    [SocketType::DGRAM, SocketType::STREAM]
        .iter()
        .any(|kind| rustix::net::socket(family, *kind, None).is_ok())
}

/// Whether there is any interface but the loopback.
fn interfaces() -> bool {
    let table = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    table.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| name.trim() != "lo")
}

fn processes() -> usize {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count()
}
