//! Counts the requests that the gateway refuses because there are too many, and logs them in one line for a period. A line
//! for each of them would cost more than the refusal.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;

use crate::metrics::Metrics;

/// How often refused requests are logged.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// The codes of the answers that are counted.
const CODES: [&str; 3] = ["overloaded", "rate_limited", "too_many_wrong_keys"];

/// The requests that were refused because there are too many.
pub struct Refusals {
    counters: [Counter; CODES.len()],
    log: Mutex<Log>,
}

/// What is not logged yet.
#[derive(Debug, Default)]
struct Log {
    refused: [u64; CODES.len()],
    logged: Option<Instant>,
}

impl Refusals {
    /// Counts in these metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self { counters: CODES.map(|code| metrics.requests_refused(code).clone()), log: Mutex::default() }
    }

    /// Counts a request that is answered with this code. `false`: the code is none of those that are counted.
    pub fn count(&self, code: &str) -> bool {
        let Some(index) = CODES.iter().position(|counted| *counted == code) else { return false };
        self.counters[index].inc();
        let due = self.log.lock().unwrap_or_else(PoisonError::into_inner).count(index, Instant::now());
        if let Some([overloaded, rate_limited, too_many_wrong_keys]) = due {
            let refused = overloaded + rate_limited + too_many_wrong_keys;
            tracing::warn!(
                overloaded,
                rate_limited,
                too_many_wrong_keys,
                "{refused} requests were refused since the last such line, because there were too many"
            );
        }
        true
    }
}

impl Log {
    /// Counts a request. Returns what is to be logged now.
    fn count(&mut self, index: usize, now: Instant) -> Option<[u64; CODES.len()]> {
        self.refused[index] += 1;
        if self.logged.is_some_and(|at| now.saturating_duration_since(at) < LOG_PERIOD) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.refused))
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Refusals")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_logged_once_in_a_period_with_their_numbers() {
        let (mut log, begun) = (Log::default(), Instant::now());
        assert_eq!(log.count(0, begun), Some([1, 0, 0]));
        for _ in 0..1000 {
            assert_eq!(log.count(0, begun + LOG_PERIOD / 2), None);
        }
        assert_eq!(log.count(2, begun + LOG_PERIOD), Some([1000, 0, 1]));
    }

    #[test]
    fn other_failures_are_not_counted() {
        let refusals = Refusals::new(&Metrics::default());
        assert!(refusals.count("overloaded") && refusals.count("too_many_wrong_keys"));
        assert!(!refusals.count("unauthorized"));
        assert_eq!(refusals.counters.each_ref().map(Counter::get), [1, 0, 1]);
    }
}
