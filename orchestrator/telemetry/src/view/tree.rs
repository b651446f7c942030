//! What stands above an effect: when it begins, and when it ends.

use edvac_memory::ids::InstructionId;
use edvac_orchestrator::control::Purpose;
use edvac_orchestrator::control::effect::Site;
use opentelemetry::trace::{SpanId, SpanKind, Status};

use super::View;
use super::open::{Open, Parent};
use crate::ids::span_of;
use crate::semconv as name;

/// A step that is being carried out.
pub(super) struct Step {
    pub open: Open,
    pub attempt: Option<Attempt>,
}

/// Its present attempt.
pub(super) struct Attempt {
    /// By what attempts differ: the epoch, whether a conflict has it carried out once more, the number.
    which: (u32, bool, u32),
    open: Open,
    agents: Vec<(Purpose, Open)>,
}

impl View {
    /// A span that begins with the present record.
    pub(super) fn new_span(&self, what: &str, parent: Parent, name: String) -> Open {
        let id = span_of(&self.run, self.seq, what);
        let mut open = Open::new(id, parent, name, SpanKind::Internal, self.now_ms);
        open.say(name::CONVERSATION_ID, self.run.to_string());
        open
    }

    /// The span that an effect of this site stands below, which begins if it has not.
    pub(super) fn above(&mut self, site: Site, what: &str) -> SpanId {
        let piece = match &self.piece {
            Some(piece) => piece.id,
            None => self.open_piece().id,
        };
        match (site.purpose, site.instruction) {
            (Some(purpose @ (Purpose::Plan | Purpose::Replan { .. })), _) => self.planner(purpose, piece),
            (Some(purpose), Some(id)) => self.agent(purpose, id, site, piece),
            (None, Some(id)) if matches!(what, "merge" | "check_merged" | "commit") => {
                self.step(id, piece).open.id
            }
            _ => piece,
        }
    }

    pub(super) fn planner(&mut self, purpose: Purpose, piece: SpanId) -> SpanId {
        if self.planning.as_ref().is_none_or(|(of, _)| *of != purpose) {
            self.close_planning(None);
            self.planning = Some((purpose, self.new_agent(purpose, Parent::Own(piece))));
        }
        self.planning.as_ref().map_or(piece, |(_, open)| open.id)
    }

    pub(super) fn new_agent(&self, purpose: Purpose, parent: Parent) -> Open {
        let role = role_of(purpose);
        let mut open = self.new_span("agent", parent, format!("{} {role}", name::INVOKE_AGENT));
        open.say(name::OPERATION_NAME, name::INVOKE_AGENT);
        open.say(name::AGENT_NAME, role);
        open
    }

    pub(super) fn step(&mut self, id: InstructionId, piece: SpanId) -> &mut Step {
        if !self.steps.contains_key(&id) {
            let mut open = self.new_span("step", Parent::Own(piece), name::STEP.to_owned());
            open.say(name::STEP_ID, i64::from(id.0));
            if let Some(title) = self.titles.get(&id) {
                open.say(name::STEP_TITLE, title.clone());
            }
            self.steps.insert(id, Step { open, attempt: None });
        }
        self.steps.get_mut(&id).expect("it was put there")
    }

    pub(super) fn agent(&mut self, purpose: Purpose, id: InstructionId, site: Site, piece: SpanId) -> SpanId {
        let step = self.step(id, piece).open.id;
        let number = purpose.attempt().unwrap_or_default();
        let which = (site.epoch, site.is_again, number);
        let mut attempt = self.steps.get_mut(&id).and_then(|step| step.attempt.take());
        if let Some(ended) = attempt.take_if(|attempt| attempt.which != which) {
            self.close_attempt(ended, None, None);
        }
        let mut attempt = attempt.unwrap_or_else(|| {
            let mut open = self.new_span("attempt", Parent::Own(step), name::ATTEMPT_SPAN.to_owned());
            open.say(name::STEP_ID, i64::from(id.0));
            open.say(name::ATTEMPT, i64::from(number));
            Attempt { which, open, agents: Vec::new() }
        });
        // A review is asked for in the middle of another conversation; any other one ends those before it.
        let keeps = matches!(purpose, Purpose::Review { .. });
        let (kept, ended) = attempt.agents.into_iter().partition(|(of, _)| keeps || *of == purpose);
        attempt.agents = kept;
        for (of, open) in ended {
            self.close_agent(of, open, None, None);
        }
        if !attempt.agents.iter().any(|(of, _)| *of == purpose) {
            let open = self.new_agent(purpose, Parent::Own(attempt.open.id));
            attempt.agents.push((purpose, open));
        }
        let agent = attempt.agents.iter().find(|(of, _)| *of == purpose).map_or(step, |(_, open)| open.id);
        if let Some(step) = self.steps.get_mut(&id) {
            step.attempt = Some(attempt);
        }
        agent
    }

    /// The spans that this site stands below were still going on at the present record.
    pub(super) fn touch(&mut self, site: Site) {
        let now_ms = self.now_ms;
        if let Some((of, open)) = &mut self.planning
            && site.purpose == Some(*of)
        {
            open.last_ms = now_ms;
        }
        let Some(step) = site.instruction.and_then(|id| self.steps.get_mut(&id)) else { return };
        step.open.last_ms = now_ms;
        if let (Some(attempt), Some(purpose)) = (&mut step.attempt, site.purpose) {
            attempt.open.last_ms = now_ms;
            for (_, open) in attempt.agents.iter_mut().filter(|(of, _)| *of == purpose) {
                open.last_ms = now_ms;
            }
        }
    }

    /// Ends a span, with the last that happened below it unless a time is given.
    pub(super) fn close_span(&mut self, open: Open, at_ms: Option<i64>, status: Option<Status>) {
        let span = open.end(self.trace, at_ms, self.end_seq, status);
        self.seen.spans.push(span);
    }

    pub(super) fn close_agent(
        &mut self,
        purpose: Purpose,
        open: Open,
        at_ms: Option<i64>,
        status: Option<Status>,
    ) {
        self.talks.remove(&purpose.to_string());
        self.close_span(open, at_ms, status);
    }

    pub(super) fn close_attempt(&mut self, attempt: Attempt, at_ms: Option<i64>, status: Option<Status>) {
        for (purpose, open) in attempt.agents {
            self.close_agent(purpose, open, at_ms, status.clone());
        }
        self.close_span(attempt.open, at_ms, status);
    }

    pub(super) fn close_step(&mut self, step: Step, at_ms: Option<i64>, status: Option<Status>) {
        if let Some(attempt) = step.attempt {
            self.close_attempt(attempt, at_ms, status.clone().filter(|_| at_ms.is_some()));
        }
        self.close_span(step.open, at_ms, status);
    }

    pub(super) fn close_planning(&mut self, at_ms: Option<i64>) {
        if let Some((purpose, open)) = self.planning.take() {
            self.close_agent(purpose, open, at_ms, None);
        }
    }
}

/// Who speaks in a conversation.
fn role_of(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Plan | Purpose::Replan { .. } => "planner",
        Purpose::Work { .. } => "worker",
        Purpose::Repair { .. } => "repairer",
        Purpose::Summarise { .. } => "summariser",
        Purpose::Review { .. } => "reviewer",
    }
}
