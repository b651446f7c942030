//! `doctor`: can this machine run edvac, and if not, what is to be mended.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use edvac_orchestrator::config::{self, Config};
use edvac_orchestrator::control::budget::Tariff;
use edvac_orchestrator::price;
use edvac_orchestrator::run::Machine;
use edvac_orchestrator::sandbox::{self, Level};
use serde::Serialize;
use serde_json::json;

use super::{SCHEMA_VERSION, models, print_json};
use crate::failure::Outcome;

/// Free space below which a run may not fit: a model and a few projects.
const DISK_BYTES_WANTED: u64 = 4 << 30;
/// Wait for an endpoint's port.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Ok,
    /// Works, but not as well as it could.
    Warning,
    /// A run would fail.
    Failure,
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    standing: Standing,
    what: String,
    fix: String,
    duration_ms: u64,
}

/// What a probe found: its standing, a sentence, and what to do.
pub type Probed = (Standing, String, String);

pub fn ok(what: impl Into<String>) -> Probed {
    (Standing::Ok, what.into(), String::new())
}

pub fn failure(what: impl Into<String>, fix: impl Into<String>) -> Probed {
    (Standing::Failure, what.into(), fix.into())
}

pub async fn doctor(file: Option<&Path>, json: bool) -> Outcome {
    let mut findings = Vec::new();
    let mut add = |name, begun: Instant, (standing, what, fix): Probed| {
        let duration_ms = begun.elapsed().as_millis() as u64;
        let finding = Finding { name, standing, what, fix, duration_ms };
        if !json {
            show(&finding);
        }
        findings.push(finding);
    };
    let begun = Instant::now();
    let loaded = config::load(file);
    add(
        "configuration",
        begun,
        match &loaded {
            Ok(_) => ok("can be read"),
            Err(error) => failure(error.to_string(), "Mend or remove that line."),
        },
    );
    let begun = Instant::now();
    add("sandbox", begun, sandbox().await);
    let begun = Instant::now();
    add("git", begun, git());
    // Where the configuration cannot be read, nobody knows which directories and which model are meant.
    if let Ok(config) = &loaded {
        configured(config, &mut add);
        let begun = Instant::now();
        if !config.mcp.is_empty() {
            add("tools", begun, tools(config).await);
        }
    } else {
        let what = "directories, model and search are not checked without a configuration".to_owned();
        add("the rest", Instant::now(), (Standing::Warning, what, String::new()));
    }
    let failed = findings.iter().any(|f| f.standing == Standing::Failure);
    if json {
        let overall = if failed { "failure" } else { "ok" };
        print_json(&json!({ "schema_version": SCHEMA_VERSION, "overall": overall, "checks": findings }));
    } else if !failed {
        println!("\nReady: edvac run \"A todo app for the command line in Python\"");
    }
    Ok(u8::from(failed))
}

/// What the local model is computed with.
fn processor() -> Probed {
    match edvac_runtime::instruction_set() {
        "portable" => (
            Standing::Warning,
            "the local model is computed without vector instructions: it is very slow".to_owned(),
            "Unset EDVAC_ISA if it is set; otherwise use an endpoint (model.provider, model.base_url)."
                .to_owned(),
        ),
        set => ok(format!("the local model is computed with {set}")),
    }
}

/// Whether the servers of tools are there.
async fn tools(config: &Config) -> Probed {
    let opened = match Machine::new(config.clone()) {
        Ok(machine) => machine.toolbox().await,
        Err(error) => return failure(error.to_string(), ""),
    };
    match opened {
        Ok(toolbox) => {
            toolbox.close().await;
            ok(format!("{} tools of {} servers (`edvac mcp ls`)", toolbox.specs().len(), config.mcp.len()))
        }
        Err(error) => failure(error.to_string(), error.fix),
    }
}

/// What the endpoint's model costs.
fn price(config: &Config) -> Probed {
    let name = &config.model.name;
    match price::tariff(&config.model, &config.prices) {
        Tariff::Unknown => (
            Standing::Warning,
            format!("what {name} costs is not known: runs on it cannot say it, and --max-cost is refused"),
            format!("Write it into the configuration: {}.", price::example(name)),
        ),
        tariff => ok(price::terms(&tariff, &config.model.provider)),
    }
}

