//! A run's trace from its journal, after the fact: to a collector, or as a file.

use edvac_memory::journal::Record;
use edvac_orchestrator::control::apply::FoldError;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};

use crate::pipeline::{PipelineError, address, resource, span_exporter};
use crate::settings::Settings;
use crate::view::spans_of;

/// Spans in one request.
const BATCH: usize = 512;

/// Why a trace was not exported.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The journal is of another edvac.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The environment's settings cannot be used.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The collector is not there, or refused.
    #[error("the collector at {at} did not take the spans: {why}", at = address(), why = .0)]
    Collector(#[from] OTelSdkError),
    /// The spans cannot be written as JSON.
    #[error("the spans cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The spans of a run as the environment wants them named. Where a process still carries it out, those that ended.
fn spans(records: &[Record], is_over: bool) -> Result<Vec<SpanData>, SendError> {
    Ok(spans_of(records, Settings::of_environment().options, is_over)?)
}

/// Sends a run's trace to the collector that the environment names (`http://localhost:4318` where it names none). Gives the trace's
/// id and how many spans were taken.
pub async fn send(records: &[Record], is_over: bool) -> Result<(String, usize), SendError> {
    let spans = spans(records, is_over)?;
    let (trace, count) = (trace_of(&spans), spans.len());
    let exporter = span_exporter(&resource())?;
    for batch in spans.chunks(BATCH) {
        exporter.export(batch.to_vec()).await?;
    }
    Ok((trace, count))
}

/// A run's trace as OTLP's JSON: one `ExportTraceServiceRequest`, as a collector's file receiver reads it. Gives its text, the trace's
/// id and how many spans it has.
pub fn json(records: &[Record], is_over: bool) -> Result<(Vec<u8>, String, usize), SendError> {
    let spans = spans(records, is_over)?;
    let (trace, count) = (trace_of(&spans), spans.len());
    let resource = ResourceAttributesWithSchema::from(&resource());
    let request =
        ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans, &resource) };
    let mut text = serde_json::to_vec(&request)?;
    text.push(b'\n');
    Ok((text, trace, count))
}

fn trace_of(spans: &[SpanData]) -> String {
    spans.first().map_or(String::new(), |span| span.span_context.trace_id().to_string())
}
