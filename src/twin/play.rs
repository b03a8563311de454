//! How a fault looks on the wire. Faults below HTTP need no server of their own: hyper closes a connection when the body
//! of its answer fails, and a second handle on the socket can turn that close into a reset.

use std::{
    convert::Infallible,
    future::{Ready, pending, ready},
    io::{self, Write},
    net::TcpListener,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    middleware::AddExtension,
    response::Response,
};
use axum_server::{Handle, accept::Accept};
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioTimer;
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;
use tower::Layer;

use super::faults::{Fault, FaultPlan};

/// A second handle on a connection's socket.
pub(super) type ConnectionSocket = Arc<Socket>;

/// Serves a router whose handlers can break their connections. Idle connections end after the time-outs of hyper.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    handle: Handle<std::net::SocketAddr>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut server = axum_server::from_tcp(listener)?.acceptor(SocketAcceptor).handle(handle).http1_only();
    server.http_builder().http1().timer(TokioTimer::new());
    server.serve(router.into_make_service()).await
}

/// Gives every request a handle on the socket of its connection.
#[derive(Debug, Clone)]
struct SocketAcceptor;

impl<S> Accept<TcpStream, S> for SocketAcceptor {
    type Stream = TcpStream;
    type Service = AddExtension<S, ConnectionSocket>;
    type Future = Ready<io::Result<(TcpStream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let second_handle = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).try_clone());
        ready(second_handle.map(|socket| (stream, Extension(Arc::new(socket)).layer(service))))
    }
}

/// Sends the answer as the fault says.
pub(super) async fn play(
    fault: Option<Fault>,
    answer: http::Response<Bytes>,
    plan: &FaultPlan,
    socket: &Socket,
) -> Response {
    match fault {
        None | Some(Fault::ErrorBefore | Fault::ErrorAfter | Fault::RateLimited) => answer.map(Body::from),
        Some(Fault::HangBefore | Fault::HangAfter) => pending().await,
        Some(Fault::ResetBefore | Fault::ResetAfter) => {
            if let Err(error) = socket.set_linger(Some(Duration::ZERO)) {
                tracing::error!("cannot reset the connection, so it is only closed: {error}");
            }
            Response::new(broken())
        }
        Some(Fault::Truncated) => truncated(answer),
        Some(Fault::Drip) => dripping(answer, plan.pace()),
        Some(Fault::Redirect) => redirect(plan.redirect_to()),
        Some(Fault::Garbage) => ok("text/html", Bytes::from_static(b"<!DOCTYPE html><title>Welcome</title>")),
        Some(Fault::GzipBomb) => {
            let mut response = ok("application/json", BOMB.clone());
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
    }
}

/// A body that fails before its first byte. Hyper has not sent the head by then, so the client receives nothing.
fn broken() -> Body {
    Body::from_stream(stream::once(ready(Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)))))
}

/// Announces the length of the whole answer, sends half of it, and closes the connection.
fn truncated(answer: http::Response<Bytes>) -> Response {
    let (mut parts, body) = answer.into_parts();
    if parts.status.is_success() {
        // For example 204, which has no body to cut.
        parts.status = StatusCode::OK;
    }
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len().max(1)));
    let half = body.slice(..body.len() / 2);
    let body = stream::unfold(Some(half), async |part| match part {
        Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
        Some(_) => {
            // Hyper sends the first half when this task yields.
            tokio::task::yield_now().await;
            Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None))
        }
        None => None,
    });
    Response::from_parts(parts, Body::from_stream(body))
}

/// Sends an answer one byte at a time.
fn dripping(answer: http::Response<Bytes>, pace: Duration) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let body = stream::unfold(body, move |mut rest: Bytes| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pace).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    });
    Response::from_parts(parts, Body::from_stream(body))
}

/// Answers 307: the client shall send the same request with its body to the other address.
fn redirect(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(location) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn ok(content_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 64 MiB of spaces, in 64 KiB.
pub(super) static BOMB: LazyLock<Bytes> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let spaces = [b' '; 1 << 16];
    // Writing to memory does not fail.
    let written = (0..1 << 10).try_for_each(|_| encoder.write_all(&spaces)).and_then(|()| encoder.finish());
    written.map(Bytes::from).unwrap_or_default()
});
