use super::*;
use crate::sandbox::become_command_if_asked;

/// The test program is the shim, too, when it is started as such: before the tests begin.
#[ctor::ctor]
fn shim() {
    if let Some(code) = become_command_if_asked() {
        std::process::exit(code.into());
    }
}

async fn sandbox() -> BwrapSandbox {
    match BwrapSandbox::open().await {
        Ok(sandbox) => sandbox,
        Err(refusal) => panic!("{} {}", refusal.why, refusal.fix),
    }
}

fn job(dir: &Path, script: &str) -> Job {
    Job::new(["sh", "-c", script].map(str::to_owned).to_vec(), dir.to_owned())
}

#[tokio::test]
async fn the_workspace_is_the_only_thing_that_changes() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let secret = tempfile::NamedTempFile::new().unwrap();
    let script = format!(
        "echo made > made; cat {0} 2>&1; echo x > {0}; ls /root /home 2>&1; cat /etc/shadow 2>&1; id -u",
        secret.path().display()
    );
    let ran = sandbox.run(&job(dir.path(), &script)).await.unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("made")).unwrap(), "made\n");
    assert_eq!(std::fs::read_to_string(secret.path()).unwrap(), "");
    assert!(ran.output.matches("No such file").count() >= 3, "{}", ran.output);
}

#[tokio::test]
async fn there_is_no_network() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("python3 -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 2)\"");
    let ran = sandbox.run(&job(dir.path(), &script)).await.unwrap();
    assert_eq!(ran.exit_status, Some(1), "{}", ran.output);
    assert!(ran.output.contains("refused") || ran.output.contains("unreachable"), "{}", ran.output);
}

#[tokio::test]
async fn time_is_bounded_and_nothing_survives() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let script =
        "echo begun; (setsid sh -c 'while true; do echo x >> alive; done' &) ; while true; do :; done";
    let ran = sandbox.run(&Job { time_ms_max: 500, ..job(dir.path(), script) }).await.unwrap();
    assert!(ran.limit.is_some() && ran.exit_status.is_none() && ran.output.starts_with("begun"), "{ran:?}");
    // The pipe was held by every process inside; that its reader ended says that none is left.
}

#[tokio::test]
async fn output_files_and_processes_are_bounded() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let bounded = Job { output_bytes_max: 1000, ..job(dir.path(), "seq 1 100000; exit 3") };
    let ran = sandbox.run(&bounded).await.unwrap();
    assert_eq!(ran.exit_status, Some(3));
    assert!(ran.output.len() < 1200 && ran.output.starts_with("1\n2\n") && ran.output.ends_with("100000\n"));
    let big = Job { file_bytes_max: 1 << 20, ..job(dir.path(), "head -c 3000000 /dev/zero > big; exit 0") };
    sandbox.run(&big).await.unwrap();
    assert!(std::fs::metadata(dir.path().join("big")).unwrap().len() <= 1 << 20);
}

#[tokio::test]
async fn nothing_of_the_environment_is_inside() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let ran = sandbox.run(&job(dir.path(), "env | cut -d= -f1 | sort | tr '\\n' ' '")).await.unwrap();
    assert_eq!(ran.output.trim(), "HOME LANG NO_COLOR PATH PWD PYTHONDONTWRITEBYTECODE PYTHONHASHSEED TZ");
}

#[tokio::test]
async fn the_languages_are_there() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    assert!(sandbox.has("python3") && !sandbox.has("no-such-program"));
    let ran = sandbox
        .run(&job(dir.path(), "python3 --version && node --version && cargo --version"))
        .await
        .unwrap();
    assert_eq!(ran.exit_status, Some(0), "{}", ran.output);
}

/// Ways out, each of which prints its name when it is open.
const WAYS_OUT: &str = r#"
import ctypes, os, platform, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"

def call(name, x86, generic, *args):
    number = generic if arm else x86
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    attempt(name, lambda: libc.syscall(ctypes.c_long(number), *args) >= 0)

def attempt(name, way):
    try:
        if way():
            print(name)
    except OSError:
        pass

def family(name, number, kind=socket.SOCK_DGRAM):
    attempt(name, lambda: socket.socket(number, kind) is not None)

def written(path):
    with open(path, "w") as file:
        file.write("x")
    os.remove(path)
    return True

