//! Where no namespaces can be had: the walls of [`super::shim`] alone, higher than inside bubblewrap.
//!
//! Nothing may be read but the system's programs and libraries, languages' installations and the job's own directories;
//! there are no sockets but pairs; where edvac is root, the command is another user, and where it is not, nothing may
//! change modes, owners, times or attributes of files, which Landlock does not see. Landlock must be of version 6 or
//! later, or signals would reach others. Names and sizes of files that cannot be read can still be asked for.
//!
//! What does not work here and does inside bubblewrap: TCP on a loopback, named semaphores and shared memory of POSIX,
//! `/proc/self`, and for users other than root building programs with a linker, which makes them executable by mode.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::canary::{self, Unproven};
use super::filter::{Calls, Sockets};
use super::held::Failed;
use super::shim::Walls;
use super::stage::{Stage, is_reachable};
use super::toolchains::Toolchains;
use super::{Job, Level, Outcome, Sandbox, SandboxError};

/// The user and group that commands are where edvac is root: nobody.
pub(super) const NOBODY: u32 = 65_534;
/// What may be read besides languages' installations.
const READABLE: [&str; 16] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/lib32",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    // Without them Node.js does not start where it can see that they are there.
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/sys/devices/system/cpu",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/sys/vm/overcommit_memory",
];
/// Devices without a machine behind them.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Programs that need what is refused to users other than root.
const BUILDERS: [&str; 4] = ["cargo", "rustc", "gcc", "cc"];

/// The walls alone.
#[derive(Debug)]
pub struct BehindSandbox {
    /// This program, which is the keeper and the shim when it is started as such.
    shim: PathBuf,
    toolchains: Toolchains,
    /// The user that commands become.
    user: Option<u32>,
}

impl BehindSandbox {
    /// The walls of this machine, if the canary finds that they hold.
    pub(super) async fn open(shim: PathBuf, mut toolchains: Toolchains) -> Result<Self, Unproven> {
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            let hidden = |path: &Path| !is_reachable(&path.join("x"));
            toolchains.path.retain(|path| !hidden(path));
            toolchains.prefixes.retain(|path| !hidden(path));
        }
        let sandbox = Self { shim, toolchains, user: is_root.then_some(NOBODY) };
        canary::prove(Level::Behind, async |job| sandbox.hold(&job).await).await?;
        Ok(sandbox)
    }

    async fn hold(&self, job: &Job) -> Result<Outcome, Failed> {
        let stage = Stage::set(job, self.user)?;
        let walls = Walls {
            writable: stage.writable(),
            readable: existing(&READABLE)
                .chain(self.toolchains.prefixes.iter().cloned())
                .chain(stage.readable())
                .collect(),
            devices: existing(&DEVICES).collect(),
            calls: Calls { sockets: Sockets::Pairs, others: true, owner: self.user.is_none() },
            alone: true,
            user: self.user,
            ..Walls::of(job)
        };
        stage.run(&self.shim, &self.toolchains, &walls).await
    }
}

fn existing(paths: &[&'static str]) -> impl Iterator<Item = PathBuf> {
    paths.iter().map(PathBuf::from).filter(|path| path.exists())
}

#[async_trait]
impl Sandbox for BehindSandbox {
    async fn run(&self, job: &Job) -> Result<Outcome, SandboxError> {
        Ok(self.hold(job).await?)
    }

    fn level(&self) -> Level {
        Level::Behind
    }

    fn has(&self, program: &str) -> bool {
        (self.user.is_some() || !BUILDERS.contains(&program)) && self.toolchains.have(program)
    }
}
