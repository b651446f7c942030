//! What a run leaves, as resources: `run://RUN/report`, `run://RUN/plan`, `run://RUN/files/PATH`.

use edvac_memory::program::{Program, exchange};
use edvac_orchestrator::report::Report;
use percent_encoding::percent_decode_str;
use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};

use crate::dashboard::Desk;
use crate::dashboard::files::{self, At};
use crate::dashboard::trouble::Trouble;
use crate::dashboard::view::RunRow;

/// What addresses of resources begin with.
const SCHEME: &str = "run://";
/// What kind of text each is. A file is text, whatever its name says.
const REPORT: &str = "text/markdown";
const PLAN: &str = "application/toml";
const FILE: &str = "text/plain";

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
pub(super) fn lines(text: &str, first: usize, last: usize) -> Result<String, Trouble> {
    let all: Vec<_> = text.split_inclusive('\n').collect();
    if all.is_empty() {
        return Ok(String::new());
    }
    if first == 0 || first > all.len() || last < first {
        return Err(Trouble::bad(format!("the file has lines 1 to {}, and no others", all.len())));
    }
    let to = last.min(all.len());
    let mut shown = all[first - 1..to].concat();
    if first > 1 || to < all.len() {
        shown.push_str(&format!("(lines {first} to {to} of {})", all.len()));
    }
    Ok(shown)
}

/// The report of each run.
pub(super) fn of_runs(rows: &[RunRow]) -> Vec<Resource> {
    rows.iter()
        .map(|row| {
            let about = format!("{}, {}: {}", row.status, row.title, row.task);
            Resource::new(format!("{SCHEME}{}/report", row.run), format!("Report of {}", row.run))
                .with_title(row.title.clone())
                .with_description(about)
                .with_mime_type(REPORT)
        })
        .collect()
}

/// What can be read of any run.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    [
        ("{run}/report", "report", "What a run has shown, requirement by requirement", REPORT),
        ("{run}/plan", "plan", "The program of a run", PLAN),
        ("{run}/files/{+path}", "file", "A file of a run, as of its last commit", FILE),
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
    let (text, kind) = match rest {
        "report" => (report(desk, run).await, REPORT),
        "plan" => (plan(desk, run).await, PLAN),
        _ => {
            let path = rest.strip_prefix("files/").ok_or_else(unknown)?;
            // What stands for a path in an address; what it leads to is checked as any other path.
            let path = percent_decode_str(path).decode_utf8().map_err(|_| unknown())?;
            (file(desk, run, &path, "").await, FILE)
        }
    };
    let text = text.map_err(|trouble| ErrorData::resource_not_found(trouble.why, None))?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(kind)]))
}
