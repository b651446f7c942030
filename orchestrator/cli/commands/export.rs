//! `export`: a run as one file, a book for its readers or anything for whoever keeps it.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use edvac_agents::templates::Templates;
use edvac_memory::slug::slug;
use edvac_memory::store::{FileStore as _, GitStore};
use edvac_orchestrator::config::Config;
use edvac_orchestrator::control::{Event, RunState};
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::export::{Book, ExportError, SUMMARY, epub, html};
use edvac_orchestrator::place::RunDir;
use edvac_orchestrator::report::Report;
use edvac_orchestrator::run::RunError;
use serde_json::json;

use super::run::json_line;
use super::{find, say};
use crate::args::{Export, Format};
use crate::failure::{Failure, Outcome};

pub async fn export(config: &Config, args: &Export) -> Outcome {
    let (dir, step) = find(config, &args.run)?;
    if let Some(step) = step {
        return Err(Failure::usage(
            "a step is not exported by itself",
            format!(
                "`edvac export {}` exports what the run made; `edvac show {}/{step}` shows the step.",
                dir.id, dir.id
            ),
        ));
    }
    let state = dir.state().await?;
    let format = match args.format {
        Some(format) => format,
        None => fitting(&dir, &state)?,
    };
    match format {
        Format::Epub | Format::Html => book(config, args, format, &dir, &state).await,
        Format::Jsonl | Format::Md | Format::Zip => run(args, format, &dir, &state).await,
        Format::Otlp | Format::OtlpJson => trace(args, format, &dir, &state).await,
    }
}

/// What a run is exported as where nobody says it: a book as one, anything else as an archive of what it made. What a program
/// documents itself with may look like a book; it is none.
fn fitting(dir: &RunDir, state: &RunState) -> Result<Format, Failure> {
    let domain = state.start.as_ref().map_or("", |start| start.domain.as_str());
    let is_book = match (domain, &state.tree) {
        ("book", _) => true,
        ("codebase", _) | (_, None) => false,
        (_, Some(tree)) => {
            let machine = |e: edvac_memory::store::StoreError| Failure::machine(e.to_string());
            let store = GitStore::view(&dir.git_dir()).map_err(machine)?;
            store.list(tree).map_err(machine)?.contains_key(SUMMARY)
        }
    };
    Ok(if is_book { Format::Epub } else { Format::Zip })
}

/// A run for whoever keeps it.
async fn run(args: &Export, format: Format, dir: &RunDir, state: &RunState) -> Outcome {
    let Some(report) = Report::of(state) else { return Err(never_started(dir)) };
    let journal = async || -> Result<Vec<u8>, Failure> {
        let lines = dir.history().await?.into_iter().map(|(record, _)| format!("{}\n", json_line(&record)));
        Ok(lines.collect::<String>().into_bytes())
    };
    let (ending, bytes) = match format {
        Format::Md => ("md", report.markdown().into_bytes()),
        Format::Zip => ("zip", archive(dir, state, &report, &journal().await?)?),
        _ => ("jsonl", journal().await?),
    };
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{ending}", dir.id)));
    write(&out, &bytes)?;
    if out == Path::new("-") {
        return Ok(0);
    }
    Ok(say(
        args.run.json,
        &format!("{}: {} bytes", out.display(), bytes.len()),
        || json!({ "run": dir.id, "file": out, "bytes": bytes.len() }),
    ))
}

/// A run's trace. Of a run that a process carries out, what has ended.
async fn trace(args: &Export, format: Format, dir: &RunDir, state: &RunState) -> Outcome {
    if state.start.is_none() {
        return Err(never_started(dir));
    }
    let is_over = dir.writer().is_none();
    let records: Vec<_> = dir.history().await?.into_iter().map(|(record, _)| record).collect();
    if format == Format::Otlp {
        if args.out.is_some() {
            return Err(Failure::usage(
                "a trace that is sent is written to no file",
                "Leave -o out, or write a file with --format otlp-json.",
            ));
        }
        let (trace, spans) = edvac_telemetry::send(&records, is_over).await?;
        return Ok(say(
            args.run.json,
            &format!("{spans} spans of trace {trace} were sent"),
            || json!({ "run": dir.id, "trace": trace, "spans": spans }),
        ));
    }
    let (bytes, trace, spans) = edvac_telemetry::json(&records, is_over)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.otlp.json", dir.id)));
    write(&out, &bytes)?;
    if out == Path::new("-") {
        return Ok(0);
    }
    Ok(say(
        args.run.json,
        &format!("{}: {spans} spans of trace {trace}", out.display()),
        || json!({ "run": dir.id, "file": out, "bytes": bytes.len(), "trace": trace, "spans": spans }),
    ))
}

