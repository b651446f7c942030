//! From ended spans and counts to a collector: batches, a bounded queue, and what became of each span.
//!
//! Batching and the protocol are the OpenTelemetry libraries'. They work on threads of their own, and what they need of tokio is a
//! runtime of its own, too, that lives as long as the process: a collector that is slow or hangs is waited for there and nowhere
//! else.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use edvac_memory::ids::Digest;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{SpanId, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Config, SamplingDecision, SpanData, SpanProcessor as _,
};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::measure::{Instruments, Measure};
use crate::semconv as name;
use crate::settings::Settings;
use crate::view::View;

/// Spans that wait for the collector. Who follows a run waits beyond that, and reads on in the journal later.
const QUEUE_MAX: usize = 2048;
/// The service's name, where the environment has none.
const SERVICE: &str = "edvac";

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
#[error("{signal} cannot be sent: {why}")]
pub struct PipelineError {
    /// `traces` or `metrics`.
    pub signal: &'static str,
    /// What the library said.
    pub why: String,
}

/// The collector as people know it; the exporters read the environment by themselves.
pub(crate) fn address() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|value| !value.is_empty());
    named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| named("OTEL_EXPORTER_OTLP_ENDPOINT"))
        .unwrap_or_else(|| "http://localhost:4318".to_owned())
}

/// Who sends: the environment's service name and attributes, and `edvac` where it names none.
pub(crate) fn resource() -> Resource {
    let found = Resource::builder().build();
    let of = |key: &'static str| found.get(&key.into());
    let mut builder = Resource::builder();
    // What the library says where nobody named the service.
    if of("service.name").is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        builder = builder.with_service_name(SERVICE);
    }
    if of("service.version").is_none() {
        builder = builder.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    }
    builder.build()
}

/// The same, with what tells this process from others: what it counts begins anew.
fn of_process() -> Resource {
    const INSTANCE: &str = "service.instance.id";
    let resource = resource();
    if resource.get(&INSTANCE.into()).is_some() {
        return resource;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let id = Digest::of(format!("{}/{now}", std::process::id()).as_bytes()).0;
    let own = resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let own: Vec<_> = own.chain([KeyValue::new(INSTANCE, id[..32].to_owned())]).collect();
    Resource::builder_empty().with_attributes(own).build()
}

/// The library's exporter, as the environment sets it up.
pub(crate) fn span_exporter(resource: &Resource) -> Result<SpanExporter, PipelineError> {
    use opentelemetry_sdk::trace::SpanExporter as _;
    edvac_agents::client::openai::use_tls();
    let built = SpanExporter::builder().with_http().build();
    let mut exporter = built.map_err(|e| PipelineError { signal: "traces", why: e.to_string() })?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// Where a process sends to.
pub(crate) struct Pipeline {
    spans: Option<BatchSpanProcessor>,
    metrics: Option<(SdkMeterProvider, Instruments)>,
    flow: Arc<Flow>,
    sampling: Config,
}

impl Pipeline {
    /// Sets up what is asked for; what cannot be is said, and left out.
    pub fn new(settings: Settings, runtime: &Handle) -> Self {
        let (resource, flow) = (of_process(), Arc::new(Flow::default()));
        let said = |error: PipelineError| {
            flow.warn(&format!(
                "{error}. The run goes on. Look at the variables OTEL_EXPORTER_OTLP_*; the protocol is http/protobuf."
            ));
        };
        let spans = || -> Result<_, PipelineError> {
            let exporter = span_exporter(&resource)?;
            let sender = Sender { exporter, runtime: runtime.clone(), flow: Arc::clone(&flow) };
            let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE_MAX).build();
            Ok(BatchSpanProcessor::builder(sender).with_batch_config(config).build())
        };
        let metrics = || -> Result<_, PipelineError> {
            edvac_agents::client::openai::use_tls();
            let built = MetricExporter::builder().with_http().build();
            let exporter = built.map_err(|e| PipelineError { signal: "metrics", why: e.to_string() })?;
            let sender = MetricSender { exporter, runtime: runtime.clone(), flow: Arc::clone(&flow) };
            let reader = PeriodicReader::builder(sender).build();
            let provider =
                SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader).build();
            let instruments = Instruments::of(&provider.meter(SERVICE), settings.options.names);
            Ok((provider, instruments))
        };
        let of_traces = settings.traces.then(spans).and_then(|made| made.map_err(said).ok());
        let of_metrics = settings.metrics.then(metrics).and_then(|made| made.map_err(said).ok());
        Self { spans: of_traces, metrics: of_metrics, flow, sampling: Config::default() }
    }

    /// Whether a run's trace is sampled, as the environment says.
    pub fn samples(&self, view: &View) -> bool {
        let (trace, parent) = view.trace();
        let parent = parent.map(|parent| Context::new().with_remote_span_context(parent.clone()));
        let sampler = &self.sampling.sampler;
        let (kind, name) = (SpanKind::Internal, name::INVOKE_WORKFLOW);
        let sampled = sampler.should_sample(parent.as_ref(), trace, name, &kind, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }

    /// Sends a span once there is room for it.
    pub async fn give(&self, cursor: &Arc<Cursor>, number: u64, span: SpanData) {
        let Some(processor) = &self.spans else { return };
        loop {
            let mut room = pin!(self.flow.room.notified());
            // Before it is looked at, so that room that is made in between is not missed.
            room.as_mut().enable();
            if self.flow.begin(span.span_context.span_id(), cursor, number) {
                break;
            }
            room.await;
        }
        processor.on_end(span);
    }

    /// Counts.
    pub fn count(&self, measure: &Measure) {
        if let Some((_, instruments)) = &self.metrics {
            instruments.count(measure);
        }
    }

    /// Sends what is left. Blocks until about then; the libraries have bounds of their own besides.
    pub fn end(&self, until: Instant) {
        let left = || until.saturating_duration_since(Instant::now());
        std::thread::scope(|scope| {
            if let Some((provider, _)) = &self.metrics {
                scope.spawn(move || _ = provider.shutdown_with_timeout(left()));
            }
            if let Some(processor) = &self.spans {
                _ = processor.shutdown_with_timeout(left());
            }
        });
    }

    /// Says what was not sent until now.
    pub fn conclude(&self) {
        self.flow.conclude();
    }
}

/// How far a run's trace has come to a collector: spans from the first one on, none left out.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: PathBuf,
    mark: Mutex<Mark>,
}

