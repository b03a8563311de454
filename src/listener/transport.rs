//! What a new connection speaks: TLS or not, and HTTP/1.1 or HTTP/2. With TLS, the client chooses HTTP/2 in the handshake
//! (ALPN). Without it, and if the configuration allows that, the first bytes of the connection tell.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::admission::Admitted;

/// How a listener reads new connections.
#[derive(Debug, Clone)]
pub struct Transport {
    /// The TLS of new connections. `None` for connections without TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether a client without TLS may begin with HTTP/2.
    pub prior_knowledge: bool,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
}

/// What the configuration that is served at the moment says.
pub type CurrentTransport = Arc<dyn Fn() -> Transport + Send + Sync>;

/// With more headers, a head is read before it is complete.
const MOST_HEADERS: usize = 64;
/// How much of a head is looked at before hyper reads it. The heads of nearly all requests are shorter.
const LOOKED_AT: usize = 4 << 10;

/// So many bytes are copied into one piece before they are written. The system needs less time for one piece than for several,
/// and the difference is larger than the time of this copy.
const ONE_PIECE: usize = 4 << 10;

/// The beginning of every HTTP/2 connection of a client.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection's bytes, decrypted.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection whose version of HTTP is known.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// What was read to see which version of HTTP the client speaks.
    pub(super) start: Bytes,
    pub(super) is_http2: bool,
    /// Since when the client has been able to send its first request.
    pub(super) since: Instant,
}

