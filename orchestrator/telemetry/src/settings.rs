//! What the environment asks for. Only whether something is sent, and what, is read here; where to, with which headers and in what
//! time is read by the OpenTelemetry libraries themselves.

use crate::semconv::{LATEST, Names};
use crate::view::Options;

/// What is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Whether spans are.
    pub traces: bool,
    /// Whether metrics are.
    pub metrics: bool,
    /// What spans say.
    pub options: Options,
}

impl Settings {
    /// What the environment of this process asks for: nothing, unless it names a collector.
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let said = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let is =
            |name: &str, value: &str| said(name).is_some_and(|text| text.trim().eq_ignore_ascii_case(value));
        let wants = |signal: &str| {
            let has_collector = said("OTEL_EXPORTER_OTLP_ENDPOINT").is_some()
                || said(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")).is_some();
            has_collector
                && !is("OTEL_SDK_DISABLED", "true")
                && !is(&format!("OTEL_{signal}_EXPORTER"), "none")
        };
        let opted_in = said("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
        let is_latest = opted_in.split(',').any(|name| name.trim() == LATEST);
        Self {
            traces: wants("TRACES"),
            metrics: wants("METRICS"),
            options: Options {
                names: if is_latest { Names::Latest } else { Names::Established },
                content: is("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true"),
            },
        }
    }

    /// Whether anything is.
    pub fn any(&self) -> bool {
        self.traces || self.metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Settings {
        Settings::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let traces_only = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces");
        for (variables, traces, metrics) in [
            (vec![], false, false),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], false, false),
            (vec![endpoint], true, true),
            (vec![traces_only], true, false),
            (vec![endpoint, ("OTEL_METRICS_EXPORTER", "none")], true, false),
            (vec![endpoint, ("OTEL_SDK_DISABLED", "TRUE")], false, false),
            (vec![endpoint, ("OTEL_SDK_DISABLED", "false")], true, true),
        ] {
            let settings = of(&variables);
            assert_eq!((settings.traces, settings.metrics), (traces, metrics), "{variables:?}");
        }
    }

    #[test]
    fn content_and_newer_names_are_asked_for() {
        assert!(!of(&[]).options.content);
        assert!(of(&[("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "True")]).options.content);
        let names = |value| of(&[("OTEL_SEMCONV_STABILITY_OPT_IN", value)]).options.names;
        assert_eq!(names("http"), Names::Established);
        assert_eq!(names("http, gen_ai_latest_experimental"), Names::Latest);
    }
}
