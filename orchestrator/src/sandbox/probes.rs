//! Ten things that must not be possible inside, tried from inside: the canary.

use std::ffi::OsString;
use std::path::Path;

use rustix::net::{AddressFamily, SocketType};

/// Processes that are there inside: bubblewrap's own first one, and this.
const PROCESSES_MAX: usize = 2;

/// Names of what turned out to be possible. The first argument is a file of the host's that must not be seen.
pub(super) fn open(arguments: &[OsString]) -> Vec<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let says = |name: &str, value: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.is_some_and(|found| found.trim() == value)
    };
    let write = |path: &str| std::fs::write(path, "x").is_ok();
    let socket = |family| rustix::net::socket(family, SocketType::DGRAM, None).is_ok();
    let probes: [(&str, bool); 12] = [
        ("workspace-not-writable", !write("/project/ok")),
        ("system-writable", write("/usr/edvac-canary")),
        // The root is memory that only Landlock keeps from being written to.
        ("root-writable", write("/edvac-canary")),
        ("host-visible", arguments.first().is_none_or(|witness| Path::new(witness).exists())),
        ("environment-leaks", std::env::var_os("EDVAC_CANARY").is_some()),
        ("network", interfaces()),
        ("other-processes", processes() > PROCESSES_MAX),
        ("capabilities", !says("CapEff", "0000000000000000")),
        ("new-privileges", !says("NoNewPrivs", "1")),
        ("system-calls", !says("Seccomp", "2")),
        ("netlink", socket(AddressFamily::NETLINK)),
        // On a virtual machine a channel to its host, which no namespace covers.
        ("vsock", socket(AddressFamily::VSOCK)),
    ];
    probes.into_iter().filter(|(_, open)| *open).map(|(name, _)| name).collect()
}

/// Whether there is any interface but the loopback.
fn interfaces() -> bool {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    table.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| name.trim() != "lo")
}

fn processes() -> usize {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count()
}
