//! Commands of edvac's own that need the network: package managers. No code of a model's, a project's or a package's is run
//! by them; still they can write to nothing but their directory, use only so much, and end with edvac.

use std::path::PathBuf;
use std::process::Command;

use super::filter::{Calls, Sockets};
use super::held::{self, Keeper};
use super::shim::Walls;
use super::{Job, Names, Outcome, SandboxError, keeper};

/// Runs a job's command in its directory, with the job's environment and nothing else of it, and with the machine's network.
/// `bare` leaves out the walls, for a machine that has none.
pub async fn fetch(job: &Job, bare: bool) -> Result<Outcome, SandboxError> {
    let shim = super::this_program().map_err(|refusal| SandboxError(refusal.why))?;
    let mut command = Command::new(shim);
    command.arg(keeper::ARGUMENT).args(&job.command).current_dir(&job.dir);
    command.env_clear().envs(job.env.iter().map(|(name, value)| (name, value)));
    let walls = Walls {
        writable: vec![job.dir.clone()],
        readable: vec![PathBuf::from("/")],
        devices: vec![PathBuf::from("/dev")],
        calls: Calls { sockets: Sockets::All, others: false, owner: false },
        bare,
        alone: false,
        ..Walls::of(job)
    };
    Ok(held::run(command, &walls, Keeper::Itself, job, Names::default()).await?)
}
