//! Traces and metrics of runs, for OpenTelemetry.
//!
//! [`view`] makes spans of a journal, and is pure; [`Telemetry`] follows the runs of a process and hands what ended to a collector;
//! [`send()`] and [`json()`] do the same afterwards. Nothing here can change a run, fail it, or make it wait.

mod content;
mod follow;
mod ids;
mod measure;
mod pipeline;
pub mod semconv;
mod send;
mod settings;
pub mod view;

pub use follow::Telemetry;
pub use ids::traceparent;
pub use measure::{Call, Measure};
pub use pipeline::PipelineError;
pub use send::{SendError, json, send};
pub use settings::Settings;
