//! `export`: a book as one file for readers.

use std::path::{Path, PathBuf};

use edvac_agents::templates::Templates;
use edvac_memory::slug::slug;
use edvac_memory::store::GitStore;
use edvac_orchestrator::config::Config;
use edvac_orchestrator::control::Event;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::export::{Book, ExportError, epub, html};
use edvac_orchestrator::run::RunError;
use serde_json::json;

use super::{find, say};
use crate::args::{BookFormat, Export};
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
    let (Some(start), Some(tree)) = (&state.start, &state.tree) else {
        return Err(Failure::usage(format!("run {} never started", dir.id), "There is nothing to export."));
    };
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
    let bytes = match args.format {
        BookFormat::Epub => epub(&book).map_err(|e| refused(&e, dir.id.as_str()))?,
        BookFormat::Html => html(&book).into_bytes(),
    };
    let out = args.out.clone().unwrap_or_else(|| file_of(&book.title, args.format));
    write(&out, &bytes)?;
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
                "Runs of the domain `book` make one; what this run made is in its workspace: `edvac show {run}`."
            ),
        ),
        ExportError::NoChapters => {
            Failure::usage(text, format!("`edvac status {run}` shows how far the run is."))
        }
        ExportError::Store(_) | ExportError::Epub(_) => Failure::machine(text),
    }
}

/// Named after the book, here.
fn file_of(title: &str, format: BookFormat) -> PathBuf {
    let name = slug(title).unwrap_or_else(|| "book".to_owned());
    PathBuf::from(match format {
        BookFormat::Epub => format!("{name}.epub"),
        BookFormat::Html => format!("{name}.html"),
    })
}

/// Writes a file whole or not at all: a reader that has it open keeps the old one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        Failure::usage(
            format!("{} cannot be written: {e}", path.display()),
            "Name a file in a directory that exists, with -o FILE.",
        )
    };
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
