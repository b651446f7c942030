//! Two runs beside each other: what `edvac compare A B` says, with the files that differ side by side.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use edvac_memory::ids::TreeId;
use edvac_orchestrator::compare::{self, Row};
use edvac_orchestrator::control::{RunState, Settlement};
use edvac_orchestrator::place::RunDir;
use edvac_orchestrator::report::duration;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answers::SchemaVersion;
use super::asked::Asked;
use super::desk::Desk;
use super::files::{Change, encoded, in_background};
use super::openapi::{Malformed, Missing, RUNS, Refused};
use super::render;
use super::trouble::{OnPage, Trouble};
use super::view::{Mark, RunRow, now_ms, thousands};

/// Lines of changes that stand open at first; what comes after them is folded.
const LINES_OPEN_MAX: usize = 2_000;
/// Lines of changes that a page shows in all; the files after them are only named.
const LINES_SHOWN_MAX: usize = 20_000;

/// Two runs beside each other.
#[derive(Serialize, ToSchema)]
#[schema(as = CompareAnswer)]
pub(super) struct CompareView {
    schema_version: SchemaVersion,
    /// The one.
    a: SideView,
    /// The other.
    b: SideView,
    /// What each used and did.
    figures: Vec<Figure>,
    /// Requirements that one of them has.
    requirements: Vec<RequirementPair>,
    /// Files that differ, with what the second has in place of what the first has.
    files: Vec<Change>,
}

/// One of two runs.
#[derive(Serialize, ToSchema)]
#[schema(as = ComparedRun)]
struct SideView {
    /// As in the list of runs.
    #[serde(flatten)]
    row: RunRow,
    /// Its id as a part of an address.
    query: String,
    /// Steps that finished with all checks passed.
    steps_finished: usize,
    #[serde(skip)]
    tree: Option<TreeId>,
    #[serde(skip)]
    dir: RunDir,
}

/// One figure of both.
#[derive(Serialize, ToSchema)]
#[schema(as = ComparedFigure)]
struct Figure {
    /// What it is.
    name: &'static str,
    /// In words, of the first.
    a: String,
    /// Of the second.
    b: String,
}

/// One requirement in both.
#[derive(Serialize, ToSchema)]
struct RequirementPair {
    /// Its id.
    id: String,
    /// Its sentence; where they differ, that of the first.
    text: String,
    /// How it stands in the first; none where it has none, or where no final checks ran.
    #[schema(required)]
    a: Option<Mark>,
    /// The same of the second.
    #[schema(required)]
    b: Option<Mark>,
    /// Whether both were checked at the end, and stand differently.
    differs: bool,
}

/// What an address asks for: two runs, as `a` and `b`, or as two boxes called `run`.
fn chosen(query: Option<&str>) -> Result<Chosen, Trouble> {
    let (mut a, mut b, mut boxes) = (None, None, Vec::new());
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "a" => a = Some(value.into_owned()),
            "b" => b = Some(value.into_owned()),
            "run" => boxes.push(value.into_owned()),
            _ => {}
        }
    }
    match (a, b, boxes.as_slice()) {
        (Some(a), Some(b), _) => Ok(Chosen::Both(a, b)),
        (None, None, [a, b]) => Ok(Chosen::Boxes(format!("/compare?a={}&b={}", encoded(a), encoded(b)))),
        _ => Err(Trouble::bad(
            "Two runs are compared: choose two in the list of runs, or write /compare?a=RUN&b=RUN.",
        )),
    }
}

enum Chosen {
    Both(String, String),
    /// The address that says the same.
    Boxes(String),
}

/// The page.
pub(super) async fn page(
    State(desk): State<Arc<Desk>>,
    RawQuery(query): RawQuery,
) -> Result<Response, OnPage> {
    Ok(match chosen(query.as_deref())? {
        Chosen::Both(a, b) => {
            Html(render::page("compare.html", &view(&desk, &a, &b).await?)?).into_response()
        }
        Chosen::Boxes(address) => Redirect::to(&address).into_response(),
    })
}

/// Which two runs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Pair {
    /// The one: its id, or a beginning of it that no other run's has.
    a: String,
    /// The other.
    b: String,
}

/// Compares two runs: what each used and did, how their requirements stand, and the files in which they differ.
#[utoipa::path(
    get, path = "/api/compare", operation_id = "compareRuns", tag = RUNS, params(Pair),
    responses((status = 200, description = "Both runs.", body = CompareView), Malformed, Missing, Refused)
)]
pub(super) async fn json(
    State(desk): State<Arc<Desk>>,
    Asked(pair): Asked<Pair>,
) -> Result<Json<CompareView>, Trouble> {
    view(&desk, &pair.a, &pair.b).await.map(Json)
}

