//! Who may send at a connection, and when (R26). Clients go first: one count serves all requests, and what the gateway sends
//! on its own, such as the copies of a switch, leaves half of the requests of a period to clients.
//!
//! A client's request above the limit is refused. A request of the gateway waits.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use passerelle_providers::{
    kit::retry_after,
    model::{Error, Kind, Response},
};
use tokio::time::{Instant, sleep_until};

use crate::config::Rate;

/// A wait that is shorter than what counts as a stall of a switch.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A client of the gateway.
    Client,
    /// The gateway on its own.
    Gateway,
}

/// When requests may be sent at a connection.
#[derive(Debug)]
pub(super) struct Turns {
    limit: Option<Limit>,
    /// Until then the provider wants no requests. The gateway sends none on its own.
    closed_until: Mutex<Instant>,
    /// Requests of the gateway wait one after the other.
    queue: tokio::sync::Mutex<()>,
}

/// The requests of a period, as the generic cell rate algorithm counts them.
#[derive(Debug)]
struct Limit {
    rate: Rate,
    /// After this time, there is room for one more request.
    per_request: Duration,
    /// When there is room for all requests of a period again.
    full_at: Mutex<Instant>,
}

impl Turns {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let (closed_until, queue) = (Mutex::new(Instant::now()), tokio::sync::Mutex::default());
        Self { limit: rate.map(Limit::new), closed_until, queue }
    }

    pub(super) fn rate(&self) -> Option<Rate> {
        self.limit.as_ref().map(|limit| limit.rate)
    }

    /// Counts a request, if it may be sent now.
    pub(super) fn take(&self, sender: Sender) -> Result<(), Error> {
        self.take_at(sender, Instant::now()).map_err(|_| reached())
    }

    /// Counts a request as soon as it may be sent.
    pub(super) async fn wait(&self, sender: Sender, send_until: Instant) -> Result<(), Error> {
        let _place = match sender {
            Sender::Client => None,
            Sender::Gateway => Some(self.queue.lock().await),
        };
        loop {
            let mut now = Instant::now();
            if sender == Sender::Gateway {
                let opens_at = self.opens_at(now)?;
                if opens_at > now {
                    sleep_until(opens_at).await;
                    now = Instant::now();
                }
            }
            match self.take_at(sender, now) {
                Ok(()) => return Ok(()),
                Err(allowed_at) if allowed_at >= send_until => return Err(reached()),
                Err(allowed_at) => sleep_until(allowed_at).await,
            }
        }
    }

    /// Whether a request of the gateway waits.
    pub(super) fn are_waited_for(&self) -> bool {
        self.queue.try_lock().is_err()
    }

    /// Notes when the provider allows the next request. This is called for requests of the gateway.
    pub(super) fn note(&self, response: &Response) {
        if !response.status().is_success()
            && let Some(seconds) = retry_after(response.headers())
            && let Some(until) = Instant::now().checked_add(Duration::from_secs(seconds))
        {
            let mut closed_until = locked(&self.closed_until);
            *closed_until = until.max(*closed_until);
        }
    }

    /// When the provider wants requests again. A longer wait is an error, so that it is shown, and holds up no copy in the
    /// middle.
    fn opens_at(&self, now: Instant) -> Result<Instant, Error> {
        let opens_at = now.max(*locked(&self.closed_until));
        let left = opens_at - now;
        if left <= SHORT_WAIT {
            return Ok(opens_at);
        }
        let message = "the provider has asked to wait before the next request; nothing was sent";
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Err(Error::new(Kind::RateLimited, message).with_retry_after(Some(seconds)))
    }

    /// The error is when it may be sent.
    fn take_at(&self, sender: Sender, now: Instant) -> Result<(), Instant> {
        self.limit.as_ref().map_or(Ok(()), |limit| limit.take(sender, now))
    }
}

impl Limit {
    fn new(rate: Rate) -> Self {
        let per_request = (rate.per / rate.requests.get()).max(Duration::from_nanos(1));
        Self { rate, per_request, full_at: Mutex::new(Instant::now()) }
    }

    fn take(&self, sender: Sender, now: Instant) -> Result<(), Instant> {
        let all = self.rate.requests.get();
        let most = match sender {
            Sender::Client => all,
            Sender::Gateway => all - all / 2,
        };
        let mut full_at = locked(&self.full_at);
        let next = now.max(*full_at) + self.per_request;
        let too_early = next.duration_since(now).saturating_sub(self.per_request.saturating_mul(most));
        if !too_early.is_zero() {
            return Err(now + too_early);
        }
        *full_at = next;
        Ok(())
    }
}

