//! `models`, and opening the model a run is to use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edvac_agents::client::ModelClient;
use edvac_agents::client::local::LocalClient;
use edvac_agents::client::openai::{OpenAiClient, OpenAiOptions};
use edvac_agents::client::recorded::{RecordingClient, ReplayingClient};
use edvac_agents::client::scripted::ScriptedClient;
use edvac_memory::index::Embedder;
use edvac_orchestrator::config::Config;
use edvac_orchestrator::meaning::{self, Meaning};
use edvac_orchestrator::run::ModelClients;
use edvac_runtime::EngineOptions;
use edvac_runtime::embed::SentenceEmbedder;
use edvac_runtime::kv::{KvOptions, SnapshotOptions};
use edvac_runtime::models::{self, ModelSpec, ModelsError, Progress};
use edvac_server::Embeddings;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::doctor::{Probed, failure, ok};
use super::{SCHEMA_VERSION, print_json, say};
use crate::args::Models;
use crate::failure::{EXIT_MODEL, Failure, Outcome};
use crate::terminal::terminal;

/// Bytes of the unit in which the configuration counts memory.
const MIB: u64 = 1 << 20;
/// Steps of a percentage that are printed where no line can move.
const PERCENT_STEP: u64 = 10;

pub async fn models(config: &Config, command: Models) -> Outcome {
    let dir = config.models_dir()?;
    match command {
        Models::Ls(json) => Ok(list(&dir, json.json)),
        Models::Pull { name, json } => {
            let spec = known(name.as_deref().unwrap_or(models::DEFAULT))?;
            pull(spec, &dir).await?;
            let path = dir.join(&spec.files[0].name);
            Ok(say(
                json,
                &format!("{} is here: {}", spec.name, path.display()),
                || json!({ "name": spec.name, "path": path }),
            ))
        }
        Models::Rm { name, json } => {
            let freed = models::remove(known(&name)?, &dir)?;
            Ok(say(
                json,
                &format!("{name} is removed, {} MB are free again", freed >> 20),
                || json!({ "name": name, "freed_bytes": freed }),
            ))
        }
        Models::Verify { name, json } => verify(name.as_deref(), &dir, json.json).await,
    }
}

fn known(name: &str) -> Result<&'static ModelSpec, Failure> {
    models::find(name).ok_or_else(|| ModelsError::Unknown { name: name.to_owned() }.into())
}

fn list(dir: &Path, json: bool) -> u8 {
    if json {
        let all: Vec<_> = models::manifest()
            .iter()
            .map(|m| {
                json!({
                    "name": m.name, "about": m.about, "license": m.license, "size_bytes": m.size_bytes(),
                    "here": models::is_here(m, dir), "pinned": m.is_pinned(), "generates": m.generates(),
                    "default": m.name == models::DEFAULT,
                })
            })
            .collect();
        return print_json(&json!({ "schema_version": SCHEMA_VERSION, "dir": dir, "models": all }));
    }
    for model in models::manifest() {
        let here = if models::is_here(model, dir) { "here" } else { "-" };
        let size = model.size_bytes().map_or_else(|| "?".to_owned(), |b| format!("{} MB", b >> 20));
        let pinned = if model.is_pinned() { "" } else { " (no digest is known: fetched unchecked)" };
        println!("{:<20} {here:<5} {size:>8}  {}, {}{pinned}", model.name, model.about, model.license);
    }
    println!("\nin {}; any Llama, Qwen2 or Qwen3 GGUF file works too: --model FILE", dir.display());
    0
}

async fn verify(name: Option<&str>, dir: &Path, json: bool) -> Outcome {
    let wanted: Vec<_> = match name {
        Some(name) => vec![known(name)?],
        None => models::manifest().iter().filter(|m| models::is_here(m, dir)).collect(),
    };
    let mut code = 0;
    let mut found = Vec::new();
    for spec in wanted {
        let dir = dir.to_owned();
        let checked = blocking(move || {
            let mut bar = Bar::new(&spec.name);
            let checked = models::verify(spec, &dir, &mut |p| bar.see(&p));
            bar.finish();
            checked
        })
        .await?;
        if json {
            found.push(json!({
                "name": spec.name, "pinned": spec.is_pinned(), "intact": checked.is_ok(),
                "error": checked.as_ref().err().map(ToString::to_string),
            }));
        }
        match checked {
            Ok(()) if json => {}
            Err(_) if json => code = EXIT_MODEL,
            Ok(()) if spec.is_pinned() => println!("{}: as it should be", spec.name),
            Ok(()) => println!("{}: here, but no digest of it is known", spec.name),
            Err(error) => {
                println!("{}: {error}\n  fix: edvac models rm {0}; edvac models pull {0}", spec.name);
                code = EXIT_MODEL;
            }
        }
    }
    if json {
        print_json(&json!({ "schema_version": SCHEMA_VERSION, "models": found }));
    }
    Ok(code)
}

