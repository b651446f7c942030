//! The program as a drawing: which step stands on which. The same as a table is below it, and in the program's list.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use edvac_memory::program::Instruction;
use serde::Serialize;
use utoipa::ToSchema;

use super::answers::{RunPath, SchemaVersion, Window};
use super::asked::{Asked, Place};
use super::desk::Desk;
use super::graph::{self, BOX_HEIGHT, BOX_WIDTH, Layout};
use super::openapi::{Malformed, Missing, RUNS, Refused};
use super::pages::{Page, html};
use super::trouble::Trouble;
use super::view::{RunView, StepRow, beginning, now_ms, steps};
use super::watched::Watched;

/// Steps that are drawn at once: more are no picture any more, and take time quadratic in their number.
pub(super) const STEPS_DRAWN_MAX: usize = 100;
/// Characters of a box's line.
pub(super) const LINE_CHARS_MAX: usize = 25;

/// A drawing with its boxes and arrows.
#[derive(Serialize, ToSchema)]
pub(super) struct Drawing {
    /// In pixels, where it is not scaled; as all lengths here.
    pub width: f64,
    /// The same from top to bottom.
    pub height: f64,
    /// Of each box.
    pub box_width: f64,
    /// Of each box.
    pub box_height: f64,
    /// The boxes.
    pub nodes: Vec<Node>,
    /// The arrows.
    pub arrows: Vec<Arrow>,
}

/// A box.
#[derive(Serialize, ToSchema)]
#[schema(as = DrawnBox)]
pub(super) struct Node {
    /// Of its upper left corner, from the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// Where it leads.
    pub href: String,
    /// Its first line.
    pub line: String,
    /// Its second line.
    pub below: String,
    /// `good`, `bad`, `busy`, `wait` or `idle`.
    pub class: &'static str,
    /// All of it in words.
    pub words: String,
}

/// An arrow.
#[derive(Serialize, ToSchema)]
#[schema(as = DrawnArrow)]
pub(super) struct Arrow {
    /// The path of the SVG.
    pub path: String,
    /// What it says, as a class.
    pub class: &'static str,
}

impl Drawing {
    /// These boxes and arrows where a layout has them.
    pub fn of(layout: Layout, nodes: Vec<Node>, classes: impl Iterator<Item = &'static str>) -> Self {
        let at = |(node, (x, y)): (Node, graph::Point)| Node { x, y, ..node };
        Self {
            width: layout.width.ceil(),
            height: layout.height.ceil(),
            box_width: BOX_WIDTH,
            box_height: BOX_HEIGHT,
            nodes: nodes.into_iter().zip(layout.boxes).map(at).collect(),
            arrows: layout
                .paths
                .into_iter()
                .zip(classes)
                .map(|(path, class)| Arrow { path, class })
                .collect(),
        }
    }
}

/// A program on its drawing's page.
#[derive(Serialize, ToSchema)]
#[schema(as = GraphAnswer)]
pub(super) struct ProgramGraph {
    schema_version: SchemaVersion,
    run: RunView,
    drawing: Drawing,
    /// The steps that are drawn, and what each stands on.
    rows: Vec<GraphRow>,
    /// Steps of the program.
    steps_all: usize,
    /// Steps before the first that is drawn.
    steps_from: usize,
    /// What to ask for to see the steps before; none where there are none.
    #[schema(required)]
    steps_before: Option<usize>,
    /// The same of those after.
    #[schema(required)]
    steps_after: Option<usize>,
    /// The number of the last that is drawn, from 1.
    steps_to: usize,
}

/// A step that is drawn.
#[derive(Serialize, ToSchema)]
struct GraphRow {
    #[serde(flatten)]
    step: StepRow,
    /// Steps of those drawn that it needs something of, without those that these need themselves.
    needs: Vec<u32>,
}

/// The arrows between steps: from each to those after it that stand on it, but for what follows from other arrows.
pub(super) fn arrows(all: &[Instruction]) -> Vec<(usize, usize)> {
    let mut arrows = Vec::new();
    // Of each step, those that it stands on by any way.
    let mut before: Vec<Vec<bool>> = Vec::new();
    for (at, later) in all.iter().enumerate() {
        let mut own = vec![false; at];
        for earlier in (0..at).rev() {
            if !own[earlier] && later.stands_on(&all[earlier]) {
                arrows.push((earlier, at));
                own[earlier] = true;
                for (known, is_before) in own.iter_mut().zip(&before[earlier]) {
                    *known |= is_before;
                }
            }
        }
        before.push(own);
    }
    arrows
}

