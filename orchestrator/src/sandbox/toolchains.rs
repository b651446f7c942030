//! Languages' own installations, which may lie below a home directory that the sandbox must not show.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that tests and commands are run with.
const PROGRAMS: [&str; 9] = ["python3", "node", "npm", "cargo", "rustc", "go", "gcc", "cc", "make"];

/// What the sandbox shows of the host, read-only.
#[derive(Clone, Debug, Default)]
pub struct Toolchains {
    /// Directories to bind under their own names.
    pub prefixes: Vec<PathBuf>,
    /// Directories with programs, first ones first.
    pub path: Vec<PathBuf>,
    /// Programs that can be found there.
    pub programs: Vec<String>,
}

impl Toolchains {
    /// Asks each language where it lives. Takes some milliseconds a language.
    pub fn find() -> Self {
        Self::with("python3")
    }

    /// The same, with this Python: a virtual environment's comes with what is installed there.
    pub fn with(python3: &str) -> Self {
        let mut found = Self::default();
        for prefix in python(python3).into_iter().chain([node(), rust(), go()].into_iter().flatten()) {
            let is_known = found.prefixes.contains(&prefix);
            if !is_known && !is_system(&prefix) && prefix.components().count() > 2 {
                found.path.push(prefix.join("bin"));
                found.prefixes.push(prefix);
            }
        }
        found.path.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from));
        let there = |name: &&str| found.path.iter().any(|dir| dir.join(name).exists());
        found.programs = PROGRAMS.iter().filter(|n| there(n)).map(|&n| n.to_owned()).collect();
        found
    }

    /// Whether a program can be found there, or under its own path.
    pub fn have(&self, program: &str) -> bool {
        let is_path = Path::new(program).is_absolute();
        if is_path { Path::new(program).exists() } else { self.path.iter().any(|d| d.join(program).exists()) }
    }
}

fn is_system(prefix: &Path) -> bool {
    prefix.starts_with("/usr") || prefix == Path::new("/")
}

/// What a command prints, if it is there and succeeds.
fn ask(program: &str, args: &[&str]) -> Option<PathBuf> {
    let output = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim())).filter(|p| p.is_absolute())
}

/// A virtual environment, where it is one, and the installation behind it.
fn python(program: &str) -> Vec<PathBuf> {
    ["prefix", "base_prefix"]
        .iter()
        .filter_map(|of| ask(program, &["-I", "-c", &format!("import sys; print(sys.{of})")]))
        .collect()
}

fn node() -> Option<PathBuf> {
    let program = ask("node", &["-p", "process.execPath"])?;
    Some(program.parent()?.parent()?.to_owned())
}

/// The toolchain itself, not the proxies that choose one by files of the user's.
fn rust() -> Option<PathBuf> {
    ask("rustc", &["--print", "sysroot"])
}

fn go() -> Option<PathBuf> {
    ask("go", &["env", "GOROOT"])
}
