//! Files of a run: their list and texts, what changed in them, a book that they are, and what a search of them finds.

use edvac_memory::ids::InstructionId;
use edvac_orchestrator::domain::Domain;
use edvac_orchestrator::run::RunError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{RunName, RunPath, SchemaVersion, Window};
use crate::dashboard::book::{self, BookView};
use crate::dashboard::connected::{Connections, Known};
use crate::dashboard::desk::Desk;
use crate::dashboard::files::{self, At, Change, FilesView};
use crate::dashboard::search::{self, Found};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::view::{RunView, now_ms};

/// Which files, and one of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct Which {
    /// The path of a file whose text is wanted, too.
    path: Option<String>,
    /// `step-3` for what that step left; what is committed last when absent.
    #[serde(default)]
    at: String,
}

/// Files of a run at one of its commits.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct FilesAnswer {
    schema_version: SchemaVersion,
    run: RunName,
    files: FilesView,
    /// What was asked for: `step-3`, or nothing for what is committed last.
    at: String,
    /// The file that was asked for.
    #[schema(required)]
    path: Option<String>,
}

impl FilesAnswer {
    pub async fn of(desk: &Desk, run: &RunPath, which: Which) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&run.run)?).await?;
        let (at, history, dir) = {
            let watched = shared.lock().await;
            let at = At::of(&watched.state, &which.at)?;
            (at, files::history(&watched.state), watched.dir.clone())
        };
        let (id, path) = (dir.id.to_string(), which.path.clone());
        let files = files::in_background(move || files::view(&dir, &at, &history, path.as_deref())).await?;
        Ok(Self {
            schema_version: SchemaVersion,
            run: RunName { run: id },
            files,
            at: which.at,
            path: which.path,
        })
    }
}

/// One file, and when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct OneFile {
    /// Its path in the workspace.
    path: String,
    /// `step-3` for what that step left; what is committed last when absent.
    #[serde(default)]
    at: String,
}

/// The bytes of a file.
pub(in crate::dashboard) async fn raw(desk: &Desk, run: &RunPath, file: OneFile) -> Result<Vec<u8>, Trouble> {
    let shared = desk.watch(&desk.find(&run.run)?).await?;
    let (at, dir) = {
        let watched = shared.lock().await;
        (At::of(&watched.state, &file.at)?, watched.dir.clone())
    };
    files::in_background(move || files::content(&dir, &at, &file.path)).await
}

/// What changed, and since when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct Between {
    /// The number of the step whose changes are meant; all of the run when absent.
    step: Option<u32>,
}

/// What a step, or the run, changed.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct DiffAnswer {
    schema_version: SchemaVersion,
    run: RunName,
    step: DiffStep,
    /// File by file.
    changes: Vec<Change>,
}

/// The step whose changes these are; none of all where they are the run's.
#[derive(Serialize, ToSchema)]
struct DiffStep {
    /// Its number.
    #[schema(required)]
    id: Option<u32>,
    /// Its title.
    #[schema(required)]
    title: Option<String>,
}

impl DiffAnswer {
    pub async fn of(desk: &Desk, run: &RunPath, between: &Between) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&run.run)?).await?;
        let (ends, dir, step) = {
            let watched = shared.lock().await;
            let step = between.step.map(InstructionId);
            let title = step.and_then(|id| watched.state.instruction(id)).map(|i| i.title.clone());
            let ends = files::ends(&watched.state, step)?;
            (ends, watched.dir.clone(), DiffStep { id: between.step, title })
        };
        let id = dir.id.to_string();
        let changes = files::in_background(move || files::changes(&dir, &ends)).await?;
        Ok(Self { schema_version: SchemaVersion, run: RunName { run: id }, step, changes })
    }
}

/// A run that is a book.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct BookAnswer {
    schema_version: SchemaVersion,
    run: RunView,
    book: BookView,
}

impl BookAnswer {
    pub async fn of(desk: &Desk, run: &RunPath) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&run.run)?).await?;
        let (dir, run, tree, domain) = {
            let watched = shared.lock().await;
            let tree =
                watched.state.tree.clone().ok_or_else(|| Trouble::missing("nothing is committed yet"))?;
            let name = watched.state.start.as_ref().map_or("", |start| start.domain.as_str());
            let domain = Domain::load(name, desk.machine.templates()).map_err(RunError::from)?;
            (watched.dir.clone(), RunView::of(&watched, now_ms()), tree, domain)
        };
        let book = files::in_background(move || book::view(&dir, &tree, &domain)).await?;
        Ok(Self { schema_version: SchemaVersion, run, book })
    }
}

/// What is looked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::dashboard) struct Wanted {
    /// Words or a sentence; nothing is found when absent.
    #[serde(default)]
    q: String,
}

/// What a worker of a run would find in its files.
#[derive(Serialize, ToSchema)]
pub(in crate::dashboard) struct MemoryAnswer {
    schema_version: SchemaVersion,
    run: RunView,
    /// What was looked for.
    q: String,
    /// The best first.
    hits: Vec<Found>,
    /// Which step wrote and was shown which file, and where a book tells what its canon settles.
    connections: Connections,
}

impl MemoryAnswer {
    pub async fn of(desk: &Desk, run: &RunPath, wanted: Wanted, window: &Window) -> Result<Self, Trouble> {
        let shared = desk.watch(&desk.find(&run.run)?).await?;
        let (dir, run, tree, known) = {
            let watched = shared.lock().await;
            let known = Known::of(&watched, window);
            (watched.dir.clone(), RunView::of(&watched, now_ms()), watched.state.tree.clone(), known)
        };
        let canon = Domain::load(&run.row.domain, desk.machine.templates()).ok();
        let book = tree.clone().zip(canon.filter(|domain| !domain.canon.is_empty()));
        let of = dir.clone();
        let connections = files::in_background(move || known.connections(&of, book.as_ref())).await?;
        let hits = match tree.filter(|_| !wanted.q.trim().is_empty()) {
            Some(tree) => search::search(&dir, &tree, &wanted.q, desk.opener.embedder()).await?,
            None => Vec::new(),
        };
        Ok(Self { schema_version: SchemaVersion, run, q: wanted.q, hits, connections })
    }
}
