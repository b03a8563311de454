//! A circuit breaker, in the manner of linkerd's. It is a state machine without a clock: the time is an argument.
//!
//! - **Closed.** All requests are sent. The breaker opens after a run of failures, or when too small a part of the requests in
//!   the last window succeeded.
//! - **Open.** Nothing is sent for a pause, which gets longer each time.
//! - **Probing.** After the pause, one request of a client is sent. Its success closes the breaker, and its failure opens it
//!   again. After failures, only a read is sent at first: a write that fails may have an unknown outcome. If no read comes
//!   within the first pause, a write is sent.
//!
//! An answer that the rate of requests is too high (429) counts as a request that did not succeed, but not in a run of
//! failures. A `Retry-After` opens the breaker at once, and is the pause.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::BreakerConfig;

/// A pause that cannot be added to the time does not occur.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_hours(24);
const BUCKETS: usize = 10;

/// How a request ended, as a breaker counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The provider answered.
    Success,
    /// The provider failed. It may have said when to ask again.
    Failure(Option<Duration>),
    /// The provider received too many requests. It may have said when to ask again.
    Limited(Option<Duration>),
    /// The provider refused the credentials.
    Unauthorized,
}

/// Why a breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Failing,
    Limited,
    Unauthorized,
}

/// A request that a breaker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) cause: Cause,
    /// When it may be sent.
    pub(super) retry_after: Duration,
}

/// When a request may probe a provider that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeTime {
    /// As soon as the pause is over.
    AtOnce,
    /// Later, so that a request which is safer can probe before it.
    Later,
}

/// The right to send a request. It has the generation of its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u32);

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    cause: Cause,
    /// Changes when an outcome opens the breaker, and when a probe begins after a pause. Requests that began with an older one do not
    /// count any more. A second probe, which replaces a slow one (`gate::host`), has the same one, so both count.
    generation: u32,
    /// The failures since the last success.
    failures: u32,
    /// The refusals of the credentials since the last success.
    refusals: u32,
    /// How often the breaker has opened since it was closed.
    opened: u32,
    /// How much longer than the pause a request waits that probes [later](ProbeTime::Later).
    longer: Duration,
    window: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

impl Default for Breaker {
    fn default() -> Self {
        let (state, cause, window) = (State::Closed, Cause::Failing, Window::default());
        Self { state, cause, generation: 0, failures: 0, refusals: 0, opened: 0, longer: Duration::ZERO, window }
    }
}

impl Breaker {
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    pub(super) const fn is_probing(&self) -> bool {
        matches!(self.state, State::Probing)
    }

    /// Why it is not closed.
    pub(super) fn open_cause(&self) -> Option<Cause> {
        (!self.is_closed()).then_some(self.cause)
    }

    /// Why a request may not be sent now. A probe may always be sent.
    pub(super) fn refusal(&self, probe: ProbeTime, now: Instant) -> Option<Refusal> {
        let retry_after = match (self.state, probe) {
            (State::Closed, _) => return None,
            (State::Open { until }, ProbeTime::AtOnce) => until.saturating_duration_since(now),
            (State::Open { until }, ProbeTime::Later) => (until + self.longer).saturating_duration_since(now),
            // How long the probe takes is not known.
            (State::Probing, _) => Duration::from_secs(1),
        };
        (!retry_after.is_zero()).then_some(Refusal { cause: self.cause, retry_after })
    }

