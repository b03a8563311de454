//! Accepts the connections of clients, and limits them. `serve` calls [`serve`] with the router of the application.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, accept::Accept};
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// The limits of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many client connections are open at once. Further ones wait.
    pub max_connections: usize,
}

/// How long a client may take to send the head of a request, the first one included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A request with more headers is refused.
const MOST_HEADERS: usize = 64;

/// Serves a router until the handle shuts it down. HTTP/1.1 only: behind a proxy, HTTP/2 without TLS has no use, and to
/// detect it the server would have to wait for the first bytes of a connection without a time limit.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    handle: Handle<SocketAddr>,
    limits: Limits,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let admission = ConnectionLimit { permits: Arc::new(Semaphore::new(limits.max_connections)) };
    let mut server = axum_server::from_tcp(listener)?.acceptor(admission).handle(handle).http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MOST_HEADERS);
    server.serve(router.into_make_service()).await
}

/// Accepts a connection when there is a permit for it.
#[derive(Debug, Clone)]
struct ConnectionLimit {
    permits: Arc<Semaphore>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for ConnectionLimit {
    type Stream = LimitedConnection;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(LimitedConnection, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let permits = Arc::clone(&self.permits);
        Box::pin(async move {
            let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
            stream.set_nodelay(true)?;
            Ok((LimitedConnection { stream, _permit: permit }, service))
        })
    }
}

/// A connection that returns its permit when it is dropped.
#[derive(Debug)]
struct LimitedConnection {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for LimitedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for LimitedConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
