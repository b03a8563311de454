//! A stand-in for a provider, at the level of bytes. A test chooses its answers, and reads the requests that it
//! received.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};

/// What a stand-in does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes and waits for the next request.
    Keep(Vec<u8>),
    /// Sends these bytes again and again, until the gateway closes the connection.
    Flood(Vec<u8>),
    /// Sends the first bytes, and then the others again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends these bytes, and then a space every few milliseconds.
    Drip(Vec<u8>),
    /// Reads the request and never answers.
    Hang,
    /// Reads the request and resets the connection.
    Reset,
}

/// A stand-in on a free port.
pub(crate) struct StandIn {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    connections: watch::Sender<Connections>,
}

/// How many connections there were.
#[derive(Debug, Default)]
struct Connections {
    made: usize,
    /// The requests that were received.
    requests: usize,
    /// Closed at both ends.
    closed: usize,
}

impl StandIn {
    /// Answers the requests with these acts in order, and repeats the last one.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        Self::answering(move |requests| acts.get(requests.len() - 1).or(acts.last()).cloned()).await
    }

    /// Answers each request with the act that the function chooses from all requests so far.
    pub(crate) async fn answering(choose: impl Fn(&[String]) -> Option<Act> + Send + Sync + 'static) -> Self {
        let choose: Arc<Choose> = Arc::new(choose);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let connections = watch::Sender::default();
        let (log, counted) = (Arc::clone(&received), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.send_modify(|connections: &mut Connections| connections.made += 1);
                let (log, counted, choose) = (Arc::clone(&log), counted.clone(), Arc::clone(&choose));
                tokio::spawn(async move {
                    serve(stream, log, &*choose, &counted).await;
                    counted.send_modify(|connections| connections.closed += 1);
                });
            }
        });
        Self { address, received, connections }
    }

    /// Answers every request with the same act.
    pub(crate) async fn always(act: Act) -> Self {
        Self::start(vec![act]).await
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The received requests, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.received.lock().expect("no panic while it was locked").clone()
    }

    /// The connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.borrow().made
    }

    /// Waits until so many requests are received.
    pub(crate) async fn received(&self, count: usize) {
        let mut connections = self.connections.subscribe();
        let received = connections.wait_for(|connections| connections.requests >= count);
        tokio::time::timeout(PATIENCE, received)
            .await
            .expect("the requests arrive in time")
            .expect("the stand-in still runs");
    }

    /// Waits until so many connections are closed at both ends.
    pub(crate) async fn closed(&self, count: usize) {
        let mut connections = self.connections.subscribe();
        let closed = connections.wait_for(|connections| connections.closed >= count);
        tokio::time::timeout(PATIENCE, closed)
            .await
            .expect("the connections close in time")
            .expect("the stand-in still runs");
    }
}

/// The limit for all waiting in tests.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Chooses what to do with the last of these requests.
type Choose = dyn Fn(&[String]) -> Option<Act> + Send + Sync;

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<String>>>,
    choose: &Choose,
    counted: &watch::Sender<Connections>,
) {
    while let Some(request) = read(&mut stream).await {
        let act = {
            let mut log = log.lock().expect("no panic while it was locked");
            log.push(request);
            choose(&log)
        };
        counted.send_modify(|connections| connections.requests += 1);
        match act {
            Some(Act::Send(bytes)) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                // Until the gateway closes its end too.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                return;
            }
            Some(Act::Keep(bytes)) => {
                let _ = stream.write_all(&bytes).await;
            }
            Some(Act::Endless(first, bytes)) => {
                let _ = stream.write_all(&first).await;
                while stream.write_all(&bytes).await.is_ok() {}
                return;
            }
            Some(Act::Drip(bytes)) => {
                let _ = stream.write_all(&bytes).await;
                let mut ticks = tokio::time::interval(Duration::from_millis(5));
                while stream.write_all(b" ").await.is_ok() {
                    ticks.tick().await;
                }
                return;
            }
            Some(Act::Flood(bytes)) => {
                while stream.write_all(&bytes).await.is_ok() {}
                return;
            }
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Reset) => {
                let _ = stream.set_zero_linger();
                return;
            }
            None => return,
        }
    }
}

/// The next request, head and body. `None` when the gateway closes the connection first.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .unwrap_or(0);
        if body.len() >= length {
            return Some(text.into_owned());
        }
    }
}

/// A whole response with `connection: close`, after which the stand-in closes the connection.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Act {
    Act::Send(bytes_of(status, &[&[("connection", "close")], headers].concat(), body.as_ref()))
}

/// The bytes of a response.
pub(crate) fn bytes_of(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// A JSON response.
pub(crate) fn json(status: &str, body: &str) -> Act {
    response(status, &[("content-type", "application/json")], body)
}

/// A loopback address at which nothing listens. Its port stays taken as long as the process runs, so that no other test can
/// get it and answer.
pub(crate) fn refusing_address() -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = socket.local_addr().expect("an address");
    std::mem::forget(socket);
    address
}
