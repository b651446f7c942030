//! `serve`: the dashboard over all runs, and the model for other programs, over OpenAI's API.

use edvac_orchestrator::config::Config;
use edvac_server::{Options, Served, Server};
use serde_json::json;
use std::io::Write as _;
use tokio::signal::unix::{SignalKind, signal};

use super::desk::{Shelf, desk, open_browser};
use super::{SCHEMA_VERSION, model_flags, models};
use crate::args::Serve;
use crate::failure::{Failure, Outcome};
use crate::terminal::terminal;

pub async fn serve(mut config: Config, args: Serve) -> Outcome {
    if args.openapi {
        return describe(args.port.unwrap_or(config.server.port));
    }
    model_flags(&mut config.model, &args.model);
    let token_env = args.token_env.as_deref().unwrap_or(&config.server.token_env);
    let options = Options {
        bind: args.bind.unwrap_or(config.server.bind),
        port: args.port.unwrap_or(config.server.port),
        token: token(token_env)?,
    };
    // What is wrong with the address or the token is said before a model is loaded for nothing.
    options.check()?;
    let shelf = Shelf::new(config.clone());
    let client = if args.no_model { None } else { Some(shelf.own().await?) };
    let embeddings = if args.no_model { None } else { models::open_embeddings(&config) };
    let model = client.as_ref().map(|client| client.info().model.clone());
    let also = embeddings.as_ref().map(|e| e.model().to_owned());
    let desk = desk(&config, shelf)?;
    let server = Server::bind(&options, Served { client, embeddings, desk: Some(desk) }).await?;
    let url = server.base_url();
    let dashboard = server.dashboard_url();
    if args.json.json {
        let line = json!({
            "schema_version": SCHEMA_VERSION, "base_url": url, "port": server.address().port(),
            "model": model, "embeddings": also, "token": options.token.is_some(), "dashboard_url": dashboard,
        });
        println!("{line}");
    } else {
        println!("{url}");
    }
    // Whoever waits for the address reads it from a pipe.
    std::io::stdout().flush().map_err(|e| Failure::machine(format!("stdout: {e}")))?;
    // The link lets in whoever has it, and is of no use to anybody else once it was opened.
    if let Some(dashboard) = &dashboard {
        if !args.json.json {
            eprintln!("dashboard, by a link that works once: {dashboard}");
        }
        if args.open {
            open_browser(dashboard);
        }
    }
    if !terminal().quiet {
        let embeds = also.map(|name| format!(" and {name}")).unwrap_or_default();
        let what = model.map_or("no model".to_owned(), |model| format!("{model}{embeds}"));
        eprintln!("serving {what}; Ctrl-C ends it.");
    }
    server.run(stop()?).await?;
    Ok(0)
}

/// Prints the description of the API.
fn describe(port: u16) -> Outcome {
    let text = edvac_server::openapi(port).map_err(|e| Failure::machine(e.to_string()))?;
    println!("{text}");
    Ok(0)
}

fn token(variable: &str) -> Result<Option<String>, Failure> {
    if variable.is_empty() {
        return Ok(None);
    }
    match std::env::var(variable) {
        Ok(token) if !token.is_empty() => Ok(Some(token)),
        _ => Err(Failure::usage(
            format!("the environment variable {variable}, which should have the token, is empty or not text"),
            format!("Set it: export {variable}=$(openssl rand -hex 32)"),
        )),
    }
}

/// Comes with the first Ctrl-C or SIGTERM; the second ends the process at once.
fn stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let asked = stop_quietly()?;
    Ok(async move {
        asked.await;
        if !terminal().quiet {
            eprintln!("ending after the replies in progress. Ctrl-C again ends at once.");
        }
    })
}

/// The same without a word.
pub fn stop_quietly() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let broken = |e: std::io::Error| Failure::machine(format!("signals cannot be received: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
            std::process::exit(super::EXIT_INTERRUPTED);
        });
    })
}
