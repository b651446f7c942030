//! Installing packages without running anything of them, or of the project that asks for them.
//!
//! The package manager gets a list that is written here, of names and versions that the domain allows, and no file of the
//! project. Of Python only wheels are taken, JavaScript's scripts are not run, and of Rust only sources are fetched; they are
//! built later, inside the sandbox. It has the network and the user's own settings of it (mirrors, certificates, proxies),
//! and can write to one directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use edvac_memory::verdict::Limit;

use super::{Needs, Package};
use crate::dependencies::shelf::{Draft, Shelf};
use crate::sandbox::{Job, SandboxError, fetch};

/// Wall time of one installation.
const INSTALL_MS_MAX: u64 = 600_000;
/// Largest file of one, and all files together.
const FILE_BYTES_MAX: u64 = 1 << 30;
const DISK_BYTES_MAX: u64 = 4 << 30;
/// What is kept of what an installer prints.
const OUTPUT_BYTES_MAX: usize = 16 << 10;
/// Packages that are listed; what comes behind them is installed all the same.
const LISTED_MAX: usize = 1000;
/// Files of settings of the user's that the installers read, below the home directory.
const SETTINGS: [&str; 4] = [".npmrc", ".netrc", ".pip", ".config/pip"];
/// Cargo's, below its own.
const CARGO_SETTINGS: [&str; 4] = ["config.toml", "config", "credentials.toml", "credentials"];
/// Variables that say how registries are reached, by the beginnings of their names.
const VARIABLES: [&str; 16] = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_PROXY",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "SSL_CERT_",
    "NODE_EXTRA_CA_CERTS",
];
/// The same, of those that are written in capitals or not.
const VARIABLES_OF_ANY_CASE: [&str; 13] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "requests_ca_bundle",
    "curl_ca_bundle",
    "npm_config_registry",
    "npm_config_cafile",
    "npm_config_ca",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "npm_config_userconfig",
    "npm_config_noproxy",
];

/// What came of an installation.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// The packages, with those that they need.
    pub packages: Vec<Package>,
    /// What was run; empty where the shelf had it.
    pub command: Vec<String>,
    /// Its exit status.
    pub exit_status: Option<i32>,
    /// How long it took.
    pub duration_ms: u64,
    /// What it printed, as far as it is kept.
    pub output: String,
    /// Why there is nothing, in one sentence.
    pub fault: Option<String>,
}

