//! Reads request bodies, for the API and for drop-in. A body costs what it holds: its pieces are copied together, because
//! a piece as it is received keeps the whole buffer that it was read into.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::{
    merchant::Gateway,
    problem::{Code, Problem},
    state::Reservation,
};

/// What a body may be, and how slowly it may arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// How large it may be, in bytes.
    pub(crate) size: usize,
    /// How long it may take in total.
    pub(crate) timeout: Duration,
    /// How many bytes must arrive in a second, after [`GRACE`]. 0 for any number.
    pub(crate) rate: u32,
}

impl BodyLimits {
    /// Those of the configuration.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self { size: gateway.max_body, timeout: gateway.body_timeout, rate: gateway.min_body_rate }
    }

    /// How long a body may take of which so many bytes have arrived.
    fn time(self, received: usize, grace: Duration) -> Duration {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let at_least = (Duration::from_secs(1) * received).checked_div(self.rate);
        at_least.map_or(self.timeout, |time| self.timeout.min(grace + time))
    }
}

/// How long a body may take before it has to arrive at the minimum rate. A client that needs longer for its first bytes
/// has lost several packets in a row. The usual rate is far below the slowest mobile connection, and ends a client that sends
/// byte by byte.
const GRACE: Duration = Duration::from_secs(5);

/// The first memory of a body that does not arrive whole.
const FIRST_CAPACITY: usize = 1 << 10;

/// Reads a whole body within its limits, and within what its owner may hold of the memory for bodies. A compressed body
/// is refused, because its size is not known before it is decompressed. The headers are not needed while the body is awaited:
/// they keep the buffer that they were read into.
pub(crate) fn read_body(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
    reservation: Reservation,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let declared = declared(headers, limits.size);
    async move {
        match declared? {
            _ if body.is_end_stream() => Ok(Bytes::new()),
            declared => collect(body, declared, limits, GRACE, reservation).await,
        }
    }
}

/// The declared length of a body that may be read.
fn declared(headers: &HeaderMap, limit: usize) -> Result<Option<usize>, Problem> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "the body must not be compressed; send it without `Content-Encoding`",
        ));
    }
    // A body that is declared as too large is refused before it is read.
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared: Option<usize> = declared.and_then(|value| value.to_str().ok()?.parse().ok());
    match declared.is_some_and(|length| length > limit) {
        true => Err(too_large(limit)),
        false => Ok(declared),
    }
}

async fn collect(
    mut body: Body,
    declared: Option<usize>,
    limits: BodyLimits,
    grace: Duration,
    reservation: Reservation,
) -> Result<Bytes, Problem> {
    let mut collected = Collected { bytes: Vec::new(), reservation };
    let expected = declared.unwrap_or(limits.size);
    let begin = Instant::now();
    loop {
        let ends = begin + limits.time(collected.bytes.len(), grace);
        let Ok(frame) = timeout_at(ends, body.frame()).await else { return Err(too_slow(limits)) };
        let Some(frame) = frame else { break };
        let Ok(frame) = frame else {
            return Err(Problem::new(Code::MalformedRequest, "the body ended before it was complete"));
        };
        let Some(piece) = frame.data_ref() else { return Err(trailers()) };
        if piece.len() > limits.size - collected.bytes.len() {
            return Err(too_large(limits.size));
        }
        collected.make_room(piece.len(), expected)?;
        collected.bytes.extend_from_slice(piece);
    }
    Ok(Bytes::from_owner(collected))
}

/// A body in memory, with its reservation.
struct Collected {
    bytes: Vec<u8>,
    reservation: Reservation,
}

