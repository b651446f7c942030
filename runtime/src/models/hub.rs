//! The model hub: one HTTPS request a file, continued where an earlier one broke off.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use futures::StreamExt;
use reqwest::StatusCode;
use reqwest::header::RANGE;

use super::pull::{Source, file_name};
use super::{FileSpec, Hub, ModelSpec, ModelsError, Progress, Sink, io};

/// Another hub, or a mirror of it.
const ENDPOINT: &str = "HF_ENDPOINT";
/// A hub that cannot be reached must not hold up the next source for long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence within a download.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// Requests for one file; each goes on where the one before broke off.
const REQUESTS_MAX: u32 = 5;

pub(super) fn source(spec: &ModelSpec) -> Option<Source<'_>> {
    let hub = spec.hub.as_ref()?;
    Some(Source {
        name: format!("the model hub ({})", hub.repo),
        fetch: Box::new(move |dir, sink, cancelled| fetch(spec, hub, dir, sink, cancelled)),
    })
}

fn fetch(
    spec: &ModelSpec,
    hub: &Hub,
    dir: &Path,
    sink: Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), ModelsError> {
    let endpoint = endpoint();
    let failed = |message: String| ModelsError::Io { path: endpoint.clone().into(), message };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        let client = client().map_err(&failed)?;
        let mut before = 0;
        for file in &spec.files {
            let url = format!("{endpoint}/{}/resolve/{}/{}", hub.repo, hub.revision, file.hub_path);
            let to = dir.join(file_name(&file.name));
            let mut report = |done: u64, total: u64| {
                let total_bytes = spec.size_bytes().unwrap_or(before + total);
                sink(Progress::Downloading { done_bytes: before + done, total_bytes });
            };
            before += download(&client, &url, file, &to, &mut report, cancelled).await?;
        }
        Ok(())
    })
}

fn endpoint() -> String {
    #[cfg(test)]
    if let Some(url) = TEST_ENDPOINT.with_borrow(Clone::clone) {
        return url;
    }
    std::env::var(ENDPOINT).unwrap_or_else(|_| "https://huggingface.co".to_owned())
}

#[cfg(test)]
thread_local! {
    /// Tests share a process and so its environment.
    static TEST_ENDPOINT: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

#[cfg(test)]
pub(super) fn with_endpoint<T>(url: &str, act: impl FnOnce() -> T) -> T {
    TEST_ENDPOINT.set(Some(url.to_owned()));
    act()
}

fn client() -> Result<reqwest::Client, String> {
    // The TLS library wants its cryptography chosen once for the process; a second choice changes nothing.
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| _ = rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()
        .map_err(|e| e.to_string())
}

/// Fetches one file, in as many requests as it takes up to a bound; its length in the end.
async fn download(
    client: &reqwest::Client,
    url: &str,
    file: &FileSpec,
    to: &Path,
    report: &mut (dyn FnMut(u64, u64) + Send),
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, ModelsError> {
    let failed = |message: String| ModelsError::Io { path: url.into(), message };
    let mut last = String::new();
    for request in 0..REQUESTS_MAX {
        let have = std::fs::metadata(to).map_or(0, |m| m.len());
        if file.size_bytes == Some(have) {
            return Ok(have);
        }
        match continue_from(client, url, have, file, to, report, cancelled).await {
            Ok(()) => {
                let length = std::fs::metadata(to).map_err(io(to))?.len();
                if file.size_bytes.is_none_or(|size| size == length) {
                    return Ok(length);
                }
                "the file has not its right length".clone_into(&mut last);
            }
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Broken(why)) => last = why,
        }
        tracing::debug!(url, request, last, "a download broke off");
        // Nothing came and nothing was there: the next request would say the same.
        if std::fs::metadata(to).map_or(0, |m| m.len()) == 0 {
            break;
        }
    }
    Err(failed(last))
}

enum Stop {
    /// Asking again may help.
    Broken(String),
    Final(ModelsError),
}

async fn continue_from(
    client: &reqwest::Client,
    url: &str,
    have: u64,
    file: &FileSpec,
    to: &Path,
    report: &mut (dyn FnMut(u64, u64) + Send),
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Stop> {
    let broken = |e: reqwest::Error| Stop::Broken(chain(&e.without_url()));
    let mut request = client.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response = request.send().await.map_err(broken)?;
    let status = response.status();
    // A server that does not know ranges sends the whole file.
    let from = if status == StatusCode::PARTIAL_CONTENT { have } else { 0 };
    if !status.is_success() {
        let error = ModelsError::Io { path: url.into(), message: format!("the hub says {status}") };
        return Err(if status.is_server_error() {
            Stop::Broken(error.to_string())
        } else {
            Stop::Final(error)
        });
    }
    let total = file.size_bytes.or(response.content_length().map(|l| l + from)).unwrap_or(0);
    let disk = |e: std::io::Error| Stop::Final(io(to)(e));
    let opened = match from {
        0 => std::fs::File::create(to),
        _ => OpenOptions::new().append(true).open(to),
    };
    let mut out = opened.map_err(disk)?;
    let mut done = from;
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        if cancelled() {
            return Err(Stop::Final(ModelsError::Cancelled));
        }
        let chunk = chunk.map_err(broken)?;
        done += chunk.len() as u64;
        if file.size_bytes.is_some_and(|size| done > size) {
            return Err(Stop::Final(ModelsError::Io {
                path: url.into(),
                message: "the hub sends more than the file may have".to_owned(),
            }));
        }
        out.write_all(&chunk).map_err(disk)?;
        report(done, total);
    }
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
