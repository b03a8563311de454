//! Accepts the connections of clients, and limits them. `command::listeners` calls `serve` with the router of the
//! application. A thread accepts a connection (`acceptor`), which is admitted (`admission`), and waits for its first bytes (`arrival`).
//! Then the runtime makes the TLS handshake (`transport`), and hyper serves HTTP/1.1 or HTTP/2 on it (`server`).

mod acceptor;
mod admission;
mod arrival;
mod connection;
mod files;
mod handle;
mod pieces;
mod progress;
mod refusal;
mod server;
mod simple;
mod socket;
mod streams;
mod timer;
mod tracked;
mod transport;

use std::time::Duration;

use ipnet::IpNet;

pub use acceptor::{MOST_WAITING, serve};
pub use files::connections_within_file_limit;
pub use handle::Handle;
pub use refusal::{Refuse, encoded, with_date};

pub use simple::SimpleRequest;
pub use transport::{CurrentTransport, Transport};

use crate::{
    config::HeadLimits,
    metrics::{Counter, Gauge, Metrics},
};

/// The limits of a listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many connections are open at once. A further one gets the place of one that has waited for its client for long. If all
    /// others answer requests, or none has waited for long in half a second, it is closed.
    pub max_connections: usize,
    /// How many connections of one address are open at once. Further ones are closed.
    pub max_connections_per_address: usize,
    /// How many streams a client may have open at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// How many bytes of one request's body a client may send over HTTP/2 before the gateway has read them.
    pub stream_window: u32,
    /// How many bytes of all bodies together a client may send over one HTTP/2 connection before the gateway has read them.
    pub connection_window: u32,
    /// How large the head of a request may be.
    pub head: HeadLimits,
    /// Addresses of proxies, whose connections are those of many clients. Only `max_connections` limits them.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a client may take for its TLS handshake, and to send the head of a request: the first one from its
    /// connection on, later ones from their first byte on.
    pub head_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Duration,
    /// After how much of that time the connection rests: its task keeps nothing of the HTTP layer until the next request.
    pub rest_after: Duration,
    /// How long a client may take nothing of its answer.
    pub write_timeout: Duration,
    /// How often the client of an HTTP/2 connection is asked whether it is there.
    pub ping_interval: Duration,
    /// How long it may take to answer that.
    pub ping_timeout: Duration,
    /// Where connections are counted.
    pub series: ListenerSeries,
}

/// The series of a listener.
#[derive(Debug, Clone, Default)]
pub struct ListenerSeries {
    open: Gauge,
    refused: Counter,
    replaced: Counter,
    handshakes_failed: Counter,
}

impl ListenerSeries {
    /// The series of the listener with this name.
    pub fn new(metrics: &Metrics, listener: &str) -> Self {
        Self {
            open: metrics.connections(listener),
            refused: metrics.connections_refused(listener),
            replaced: metrics.connections_replaced(listener),
            handshakes_failed: metrics.handshakes_failed(listener),
        }
    }
}

/// The usual `rest_after`. Connections that are used all the time never rest, and wake up once in this time to see that.
pub const REST_AFTER: Duration = Duration::from_millis(250);
/// The usual `ping_interval`.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// The usual `ping_timeout`.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);