async fn view(desk: &Desk, a: &str, b: &str) -> Result<CompareView, Trouble> {
    let (dir_a, dir_b) = (desk.find(a)?, desk.find(b)?);
    if dir_a.id == dir_b.id {
        return Err(Trouble::bad(format!("{} is one run; two are compared", dir_a.id)));
    }
    // One after the other: nobody waits for one while holding the other.
    let (a, of_a) = side(desk, dir_a).await?;
    let (b, of_b) = side(desk, dir_b).await?;
    let requirements = compare::requirements(&of_a, &of_b).into_iter().map(pair).collect();
    let figures = figures((&a, &of_a), (&b, &of_b));
    let (dirs, trees) = ((a.dir.clone(), b.dir.clone()), (a.tree.clone(), b.tree.clone()));
    let files = in_background(move || files(&dirs, &trees)).await?;
    Ok(CompareView { schema_version: SchemaVersion, a, b, figures, requirements, files })
}

async fn side(desk: &Desk, dir: RunDir) -> Result<(SideView, RunState), Trouble> {
    let shared = desk.watch(&dir).await?;
    let watched = shared.lock().await;
    let state = watched.state.clone();
    let row = RunRow::of(dir.id.as_str(), &state, watched.status(), watched.writer, now_ms());
    let finished = state.settled.values().filter(|s| s.settlement == Settlement::Finished).count();
    let tree = state.tree.clone();
    Ok((SideView { query: encoded(dir.id.as_str()), steps_finished: finished, tree, dir, row }, state))
}

fn figures(a: (&SideView, &RunState), b: (&SideView, &RunState)) -> Vec<Figure> {
    let figure =
        |name, of: &dyn Fn(&SideView, &RunState) -> String| Figure { name, a: of(a.0, a.1), b: of(b.0, b.1) };
    vec![
        figure("Model", &|side, _| side.row.model.clone()),
        figure("Steps finished", &|side, _| format!("{} of {}", side.steps_finished, side.row.steps)),
        figure("Requirements met", &|side, _| {
            let tally = &side.row.requirements;
            format!("{} of {}{}", tally.met, tally.all, if tally.is_final { "" } else { " so far" })
        }),
        figure("Tokens", &|_, state| thousands(state.spent().tokens())),
        figure("Prompt tokens", &|_, state| thousands(state.spent().prompt_tokens)),
        figure("Of these reused", &|_, state| thousands(state.spent().reused_tokens)),
        figure("Written tokens", &|_, state| thousands(state.spent().completion_tokens)),
        figure("Model calls", &|_, state| thousands(state.spent().calls)),
        figure("Time worked", &|_, state| duration(state.spent().worked_ms)),
        figure("Cost", &|side, _| side.row.money.clone()),
    ]
}

fn pair(row: Row) -> RequirementPair {
    RequirementPair {
        differs: row.a.is_some() && row.b.is_some() && row.a != row.b,
        a: row.a.map(Mark::of_standing),
        b: row.b.map(Mark::of_standing),
        id: row.id,
        text: row.text,
    }
}

fn files(dirs: &(RunDir, RunDir), trees: &(Option<TreeId>, Option<TreeId>)) -> Result<Vec<Change>, Trouble> {
    let (mut open, mut shown) = (0, 0);
    let change = |path: &str, old: Option<&[u8]>, new: Option<&[u8]>| {
        if shown > LINES_SHOWN_MAX {
            return Change::unshown(path, old, new, "there is too much before it on this page");
        }
        let mut change = Change::between(path, old, new);
        let lines = change.lines();
        shown += lines;
        change.folded |= open + lines > LINES_OPEN_MAX;
        if !change.folded {
            open += lines;
        }
        change
    };
    Ok(compare::differing(&dirs.0, &dirs.1, (trees.0.as_ref(), trees.1.as_ref()), change)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_are_named_by_letters_or_by_boxes() {
        let address = |query| match chosen(Some(query)) {
            Ok(Chosen::Both(a, b)) => format!("{a} {b}"),
            Ok(Chosen::Boxes(address)) => address,
            Err(trouble) => trouble.status.to_string(),
        };
        assert_eq!(address("a=x&b=y"), "x y");
        assert_eq!(address("run=x%26b&run=y"), "/compare?a=x%26b&b=y");
        for wrong in ["", "a=x", "run=x", "run=x&run=y&run=z", "a=x&run=y"] {
            assert!(address(wrong).starts_with("400"), "{wrong}");
        }
    }
}
