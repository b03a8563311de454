//! What one client can use of the gateway: the memory and the time of heads, bodies and connections.

mod bodies;
mod connections;
mod dialects;
mod frames;
mod heads;
mod http2;
mod overload;
mod rates;
mod streams;
mod timing;
mod tls;

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The longest that a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the gateway, at the level of bytes.
struct Client(TcpStream);

/// An answer as it was received.
#[derive(Debug)]
struct Received {
    status: u16,
    head: String,
    body: Value,
}

impl Received {
    fn status_and_code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    /// Asserts that the answer is a whole problem, and that the gateway closes the connection after it.
    fn assert_closing_problem(&self) {
        for line in ["content-type: application/problem+json", "x-request-id: ", "connection: close"] {
            assert!(self.head.contains(line), "{line}: {}", self.head);
        }
        let id = self.body["request_id"].as_str().expect("a request id");
        assert!(self.head.contains(id) && self.body["outcome"] == "none", "{self:?}");
    }
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    /// Connects from another address of this machine.
    async fn connect_from(from: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("a local address");
        Self(socket.connect(address).await.expect("a connection"))
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("it is sent");
    }

    /// Reads one answer. `None` if the gateway closes the connection without one.
    async fn answer(&mut self) -> Option<Received> {
        timeout(PATIENCE, self.read_answer()).await.expect("an answer, or the end of the connection")
    }

    async fn read_answer(&mut self) -> Option<Received> {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
                    let body = serde_json::from_str(body).unwrap_or_default();
                    return Some(Received { status, head: head.to_owned(), body });
                }
            }
            match self.0.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Waits until the gateway has closed the connection.
    async fn assert_closed(&mut self) {
        let rest = timeout(PATIENCE, self.0.read(&mut [0; 16])).await.expect("the gateway closes the connection");
        assert!(matches!(rest, Ok(0) | Err(_)), "it sends nothing else: {rest:?}");
    }

    /// Sends a health check, and keeps the connection. `None` if the gateway has closed it.
    async fn live(&mut self) -> Option<u16> {
        // The gateway may have closed the connection already.
        let _ = self.0.write_all(b"GET /livez HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
        self.answer().await.map(|answer| answer.status)
    }
}

/// The head of a write of the sandbox's merchant at lomi.
fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_sandbox_lomi\r\nx-api-key: sk_sandbox_lomi\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// The sandbox with these keys of `[server]`, and without the listener of the operator.
fn sandbox(server: &str) -> String {
    let text = passerelle::config::SANDBOX.replacen("listen = \"127.0.0.1:8080\"", server, 1);
    text.replacen("[operator]\nlisten = \"127.0.0.1:9464\"\n\n", "", 1)
}
