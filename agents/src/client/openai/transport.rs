//! HTTP below `async-openai`: what that crate would turn into a bare message is kept whole here.

use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

/// Most bytes that are read of an answer that is no stream. A whole reply has some ten thousand.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The HTTP client as `async-openai` wants it.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
}

/// An answer with a status that is no success.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) after: Option<Duration>,
    pub(super) body: String,
}

/// What [`Transport`] passes through `async-openai` in place of a stream.
#[derive(Debug, thiserror::Error)]
enum NoStream {
    #[error("refused with status {}", .0.status)]
    Refused(Refused),
    #[error("an answer in one piece")]
    Whole(String),
}

/// Why a request did not open a stream.
pub(super) enum Answer {
    /// It was answered, in one piece.
    Whole(String),
    /// It was refused.
    Refused(Refused),
    /// It did not arrive, or the answer did not.
    Broken(String),
}

/// What an error of `async-openai` really is.
pub(super) fn answer(error: OpenAIError) -> Answer {
    match error {
        OpenAIError::Boxed(inner) => match inner.downcast::<NoStream>() {
            Ok(no_stream) => match *no_stream {
                NoStream::Refused(refused) => Answer::Refused(refused),
                NoStream::Whole(body) => Answer::Whole(body),
            },
            Err(other) => Answer::Broken(other.to_string()),
        },
        OpenAIError::Reqwest(error) => Answer::Broken(chain(&error.without_url())),
        other => Answer::Broken(other.to_string()),
    }
}

/// An error with what caused it: "error sending request" alone says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Chooses the cryptography of TLS for this process, as its library wants it to be; any number of times.
pub fn use_tls() {
    static PROVIDER: Once = Once::new();
    // A choice that was made already is an error that says so.
    PROVIDER.call_once(|| _ = rustls::crypto::ring::default_provider().install_default());
}

impl Transport {
    pub(super) fn new(base_url: &str) -> Result<Self, String> {
        use_tls();
        let url =
            reqwest::Url::parse(base_url).map_err(|error| format!("{base_url:?} is no address: {error}"))?;
        let host = url.host_str().unwrap_or_default();
        let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(15));
        if matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            // A proxy from the environment cannot reach this machine's own servers.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| chain(&error))?;
        Ok(Self { http })
    }

    pub(super) fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    async fn send(self, request: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let response = self.http.execute(request.build().await?).await?;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        let streams = header(CONTENT_TYPE).is_some_and(|t| t.starts_with("text/event-stream"));
        if response.status().is_success() && streams {
            return Ok(response);
        }
        let after = header(RETRY_AFTER).and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        let status = response.status();
        let body = text(response).await?;
        let no_stream = if status.is_success() {
            NoStream::Whole(body)
        } else {
            NoStream::Refused(Refused { status: status.as_u16(), after, body })
        };
        Err(OpenAIError::Boxed(Box::new(no_stream)))
    }
}

async fn text(mut response: reqwest::Response) -> Result<String, OpenAIError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > BODY_BYTES_MAX {
            return Err(OpenAIError::InvalidArgument(format!("the answer has over {BODY_BYTES_MAX} bytes")));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl tower_service::Service<HttpRequestFactory> for Transport {
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
