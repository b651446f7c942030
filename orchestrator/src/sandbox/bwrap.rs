//! Bubblewrap, proven by a canary before anything runs.
//!
//! A tmpfs root with the system's programs and libraries bound read-only, every namespace unshared, no capability,
//! no new user namespace, a clean environment; inside it the shim of [`super::shim`] closes what that leaves open.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::process::Command;

use super::output::Bounded;
use super::shim::{self, Order, Walls};
use super::toolchains::Toolchains;
use super::{Job, Outcome, Refusal, Sandbox, SandboxError};

/// Space in `/tmp` inside.
const TMP_BYTES_MAX: u64 = 256 << 20;
/// Wall time of the canary.
const CANARY_MS_MAX: u64 = 10_000;
/// Bytes read from a command's pipe at once.
const READ_BYTES: usize = 16 << 10;
/// Processors that one process may keep busy for all of its time.
const CPUS_MAX: u64 = 8;
/// Where the shim's program is inside.
const SHIM: &str = "/edvac-shim";

/// The sandbox of this machine.
#[derive(Debug)]
pub struct BwrapSandbox {
    program: PathBuf,
    /// This program, which is the shim when it is started as such.
    shim: PathBuf,
    toolchains: Toolchains,
}

impl BwrapSandbox {
    /// Finds bubblewrap and proves that it holds.
    pub async fn open() -> Result<Self, Refusal> {
        let Some(program) = on_path("bwrap") else {
            return Err(Refusal {
                why: "there is no sandbox: bubblewrap (bwrap) is not installed.".to_owned(),
                fix: "Install it: apt install bubblewrap, dnf install bubblewrap or pacman -S bubblewrap."
                    .to_owned(),
            });
        };
        let toolchains = tokio::task::spawn_blocking(Toolchains::find).await.unwrap_or_default();
        let shim = std::env::current_exe().map_err(|e| Refusal {
            why: format!("there is no sandbox: where this program lies is not known ({e})."),
            fix: "Start edvac by its full path.".to_owned(),
        })?;
        let sandbox = Self { program, shim, toolchains };
        sandbox.prove().await?;
        Ok(sandbox)
    }

    /// Runs the canary: a sandbox that starts but does not hold is none.
    async fn prove(&self) -> Result<(), Refusal> {
        let broken = |why: String| {
            Refusal {
            why: format!("bubblewrap does not hold here: {why}."),
            fix: "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or an AppArmor \
                  profile for bwrap) and Landlock (Linux 5.13 or later, named in lsm= if that is set); inside a \
                  container, run it with --security-opt seccomp=unconfined."
                .to_owned(),
        }
        };
        let dir = tempfile::tempdir().map_err(|e| broken(format!("no scratch directory: {e}")))?;
        let witness = tempfile::NamedTempFile::new().map_err(|e| broken(format!("no scratch file: {e}")))?;
        let command = [shim::PROBE, &witness.path().to_string_lossy()].map(str::to_owned);
        let job = Job { time_ms_max: CANARY_MS_MAX, ..Job::new(command.to_vec(), dir.path().to_owned()) };
        let ran = self.run(&job).await.map_err(|e| broken(e.0))?;
        let said = ran.output.trim().replace('\n', ", ");
        match ran.exit_status {
            Some(0) if said.is_empty() && dir.path().join("ok").exists() => Ok(()),
            Some(0) => Err(broken(said)),
            _ => Err(broken(if said.is_empty() { "it did not start".to_owned() } else { said })),
        }
    }

