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
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{ListenerSeries, admission::Admitted, arrival::has_arrived};

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
    /// Makes the TLS handshake, or reads what tells the version of HTTP, of a client that connected at this time and whose first bytes
    /// have arrived. `None`: the connection has lost its place meanwhile.
    pub(super) async fn open(
        &self,
        mut stream: TcpStream,
        admitted: &Admitted,
        connected: Instant,
    ) -> io::Result<Option<Opened>> {
        if let Some(config) = &self.tls {
            let mut handshake = Box::pin(TlsAcceptor::from(Arc::clone(config)).accept(stream));
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
        let mut start = Vec::new();
        let mut is_http2 = self.prior_knowledge;
        while is_http2 && start.len() < PREFACE.len() {
            let mut rest = (&mut stream).take((PREFACE.len() - start.len()) as u64);
            let read = loop {
                tokio::select! {
                    biased;
                    read = rest.read_buf(&mut start) => break read?,
                    () = admitted.progress().closed() => {
                        if !has_arrived(rest.get_ref()) {
                            return Ok(None);
                        }
                        admitted.keep_place();
                    }
                }
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            is_http2 = PREFACE.starts_with(&start);
        }
        Ok(Some(Opened { stream: Stream::Plain(stream), start: start.into(), is_http2, since: connected }))
    }

    /// Counts a TLS handshake that failed. It has no line in the log: any client can cause as many as it likes.
    pub(super) fn failed(&self, series: &ListenerSeries, error: &io::Error) {
        if self.tls.is_some() {
            series.handshakes_failed.inc();
            tracing::debug!("a TLS handshake failed: {error}");
        }
    }
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
pub(super) mod tests {
    use futures_util::FutureExt;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::{super::admission, *};

    /// A client and the gateway's end of its connection.
    pub(in super::super) async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
        (client, listener.accept().await.expect("the same connection").0)
    }

    /// The client's bytes have arrived after the connection was last polled: the runtime does not know of them yet.
    #[tokio::test]
    async fn a_connection_keeps_its_place_if_the_client_goes_on_with_its_handshake_or_its_preface() {
        let certified = rcgen::generate_simple_self_signed(["gateway".to_owned()]).expect("a certificate");
        let key = certified.signing_key.serialize_der().try_into().expect("a key");
        let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
        let config = config.with_safe_default_protocol_versions().expect("known versions").with_no_client_auth();
        let config =
            config.with_single_cert(vec![certified.cert.der().clone()], key).expect("a certificate with its key");
        let plain = Transport { tls: None, prior_knowledge: true, request_timeout: Duration::ZERO };
        let with_tls = Transport { tls: Some(Arc::new(config)), ..plain.clone() };
        let admission = admission::tests::admission(1, "10.0.0.0/8");
        let handshake: &[u8] = &[22, 3, 1];
        for (transport, bytes, is_kept) in [
            (&with_tls, handshake, true),
            (&with_tls, handshake, false),
            (&plain, &PREFACE[..3], true),
            (&plain, &PREFACE[..3], false),
        ] {
            let (mut client, gateway) = connected().await;
            let admitted = admission::tests::admit(&admission, [192, 0, 2, 1].into()).expect("a free place");
            let mut opened = Box::pin(transport.open(gateway, &admitted, Instant::now()));
            assert!(opened.as_mut().now_or_never().is_none(), "the client has sent nothing");
            if is_kept {
                client.write_all(bytes).await.expect("they are sent");
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
