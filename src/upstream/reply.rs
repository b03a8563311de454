//! Reads the body of a provider's answer, up to a limit on its decompressed size. `client` calls it.

mod wake;

use bytes::Bytes;
use memmap2::MmapMut;
use passerelle_providers::{
    kit::LARGE_REPLY,
    model::{Error, MAX_RECORD, Response},
};

use super::budget::Share;
use wake::wake_for;

/// How large a reply may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    bytes: usize,
    /// What the limit is, for the error.
    name: &'static str,
}

impl Limit {
    /// The limit of a reply with many records.
    pub(super) const fn of_page(max_reply: usize) -> Self {
        Self { bytes: max_reply, name: "the limit `outbound.max_reply`" }
    }

    /// The limit of a reply with one record.
    pub(super) const fn of_record(max_reply: usize) -> Self {
        match max_reply {
            0..=MAX_RECORD => Self::of_page(max_reply),
            _ => Self { bytes: MAX_RECORD, name: "the limit of an answer with one record" },
        }
    }

    fn exceeded(self) -> Error {
        Error::bad_response(format_args!("a body of more than {} bytes, {}", self.bytes, self.name))
    }
}

/// Reads a reply to its end. A body that arrives as one chunk is not copied. The chunks of any other body are copied:
/// each chunk, however small, keeps alive the whole buffer that it was read into, so a provider that sends single bytes
/// could fill the memory. No more is kept than `share` has room for. Only the status of a large refusal is used, so it is
/// not read to its end.
pub(super) async fn read(
    mut response: reqwest::Response,
    limit: Limit,
    mut share: Share<'_>,
) -> Result<Response, Error> {
    let broken = |_| Error::bad_response("a body that is cut off or cannot be decompressed");
    let is_refusal = !response.status().is_success();
    let most = if is_refusal { LARGE_REPLY } else { limit.bytes };
    let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    if expected > most && !is_refusal {
        return Err(limit.exceeded());
    }
    let (mut first, mut copied, mut length) = (Bytes::new(), Copied::default(), 0_usize);
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        length = length.saturating_add(chunk.len());
        if length > most && !is_refusal {
            return Err(limit.exceeded());
        }
        if length > share.size() {
            // Doubled where the length is not known, so that the body is copied only a few times.
            let next = if expected > length { expected } else { share.size().saturating_mul(2) };
            share.grow(next.min(most).max(length)).await?;
        }
        if first.is_empty() && copied.is_empty() {
            first = chunk;
        } else {
            if length > copied.capacity() {
                let room = if expected > length { expected } else { length.saturating_mul(2) };
                copied.reserve(room.clamp(length, share.size()))?;
            }
            if copied.is_empty() {
                copied.extend(&std::mem::take(&mut first));
            }
            copied.extend(&chunk);
        }
        if length > most {
            break;
        }
    }
    wake_for(length);
    let body = if copied.is_empty() { first } else { copied.into_bytes() };
    let mut reply = Response::new(share.into_body(body));
    *reply.status_mut() = response.status();
    *reply.headers_mut() = std::mem::take(response.headers_mut());
    Ok(reply)
}

/// The chunks of a body, one after the other. A large body has pages of memory of its own, which the system gets back at
/// once: an allocator keeps a large block that another thread frees, and several threads handle one reply.
#[derive(Default)]
struct Copied {
    small: Vec<u8>,
    large: Option<MmapMut>,
    length: usize,
}

impl Copied {
    const fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn capacity(&self) -> usize {
        self.large.as_ref().map_or(self.small.capacity(), |pages| pages.len())
    }

    /// Makes room for so many bytes in total.
    fn reserve(&mut self, total: usize) -> Result<(), Error> {
        if total <= LARGE_REPLY && self.large.is_none() {
            self.small.reserve_exact(total.saturating_sub(self.length));
            return Ok(());
        }
        // The provider has executed the request by now, so this is an answer that cannot be used, and no overload.
        let mut pages = MmapMut::map_anon(total).map_err(|error| {
            Error::bad_response(format_args!("a body for which the system gave no memory ({error})"))
        })?;
        if let Some(begin) = pages.get_mut(..self.length) {
            begin.copy_from_slice(self.bytes());
        }
        (self.small, self.large) = (Vec::new(), Some(pages));
        Ok(())
    }

    /// Adds a chunk, for which there is room.
    fn extend(&mut self, chunk: &[u8]) {
        let end = self.length + chunk.len();
        match &mut self.large {
            None => self.small.extend_from_slice(chunk),
            Some(pages) => pages[self.length..end].copy_from_slice(chunk),
        }
        self.length = end;
    }

    fn bytes(&self) -> &[u8] {
        match &self.large {
            None => &self.small,
            Some(pages) => &pages[..self.length],
        }
    }

    fn into_bytes(self) -> Bytes {
        match self.large {
            None => self.small.into(),
            Some(pages) => Bytes::from_owner(pages).slice(..self.length),
        }
    }
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
    use crate::upstream::budget::Budget;

    /// A chunk of a reply. The reference count of its buffer shows how many chunks are alive.
    struct Chunk(Arc<[u8]>);

    impl AsRef<[u8]> for Chunk {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    /// A reply of `count` chunks of one byte, and the largest number of chunks that were alive at once.
    fn chunked_reply(count: usize) -> (reqwest::Response, Arc<AtomicUsize>) {
        let buffer = Arc::from(&b"x"[..]);
        let most_alive = Arc::new(AtomicUsize::new(0));
        let maximum = Arc::clone(&most_alive);
        let chunks = stream::iter(0..count).map(move |_| {
            maximum.fetch_max(Arc::strong_count(&buffer) - 1, Ordering::Relaxed);
            Ok::<_, Infallible>(Frame::data(Bytes::from_owner(Chunk(Arc::clone(&buffer)))))
        });
        let body = reqwest::Body::wrap(StreamBody::new(chunks));
        (http::Response::new(body).into(), most_alive)
    }

    #[tokio::test]
    async fn the_chunks_of_a_reply_are_not_kept_until_its_end() {
        const SENT: usize = 100;
        let budget = Budget::whole();
        let (reply, most_alive) = chunked_reply(SENT);
        let reply = read(reply, Limit::of_page(SENT), Share::new([&budget, &budget], false)).await.expect("a reply");
        assert_eq!(*reply.body(), "x".repeat(SENT));
        assert_eq!(most_alive.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_reply_that_grows_large_is_read_whole() {
        const CHUNK: usize = 100 << 10;
        let part = |number: u8| Bytes::from(vec![number; CHUNK]);
        let chunks = stream::iter(0..7).map(move |number| Ok::<_, Infallible>(Frame::data(part(number))));
        let reply = http::Response::new(reqwest::Body::wrap(StreamBody::new(chunks))).into();
        let budget = Budget::whole();
        let share = Share::new([&budget, &budget], false);
        let read = read(reply, Limit::of_page(8 * CHUNK), share).await.expect("a reply");
        assert!(*read.body() == (0..7).flat_map(part).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn a_reply_larger_than_the_limit_is_refused() {
        let budget = Budget::whole();
        let read =
            |count, limit| read(chunked_reply(count).0, Limit::of_page(limit), Share::new([&budget, &budget], false));
        assert!(read(9, 8).await.is_err());
        assert_eq!(read(8, 8).await.expect("a reply").body().len(), 8);
        assert_eq!(read(0, 0).await.expect("a reply").body().len(), 0);
    }
}
