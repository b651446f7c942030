//! The canary: a sandbox that starts but does not hold is none. What it finds is found by trying, from inside.

use super::held::Failed;
use super::{Job, Level, Outcome, probes, shim};

/// Wall time of the canary.
const CANARY_MS_MAX: u64 = 10_000;

/// Why a sandbox is none.
#[derive(Debug)]
pub(super) enum Unproven {
    /// Nothing was begun: what there is does not work on this machine at all.
    NotBegun(String),
    /// Something was begun, and does not hold.
    Surprise(String),
}

impl Unproven {
    pub fn why(&self) -> &str {
        match self {
            Self::NotBegun(why) | Self::Surprise(why) => why,
        }
    }
}

/// Runs the probes by `hold`, and believes nothing but that all of them ran and none got through.
pub(super) async fn prove<F>(level: Level, hold: impl FnOnce(Job) -> F) -> Result<(), Unproven>
where
    F: Future<Output = Result<Outcome, Failed>>,
{
    let no_scratch = |e: std::io::Error| Unproven::NotBegun(format!("no scratch directory: {e}"));
    let dir = tempfile::tempdir().map_err(no_scratch)?;
    // Everyone on this machine may read it, who sees it.
    let witness = tempfile::NamedTempFile::new().map_err(no_scratch)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(witness.path(), readable).map_err(no_scratch)?;
    std::fs::write(witness.path(), "seen").map_err(no_scratch)?;
    let command =
        [shim::PROBE, probes::argument(level), &witness.path().to_string_lossy()].map(str::to_owned);
    let job = Job { time_ms_max: CANARY_MS_MAX, ..Job::new(command.to_vec(), dir.path().to_owned()) };
    let ran = match hold(job).await {
        Ok(ran) => ran,
        Err(Failed::NotBegun(why)) if why.is_empty() => {
            return Err(Unproven::NotBegun("it did not start".to_owned()));
        }
        Err(Failed::NotBegun(why)) => return Err(Unproven::NotBegun(one_line(&why))),
        Err(Failed::NotHeld(why)) => return Err(Unproven::Surprise(one_line(&why))),
        Err(Failed::Io(error)) => return Err(Unproven::NotBegun(error.to_string())),
    };
    let said = one_line(&ran.output);
    if ran.exit_status != Some(0) {
        Err(Unproven::Surprise(format!("the canary did not come to its end {said}")))
    } else if said != probes::ALL_CLOSED {
        Err(Unproven::Surprise(said))
    } else if !dir.path().join(probes::MADE).exists() {
        Err(Unproven::Surprise("what was written into the project is not there".to_owned()))
    } else {
        Ok(())
    }
}

fn one_line(text: &str) -> String {
    text.trim().replace('\n', ", ")
}