impl Transport {
    /// Makes the TLS handshake, or waits for the head of the first request. So a client that sends none, or sends it slowly, needs
    /// no memory of the HTTP layer. `None`: the connection has lost its place meanwhile.
    pub(super) async fn open(self, mut stream: TcpStream, admitted: &Admitted) -> io::Result<Option<Opened>> {
        if let Some(config) = self.tls {
            let mut handshake = Box::pin(TlsAcceptor::from(config).accept(stream));
            let stream = loop {
                tokio::select! {
                    biased;
                    stream = handshake.as_mut() => break stream?,
                    () = admitted.progress().closed() => {
                        if !handshake.get_ref().is_some_and(has_arrived) {
                            return Ok(None);
                        }
                        admitted.keep_place();
                    }
                }
            };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = Stream::Tls(Box::new(stream));
            return Ok(Some(Opened { stream, start: Bytes::new(), is_http2, since: Instant::now() }));
        }
        let since = Instant::now();
        tokio::select! {
            biased;
            arrived = head_arrives(&stream) => arrived?,
            () = loses_place(&stream, admitted) => return Ok(None),
        }
        let mut start = Vec::new();
        let mut is_http2 = self.prior_knowledge;
        while is_http2 && start.len() < PREFACE.len() {
            let mut rest = (&mut stream).take((PREFACE.len() - start.len()) as u64);
            let read = tokio::select! {
                biased;
                read = rest.read_buf(&mut start) => read?,
                () = admitted.progress().closed() => return Ok(None),
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            is_http2 = PREFACE.starts_with(&start);
        }
        Ok(Some(Opened { stream: Stream::Plain(stream), start: start.into(), is_http2, since }))
    }
}

/// Waits until the system has received the head of a request, or something that is none, or enough bytes to tell hyper that the
/// head is long. They stay where they are.
#[cfg(unix)]
async fn head_arrives(stream: &TcpStream) -> io::Result<()> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let looked = stream.try_io(Interest::READABLE, || match is_head_partial(stream)? {
            // A client that has closed its end sends no more.
            true if !ready.is_read_closed() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        });
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

/// Whether what the system has received is the beginning of a head, and more of it may come. Fails if it has received nothing.
#[cfg(unix)]
fn is_head_partial(stream: &TcpStream) -> io::Result<bool> {
    use rustix::net::{RecvFlags, recv};

    let mut bytes = [0; LOOKED_AT];
    let (length, _) = recv(stream, &mut bytes[..], RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let head = httparse::Request::new(&mut headers).parse(&bytes[..length]);
    Ok((1..LOOKED_AT).contains(&length) && head.is_ok_and(|head| head.is_partial()))
}

/// Elsewhere, it waits for the first byte.
#[cfg(not(unix))]
async fn head_arrives(stream: &TcpStream) -> io::Result<()> {
    stream.peek(&mut [0; 1]).await.map(drop)
}

/// Elsewhere, the system is not asked.
#[cfg(not(unix))]
fn is_head_partial(_: &TcpStream) -> io::Result<bool> {
    Ok(true)
}

/// Waits until the connection has lost its place. It keeps the place if its first head has arrived: while the gateway is busy, it
/// notices some heads late.
async fn loses_place(stream: &TcpStream, admitted: &Admitted) {
    loop {
        admitted.progress().closed().await;
        if !matches!(is_head_partial(stream), Ok(false)) {
            return;
        }
        admitted.keep_place();
    }
}

/// Whether the system has received bytes that were not read.
#[cfg(unix)]
fn has_arrived(stream: &TcpStream) -> bool {
    use rustix::net::{RecvFlags, recv};

    recv(stream, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok_and(|(length, _)| length > 0)
}

/// Elsewhere, the system is not asked.
#[cfg(not(unix))]
fn has_arrived(_: &TcpStream) -> bool {
    false
}

impl Stream {
    /// Whether the system has received bytes from the client that were not read.
    pub(super) fn has_arrived(&self) -> bool {
        match self {
            Self::Plain(stream) => has_arrived(stream),
            Self::Tls(stream) => has_arrived(stream.get_ref().0),
        }
    }

    /// Resets the connection when it is dropped. Otherwise the system would keep what a client does not read, up to some
    /// megabytes, and would not tell the client that the connection is closed before the client has read all of it.
    pub(super) fn reset_on_drop(&self) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let _ = stream.set_zero_linger();
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().map(|slice| slice.len()).sum::<usize>() <= ONE_PIECE {
            let mut space = [MaybeUninit::uninit(); ONE_PIECE];
            let mut piece = ReadBuf::uninit(&mut space);
            for slice in slices {
                piece.put_slice(slice);
            }
            return self.poll_write(context, piece.filled());
        }
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::{super::admission, *};

    /// A client and the gateway's end of its connection.
    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
        (client, listener.accept().await.expect("the same connection").0)
    }

    /// Whether the head has arrived, if the client sends nothing after these bytes.
    async fn has_arrived(start: &[u8]) -> bool {
        let (mut client, gateway) = connected().await;
        client.write_all(start).await.expect("they are sent");
        gateway.readable().await.expect("they arrive");
        head_arrives(&gateway).now_or_never().is_some_and(|arrived| arrived.is_ok())
    }

    #[tokio::test]
    async fn hyper_gets_whole_heads_and_what_is_none() {
        assert!(has_arrived(b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n").await);
        assert!(has_arrived(b"POST / HTTP/1.1\r\nhost: gateway\r\ncontent-length: 3\r\n\r\na").await);
        for part in ["G", "\r\n", "GET / HT", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: gateway\r\n", "PRI * HTTP"]
        {
            assert!(!has_arrived(part.as_bytes()).await, "{part:?} is the beginning of a head");
        }
        for other in ["{\"name\"", "\u{16}\u{3}\u{1}", "GET / HTTP/9", "PRI * HTTP/2.0\r\n"] {
            assert!(has_arrived(other.as_bytes()).await, "{other:?} begins no head");
        }
        assert!(
            has_arrived(format!("GET /{} ", "a".repeat(LOOKED_AT)).as_bytes()).await,
            "it is not looked at further"
        );
    }

    #[tokio::test]
    async fn a_head_that_arrives_in_parts_is_awaited() {
        let (mut client, gateway) = connected().await;
        let mut arrives = Box::pin(head_arrives(&gateway));
        for part in ["GET / HTTP/1.1\r\n", "host: gate", "way\r\n\r"] {
            client.write_all(part.as_bytes()).await.expect("it is sent");
            gateway.readable().await.expect("it arrives");
            assert!(arrives.as_mut().now_or_never().is_none(), "{part:?} does not end the head");
        }
        client.write_all(b"\n").await.expect("it is sent");
        arrives.await.expect("the head has arrived");
    }

    #[tokio::test]
    async fn a_client_that_closes_within_a_head_is_not_awaited() {
        let (mut client, gateway) = connected().await;
        client.write_all(b"GET / HT").await.expect("it is sent");
        client.shutdown().await.expect("its end is closed");
        head_arrives(&gateway).await.expect("hyper reads the end");
    }

    #[tokio::test]
    async fn a_new_connection_keeps_its_place_if_its_head_has_arrived() {
        let admission = admission::tests::admission(1, "10.0.0.0/8");
        for (start, is_kept) in
            [("GET / HTTP/1.1\r\nhost: gateway\r\n\r\n", true), ("GET / HTTP/1.1\r\n", false), ("", false)]
        {
            let (mut client, gateway) = connected().await;
            let admitted = admission::tests::admit(&admission, [192, 0, 2, 1].into()).expect("a free place");
            client.write_all(start.as_bytes()).await.expect("it is sent");
            if !start.is_empty() {
                gateway.readable().await.expect("it arrives");
            }
            admission::tests::replace(&admission);
            let lost = loses_place(&gateway, &admitted).now_or_never();
            assert_eq!((lost.is_none(), admitted.progress().waits_since().is_some()), (is_kept, is_kept), "{start:?}");
        }
    }

    /// The client's bytes have arrived after the handshake was last polled: the runtime does not know of them yet.
    #[tokio::test]
    async fn a_connection_keeps_its_place_in_a_handshake_if_the_client_goes_on_with_it() {
        let certified = rcgen::generate_simple_self_signed(["gateway".to_owned()]).expect("a certificate");
        let key = certified.signing_key.serialize_der().try_into().expect("a key");
        let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
        let config = config.with_safe_default_protocol_versions().expect("known versions").with_no_client_auth();
        let config =
            config.with_single_cert(vec![certified.cert.der().clone()], key).expect("a certificate with its key");
        let transport =
            Transport { tls: Some(Arc::new(config)), prior_knowledge: false, request_timeout: Duration::ZERO };
        let admission = admission::tests::admission(1, "10.0.0.0/8");
        for is_kept in [true, false] {
            let (mut client, gateway) = connected().await;
            let admitted = admission::tests::admit(&admission, [192, 0, 2, 1].into()).expect("a free place");
            let mut opened = Box::pin(transport.clone().open(gateway, &admitted));
            assert!(opened.as_mut().now_or_never().is_none(), "the client has sent nothing");
            if is_kept {
                client.write_all(&[22, 3, 1]).await.expect("the beginning of a handshake is sent");
            }
            admission::tests::replace(&admission);
            let opened = opened.as_mut().now_or_never();
            assert_eq!(opened.is_some_and(|opened| opened.is_ok_and(|opened| opened.is_none())), !is_kept);
            assert_eq!(admitted.progress().waits_since().is_some(), is_kept);
        }
    }

    #[tokio::test]
    async fn pieces_arrive_in_their_order_whether_they_are_copied_or_not() {
        for length in [1, ONE_PIECE / 2, ONE_PIECE] {
            let (mut client, gateway) = connected().await;
            let pieces = [b'a', b'b'].map(|byte| vec![byte; length]);
            let slices = [IoSlice::new(&pieces[0]), IoSlice::new(&pieces[1])];
            let written = Stream::Plain(gateway).write_vectored(&slices).await.expect("they are written");
            assert_eq!(written, 2 * length);
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.expect("they arrive");
            assert!(received == pieces.concat(), "two pieces of {length} bytes");
        }
    }
}
