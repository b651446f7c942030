//! Traces and metrics of runs, as a collector on this machine gets them, and what becomes of a run whose collector is none.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use edvac_memory::journal::EXIT_STOPPED_AFTER;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::crash::long_script;
use crate::home::Home;

/// Steps of the scripted run.
const STEPS: usize = 4;
/// Something that only the model says.
const SECRET: &str = "This is part 2 of the project.";

/// What a collector does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Takes,
    Refuses,
    Hangs,
}

/// What was sent: paths and bodies.
#[derive(Default)]
struct Got {
    all: Mutex<Vec<(String, Vec<u8>)>>,
    changed: Condvar,
}

/// A collector.
struct Collector {
    url: String,
    got: Arc<Got>,
}

impl Collector {
    fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::<Got>::default();
        let told = Arc::clone(&got);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for connection in listener.incoming().map_while(Result::ok) {
                if manner == Manner::Hangs {
                    held.push(connection);
                    continue;
                }
                let told = Arc::clone(&told);
                std::thread::spawn(move || answer(&connection, manner, &told));
            }
        });
        Self { url, got }
    }

    /// Waits until it was sent spans so many times.
    fn wait_for_traces(&self, times: usize) {
        self.wait_until(|got| got.iter().filter(|(path, _)| path == "/v1/traces").count() >= times);
    }

    fn wait_until(&self, is_there: impl Fn(&[(String, Vec<u8>)]) -> bool) {
        let got = self.got.all.lock().unwrap();
        drop(self.got.changed.wait_while(got, |got| !is_there(got)).unwrap());
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let got = self.got.all.lock().unwrap();
        got.iter().filter(|(to, _)| to == path).map(|(_, body)| body.clone()).collect()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let bodies = self.bodies("/v1/traces");
        bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap()).collect()
    }

    /// Names of the metrics that it got.
    fn metrics(&self) -> BTreeSet<String> {
        let bodies = self.bodies("/v1/metrics");
        let requests =
            bodies.iter().map(|body| ExportMetricsServiceRequest::decode(body.as_slice()).unwrap());
        let scopes = requests.flat_map(|request| request.resource_metrics).flat_map(|of| of.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name).collect()
    }

    fn spans(&self) -> Vec<Span> {
        self.requests().iter().flat_map(spans_in).collect()
    }
}

fn answer(connection: &TcpStream, manner: Manner, told: &Got) {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    // A process that is killed in the middle of a request sends none.
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    told.all.lock().unwrap().push((path, body));
    let status = if manner == Manner::Takes { "200 OK" } else { "500 Internal Server Error" };
    let mut writer = connection;
    let _ = write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    told.changed.notify_all();
}

fn spans_in(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|kv| kv.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A home with a script, and the arguments of its run.
fn scripted(delay_ms: u64) -> (Home, Vec<String>) {
    let home = Home::new();
    write_script(&home, delay_ms);
    let args = ["run", "--json", "--domain", "custom", "--provider", "scripted:script.toml", "Four files"];
    (home, args.map(str::to_owned).to_vec())
}

fn write_script(home: &Home, delay_ms: u64) {
    let script = format!("delay_ms = {delay_ms}\n{}", long_script(STEPS));
    std::fs::write(home.path().join("script.toml"), script).unwrap();
}

fn edvac(home: &Home, args: &[String], url: &str) -> Command {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut command = home.edvac(&args);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    command
}

/// The spans that the only run's journal gives, by id.
fn expected(home: &Home) -> BTreeMap<Vec<u8>, Span> {
    let said = home.say(&["export", "--last", "--format", "otlp-json", "-o", "-"]).expect(0);
    let request: ExportTraceServiceRequest = serde_json::from_str(&said.stdout).unwrap();
    spans_in(&request).into_iter().map(|span| (span.span_id.clone(), span)).collect()
}

/// Panics unless the trace of the only run is a tree, with as many calls as its journal.
pub fn is_a_tree(home: &Home) {
    let spans = expected(home);
    is_tree(spans.values());
    let calls = spans.values().filter(|span| span.name.starts_with("chat ")).count();
    assert_eq!(calls, home.calls().1, "one span for each call that was begun");
}

/// Every span's parent is there and encloses it.
fn is_tree<'a>(spans: impl Iterator<Item = &'a Span> + Clone) {
    let by_id: BTreeMap<_, _> = spans.clone().map(|span| (&span.span_id, span)).collect();
    for span in spans.filter(|span| !span.parent_span_id.is_empty()) {
        let parent = by_id[&span.parent_span_id];
        assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "{} in {}", span.name, parent.name);
        assert!(span.end_time_unix_nano <= parent.end_time_unix_nano, "{} in {}", span.name, parent.name);
    }
}

