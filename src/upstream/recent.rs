//! How many requests a connection has sent lately.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_mins(1);

/// Counts requests in this minute and in the one before.
#[derive(Debug)]
pub(super) struct Recent(Mutex<Counts>);

#[derive(Debug, Clone, Copy)]
struct Counts {
    begun: Instant,
    now: u64,
    before: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self(Mutex::new(Counts { begun: Instant::now(), now: 0, before: 0 }))
    }
}

impl Recent {
    /// Counts a request.
    pub(super) fn note(&self) {
        self.counts(Instant::now(), |counts| counts.now += 1);
    }

    /// The requests of the last minute. Those of the minute before this one are taken to have been spread evenly.
    pub(super) fn per_minute(&self) -> u64 {
        self.per_minute_at(Instant::now())
    }

    fn per_minute_at(&self, at: Instant) -> u64 {
        let Counts { begun, now, before } = self.counts(at, |counts| *counts);
        let left = MINUTE.saturating_sub(at.saturating_duration_since(begun));
        now + before * u64::try_from(left.as_millis()).unwrap_or_default() / 60_000
    }

    fn counts<T>(&self, at: Instant, with: impl FnOnce(&mut Counts) -> T) -> T {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = at.saturating_duration_since(counts.begun);
        if elapsed >= MINUTE {
            let before = if elapsed < 2 * MINUTE { counts.now } else { 0 };
            *counts = Counts { begun: at, now: 0, before };
        }
        with(&mut counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_of_the_last_minute_are_counted_and_older_ones_are_not() {
        let recent = Recent::default();
        let begun = Instant::now();
        (0..60).for_each(|_| recent.note());
        let at = |seconds| recent.per_minute_at(begun + Duration::from_secs(seconds));
        assert_eq!(at(1), 60);
        assert_eq!(at(61), 60);
        assert_eq!(at(91), 30);
        assert_eq!(at(271), 0);
    }
}
