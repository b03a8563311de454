//! The application: the routes of the API and of drop-in, and the inbound layer around them. [`crate::command`] serves
//! the router.

mod for_clients;
mod head;
mod overload;

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    BoxError, Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use passerelle_providers::model::Effect;
use tower::Service;
use uuid::Uuid;

use for_clients::ForClients;
pub use head::refuse_head;

use crate::{
    admission::{self, OfClient, Refusals},
    chance,
    config::HeadLimits,
    console, drop_in, http as api,
    merchant::{Gateway, Merchant},
    metrics::{Outcome, request},
    operator,
    problem::{AlreadyWritten, Code, Problem},
    state::{App, RequestId},
    store::Store,
    switch::service::SwitchService,
    traces::SpanContext,
    upstream::Shared,
    writes::{StoredSurface, Surface},
};

/// Makes the application from a snapshot of the configuration, a store, and what all connections share.
pub fn new(gateway: Gateway, store: Store, shared: Shared) -> Arc<App> {
    App::new(gateway, store, shared, surface)
}

/// Restores the surface of a stored write: the API, or a drop-in dialect.
fn surface(kept: &StoredSurface, merchant: &Merchant) -> Option<Arc<dyn Surface>> {
    api::writes::surface(kept).or_else(|| drop_in::surface(kept, merchant))
}

/// The application as the listener serves it.
pub fn router(app: Arc<App>) -> Edge {
    let routes = api::routes().into_iter().chain(drop_in::routes());
    let for_clients = Arc::new(ForClients::new(&app));
    Edge { for_clients: Some(for_clients), ..Edge::new(routes, app, api::UNKNOWN_PATH) }
}

/// The operator's listener: health, metrics, the operator's API and the console.
pub fn operator_router(app: Arc<App>, switches: Arc<dyn SwitchService>) -> Edge {
    let pages = console::routes(&app, Arc::clone(&switches));
    let routes = operator::routes(&app, switches).into_iter().chain(pages);
    Edge::new(routes, app, operator::UNKNOWN_PATH)
}

/// The routes with the one inbound layer. The layer is outermost because it knows the request's id: it turns a panic into
/// a problem, writes every problem, logs every failure once, and adds the headers that every answer has.
///
/// It is around the router and not one of axum's layers, which would box every request and every answer once more. So it
/// finds the route of a request itself, where the log names it.
#[derive(Debug, Clone)]
pub struct Edge {
    router: Router,
    paths: Arc<matchit::Router<&'static str>>,
    refusals: Arc<Refusals>,
    head: HeadLimits,
    /// The address of the client at the other end of the connection.
    client: Option<IpAddr>,
    /// For clients' requests. The operator's are neither recorded nor refused.
    for_clients: Option<Arc<ForClients>>,
}

impl OfClient for Edge {
    fn set_client(&mut self, address: IpAddr) {
        self.client = Some(address);
    }
}

