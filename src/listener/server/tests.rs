//! Connections that rest, which their clients do not see, and connections that lose their places.

mod early;
mod streams;

use std::{net::TcpListener, task::Context, time::Duration};

use axum::body::Body;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::yield_now,
    time::{sleep, timeout},
};

use super::{
    super::{
        Handle, Limits, ListenerSeries,
        admission::{self, Admission},
        serve,
    },
    *,
};
use crate::admission::OfClient;

const PATIENCE: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";

/// A service that answers every request with as many dashes as the number says, and the text `answer`. Tests count its clones.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<usize>);

/// One clone is the test's, one is the listener's, one that of the connection. Only a connection that does not rest has another
/// one, in hyper.
const RESTING: usize = 3;

impl Service<Request<Incoming>> for Counted {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        Answer { request: Some(request), size: *self.0 }
    }
}

/// The future of [`Counted`]. It drops the request, and with it the body that was not read, when it is polled, as routes do.
struct Answer {
    request: Option<Request<Incoming>>,
    size: usize,
}

impl Future for Answer {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.request = None;
        Poll::Ready(Ok(Response::new(Body::from(format!("{}answer", "-".repeat(self.size))))))
    }
}

impl OfClient for Counted {}

/// Limits for one connection.
fn limits(idle_timeout: Duration, rest_after: Duration) -> Limits {
    Limits {
        max_connections: 1,
        max_connections_per_address: 1,
        max_streams: 1,
        stream_window: 64 << 10,
        connection_window: 1 << 20,
        head: HeadLimits::tested(),
        trusted_proxies: Vec::new(),
        head_timeout: PATIENCE,
        idle_timeout,
        rest_after,
        write_timeout: PATIENCE,
        ping_interval: PATIENCE,
        ping_timeout: PATIENCE,
        series: ListenerSeries::default(),
    }
}

fn refuses_heads() -> Arc<dyn Refuse> {
    Arc::new(|_: u16, _: &[u8], _: HeadLimits| http::Response::default())
}

/// A client's connection to a listener.
struct Served {
    client: TcpStream,
    service: Counted,
    handle: Handle,
}

impl Served {
    async fn with_idle_timeout(idle_timeout: Duration) -> Self {
        Self::new(limits(idle_timeout, Duration::from_millis(20)), Counted::default(), refuses_heads()).await
    }

    async fn new(limits: Limits, service: Counted, refuse: Arc<dyn Refuse>) -> Self {
        let transport = Transport { tls: None, prior_knowledge: false, request_timeout: PATIENCE };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let handle = Handle::new();
        let transport: CurrentTransport = Arc::new(move || transport.clone());
        tokio::spawn(serve(listener, service.clone(), handle.clone(), limits, refuse, transport).expect("a thread"));
        Self { client: TcpStream::connect(address).await.expect("a connection"), service, handle }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.expect("the listener reads");
    }

    /// Reads so many answers.
    async fn read(&mut self, count: usize) {
        let mut text = String::new();
        while text.matches("\r\n\r\nanswer").count() < count {
            let mut buffer = [0; 4096];
            let length = timeout(PATIENCE, self.client.read(&mut buffer)).await.expect("an answer").expect("bytes");
            assert_ne!(length, 0, "the connection is open: {text}");
            text.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
        }
    }

