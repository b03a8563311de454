//! How long a connection may wait for a head, and be idle.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use passerelle::{
    app::refuse_head,
    config::HeadLimits,
    listener::{self, Handle, Transport},
};
use tokio::{io::AsyncReadExt, net::TcpSocket, time::timeout};

use super::{Client, PATIENCE, sandbox};
use crate::support::Gateway;

pub(super) const HEAD_TIMEOUT: Duration = Duration::from_millis(200);

/// More than the buffers of both systems hold.
const LARGE: usize = 64 << 20;

/// Less than the gateway's system holds, and more than a client with a small buffer.
const BUFFERED: usize = 50_000;

/// A listener with short times for heads, and this time for idle connections.
fn listening(idle_timeout: Duration) -> SocketAddr {
    listening_with(idle_timeout, Handle::new())
}

fn listening_with(idle_timeout: Duration, handle: Handle) -> SocketAddr {
    let router = Router::new().route("/livez", get(|| async { "ok" }));
    let router = router.route("/large", get(|| async { vec![b'1'; LARGE] }));
    let router = router.route("/buffered", get(|| async { vec![b'1'; BUFFERED] }));
    serve(router, handle, limits(idle_timeout))
}

/// Short times for heads and writes. Nobody is pinged.
pub(super) fn limits(idle_timeout: Duration) -> listener::Limits {
    listener::Limits {
        max_connections: 8,
        max_connections_per_address: 8,
        max_streams: 100,
        stream_window: 64 << 10,
        connection_window: 1 << 20,
        head: HeadLimits { uri: 8 << 10, headers: 64, headers_size: 16 << 10 },
        trusted_proxies: Vec::new(),
        head_timeout: HEAD_TIMEOUT,
        idle_timeout,
        rest_after: Duration::from_millis(10),
        write_timeout: HEAD_TIMEOUT,
        ping_interval: Duration::from_hours(1),
        ping_timeout: HEAD_TIMEOUT,
        series: listener::ListenerSeries::default(),
    }
}

/// Serves a router without TLS, to clients of HTTP/1.1 and of HTTP/2.
pub(super) fn serve(router: Router, handle: Handle, limits: listener::Limits) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    let transport = Transport { tls: None, prior_knowledge: true, request_timeout: HEAD_TIMEOUT };
    let served =
        listener::serve(socket, router, handle, limits, Arc::new(refuse_head), Arc::new(move || transport.clone()));
    tokio::spawn(served.expect("a thread"));
    address
}

#[tokio::test]
async fn an_idle_connection_stays_open_for_longer_than_a_head_may_take() {
    let mut client = Client::connect(listening(Duration::from_mins(1))).await;
    for _ in 0..2 {
        assert_eq!(client.live().await, Some(200));
        let closed = timeout(3 * HEAD_TIMEOUT, client.0.read(&mut [0; 1])).await;
        assert!(closed.is_err(), "the gateway does not close it: {closed:?}");
    }
    client.send("GET /livez HTTP/1.1\r\nhost: ").await;
    client.assert_closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_its_time() {
    let mut client = Client::connect(listening(HEAD_TIMEOUT)).await;
    assert_eq!(client.live().await, Some(200));
    client.assert_closed().await;
}

#[tokio::test]
async fn a_silent_connection_and_a_slow_head_are_closed() {
    let address = listening(Duration::from_mins(1));
    Client::connect(address).await.assert_closed().await;
    let mut slow = Client::connect(address).await;
    slow.send("GET /livez HTTP/1.1\r\n").await;
    slow.assert_closed().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_disconnected() {
    let handle = Handle::new();
    let mut client = Client::connect(listening_with(Duration::from_mins(1), handle.clone())).await;
    client.send("GET /large HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    client.0.readable().await.expect("the answer has begun");
    assert_all_closed(&handle).await;
    let mut received = Vec::new();
    let _ = client.0.read_to_end(&mut received).await;
    assert!(received.len() < LARGE, "{}", received.len());
}

/// The whole answer is in the buffers of the system, so for the gateway the connection is idle.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_does_not_read_a_small_answer_is_disconnected() {
    let handle = Handle::new();
    let mut client = with_small_buffer(listening_with(Duration::from_hours(1), handle.clone())).await;
    client.send("GET /buffered HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    client.0.readable().await.expect("the answer has begun");
    assert_all_closed(&handle).await;
}

/// The system would take megabytes of answers from a connection within one machine.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn few_answers_are_made_for_a_client_that_reads_none() {
    const SENT: usize = 60;
    const MOST_MADE: usize = 6;
    let (handle, made) = (Handle::new(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&made);
    let page = get(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { vec![b'1'; 2 * BUFFERED] }
    });
    let router = Router::new().route("/page", page).route("/livez", get(|| async { "ok" }));
    let address = serve(router, handle.clone(), limits(Duration::from_hours(1)));
    // Connections inherit the limit from the listener, which sets it when it begins to serve.
    assert_eq!(Client::connect(address).await.live().await, Some(200));
    let mut client = with_small_buffer(address).await;
    client.send("GET /page HTTP/1.1\r\nhost: gateway\r\n\r\n".repeat(SENT)).await;
    client.0.readable().await.expect("the first answer has begun");
    assert_all_closed(&handle).await;
    let made = made.load(Ordering::Relaxed);
    assert!((1..=MOST_MADE).contains(&made), "{made} answers to {SENT} requests");
}

#[cfg(target_os = "linux")]
async fn with_small_buffer(address: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    Client(socket.connect(address).await.expect("a connection"))
}

/// Waits until the gateway has closed all connections.
async fn assert_all_closed(handle: &Handle) {
    let closed = async {
        while handle.connection_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the gateway closes the connection");
}

#[tokio::test]
async fn a_configuration_changes_the_times_of_a_connection() {
    let gateway = Gateway::start(&sandbox("head_timeout = \"200ms\"")).await;
    let mut slow = Client::connect(gateway.address()).await;
    slow.send("GET /livez HTTP/1.1\r\n".to_owned()).await;
    timeout(Duration::from_secs(8), slow.assert_closed()).await.expect("sooner than by default");
    let gateway = Gateway::start(&sandbox("idle_timeout = \"200ms\"")).await;
    let mut idle = Client::connect(gateway.address()).await;
    assert_eq!(idle.live().await, Some(200));
    idle.assert_closed().await;
}

#[test]
fn the_gateway_keeps_idle_connections_for_as_long_as_common_proxies() {
    let loaded = passerelle::config::load_text(&sandbox(""), "t.toml").expect("a configuration");
    let server = &loaded.config.server;
    let times = [server.head_timeout, server.idle_timeout, server.write_timeout].map(|time| time.as_secs());
    assert_eq!(times, [10, 60, 30]);
}
