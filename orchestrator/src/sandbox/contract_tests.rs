//! What both levels promise, tried on both. Where these tests are root, the walls alone hold another user.

use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

#[path = "escape_tests.rs"]
mod escape;
#[path = "limit_tests.rs"]
mod limit;

/// The test program is the shim and the keeper, too, when it is started as such: before the tests begin.
#[ctor::ctor]
fn shim() {
    if let Some(code) = become_command_if_asked() {
        std::process::exit(code.into());
    }
}

async fn apart() -> BwrapSandbox {
    let shim = std::env::current_exe().unwrap();
    BwrapSandbox::open(on_path("bwrap").unwrap(), shim, Toolchains::find()).await.unwrap()
}

async fn behind() -> BehindSandbox {
    BehindSandbox::open(std::env::current_exe().unwrap(), Toolchains::find()).await.unwrap()
}

async fn both() -> [Box<dyn Sandbox>; 2] {
    [Box::new(apart().await), Box::new(behind().await)]
}

fn job(dir: &Path, script: &str) -> Job {
    Job::new(["sh", "-c", script].map(str::to_owned).to_vec(), dir.to_owned())
}

fn python(dir: &Path, script: &str) -> Job {
    Job::new(["python3", "-c", script].map(str::to_owned).to_vec(), dir.to_owned())
}

#[tokio::test]
async fn the_best_one_is_opened() {
    assert_eq!(open().await.unwrap().level(), Level::Apart);
}

#[tokio::test]
async fn the_workspace_is_the_only_thing_that_changes() {
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        let script = format!(
            "echo made > made; cat {0}; echo x > {0}; ls /home/; cat /etc/shadow; cat /etc/passwd; true",
            secret.path().display()
        );
        let ran = sandbox.run(&job(dir.path(), &script)).await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("made")).unwrap(), "made\n", "{ran:?}");
        assert_eq!(std::fs::read_to_string(secret.path()).unwrap(), "");
        let refused = ran.output.matches("No such file").count()
            + ran.output.matches("ermission denied").count()
            + ran.output.matches("Directory nonexistent").count();
        assert!(refused >= 4 && ran.output.lines().count() == refused, "{}", ran.output);
    }
}

/// Directories have the same names for everyone, and are whose they were when the command has ended.
#[tokio::test]
async fn directories_are_where_they_are_said_to_be() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    for sandbox in both().await {
        for hidden in [false, true] {
            let top = tempfile::tempdir().unwrap();
            let mode = if hidden { 0o700 } else { 0o755 };
            std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let (work, out) = (top.path().join("work"), top.path().join("out"));
            std::fs::create_dir_all(work.join("d/e")).unwrap();
            std::fs::create_dir(&out).unwrap();
            std::fs::write(work.join("d/e/f"), "f\n").unwrap();
            let script = "cat /project/d/e/f; echo x > /out/x; echo $OUT; echo y > /tmp/y; cat \"$TMPDIR\"/y \
                          /tmp/y; echo more >> d/e/f; pwd; cat /out/none";
            let job = Job {
                writable: vec![(out.clone(), "/out".to_owned())],
                env: vec![("OUT".to_owned(), "/out/x".to_owned()), ("TMPDIR".to_owned(), "/tmp".to_owned())],
                ..job(&work, script)
            };
            let ran = sandbox.run(&job).await.unwrap();
            assert_eq!(ran.output, "f\n/out/x\ny\ny\n/project\ncat: /out/none: No such file or directory\n");
            assert_eq!(std::fs::read_to_string(out.join("x")).unwrap(), "x\n");
            assert_eq!(std::fs::read_to_string(work.join("d/e/f")).unwrap(), "f\nmore\n");
            let own = rustix::process::geteuid().as_raw();
            for path in [&work, &out, &work.join("d/e/f"), &out.join("x")] {
                let owner = std::fs::metadata(path).unwrap().uid();
                assert_eq!(owner, own, "{}", path.display());
            }
        }
    }
}

