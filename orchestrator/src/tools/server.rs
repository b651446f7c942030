//! One server of tools: how it is reached, and what becomes of a call.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use edvac_agents::client::Cancel;
use edvac_agents::protocol::tool::ToolSpec;
use process_wrap::tokio::{CommandWrap, ProcessGroup};
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, PaginatedRequestParams,
    ProtocolVersion, Tool,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, Peer, RoleClient, RunningService,
    ServiceError,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use serde_json::{Map, Value};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{ToolAnswer, ToolError, ToolServerConfig};

/// How long a server may take to be there: some are downloaded first.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// How long one that was started may take to end: it is asked to, by the end of its input, then by a signal, then it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(12);
/// Errors within errors that are looked through.
const CAUSES_MAX: usize = 8;
/// Pages of its list of tools that are asked for.
const PAGES_MAX: usize = 64;
/// Characters of a tool's name, by the protocol.
const NAME_CHARS_MAX: usize = 128;
/// What a program needs to find itself and its files. Everything else it gets by name.
const ENVIRONMENT: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TMPDIR", "TZ", "XDG_RUNTIME_DIR"];

type Connection = RunningService<RoleClient, ClientConfig>;

/// A server that was reached once.
pub(super) struct Server {
    name: String,
    config: ToolServerConfig,
    log: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Server {
    /// Reaches a server and asks what it has.
    pub(super) async fn open(
        name: &str,
        config: &ToolServerConfig,
        logs: &Path,
    ) -> Result<(Self, Vec<ToolSpec>), ToolError> {
        let server = Self {
            name: name.to_owned(),
            config: config.clone(),
            log: logs.join(format!("{name}.log")),
            connection: Mutex::default(),
        };
        let reached = async {
            let peer = server.peer().await?;
            all_tools(&peer)
                .await
                .map_err(|why| Trouble::told(format!("it does not say which tools it has: {why}")))
        };
        let all = match timeout(START_TIMEOUT, reached).await {
            Ok(all) => all,
            Err(_) => {
                Err(Trouble::told(format!("it was not there after {} seconds", START_TIMEOUT.as_secs())))
            }
        };
        let all = match all {
            Ok(all) => usable(name, all),
            Err(Trouble { why, fix }) => {
                let fix = fix.unwrap_or_else(|| server.fix());
                server.close().await;
                return Err(ToolError { server: name.to_owned(), why, fix });
            }
        };
        let is_wanted =
            |tool: &&Tool| config.tools.is_empty() || config.tools.iter().any(|name| *name == tool.name);
        if let Some(missing) = config.tools.iter().find(|name| all.iter().all(|tool| tool.name != **name)) {
            let names: Vec<_> = all.iter().map(|tool| tool.name.as_ref()).collect();
            server.close().await;
            return Err(ToolError {
                server: name.to_owned(),
                why: format!("it has no tool {missing:?}"),
                fix: format!("Mend mcp.{name}.tools; it has: {}.", names.join(", ")),
            });
        }
        let specs = all.iter().filter(is_wanted).map(|tool| spec(name, tool)).collect();
        Ok((server, specs))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn fix(&self) -> String {
        if self.config.command.is_empty() {
            return format!("See whether {} is running, or remove mcp.{}.", self.config.url, self.name);
        }
        let args = self.config.args.join(" ");
        let line = format!("{} {args}", self.config.command);
        format!(
            "Its messages of errors are in {}. Try `{}`, or remove mcp.{}.",
            self.log.display(),
            line.trim(),
            self.name
        )
    }

    /// The way to the server; one that ended is reached anew.
    async fn peer(&self) -> Result<Peer<RoleClient>, Trouble> {
        let mut connection = self.connection.lock().await;
        if let Some(open) =
            connection.as_ref().filter(|open| !open.is_closed() && !open.is_transport_closed())
        {
            return Ok(open.peer().clone());
        }
        let new = self.connect().await?;
        let peer = new.peer().clone();
        *connection = Some(new);
        Ok(peer)
    }

    async fn connect(&self) -> Result<Connection, Trouble> {
        let told =
            |error: ClientInitializeError| Trouble::told(format!("it does not answer: {}", cause(&error)));
        let us = Implementation::new("edvac", env!("CARGO_PKG_VERSION"));
        let client = ClientConfig::new(ClientCapabilities::default(), us);
        // Servers of before 2026-07-28 are greeted as they expect it.
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        if self.config.command.is_empty() {
            edvac_agents::client::openai::use_tls();
            let mut config = StreamableHttpClientTransportConfig::with_uri(self.config.url.as_str());
            if !self.config.token_env.is_empty() {
                let variable = &self.config.token_env;
                let token = std::env::var(variable).map_err(|_| not_set(variable, "token_env"))?;
                config = config.auth_header(token);
            }
            let transport = StreamableHttpClientTransport::from_config(config);
            return client.serve_with_lifecycle(transport, lifecycle).await.map_err(told);
        }
        let program = self.program()?;
        let errors = self.errors()?;
        // A group of its own: what it starts ends with it, and Ctrl-C at the terminal is not for it.
        let mut program = CommandWrap::from(program);
        program.wrap(ProcessGroup::leader());
        let (transport, _) = TokioChildProcess::builder(program)
            .stderr(errors)
            .spawn()
            .map_err(|e| Trouble::told(format!("{} cannot be started: {e}", self.config.command)))?;
        client.serve_with_lifecycle(transport, lifecycle).await.map_err(told)
    }

    fn program(&self) -> Result<Command, Trouble> {
        let mut program = Command::new(&self.config.command);
        program.args(&self.config.args).env_clear().envs(&self.config.env);
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name).filter(|_| !self.config.env.contains_key(name)) {
                program.env(name, value);
            }
        }
        for name in &self.config.pass_env {
            let value = std::env::var_os(name).ok_or_else(|| not_set(name, "pass_env"))?;
            program.env(name, value);
        }
        Ok(program)
    }

