//! Providers that speak HTTP/2 over TLS. HTTP/2 says which requests the provider did not process, so the gateway may
//! send those again.

use std::sync::Arc;

use rustls::version::TLS13;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    support::SECRET,
    terminal::{err, out},
    tls::probe,
    tls_front::{ATTEMPTS, Authority, server_config},
};

/// What the provider does with a request.
#[derive(Debug, Clone, Copy)]
enum Act {
    Answer,
    /// Resets the stream with REFUSED_STREAM: the request was not processed.
    Refuse,
    /// Sends GOAWAY: the provider closes the connection and processed no request.
    Leave,
    /// Resets the stream with INTERNAL_ERROR: the request may have been processed.
    Fail,
}

/// A provider that offers HTTP/2 before HTTP/1.1.
struct Provider {
    url: String,
    requests: mpsc::UnboundedReceiver<http::request::Parts>,
}

impl Provider {
    async fn start(authority: &Authority, act: Act) -> Self {
        let mut config = server_config(&[&TLS13], authority.certificate("localhost"));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.expect("a handshake");
                    match act {
                        Act::Leave => leave(stream).await,
                        _ => serve(stream, act, sender).await,
                    }
                });
            }
        });
        Self { url, requests }
    }
}

async fn serve(stream: TlsStream<TcpStream>, act: Act, requests: mpsc::UnboundedSender<http::request::Parts>) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        let _ = requests.send(request.into_parts().0);
        match act {
            Act::Answer => {
                let head = http::Response::builder().header("content-type", "application/json").body(());
                let mut body = answer.send_response(head.expect("a head"), false).expect("it is sent");
                body.send_data(r#"{"data":[]}"#.into(), true).expect("it is sent");
            }
            Act::Refuse => answer.send_reset(h2::Reason::REFUSED_STREAM),
            Act::Fail | Act::Leave => answer.send_reset(h2::Reason::INTERNAL_ERROR),
        }
    }
}

/// Waits for a request, sends a GOAWAY that names no processed stream, and closes the connection.
async fn leave(mut stream: TlsStream<TcpStream>) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    stream.write_all(&SETTINGS).await.expect("it is sent");
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.expect("a preface");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length.try_into().expect("a length")];
        stream.read_exact(&mut payload).await.expect("its payload");
        if head[3] == HEADERS {
            break;
        }
    }
    stream.write_all(&GOAWAY).await.expect("it is sent");
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

#[tokio::test]
async fn http2_is_used_where_the_provider_offers_it() {
    let authority = Authority::new();
    let trusted = authority.file();
    let mut provider = Provider::start(&authority, Act::Answer).await;
    let probed = probe(&provider.url, trusted.path()).await;
    assert!(probed.status.success(), "{}{}", out(&probed), err(&probed));
    let request = provider.requests.try_recv().expect("a request");
    assert_eq!(request.uri.to_string(), format!("{}/customers?limit=1&page=1", provider.url));
    let mut headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    headers.sort_unstable();
    let expected = [
        ("accept", "application/json"),
        ("accept-encoding", "gzip,br"),
        ("user-agent", concat!("passerelle/", env!("CARGO_PKG_VERSION"))),
        ("x-api-key", SECRET),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.as_bytes())));
    assert!(provider.requests.try_recv().is_err(), "one request");
}

#[tokio::test]
async fn a_request_that_the_provider_did_not_process_is_distinguished_from_one_that_failed() {
    let authority = Authority::new();
    let trusted = authority.file();
    for (act, why) in [
        (Act::Refuse, "did not process it; nothing was done"),
        (Act::Leave, "did not process it; nothing was done"),
        (Act::Fail, "broke before an answer came"),
    ] {
        let mut provider = Provider::start(&authority, act).await;
        let probed = probe(&provider.url, trusted.path()).await;
        assert_eq!(probed.status.code(), Some(1), "{act:?}: {}{}", out(&probed), err(&probed));
        assert!(out(&probed).contains(why), "{act:?}: {}", out(&probed));
        let count = std::iter::from_fn(|| provider.requests.try_recv().ok()).count();
        assert!(matches!(act, Act::Leave) || count == ATTEMPTS, "{act:?}: {count}");
    }
}