/// What is shown read-only is found under its name, and from the project upwards, and stays as it is; also where it is hidden
/// from the user that a command becomes.
#[tokio::test]
async fn what_can_only_be_read_is_not_written() {
    use std::os::unix::fs::PermissionsExt;
    for sandbox in both().await {
        for hidden in [false, true] {
            let top = tempfile::tempdir().unwrap();
            let (work, shown) = (top.path().join("work"), top.path().join("host"));
            for dir in [&work, &shown.join("d"), &shown.join("bin")] {
                std::fs::create_dir_all(dir).unwrap();
            }
            std::fs::write(shown.join("d/f"), "f\n").unwrap();
            std::fs::write(shown.join("bin/tool"), "#!/bin/sh\necho tool\n").unwrap();
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(shown.join("bin/tool"), executable).unwrap();
            std::os::unix::fs::symlink("d/f", shown.join("link")).unwrap();
            let mode = if hidden { 0o700 } else { 0o755 };
            std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let script = "cat /shown/d/f ../shown/link $SHOWN/d/f; tool; \
                for f in /shown/d/f /shown/new ../shown/d/f ../shown/bin/tool; do echo x > $f; done; \
                rm -f /shown/d/f; mv /shown/d /shown/e; chmod 777 /shown/d; ln -s x /shown/d/l; true";
            let job = Job {
                readable: vec![(shown.clone(), "/shown".to_owned())],
                path: vec!["/shown/bin".to_owned()],
                env: vec![("SHOWN".to_owned(), "/shown".to_owned())],
                ..job(&work, script)
            };
            let ran = sandbox.run(&job).await.unwrap();
            assert!(ran.output.starts_with("f\nf\nf\ntool\n"), "{}", ran.output);
            assert_eq!(std::fs::read_to_string(shown.join("d/f")).unwrap(), "f\n", "{}", ran.output);
            let mut left: Vec<_> =
                std::fs::read_dir(&shown).unwrap().flatten().map(|e| e.file_name()).collect();
            left.sort();
            assert_eq!(left, ["bin", "d", "link"], "{}", ran.output);
            assert_eq!(std::fs::read_dir(shown.join("d")).unwrap().count(), 1);
            assert_eq!(std::fs::metadata(shown.join("d")).unwrap().permissions().mode() & 0o022, 0);
            let mut beside: Vec<_> =
                std::fs::read_dir(top.path()).unwrap().flatten().map(|e| e.file_name()).collect();
            beside.sort();
            assert_eq!(beside, ["host", "work"], "no name is left behind");
        }
    }
}

/// The pointer to the repository can be read, and is what it was.
#[tokio::test]
async fn the_pointer_stays() {
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let pointer = dir.path().join(".git");
        std::fs::write(&pointer, "gitdir: /somewhere\n").unwrap();
        let script =
            "cat .git; echo x > .git; rm -f .git; mv .git other; mkdir .git; ln -sf /etc .git; cat .git";
        let ran = sandbox.run(&job(dir.path(), script)).await.unwrap();
        assert!(ran.output.starts_with("gitdir: /somewhere\n"), "{}", ran.output);
        if sandbox.level() == Level::Apart {
            assert!(ran.output.ends_with("gitdir: /somewhere\n"), "{}", ran.output);
            assert!(!dir.path().join("other").exists());
        }
        assert_eq!(std::fs::read_to_string(&pointer).unwrap(), "gitdir: /somewhere\n");
        assert!(std::fs::symlink_metadata(&pointer).unwrap().is_file());
        // A link that an earlier command left is not followed by whoever binds.
        std::fs::remove_file(&pointer).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &pointer).unwrap();
        let ran = sandbox.run(&job(dir.path(), "cat .git")).await.unwrap();
        assert!(ran.exit_status != Some(0) && !ran.output.contains("root:"), "{ran:?}");
    }
}

