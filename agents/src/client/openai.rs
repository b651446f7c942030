//! Any endpoint that speaks OpenAI's chat completions: hosted ones, vLLM, llama.cpp's server, Ollama.
//!
//! Requests go out through `async-openai`; below it stands [`transport`], which keeps what that crate throws away
//! (`Retry-After`, the body of a refusal, answers that are no stream). The transport alone is retried, and only while
//! nothing of a reply was seen.

mod refusal;
mod transport;
mod wire;

pub use transport::use_tls;

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use futures::{Stream, StreamExt};
use serde_json::Value;

use self::refusal::Failure;
use self::transport::{Answer, Transport};
use self::wire::{Chunk, Gathered};
use super::{
    Cancel, ClientInfo, Delta, ModelClient, ModelError, ModelReply, ModelRequest, Sink, cancelled, estimate,
};

/// Times a request is tried in all.
const ATTEMPTS_MAX: usize = 5;
/// Longest wait for what an endpoint says about itself.
const LEARN_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest pause between two tries, unless the endpoint asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// Longest pause that an endpoint may ask for; over it the error is the better answer.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// Where and whom to ask.
#[derive(Clone)]
pub struct OpenAiOptions {
    /// Up to and without `/chat/completions`: `https://api.openai.com/v1`, `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// Sent as a bearer token; none where the endpoint wants none.
    pub key: Option<String>,
    /// The model, as the endpoint calls it.
    pub model: String,
    /// Prompt and reply together.
    pub window_tokens: usize,
    /// Whether the endpoint takes native tool calls.
    pub native_tools: bool,
    /// Whether the endpoint binds a reply to a grammar, as `edvac serve` does; [`OpenAiClient::learn`] finds out.
    pub grammar: bool,
    /// Longest wait for the first byte of a reply: the whole prompt is computed in it.
    pub first_byte_timeout: Duration,
    /// Longest silence within a reply.
    pub idle_timeout: Duration,
    /// The first pause before a retry; it doubles up to eight seconds.
    pub pause_min: Duration,
}

impl OpenAiOptions {
    /// Options with the usual times.
    pub fn new(base_url: &str, key: Option<String>, model: &str, window_tokens: usize) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            key: key.filter(|k| !k.is_empty()),
            model: model.to_owned(),
            window_tokens,
            native_tools: false,
            grammar: false,
            first_byte_timeout: Duration::from_mins(5),
            idle_timeout: Duration::from_mins(1),
            pause_min: Duration::from_millis(500),
        }
    }
}

impl fmt::Debug for OpenAiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiOptions")
            .field("base_url", &self.base_url)
            .field("key", &self.key.as_ref().map(|_| "(hidden)"))
            .field("model", &self.model)
            .field("window_tokens", &self.window_tokens)
            .field("native_tools", &self.native_tools)
            .field("grammar", &self.grammar)
            .finish_non_exhaustive()
    }
}

/// A client of one endpoint.
pub struct OpenAiClient {
    client: Client<OpenAIConfig>,
    options: OpenAiOptions,
    info: ClientInfo,
    /// Parameters that the endpoint refused; they are not sent again.
    unwanted: Mutex<BTreeSet<&'static str>>,
}

