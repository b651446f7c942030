//! What a run leaves, as resources: `run://RUN/report`, `run://RUN/plan`, `run://RUN/files/PATH`.

use edvac_memory::program::{Program, exchange};
use edvac_orchestrator::report::Report;
use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};

use crate::dashboard::Desk;
use crate::dashboard::files::{self, At};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::view::RunRow;

/// What addresses of resources begin with.
const SCHEME: &str = "run://";

/// A run's report.
pub(super) async fn report(desk: &Desk, run: &str) -> Result<String, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let watched = shared.lock().await;
    let report =
        Report::of(&watched.state).ok_or_else(|| Trouble::conflict("this run has no program yet"))?;
    Ok(report.markdown())
}

/// A run's program.
pub(super) async fn plan(desk: &Desk, run: &str) -> Result<String, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let watched = shared.lock().await;
    let program = watched.state.program.clone();
    let program = program.ok_or_else(|| Trouble::conflict("this run has no program yet"))?;
    let task = watched.state.start.as_ref().map(|start| start.task.clone());
    exchange::to_toml(&Program { task, ..program }).map_err(Trouble::machine)
}

/// A run's files.
pub(super) async fn list(desk: &Desk, run: &str, at: &str) -> Result<Value, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let (at, dir) = {
        let watched = shared.lock().await;
        (At::of(&watched.state, at)?, watched.dir.clone())
    };
    let found = files::in_background(move || files::names(&dir, &at)).await?;
    let found: Vec<_> =
        found.into_iter().map(|(path, bytes)| json!({ "path": path, "bytes": bytes })).collect();
    Ok(json!({ "files": found }))
}

/// One of them.
pub(super) async fn file(desk: &Desk, run: &str, path: &str, at: &str) -> Result<String, Trouble> {
    let shared = desk.watch(&desk.find(run)?).await?;
    let (at, dir) = {
        let watched = shared.lock().await;
        (At::of(&watched.state, at)?, watched.dir.clone())
    };
    let wanted = path.to_owned();
    let content = files::in_background(move || files::content(&dir, &at, &wanted)).await?;
    String::from_utf8(content).map_err(|_| Trouble::bad(format!("{path} is no text")))
}

/// Lines of a text, and how many there are besides.
pub(super) fn lines(text: &str, first: usize, last: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    let (from, to) = ((first - 1).min(all.len()), last.min(all.len()).max((first - 1).min(all.len())));
    let mut shown = all[from..to].join("\n");
    if from > 0 || to < all.len() {
        shown.push_str(&format!("\n(lines {first} to {to} of {})", all.len()));
    }
    shown
}

/// The report of each run.
pub(super) fn of_runs(rows: &[RunRow]) -> Vec<Resource> {
    rows.iter()
        .map(|row| {
            let about = format!("{}, {}: {}", row.status, row.title, row.task);
            Resource::new(format!("{SCHEME}{}/report", row.run), format!("Report of {}", row.run))
                .with_title(row.title.clone())
                .with_description(about)
                .with_mime_type("text/markdown")
        })
        .collect()
}

/// What can be read of any run.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    [
        ("{run}/report", "report", "What a run has shown, requirement by requirement", "text/markdown"),
        ("{run}/plan", "plan", "The program of a run", "application/toml"),
        ("{run}/files/{+path}", "file", "A file of a run, as of its last commit", "text/plain"),
    ]
    .map(|(template, name, about, kind)| {
        ResourceTemplate::new(format!("{SCHEME}{template}"), name)
            .with_description(about)
            .with_mime_type(kind)
    })
    .into()
}

/// What is at an address.
pub(super) async fn read(desk: &Desk, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let unknown = || ErrorData::resource_not_found(format!("there is no resource {uri:?}"), None);
    let (run, rest) = uri.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or_else(unknown)?;
    let text = match rest {
        "report" => report(desk, run).await,
        "plan" => plan(desk, run).await,
        _ => file(desk, run, rest.strip_prefix("files/").ok_or_else(unknown)?, "").await,
    };
    let text = text.map_err(|trouble| ErrorData::resource_not_found(trouble.why, None))?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri)]))
}
