//! A span that has begun.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use edvac_memory::journal::Seq;
use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::ids::context;
use crate::semconv as name;

/// Who made the spans.
const SCOPE: &str = "edvac";

/// What a span stands below.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parent {
    /// Nothing.
    None,
    /// A span of the run.
    Own(SpanId),
    /// A span of whoever asked for the run.
    Remote(SpanId),
}

/// A span that has begun.
pub(super) struct Open {
    pub id: SpanId,
    pub start_ms: i64,
    /// When something last happened in it.
    pub last_ms: i64,
    pub links: Vec<Link>,
    pub status: Status,
    pub kind: SpanKind,
    parent: Parent,
    name: Cow<'static, str>,
    attributes: Vec<KeyValue>,
    events: Vec<Event>,
}

impl Open {
    pub fn new(id: SpanId, parent: Parent, name: String, kind: SpanKind, start_ms: i64) -> Self {
        Self {
            id,
            start_ms,
            last_ms: start_ms,
            links: Vec::new(),
            status: Status::Unset,
            kind,
            parent,
            name: name.into(),
            attributes: Vec::new(),
            events: Vec::new(),
        }
    }

    pub fn say(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(key, value));
    }

    pub fn event(&mut self, name: &'static str, at_ms: i64, attributes: Vec<KeyValue>) {
        self.events.push(Event::new(name, time(at_ms), attributes, 0));
    }

    /// It failed; `kind` is a word of a small set.
    pub fn fail(&mut self, kind: &str) {
        self.say(name::ERROR_TYPE, kind.to_owned());
        self.status = Status::error(kind.to_owned());
    }

    /// The span as it is handed out: it ended at the time given, or when something last happened in it.
    pub fn end(self, trace: TraceId, at_ms: Option<i64>, seq: Seq, status: Option<Status>) -> SpanData {
        let mut attributes = self.attributes;
        attributes.push(KeyValue::new(name::JOURNAL_SEQ, i64::try_from(seq).unwrap_or(i64::MAX)));
        let (parent, is_remote) = match self.parent {
            Parent::None => (SpanId::INVALID, false),
            Parent::Own(id) => (id, false),
            Parent::Remote(id) => (id, true),
        };
        let mut events = SpanEvents::default();
        events.events = self.events;
        let mut links = SpanLinks::default();
        links.links = self.links;
        SpanData {
            span_context: context(trace, self.id),
            parent_span_id: parent,
            parent_span_is_remote: is_remote,
            span_kind: self.kind,
            name: self.name,
            start_time: time(self.start_ms),
            end_time: time(at_ms.unwrap_or(self.last_ms)),
            attributes,
            dropped_attributes_count: 0,
            events,
            links,
            status: status.unwrap_or(self.status),
            instrumentation_scope: InstrumentationScope::builder(SCOPE)
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.try_into().unwrap_or(0))
}