impl Edge {
    fn new(
        routes: impl IntoIterator<Item = (&'static str, MethodRouter<Arc<App>>)>,
        app: Arc<App>,
        unknown_path: &'static str,
    ) -> Self {
        let (mut router, mut paths) = (Router::new(), matchit::Router::new());
        for (path, methods) in routes {
            router = router.route(path, methods);
            // It cannot fail, because axum has accepted the path, with the same crate.
            let _ = paths.insert(path, path);
        }
        let (refusals, head) = (Arc::clone(&app.refusals), app.gateway.load().head);
        let router = router
            .fallback(move || async move { Problem::new(Code::NotFound, unknown_path) })
            .method_not_allowed_fallback(|| async {
                Problem::new(Code::MethodNotAllowed, "the path does not have this method; `Allow` lists its methods")
            })
            .with_state(app);
        Self { router, paths: Arc::new(paths), refusals, head, client: None, for_clients: None }
    }
}

impl<B> Service<Request<B>> for Edge
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let arrival = Arrival::of(&request, &self.paths);
        let for_clients = self.for_clients.clone();
        let sampled = for_clients.as_ref().and_then(|for_clients| for_clients.sampled(&request, &arrival));
        // A stored problem has the id of the first request, also when it is sent again.
        if !request.method().is_safe() {
            request.extensions_mut().insert(RequestId(arrival.id.clone()));
        }
        let measured = for_clients.as_ref().map(|for_clients| request::Request::new(arrival.at, &for_clients.requests));
        let measured = measured.unwrap_or_default().sampled(sampled);
        let admitted = head::check(&request, self.head)
            .and_then(|()| for_clients.as_ref().map_or(Ok(()), |for_clients| for_clients.admit(&request, &arrival)));
        if let Err(failure) = admitted {
            let answer = arrival.finish(Err(failure), &self.refusals, measured, for_clients.as_deref());
            return Box::pin(ready(Ok(answer)));
        }
        let answer = self.router.call(request);
        let refusals = Arc::clone(&self.refusals);
        // No `async` block, which would have room for the answer twice.
        let answered = measured.during(AssertUnwindSafe(answer).catch_unwind()).map(move |(answered, measured)| {
            let response = answered.unwrap_or_else(|_| Ok(Problem::fault(&arrival.method).into_response()))?;
            Ok(arrival.finish(Ok(response), &refusals, measured, for_clients.as_deref()))
        });
        Box::pin(admission::scope(self.client, answered))
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What the layer stores of a request until it is answered.
struct Arrival {
    at: Instant,
    id: HeaderValue,
    /// The span of the client.
    parent: Option<SpanContext>,
    method: Method,
    /// The path of its route, as it is written in the documentation. It is empty if there is none.
    route: &'static str,
    /// Only of a drop-in request, because it keeps the buffer that the request was read into.
    uri: Option<Uri>,
}

impl Arrival {
    fn of<B>(request: &Request<B>, paths: &matchit::Router<&'static str>) -> Self {
        let uri = request.uri();
        Self {
            at: Instant::now(),
            id: request_id(request.headers()),
            parent: SpanContext::of(request.headers()),
            method: request.method().clone(),
            route: paths.at(uri.path()).map_or("", |route| *route.value),
            uri: drop_in::is_below(uri).then(|| uri.clone()),
        }
    }