    /// Begins a request that is not [refused](Self::refusal).
    pub(super) fn enter(&mut self) -> Ticket {
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Probing;
            self.generation = self.generation.wrapping_add(1);
        }
        Ticket(self.generation)
    }

    /// Whether a request that began with this ticket may still be sent again.
    pub(super) fn admits(&self, ticket: Ticket) -> bool {
        ticket.0 == self.generation
    }

    /// Ends a request without an outcome. If it was the probe, the next request is the probe, whichever it is.
    pub(super) fn release(&mut self, ticket: Ticket, now: Instant) {
        if self.admits(ticket) && self.state == State::Probing {
            (self.state, self.longer) = (State::Open { until: now }, Duration::ZERO);
        }
    }

    /// Ends a request without an outcome. If it was the probe, there is a pause before the next one.
    pub(super) fn postpone(&mut self, ticket: Ticket, until: Instant) {
        if self.admits(ticket) && self.is_probing() {
            self.state = State::Open { until };
        }
    }

    /// Counts the outcome of a request. `spread` is a number from 0 to 1 that makes a pause longer.
    pub(super) fn record(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        settings: &BreakerConfig,
        now: Instant,
        spread: impl FnOnce() -> f64,
    ) {
        let asked = match outcome {
            Outcome::Failure(asked) | Outcome::Limited(asked) => asked.filter(|asked| !asked.is_zero()),
            Outcome::Success | Outcome::Unauthorized => None,
        };
        let asked = asked.map(|asked| asked.min(settings.max_retry_after));
        if !self.admits(ticket) {
            // Requests in flight are answered with several times. The latest one counts.
            if let (State::Open { until }, Some(asked)) = (&mut self.state, asked) {
                *until = (*until).max(now + asked.min(LONGEST_PAUSE));
            }
            return;
        }
        let is_run = |count: u32| settings.failures > 0 && count >= settings.failures;
        let (cause, is_reached) = match outcome {
            Outcome::Success => return self.succeed(settings, now),
            Outcome::Failure(_) => {
                self.failures = self.failures.saturating_add(1);
                (Cause::Failing, is_run(self.failures) | self.window.fail(settings, now))
            }
            Outcome::Limited(_) => (Cause::Limited, self.window.fail(settings, now)),
            Outcome::Unauthorized => {
                self.refusals = self.refusals.saturating_add(1);
                (Cause::Unauthorized, is_run(self.refusals))
            }
        };
        let pause = match (asked, cause) {
            (None, _) if !is_reached && self.is_closed() => return,
            (Some(asked), _) => asked,
            (None, Cause::Unauthorized) => settings.unauthorized_pause,
            (None, Cause::Failing | Cause::Limited) => self.pause(settings, spread()),
        };
        self.state = State::Open { until: now + pause.min(LONGEST_PAUSE) };
        self.cause = cause;
        // A write that is refused (401, 429) has no unknown outcome, so it can probe as well as a read. The same holds where the
        // provider itself has said when to ask again.
        let is_safe = cause != Cause::Failing || asked.is_some();
        self.longer = if is_safe { Duration::ZERO } else { settings.pause.min(LONGEST_PAUSE) };
        self.generation = self.generation.wrapping_add(1);
        self.opened = self.opened.saturating_add(1);
    }

    fn succeed(&mut self, settings: &BreakerConfig, now: Instant) {
        (self.failures, self.refusals) = (0, 0);
        // It is the success of the probe, or of an earlier, slow probe that another request has replaced.
        if !self.is_closed() {
            (self.state, self.opened, self.window) = (State::Closed, 0, Window::default());
        }
        let succeeded = &mut self.window.at(settings, now)[0];
        *succeeded = succeeded.saturating_add(1);
    }

    /// The pause, which doubles each time and is never above `max_pause`.
    fn pause(&self, settings: &BreakerConfig, spread: f64) -> Duration {
        let longest = settings.max_pause.min(LONGEST_PAUSE);
        let doubled = settings.pause.saturating_mul(1 << self.opened.min(20));
        let base = doubled.min(longest.div_f64(1.0 + settings.jitter).max(settings.pause)).min(longest);
        base.mul_f64(1.0 + settings.jitter * spread.clamp(0.0, 1.0)).min(longest)
    }
}

/// The requests of the last window, in buckets of equal length.
#[derive(Debug, Default)]
struct Window {
    /// The requests that succeeded and that did not.
    buckets: [[u32; 2]; BUCKETS],
    /// When the first bucket began, and how many buckets ago that was.
    begun: Option<Instant>,
    newest: u64,
}

impl Window {
    /// The bucket of this time. Those that are too old are empty afterwards.
    fn at(&mut self, settings: &BreakerConfig, now: Instant) -> &mut [u32; 2] {
        let begun = *self.begun.get_or_insert(now);
        let length = (settings.window.as_nanos() / BUCKETS as u128).max(1);
        let number = now.saturating_duration_since(begun).as_nanos() / length;
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        // It is smaller than before if a reload has made the window longer.
        let passed = number.checked_sub(self.newest).unwrap_or(u64::MAX);
        if passed >= BUCKETS as u64 {
            self.buckets = Default::default();
        } else {
            (0..passed).for_each(|ago| self.buckets[index(number - ago)] = [0, 0]);
        }
        self.newest = number;
        &mut self.buckets[index(number)]
    }

    /// Counts a request that did not succeed. Returns whether too small a part of them succeeded.
    fn fail(&mut self, settings: &BreakerConfig, now: Instant) -> bool {
        let failed = &mut self.at(settings, now)[1];
        *failed = failed.saturating_add(1);
        let sum = |which: usize| self.buckets.iter().map(|bucket| u64::from(bucket[which])).sum::<u64>();
        let (succeeded, failed) = (sum(0), sum(1));
        let all = succeeded + failed;
        #[expect(clippy::cast_precision_loss, reason = "a part of them")]
        let part = succeeded as f64 / all as f64;
        all >= u64::from(settings.min_requests) && part < settings.min_success
    }
}

const fn index(number: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is small")]
    let index = (number % BUCKETS as u64) as usize;
    index
}

#[cfg(test)]
mod tests;