memory = ctypes.create_string_buffer(4096)
family("netlink", 16)
family("packet", 17)
family("vsock", 40)
family("alg", 38, socket.SOCK_SEQPACKET)
family("raw", socket.AF_INET, socket.SOCK_RAW)
call("io_uring", 425, 425, 4, memory)
call("userfaultfd", 323, 282, 1)
call("keyctl", 250, 219, 0, -1, 1)
call("add_key", 248, 217, b"user", b"edvac", b"x", 1, -1)
call("bpf", 321, 280, 0, memory, 48)
call("perf_event", 298, 241, memory, 0, -1, -1, 0)
call("process_vm_readv", 310, 270, os.getpid(), memory, 0, memory, 0, 0)
call("kcmp", 312, 272, os.getpid(), os.getpid(), 0, 0, 0)
call("swapoff", 168, 225, b"/nowhere")
call("acct", 163, 89, None)
call("sethostname", 170, 161, b"edvac-way-out", 13)
call("mount", 165, 40, b"none", b"/dev/shm", b"tmpfs", 0, None)
call("chroot", 161, 51, b"/")
call("fsopen", 430, 430, b"tmpfs", 0)
call("open_tree", 428, 428, -100, b"/", 1)
call("syslog", 103, 116, 10, memory, 0)
call("clock_settime", 227, 112, 0, None)
call("modify_ldt", 154, 9999, 0, memory, 16)
attempt("device", lambda: os.mknod("/tmp/edvac-device", 0o20600, os.makedev(1, 3)) is None)
attempt("system", lambda: written("/usr/edvac-way-out"))
attempt("root", lambda: written("/edvac-way-out"))
attempt("etc", lambda: written("/etc/edvac-way-out"))
attempt("home", lambda: bool(os.listdir(sys.argv[1])))
attempt("secret", lambda: bool(open(sys.argv[2]).read()))
attempt("environment", lambda: "EDVAC_SECRET" in os.environ)
def in_child(name, way):
    child = os.fork()
    if child == 0:
        os._exit(0 if way() == 0 else 1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        print(name)

# Being traced by this process, not by whoever started it.
in_child("ptrace", lambda: libc.ptrace(0, 0, 0, 0))
for name, flag in [("user", 0x10000000), ("mount", 0x20000), ("net", 0x40000000), ("pid", 0x20000000)]:
    in_child("namespace-" + name, lambda: libc.unshare(flag))
"#;

/// None of them is open inside, and outside enough are for that to mean something.
#[tokio::test]
async fn there_is_no_way_out() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let mut command = ["python3", "-c", WAYS_OUT].map(str::to_owned).to_vec();
    command.extend([home.path(), &secret].map(|path| path.display().to_string()));
    let outside = std::process::Command::new("unshare")
        // Its own namespaces, so that those that are open change nothing of this machine.
        .args(["--mount", "--uts", "--"])
        .args(&command)
        .env("EDVAC_SECRET", "1")
        .output();
    let ran = sandbox.run(&Job::new(command, dir.path().to_owned())).await.unwrap();
    assert_eq!((ran.exit_status, ran.output.as_str()), (Some(0), ""));
    // Only root may take a namespace for the comparison without one for users, which would close ways by itself.
    if let Some(outside) = outside.ok().filter(|out| out.status.success()) {
        let open = String::from_utf8_lossy(&outside.stdout).lines().count();
        assert!(open >= 20, "{open} ways are open outside: {outside:?}");
    }
}

#[tokio::test]
async fn memory_is_bounded() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let script = "python3 -c \"bytearray(1 << 30)\"";
    let ran = sandbox.run(&Job { memory_bytes_max: 256 << 20, ..job(dir.path(), script) }).await.unwrap();
    assert!(ran.exit_status == Some(1) && ran.output.contains("MemoryError"), "{ran:?}");
    let ran = sandbox.run(&job(dir.path(), script)).await.unwrap();
    assert_eq!(ran.exit_status, Some(0), "{ran:?}");
}

#[tokio::test]
async fn what_does_not_say_that_the_walls_hold_did_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let BwrapSandbox { program, toolchains, .. } = sandbox().await;
    let without = BwrapSandbox { program, toolchains, shim: PathBuf::from("/bin/true") };
    let ran = without.run(&job(dir.path(), "touch ran")).await;
    assert!(ran.is_err() && !dir.path().join("ran").exists(), "{ran:?}");
    assert!(without.prove().await.is_err());
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    let (sandbox, dir) = (sandbox().await, tempfile::tempdir().unwrap());
    let ran =
        sandbox.run(&Job::new(vec!["no-such-program".to_owned()], dir.path().to_owned())).await.unwrap();
    assert!(ran.exit_status == Some(127) && ran.output.contains("no-such-program"), "{ran:?}");
}
