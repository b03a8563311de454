//! Providers on free ports that answer what a test chooses.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpListener,
};

use super::{
    ID,
    client::{header, read_head},
};
use crate::priority;

/// What a provider answers to the first line of a request. `None`: it never answers.
pub(crate) type Answers = Arc<dyn Fn(&str) -> Option<Arc<Vec<u8>>> + Send + Sync>;

/// A provider on a free port.
pub(crate) async fn provider(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = Arc::clone(&answers);
            let mut stream = BufStream::new(stream);
            tokio::spawn(async move {
                while let Some(head) = read_head(&mut stream).await {
                    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
                    if tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await.is_err() {
                        return;
                    }
                    let Some(answer) = answers(head.lines().next().unwrap_or_default()) else {
                        return std::future::pending().await;
                    };
                    if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A provider that answers each request with these bytes, again and again.
pub(crate) async fn flooding_provider(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            let mut stream = BufStream::new(stream);
            tokio::spawn(async move {
                read_head(&mut stream).await;
                while stream.write_all(&bytes).await.is_ok() {}
            });
        }
    });
    address
}

/// The bytes of an answer.
pub(crate) fn answer(status: &str, body: &str) -> Arc<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    Arc::new([head.as_bytes(), body.as_bytes()].concat())
}

/// A provider that answers one customer at once.
pub(crate) async fn healthy_provider() -> SocketAddr {
    let customer = answer("200 OK", &format!(r#"{{"data":{{"customer_id":"{ID}","name":"Amadou Ba"}}}}"#));
    let answers = provider(Arc::new(move |_| Some(Arc::clone(&customer))));
    priority::high(answers).await.expect("a provider")
}
