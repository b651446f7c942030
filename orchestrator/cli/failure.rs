//! Errors at the edge: what happened, why, what to do, and the exit code a script sees.

use std::fmt;
use std::path::Path;

use edvac_agents::client::ModelError;
use edvac_memory::journal::JournalError;
use edvac_orchestrator::config::ConfigError;
use edvac_orchestrator::driver::embedded::DriveError;
use edvac_orchestrator::place::PlaceError;
use edvac_orchestrator::price::example;
use edvac_orchestrator::run::RunError;
use edvac_runtime::models::ModelsError;
use edvac_server::ServeError;
use edvac_telemetry::SendError;

/// Wrong use or configuration; clap's code too.
pub const EXIT_USAGE: u8 = 2;
/// No model, or no collector, or it does not answer.
pub const EXIT_MODEL: u8 = 5;
/// The machine itself failed.
pub const EXIT_MACHINE: u8 = 70;
/// No sandbox.
pub const EXIT_NO_SANDBOX: u8 = 78;

/// What is shown when a command fails.
#[derive(Debug)]
pub struct Failure {
    /// What happened, and why.
    pub what: String,
    /// What to do about it; empty where nothing can be said.
    pub fix: String,
    /// The process's exit code.
    pub code: u8,
}

/// The result of a command.
pub type Outcome = Result<u8, Failure>;

impl Failure {
    /// Wrong use.
    pub fn usage(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), code: EXIT_USAGE }
    }

    /// The machine failed.
    pub fn machine(what: impl Into<String>) -> Self {
        Self { what: what.into(), fix: String::new(), code: EXIT_MACHINE }
    }

    /// A file of the user's could not be read or written.
    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::usage(format!("{}: {error}", path.display()), "Give a file that exists and that you may use.")
    }
}

impl Failure {
    /// For scripts: the same, as an object.
    pub fn json(&self) -> serde_json::Value {
        let Self { what, fix, code } = self;
        serde_json::json!({
            "schema_version": crate::commands::SCHEMA_VERSION,
            "error": { "what": what, "fix": fix, "exit_code": code },
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "edvac: {}", self.what)?;
        if !self.fix.is_empty() {
            write!(f, "\n  fix: {}", self.fix)?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let fix = match &error {
            ConfigError::NoHome => String::new(),
            ConfigError::Value { .. } => "Mend or unset it.".to_owned(),
            ConfigError::Io { .. } => {
                "Give a file that exists and that you may read; `edvac init` writes one.".to_owned()
            }
            ConfigError::Bad { .. } => "Mend or remove that line.".to_owned(),
        };
        Self::usage(error.to_string(), fix)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        let fix = match &error {
            ModelError::Unauthorized { .. } => {
                "Put a valid key into the environment variable that `model.api_key_env` names."
            }
            ModelError::UnknownModel { .. } => "Give the endpoint's name for the model with --model.",
            ModelError::Runtime(_) => "Try `edvac models verify`, or another model with --model.",
            _ => "",
        };
        Self { what: error.to_string(), fix: fix.to_owned(), code: EXIT_MODEL }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let what = error.to_string();
        match error {
            SendError::Collector(_) => Self {
                what,
                fix: "Start a collector that speaks OTLP over HTTP, or name another with OTEL_EXPORTER_OTLP_ENDPOINT."
                    .to_owned(),
                code: EXIT_MODEL,
            },
            SendError::Pipeline(_) => Self::usage(what, "Look at the variables OTEL_EXPORTER_OTLP_*."),
            SendError::Fold(_) | SendError::Json(_) => Self::machine(what),
        }
    }
}

impl From<ModelsError> for Failure {
    fn from(error: ModelsError) -> Self {
        let fix = match &error {
            ModelsError::Unknown { .. } => {
                "`edvac models ls` lists what can be had; a GGUF file is given by its path."
            }
            ModelsError::Absent { .. } => "`edvac models pull` fetches it.",
            ModelsError::WrongDigest { .. } => "Fetch it again with `edvac models pull`.",
            ModelsError::NoSource { .. } => {
                "Connect to the network, set HF_ENDPOINT to a mirror, or give a GGUF file with --model."
            }
            ModelsError::Busy { .. } => "Wait until it has ended.",
            ModelsError::Cancelled => "`edvac models pull` goes on where it ended.",
            ModelsError::Io { .. } => "",
        };
        Self { what: error.to_string(), fix: fix.to_owned(), code: EXIT_MODEL }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let fix = match &error {
            ServeError::NoToken { .. } => {
                "Put a token into an environment variable and name it with --token-env, or leave --bind out."
            }
            ServeError::ShortToken { .. } | ServeError::BadToken => {
                "`openssl rand -hex 32` makes a good one."
            }
            ServeError::Bind { .. } => "Choose another --port; 0 is any that is free.",
            ServeError::Serve(_) => return Self::machine(error.to_string()),
        };
        Self::usage(error.to_string(), fix)
    }
}

impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Journal(error) => error.into(),
            PlaceError::Drive(error) => error.into(),
            PlaceError::None { .. } => Self::usage(error.to_string(), "Start one with `edvac run TASK`."),
            _ => Self::usage(error.to_string(), "`edvac runs` lists them all."),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::InUse { .. } => Self::usage(
                error.to_string(),
                "Wait for it, or stop it with Ctrl-C in its terminal; `edvac cancel` gives it up for good.",
            ),
            JournalError::Newer { .. } => {
                Self::usage(error.to_string(), "Use the edvac that wrote it, or a newer one.")
            }
            JournalError::Damaged { .. } => Self {
                fix: "Bring the run's directory back from a copy. What was committed is in the workspace's git as ever."
                    .to_owned(),
                ..Self::machine(error.to_string())
            },
            _ => Self::machine(error.to_string()),
        }
    }
}