    /// Where its program's messages go: not among those of the run.
    fn errors(&self) -> Result<Stdio, Trouble> {
        let made =
            self.log.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(&self.log));
        made.map(Stdio::from)
            .map_err(|e| Trouble::told(format!("{} cannot be written: {e}", self.log.display())))
    }

    /// Calls a tool, once: a call that may have reached the server is never made again by itself.
    pub(super) async fn call(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
        cancel: &Cancel,
    ) -> ToolAnswer {
        let peer = match timeout(START_TIMEOUT, self.peer()).await {
            Ok(Ok(peer)) => peer,
            Ok(Err(Trouble { why, .. })) => {
                return ToolAnswer::failed(format!("the tool's server is not there: {why}"));
            }
            Err(_) => return ToolAnswer::failed("the tool's server is not there"),
        };
        let request = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments.clone());
        let limit = Duration::from_secs(self.config.timeout_s);
        let mut cancel = cancel.clone();
        let answered = tokio::select! {
            answered = timeout(limit, peer.call_tool(request)) => answered,
            // Where nobody can cancel, nobody does.
            Ok(_) = cancel.wait_for(|cancelled| *cancelled) => return ToolAnswer::failed("the run was cancelled"),
        };
        match answered {
            Ok(Ok(result)) => result.into(),
            Ok(Err(ServiceError::McpError(error))) => ToolAnswer::failed(error.message),
            Ok(Err(error)) => ToolAnswer::failed(format!(
                "the tool's server did not answer ({error}); whether it did what was asked is not known"
            )),
            Err(_) => ToolAnswer::failed(format!(
                "there was no answer within {} seconds; whether it did what was asked is not known",
                limit.as_secs()
            )),
        }
    }

    pub(super) async fn close(&self) {
        if let Some(mut open) = self.connection.lock().await.take() {
            let _ = open.close_with_timeout(END_TIMEOUT).await;
        }
    }
}

/// Why a server is not reached, and what to do about it where it is known better than by its name.
struct Trouble {
    why: String,
    fix: Option<String>,
}

impl Trouble {
    fn told(why: String) -> Self {
        Self { why, fix: None }
    }
}

fn not_set(variable: &str, key: &str) -> Trouble {
    Trouble {
        why: format!("the environment variable {variable}, which {key} names, is not set"),
        fix: Some(format!("Set it: export {variable}=…")),
    }
}

/// What an error comes down to: around it stand the names of a library's types.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut root = error;
    for _ in 0..CAUSES_MAX {
        let Some(next) = root.source() else { break };
        root = next;
    }
    let said = root.to_string();
    // The library's own words stand behind the types in them.
    said.rsplit_once("] error: ").map_or(said.clone(), |(_, own)| own.to_owned())
}

/// Every page of the list, within a bound: a server that goes on for ever is none.
async fn all_tools(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, String> {
    let mut all = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let request = PaginatedRequestParams::default().with_cursor(cursor.clone());
        let page = peer.list_tools(Some(request)).await.map_err(|e| cause(&e))?;
        all.extend(page.tools);
        match page.next_cursor {
            None => return Ok(all),
            next if next == cursor => return Err("its list begins again and again".to_owned()),
            next => cursor = next,
        }
    }
    Err(format!("its list has more than {PAGES_MAX} pages"))
}

/// Tools whose names can be written in a line; a name is there once. Whatever else a name has in it would stand in prompts.
fn usable(server: &str, all: Vec<Tool>) -> Vec<Tool> {
    let is_name = |name: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(is_part)
    };
    let mut known = BTreeSet::new();
    let keep = |tool: &Tool| {
        let kept = is_name(&tool.name) && known.insert(tool.name.to_string());
        if !kept {
            tracing::warn!(
                "mcp.{server}: a tool is left out, since its name is none or there twice: {:?}",
                tool.name
            );
        }
        kept
    };
    all.into_iter().filter(keep).collect()
}

fn spec(server: &str, tool: &Tool) -> ToolSpec {
    let hints = tool.annotations.as_ref();
    let is = |hint: Option<Option<bool>>| hint.flatten() == Some(true);
    ToolSpec {
        name: format!("{server}.{}", tool.name),
        about: tool.description.as_deref().unwrap_or_default().to_owned(),
        schema: Value::Object((*tool.input_schema).clone()),
        repeatable: is(hints.map(|h| h.read_only_hint)) || is(hints.map(|h| h.idempotent_hint)),
    }
}
