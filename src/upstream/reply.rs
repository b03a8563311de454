//! Reads replies, up to a cap that holds after decompression.

use bytes::{Bytes, BytesMut};
use passerelle_providers::model::{Error, Response};

/// Reads a reply to its end. A body that comes in one piece is not copied. Of any other the pieces are: each of them,
/// however small, holds the whole buffer that it was read into, so that a provider that sends byte by byte could fill
/// the memory.
pub(super) async fn read(mut response: reqwest::Response, max_reply: usize) -> Result<Response, Error> {
    let broken = |_| Error::bad_response("a body that broke off or could not be decompressed");
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok());
    let (mut first, mut copied, mut length) = (Bytes::new(), BytesMut::new(), 0_usize);
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        length = length.saturating_add(piece.len());
        if length > max_reply {
            let why = format_args!("more than the {max_reply} bytes that are read of a reply");
            return Err(Error::bad_response(why));
        }
        if first.is_empty() && copied.is_empty() {
            first = piece;
            continue;
        }
        if copied.is_empty() {
            copied.reserve(expected.unwrap_or_default().min(max_reply).max(length));
            copied.extend_from_slice(&std::mem::take(&mut first));
        }
        copied.extend_from_slice(&piece);
    }
    let mut read = Response::new(if copied.is_empty() { first } else { copied.freeze() });
    *read.status_mut() = response.status();
    *read.headers_mut() = std::mem::take(response.headers_mut());
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// A piece of a reply, in a buffer of which is known how long it is held.
    struct Piece(Arc<[u8]>);

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    /// So many pieces of one byte, and the most buffers of them that were held at once.
    fn pieces(count: usize) -> (reqwest::Response, Arc<AtomicUsize>) {
        let buffer = Arc::from(&b"x"[..]);
        let most_held = Arc::new(AtomicUsize::new(0));
        let noted = Arc::clone(&most_held);
        let pieces = stream::iter(0..count).map(move |_| {
            noted.fetch_max(Arc::strong_count(&buffer) - 1, Ordering::Relaxed);
            Ok::<_, Infallible>(Frame::data(Bytes::from_owner(Piece(Arc::clone(&buffer)))))
        });
        let body = reqwest::Body::wrap(StreamBody::new(pieces));
        (http::Response::new(body).into(), most_held)
    }

    #[tokio::test]
    async fn the_pieces_of_a_reply_are_not_held_until_its_end() {
        const SENT: usize = 100;
        let (reply, most_held) = pieces(SENT);
        let read = read(reply, SENT).await.expect("a reply");
        assert_eq!(*read.body(), "x".repeat(SENT));
        assert_eq!(most_held.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_reply_is_read_up_to_its_cap() {
        assert!(read(pieces(9).0, 8).await.is_err());
        assert_eq!(read(pieces(8).0, 8).await.expect("a reply").body().len(), 8);
        assert_eq!(read(pieces(0).0, 0).await.expect("a reply").body().len(), 0);
    }
}
