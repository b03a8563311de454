//! Tells when the first bytes of a new connection have arrived that hyper or TLS can use. They are looked at and stay where they are,
//! so a client that sends no head, or sends it slowly, needs no memory of the HTTP layer.

use std::io;

use tokio::{io::Interest, net::TcpStream};

use super::admission::Admitted;

/// With more headers, a head is read before it is complete.
const MOST_HEADERS: usize = 64;
/// How much of a head is looked at before hyper reads it. The heads of nearly all requests are shorter.
const LOOKED_AT: usize = 4 << 10;

/// Waits until the system has received the head of a request, or bytes that are none, such as a TLS handshake, or enough bytes to tell
/// hyper that the head is long. They stay where they are.
#[cfg(unix)]
pub(super) async fn head_arrives(stream: &TcpStream) -> io::Result<()> {
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

/// Whether what the system has received is the beginning of a head, and more of it may come. Fails if it has received nothing, and if
/// the client has closed the connection without sending anything.
#[cfg(unix)]
fn is_head_partial(stream: &TcpStream) -> io::Result<bool> {
    use rustix::net::{RecvFlags, recv};

    let mut bytes = [0; LOOKED_AT];
    let (length, _) = recv(stream, &mut bytes[..], RecvFlags::PEEK | RecvFlags::DONTWAIT)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let head = httparse::Request::new(&mut headers).parse(&bytes[..length]);
    Ok(length < LOOKED_AT && head.is_ok_and(|head| head.is_partial()))
}

/// Elsewhere, it waits for the first byte.
#[cfg(not(unix))]
pub(super) async fn head_arrives(stream: &TcpStream) -> io::Result<()> {
    match stream.peek(&mut [0; 1]).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Elsewhere, the system is not asked.
#[cfg(not(unix))]
fn is_head_partial(_: &TcpStream) -> io::Result<bool> {
    Ok(true)
}

/// Waits until the connection has lost its place. It keeps the place if its first head has arrived: while the gateway is busy, it
/// notices some heads late.
pub(super) async fn loses_place(stream: &TcpStream, admitted: &Admitted) {
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
pub(super) fn has_arrived(stream: &TcpStream) -> bool {
    use rustix::net::{RecvFlags, recv};

    recv(stream, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok_and(|(length, _)| length > 0)
}

/// Elsewhere, the system is not asked.
#[cfg(not(unix))]
pub(super) fn has_arrived(_: &TcpStream) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncWriteExt;

    use super::{
        super::{admission, transport::tests::connected},
        *,
    };

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
    async fn a_client_that_closes_without_sending_anything_is_not_served() {
        let (mut client, gateway) = connected().await;
        client.shutdown().await.expect("its end is closed");
        let failed = head_arrives(&gateway).await.expect_err("hyper needs no such connection");
        assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
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
}