impl OpenAiClient {
    /// A client; nothing is sent yet.
    pub fn new(options: OpenAiOptions) -> Result<Self, ModelError> {
        let unusable = |why: String| ModelError::Unreachable { model: options.model.clone(), why };
        let transport = Transport::new(&options.base_url).map_err(unusable)?;
        let key = options.key.clone().unwrap_or_default();
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            let why = "the API key has characters that no key has; was it copied whole?".to_owned();
            return Err(ModelError::Unauthorized { status: 0, why });
        }
        let config = OpenAIConfig::new().with_api_base(&options.base_url).with_api_key(key);
        // Built from our own HTTP client throughout: the default one would want another TLS provider.
        let client = Client::build(transport.http(), config).with_http_service(transport);
        let info = ClientInfo {
            provider: "openai".to_owned(),
            model: options.model.clone(),
            window_tokens: options.window_tokens,
            grammar: options.grammar,
        };
        Ok(Self { client, options, info, unwanted: Mutex::default() })
    }

    /// Asks the endpoint what it can do beyond OpenAI's API, which only `edvac serve` says. An endpoint that does not
    /// say it, or does not answer, is used as any other: what is wrong with it shows with the first request.
    pub async fn learn(&mut self) {
        let models = self.client.models();
        let listing = tokio::time::timeout(LEARN_TIME_MAX, models.list_byot::<Value>());
        // The transport hands answers that are no streams through as errors.
        let Ok(Err(error)) = listing.await else { return };
        let Answer::Whole(body) = transport::answer(error) else { return };
        if let Some(abilities) = wire::abilities(&body, &self.options.model) {
            self.options.grammar = abilities.grammar;
            self.info.grammar = abilities.grammar;
            self.info.window_tokens = self.info.window_tokens.min(abilities.window_tokens);
        }
    }

    /// Sends a request until it is answered or there is no use in sending it again.
    async fn ask(&self, request: &ModelRequest, sink: Sink<'_>) -> Result<ModelReply, ModelError> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.options.pause_min)
            .with_max_delay(PAUSE_MAX)
            .with_max_times(ATTEMPTS_MAX - 1);
        (|| self.ask_on_terms(request, sink))
            .retry(pauses)
            .when(Failure::is_passing)
            .adjust(|failure, pause| pause.map(|p| failure.after.unwrap_or(p).min(RETRY_AFTER_MAX)))
            .notify(|failure: &Failure, after| sink(Delta::Retry { why: failure.error.to_string(), after }))
            .await
            .map_err(|failure| failure.error)
    }

    /// One try; parameters that the endpoint does not know are given up, one at a time, and it is asked again.
    async fn ask_on_terms(&self, request: &ModelRequest, sink: Sink<'_>) -> Result<ModelReply, Failure> {
        // Ends because each round adds to a set that has at most all droppable parameters.
        loop {
            let unwanted = self.unwanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let failure = match self.try_once(request, &unwanted, sink).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            match failure.unwanted(&unwanted) {
                Some(name) => {
                    self.unwanted.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
                }
                None => return Err(failure),
            }
        }
    }

    async fn try_once(
        &self,
        request: &ModelRequest,
        unwanted: &BTreeSet<&'static str>,
        sink: Sink<'_>,
    ) -> Result<ModelReply, Failure> {
        let started = Instant::now();
        let body = wire::body(request, &self.options, unwanted);
        let mut gathered = Gathered::default();
        let chat = self.client.chat();
        let opening = chat.create_stream_byot::<_, Chunk>(body);
        let first_byte = self.options.first_byte_timeout;
        let mut stream = match tokio::time::timeout(first_byte, opening).await {
            Err(_) => return Err(self.failure().silent(first_byte, false)),
            Ok(Ok(stream)) => Opened::Stream(stream),
            Ok(Err(error)) => match transport::answer(error) {
                Answer::Whole(body) => Opened::Whole(Some(body)),
                Answer::Refused(refused) => return Err(self.failure().refused(&refused)),
                Answer::Broken(why) => return Err(self.failure().broken(&why, false)),
            },
        };
        let mut first = None;
        loop {
            let patience = if first.is_none() { first_byte } else { self.options.idle_timeout };
            let chunk = match tokio::time::timeout(patience, stream.next()).await {
                Err(_) => return Err(self.failure().silent(patience, gathered.has_text())),
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    return Err(self.failure().broken(&error.to_string(), gathered.has_text()));
                }
                Ok(Some(Ok(chunk))) => chunk,
            };
            if let Some(error) = &chunk.error {
                return Err(self.failure().told(error, gathered.has_text()));
            }
            first.get_or_insert_with(Instant::now);
            if let Some(text) = gathered.add(chunk) {
                sink(Delta::Text { text, tokens: gathered.tokens() });
            }
        }
        let prefill = first.unwrap_or(started) - started;
        match gathered.finish(request, &self.options.model) {
            Ok(mut reply) => {
                reply.usage.prefill_ms = prefill.as_millis() as u64;
                reply.usage.decode_ms = started.elapsed().saturating_sub(prefill).as_millis() as u64;
                Ok(reply)
            }
            Err(why) => Err(self.failure().broken(why, gathered.has_text())),
        }
    }

    fn failure(&self) -> refusal::Maker<'_> {
        refusal::Maker { options: &self.options }
    }
}

/// What a request that was not refused gives.
enum Opened {
    Stream(Pin<Box<dyn Stream<Item = Result<Chunk, OpenAIError>> + Send>>),
    /// An answer in one piece, from an endpoint that does not stream.
    Whole(Option<String>),
}

impl Opened {
    async fn next(&mut self) -> Option<Result<Chunk, OpenAIError>> {
        match self {
            Self::Stream(stream) => stream.next().await,
            Self::Whole(body) => body.take().map(|body| {
                serde_json::from_str(&body).map_err(|error| OpenAIError::JSONDeserialize(error, body))
            }),
        }
    }
}

#[async_trait]
impl ModelClient for OpenAiClient {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimate::tokens(text)
    }

    async fn complete(
        &self,
        request: &ModelRequest,
        sink: Sink<'_>,
        cancel: Cancel,
    ) -> Result<ModelReply, ModelError> {
        tokio::select! {
            biased;
            () = cancelled(cancel) => Err(ModelError::Cancelled),
            reply = self.ask(request, sink) => reply,
        }
    }
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;