#[tokio::test]
async fn nothing_of_the_environment_is_inside() {
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let ran =
            sandbox.run(&job(dir.path(), "env | cut -d= -f1 | grep -v TMPDIR | sort | tr '\\n' ' '")).await;
        let expected = "HOME LANG NO_COLOR PATH PWD PYTHONDONTWRITEBYTECODE PYTHONHASHSEED TZ";
        assert_eq!(ran.unwrap().output.trim(), expected);
    }
}

#[tokio::test]
async fn the_languages_are_there() {
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        assert!(sandbox.has("python3") && !sandbox.has("no-such-program"));
        let script = "python3 -c 'import asyncio, subprocess, tempfile; tempfile.mkdtemp(); \
                      asyncio.run(asyncio.sleep(0)); print(subprocess.run([\"echo\", \"hi\"]).returncode)' && \
                      node -e 'require(\"child_process\").execSync(\"true\")' && node --test";
        let ran = sandbox.run(&job(dir.path(), script)).await.unwrap();
        assert_eq!(ran.exit_status, Some(0), "{}", ran.output);
        // One that lies in a home that others may not enter is not there for another user.
        if sandbox.has("cargo") {
            let script = "mkdir src; echo '[package]\nname = \"x\"\nedition = \"2021\"' > Cargo.toml; \
                          echo '#[test] fn t() {}' > src/lib.rs; cargo test --offline --quiet";
            let job = Job {
                env: vec![("CARGO_HOME".to_owned(), "/tmp/cargo".to_owned())],
                ..job(dir.path(), script)
            };
            let ran = sandbox.run(&job).await.unwrap();
            assert_eq!(ran.exit_status, Some(0), "{}", ran.output);
        }
    }
}

const LISTENER: &str = "
import socket, sys, threading
server = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=lambda: server.accept()[0].sendall(b'heard')).start()
print(socket.create_connection(server.getsockname(), 5).recv(5).decode())
";

/// A job's own processes talk with each other over a loopback that is nobody else's.
#[tokio::test]
async fn a_loopback_of_its_own() {
    let (sandbox, dir) = (apart().await, tempfile::tempdir().unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = sandbox.run(&python(dir.path(), LISTENER)).await.unwrap();
    assert_eq!((ran.exit_status, ran.output.as_str()), (Some(0), "heard\n"));
    let none = Job { network: Network::None, ..python(dir.path(), LISTENER) };
    for (sandbox, job) in both().await.into_iter().zip([&none, &python(dir.path(), LISTENER)]) {
        let ran = sandbox.run(job).await.unwrap();
        assert!(ran.exit_status == Some(1) && ran.output.contains("PermissionError"), "{ran:?}");
    }
    let ours = listener.local_addr().unwrap().port();
    let script = format!("import socket; socket.create_connection(('127.0.0.1', {ours}), 2)");
    for sandbox in both().await {
        let ran = sandbox.run(&python(dir.path(), &script)).await.unwrap();
        assert_eq!(ran.exit_status, Some(1), "{}", ran.output);
        assert!(
            ["refused", "unreachable", "not permitted"].iter().any(|w| ran.output.contains(w)),
            "{}",
            ran.output
        );
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}

#[tokio::test]
async fn what_does_not_say_that_the_walls_hold_did_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let program = on_path("bwrap").unwrap();
    let nothing = || PathBuf::from("/bin/true");
    assert!(BwrapSandbox::open(program, nothing(), Toolchains::find()).await.is_err());
    assert!(BehindSandbox::open(nothing(), Toolchains::find()).await.is_err());
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    for sandbox in both().await {
        let dir = tempfile::tempdir().unwrap();
        let nobody = Job::new(vec!["no-such-program".to_owned()], dir.path().to_owned());
        let ran = sandbox.run(&nobody).await.unwrap();
        assert!(ran.exit_status == Some(127) && ran.output.contains("no-such-program"), "{ran:?}");
    }
}

#[tokio::test]
async fn what_is_left_is_read_only_where_it_is_a_plain_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("plain"), "plain").unwrap();
    std::os::unix::fs::symlink(at("plain"), at("link")).unwrap();
    assert_eq!(read_left(&at("plain"), 3), Some(b"pla".to_vec()));
    assert_eq!(read_left(&at("link"), 100), None);
    let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
    assert!(made.success() && read_left(&at("fifo"), 100).is_none() && read_left(dir.path(), 9).is_none());
}