#[derive(Debug)]
struct Mark {
    /// Spans that are there.
    acknowledged: u64,
    /// Spans that are there or on their way.
    given: u64,
}

impl Cursor {
    /// As an earlier process left it.
    pub fn open(file: PathBuf) -> Arc<Self> {
        let known = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let acknowledged = known.unwrap_or(0);
        Arc::new(Self { file, mark: Mutex::new(Mark { acknowledged, given: acknowledged }) })
    }

    /// Whether a span has to be sent: one that is there, or on its way, has not. From now on it is on its way.
    pub fn takes(&self, number: u64) -> bool {
        let mut mark = lock(&self.mark);
        let is_new = number >= mark.given;
        if is_new {
            mark.given = number + 1;
        }
        is_new
    }

    /// A span is there. Only the next one moves the mark: a process that goes on with the run sends again from the first that is
    /// missing, under the same ids.
    fn acknowledge(&self, number: u64) {
        let mut mark = lock(&self.mark);
        if mark.acknowledged == number {
            mark.acknowledged += 1;
        }
    }

    /// Spans on their way did not arrive: whoever goes on with the run sends them again.
    fn lose(&self) {
        let mut mark = lock(&self.mark);
        mark.given = mark.acknowledged;
    }

    fn keep(&self) {
        // Where it cannot be written, spans are sent once more; nothing is lost.
        if let Err(error) = std::fs::write(&self.file, lock(&self.mark).acknowledged.to_string()) {
            tracing::debug!("{} cannot be written: {error}", self.file.display());
        }
    }
}

/// What was handed to the library, and what came of it.
#[derive(Debug, Default)]
struct Flow {
    outstanding: Mutex<HashMap<SpanId, (Arc<Cursor>, u64)>>,
    sent: Mutex<Counts>,
    room: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    spans: u64,
    lost: u64,
    has_warned: bool,
}