fn view(watched: &Watched, window: &Window) -> Result<ProgramGraph, Trouble> {
    let program = watched.state.program.as_ref();
    let program = program.ok_or_else(|| Trouble::missing("this run has no program yet"))?;
    let all = steps(watched);
    let from = window.from(&all, STEPS_DRAWN_MAX);
    let to = (from + STEPS_DRAWN_MAX).min(all.len());
    let arrows = arrows(&program.instructions[from..to]);
    let run = RunView::of(watched, now_ms());
    let steps_all = all.len();
    let drawn: Vec<StepRow> = all.into_iter().skip(from).take(to - from).collect();
    let needs = |at: usize| -> Vec<u32> {
        let own = arrows.iter().filter(|(_, to)| *to == at).map(|(from, _)| drawn[*from].id);
        let mut own: Vec<u32> = own.collect();
        own.sort_unstable();
        own
    };
    let nodes = drawn.iter().enumerate().map(|(at, step)| node(&run.row.run, step, &needs(at))).collect();
    let classes = arrows.iter().map(|(from, _)| drawn[*from].class);
    let drawing = Drawing::of(graph::layered(drawn.len(), &arrows), nodes, classes);
    let rows = drawn.iter().enumerate().map(|(at, step)| GraphRow { needs: needs(at), step: step.clone() });
    Ok(ProgramGraph {
        schema_version: SchemaVersion,
        rows: rows.collect(),
        run,
        drawing,
        steps_all,
        steps_from: from,
        steps_before: (from > 0).then(|| from.saturating_sub(STEPS_DRAWN_MAX)),
        steps_after: (to < steps_all).then_some(to),
        steps_to: to,
    })
}

fn node(run: &str, step: &StepRow, needs: &[u32]) -> Node {
    let needs = needs.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let stands = if needs.is_empty() { String::new() } else { format!("; stands on {needs}") };
    let control = step.control.map_or(String::new(), |control| format!(" · {control}"));
    Node {
        x: 0.0,
        y: 0.0,
        href: format!("/runs/{run}/steps/{}", step.id),
        line: beginning(&format!("{}. {}", step.id, step.title), LINE_CHARS_MAX),
        below: beginning(&format!("{} {}{control}", step.sign, step.word), LINE_CHARS_MAX),
        class: step.class,
        words: format!("step {}: {}, {}{stands}", step.id, step.title, step.word),
    }
}

async fn of_run(desk: &Desk, at: &RunPath, window: &Window) -> Result<ProgramGraph, Trouble> {
    let shared = desk.watch(&desk.find(&at.run)?).await?;
    let watched = shared.lock().await;
    view(&watched, window)
}

/// The page.
pub(super) async fn page(
    State(desk): State<Arc<Desk>>,
    Place(at): Place<RunPath>,
    Asked(window): Asked<Window>,
) -> Page {
    html("graph.html", &of_run(&desk, &at, &window).await?)
}

/// Tells which step of the program stands on which, and where a drawing has each.
#[utoipa::path(
    get, path = "/api/runs/{run}/graph", operation_id = "getProgramGraph", tag = RUNS, params(RunPath, Window),
    responses((status = 200, description = "The program as a drawing.", body = ProgramGraph), Malformed, Missing, Refused)
)]
pub(super) async fn json(
    State(desk): State<Arc<Desk>>,
    Place(at): Place<RunPath>,
    Asked(window): Asked<Window>,
) -> Result<Json<ProgramGraph>, Trouble> {
    of_run(&desk, &at, &window).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: u32, writes: &[&str], reads: &[&str]) -> Instruction {
        let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        Instruction {
            id: edvac_memory::ids::InstructionId(id),
            writes: owned(writes),
            reads: owned(reads),
            ..Instruction::default()
        }
    }

    #[test]
    fn an_arrow_that_follows_from_others_is_not_drawn() {
        let steps = [
            step(1, &["a"], &[]),
            step(2, &["b"], &["a"]),
            step(3, &["c"], &["a"]),
            step(4, &["d"], &["a", "b"]),
            step(5, &["e"], &["c", "d"]),
        ];
        assert_eq!(arrows(&steps), [(0, 1), (0, 2), (1, 3), (3, 4), (2, 4)]);
    }
}