/// Leaves whatever it can behind: daemons that lost their parents, ignore signals, hold files and go on writing.
const LEAVER: &str = "
(trap '' HUP INT TERM; setsid sh -c 'trap \"\" HUP INT TERM; exec 9>held; exec >/dev/null 2>&1; sleep 3600' &) &
(setsid sh -c 'exec >/dev/null 2>&1; (while :; do echo x >> written; sleep 1; done) & exit 0' &)
nohup sleep 3601 >/dev/null 2>&1 &
exit 7
";

/// The state of this machine that must be as before: mounts, and our own processes.
fn left(mark: &str) -> (String, Vec<String>) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let own = std::process::id().cast_signed();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let processes = pids.filter_map(|pid| {
        let process = proc::process(pid)?;
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let here = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let ours = line.contains(mark) || here.to_string_lossy().contains(mark);
        // A zombie has no command line.
        (ours || (process.parent == own && process.ended)).then(|| format!("{pid} {line} {}", here.display()))
    });
    (mounts, processes.filter(|p| !p.starts_with(&format!("{own} "))).collect())
}

/// A thousand commands leave nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives() {
    const EACH: usize = 500;
    const LOOKS_MAX: usize = 20;
    let top = tempfile::Builder::new().prefix("edvac-survivors-").tempdir().unwrap();
    let mark = top.path().file_name().unwrap().to_string_lossy().into_owned();
    let (mounts, _) = left(&mark);
    for sandbox in both().await.map(Arc::<dyn Sandbox>::from) {
        let mut running = tokio::task::JoinSet::new();
        for number in 0..EACH {
            if running.len() == 6 {
                running.join_next().await.unwrap().unwrap();
            }
            let (sandbox, dir) = (sandbox.clone(), top.path().join(format!("{number}")));
            running.spawn(async move {
                std::fs::create_dir_all(&dir).unwrap();
                let ran = sandbox.run(&job(&dir, LEAVER)).await.unwrap();
                assert_eq!(ran.exit_status, Some(7), "{ran:?}");
                std::fs::remove_dir_all(&dir).unwrap();
            });
        }
        running.join_all().await;
        // Another test of this process may just have a command that ended and was not waited for yet.
        let looks = (0..LOOKS_MAX).map(|_| left(&mark));
        let (after, processes) =
            looks.reduce(|first, next| if first.1.is_empty() { first } else { next }).unwrap();
        assert_eq!(processes, Vec::<String>::new());
        assert_eq!(after, mounts);
    }
    assert!(std::fs::read_dir(top.path()).unwrap().next().is_none());
}

/// Whoever does not wait for a command has ended it.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_nobody_waits_for_ends() {
    for sandbox in both().await.map(Arc::<dyn Sandbox>::from) {
        let top = tempfile::Builder::new().prefix("edvac-dropped-").tempdir().unwrap();
        let mark = top.path().file_name().unwrap().to_string_lossy().into_owned();
        let (begun, dir) = (top.path().join("begun"), top.path().to_owned());
        let running = {
            let sandbox = sandbox.clone();
            tokio::spawn(async move {
                sandbox.run(&job(&dir, "setsid sleep 3602 & echo x > begun; sleep 3603")).await
            })
        };
        let patience = Instant::now() + Duration::from_secs(20);
        while !begun.exists() {
            assert!(Instant::now() < patience);
            tokio::task::yield_now().await;
        }
        running.abort();
        while !left(&mark).1.is_empty() {
            assert!(Instant::now() < patience, "{:?}", left(&mark));
            tokio::task::yield_now().await;
        }
    }
}