    /// Waits until the connection rests.
    async fn rests(&self) {
        let rests = async {
            while Arc::strong_count(&self.service.0) > RESTING {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, rests).await.expect("it rests");
    }

    async fn is_closed(&mut self) {
        let read = timeout(PATIENCE, self.client.read(&mut [0])).await.expect("it is closed");
        assert_eq!(read.expect("without a failure"), 0);
    }
}

#[tokio::test]
async fn an_idle_connection_rests_until_its_next_request() {
    let mut served = Served::with_idle_timeout(PATIENCE).await;
    served.send(REQUEST).await;
    served.read(1).await;
    for parts in [vec![REQUEST], vec![&REQUEST[..1], &REQUEST[1..9], &REQUEST[9..]]] {
        served.rests().await;
        for part in parts {
            served.send(part).await;
        }
        served.read(1).await;
    }
    served.rests().await;
    served.send(&REQUEST.repeat(3)).await;
    served.read(3).await;
}

#[tokio::test]
async fn a_resting_connection_is_closed_when_the_listener_drains() {
    let mut served = Served::with_idle_timeout(PATIENCE).await;
    served.send(REQUEST).await;
    served.read(1).await;
    served.rests().await;
    served.handle.graceful_shutdown(None);
    served.is_closed().await;
}

#[tokio::test]
async fn a_resting_connection_is_closed_when_it_was_idle_for_too_long() {
    let mut served = Served::with_idle_timeout(Duration::from_millis(500)).await;
    served.send(REQUEST).await;
    served.read(1).await;
    served.rests().await;
    served.is_closed().await;
}

/// The beginning of a connection of HTTP/2, with empty settings.
const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// A request of HTTP/2: a frame with all headers (RFC 9113, 6.2), which are in the static table but for the name of the host.
fn stream(number: u8) -> Vec<u8> {
    let mut frame = b"\x00\x00\x0c\x01\x05\x00\x00\x00\x00\x82\x86\x84\x41\x07gateway".to_vec();
    frame[8] = number;
    frame
}

/// A connection that is served, and nothing else of its listener.
struct Alone {
    admission: Arc<Admission>,
    progress: Arc<Progress>,
    client: std::net::TcpStream,
    service: Counted,
    _handle: Handle,
}

impl Alone {
    async fn new(rest_after: Duration) -> Self {
        let transport = Transport { tls: None, prior_knowledge: true, request_timeout: PATIENCE };
        let (limits, current) = (limits(PATIENCE, rest_after), transport.clone());
        let server = Arc::new(Server::new(limits.head, refuses_heads(), Arc::new(move || current.clone())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
        client.set_nonblocking(true).expect("a mode");
        let (stream, peer) = listener.accept().await.expect("the same connection");
        let admission = Admission::new(limits);
        let admitted = admission.admit(peer.ip()).await.expect("a free place");
        let (progress, service, handle) = (Arc::clone(admitted.progress()), Counted::default(), Handle::new());
        let stream = stream.into_std().expect("a socket");
        let arrived = Arrived { stream, transport, connected: Instant::now(), admitted };
        tokio::spawn(server.connection(arrived, service.clone(), handle.of_connection()));
        Self { admission, progress, client, service, _handle: handle }
    }

    /// Sends bytes. The runtime does not know of them before the test waits for something.
    fn send(&mut self, bytes: &[u8]) {
        io::Write::write_all(&mut self.client, bytes).expect("there is room");
    }

    /// Reads until the next answer is complete, and the connection waits for its client again. Returns whether it was answered:
    /// not if the connection was closed.
    async fn is_answered(&mut self) -> bool {
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        let answered = async {
            while !text.ends_with(b"answer") || self.progress.waits_since().is_none() {
                match io::Read::read(&mut self.client, &mut buffer) {
                    Ok(0) => return false,
                    Ok(length) => text.extend_from_slice(&buffer[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(Duration::from_millis(1)).await,
                    Err(_) => return false,
                }
            }
            true
        };
        timeout(PATIENCE, answered).await.expect("an answer, or the end of the connection")
    }
}

#[tokio::test]
async fn a_connection_that_loses_its_place_gets_it_back_if_its_next_request_has_arrived() {
    let http1 = [REQUEST.to_vec(), REQUEST.to_vec()];
    let http2 = [[START.to_vec(), stream(1)].concat(), stream(3)];
    for (name, [first, next], rests) in
        [("HTTP/1.1", http1.clone(), false), ("HTTP/1.1 at rest", http1, true), ("HTTP/2", http2, false)]
    {
        for has_arrived in [true, false] {
            let mut alone = Alone::new(if rests { Duration::from_millis(1) } else { PATIENCE }).await;
            alone.send(&first);
            assert!(alone.is_answered().await, "{name}");
            // The listener has none here.
            while rests && Arc::strong_count(&alone.service.0) >= RESTING {
                sleep(Duration::from_millis(1)).await;
            }
            if has_arrived {
                alone.send(&next);
            }
            admission::tests::replace(&alone.admission);
            assert_eq!(alone.is_answered().await, has_arrived, "{name}");
        }
    }
}

/// Until then, the thread that accepts keeps the connection. So a client that sends no whole head takes no time of the runtime.
#[tokio::test]
async fn the_runtime_gets_a_connection_when_its_first_head_has_arrived() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut served = Served::with_idle_timeout(PATIENCE).await;
    let of_listener = tasks();
    let is_accepted = async {
        while served.handle.connection_count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, is_accepted).await.expect("it is accepted");
    assert_eq!(tasks(), of_listener);
    let (start, end) = REQUEST.split_at(REQUEST.len() - 1);
    served.send(start).await;
    // The listener accepts at most two connections, which it closes here, before it looks at what has arrived.
    for _ in 0..3 {
        let mut other =
            TcpStream::connect(served.client.peer_addr().expect("its address")).await.expect("a connection");
        assert_eq!(timeout(PATIENCE, other.read(&mut [0])).await.expect("it is closed").expect("without a failure"), 0);
    }
    assert_eq!(tasks(), of_listener);
    served.send(end).await;
    served.read(1).await;
    assert_eq!(tasks(), of_listener + 1);
}
