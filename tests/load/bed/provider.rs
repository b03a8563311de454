//! Providers on free ports that answer what a test chooses.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use rcgen::{CertifiedKey, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{
    ID,
    client::{header, read_head},
};
use crate::priority;

/// What a provider answers to the first line of a request. `None`: it never answers.
pub(crate) type Answers = Arc<dyn Fn(&str) -> Option<Arc<Vec<u8>>> + Send + Sync>;

/// Where a provider listens. As text, it is the base URL of its connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    pub(super) has_tls: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}", self.address)
    }
}

impl Endpoint {
    async fn listen(has_tls: bool) -> (TcpListener, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, Self { address, has_tls })
    }
}

/// What providers with TLS show. A gateway that calls one of them trusts it.
static CERTIFIED: LazyLock<CertifiedKey<KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate"));

/// The certificate of providers with TLS, as PEM.
pub(super) fn certificate() -> String {
    CERTIFIED.cert.pem()
}

fn acceptor() -> TlsAcceptor {
    let CertifiedKey { cert, signing_key } = &*CERTIFIED;
    let key = signing_key.serialize_der().try_into().expect("a key");
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![cert.der().clone()], key).expect("a certificate with its key")).into()
}

/// A provider on a free port.
pub(crate) async fn provider(answers: Answers) -> Endpoint {
    let (listener, endpoint) = Endpoint::listen(false).await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&answers)));
        }
    });
    endpoint
}

/// A provider on a free port, with TLS as every real provider has it. The gateway reads at most 16 KiB of its answers at once, and
/// up to 400 KiB of those without TLS.
pub(crate) async fn provider_with_tls(answers: Answers) -> Endpoint {
    let (listener, endpoint) = Endpoint::listen(true).await;
    let acceptor = acceptor();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (handshake, answers) = (acceptor.accept(stream), Arc::clone(&answers));
            tokio::spawn(async move {
                if let Ok(stream) = handshake.await {
                    serve(stream, answers).await;
                }
            });
        }
    });
    endpoint
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, answers: Answers) {
    let mut stream = BufStream::new(stream);
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
}

/// A provider that answers each request with these bytes, again and again.
pub(crate) async fn flooding_provider(bytes: Vec<u8>) -> Endpoint {
    let (listener, endpoint) = Endpoint::listen(false).await;
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
    endpoint
}

/// The bytes of an answer.
pub(crate) fn answer(status: &str, body: &str) -> Arc<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    Arc::new([head.as_bytes(), body.as_bytes()].concat())
}

/// A provider that answers one customer at once.
pub(crate) async fn healthy_provider() -> Endpoint {
    let customer = answer("200 OK", &format!(r#"{{"data":{{"customer_id":"{ID}","name":"Amadou Ba"}}}}"#));
    let answers = provider(Arc::new(move |_| Some(Arc::clone(&customer))));
    priority::high(answers).await.expect("a provider")
}
