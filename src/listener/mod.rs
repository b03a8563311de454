//! Accepts the connections of clients, and limits them. `serve` calls [`serve`] with the router of the application.

mod admission;
mod connection;
mod files;
mod progress;
mod refusal;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::{extract::Request, response::Response};
use axum_server::{Handle, accept::Accept};
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tower::{Service, make::Shared};

use self::admission::Admission;
use connection::Connection;
pub use files::connections_within_file_limit;
use progress::{Progress, Tracked};
pub use refusal::RefuseHead;

use crate::{
    admission::OfClient,
    metrics::{Counter, Gauge, Metrics},
};

/// The limits of a listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many connections are open at once. Further ones are closed.
    pub max_connections: usize,
    /// How many connections of one address are open at once. Further ones are closed.
    pub max_connections_per_address: usize,
    /// Addresses of proxies, whose connections are those of many clients. Only `max_connections` limits them.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a client may take to send the head of a request: the first one from its connection on, later ones from
    /// their first byte on.
    pub head_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of its answer.
    pub write_timeout: Duration,
    /// Where connections are counted.
    pub series: ListenerSeries,
}

/// The series of a listener.
#[derive(Debug, Clone, Default)]
pub struct ListenerSeries {
    open: Gauge,
    refused: Counter,
}

impl ListenerSeries {
    /// The series of the listener with this name.
    pub fn new(metrics: &Metrics, listener: &str) -> Self {
        Self { open: metrics.connections(listener), refused: metrics.connections_refused(listener) }
    }
}

/// The usual `head_timeout`.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The usual `idle_timeout`. Common proxies keep connections to their upstreams for as long.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// The usual `write_timeout`.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A request with more headers is refused.
const MOST_HEADERS: usize = 64;
/// The largest buffer of a connection. It has room for the largest head that `app` accepts, 8 KiB of path and query and
/// 16 KiB of headers. hyper refuses larger heads.
const LARGEST_BUFFER: usize = 26 << 10;

/// Serves a service until the handle shuts it down. HTTP/1.1 only: behind a proxy, HTTP/2 without TLS has no use, and to
/// detect it the server would have to wait for the first bytes of a connection without a time limit.
pub async fn serve<S>(
    listener: TcpListener,
    service: S,
    handle: Handle<SocketAddr>,
    limits: Limits,
    refuse_head: RefuseHead,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + OfClient + Clone + Send + 'static,
    S::Future: Send + Unpin,
{
    listener.set_nonblocking(true)?;
    let acceptor = LimitedAcceptor { admission: Admission::new(limits), refuse_head };
    let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle).http1_only();
    server
        .http_builder()
        .http1()
        // `Connection` limits this time with one timer. hyper would make one for each request.
        .header_read_timeout(None)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_BUFFER);
    server.serve(Shared::new(service)).await
}

/// Accepts a connection if no cap is reached. Otherwise the connection is closed.
#[derive(Debug, Clone)]
struct LimitedAcceptor {
    admission: Arc<Admission>,
    refuse_head: RefuseHead,
}

impl<S: OfClient> Accept<TcpStream, S> for LimitedAcceptor {
    type Stream = Connection;
    type Service = Tracked<S>;
    type Future = Ready<io::Result<(Connection, Tracked<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.accepted(stream, service))
    }
}

impl LimitedAcceptor {
    fn accepted<S: OfClient>(&self, stream: TcpStream, mut service: S) -> io::Result<(Connection, Tracked<S>)> {
        let peer = stream.peer_addr()?.ip();
        let admitted = self.admission.admit(peer).ok_or(io::ErrorKind::QuotaExceeded)?;
        stream.set_nodelay(true)?;
        service.set_client(peer);
        let progress = Arc::<Progress>::default();
        let connection = Connection::new(stream, admitted, Arc::clone(&progress), self.refuse_head);
        Ok((connection, Tracked { service, progress }))
    }
}