/// Why an installation could not even be tried.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The shelf.
    #[error("the directory of installed packages: {0}")]
    Io(#[from] io::Error),
    /// The walls.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// Installs what is needed, unless the shelf has it. `bare` is whether commands run without a sandbox here.
pub async fn install(shelf: &Shelf, needs: &Needs, bare: bool) -> Result<Installed, InstallError> {
    let (at, wanted) = (shelf.clone(), needs.clone());
    // It may have to wait for another process.
    let drafted = tokio::task::spawn_blocking(move || at.draft(&wanted)).await;
    let draft = drafted.map_err(io::Error::other)??;
    // Another may have made it meanwhile.
    if let Some((_, packages)) = shelf.find(needs) {
        return Ok(Installed { packages, ..Installed::default() });
    }
    let mut command = match needs.runner.as_str() {
        "python" => python(needs, &draft)?,
        "javascript" => javascript(needs, &draft)?,
        _ => rust(needs, &draft)?,
    };
    settings(&draft)?;
    let job = Job {
        time_ms_max: INSTALL_MS_MAX,
        file_bytes_max: FILE_BYTES_MAX,
        disk_bytes_max: DISK_BYTES_MAX,
        output_bytes_max: OUTPUT_BYTES_MAX,
        env: environment(draft.dir()),
        ..Job::new(command.clone(), draft.dir().to_owned())
    };
    let ran = fetch(&job, bare).await?;
    let inside = |text: &str| text.replace(&format!("{}/", draft.dir().display()), "");
    command.iter_mut().for_each(|word| *word = inside(word));
    let output = inside(&ran.output);
    let mut installed = Installed {
        packages: Vec::new(),
        command,
        exit_status: ran.exit_status,
        duration_ms: ran.duration_ms,
        fault: fault(ran.exit_status, ran.limit, &output),
        output,
    };
    if installed.fault.is_none() {
        let mut packages = match needs.runner.as_str() {
            "python" => wheels(&draft.out().join("packages")),
            "javascript" => modules(&draft.out().join("node_modules")),
            _ => crates(&draft.dir().join("Cargo.lock")),
        };
        packages.sort();
        packages.dedup();
        packages.truncate(LISTED_MAX);
        tokio::task::spawn_blocking({
            let packages = packages.clone();
            move || draft.keep(&packages)
        })
        .await
        .map_err(io::Error::other)??;
        installed.packages = packages;
    }
    Ok(installed)
}

fn fault(exit_status: Option<i32>, limit: Option<Limit>, output: &str) -> Option<String> {
    let says = |line: &&str| line.contains("error") || line.contains("ERROR") || line.contains("ERR!");
    let last = || output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    match (exit_status, limit) {
        (Some(0), None) => None,
        (_, Some(Limit::WallTime)) => {
            Some(format!("it did not end within {} minutes", INSTALL_MS_MAX / 60_000))
        }
        (_, Some(limit)) => Some(format!("the installer was stopped: {}", limit.verdict())),
        _ => Some(output.lines().find(says).unwrap_or_else(last).trim().to_owned()),
    }
}

fn python(needs: &Needs, draft: &Draft) -> io::Result<Vec<String>> {
    let list = draft.dir().join("requirements.txt");
    fs::write(&list, needs.wanted.iter().map(|w| format!("{}\n", w.spec)).collect::<String>())?;
    // The one that the sandbox shows, and not what chooses it by files of the home directory.
    let python = ask("python3", &["-I", "-c", "import sys; print(sys.executable)"]);
    let python = python.unwrap_or_else(|| "python3".to_owned());
    let out = draft.out().join("packages");
    let words = [
        python.as_str(),
        "-I",
        "-m",
        "pip",
        "install",
        "--only-binary=:all:",
        "--no-input",
        "--no-cache-dir",
        "--no-compile",
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--progress-bar=off",
        "--target",
        &out.to_string_lossy(),
        "-r",
        &list.to_string_lossy(),
    ];
    Ok(words.map(str::to_owned).to_vec())
}

fn javascript(needs: &Needs, draft: &Draft) -> io::Result<Vec<String>> {
    let wanted: BTreeMap<_, _> = needs.wanted.iter().map(|w| (&w.name, &w.spec)).collect();
    let manifest = serde_json::json!({ "name": "packages", "private": true, "dependencies": wanted });
    fs::write(draft.out().join("package.json"), manifest.to_string())?;
    let out = draft.out();
    let words = [
        "npm",
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--no-progress",
        "--location=project",
        "--prefix",
        &out.to_string_lossy(),
    ];
    Ok(words.map(str::to_owned).to_vec())
}

fn rust(needs: &Needs, draft: &Draft) -> io::Result<Vec<String>> {
    let mut dependencies = toml::Table::new();
    for (number, wanted) in needs.wanted.iter().enumerate() {
        let mut spec: toml::Table = serde_json::from_str(&wanted.spec)?;
        spec.insert("package".to_owned(), wanted.name.clone().into());
        dependencies.insert(format!("package-{number}"), spec.into());
    }
    let text = toml::to_string(&toml::toml! {
        [package]
        name = "packages"
        version = "0.0.0"
        edition = "2021"
        [lib]
        path = "lib.rs"
        [workspace]
    })
    .and_then(|head| {
        let table = toml::Table::from_iter([("dependencies".to_owned(), dependencies.into())]);
        Ok(head + &toml::to_string(&table)?)
    });
    fs::write(draft.dir().join("Cargo.toml"), text.map_err(io::Error::other)?)?;
    fs::write(draft.dir().join("lib.rs"), "")?;
    let cargo = draft.out().join("cargo");
    fs::create_dir(&cargo)?;
    // Relative to the directory that holds the directory of this file.
    fs::write(
        cargo.join("config.toml"),
        "[source.crates-io]\nreplace-with = \"installed\"\n[source.installed]\ndirectory = \"vendor\"\n[net]\noffline = true\n",
    )?;
    // The toolchain's own, and not what chooses it by files of the home directory.
    let own = ask("rustc", &["--print", "sysroot"]).map(|root| format!("{root}/bin/cargo"));
    let program = own.filter(|path| Path::new(path).exists()).unwrap_or_else(|| "cargo".to_owned());
    let out = draft.out().join("vendor");
    Ok([program.as_str(), "vendor", "--quiet", &out.to_string_lossy()].map(str::to_owned).to_vec())
}

/// What a program of the language's says about itself, with the user's own environment.
fn ask(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Path::new(&text).is_absolute().then_some(text)
}

/// Shows the installer its settings in a home directory of its own.
fn settings(draft: &Draft) -> io::Result<()> {
    let home = draft.dir().join("home");
    let Some(users) = std::env::var_os("HOME").map(PathBuf::from) else { return Ok(()) };
    let link = |from: PathBuf, to: PathBuf| {
        if !from.exists() || to.exists() {
            return Ok(());
        }
        fs::create_dir_all(to.parent().unwrap_or(&home))?;
        std::os::unix::fs::symlink(from, to)
    };
    if let Some(config) = std::env::var_os("XDG_CONFIG_HOME") {
        link(Path::new(&config).join("pip"), home.join(".config/pip"))?;
    }
    for name in SETTINGS {
        link(users.join(name), home.join(name))?;
    }
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| users.join(".cargo"), PathBuf::from);
    for name in CARGO_SETTINGS {
        link(cargo.join(name), home.join(".cargo").join(name))?;
    }
    Ok(())
}

