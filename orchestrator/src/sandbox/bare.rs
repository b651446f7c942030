//! No sandbox, for a person who says so: code sees the machine and may write to it.
//!
//! What is left of the others are the limits, the clean environment, and that nothing survives its command.

use std::path::PathBuf;

use async_trait::async_trait;

use super::held::Failed;
use super::shim::Walls;
use super::stage::Stage;
use super::toolchains::Toolchains;
use super::{Job, Level, Outcome, Refusal, Sandbox, SandboxError};

/// Runs commands as the user who runs edvac.
#[derive(Debug)]
pub struct NoSandbox {
    /// This program, which is the keeper and the shim when it is started as such.
    shim: PathBuf,
    toolchains: Toolchains,
}

impl NoSandbox {
    /// Nothing is proven, since nothing is promised.
    pub async fn open() -> Result<Self, Refusal> {
        let toolchains = tokio::task::spawn_blocking(Toolchains::find).await.unwrap_or_default();
        let shim = super::this_program()?;
        Ok(Self { shim, toolchains })
    }

    async fn hold(&self, job: &Job) -> Result<Outcome, Failed> {
        let stage = Stage::set(job, None)?;
        let walls = Walls { bare: true, ..Walls::of(job) };
        stage.run(&self.shim, &self.toolchains, &walls).await
    }
}

#[async_trait]
impl Sandbox for NoSandbox {
    async fn run(&self, job: &Job) -> Result<Outcome, SandboxError> {
        Ok(self.hold(job).await?)
    }

    fn level(&self) -> Level {
        Level::Bare
    }

    fn has(&self, program: &str) -> bool {
        self.toolchains.have(program)
    }
}