impl From<DriveError> for Failure {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::Journal(error) => error.into(),
            other => Self::machine(other.to_string()),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let text = error.to_string();
        match error {
            RunError::EmptyTask => {
                Self::usage(text, "Say what to build: edvac run \"A todo app in Python\".")
            }
            RunError::LongTask { .. } => {
                Self::usage(text, "Say what to build in a page or two; put material into files of its own.")
            }
            RunError::BadName { .. } => Self::usage(text, "Use letters, digits, dashes and dots."),
            RunError::WorkspaceExists { .. } => {
                Self::usage(text, "Choose another --name, or leave it out and one is made.")
            }
            RunError::BadProgram { .. } => {
                Self::usage(text, "Mend the program file; `edvac plan --out` makes one.")
            }
            RunError::Tools(error) => Self { what: text, fix: error.fix, code: EXIT_USAGE },
            RunError::NoSandbox(refusal) => Self { what: text, fix: refusal.fix, code: EXIT_NO_SANDBOX },
            RunError::Over { run, .. } => Self::usage(
                text,
                format!(
                    "`edvac status {run}` shows its report; a new `edvac run` can do the same task again."
                ),
            ),
            RunError::CutShort { command, .. } => {
                Self::usage(text, format!("Give them more, and they are taken up again: {command}"))
            }
            RunError::UnknownPrice { model } => Self::usage(
                text,
                format!(
                    "Write it into the configuration: {}; or leave --max-cost and limits.cost_max out.",
                    example(&model)
                ),
            ),
            RunError::OtherCurrency { priced, .. } => {
                Self::usage(text, format!("Give a limit in {priced} with --max-cost; 0 is unlimited."))
            }
            RunError::TwoCurrencies { .. } => Self::usage(
                text,
                "Price both models in one currency, or leave --max-cost and limits.cost_max out.",
            ),
            RunError::NoSuchOperation { run, .. } => {
                Self::usage(text, format!("`edvac op log {run}` lists its points."))
            }
            RunError::NoProgram { run } => {
                Self::usage(text, format!("`edvac resume {run}` plans it; then its program can be changed."))
            }
            RunError::SameProgram { .. } => Self::usage(text, "Change something, or leave it as it is."),
            RunError::NothingAsked { run, .. } => {
                Self::usage(text, format!("`edvac status {run}` shows how it stands."))
            }
            RunError::NeverStarted { .. } => Self::usage(text, "Start it again with `edvac run`."),
            RunError::Existing(error) => Self::usage(text, error.fix()),
            RunError::Domain(_) | RunError::Template(_) => Self::usage(text, ""),
            RunError::Config(error) => error.into(),
            RunError::Journal(error) => error.into(),
            RunError::Drive(error) => error.into(),
            RunError::Place(error) => error.into(),
            RunError::Store(_) | RunError::Index(_) | RunError::Io { .. } => Self::machine(text),
        }
    }
}
