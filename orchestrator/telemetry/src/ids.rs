//! Ids of traces and spans. They are made of the run's id and of what the journal says, so that every process, and whoever exports
//! a run again, gives the same span the same id.

use std::collections::HashMap;

use edvac_memory::ids::{Digest, RunId};
use edvac_memory::journal::Seq;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The header's and, in capitals, the environment variable's name.
const TRACEPARENT: &str = "traceparent";

/// The trace of a run that is no part of another.
pub fn trace_of(run: &RunId) -> TraceId {
    // Hexadecimal digits of a digest are never all zero but by a chance that nobody lives to see.
    TraceId::from_hex(&digest(&format!("edvac/trace/{run}"))[..32]).unwrap_or(TraceId::INVALID)
}

/// The span that the record `seq` of a run begins, or one of several, told apart by `what`.
pub fn span_of(run: &RunId, seq: Seq, what: &str) -> SpanId {
    SpanId::from_hex(&digest(&format!("edvac/span/{run}/{seq}/{what}"))[..16]).unwrap_or(SpanId::INVALID)
}

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).0
}

/// A span of this process.
pub fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
}

/// The span that a `traceparent` names; none where it is not W3C's form.
pub fn parent_of(traceparent: &str) -> Option<SpanContext> {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let parent = context.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

/// The environment's `TRACEPARENT`, where it names a span.
pub fn traceparent() -> Option<String> {
    let text = std::env::var(TRACEPARENT.to_uppercase()).ok()?;
    parent_of(&text).map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_each_time_and_differ() {
        let run: RunId = "20261122-235501-3f9a".into();
        assert_eq!(trace_of(&run), trace_of(&run));
        assert_ne!(trace_of(&run), trace_of(&"another".into()));
        let all = [span_of(&run, 1, "run"), span_of(&run, 2, "run"), span_of(&run, 1, "call")];
        assert!(!all.contains(&SpanId::INVALID));
        assert_eq!(all[0], span_of(&run, 1, "run"));
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }

    #[test]
    fn a_parent_is_w3cs_or_none() {
        let parent = parent_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(parent.is_remote() && parent.is_sampled());
        for bad in ["", "x", "00-0-0-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            assert_eq!(parent_of(bad), None, "{bad}");
        }
    }
}
