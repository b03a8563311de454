//! One connection, from its first head to its last answer.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use axum::{extract::Request, response::Response};
use hyper::{
    body::Incoming,
    server::conn::{
        http1::{self, Parts},
        http2,
    },
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tower::Service;

use super::{
    Refuse,
    acceptor::Arrived,
    admission::Admitted,
    connection::Connection,
    handle::{OfConnection, Stages},
    pieces::Pieces,
    progress::Progress,
    streams::Streams,
    tracked::Tracked,
    transport::{CurrentTransport, Opened, Transport},
};
use crate::config::HeadLimits;

/// How much larger the buffer for a head is than the head may be: for the method, the version, and what is not read of the body.
const MORE_THAN_HEAD: u32 = 2 << 10;
/// hyper allows no smaller one.
const LEAST_BUFFER: usize = 8 << 10;
/// How much more than its name and value each header counts over HTTP/2 (RFC 9113, 6.5.2).
const HEADER_OVERHEAD: u32 = 32;
/// How many streams a client may reset before the gateway has begun to answer them. Beyond it, the connection is closed.
const MOST_PENDING_RESETS: usize = 20;
/// How many streams the gateway may have to reset because of the client's mistakes. Beyond it, the connection is closed.
const MOST_ERROR_RESETS: usize = 100;

/// The largest buffer of a connection of HTTP/1.1. It has room for the largest head that `app` accepts, and hyper refuses larger
/// heads.
fn largest_buffer(head: HeadLimits) -> usize {
    let size = head.uri.saturating_add(head.headers_size).saturating_add(MORE_THAN_HEAD);
    LEAST_BUFFER.max(size as usize)
}

/// The largest head over HTTP/2. `app` refuses smaller ones with a problem.
fn largest_header_list(head: HeadLimits) -> u32 {
    let overhead = head.headers.saturating_mul(HEADER_OVERHEAD);
    head.uri.saturating_add(head.headers_size).saturating_add(overhead).saturating_add(MORE_THAN_HEAD)
}

/// What the connections of a listener share.
pub(super) struct Server {
    refuse: Arc<dyn Refuse>,
    transport: CurrentTransport,
    http1: http1::Builder,
}

impl Server {
    pub(super) fn new(head: HeadLimits, refuse: Arc<dyn Refuse>, transport: CurrentTransport) -> Self {
        let mut http1 = http1::Builder::new();
        // `Connection` limits the time of a head with one timer. hyper would make one for each request.
        http1.header_read_timeout(None).max_headers(head.headers as usize).max_buf_size(largest_buffer(head));
        Self { refuse, transport, http1 }
    }

    /// Serves a connection until it ends. A client that breaks the rules is disconnected, and the end of its connection is no error of the
    /// gateway.
    pub(super) async fn connection<S>(self: Arc<Self>, arrived: Arrived, service: S, mut of_connection: OfConnection)
    where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + Unpin,
    {
        let Arrived { stream, transport, connected, admitted } = arrived;
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        if admitted.progress().is_closed() {
            // Another connection got its place on the way here, after its first bytes had arrived.
            admitted.keep_place();
        }
        let stages = &mut of_connection.stages;
        let opened = tokio::select! {
            opened = open(stream, &transport, &admitted, connected) => opened,
            () = stages.stopped() => None,
        };
        match opened {
            Some(opened) if opened.is_http2 => Box::pin(self.http2(opened, admitted, service, stages)).await,
            Some(opened) => Box::pin(self.http1(opened, admitted, service, stages)).await,
            None => {}
        }
    }

    async fn http1<S>(&self, opened: Opened, admitted: Admitted, service: S, stages: &mut Stages)
    where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + Unpin,
    {
        let (admitted, progress) = shared(admitted);
        let mut stream = Connection::new(opened, Arc::clone(&admitted), Some(Arc::clone(&self.refuse)));
        let service = TowerToHyperService::new(Tracked { service, admitted });
        loop {
            let mut connection = self.http1.serve_connection(TokioIo::new(stream), service.clone());
            // hyper would close a new connection, whose first request may be on its way.
            let leave = |connection: Pin<&mut _>| match progress.requests() {
                0 => progress.leave(),
                _ => GracefulConnection::graceful_shutdown(connection),
            };
            tokio::select! {
                biased;
                () = progress.rests() => {}
                () = until_it_ends(Pin::new(&mut connection), stages, &progress, pending(), leave, pending()) => return,
            }
            // A connection that rests has no request, so nothing is lost with hyper's state.
            let Parts { io, read_buf, .. } = connection.into_parts();
            stream = io.into_inner();
            stream.take_back(read_buf);
            let rested = {
                let rest = pin!(stream.rest());
                tokio::select! {
                    biased;
                    () = stages.draining() => Some(()),
                    rested = unless_it_loses_its_place(rest, &progress) => rested,
                }
            };
            if rested.is_none() {
                return;
            }
        }
    }

    async fn http2<S>(&self, opened: Opened, admitted: Admitted, service: S, stages: &mut Stages)
    where
        S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let limits = admitted.limits().clone();
        let (admitted, progress) = shared(admitted);
        let streams = Streams::new(Arc::clone(&self.transport), Arc::clone(&admitted), limits.write_timeout);
        let mut http2 = http2::Builder::new(streams.clone());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.max_streams)
            .initial_stream_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window)
            .max_header_list_size(largest_header_list(limits.head))
            .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
            .max_local_error_reset_streams(MOST_ERROR_RESETS)
            .keep_alive_interval(limits.ping_interval)
            .keep_alive_timeout(limits.ping_timeout);
        let service = service_fn(move |request| {
            let answer = service.clone().call(request);
            async move { answer.await.map(|answer| answer.map(Pieces::of)) }
        });
        let stream = Connection::new(opened, admitted, None);
        let connection = pin!(http2.serve_connection(TokioIo::new(stream), service));
        let idle = streams.idle(limits.head_timeout, limits.idle_timeout);
        // It asks the client to leave. A client that stays is disconnected.
        let stays = streams.idle(limits.head_timeout, limits.head_timeout);
        let leave = GracefulConnection::graceful_shutdown;
        until_it_ends(connection, stages, &progress, idle, leave, stays).await;
    }
}

