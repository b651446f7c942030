//! What all requests share, and which address leads where.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use edvac_agents::client::ModelClient;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;
use crate::dashboard::openapi::{MACHINE, Refused};
use crate::dashboard::{self, Desk};
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::refusal::Refusal;
use crate::v1::{self, embeddings::Embeddings};

/// Largest body of a request: more text than any window here holds, even with every character escaped.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Between two signs of life in a stream that has nothing to say yet: below the idle limits of usual proxies.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The form of `/metrics`.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What requests for the model share.
pub struct App {
    pub(crate) client: Arc<dyn ModelClient>,
    pub(crate) embeddings: Option<Arc<dyn Embeddings>>,
    /// For the model that writes.
    pub(crate) replies: Queue,
    /// For the embedding model, one at a time.
    pub(crate) vectors: Queue,
    pub(crate) metrics: Arc<Metrics>,
    /// When the server began, in seconds since 1970.
    pub(crate) since: i64,
}

impl App {
    pub(crate) fn new(
        client: Arc<dyn ModelClient>,
        embeddings: Option<Arc<dyn Embeddings>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            replies: Queue::of(client.replies_max()),
            vectors: Queue::of(1),
            client,
            embeddings,
            metrics,
            since: now_s(),
        }
    }
}

/// What all requests pass.
pub(crate) struct Front {
    pub(crate) guard: Guard,
    pub(crate) metrics: Arc<Metrics>,
    /// Who may see the dashboard, where there is one.
    pub(crate) access: Option<Arc<Access>>,
}

/// All addresses. The guard is a layer over every one of them, those that do not exist included: an address that is
/// added later is guarded without anyone thinking of it.
pub(crate) fn router(front: Front, model: Option<App>, desk: Option<Arc<Desk>>) -> Router {
    let front = Arc::new(front);
    let model = model.map(Arc::new);
    let counted_of =
        Counted { metrics: Arc::clone(&front.metrics), model: model.clone(), desk: desk.clone() };
    let metrics = Router::from(measured()).with_state(Arc::new(counted_of));
    let mut routes = Router::from(health()).merge(metrics);
    routes = match model {
        Some(app) => routes.merge(Router::new().nest("/v1", v1::routes()).with_state(app)),
        None => routes.route("/v1/{*path}", any(|| async { Refusal::no_model() })),
    };
    if let (Some(desk), Some(access)) = (desk, &front.access) {
        routes = routes.merge(dashboard::routes(desk, Arc::clone(access)));
    }
    routes
        .fallback(missing)
        .method_not_allowed_fallback(|request: Request| async move { Refusal::method(request.method()) })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&front), guarded))
        .layer(from_fn_with_state(Arc::clone(&front), counted))
}

async fn missing(request: Request) -> Response {
    let refusal = Refusal::no_such_address(request.uri().path());
    if dashboard::is_page(&request) { dashboard::missing(&refusal) } else { refusal.into_response() }
}

async fn guarded(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    match front.guard.check(request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) if front.access.is_some() && dashboard::is_page(&request) => {
            dashboard::refused(&refusal)
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn counted(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<axum::extract::MatchedPath>().cloned();
    let response = next.run(request).await;
    front.metrics.answered(route.as_ref().map_or("other", |r| r.as_str()), &response);
    response
}

/// Says that the server answers. It wants no token.
#[utoipa::path(
    get, path = "/healthz", operation_id = "isHealthy", tag = MACHINE, security(()),
    responses((status = 200, description = "The word `ok`.", body = String, content_type = "text/plain; charset=utf-8"))
)]
async fn healthz() -> &'static str {
    "ok\n"
}

/// What metrics are of.
pub(crate) struct Counted {
    metrics: Arc<Metrics>,
    model: Option<Arc<App>>,
    desk: Option<Arc<Desk>>,
}

/// Gives counters of the model that is served, and sums over all runs, as Prometheus reads them.
///
/// On the loopback address it wants no token where none is configured.
#[utoipa::path(
    get, path = "/metrics", operation_id = "getMetrics", tag = MACHINE, security((), ("token" = []), ("cookie" = [])),
    responses((status = 200, description = "OpenMetrics.", body = String, content_type = METRICS), Refused)
)]
async fn metrics(State(of): State<Arc<Counted>>) -> Response {
    let runs = match &of.desk {
        Some(desk) => Some(desk.tally().await),
        None => None,
    };
    let queues = of.model.as_ref().map(|app| (&app.replies, &app.vectors));
    let text = of.metrics.text(queues, runs.as_ref());
    ([(CONTENT_TYPE, METRICS)], text).into_response()
}

/// What tells that the server answers.
pub(crate) fn health() -> OpenApiRouter {
    OpenApiRouter::default().routes(routes!(healthz))
}

/// What tells what the server counted.
pub(crate) fn measured() -> OpenApiRouter<Arc<Counted>> {
    OpenApiRouter::default().routes(routes!(metrics))
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
