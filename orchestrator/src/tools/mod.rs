//! Tools of other programs that workers may call: servers that a person's configuration names, over the Model Context Protocol.
//!
//! What a tool answers is told to the model as data, within a share of its window, and recorded with the reply that asked for it.
//! A tool runs outside of the sandbox, with what its server may do: a person names it, no workspace and no model can.

mod answer;
mod config;
mod server;

use std::collections::BTreeMap;
use std::path::Path;

use edvac_agents::client::Cancel;
use edvac_agents::protocol::tool::ToolSpec;
use futures::future::{join_all, try_join_all};
use serde_json::{Map, Value};

pub use answer::ToolAnswer;
pub use config::ToolServerConfig;
use server::Server;

/// Why the tools that the configuration names are not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tools of mcp.{server} are not there: {why}")]
pub struct ToolError {
    /// The server's name in the configuration.
    pub server: String,
    /// What happened.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

/// All tools of a run.
#[derive(Default)]
pub struct Toolbox {
    servers: BTreeMap<String, Server>,
    specs: Vec<ToolSpec>,
}

impl Toolbox {
    /// Starts, or connects to, every server of a configuration, and asks what it has. What a server's program prints besides
    /// goes to a file below `logs`. One server that is not there is an error: a run that misses a tool would find out in the middle.
    pub async fn open(configs: &BTreeMap<String, ToolServerConfig>, logs: &Path) -> Result<Self, ToolError> {
        let opened = configs.iter().map(|(name, config)| Server::open(name, config, logs));
        let mut toolbox = Self::default();
        for (server, specs) in try_join_all(opened).await? {
            toolbox.specs.extend(specs);
            toolbox.servers.insert(server.name().to_owned(), server);
        }
        Ok(toolbox)
    }

    /// What there is, in the order of the servers' names.
    pub fn specs(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Calls a tool, once. What goes wrong is an answer, too: the model is told.
    pub async fn call(&self, tool: &str, arguments: &Map<String, Value>, cancel: &Cancel) -> ToolAnswer {
        let known = self.specs.iter().any(|spec| spec.name == tool);
        match tool.split_once('.').and_then(|(server, name)| Some((self.servers.get(server)?, name))) {
            Some((server, name)) if known => server.call(name, arguments, cancel).await,
            _ => ToolAnswer::failed(self.unknown(tool)),
        }
    }

    fn unknown(&self, tool: &str) -> String {
        let names: Vec<_> = self.specs.iter().map(|spec| spec.name.as_str()).collect();
        if names.is_empty() {
            return format!("there is no tool {tool:?}, nor any other");
        }
        format!("there is no tool {tool:?}. There are: {}", names.join(", "))
    }

    /// Whether a call that may have been made already can be made again.
    pub fn is_repeatable(&self, tool: &str) -> bool {
        self.specs.iter().any(|spec| spec.name == tool && spec.repeatable)
    }

    /// Ends the servers that were started, and waits for them, within a bound.
    pub async fn close(&self) {
        join_all(self.servers.values().map(Server::close)).await;
    }
}

#[cfg(test)]
mod tests;
