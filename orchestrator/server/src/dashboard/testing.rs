//! A desk with a finished run on it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, Method, Request, header};
use edvac_agents::client::scripted::ScriptedClient;
use edvac_memory::index::Embedder;
use edvac_memory::program::exchange;
use edvac_orchestrator::config::{Config, ModelConfig, PathsConfig};
use edvac_orchestrator::run::{ModelClients, Order};
use tempfile::TempDir;

use super::{Desk, Opener};
use crate::access::Access;
use crate::app::{Front, router};
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::testing::{ADDRESS, TOKEN};

/// A program whose steps write two notes.
const PROGRAM: &str = r#"
title = "notes"
task = "Two notes."
domain = "custom"

[[requirements]]
id = "R1"
text = "There is a note."

[[instructions]]
id = 1
title = "First"
text = "Write the first note."
covers = ["R1"]
writes = ["a.txt"]
[[instructions.checks]]
kind = "exists"
path = "a.txt"
covers = ["R1"]

[[instructions]]
id = 2
title = "Second"
text = "Write the second note."
writes = ["notes/b.txt"]
"#;

const SCRIPT: &str = r#"
[[reply]]
when = ["Write the first note."]
text = "@@ write a.txt\none\n@@ end\n@@ done It is there."

[[reply]]
when = ["Write the second note."]
text = "@@ write notes/b.txt\ntwo\n@@ end\n@@ done It is there."
"#;

/// Opens scripted models.
struct Scripted;

#[async_trait]
impl Opener for Scripted {
    async fn open(&self, _: &ModelConfig, _: Option<&ModelConfig>) -> Result<ModelClients, String> {
        Ok(ModelClients { own: Arc::new(ScriptedClient::parse(SCRIPT).unwrap()), second: None })
    }

    async fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        None
    }
}

/// A dashboard in a place of its own.
pub struct Board {
    pub dir: TempDir,
    pub desk: Arc<Desk>,
    pub access: Arc<Access>,
    pub server: Router,
    /// The run.
    pub run: String,
}

/// A dashboard with a finished run.
pub async fn board() -> Board {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let paths = PathsConfig { state: at("state"), workspaces: at("workspaces"), ..PathsConfig::default() };
    let config = Config { paths, ..Config::default() };
    let desk = Desk::new(config, Arc::new(Scripted)).unwrap();
    let program = exchange::from_toml(PROGRAM).unwrap();
    let order = Order {
        task: "Two notes.".into(),
        domain: "custom".into(),
        program: Some(program),
        ..Order::default()
    };
    let prepared = desk.machine.prepare(order).await.unwrap();
    let models = Scripted.open(&ModelConfig::default(), None).await.unwrap();
    let mut handle = desk.machine.start(prepared, models, None).await.unwrap();
    handle.join().await.unwrap();
    let run = handle.dir.id.to_string();
    let access = Arc::new(Access::new(TOKEN, 8765));
    let guard = Guard::new(ADDRESS.parse().unwrap(), None, Some(Arc::clone(&access)));
    let front = Front { guard, metrics: Arc::new(Metrics::new()), access: Some(Arc::clone(&access)) };
    let server = router(front, None, Some(Arc::clone(&desk)));
    Board { dir, desk, access, server, run }
}

/// A request with these headers and this server's own host.
pub fn asked(method: Method, address: &str, headers: &[(HeaderName, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(address);
    if !headers.iter().any(|(name, _)| name == header::HOST) {
        request = request.header(header::HOST, ADDRESS);
    }
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}