pub async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(act).await.map_err(|e| Failure::machine(e.to_string()))
}

/// Fetches a model, with bars for download and digest. Ctrl-C ends the process; what was fetched stays.
async fn pull(spec: &'static ModelSpec, dir: &Path) -> Result<(), Failure> {
    let dir = dir.to_owned();
    let pulled = blocking(move || {
        let mut bar = Bar::new(&spec.name);
        let pulled = models::pull(spec, &dir, &mut |p| bar.see(&p), &|| false);
        bar.finish();
        pulled
    });
    Ok(pulled.await??)
}

/// A download or a digest as people watch it.
struct Bar {
    line: ProgressBar,
    model: String,
    doing: &'static str,
    said_percent: u64,
}

impl Bar {
    fn new(model: &str) -> Self {
        let bar = if terminal().animated { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        {
            bar.set_style(style);
        }
        Self { line: bar, model: model.to_owned(), doing: "", said_percent: 0 }
    }

    fn see(&mut self, progress: &Progress) {
        match progress {
            Progress::Trying { source } => self.say(&format!("{}: fetching from {source}", self.model)),
            Progress::SourceFailed { source, why } => {
                self.say(&format!("{}: {source} failed: {why}", self.model));
            }
            Progress::Downloading { done_bytes, total_bytes } => {
                self.step("downloading", *done_bytes, *total_bytes);
            }
            Progress::Hashing { done_bytes, total_bytes } => {
                self.step("checking SHA-256 of", *done_bytes, *total_bytes);
            }
        }
    }

    fn step(&mut self, doing: &'static str, done_bytes: u64, total_bytes: u64) {
        if self.doing != doing {
            self.doing = doing;
            self.said_percent = 0;
            self.line.reset();
            self.line.set_message(format!("{doing} {}", self.model));
        }
        self.line.set_length(total_bytes);
        self.line.set_position(done_bytes);
        let percent = done_bytes * 100 / total_bytes.max(1);
        if !terminal().animated && percent >= self.said_percent + PERCENT_STEP {
            self.said_percent = percent - percent % PERCENT_STEP;
            self.say(&format!("{doing} {}: {} %", self.model, self.said_percent));
        }
    }

    fn say(&self, text: &str) {
        if terminal().quiet {
            return;
        }
        if terminal().animated { self.line.println(text) } else { eprintln!("{text}") }
    }

    fn finish(&self) {
        self.line.finish_and_clear();
    }
}

/// The models of a configuration, ready to be asked.
pub async fn open_all(config: &Config) -> Result<ModelClients, Failure> {
    let own = open_client(config).await?;
    let second = match &config.second_model {
        Some(second) => Some(open_client(&Config { model: second.clone(), ..config.clone() }).await?),
        None => None,
    };
    Ok(ModelClients { own, second })
}

/// The model of a configuration, ready to be asked. A local one is fetched first where it is not here yet.
pub async fn open_client(config: &Config) -> Result<Arc<dyn ModelClient>, Failure> {
    let model = &config.model;
    let client: Arc<dyn ModelClient> = match model.provider.split_once(':') {
        Some(("scripted", file)) => Arc::new(ScriptedClient::open(Path::new(file))?),
        Some(("recorded", file)) => Arc::new(ReplayingClient::open(Path::new(file))?),
        _ => match model.provider.as_str() {
            "local" => open_local(config).await?,
            "openai" => open_endpoint(config).await?,
            other => {
                return Err(Failure::usage(
                    format!("there is no provider {other:?}"),
                    "Use local, openai, scripted:FILE or recorded:FILE.",
                ));
            }
        },
    };
    if model.record.is_empty() {
        return Ok(client);
    }
    Ok(Arc::new(RecordingClient::create(client, Path::new(&model.record))?))
}

async fn open_endpoint(config: &Config) -> Result<Arc<dyn ModelClient>, Failure> {
    let model = &config.model;
    if !model.base_url.starts_with("http://") && !model.base_url.starts_with("https://") {
        return Err(Failure::usage(
            format!("{:?} is no endpoint", model.base_url),
            "Give --base-url http://127.0.0.1:8080/v1 or set model.base_url.",
        ));
    }
    let key = std::env::var(&model.api_key_env).ok();
    let mut options = OpenAiOptions::new(&model.base_url, key, &model.name, model.window_tokens);
    options.native_tools = model.native_tools;
    let mut client = OpenAiClient::new(options)?;
    client.learn().await;
    Ok(Arc::new(client))
}

async fn open_local(config: &Config) -> Result<Arc<dyn ModelClient>, Failure> {
    check_device(config)?;
    let path = local_file(config).await?;
    let options = EngineOptions {
        device: config.model.device.clone(),
        window_tokens_max: Some(config.model.window_tokens),
        threads: config.model.threads,
        kv: KvOptions {
            memory_bytes_max: config.kv.memory_mib.saturating_mul(MIB),
            format: config.kv.format,
            snapshots: config
                .kv_dir()
                .ok()
                .map(|dir| SnapshotOptions { dir, bytes_max: config.kv.disk_mib.saturating_mul(MIB) }),
        },
        ..EngineOptions::default()
    };
    let opened = blocking(move || LocalClient::open(&path, &options).map_err(|error| (path, error))).await?;
    let client = opened.map_err(|(path, error)| {
        let failure = Failure::from(error);
        Failure { what: format!("{}: {}", path.display(), failure.what), ..failure }
    })?;
    Ok(Arc::new(client))
}

/// Whether this build, on this machine, has the device that the configuration names.
fn check_device(config: &Config) -> Result<(), Failure> {
    edvac_runtime::check_device(&config.model.device).map_err(|error| {
        Failure::usage(error.to_string(), "Set model.device to \"cpu\", or build for the device.")
    })
}

async fn local_file(config: &Config) -> Result<PathBuf, Failure> {
    let dir = config.models_dir()?;
    match models::resolve(&config.model.name, &dir) {
        Ok(found) => Ok(found.path),
        Err(ModelsError::Absent { name }) => {
            let spec = known(&name)?;
            pull(spec, &dir).await?;
            Ok(models::resolve(&name, &dir)?.path)
        }
        Err(other) => Err(other.into()),
    }
}

/// The embeddings that search ranks by, where their model is here; words alone otherwise.
pub fn open_embedder(config: &Config) -> Option<Arc<dyn Embedder>> {
    let dir = config.models_dir().ok()?;
    models::is_here(models::find(meaning::MODEL)?, &dir).then_some(())?;
    match Meaning::open(&dir) {
        Ok(meaning) => Some(Arc::new(meaning)),
        Err(error) => {
            tracing::warn!("search ranks by words alone: {error}");
            None
        }
    }
}

/// The embeddings that the server offers, where their model is here.
pub fn open_embeddings(config: &Config) -> Option<Arc<dyn Embeddings>> {
    let dir = config.models_dir().ok()?;
    models::is_here(models::find(meaning::MODEL)?, &dir).then_some(())?;
    match SentenceEmbedder::open(&dir.join(meaning::MODEL)) {
        Ok(embedder) => Some(Arc::new(embedder)),
        Err(error) => {
            tracing::warn!("no embeddings are served: {error}");
            None
        }
    }
}

/// For `doctor`: whether the configured device and local model are here.
pub fn probe_local(config: &Config) -> Probed {
    let Ok(dir) = config.models_dir() else {
        return failure("no models directory is known", "Set EDVAC_MODELS.");
    };
    if let Err(Failure { what, fix, .. }) = check_device(config) {
        return failure(what, fix);
    }
    match models::resolve(&config.model.name, &dir) {
        Ok(found) => ok(found.path.display().to_string()),
        Err(ModelsError::Absent { name }) => {
            let size = models::find(&name).and_then(ModelSpec::size_bytes).unwrap_or(0) >> 20;
            ok(format!("{name} is not here yet; the first run fetches it ({size} MB)"))
        }
        Err(error) => failure(error.to_string(), "`edvac models ls` lists what can be had."),
    }
}
