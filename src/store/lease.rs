//! What this process knows of its leases without asking the database. Who may take a write over is decided by the
//! database's clock; but whoever asks it can still stand still between its answer and the sending. So every lease is
//! also held against this process's own clock, which goes on meanwhile, just before anything is sent. That costs no
//! question, and errs to the safe side: a lease is counted from before it was asked for, and a sign of life that
//! came late counts as one that came too late.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// For how long a task is believed to be at work on one attempt; its lease is not renewed beyond that.
/// A task that died without a word would otherwise hold its operation for as long as the process lives.
pub const LONGEST_ATTEMPT: Duration = Duration::from_mins(5);

/// The signs of life of this process.
#[derive(Debug)]
pub(super) struct SignsOfLife {
    /// How long an attempt is left alone without one.
    lease: Duration,
    unbroken: Mutex<Unbroken>,
}

/// Signs of life of which each came before the lease of the one before had run out.
#[derive(Debug, Clone, Copy)]
struct Unbroken {
    since: Instant,
    until: Instant,
}

impl SignsOfLife {
    pub(super) fn from(now: Instant, lease: Duration) -> Self {
        Self { lease, unbroken: Mutex::new(Unbroken { since: now, until: now + lease }) }
    }

    fn unbroken(&self) -> std::sync::MutexGuard<'_, Unbroken> {
        self.unbroken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a sign of life that the database took at some time between two.
    pub(super) fn given(&self, asked: Instant, answered: Instant) {
        let mut unbroken = self.unbroken();
        if answered >= unbroken.until {
            unbroken.since = asked;
        }
        unbroken.until = asked + self.lease;
    }

    /// Whether leases may have run out since the last one, as after standing still.
    pub(super) fn are_overdue(&self, now: Instant) -> bool {
        now >= self.unbroken().until
    }
}

/// A lease on whatever is claimed or taken over after it was begun.
#[derive(Debug, Clone)]
pub struct Lease {
    begun: Instant,
    signs: Arc<SignsOfLife>,
}

impl Lease {
    pub(super) fn begin(now: Instant, signs: &Arc<SignsOfLife>) -> Self {
        Self { begun: now, signs: Arc::clone(signs) }
    }

    /// Until when something may be begun that must be sent while it holds, as far as is known now. The last third is
    /// left for what comes between, such as connecting; where signs of life come in time, it is never reached.
    pub fn send_until(&self) -> Instant {
        let lease = self.signs.lease;
        let own = self.begun + lease;
        let Unbroken { since, until } = *self.signs.unbroken();
        let holds_until = match since <= self.begun {
            true => own.max(until.min(self.begun + LONGEST_ATTEMPT)),
            false => own,
        };
        holds_until - lease / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn signs() -> (Instant, Arc<SignsOfLife>) {
        let now = Instant::now();
        (now, Arc::new(SignsOfLife::from(now, 30 * SECOND)))
    }

    #[test]
    fn a_lease_is_as_long_as_the_last_sign_of_life_in_an_unbroken_row() {
        let (start, signs) = signs();
        let lease = Lease::begin(start + SECOND, &signs);
        assert_eq!(lease.send_until(), start + 21 * SECOND);
        for sign in [10 * SECOND, 39 * SECOND, 68 * SECOND] {
            signs.given(start + sign, start + sign + SECOND / 2);
            assert_eq!(lease.send_until(), start + sign + 20 * SECOND);
        }
    }

    #[test]
    fn a_sign_of_life_that_came_too_late_brings_nothing_back() {
        let (start, signs) = signs();
        let lost = Lease::begin(start + SECOND, &signs);
        signs.given(start + 10 * SECOND, start + 11 * SECOND);
        // Asked for in time, and perhaps not heard before somebody else was.
        signs.given(start + 39 * SECOND, start + 40 * SECOND);
        assert_eq!(lost.send_until(), start + 21 * SECOND);
        let new = Lease::begin(start + 41 * SECOND, &signs);
        signs.given(start + 50 * SECOND, start + 51 * SECOND);
        assert_eq!((lost.send_until(), new.send_until()), (start + 21 * SECOND, start + 70 * SECOND));
    }

    #[test]
    fn nothing_is_held_for_longer_than_an_attempt_may_last() {
        let (start, signs) = signs();
        let lease = Lease::begin(start, &signs);
        for sign in (10..600).step_by(10) {
            signs.given(start + sign * SECOND, start + sign * SECOND);
        }
        assert_eq!(lease.send_until(), start + LONGEST_ATTEMPT - 10 * SECOND);
    }

    #[test]
    fn signs_of_life_are_overdue_once_leases_may_have_run_out() {
        let (start, signs) = signs();
        assert!(!signs.are_overdue(start + 29 * SECOND));
        assert!(signs.are_overdue(start + 30 * SECOND));
        signs.given(start + 40 * SECOND, start + 41 * SECOND);
        assert!(!signs.are_overdue(start + 69 * SECOND));
    }
}
