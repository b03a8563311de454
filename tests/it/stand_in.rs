//! A stand-in for a vendor, at the level of bytes: it answers what it is told, and remembers what it was
//! asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a stand-in does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Reads the request and never answers.
    Hang,
    /// Reads the request and resets the connection.
    Reset,
}

/// A stand-in that is served.
pub(crate) struct StandIn {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Answers the first requests in order, and the last way ever after.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, acts) = (Arc::clone(&log), acts.clone());
                tokio::spawn(serve(stream, log, acts));
            }
        });
        Self { address, asked }
    }

    /// Answers one way.
    pub(crate) async fn always(act: Act) -> Self {
        Self::start(vec![act]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that came, heads and bodies.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic while it was held").clone()
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<String>>>, acts: Vec<Act>) {
    let mut read = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let Ok(count) = stream.read(&mut buffer).await else { return };
        if count == 0 {
            return;
        }
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
            break;
        }
    }
    let place = {
        let mut log = log.lock().expect("no panic while it was held");
        log.push(String::from_utf8_lossy(&read).into_owned());
        log.len() - 1
    };
    match acts.get(place).or(acts.last()) {
        Some(Act::Send(bytes)) => {
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
        }
        Some(Act::Hang) => std::future::pending().await,
        Some(Act::Reset) => {
            let _ = stream.set_zero_linger();
        }
        None => {}
    }
}

/// A whole response.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Act {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    Act::Send(bytes)
}

/// A JSON response.
pub(crate) fn json(status: &str, body: &str) -> Act {
    response(status, &[("content-type", "application/json")], body)
}
