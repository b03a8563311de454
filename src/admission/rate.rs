//! The rate of a merchant's requests, with the headers that show its clients how much of it is left.

use std::{fmt, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use http::HeaderValue;

use super::TooMany;
use crate::config::Rate;

/// Limits the requests of one merchant in a period. A period's requests may come at once, and are then replenished evenly.
pub struct RequestRate<C: Clock = MonotonicClock> {
    rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    policy: HeaderValue,
}

/// How governor writes a rate.
pub(super) fn quota(rate: Rate) -> Quota {
    let quota = Quota::with_period((rate.per / rate.requests.get()).max(Duration::from_nanos(1)));
    // Only a period of zero is refused.
    quota.unwrap_or_else(|| Quota::per_second(rate.requests)).allow_burst(rate.requests)
}

impl RequestRate {
    /// A limit with this rate. No request has been counted yet.
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<C: Clock> RequestRate<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let limiter = RateLimiter::new(quota(rate), InMemoryState::default(), clock);
        let policy = format!("\"merchant\";q={};w={}", rate.requests, rate.per.as_secs());
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("\"merchant\""));
        Self { rate, limiter, policy }
    }

    /// Counts a request, or says that there are too many. The headers are `RateLimit-Policy` and `RateLimit`: `r` requests
    /// may be sent now, and `t` seconds later all of the period, or, after a refusal, one.
    pub(super) fn take(&self) -> (Result<(), TooMany>, [HeaderValue; 2]) {
        let (taken, left, seconds) = match self.limiter.check() {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let used = self.rate.requests.get().saturating_sub(left);
                (Ok(()), left, seconds(self.rate.per * used / self.rate.requests.get()))
            }
            Err(refused) => {
                let wait = seconds(refused.wait_time_from(self.limiter.clock().now())).max(1);
                (Err(TooMany::Requests(wait)), 0, wait)
            }
        };
        // Every answer has it, and the formatting of the standard library takes several times as long.
        let (mut requests, mut time) = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = ["\"merchant\";r=", requests.format(left), ";t=", time.format(seconds)];
        let rate = HeaderValue::try_from(parts.concat());
        (taken, [self.policy.clone(), rate.unwrap_or(HeaderValue::from_static("\"merchant\""))])
    }
}

impl<C: Clock> fmt::Debug for RequestRate<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rate.fmt(formatter)
    }
}

/// The seconds after which a time has passed.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(rate: &str) -> (RequestRate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (RequestRate::with_clock(Rate::parse(rate).expect("a rate"), clock.clone()), clock)
    }

    fn shown(limit: &RequestRate<FakeRelativeClock>) -> (bool, String) {
        let (taken, [_, rate]) = limit.take();
        (taken.is_ok(), rate.to_str().expect("a text").to_owned())
    }

    #[test]
    fn the_requests_of_a_period_may_come_at_once_and_the_headers_count_them() {
        let (limit, clock) = limit("3/min");
        assert_eq!(limit.policy, "\"merchant\";q=3;w=60");
        assert_eq!(shown(&limit), (true, "\"merchant\";r=2;t=20".to_owned()));
        assert_eq!(shown(&limit), (true, "\"merchant\";r=1;t=40".to_owned()));
        assert_eq!(shown(&limit), (true, "\"merchant\";r=0;t=60".to_owned()));
        clock.advance(Duration::from_millis(5_500));
        assert_eq!(shown(&limit), (false, "\"merchant\";r=0;t=15".to_owned()), "the next one is due after 20 s");
        clock.advance(Duration::from_millis(14_500));
        assert!(shown(&limit).0);
        assert!(!shown(&limit).0);
    }

    #[test]
    fn over_a_long_time_the_rate_is_kept() {
        let (limit, clock) = limit("100/s");
        let mut admitted = 0;
        for _ in 0..20_000 {
            admitted += u32::from(limit.take().0.is_ok());
            clock.advance(Duration::from_millis(1));
        }
        assert!((2_000..=2_100).contains(&admitted), "100 at once and 100 in each of 20 s, not {admitted}");
    }

    #[test]
    fn a_refusal_names_when_the_next_request_is_served() {
        let (limit, _) = limit("1/h");
        limit.take().0.expect("the first");
        assert_eq!(limit.take().0, Err(TooMany::Requests(3600)));
    }
}