fn reached() -> Error {
    let message = "the `rate_limit` of this connection is reached; nothing was sent";
    Error::new(Kind::Throttled, message).with_retry_after(Some(1))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http::{StatusCode, header};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn turns(rate: &str) -> Turns {
        Turns::new(Rate::parse(rate))
    }

    /// How many requests may be sent at this time.
    fn count(turns: &Turns, sender: Sender, at: Instant) -> usize {
        std::iter::repeat_with(|| turns.take_at(sender, at)).take_while(Result::is_ok).count()
    }

    #[test]
    fn the_gateway_leaves_half_of_the_limit_to_clients() {
        let (turns, begun) = (turns("10/min"), Instant::now());
        assert_eq!(count(&turns, Sender::Gateway, begun), 5);
        assert_eq!(count(&turns, Sender::Client, begun), 5, "the limit itself holds");
        // One more comes every six seconds: first for the clients, until they have half again.
        let later = begun + Duration::from_secs(30);
        assert_eq!(count(&turns, Sender::Gateway, later), 0);
        assert_eq!(turns.take_at(Sender::Gateway, later), Err(later + Duration::from_secs(6)));
        assert_eq!(count(&turns, Sender::Client, later), 5);
    }

    #[test]
    fn the_gateway_has_the_whole_rate_while_no_client_sends() {
        let (turns, begun) = (turns("10/s"), Instant::now());
        let sent = |tenths: u64| count(&turns, Sender::Gateway, begun + Duration::from_millis(100 * tenths));
        assert_eq!((0..=20).map(sent).sum::<usize>(), 5 + 20);
    }

    #[test]
    fn the_gateway_sends_nothing_while_clients_use_the_whole_rate() {
        let (turns, begun) = (turns("10/s"), Instant::now());
        let mut sent = [0, 0];
        for tenths in 0..=50 {
            let at = begun + Duration::from_millis(100 * tenths);
            for (sent, sender) in sent.iter_mut().zip([Sender::Client, Sender::Gateway]) {
                *sent += count(&turns, sender, at);
            }
        }
        assert_eq!(sent, [10 + 50, 0]);
    }

    /// With a limit of one request, nothing can be left to clients.
    #[test]
    fn one_request_may_be_sent_at_every_limit() {
        for sender in [Sender::Client, Sender::Gateway] {
            let (turns, begun) = (turns("1/h"), Instant::now());
            assert_eq!(count(&turns, sender, begun), 1);
            assert_eq!(count(&turns, sender, begun + HOUR), 1);
        }
    }

    #[tokio::test]
    async fn a_request_that_may_not_be_sent_before_its_deadline_does_not_wait() {
        for sender in [Sender::Client, Sender::Gateway] {
            let (turns, soon) = (turns("1/h"), Instant::now() + Duration::from_mins(1));
            turns.wait(sender, soon).await.expect("the first");
            assert_eq!(turns.wait(sender, soon).await.expect_err("the second").kind, Kind::Throttled);
        }
    }

    #[tokio::test]
    async fn it_shows_that_a_request_of_the_gateway_waits() {
        let (turns, late) = (turns("1/h"), Instant::now() + 2 * HOUR);
        turns.wait(Sender::Gateway, late).await.expect("the first");
        assert!(!turns.are_waited_for());
        let look = async { assert!(turns.are_waited_for()) };
        tokio::select! {
            biased;
            _ = turns.wait(Sender::Gateway, late) => unreachable!("an hour has not passed"),
            () = look => {}
        }
        assert!(!turns.are_waited_for());
    }

    #[tokio::test]
    async fn the_gateway_keeps_retry_after_and_a_shorter_one_does_not_end_it() {
        let (turns, begun) = (Turns::new(None), Instant::now());
        for seconds in ["3600", "1", "soon"] {
            let mut refusal = Response::default();
            *refusal.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            refusal.headers_mut().insert(header::RETRY_AFTER, seconds.parse().expect("a header"));
            turns.note(&refusal);
        }
        assert!(turns.wait(Sender::Client, begun + HOUR).await.is_ok(), "the provider itself answers a client");
        let refused = turns.wait(Sender::Gateway, begun + HOUR).await.expect_err("it is too early");
        assert_eq!((refused.kind, refused.retry_after), (Kind::RateLimited, Some(3600)));
        let later = begun + HOUR - Duration::from_millis(500);
        assert!(turns.opens_at(later).is_ok_and(|opens_at| opens_at > later), "a short wait is no error");
        assert_eq!(turns.opens_at(begun + 2 * HOUR).ok(), Some(begun + 2 * HOUR));
    }
}
