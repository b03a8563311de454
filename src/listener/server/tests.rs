//! Connections that rest: what a client sees of it, which is nothing.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::body::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    super::{ListenerSeries, Transport},
    *,
};

const PATIENCE: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n";

/// Answers every request. Its clones count.
#[derive(Debug, Clone, Default)]
struct Counted(Arc<()>);

/// One clone is the test's, one is the listener's, one that of the connection. Only a connection that does not rest has another
/// one, in hyper.
const RESTING: usize = 3;

impl Service<Request<Incoming>> for Counted {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        ready(Ok(Response::new(Body::from("answer"))))
    }
}

impl OfClient for Counted {}

/// A client's connection to a listener.
struct Served {
    client: TcpStream,
    service: Counted,
    handle: Handle,
}

impl Served {
    async fn with_idle_timeout(idle_timeout: Duration) -> Self {
        let limits = Limits {
            max_connections: 1,
            max_connections_per_address: 1,
            max_streams: 1,
            stream_window: 64 << 10,
            connection_window: 1 << 20,
            head: HeadLimits::tested(),
            trusted_proxies: Vec::new(),
            head_timeout: PATIENCE,
            idle_timeout,
            rest_after: Duration::from_millis(20),
            write_timeout: PATIENCE,
            ping_interval: PATIENCE,
            ping_timeout: PATIENCE,
            series: ListenerSeries::default(),
        };
        let transport = Transport { tls: None, prior_knowledge: false, request_timeout: PATIENCE };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (service, handle) = (Counted::default(), Handle::new());
        let refuse_head: RefuseHead = |_, _, _| http::Response::default();
        let transport: CurrentTransport = Arc::new(move || transport.clone());
        tokio::spawn(serve(listener, service.clone(), handle.clone(), limits, refuse_head, transport));
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
