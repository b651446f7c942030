//! Bubblewrap, proven by a canary before anything runs.
//!
//! A tmpfs root with the system's programs and libraries bound read-only, every namespace unshared, no capability,
//! no new user namespace, a clean environment; inside it the shim of [`super::shim`] closes what that leaves open.

use std::path::PathBuf;
use std::process::Command;

use async_trait::async_trait;

use super::canary::{self, Unproven};
use super::filter::{Calls, Sockets};
use super::held::{self, Failed, Keeper};
use super::shim::{self, Walls};
use super::toolchains::Toolchains;
use super::{Job, Level, Names, Network, Outcome, Sandbox, SandboxError, plain_environment};

/// Space in `/tmp` and in `/dev/shm` inside.
const TMP_BYTES_MAX: u64 = 256 << 20;
const SHM_BYTES_MAX: u64 = 128 << 20;
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
    /// Bubblewrap at `program`, if the canary finds that it holds.
    pub(super) async fn open(
        program: PathBuf,
        shim: PathBuf,
        toolchains: Toolchains,
    ) -> Result<Self, Unproven> {
        let sandbox = Self { program, shim, toolchains };
        sandbox.prove().await?;
        Ok(sandbox)
    }

    async fn prove(&self) -> Result<(), Unproven> {
        canary::prove(Level::Apart, async |job| self.hold(&job).await).await
    }

    async fn hold(&self, job: &Job) -> Result<Outcome, Failed> {
        held::run(self.command(job), &walls(job), Keeper::Namespace, job, Names::default()).await
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
            // The one that comes with /dev may grow to half of the machine's memory.
            "--size",
            &SHM_BYTES_MAX.to_string(),
            "--tmpfs",
            "/dev/shm",
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
        let pointer = job.dir.join(".git");
        // Read-only, and as a mount neither removed nor renamed. Bound where it is one: bubblewrap follows a symlink,
        // which an earlier command may have left.
        if std::fs::symlink_metadata(&pointer).is_ok_and(|meta| meta.is_file() || meta.is_dir()) {
            command.arg("--ro-bind").arg(pointer).arg("/project/.git");
        }
        for (host, inside) in &job.writable {
            command.arg("--bind").arg(host).arg(inside);
        }
        for (host, inside) in &job.readable {
            command.arg("--ro-bind").arg(host).arg(inside);
        }
        for (name, value) in plain_environment(&self.toolchains, &job.path, PathBuf::from("/tmp")) {
            command.arg("--setenv").arg(name).arg(value);
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
        readable: vec![PathBuf::from("/")],
        devices: vec![PathBuf::from("/dev")],
        calls: Calls {
            sockets: match job.network {
                Network::Loopback => Sockets::Loopback,
                Network::None => Sockets::Files,
            },
            others: false,
            owner: false,
        },
        alone: false,
        user: None,
        ..Walls::of(job)
    }
}

#[async_trait]
impl Sandbox for BwrapSandbox {
    async fn run(&self, job: &Job) -> Result<Outcome, SandboxError> {
        Ok(self.hold(job).await?)
    }

    fn level(&self) -> Level {
        Level::Apart
    }

    fn has(&self, program: &str) -> bool {
        self.toolchains.have(program)
    }
}
