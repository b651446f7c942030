//! Ways out, tried by root and by an ordinary user, on both levels, and outside for comparison.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::*;

const WAYS_OUT: &str = include_str!("ways_out.py");
/// Fewer would say too little.
const WAYS_MIN: usize = 60;
/// Says to this test that it runs as the ordinary user that another starts it as.
const AS_USER: &str = "EDVAC_TEST_AS_USER";

/// Ways that need something which not every machine has: closed outside, too, they say nothing, and that is no fault.
const NEEDY: &[(&str, &str)] = &[
    ("device-kvm", "needs a processor's virtualisation"),
    ("device-vsock", "needs a virtual machine"),
    ("device-mem", "may be left out of the kernel"),
    ("device-loop0", "needs the loop driver"),
    ("device-loop-control", "needs the loop driver"),
    ("device-fuse", "needs FUSE"),
    ("device-net/tun", "needs the TUN driver"),
    ("device-kmsg", "may be closed in a container"),
    ("socket-vsock", "needs a virtual machine"),
    ("socket-alg", "may be left out of the kernel"),
    ("interfaces", "needs a network"),
    ("kexec", "may be left out of the kernel"),
    ("module", "may be left out of the kernel"),
    ("module-of-file", "may be left out of the kernel"),
    ("x32", "is left out of most kernels"),
    ("others-memory", "is closed to all but root by some settings"),
    ("trace-other", "is closed to all but root by some settings"),
    ("cgroup", "needs a writable hierarchy"),
    ("sysfs", "may be left out of the kernel"),
    ("bpf", "may be left out of the kernel"),
    ("io_uring", "is closed by some settings"),
    ("io_uring-enter", "is closed by some settings"),
    ("perf-event", "is closed by some settings"),
    ("userfaultfd", "may be left out of the kernel"),
    ("ports", "is closed by a locked-down kernel"),
    ("port", "is closed by a locked-down kernel"),
    ("descriptor-table", "may be left out of the kernel"),
    ("accounting", "may be left out of the kernel"),
    ("kcmp", "may be left out of the kernel"),
    ("migrate-pages", "may be left out of the kernel"),
    ("fanotify", "may be left out of the kernel"),
    ("limits", "needs a capability that containers leave out"),
    ("spared-by-oom", "needs a capability that containers leave out"),
    ("sysrq", "may be left out of the kernel"),
    ("attribute", "needs a file system with attributes"),
];

/// What there is outside to be reached.
struct Outside {
    home: tempfile::TempDir,
    helper: Child,
    inherited: OwnedFd,
    at: serde_json::Value,
    _shm: tempfile::NamedTempFile,
    _tmp: tempfile::NamedTempFile,
}

impl Outside {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let file = |name: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, "secret of the host").unwrap();
            path
        };
        let (secret, victim, removable) = (file("secret"), file("victim"), file("removable"));
        file("movable");
        let marked = |dir: &str| {
            let mut file = tempfile::NamedTempFile::new_in(dir).unwrap();
            file.write_all(b"marked").unwrap();
            file
        };
        let (shm, tmp) = (marked("/dev/shm"), marked("/tmp"));
        let helper = Command::new("sleep")
            .arg("60")
            .env("EDVAC_SECRET", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Without the flag that closes it in children.
        let inherited = rustix::io::dup(std::fs::File::open(&secret).unwrap()).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (tcp_port, udp_port) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
        let unix = home.path().join("agent.sock");
        let name = format!("edvac-{}-{tcp_port}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let listeners =
            [UnixListener::bind(&unix).unwrap(), UnixListener::bind_addr(&abstract_name).unwrap()];
        std::fs::set_permissions(&unix, std::fs::Permissions::from_mode(0o777)).unwrap();
        let cgroup = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let at = json!({
            "home": home.path(), "secret": secret, "victim": victim, "removable": removable,
            "helper": helper.id(), "tmp": tmp.path(), "shm": shm.path(), "unix": unix, "abstract": name,
            "tcp": tcp_port, "udp": udp_port, "descriptor": inherited.as_raw_fd(), "descriptor_bytes": 18,
            "cgroup": cgroup.iter().find(|dir| Path::new(dir).is_dir()),
        });
        std::thread::spawn(move || tcp.incoming().flatten().for_each(answer));
        for listener in listeners {
            std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
        }
        std::thread::spawn(move || {
            while let Ok((_, from)) = udp.recv_from(&mut [0; 8]) {
                let _ = udp.send_to(b"!", from);
            }
        });
        Self { home, helper, inherited, at, _shm: shm, _tmp: tmp }
    }

    fn command(&self) -> Vec<String> {
        ["python3", "-c", WAYS_OUT, &self.at.to_string()].map(str::to_owned).to_vec()
    }

    /// What is open outside.
    fn control(&self) -> BTreeSet<String> {
        let work = self.home.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let words = self.command();
        let mut command = if rustix::process::geteuid().is_root() {
            let mut apart = Command::new("unshare");
            // Its own names and mounts, so that what is open changes nothing of this machine.
            apart.args(["--mount", "--uts", "--ipc", "--"]).args(&words);
            apart
        } else {
            let mut plain = Command::new(&words[0]);
            plain.args(&words[1..]);
            plain
        };
        let out = command.current_dir(work).env("EDVAC_SECRET", "1").output().unwrap();
        assert!(out.status.success(), "{out:?}");
        let text = String::from_utf8(out.stdout).unwrap();
        text.lines().filter(|line| !line.starts_with("tried ")).map(str::to_owned).collect()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.helper.kill();
        let _ = self.helper.wait();
        let _ = &self.inherited;
    }
}