fn ids(spans: &[Span]) -> Vec<Vec<u8>> {
    let mut ids: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    ids.sort();
    ids
}

#[test]
fn a_run_reaches_a_collector_whole_and_without_what_was_said() {
    let collector = Collector::new(Manner::Takes);
    let (home, args) = scripted(0);
    let output =
        edvac(&home, &args, &collector.url).env("OTEL_RESOURCE_ATTRIBUTES", "team=notes").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = expected(&home);
    assert_eq!(ids(&collector.spans()), expected.keys().cloned().collect::<Vec<_>>());
    is_tree(expected.values());
    let names: BTreeSet<_> = collector.spans().into_iter().map(|span| span.name).collect();
    let all = ["chat scripted", "edvac.attempt", "edvac.step", "execute_tool act", "execute_tool check"];
    let more = [
        "execute_tool exists",
        "execute_tool parses",
        "invoke_agent planner",
        "invoke_agent worker",
        "invoke_workflow custom",
    ];
    let all: BTreeSet<_> =
        all.into_iter().chain(more).chain(["retrieval workspace"]).map(str::to_owned).collect();
    assert_eq!(names, all);
    let request = &collector.requests()[0];
    let resource = &request.resource_spans[0].resource.as_ref().unwrap().attributes;
    let resource: BTreeMap<_, _> =
        resource.iter().map(|kv| (kv.key.as_str(), format!("{:?}", kv.value))).collect();
    assert!(
        resource["service.name"].contains("\"edvac\"") && resource["team"].contains("\"notes\""),
        "{resource:?}"
    );
    let said = collector.bodies("/v1/traces").concat();
    let says = |text: &str| said.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!says(SECRET) && !says("Four files") && !says("part2.md"));

    let metrics = collector.metrics();
    for name in [
        "edvac.checks",
        "edvac.runs",
        "edvac.steps",
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics:?}");
    }
    let run = home.run_dirs()[0].file_name().unwrap().to_string_lossy().into_owned();
    let counted = collector.bodies("/v1/metrics").concat();
    assert!(!counted.windows(run.len()).any(|part| part == run.as_bytes()), "no metric names a run");
}

