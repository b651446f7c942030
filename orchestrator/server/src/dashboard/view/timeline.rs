//! When what was done, as bars: one line for planning, each step and the end, without long pauses.

use std::collections::{BTreeMap, BTreeSet};

use edvac_memory::ids::InstructionId;
use edvac_orchestrator::report::duration;
use serde::Serialize;
use utoipa::ToSchema;

use super::in_progress;
use crate::dashboard::watched::{Span, Watched};

/// A bar of the timeline, in percent of its width.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TimelineBar)]
pub struct Bar {
    /// Where it begins.
    pub x: f64,
    /// How long it is.
    pub width: f64,
    /// `call`, `check`, … as the class that colours it.
    pub class: &'static str,
    /// What and how long, in words.
    pub words: String,
}

/// A line of the timeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TimelineLane)]
pub struct Lane {
    /// The step's number; 0 for what belongs to none.
    pub step: u32,
    /// Its name.
    pub name: String,
    /// What was done.
    pub bars: Vec<Bar>,
    /// Milliseconds in all.
    pub total_ms: i64,
    /// The same in words.
    pub total: String,
}

/// A pause that is left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = TimelineGap)]
pub struct Gap {
    /// How far along, in percent.
    pub x: f64,
    /// How long it was, in words.
    pub long: String,
}

/// When what was done. Times in which nobody worked on the run are left out.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Timeline {
    /// A line for planning, for each step, for the end.
    pub lanes: Vec<Lane>,
    /// Where time was left out.
    pub gaps: Vec<Gap>,
    /// All that is shown, in words.
    pub total: String,
    /// Lines that are not shown because there are too many.
    pub hidden: usize,
}

/// A pause longer than this is left out of the timeline.
const GAP_MS: i64 = 30_000;
/// Lines that are shown; of more, the last.
const LANES_MAX: usize = 60;

/// The timeline of a run. `now_ms` is counted from its start.
pub fn timeline(watched: &Watched, now_ms: i64) -> Timeline {
    let end_of =
        |span: &Span| span.to_ms.unwrap_or(if watched.writer.is_some() { now_ms } else { span.from_ms });
    let mut at: Vec<(i64, i64)> = watched.spans.iter().map(|span| (span.from_ms, end_of(span))).collect();
    at.sort_unstable();
    // Pauses as (where they begin, how long they are).
    let mut gaps: Vec<(i64, i64)> = Vec::new();
    let mut reached = at.first().map_or(0, |(from, _)| *from);
    let begin = reached;
    for (from, to) in at {
        if from - reached > GAP_MS {
            gaps.push((reached, from - reached));
        }
        reached = reached.max(to);
    }
    let without = |time: i64| {
        time - begin - gaps.iter().filter(|(from, _)| *from < time).map(|(_, long)| long).sum::<i64>()
    };
    let whole = without(reached).max(1) as f64;
    let percent = |time: i64| without(time) as f64 * 100.0 / whole;
    let mut order: Vec<&str> = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for span in &watched.spans {
        if known.insert(&span.of) {
            order.push(&span.of);
        }
    }
    let hidden = order.len().saturating_sub(LANES_MAX);
    let mut lanes: Vec<Lane> = order[hidden..].iter().map(|of| lane(watched, of)).collect();
    let place: BTreeMap<&str, usize> = order[hidden..].iter().zip(0..).map(|(of, at)| (*of, at)).collect();
    for span in &watched.spans {
        let Some(at) = place.get(span.of.as_str()) else { continue };
        let to = end_of(span);
        let (x, end) = (percent(span.from_ms), percent(to));
        let long = u64::try_from(to - span.from_ms).unwrap_or(0);
        let lane = &mut lanes[*at];
        lane.total_ms += to - span.from_ms;
        lane.bars.push(Bar {
            x,
            width: (end - x).max(0.15),
            class: class(&span.what),
            words: format!("{}, {}", in_progress(span), duration(long)),
        });
    }
    for lane in &mut lanes {
        lane.total = duration(u64::try_from(lane.total_ms).unwrap_or(0));
    }
    Timeline {
        lanes,
        gaps: gaps
            .iter()
            .map(|(from, long)| Gap { x: percent(*from), long: duration(u64::try_from(*long).unwrap_or(0)) })
            .collect(),
        total: duration(u64::try_from(without(reached)).unwrap_or(0)),
        hidden,
    }
}

fn lane(watched: &Watched, of: &str) -> Lane {
    let step: u32 = of.parse().unwrap_or(0);
    let name = match (of, watched.state.instruction(InstructionId(step))) {
        ("plan", _) => "planning".to_owned(),
        ("end", _) => "final checks".to_owned(),
        (_, Some(instruction)) => format!("{step}. {}", instruction.title),
        _ => format!("step {step}"),
    };
    Lane { step, name, bars: Vec::new(), total_ms: 0, total: String::new() }
}

fn class(what: &str) -> &'static str {
    match what {
        "call" => "call",
        "check" | "check_merged" | "check_all" => "check",
        "install" => "install",
        _ => "other",
    }
}
