//! Configuration: flags over environment over the user's file over defaults.
//!
//! Nothing in a workspace is ever configuration, and no `.env` file is read: what a model writes cannot change
//! where edvac sends a key or what it executes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

pub use edvac_runtime::kv::KvFormat;
use etcetera::{BaseStrategy, choose_base_strategy};
use serde::{Deserialize, Serialize};

use crate::control::event::Limits;
use crate::price::{Amount, Prices};
pub use crate::tools::ToolServerConfig;

/// Milliseconds of the unit in which people limit time.
pub const MINUTE_MS: u64 = 60_000;
/// Most steps that are carried out at the same time.
pub const PARALLEL_MAX: u32 = 64;
/// Tokens of a window that hold the shortest prompts.
const WINDOW_TOKENS_MIN: usize = 1024;

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which model, and how it is reached.
    pub model: ModelConfig,
    /// The model that is asked at a step where that one came to nothing; absent, nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_model: Option<ModelConfig>,
    /// What the local model remembers, so that no token is computed twice.
    pub kv: KvConfig,
    /// Bounds of a run.
    pub limits: LimitsConfig,
    /// What models of endpoints cost, by their name; what has none has an unknown price.
    pub prices: Prices,
    /// Servers of tools that workers may call, by the name that stands before their tools' names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mcp: BTreeMap<String, ToolServerConfig>,
    /// How `edvac serve` is reached.
    pub server: ServerConfig,
    /// Where things are.
    pub paths: PathsConfig,
}

/// Which model, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `local` or `openai`; `scripted:FILE` and `recorded:FILE` serve tests.
    pub provider: String,
    /// A name of `edvac models ls`, a path of a GGUF file, or the endpoint's name for the model.
    pub name: String,
    /// Base URL of an OpenAI-compatible endpoint.
    pub base_url: String,
    /// The environment variable that holds the endpoint's key. The key itself never stands in a file of edvac's.
    pub api_key_env: String,
    /// Prompt and reply together; the model's own limit bounds it for local models.
    pub window_tokens: usize,
    /// `cpu`, `cuda`, `metal`; `candle-cpu` computes as the last two do, on the CPU.
    pub device: String,
    /// Threads of the local runtime; 0 is one for each core.
    pub threads: usize,
    /// Whether an endpoint is offered native tools.
    pub native_tools: bool,
    /// Where a cassette of all calls is written, so that `recorded:FILE` can replay them; empty is nowhere.
    pub record: String,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            provider: "local".to_owned(),
            name: "qwen2.5-coder-1.5b".to_owned(),
            base_url: String::new(),
            api_key_env: "OPENAI_API_KEY".to_owned(),
            window_tokens: 8192,
            device: "cpu".to_owned(),
            threads: 0,
            native_tools: false,
            record: String::new(),
        }
    }
}

/// What the local model remembers of the prompts and replies it saw: their keys and values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KvConfig {
    /// MiB of memory, besides the sequence that is worked on; 0 remembers that one alone.
    pub memory_mib: u64,
    /// How they are kept.
    pub format: KvFormat,
    /// MiB of snapshots below `paths.cache`, by which the next process goes on; 0 writes none. They are what was in
    /// prompts, so they are readable for their owner alone. `edvac kv flush` removes them.
    pub disk_mib: u64,
}

impl Default for KvConfig {
    fn default() -> Self {
        Self { memory_mib: 2048, format: KvFormat::F16, disk_mib: 8192 }
    }
}