/// What depends on the configuration.
fn configured(config: &Config, add: &mut impl FnMut(&'static str, Instant, Probed)) {
    for (name, dir) in [("state", config.state_dir().ok()), ("workspaces", Some(config.workspaces_dir()))] {
        let begun = Instant::now();
        add(
            name,
            begun,
            match dir {
                Some(dir) => directory(&dir),
                None => failure("no home directory is known", "Set HOME, or EDVAC_STATE."),
            },
        );
    }
    if let Some(dir) = config.templates_dir().filter(|dir| !dir.is_dir()) {
        add(
            "templates",
            Instant::now(),
            failure(format!("{} is no directory", dir.display()), "Mend paths.templates."),
        );
    }
    let begun = Instant::now();
    add("model", begun, model(config));
    if config.model.provider == "openai" {
        add("price", Instant::now(), price(config));
    }
    if let Some(second) = &config.second_model {
        let with_second = Config { model: second.clone(), ..config.clone() };
        let begun = Instant::now();
        add("second model", begun, model(&with_second));
    }
    if config.model.provider == "local" && config.model.device == "cpu" {
        add("processor", Instant::now(), processor());
    }
    let begun = Instant::now();
    add(
        "search by meaning",
        begun,
        match models::open_embedder(config) {
            Some(_) => ok("the embedding model is here"),
            None => (
                Standing::Warning,
                "words only".to_owned(),
                "edvac models pull all-minilm-l6-v2 (91 MB)".to_owned(),
            ),
        },
    );
}

fn show(finding: &Finding) {
    let mark = match finding.standing {
        Standing::Ok => "✓",
        Standing::Warning => "!",
        Standing::Failure => "✗",
    };
    println!("{mark} {:<18} {}", finding.name, finding.what);
    if !finding.fix.is_empty() {
        println!("  {:<18} fix: {}", "", finding.fix);
    }
}

async fn sandbox() -> Probed {
    match sandbox::open().await.map(|sandbox| sandbox.level()) {
        Ok(Level::Apart) => ok("bubblewrap works: no network, one writable tree"),
        Ok(Level::Behind | Level::Bare) => (
            Standing::Warning,
            "without user namespaces code runs behind Landlock and a filter of system calls only: no network, not even \
             a loopback, one writable tree; C and Rust are built by root only"
                .to_owned(),
            "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile for \
             bwrap)."
                .to_owned(),
        ),
        Err(refusal) => failure(refusal.why, refusal.fix),
    }
}

/// Whether files can be made there, and how much space is left.
fn directory(dir: &Path) -> Probed {
    let probe = std::fs::create_dir_all(dir).and_then(|()| tempfile::tempfile_in(dir));
    match (probe, rustix::fs::statvfs(dir)) {
        (Err(error), _) => {
            failure(format!("{}: {error}", dir.display()), "Give it to your user, or configure another.")
        }
        (Ok(_), Ok(stat)) if stat.f_bavail * stat.f_frsize < DISK_BYTES_WANTED => (
            Standing::Warning,
            format!("{}: {} MB free", dir.display(), (stat.f_bavail * stat.f_frsize) >> 20),
            "Make room; a run stops cleanly when the disk is full and can be resumed.".to_owned(),
        ),
        (Ok(_), _) => ok(dir.display().to_string()),
    }
}

fn model(config: &Config) -> Probed {
    match config.model.provider.as_str() {
        "local" => models::probe_local(config),
        "openai" => endpoint(config),
        other if other.starts_with("scripted:") || other.starts_with("recorded:") => ok(other),
        other => failure(format!("there is no provider {other:?}"), "Set model.provider to local or openai."),
    }
}

fn endpoint(config: &Config) -> Probed {
    let url = &config.model.base_url;
    let key =
        if std::env::var_os(&config.model.api_key_env).is_some() { "with a key" } else { "without a key" };
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next().unwrap_or_default();
    let with_port = match (host.rsplit_once(':'), scheme) {
        (Some(_), _) => host.to_owned(),
        (None, "https") => format!("{host}:443"),
        (None, _) => format!("{host}:80"),
    };
    let address = with_port.to_socket_addrs().ok().and_then(|mut all| all.next());
    let reached = address.is_some_and(|a| TcpStream::connect_timeout(&a, CONNECT_TIMEOUT).is_ok());
    if reached {
        ok(format!("{} at {url}, {key}", config.model.name))
    } else {
        failure(format!("nothing listens at {url}"), "Start the endpoint, or mend model.base_url.")
    }
}

fn git() -> Probed {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(out) if out.status.success() => ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        _ => (
            Standing::Warning,
            "there is no git to look at workspaces with".to_owned(),
            "Install git; runs work without it.".to_owned(),
        ),
    }
}