#[test]
fn what_was_said_is_sent_where_it_is_asked_for() {
    let collector = Collector::new(Manner::Takes);
    let (home, args) = scripted(0);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let output = edvac(&home, &args, &collector.url)
        .env("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
        .env("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
        .env("OTEL_SERVICE_NAME", "writer")
        .env("TRACEPARENT", parent)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let spans = collector.spans();
    let told = spans.iter().filter_map(|span| attribute(span, "gen_ai.output.messages"));
    assert!(told.into_iter().any(|text| text.contains(SECRET)));
    let run = spans.iter().find(|span| span.name == "invoke_workflow custom").unwrap();
    assert_eq!(attribute(run, "gen_ai.agent.name").as_deref(), Some("custom"));
    assert_eq!(run.parent_span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert!(format!("{:?}", collector.requests()[0].resource_spans[0].resource).contains("\"writer\""));
    let metrics = collector.metrics();
    for name in ["gen_ai.client.inference.duration", "gen_ai.client.inference.usage.input_tokens"] {
        assert!(metrics.contains(name), "{name} is missing in {metrics:?}");
    }
    assert!(!metrics.contains("gen_ai.client.token.usage"));
}

#[test]
fn a_run_that_died_is_sent_by_the_process_that_goes_on() {
    let collector = Collector::new(Manner::Takes);
    let (home, args) = scripted(0);
    let mut died = edvac(&home, &args, &collector.url);
    let died = died.env("EDVAC_TEST_STOP_AFTER", "20").output().unwrap();
    assert_eq!(died.status.code(), Some(EXIT_STOPPED_AFTER));
    let resume = ["resume", "--last"].map(str::to_owned);
    let output = edvac(&home, &resume, &collector.url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (expected, spans) = (expected(&home), collector.spans());
    assert_eq!(ids(&spans), expected.keys().cloned().collect::<Vec<_>>(), "each span once");
    is_tree(spans.iter());
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1);
    let runs: Vec<_> = spans.iter().filter(|span| span.name == "invoke_workflow custom").collect();
    let standing: Vec<_> = runs.iter().map(|run| attribute(run, "edvac.run.status").unwrap()).collect();
    assert_eq!(standing, ["interrupted", "done"]);
    assert_eq!(runs[1].links[0].span_id, runs[0].span_id);
}

#[test]
fn spans_are_sent_while_a_run_goes_on_and_not_again_after_a_kill() {
    let collector = Collector::new(Manner::Takes);
    let (home, args) = scripted(200);
    let mut command = edvac(&home, &args, &collector.url);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "10").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // The second request begins after what came of the first was noted.
    collector.wait_for_traces(2);
    child.kill().unwrap();
    child.wait().unwrap();
    let first = ids(&spans_in(&collector.requests()[0]));
    assert!(!first.is_empty());
    write_script(&home, 0);
    let resume = ["resume", "--last"].map(str::to_owned);
    let output = edvac(&home, &resume, &collector.url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (expected, spans) = (expected(&home), collector.spans());
    let distinct: BTreeSet<_> = ids(&spans).into_iter().collect();
    assert_eq!(distinct, expected.keys().cloned().collect());
    for id in first {
        assert_eq!(spans.iter().filter(|span| span.span_id == id).count(), 1);
    }
    for span in &spans {
        assert_eq!(span, &expected[&span.span_id], "live as from the journal");
    }
}

#[test]
fn a_collector_that_is_none_changes_nothing_of_a_run() {
    let keys = |home: &Home| -> Vec<String> {
        home.records().iter().map(|record| format!("{} {}", record["kind"], record["key"])).collect()
    };
    let (home, args) = scripted(0);
    home.edvac(&args.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    let without = keys(&home);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, collector) in [
        (format!("http://{nobody}"), None),
        (String::new(), Some(Collector::new(Manner::Refuses))),
        (String::new(), Some(Collector::new(Manner::Hangs))),
        ("no address at all".to_owned(), None),
    ] {
        let url = collector.as_ref().map_or(url, |collector| collector.url.clone());
        let (home, args) = scripted(0);
        let output = edvac(&home, &args, &url).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(keys(&home), without);
        let of = |text: &str| said.matches(text).count();
        assert!(of("cannot be sent") <= 1 && of("were not sent") <= 1, "{said}");
        assert!(of("cannot be sent") + of("were not sent") >= 1, "it is said:\n{said}");
        // Afterwards it can be sent from the journal.
        let send = ["export", "--last", "--format", "otlp"].map(str::to_owned);
        if collector.is_none() {
            let failed = edvac(&home, &send, &url).output().unwrap();
            assert!(matches!(failed.status.code(), Some(2 | 5)), "{failed:?}");
        }
        let taken = Collector::new(Manner::Takes);
        let output = edvac(&home, &send, &taken.url).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(ids(&taken.spans()), expected(&home).keys().cloned().collect::<Vec<_>>());
    }
}

/// Sends a request of a program that has the server's token.
fn ask(host: &str, head: &str, token: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        connection,
        "{head} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn runs_of_a_server_are_sent_and_counted() {
    let collector = Collector::new(Manner::Takes);
    let (home, _) = scripted(0);
    let args = ["serve", "--no-model", "--port", "0", "--provider", "scripted:script.toml"];
    let mut command = edvac(&home, &args.map(str::to_owned), &collector.url);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "10").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
    let host = url.trim().strip_prefix("http://").and_then(|url| url.strip_suffix("/v1")).unwrap().to_owned();
    let token = std::fs::read_to_string(home.path().join("state/server/token")).unwrap();
    let begun = ask(&host, "POST /api/runs", token.trim(), r#"{"task": "Four files", "domain": "custom"}"#);
    assert!(begun.starts_with("HTTP/1.1 20"), "{begun}");
    // The span of a run is the last of its spans.
    let name = b"invoke_workflow custom";
    collector.wait_until(|got| got.iter().any(|(_, body)| body.windows(name.len()).any(|part| part == name)));
    let counted = ask(&host, "GET /metrics", token.trim(), "");
    assert!(counted.contains("edvac_runs{status=\"done\"} 1"), "{counted}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(ids(&collector.spans()), expected(&home).keys().cloned().collect::<Vec<_>>());
    assert!(collector.metrics().contains("edvac.runs"));
}
