//! Which servers of tools the configuration names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Seconds that a tool has for an answer where nothing else is said.
const TIMEOUT_S: u64 = 120;
/// Characters that a server's name may have; it stands before every one of its tools' names.
const NAME_CHARS_MAX: usize = 32;

/// A server of tools, spoken to over the Model Context Protocol: a program that is started for each run, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolServerConfig {
    /// The program. It runs with the rights of the person, outside of the sandbox.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Variables that it gets with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables that it gets as they are. Besides, it gets those that say where the person's home and programs are, and no others:
    /// keys of models are none of its business.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pass_env: Vec<String>,
    /// The address, of a server that runs already (streamable HTTP).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The environment variable that holds the address's token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_env: String,
    /// The tools that may be called; empty is all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Seconds that a tool has for its answer.
    pub timeout_s: u64,
}

impl Default for ToolServerConfig {
    fn default() -> Self {
        Self {
            command: String::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            url: String::new(),
            token_env: String::new(),
            tools: Vec::new(),
            timeout_s: TIMEOUT_S,
        }
    }
}

impl ToolServerConfig {
    /// Why it cannot be used under this name, if so: the key, and what is wrong with it.
    pub(crate) fn fault(&self, name: &str) -> Option<(String, String)> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let fault = |key: &str, what: &str| Some((format!("mcp.{name}{key}"), what.to_owned()));
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(is_name) {
            return fault("", "a server is called with at most 32 small letters, digits, - and _");
        }
        match (self.command.is_empty(), self.url.is_empty()) {
            (true, true) => return fault("", "it needs a command or a url"),
            (false, false) => return fault(".url", "it has a command already; only one of both is used"),
            (true, false) if !self.url.starts_with("http://") && !self.url.starts_with("https://") => {
                return fault(".url", "it begins with http:// or https://");
            }
            _ => {}
        }
        if self.timeout_s == 0 {
            return fault(".timeout_s", "at least 1 is needed");
        }
        None
    }
}
