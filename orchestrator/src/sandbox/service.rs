//! Starting a service and asking it something, inside the sandbox, where nobody else can reach it.
//!
//! The questions and the answers pass through the shim's own socket, so that a service cannot write its own marks.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edvac_memory::program::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Time until a service must listen.
const LISTEN_MS_MAX: u64 = 20_000;
/// Between two looks whether it does.
const LOOK_EVERY_MS: u64 = 20;
/// Time for one answer.
const ANSWER_MS_MAX: u64 = 10_000;
/// Of an answer's body, what is read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A service and what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The command line that starts it, for `sh`.
    pub start: String,
    /// The port of 127.0.0.1 that it listens on.
    pub port: u16,
    /// What it is asked, in this order.
    pub requests: Vec<Request>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Served {
    /// Something else listens on its port already.
    PortTaken,
    /// It could not be started at all.
    NotStarted(String),
    /// It ended before it listened; its exit status, unless a signal ended it.
    Ended(Option<i32>),
    /// It never listened.
    Silent,
    /// It listened. One entry for each request, up to and with the first that got no answer.
    Answered(Vec<Result<Answer, String>>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, as text.
    pub body: String,
}

/// Starts the service, asks it and stops it. Everything it printed went to this process's own output.
pub(super) fn serve(service: &Service) -> Served {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Served::NotStarted(error.to_string()),
    };
    runtime.block_on(async {
        if connect(service.port).await.is_some() {
            return Served::PortTaken;
        }
        let started = Command::new("sh")
            .args(["-c", &service.start])
            .env("PORT", service.port.to_string())
            .stdin(Stdio::null())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => return Served::NotStarted(error.to_string()),
        };
        let served = converse(&mut child, service).await;
        // The sandbox ends with this process, and with it whatever else was started.
        let _ = child.kill();
        served
    })
}

async fn converse(child: &mut Child, service: &Service) -> Served {
    let until = Instant::now() + Duration::from_millis(LISTEN_MS_MAX);
    while connect(service.port).await.is_none() {
        if let Ok(Some(status)) = child.try_wait() {
            return Served::Ended(status.code());
        }
        if Instant::now() >= until {
            return Served::Silent;
        }
        sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
    }
    let mut answers = Vec::new();
    for request in &service.requests {
        let answer = timeout(Duration::from_millis(ANSWER_MS_MAX), ask(service.port, request)).await;
        let answer = answer.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
        let is_last = answer.is_err();
        answers.push(answer);
        if is_last {
            break;
        }
    }
    Served::Answered(answers)
}

async fn connect(port: u16) -> Option<TcpStream> {
    TcpStream::connect(("127.0.0.1", port)).await.ok()
}

async fn ask(port: u16, request: &Request) -> Result<Answer, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let stream = connect(port).await.ok_or("it listens no more")?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| said(&e))?;
    let mut message = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(&request.path)
        .header("host", format!("127.0.0.1:{port}"));
    for (name, value) in &request.headers {
        message = message.header(name, value);
    }
    let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
    let message = message.body(body).map_err(|e| format!("the request cannot be made: {e}"))?;
    let asking = async {
        let response = sender.send_request(message).await.map_err(|e| said(&e))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|e| format!("its answer could not be read to its end: {e}"))?.to_bytes();
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    };
    tokio::pin!(asking);
    // The connection does its work beside the question; it may end before the answer is looked at, never instead.
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        _ = connection => asking.await,
    }
}