    fn command(&self, job: &Job) -> Command {
        let mut command = Command::new(&self.program);
        command.args([
            "--unshare-all",
            "--unshare-user",
            "--disable-userns",
            "--die-with-parent",
            "--new-session",
        ]);
        command.args(["--cap-drop", "ALL", "--hostname", "edvac", "--clearenv"]);
        for dir in ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"] {
            match std::fs::read_link(dir) {
                Ok(target) => command.arg("--symlink").arg(target).arg(dir),
                Err(_) => command.args(["--ro-bind-try", dir, dir]),
            };
        }
        for path in ["/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"] {
            command.args(["--ro-bind-try", path, path]);
        }
        command.args([
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--size",
            &TMP_BYTES_MAX.to_string(),
            "--tmpfs",
            "/tmp",
        ]);
        command.arg("--ro-bind").arg(&self.shim).arg(SHIM);
        for prefix in &self.toolchains.prefixes {
            command.arg("--ro-bind").arg(prefix).arg(prefix);
        }
        command.arg("--bind").arg(&job.dir).arg("/project").args(["--chdir", "/project"]);
        for (host, inside) in &job.writable {
            command.arg("--bind").arg(host).arg(inside);
        }
        let path: Vec<_> = self.toolchains.path.iter().map(|p| p.to_string_lossy()).collect();
        for (name, value) in [
            ("PATH", path.join(":").as_str()),
            ("HOME", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("TZ", "UTC"),
            // What a test leaves behind must not depend on the interpreter's moods.
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONHASHSEED", "0"),
            ("NO_COLOR", "1"),
        ] {
            command.args(["--setenv", name, value]);
        }
        for (name, value) in &job.env {
            command.args(["--setenv", name, value]);
        }
        command.args(["--", SHIM, shim::ARGUMENT]).args(&job.command);
        // The canary looks for it inside, where nothing of this environment may be.
        command.env("EDVAC_CANARY", "1");
        command
    }
}

/// What a job is held in.
fn walls(job: &Job) -> Walls {
    let inside = job.writable.iter().map(|(_, inside)| PathBuf::from(inside));
    Walls {
        writable: ["/project", "/tmp", "/dev/shm"].map(PathBuf::from).into_iter().chain(inside).collect(),
        file_bytes_max: job.file_bytes_max,
        processes_max: u64::from(job.processes_max),
        memory_bytes_max: job.memory_bytes_max,
        // All of the wall time on this many processors.
        cpu_s_max: (job.time_ms_max / 1000 + 1) * CPUS_MAX,
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file() && p.is_absolute())
}

#[async_trait]
impl Sandbox for BwrapSandbox {
    async fn run(&self, job: &Job) -> Result<Outcome, SandboxError> {
        let failed = |e: std::io::Error| SandboxError(e.to_string());
        let begun = Instant::now();
        let (mut reader, writer) = std::io::pipe().map_err(failed)?;
        let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
        let walls = serde_json::to_vec(&Order { walls: walls(job), service: job.service.clone() })
            .map_err(|e| SandboxError(e.to_string()))?;
        ours.write_all(&walls).and_then(|()| ours.shutdown(Shutdown::Write)).map_err(failed)?;
        let mut command = self.command(job);
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(writer.try_clone().map_err(failed)?)
            .stderr(writer)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        // It still holds the pipe's writing end, without which the reader would see no end.
        drop(command);
        let bytes_max = job.output_bytes_max;
        let reading = tokio::task::spawn_blocking(move || {
            let mut kept = Bounded::new(bytes_max);
            let mut buffer = vec![0; READ_BYTES];
            // Ends when the last process that could write has ended.
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                kept.push(&buffer[..read]);
            }
            kept.text()
        });
        let waited = tokio::time::timeout(Duration::from_millis(job.time_ms_max), child.wait()).await;
        let (status, timed_out) = if let Ok(status) = waited {
            (status.map_err(failed)?.code(), false)
        } else {
            // Killing bubblewrap kills its process namespace, and with it everything inside.
            child.kill().await.map_err(failed)?;
            (None, true)
        };
        let output = reading.await.map_err(|e| SandboxError(e.to_string()))?;
        // Everyone who could have written has ended.
        let mut said = String::new();
        ours.read_to_string(&mut said).map_err(failed)?;
        let Some(word) = said.strip_prefix(shim::READY).or(timed_out.then_some("")) else {
            return Err(SandboxError(output.trim().to_owned()));
        };
        Ok(Outcome {
            exit_status: status,
            limit: timed_out.then_some(edvac_memory::verdict::Limit::WallTime),
            resources: edvac_memory::verdict::Resources::default(),
            served: serde_json::from_str(word).ok(),
            output,
            duration_ms: begun.elapsed().as_millis() as u64,
        })
    }

    fn has(&self, program: &str) -> bool {
        if Path::new(program).is_absolute() {
            return Path::new(program).exists();
        }
        self.toolchains.path.iter().any(|dir| dir.join(program).exists())
    }
}

#[cfg(test)]
#[path = "bwrap_tests.rs"]
mod tests;
