//! `mcp`: runs for other programs, and the tools of other programs for runs.

use edvac_orchestrator::config::Config;
use edvac_orchestrator::run::{Machine, RunError};
use edvac_server::mcp::serve_stdio;
use serde_json::json;

use super::desk::{Shelf, desk};
use super::serve::stop_quietly;
use super::{SCHEMA_VERSION, model_flags, print_json};
use crate::args::{Mcp, McpCommand};
use crate::failure::{Failure, Outcome};
use crate::terminal::tell;

/// Characters of what a server says of a tool that a line shows.
const ABOUT_CHARS: usize = 100;

pub async fn mcp(mut config: Config, args: Mcp) -> Outcome {
    if let Some(McpCommand::Ls(form)) = args.command {
        return list(config, form.json).await;
    }
    model_flags(&mut config.model, &args.model);
    // The model is opened when the first run needs it: clients wait for a server to answer at once.
    let (desk, _) = desk(&config, Shelf::new(config.clone()))?;
    serve_stdio(desk, stop_quietly()?).await.map_err(|e| {
        Failure::usage(e.to_string(), "`edvac mcp` is started by a client of the Model Context Protocol.")
    })?;
    Ok(0)
}

async fn list(config: Config, as_json: bool) -> Outcome {
    let servers: Vec<_> = config.mcp.keys().cloned().collect();
    let toolbox = Machine::new(config)?.toolbox().await.map_err(RunError::from)?;
    toolbox.close().await;
    if as_json {
        return Ok(print_json(&json!({
            "schema_version": SCHEMA_VERSION, "servers": servers, "tools": toolbox.specs(),
        })));
    }
    if servers.is_empty() {
        println!("the configuration names no server of tools; see README, \"Tools of other programs\"");
    }
    for tool in toolbox.specs() {
        let about: String = tool.about.lines().next().unwrap_or_default().chars().take(ABOUT_CHARS).collect();
        tell!("{:<32} {about}", tool.name);
    }
    Ok(0)
}