/// Bounds of a run; 0 is unlimited where a limit can be absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Replies that may be tried until a plan is valid.
    pub plan_turns_max: u32,
    /// Attempts an instruction has.
    pub attempts_max: u32,
    /// Replies an attempt has.
    pub turns_max: u32,
    /// Summarise-and-restart rounds an attempt has.
    pub restarts_max: u32,
    /// Repairs of single parts an attempt has, after its tests failed.
    pub repairs_max: u32,
    /// How often what is left is planned again, where a program that a model planned did not meet all requirements.
    pub replans_max: u32,
    /// Tokens a reply may have.
    pub reply_tokens_max: u32,
    /// Tokens a run may send and write; 0 is unlimited.
    pub tokens_max: u64,
    /// Minutes a run may work; 0 is unlimited.
    pub minutes_max: u64,
    /// What a run may cost, in the currency of its model; 0 is unlimited.
    pub cost_max: Amount,
    /// Model calls a run may make; 0 is unlimited.
    pub calls_max: u64,
    /// Bytes of files that a run may write; 0 is unlimited.
    pub bytes_max: u64,
    /// Steps that are carried out at the same time, where none needs what another one writes.
    pub parallel: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            plan_turns_max: limits.plan_turns_max,
            attempts_max: limits.attempts_max,
            turns_max: limits.turns_max,
            restarts_max: limits.restarts_max,
            repairs_max: limits.repairs_max,
            replans_max: limits.replans_max,
            reply_tokens_max: limits.reply_tokens_max,
            tokens_max: 0,
            minutes_max: 0,
            cost_max: Amount::default(),
            calls_max: 0,
            bytes_max: 0,
            parallel: limits.parallel,
        }
    }
}

impl LimitsConfig {
    /// As a run records them.
    pub fn limits(&self) -> Limits {
        let limit = |number: u64| (number > 0).then_some(number);
        Limits {
            plan_turns_max: self.plan_turns_max.max(1),
            attempts_max: self.attempts_max.max(1),
            turns_max: self.turns_max.max(1),
            restarts_max: self.restarts_max,
            repairs_max: self.repairs_max,
            replans_max: self.replans_max,
            reply_tokens_max: self.reply_tokens_max.max(1),
            tokens_max: limit(self.tokens_max),
            wall_ms_max: limit(self.minutes_max.saturating_mul(MINUTE_MS)),
            cost_micros_max: limit(self.cost_max.micros),
            calls_max: limit(self.calls_max),
            bytes_max: limit(self.bytes_max),
            parallel: self.parallel.max(1),
        }
    }
}

/// How `edvac serve` is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The address; one that other machines reach needs a token.
    pub bind: IpAddr,
    /// The port; 0 is any that is free.
    pub port: u16,
    /// The environment variable that holds the token that every request must carry; empty is none.
    pub token_env: String,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { bind: Ipv4Addr::LOCALHOST.into(), port: 8765, token_env: String::new() }
    }
}

/// Where things are; empty means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PathsConfig {
    /// One generated project a run; default `./workspaces`.
    pub workspaces: String,
    /// Journals, git directories and reports; default `$XDG_STATE_HOME/edvac`.
    pub state: String,
    /// Model files; default `$XDG_DATA_HOME/edvac/models`.
    pub models: String,
    /// What can be made again; default `$XDG_CACHE_HOME/edvac`.
    pub cache: String,
    /// Templates that override the built-in ones, file by file.
    pub templates: String,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML, or has a key or value that is not known.
    #[error("{path} cannot be used:\n{message}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        message: String,
    },
    /// An environment variable or flag has an unusable value.
    #[error("{name} cannot be used: {message}")]
    Value {
        /// Where it came from.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The file could not be read.
    #[error("{path} cannot be read: {message}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// No home directory.
    #[error(
        "no home directory is known; set HOME, or EDVAC_STATE, EDVAC_MODELS, EDVAC_CACHE and EDVAC_CONFIG"
    )]
    NoHome,
}

/// One configured value and where it came from.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// `model.name`
    pub key: String,
    /// Its value as text.
    pub value: String,
    /// `default`, the file's path, or the environment variable.
    pub origin: String,
}

/// The user's configuration file, whether or not it exists.
pub fn file_default() -> Result<PathBuf, ConfigError> {
    if let Some(path) = std::env::var_os("EDVAC_CONFIG") {
        return Ok(PathBuf::from(path));
    }
    Ok(strategy()?.config_dir().join("edvac").join("config.toml"))
}

