//! The dashboard of this process: where its token is, and which models its runs share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use edvac_agents::client::ModelClient;
use edvac_memory::index::Embedder;
use edvac_orchestrator::config::{Config, ModelConfig};
use edvac_orchestrator::run::ModelClients;
use edvac_server::{Desk, Opener, Options, ServeError, Served, Server, token_in};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::models;
use crate::failure::Failure;

/// Models that are open in this process. A local one is open once, whoever uses it.
pub struct Shelf {
    config: Config,
    open: Mutex<Vec<(ModelConfig, Arc<dyn ModelClient>)>>,
}

impl Shelf {
    /// A shelf on which nothing is yet.
    pub fn new(config: Config) -> Arc<Self> {
        Arc::new(Self { config, open: Mutex::default() })
    }

    /// Puts a model there that is open already.
    pub async fn put(&self, model: ModelConfig, client: Arc<dyn ModelClient>) {
        self.open.lock().await.push((model, client));
    }

    /// The model that the configuration names.
    pub async fn own(&self) -> Result<Arc<dyn ModelClient>, Failure> {
        self.one(&self.config.model).await
    }

    async fn one(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Failure> {
        let mut open = self.open.lock().await;
        if let Some((_, client)) = open.iter().find(|(known, _)| known == model) {
            return Ok(Arc::clone(client));
        }
        let client = models::open_client(&Config { model: model.clone(), ..self.config.clone() }).await?;
        // What answers from a file answers each of its runs from the beginning.
        if matches!(model.provider.as_str(), "local" | "openai") {
            open.push((model.clone(), Arc::clone(&client)));
        }
        Ok(client)
    }
}

#[async_trait]
impl Opener for Shelf {
    async fn open(&self, own: &ModelConfig, second: Option<&ModelConfig>) -> Result<ModelClients, String> {
        let told = |failure: Failure| failure.to_string();
        let own = self.one(own).await.map_err(told)?;
        let second = match second {
            Some(second) => Some(self.one(second).await.map_err(told)?),
            None => None,
        };
        Ok(ModelClients { own, second })
    }

    async fn names(&self) -> Vec<String> {
        self.open.lock().await.iter().map(|(model, _)| model.name.clone()).collect()
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        models::open_embedder(&self.config)
    }
}

/// The desk over a configuration's runs, and the token that opens it.
pub fn desk(config: &Config, shelf: Arc<Shelf>) -> Result<(Arc<Desk>, String), Failure> {
    let file = config.state_dir()?.join("server").join("token");
    let token = token_in(&file).map_err(|e| Failure::file(&file, &e))?;
    Ok((Desk::new(config.clone(), shelf)?, token))
}

/// How long the dashboard outlives its run, so that the page shows how it ended.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// A dashboard beside a run.
pub struct Beside(JoinHandle<Result<(), ServeError>>);

impl Beside {
    /// Lets pages see the run's end, and ends.
    pub async fn end(self) {
        tokio::time::sleep(LAST_LOOK).await;
        self.0.abort();
    }
}

/// Serves the dashboard beside a run of this process, and shows that run in the person's browser.
pub async fn beside(config: &Config, client: Arc<dyn ModelClient>, run: &str) -> Result<Beside, Failure> {
    let shelf = Shelf::new(config.clone());
    shelf.put(config.model.clone(), client).await;
    let desk = Some(desk(config, shelf)?);
    // Any port that is free: another server may have the usual one.
    let server = Server::bind(&Options::default(), Served { desk, ..Served::default() }).await?;
    if let Some(url) = server.dashboard_url() {
        let url = format!("{url}&to=/runs/{run}");
        eprintln!("dashboard, by a link that works once: {url}");
        open_browser(&url);
    }
    Ok(Beside(tokio::spawn(server.run(std::future::pending()))))
}

/// Shows an address in the person's browser; where there is none, they have it in writing.
pub fn open_browser(url: &str) {
    if let Err(error) = open::that_detached(url) {
        tracing::debug!("no browser: {error}");
    }
}