impl Flow {
    /// Notes that a span is on its way; false where there is no room for it.
    fn begin(&self, id: SpanId, cursor: &Arc<Cursor>, number: u64) -> bool {
        let mut outstanding = lock(&self.outstanding);
        let has_room = outstanding.len() < QUEUE_MAX;
        if has_room {
            outstanding.insert(id, (Arc::clone(cursor), number));
        }
        has_room
    }

    /// A batch was taken, or not.
    fn settle(&self, ids: &[SpanId], outcome: &OTelSdkResult) {
        let taken: Vec<_> = {
            let mut outstanding = lock(&self.outstanding);
            ids.iter().filter_map(|id| outstanding.remove(id)).collect()
        };
        {
            let mut counts = lock(&self.sent);
            counts.spans += ids.len() as u64;
            counts.lost += if outcome.is_err() { ids.len() as u64 } else { 0 };
        }
        if outcome.is_ok() {
            let mut moved: Vec<Arc<Cursor>> = Vec::new();
            for (cursor, number) in taken {
                cursor.acknowledge(number);
                if !moved.iter().any(|known| Arc::ptr_eq(known, &cursor)) {
                    moved.push(cursor);
                }
            }
            moved.iter().for_each(|cursor| cursor.keep());
        } else {
            taken.iter().for_each(|(cursor, _)| cursor.lose());
        }
        self.refused("traces", outcome);
        self.room.notify_waiters();
    }

    /// Says that a collector refuses or is not there.
    fn refused(&self, signal: &str, outcome: &OTelSdkResult) {
        if let Err(why) = outcome {
            self.warn(&format!(
                "{signal} cannot be sent to {}: {why}. The run goes on. OTEL_EXPORTER_OTLP_ENDPOINT names the collector, which has to speak OTLP over HTTP.",
                address()
            ));
        }
    }

    /// Says what is wrong, once for all that is sent: what is wrong with one batch is wrong with the next one.
    fn warn(&self, what: &str) {
        if !std::mem::replace(&mut lock(&self.sent).has_warned, true) {
            tracing::warn!("{what}");
        }
    }

    /// The last word, where anything is missing.
    fn conclude(&self) {
        let (waiting, counts) = (lock(&self.outstanding).len() as u64, lock(&self.sent));
        let (lost, all) = (counts.lost + waiting, counts.spans + waiting);
        if lost > 0 {
            tracing::warn!(
                "{lost} of {all} spans were not sent. Nothing is lost: `edvac export RUN --format otlp` sends a run's trace from its journal."
            );
        }
    }
}

/// The library's exporter, on a thread that is no worker of tokio's.
#[derive(Debug)]
struct Sender {
    exporter: SpanExporter,
    runtime: Handle,
    flow: Arc<Flow>,
}

impl opentelemetry_sdk::trace::SpanExporter for Sender {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let ids: Vec<_> = batch.iter().map(|span| span.span_context.span_id()).collect();
        let outcome = within(&self.runtime, self.exporter.export(batch)).await;
        self.flow.settle(&ids, &outcome);
        outcome
    }
}

/// The same for metrics.
struct MetricSender {
    exporter: MetricExporter,
    runtime: Handle,
    flow: Arc<Flow>,
}

impl PushMetricExporter for MetricSender {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let outcome = within(&self.runtime, self.exporter.export(metrics)).await;
        self.flow.refused("metrics", &outcome);
        outcome
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// A future that finds tokio wherever it is polled.
async fn within<F: Future + Send>(runtime: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let _entered = runtime.enter();
        future.as_mut().poll(context)
    })
    .await
}

/// What a lock guards is whole at any time: a panic leaves counts, no half of anything.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_on_its_way_is_not_sent_again_but_where_it_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("exported");
        let cursor = Cursor::open(file.clone());
        assert!((0..3).all(|number| cursor.takes(number)));
        // Whoever goes on with the run before the collector has answered.
        assert!(!(0..3).any(|number| cursor.takes(number)));
        cursor.acknowledge(0);
        cursor.lose();
        assert_eq!((0..4).map(|number| cursor.takes(number)).collect::<Vec<_>>(), [false, true, true, true]);
        cursor.keep();
        let next = Cursor::open(file);
        assert_eq!((0..2).map(|number| next.takes(number)).collect::<Vec<_>>(), [false, true]);
    }
}
