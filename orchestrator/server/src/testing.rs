//! What the tests of this crate ask and are asked.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use edvac_agents::client::scripted::ScriptedClient;
use edvac_agents::client::{
    Cancel, ClientInfo, Delta, ModelClient, ModelError, ModelReply, ModelRequest, Sink,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt;

use crate::app::{App, Front, router};
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::v1::embeddings::{Embedded, Embeddings};

/// Where the tests' server would be.
pub const ADDRESS: &str = "127.0.0.1:8765";
/// A token that is long enough.
pub const TOKEN: &str = "a-token-that-nobody-guesses";
/// Most bytes of a response that a test reads.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// A scripted client that says it takes grammars, and can be held until the test lets it go.
pub struct Fake {
    scripted: ScriptedClient,
    info: ClientInfo,
    /// Told the last message of each request that begins.
    began: mpsc::UnboundedSender<String>,
    /// Told of each request that was cancelled.
    cancelled: mpsc::UnboundedSender<String>,
    /// Lets one request go whose last message is `hold`.
    pub go: Notify,
}

/// What a [`Fake`] tells.
pub struct Told {
    pub began: mpsc::UnboundedReceiver<String>,
    pub cancelled: mpsc::UnboundedReceiver<String>,
}

impl Fake {
    /// A client with a script.
    pub fn new(script: &str) -> (Arc<Self>, Told) {
        let scripted = ScriptedClient::parse(script).unwrap();
        let info = ClientInfo { grammar: true, ..scripted.info().clone() };
        let (began, began_told) = mpsc::unbounded_channel();
        let (cancelled, cancelled_told) = mpsc::unbounded_channel();
        let fake = Self { scripted, info, began, cancelled, go: Notify::new() };
        (Arc::new(fake), Told { began: began_told, cancelled: cancelled_told })
    }

    /// A client that says one thing.
    pub fn saying(text: &str) -> Arc<Self> {
        Self::new(&format!("[[reply]]\ntext = {}\n", json!(text))).0
    }

    /// The only request.
    pub fn request(&self) -> ModelRequest {
        let mut all = self.scripted.requests();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

#[async_trait]
impl ModelClient for Fake {
    fn info(&self) -> &ClientInfo {
        &self.info
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.scripted.count_tokens(text)
    }

    async fn complete(
        &self,
        request: &ModelRequest,
        sink: Sink<'_>,
        mut cancel: Cancel,
    ) -> Result<ModelReply, ModelError> {
        let last = request.messages.last().unwrap().text.clone();
        let _ = self.began.send(last.clone());
        if last.starts_with("hold") {
            sink(Delta::Prefill { done: 0, total: 1 });
            sink(Delta::Text { text: "so far".to_owned(), tokens: 1 });
            tokio::select! {
                _ = cancel.wait_for(|c| *c) => {
                    let _ = self.cancelled.send(last);
                    return Err(ModelError::Cancelled);
                }
                () = self.go.notified() => {}
            }
        }
        match last.as_str() {
            "break" => Err(ModelError::Runtime("it broke".to_owned())),
            "break late" => {
                sink(Delta::Text { text: "so far".to_owned(), tokens: 1 });
                Err(ModelError::Runtime("it broke".to_owned()))
            }
            "panic" => panic!("as the test wants it"),
            _ => self.scripted.complete(request, sink, cancel).await,
        }
    }
}

/// Vectors that say how long a text is.
pub struct Lengths;

impl Embeddings for Lengths {
    fn model(&self) -> &'static str {
        "lengths"
    }

    fn dims(&self) -> usize {
        2
    }

    fn embed(&self, texts: &[&str]) -> Result<Embedded, String> {
        if texts.contains(&"break") {
            return Err("it broke".to_owned());
        }
        let vectors = texts.iter().map(|t| vec![t.len() as f32, 0.5]).collect();
        Ok(Embedded { vectors, tokens: texts.len() })
    }
}

/// The addresses of a server with a client.
pub fn server(client: Arc<dyn ModelClient>) -> Router {
    guarded(client, None)
}

/// The same with a token.
pub fn guarded(client: Arc<dyn ModelClient>, token: Option<&str>) -> Router {
    serving(client, Some(Arc::new(Lengths)), token)
}

/// The same, with an embedding model or without one.
pub fn serving(
    client: Arc<dyn ModelClient>,
    embeddings: Option<Arc<dyn Embeddings>>,
    token: Option<&str>,
) -> Router {
    let metrics = Arc::new(Metrics::new());
    let guard = Guard::new(ADDRESS.parse().unwrap(), token, None);
    let model = App::new(client, embeddings, Arc::clone(&metrics));
    router(Front { guard, metrics, access: None }, Some(model), None)
}

/// A request as a client on this machine sends it.
pub fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, ADDRESS)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .unwrap()
}

/// Sends it.
pub async fn send(server: &Router, request: Request<Body>) -> Response<Body> {
    server.clone().oneshot(request).await.unwrap()
}

/// A response's status and text.
pub async fn read(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), RESPONSE_BYTES_MAX).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Gets JSON from a path.
pub async fn get(server: &Router, path: &str) -> (StatusCode, Value) {
    let (status, text) = read(send(server, request(Method::GET, path, "")).await).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Posts JSON to a path and gets some.
pub async fn post(server: &Router, path: &str, body: &Value) -> (StatusCode, Value) {
    let (status, text) = read(send(server, request(Method::POST, path, body.to_string())).await).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}")))
}

/// A chat request with a question and more.
pub fn asking(question: &str, more: Value) -> Value {
    let mut body = json!({ "model": "scripted", "messages": [{ "role": "user", "content": question }] });
    let Value::Object(more) = more else { panic!("more is an object") };
    body.as_object_mut().unwrap().extend(more);
    body
}

/// Posts a chat request.
pub async fn chat(server: &Router, body: &Value) -> (StatusCode, Value) {
    post(server, "/v1/chat/completions", body).await
}

/// Checks that a chat request is refused with a status, a code and a parameter; gives the message.
pub async fn refused(body: &Value, status: u16, code: &str, param: &str) -> String {
    let server = server(Fake::saying("never"));
    let (got, answer) = chat(&server, body).await;
    let error = &answer["error"];
    let param = if param.is_empty() { Value::Null } else { param.into() };
    assert_eq!(
        (got.as_u16(), &error["code"], &error["param"]),
        (status, &Value::from(code), &param),
        "{answer}"
    );
    error["message"].as_str().unwrap().to_owned()
}

/// Posts a streaming chat request; gives its events' data.
pub async fn streamed(server: &Router, body: &Value) -> Vec<Value> {
    let mut body = body.clone();
    body["stream"] = true.into();
    let response = send(server, request(Method::POST, "/v1/chat/completions", body.to_string())).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let (status, text) = read(response).await;
    assert_eq!(status, StatusCode::OK);
    let data = text.split("\n\n").filter(|e| !e.is_empty()).map(|event| {
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event}"));
        serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()))
    });
    data.collect()
}