/// The last commit's files in a directory of the workspace's name, and the report and the journal beside it.
fn archive(dir: &RunDir, state: &RunState, report: &Report, journal: &[u8]) -> Result<Vec<u8>, Failure> {
    let machine = |e: &dyn std::fmt::Display| Failure::machine(e.to_string());
    let options = zip::write::SimpleFileOptions::default();
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| -> Result<(), Failure> {
        archive.start_file(name, options).map_err(|e| machine(&e))?;
        archive.write_all(bytes).map_err(|e| machine(&e))
    };
    if let (Some(tree), Some(start)) = (&state.tree, &state.start) {
        let store = GitStore::view(&dir.git_dir()).map_err(|e| machine(&e))?;
        for path in store.list(tree).map_err(|e| machine(&e))?.into_keys() {
            let content = store.read(tree, &path).map_err(|e| machine(&e))?;
            add(&format!("{}/{path}", start.slug), &content)?;
        }
    }
    add("report.md", report.markdown().as_bytes())?;
    add("report.json", &serde_json::to_vec_pretty(report).map_err(|e| machine(&e))?)?;
    add("journal.jsonl", journal)?;
    Ok(archive.finish().map_err(|e| machine(&e))?.into_inner())
}

fn never_started(dir: &RunDir) -> Failure {
    Failure::usage(format!("run {} never started", dir.id), "There is nothing to export.")
}

/// A book for its readers.
async fn book(config: &Config, args: &Export, format: Format, dir: &RunDir, state: &RunState) -> Outcome {
    let (Some(start), Some(tree)) = (&state.start, &state.tree) else { return Err(never_started(dir)) };
    let templates = Templates::load(config.templates_dir().as_deref()).map_err(RunError::from)?;
    let domain = Domain::load(&start.domain, &templates).map_err(RunError::from)?;
    let without = Some(domain.canon.as_str()).filter(|canon| !canon.is_empty());
    let committed = |(record, event): (_, Option<Event>)| -> Option<i64> {
        let record: edvac_memory::journal::Record = record;
        matches!(event, Some(Event::Committed { .. })).then_some(record.time_ms.div_euclid(1000))
    };
    let time_s = dir.history().await?.into_iter().filter_map(committed).next_back().unwrap_or_default();
    let store = GitStore::view(&dir.git_dir()).map_err(|e| Failure::machine(e.to_string()))?;
    let (book, missing) =
        Book::of(&store, tree, without, dir.id.as_str(), time_s).map_err(|e| refused(&e, dir.id.as_str()))?;
    let bytes = match format {
        Format::Html => html(&book).into_bytes(),
        _ => epub(&book).map_err(|e| refused(&e, dir.id.as_str()))?,
    };
    let out = args.out.clone().unwrap_or_else(|| file_of(&book.title, format));
    write(&out, &bytes)?;
    if out == Path::new("-") {
        return Ok(0);
    }
    let count = book.chapters.len();
    let without = match missing.as_slice() {
        [] => String::new(),
        missing => format!("; not written yet: {}", missing.join(", ")),
    };
    let words = book.words();
    Ok(say(args.run.json, &format!("{}: {count} chapter(s), {words} words{without}", out.display()), || {
        json!({
            "run": dir.id, "file": out, "bytes": bytes.len(), "title": book.title, "language": book.language,
            "words": words, "chapters": book.chapters.iter().map(|c| &c.title).collect::<Vec<_>>(),
            "missing": missing,
        })
    }))
}

fn refused(error: &ExportError, run: &str) -> Failure {
    let text = error.to_string();
    match error {
        ExportError::NoBook => Failure::usage(
            text,
            format!(
                "Runs of the domain `book` make one. `edvac export {run} --format zip` keeps what this run made, with its report and journal."
            ),
        ),
        ExportError::NoChapters => {
            Failure::usage(text, format!("`edvac status {run}` shows how far the run is."))
        }
        ExportError::Store(_) | ExportError::Epub(_) => Failure::machine(text),
    }
}

/// Named after the book, here.
fn file_of(title: &str, format: Format) -> PathBuf {
    let name = slug(title).unwrap_or_else(|| "book".to_owned());
    PathBuf::from(match format {
        Format::Html => format!("{name}.html"),
        _ => format!("{name}.epub"),
    })
}

/// Writes a file whole or not at all: a reader that has it open keeps the old one. `-` is stdout, and what is no file of its own (a
/// device, a pipe) is written to.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path == Path::new("-") {
        return std::io::stdout().write_all(bytes).map_err(|e| Failure::machine(format!("stdout: {e}")));
    }
    let failed = |e: std::io::Error| {
        Failure::usage(
            format!("{} cannot be written: {e}", path.display()),
            "Name a file in a directory that exists, with -o FILE.",
        )
    };
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut there = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
        return there.write_all(bytes).map_err(failed);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(mode()).tempfile_in(dir).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// As files are that a person makes.
fn mode() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