    /// Writes the problem of a failed request, logs the request, and adds the headers that every answer has.
    fn finish(
        self,
        answered: Result<Response, Problem>,
        refusals: &Refusals,
        measured: request::Request,
        for_clients: Option<&ForClients>,
    ) -> Response {
        let Self { at, id, parent, method, route, uri } = self;
        let trace = measured.trace().or(parent.map(|parent| parent.trace)).map(tracing::field::display);
        let id_text = id.to_str().unwrap_or_default();
        let milliseconds = || u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (mut response, failure) = match answered {
            Ok(mut response) => {
                let failure = response.extensions_mut().remove::<Problem>();
                (response, failure)
            }
            Err(failure) => (Response::default(), Some(failure)),
        };
        let written = response.extensions_mut().remove::<AlreadyWritten>().map(|AlreadyWritten(failure)| failure);
        let failed = failure.as_ref().or(written.as_ref());
        let closes = failed.is_some_and(|failure| closes_after(failure.code()));
        if let (Some(failure), Some(for_clients)) = (failed, for_clients)
            && let Some(problems) = for_clients.problems.get(failure.code() as usize)
        {
            problems.inc();
        }
        let served = failed.and_then(|_| measured.connection());
        let (is_operation, is_turned_away) = (measured.operation().is_some(), measured.is_turned_away());
        let outcome = outcome_of(response.status().as_u16(), failed);
        let problem = failed.map(|failure| failure.code().name());
        if let Some(failure) = failed {
            let (status, code, detail) = (failure.status(), failure.code().name(), failure.detail());
            let (effect, operation) = (failure.effect().as_str(), failure.operation_id());
            let merchant = served.as_ref().map(|served| &*served.merchant);
            let connection = served.as_ref().map(|served| &*served.connection);
            let provider = served.as_ref().map(|served| served.provider);
            let is_counted = refusals.count(code) || is_turned_away;
            if status >= 500 && !is_counted {
                tracing::warn!(request.id = id_text, trace.id = trace, merchant, connection, provider, %method, route, status, code, outcome = effect, operation.id = operation, milliseconds = milliseconds(), "{method} {route} failed: {detail}");
            } else {
                tracing::debug!(request.id = id_text, trace.id = trace, merchant, connection, provider, %method, route, status, code, outcome = effect, milliseconds = milliseconds(), "{method} {route} was refused: {detail}");
            }
        } else if tracing::enabled!(tracing::Level::DEBUG) {
            let status = response.status().as_u16();
            tracing::debug!(request.id = id_text, trace.id = trace, %method, route, status, milliseconds = milliseconds(), "{method} {route} answered {status}");
        }
        if let Some(failure) = failure {
            let allow = response.headers_mut().remove(header::ALLOW);
            // A drop-in client gets every refusal in the form of the provider that its path names.
            let refused = uri.and_then(|uri| drop_in::refuse(&method, &uri, &failure));
            response = refused.unwrap_or_else(|| failure.problem(id_text)).map(Body::from);
            if let (Some(allow), false) = (allow, response.headers().contains_key(header::ALLOW)) {
                response.headers_mut().insert(header::ALLOW, allow);
            }
        }
        admission::add_headers(response.headers_mut());
        finish_headers(response.headers_mut(), id, closes);
        measured.answered(response.status().as_u16(), problem);
        let times = measured.finish(outcome);
        if let (true, Some(timing)) =
            (is_operation, for_clients.and_then(|for_clients| for_clients.server_timing(times)))
        {
            response.headers_mut().insert(SERVER_TIMING, timing);
        }
        response
    }
}

/// How a request ended, for the metrics.
fn outcome_of(status: u16, failure: Option<&Problem>) -> Outcome {
    let (status, is_unknown) = match failure {
        Some(failure) => (failure.status(), failure.effect() == Effect::Unknown),
        None => (status, false),
    };
    match status {
        _ if is_unknown => Outcome::Unknown,
        500.. => Outcome::Failed,
        400.. => Outcome::Refused,
        _ => Outcome::Ok,
    }
}

/// Whether the gateway closes the connection after this refusal: the client may still be sending its request, or fills
/// the buffer of the connection.
fn closes_after(code: Code) -> bool {
    matches!(code, Code::RequestTimeout | Code::BodyTooLarge | Code::UriTooLong | Code::HeadersTooLarge)
}

/// Adds the headers that every answer has. Over HTTP/2, hyper leaves `Connection` out: only the stream ends.
fn finish_headers(headers: &mut HeaderMap, id: HeaderValue, closes: bool) {
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The client's `X-Request-Id`, if it is safe in a log; otherwise a new id.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let usable = |value: &&HeaderValue| value.to_str().is_ok_and(is_usable_id);
    // A copy: what was received keeps the buffer that the request was read into.
    let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    headers.get(REQUEST_ID).filter(usable).and_then(copy).unwrap_or_else(|| {
        let mut buffer = Uuid::encode_buffer();
        HeaderValue::from_str(new_id(&mut buffer)).unwrap_or(HeaderValue::from_static("unknown"))
    })
}

/// Whether an id is safe in a log.
fn is_usable_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The id of a request that has none.
fn new_id(buffer: &mut [u8]) -> &str {
    chance::later_id().hyphenated().encode_lower(buffer)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    fn edge(router: Router) -> Edge {
        let refusals = Arc::new(Refusals::new(&crate::metrics::Metrics::default()));
        let head = HeadLimits::tested();
        Edge { router, paths: Arc::default(), refusals, head, client: None, for_clients: None }
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_becomes_a_problem() {
        let faulty = || async { if true { panic!("on purpose") } else { "never answered" } };
        let router = Router::new().route("/", get(faulty));
        let edge = edge(router);
        let request = Request::builder().uri("/").header("host", "gateway").body(Body::empty()).expect("a request");
        let answer = edge.oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert!(answer.headers().contains_key("x-request-id"));
        let body = axum::body::to_bytes(answer.into_body(), 4096).await.expect("a body");
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(problem["outcome"], "none", "a read changes nothing");
        assert_eq!(Problem::fault(&Method::POST).effect(), Effect::Unknown);
    }

    #[tokio::test]
    async fn a_request_that_waits_does_not_keep_the_buffer_that_it_was_read_into() {
        let buffer = Bytes::from(b"/idreq-1".to_vec());
        let waits = async |request: Request| {
            drop(request);
            std::future::pending::<()>().await;
        };
        let mut edge = edge(Router::new().route("/id", get(waits)));
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_maybe_shared(buffer.slice(..3)).expect("a path");
        let id = HeaderValue::from_maybe_shared(buffer.slice(3..)).expect("an id");
        request.headers_mut().insert(REQUEST_ID, id);
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("gateway"));
        let mut answer = edge.call(request);
        assert!((&mut answer).now_or_never().is_none());
        assert!(buffer.is_unique());
    }
}