impl AsRef<[u8]> for Collected {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Collected {
    /// Makes room for more bytes. A body that arrives whole gets its memory at once. Another one gets more as it arrives,
    /// because a client can declare a length and send nothing.
    fn make_room(&mut self, more: usize, expected: usize) -> Result<(), Problem> {
        let needed = self.bytes.len() + more;
        if needed <= self.bytes.capacity() {
            return Ok(());
        }
        let comfortable = (2 * self.bytes.capacity()).max(FIRST_CAPACITY).min(expected);
        let capacity = needed.max(comfortable);
        self.reservation.grow(capacity).map_err(|_| {
            let detail = "the request bodies of this client's merchant, or those of all clients together, occupy as much \
                          memory as the gateway allows; try again";
            Problem::new(Code::Overloaded, detail)
        })?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }
}

/// If the gateway ignored them, the client would not know that they are lost.
fn trailers() -> Problem {
    Problem::new(Code::MalformedRequest, "trailers follow the body; send them as headers, or leave them out")
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body must not be larger than {limit} bytes"))
}

fn too_slow(limits: BodyLimits) -> Problem {
    let (timeout, grace, rate) = (limits.timeout.as_secs_f32(), GRACE.as_secs(), limits.rate);
    let mut detail = format!("the body arrived too slowly: it may take {timeout} s");
    if rate > 0 {
        detail.push_str(&format!(", and after {grace} s it must have arrived at {rate} bytes a second"));
    }
    Problem::new(Code::RequestTimeout, detail)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::state::{BodyBudget, BodyOwner};

    const LIMITS: BodyLimits = BodyLimits { size: 1 << 20, timeout: Duration::from_mins(1), rate: 1 << 10 };

    /// A body of these pieces, which does not end.
    fn endless(pieces: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> Body {
        let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
        Body::from_stream(pieces.chain(stream::pending()))
    }

    fn reservation(budget: &BodyBudget) -> Reservation {
        budget.reservation(BodyOwner::Merchant("acme".to_owned()))
    }

    async fn refusal(body: Body, grace: Duration, budget: usize) -> Code {
        let read = collect(body, None, LIMITS, grace, reservation(&BodyBudget::new(budget))).await;
        read.expect_err("a refusal").code()
    }

    #[test]
    fn a_body_has_the_time_that_its_rate_allows_and_never_more_than_its_timeout() {
        let time = |rate: u32, received: usize| BodyLimits { rate, ..LIMITS }.time(received, GRACE).as_secs();
        assert_eq!([time(1024, 0), time(1024, 10 << 10), time(1024, 1 << 20)], [5, 15, 60]);
        assert_eq!([time(10, 0), time(10, 100)], [5, 15]);
        assert_eq!([time(0, 0), time(0, 1 << 20)], [60, 60], "without a rate, only the timeout counts");
    }

    #[tokio::test]
    async fn a_body_is_held_once_whatever_the_number_of_its_pieces() {
        let buffer = Bytes::from(vec![b'1'; 8 << 10]);
        let pieces: Vec<_> = (0..10_000).map(|_| Ok::<_, Infallible>(buffer.slice(..1))).collect();
        let budget = BodyBudget::new(64 << 10);
        let body = Body::from_stream(stream::iter(pieces));
        let read = collect(body, None, LIMITS, GRACE, reservation(&budget)).await.expect("a body");
        assert_eq!(read.len(), 10_000);
        assert!(buffer.is_unique(), "no piece keeps the buffer that it was read into");
        assert!(reservation(&budget).grow(23 << 10).is_err(), "the body occupies its part of the budget");
        drop(read);
        reservation(&budget).grow(24 << 10).expect("its part is returned");
    }

    #[tokio::test]
    async fn a_body_slower_than_the_minimum_rate_is_refused() {
        let slow = endless([Bytes::from_static(b"{")]);
        assert_eq!(refusal(slow, Duration::from_millis(20), 1 << 20).await, Code::RequestTimeout);
        let never = endless([]);
        assert_eq!(refusal(never, Duration::from_millis(20), 1 << 20).await, Code::RequestTimeout);
    }

    #[tokio::test]
    async fn a_body_beyond_the_budget_or_the_limit_is_refused_while_it_arrives() {
        let piece = Bytes::from(vec![b' '; 1 << 12]);
        let many = |count| endless(std::iter::repeat_n(piece.clone(), count));
        assert_eq!(refusal(many(64), GRACE, 128 << 10).await, Code::Overloaded);
        assert_eq!(refusal(many(257), GRACE, 4 << 20).await, Code::BodyTooLarge);
    }
}