fn answer(mut stream: impl Read + Write) {
    if stream.read_exact(&mut [0]).is_ok() {
        let _ = stream.write_all(b"!");
    }
}

/// None is open inside, for root and for others, on both levels; and each is open outside to one of them.
#[tokio::test]
async fn there_is_no_way_out() {
    let mut tried = BTreeSet::new();
    for sandbox in both().await {
        let (outside, dir) = (Outside::new(), tempfile::tempdir().unwrap());
        let ran = sandbox.run(&Job::new(outside.command(), dir.path().to_owned())).await.unwrap();
        let user = rustix::process::geteuid().as_raw();
        let (open, all) = ran.output.split_once("tried ").unwrap_or_else(|| panic!("{ran:?}"));
        assert_eq!((open, ran.exit_status), ("", Some(0)), "open to user {user} at {:?}", sandbox.level());
        tried = all.split_whitespace().map(str::to_owned).collect();
    }
    assert!(tried.len() >= WAYS_MIN, "{} ways", tried.len());
    let mut alive = Outside::new().control();
    if std::env::var_os(AS_USER).is_some() {
        println!("alive {}", Vec::from_iter(alive).join(" "));
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("not tried as root, and not compared with what is open to root: this is no root");
        return;
    }
    alive.extend(as_user("sandbox::contract_tests::escape::there_is_no_way_out"));
    let closed: Vec<_> = tried.difference(&alive).collect();
    let (needy, dead): (Vec<&String>, Vec<_>) =
        closed.into_iter().partition(|way| NEEDY.iter().any(|(name, _)| name == *way));
    for way in &needy {
        let why = NEEDY.iter().find(|(name, _)| name == *way).map_or("", |(_, why)| why);
        println!("{way} is closed outside, too: it {why}");
    }
    assert!(dead.is_empty(), "closed outside, too: {dead:?}");
    println!("{} ways, {} of them open outside", tried.len(), tried.len() - needy.len());
}

/// Runs a test of these as an ordinary user; gives the words of its line `alive`.
fn as_user(test: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // Where everyone can reach it.
    let program = dir.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let out = Command::new(&program)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(AS_USER, "1")
        .env("HOME", "/nonexistent")
        .env_remove("TMPDIR")
        .current_dir("/")
        .uid(behind::NOBODY)
        .gid(behind::NOBODY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "as an ordinary user:\n{text}\n{said}");
    let line = text.lines().find_map(|line| line.split_once("alive ")).map(|(_, all)| all);
    line.map(|all| all.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// What every level promises holds for an ordinary user, too.
#[tokio::test]
async fn the_contract_holds_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        println!("these tests are run as an ordinary user anyway");
        return;
    }
    for test in [
        "the_workspace_is_the_only_thing_that_changes",
        "directories_are_where_they_are_said_to_be",
        "the_pointer_stays",
        "the_languages_are_there",
        "a_loopback_of_its_own",
        "limit::time",
        "limit::a_fork_bomb",
        "limit::memory_of_one_process",
        "limit::memory_of_many_processes",
        "limit::a_flood_of_files",
        "a_command_that_nobody_waits_for_ends",
    ] {
        as_user(&format!("sandbox::contract_tests::{test}"));
    }
}