/// Makes the TLS handshake, and tells the version of HTTP.
async fn open(stream: TcpStream, transport: &Transport, admitted: &Admitted, connected: Instant) -> Option<Opened> {
    let limits = admitted.limits();
    let opened = timeout_at(connected + limits.head_timeout, transport.open(stream, admitted, connected)).await;
    match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(opened) => opened,
        Err(error) => {
            transport.failed(&limits.series, &error);
            None
        }
    }
}

/// Serves a connection until it is closed. When the listener drains, or the connection was idle for too long, hyper tells the
/// client to send no new request, and answers those that it has sent. The connection is dropped when the listener stops, when
/// the client then keeps it open for too long, or when it has lost its place to a new one.
async fn until_it_ends<C: GracefulConnection>(
    mut connection: Pin<&mut C>,
    stages: &mut Stages,
    progress: &Progress,
    idle: impl Future<Output = ()>,
    leave: impl FnOnce(Pin<&mut C>),
    stays: impl Future<Output = ()>,
) {
    tokio::select! {
        biased;
        () = stages.draining() => {}
        () = idle => {}
        _ = unless_it_loses_its_place(connection.as_mut(), progress) => return,
    }
    leave(connection.as_mut());
    tokio::select! {
        biased;
        () = stages.stopped() => {}
        () = stays => {}
        _ = unless_it_loses_its_place(connection, progress) => {}
    }
}

/// Polls the future that reads from a connection, until it is ready, or the connection has lost its place to a new one (`None`).
/// First it reads once more: a connection whose next request has arrived gets its place back.
async fn unless_it_loses_its_place<F: Future>(mut reads: Pin<&mut F>, progress: &Progress) -> Option<F::Output> {
    loop {
        tokio::select! {
            biased;
            () = progress.closed() => {
                if let Poll::Ready(output) = futures_util::poll!(reads.as_mut()) {
                    return Some(output);
                }
                if progress.is_closed() {
                    return None;
                }
            }
            output = reads.as_mut() => return Some(output),
        }
    }
}

/// What the parts of a connection share.
fn shared(admitted: Admitted) -> (Arc<Admitted>, Arc<Progress>) {
    let progress = Arc::clone(admitted.progress());
    (Arc::new(admitted), progress)
}

#[cfg(test)]
mod tests;