/// The whole environment of an installer.
fn environment(dir: &Path) -> Vec<(String, String)> {
    let is_wanted = |name: &str| {
        let lower = name.to_ascii_lowercase();
        VARIABLES.iter().any(|known| name.starts_with(known))
            || VARIABLES_OF_ANY_CASE.contains(&lower.as_str())
    };
    let mut all: Vec<_> = std::env::vars().filter(|(name, _)| is_wanted(name)).collect();
    let own = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    all.extend(
        [
            ("PATH", path),
            ("HOME", own("home")),
            ("TMPDIR", own("tmp")),
            ("CARGO_HOME", own("home/.cargo")),
            ("npm_config_cache", own("tmp/npm")),
            // What a file of settings may say otherwise, and does not go together with a directory of one's own.
            ("PIP_USER", "0".to_owned()),
            ("PIP_REQUIRE_VIRTUALENV", "0".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("NO_COLOR", "1".to_owned()),
            ("CARGO_TERM_COLOR", "never".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    all
}

/// Python's packages, by what wheels leave behind.
fn wheels(dir: &Path) -> Vec<Package> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let infos = entries.filter(|e| e.file_name().to_string_lossy().ends_with(".dist-info"));
    infos
        .filter_map(|info| {
            let text = fs::read(info.path().join("METADATA")).ok()?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
            Some(Package { name: field("Name:")?.to_owned(), version: field("Version:")?.to_owned() })
        })
        .collect()
}

/// JavaScript's, by npm's own list.
fn modules(dir: &Path) -> Vec<Package> {
    let list = fs::read(dir.join(".package-lock.json")).unwrap_or_default();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap_or_default();
    let all = list["packages"].as_object().into_iter().flatten();
    all.filter_map(|(path, package)| {
        let name = path.rsplit("node_modules/").next()?.to_owned();
        Some(Package { name, version: package["version"].as_str()?.to_owned() })
    })
    .collect()
}

/// Rust's, by the lock file.
fn crates(lock: &Path) -> Vec<Package> {
    let text = fs::read_to_string(lock).unwrap_or_default();
    let lock = text.parse::<toml::Table>().unwrap_or_default();
    let all = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    all.filter(|one| one.get("source").is_some())
        .filter_map(|one| {
            let field = |name: &str| one.get(name)?.as_str().map(str::to_owned);
            Some(Package { name: field("name")?, version: field("version")? })
        })
        .collect()
}