fn strategy() -> Result<impl BaseStrategy, ConfigError> {
    choose_base_strategy().map_err(|_| ConfigError::NoHome)
}

/// Environment variables that set a key. The key's type decides how the text is read.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("EDVAC_PROVIDER", "model.provider"),
    ("EDVAC_MODEL", "model.name"),
    ("EDVAC_BASE_URL", "model.base_url"),
    ("EDVAC_API_KEY_ENV", "model.api_key_env"),
    ("EDVAC_WINDOW_TOKENS", "model.window_tokens"),
    ("EDVAC_DEVICE", "model.device"),
    ("EDVAC_THREADS", "model.threads"),
    ("EDVAC_RECORD", "model.record"),
    ("EDVAC_SECOND_PROVIDER", "second_model.provider"),
    ("EDVAC_SECOND_MODEL", "second_model.name"),
    ("EDVAC_SECOND_BASE_URL", "second_model.base_url"),
    ("EDVAC_KV_MEMORY_MIB", "kv.memory_mib"),
    ("EDVAC_KV_FORMAT", "kv.format"),
    ("EDVAC_KV_DISK_MIB", "kv.disk_mib"),
    ("EDVAC_SERVER_BIND", "server.bind"),
    ("EDVAC_SERVER_PORT", "server.port"),
    ("EDVAC_SERVER_TOKEN_ENV", "server.token_env"),
    ("EDVAC_TOKENS_MAX", "limits.tokens_max"),
    ("EDVAC_MINUTES_MAX", "limits.minutes_max"),
    ("EDVAC_COST_MAX", "limits.cost_max"),
    ("EDVAC_CALLS_MAX", "limits.calls_max"),
    ("EDVAC_BYTES_MAX", "limits.bytes_max"),
    ("EDVAC_PARALLEL", "limits.parallel"),
    ("EDVAC_WORKSPACES", "paths.workspaces"),
    ("EDVAC_STATE", "paths.state"),
    ("EDVAC_MODELS", "paths.models"),
    ("EDVAC_CACHE", "paths.cache"),
    ("EDVAC_TEMPLATES", "paths.templates"),
];

/// Reads the layers below the flags. `file` is an explicit `--config`; it must then exist.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    Ok(load_with_origins(file)?.0)
}

/// Refuses what no run gets anywhere with: better here than after a plan is paid for.
fn unusable(config: &Config) -> Result<(), ConfigError> {
    let LimitsConfig { plan_turns_max, attempts_max, turns_max, reply_tokens_max, parallel, .. } =
        config.limits;
    let least = [
        ("limits.plan_turns_max", plan_turns_max as usize, 1),
        ("limits.attempts_max", attempts_max as usize, 1),
        ("limits.turns_max", turns_max as usize, 1),
        ("limits.reply_tokens_max", reply_tokens_max as usize, 1),
        ("limits.parallel", parallel as usize, 1),
        ("model.window_tokens", config.model.window_tokens, WINDOW_TOKENS_MIN),
    ];
    let second = config.second_model.as_ref().map(|second| second.window_tokens);
    let second = second.map(|tokens| ("second_model.window_tokens", tokens, WINDOW_TOKENS_MIN));
    if config.kv.format == KvFormat::Q8 && config.model.device != "cpu" {
        return Err(ConfigError::Value {
            name: "kv.format".to_owned(),
            message: format!("\"q8_0\" needs model.device \"cpu\"; it is {:?}", config.model.device),
        });
    }
    if let Some((name, message)) = config.mcp.iter().find_map(|(name, server)| server.fault(name)) {
        return Err(ConfigError::Value { name, message });
    }
    match least.into_iter().chain(second).find(|(_, found, least)| found < least) {
        None => Ok(()),
        Some((name, found, least)) => Err(ConfigError::Value {
            name: name.to_owned(),
            message: format!("it is {found}; at least {least} is needed"),
        }),
    }
}

