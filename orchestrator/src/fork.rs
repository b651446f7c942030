//! A fork: a run that begins as a copy of another one, with everything that was there at one of its points, and goes its own
//! way from there. The other run is not touched, and may be going on meanwhile.

use std::path::{Path, PathBuf};

use edvac_memory::ids::RunId;
use edvac_memory::journal::{Journal, Options, Seq, SqliteJournal};
use edvac_memory::slug;
use edvac_memory::store::{FileStore as _, GitStore};

use crate::control::Event;
use crate::control::state::Start;
use crate::driver::embedded::{DriveError, fold};
use crate::place::RunDir;
use crate::revise::{history, operations, show};
use crate::run::{Machine, RunError, new_run_id};

/// What belongs to a run's history and is copied as it is.
const COPIED: [&str; 2] = ["blobs", "git"];

/// Copies `dir` up to its record `at` into a run of its own, with a workspace of its own. Takes time and space linear in the
/// run's history: nothing is shared, so that either can be removed.
pub async fn fork(machine: &Machine, dir: &RunDir, at: Seq, name: Option<&str>) -> Result<RunDir, RunError> {
    if let Some(name) = name.filter(|name| !slug::is_name(name)) {
        return Err(RunError::BadName { name: name.to_owned() });
    }
    let state = dir.state().await?;
    let Some(start) = &state.start else { return Err(RunError::NeverStarted { run: dir.id.clone() }) };
    if !operations(&history(dir).await?).iter().any(|operation| operation.seq == at) {
        return Err(RunError::NoSuchOperation { run: dir.id.clone(), seq: at });
    }
    let id = new_run_id();
    let hidden = machine.runs().new_dir(&RunId(format!(".{id}")));
    let made = settled(machine, dir, &hidden, &id, at, name, start).await;
    if made.is_err() {
        // What is not whole is nobody's.
        let _ = std::fs::remove_dir_all(&hidden.path);
    }
    made
}

/// Makes the copy below a name that is no run's, gives it a workspace, and then its own name.
async fn settled(
    machine: &Machine,
    dir: &RunDir,
    hidden: &RunDir,
    id: &RunId,
    at: Seq,
    chosen: Option<&str>,
    start: &Start,
) -> Result<RunDir, RunError> {
    copy(dir, hidden).await?;
    let repository = start.origin.as_ref().map(|origin| Path::new(&origin.path));
    let made = format!("{}-fork", start.slug);
    let (slug, workspace) = machine.workspace(chosen, &made, repository)?;
    let workspace = std::fs::canonicalize(&workspace).map_err(io("finding the workspace", &workspace))?;
    let state = {
        let journal = SqliteJournal::open(&hidden.path, Options::default()).await?;
        let forked = Event::Forked {
            from: dir.id.clone(),
            at,
            run: id.clone(),
            slug,
            workspace: workspace.display().to_string(),
        };
        let restored = Event::Restored { to: at, why: format!("taken from {} as it was then", dir.id) };
        // First back, then under its own name: what was there then has the other's.
        for event in [restored, forked] {
            journal.fact(serde_json::to_value(event).map_err(DriveError::from)?).await?;
        }
        fold(&journal).await?
    };
    let done = machine.runs().new_dir(id);
    std::fs::rename(&hidden.path, &done.path).map_err(io("naming the fork", &done.path))?;
    // The other run may have gone on between the two copies: its branch is then further than this journal.
    let mut store = GitStore::open(&done.git_dir(), Some(&workspace), state.origin())?;
    if let Some(head) = store.head()? {
        store.reset(&head, None)?;
    }
    drop(store);
    show(&done, &state)?;
    Ok(done)
}

/// The journal, its blobs and the git directory.
async fn copy(dir: &RunDir, hidden: &RunDir) -> Result<(), RunError> {
    std::fs::create_dir_all(&hidden.path).map_err(io("making", &hidden.path))?;
    // Rows first: what they name lies in the blobs already, and more of it does no harm.
    SqliteJournal::copy(&dir.path, &hidden.path).await?;
    for name in COPIED {
        let from = dir.path.join(name);
        if from.is_dir() {
            copy_tree(&from, &hidden.path.join(name))?;
        }
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), RunError> {
    let mut open: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = open.pop() {
        std::fs::create_dir_all(&to).map_err(io("making", &to))?;
        for entry in std::fs::read_dir(&from).map_err(io("reading", &from))? {
            let entry = entry.map_err(io("reading", &from))?;
            let kind = entry.file_type().map_err(io("reading", &from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let is_lock = source.extension().is_some_and(|extension| extension == "lock");
            if kind.is_dir() {
                open.push((source, target));
            } else if kind.is_file() && !is_lock {
                std::fs::copy(&source, &target).map_err(io("copying", &source))?;
            }
        }
    }
    Ok(())
}

fn io(doing: &str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let context = format!("{doing} {}", path.display());
    move |error| RunError::Io { context, message: error.to_string() }
}
