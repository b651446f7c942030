//! A place of its own for every test: state, workspaces, models and configuration, none of them the user's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Such a place.
pub struct Home {
    dir: TempDir,
}

/// What a finished command said.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// Panics with everything that was said unless the exit code is `code`.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Stdout as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {}", self.stdout))
    }
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The binary with this home's environment and nothing of the user's.
    pub fn edvac(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edvac"));
        command.args(args).current_dir(self.path());
        let is_ours = |name: &str| {
            let name = name.to_ascii_uppercase();
            ["EDVAC_", "OTEL_", "TRACE"].iter().any(|of| name.starts_with(of)) || name.ends_with("_PROXY")
        };
        for (name, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        command
            .env("EDVAC_CONFIG", self.path().join("config.toml"))
            .env("EDVAC_STATE", self.path().join("state"))
            .env("EDVAC_WORKSPACES", self.path().join("workspaces"))
            .env("EDVAC_MODELS", self.path().join("models"))
            .env("EDVAC_CACHE", self.path().join("cache"))
            .env_remove("OPENAI_API_KEY")
            .env("NO_COLOR", "1");
        command
    }

    pub fn say(&self, args: &[&str]) -> Said {
        self.edvac(args).output().unwrap().into()
    }

    /// Runs of this home, by their journals' directories.
    pub fn run_dirs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("state/runs")).into_iter().flatten().flatten();
        entries.map(|e| e.path()).collect()
    }

    /// The only workspace.
    pub fn workspace(&self) -> PathBuf {
        let mut all: Vec<_> =
            std::fs::read_dir(self.path().join("workspaces")).unwrap().flatten().map(|e| e.path()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Every record of the only run.
    pub fn records(&self) -> Vec<serde_json::Value> {
        let said = self.say(&["logs", "--json"]).expect(0);
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many model calls were recorded, and how many were begun.
    pub fn calls(&self) -> (usize, usize) {
        let records = self.records();
        let of = |kind: &str| {
            records
                .iter()
                .filter(|r| r["kind"] == kind && r["key"].as_str().is_some_and(|k| k.ends_with("/call")))
                .count()
        };
        (of("result"), of("intent"))
    }
}

/// All files below `dir`, without git's pointer.
pub fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
            if name == ".git" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                drop(out.insert(name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    out
}

/// `git` in `dir`.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
