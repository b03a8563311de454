//! Who may send at a connection, and when (R26). Clients go first: one count serves all requests, and what the gateway sends
//! on its own, such as the copies of a switch, leaves half of the requests of a period to clients.
//!
//! A client's request above the limit is refused. A request of the gateway waits.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use passerelle_providers::model::{Error, Kind};
use tokio::time::{Instant, sleep_until};

use crate::config::Rate;

/// How long a request of the gateway waits for an open breaker. A longer wait is an error, so that the switch shows it.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// How often it looks whether the breaker is closed.
const LOOK: Duration = Duration::from_millis(100);

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A client of the gateway.
    Client,
    /// The gateway on its own.
    Gateway,
}

/// When requests may be sent at a connection.
#[derive(Debug)]
pub(super) struct Turns {
    limit: Option<Limit>,
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
        Self { limit: rate.map(Limit::new), queue: tokio::sync::Mutex::default() }
    }

    pub(super) fn rate(&self) -> Option<Rate> {
        self.limit.as_ref().map(|limit| limit.rate)
    }

    /// Counts a request, if it may be sent now.
    pub(super) fn take(&self, sender: Sender) -> Result<(), Error> {
        let Some(limit) = &self.limit else { return Ok(()) };
        limit.take(sender, Instant::now()).map_err(|_| reached())
    }

    /// Counts a request as soon as it may be sent. It stops waiting when `check` refuses the request; for a request of the
    /// gateway, a refusal may last a moment, because the work of which it is a part would have to begin again.
    pub(super) async fn wait(
        &self,
        sender: Sender,
        send_until: Instant,
        check: impl Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _place = match sender {
            Sender::Client => None,
            Sender::Gateway => Some(self.queue.lock().await),
        };
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            if let Err(refused) = check() {
                let is_short = refused.retry_after.is_some_and(|seconds| seconds <= SHORT_WAIT.as_secs());
                let may_wait = is_short && now - begun < SHORT_WAIT && now + LOOK < send_until;
                if sender == Sender::Client || !may_wait {
                    return Err(refused);
                }
                sleep_until(now + LOOK).await;
                continue;
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
            turns.wait(sender, soon, || Ok(())).await.expect("the first");
            assert_eq!(turns.wait(sender, soon, || Ok(())).await.expect_err("the second").kind, Kind::Throttled);
        }
    }

    #[tokio::test]
    async fn it_shows_that_a_request_of_the_gateway_waits() {
        let (turns, late) = (turns("1/h"), Instant::now() + 2 * HOUR);
        turns.wait(Sender::Gateway, late, || Ok(())).await.expect("the first");
        assert!(!turns.are_waited_for());
        let look = async { assert!(turns.are_waited_for()) };
        tokio::select! {
            biased;
            _ = turns.wait(Sender::Gateway, late, || Ok(())) => unreachable!("an hour has not passed"),
            () = look => {}
        }
        assert!(!turns.are_waited_for());
    }
}