/// Like [`load`], with where each value came from.
pub fn load_with_origins(file: Option<&Path>) -> Result<(Config, Vec<Origin>), ConfigError> {
    let path = file.map_or_else(file_default, |p| Ok(p.to_owned()))?;
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
        Err(e) => return Err(ConfigError::Io { path, message: e.to_string() }),
    };
    // Checked by itself first: errors then carry the file's own line and column.
    toml::from_str::<Config>(&text)
        .map_err(|e| ConfigError::Bad { path: path.clone(), message: e.to_string() })?;
    let mut builder = config::Config::builder()
        .add_source(config::File::from_str(&defaults_toml(), config::FileFormat::Toml))
        .add_source(config::File::from_str(&text, config::FileFormat::Toml));
    for (variable, key) in ENVIRONMENT {
        if let Ok(value) = std::env::var(variable) {
            builder = builder.set_override(*key, value).map_err(|e| value_error(variable, &e))?;
            // One by one, so that an error names the variable.
            let so_far = builder.build_cloned().and_then(config::Config::try_deserialize::<Config>);
            so_far.map_err(|e| value_error(variable, &e))?;
        }
    }
    let config: Config = builder
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|e| value_error("the environment", &e))?;
    unusable(&config)?;
    let origins = origins(&config, &path, &text);
    Ok((config, origins))
}

fn defaults_toml() -> String {
    toml::to_string(&Config::default()).unwrap_or_default()
}

fn value_error(name: &str, error: &config::ConfigError) -> ConfigError {
    ConfigError::Value { name: name.to_owned(), message: error.to_string() }
}

fn origins(config: &Config, path: &Path, text: &str) -> Vec<Origin> {
    let file: toml::Table = text.parse().unwrap_or_default();
    let mut shown = config.clone();
    // They may be secrets, and what this gives is pasted into questions.
    shown.mcp.values_mut().flat_map(|server| server.env.values_mut()).for_each(|value| "…".clone_into(value));
    let all: toml::Table = toml::Table::try_from(&shown).unwrap_or_default();
    let mut found = Vec::new();
    for (section, values) in &all {
        for (name, value) in values.as_table().into_iter().flatten() {
            let key = format!("{section}.{name}");
            let variable = ENVIRONMENT.iter().find(|(v, k)| *k == key && std::env::var_os(v).is_some());
            let in_file = file.get(section).and_then(|s| s.get(name)).is_some();
            let origin = match variable {
                Some((variable, _)) => (*variable).to_owned(),
                None if in_file => path.display().to_string(),
                None => "default".to_owned(),
            };
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            found.push(Origin { key, value, origin });
        }
    }
    found
}

impl Config {
    /// The workspaces root.
    pub fn workspaces_dir(&self) -> PathBuf {
        if self.paths.workspaces.is_empty() { "workspaces".into() } else { (&self.paths.workspaces).into() }
    }

    /// The state root.
    pub fn state_dir(&self) -> Result<PathBuf, ConfigError> {
        if !self.paths.state.is_empty() {
            return Ok((&self.paths.state).into());
        }
        let strategy = strategy()?;
        Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()).join("edvac"))
    }

    /// Where model files are.
    pub fn models_dir(&self) -> Result<PathBuf, ConfigError> {
        if self.paths.models.is_empty() {
            Ok(strategy()?.data_dir().join("edvac").join("models"))
        } else {
            Ok((&self.paths.models).into())
        }
    }

    /// Where snapshots of keys and values are, in the cache directory.
    pub fn kv_dir(&self) -> Result<PathBuf, ConfigError> {
        let cache = if self.paths.cache.is_empty() {
            strategy()?.cache_dir().join("edvac")
        } else {
            (&self.paths.cache).into()
        };
        Ok(cache.join("kv"))
    }

    /// The template override directory, where one is set.
    pub fn templates_dir(&self) -> Option<PathBuf> {
        (!self.paths.templates.is_empty()).then(|| (&self.paths.templates).into())
    }
}
