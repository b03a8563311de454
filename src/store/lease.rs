//! Leases, as far as this process knows them without asking the database.
//!
//! A process has a new name at every start (the column `worker`). A process that claims or takes over an
//! operation holds a lease on it, and renews the leases on all of its operations together. The database decides who may
//! take an operation over: when the lease has run out by the *database's* clock, another process may.
//!
//! That alone does not protect the provider. A process asks the database, gets the answer "the lease is yours", is
//! stopped by the machine for a minute, and then sends its request, although another process has taken the operation
//! over meanwhile. So a process also looks at its *own* clock, in the last moment before it sends (see
//! [`Lease::send_until`]). This costs no question to the database.
//!
//! The own clock must never give more time than the database does. Three rules keep it so:
//!
//! 1. A lease counts from the time *before* the process asked for it. The database counts from later.
//! 2. A renewal counts from the time before the process asked for it, too.
//! 3. A renewal whose answer comes after the leases may have run out renews no older lease. The database may have
//!    given the operation to another process before it renewed the rest. From then on only operations that were claimed
//!    or taken over after that renewal count as renewed.
//!
//! Rule 2 is safe only because a process has one writer: a renewal is never concurrent with a claim or a takeover of
//! the same process. Otherwise it could miss a row that is not committed yet, and the process would believe that it is
//! renewed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The longest time for which a process renews the lease on one attempt. A task that has died without finishing its
/// attempt would otherwise keep the operation for as long as the process lives.
pub const LONGEST_ATTEMPT: Duration = Duration::from_mins(5);

/// The lease renewals of this process.
#[derive(Debug)]
pub(super) struct Renewals {
    /// How long a lease lasts from its beginning, or from its last renewal.
    lease: Duration,
    unbroken: Mutex<Unbroken>,
}

/// Consecutive renewals: each was answered before the leases that it renewed could run out.
#[derive(Debug, Clone, Copy)]
struct Unbroken {
    /// When the process asked for the first of them.
    since: Instant,
    /// Until when a lease holds that the last of them renewed.
    until: Instant,
}

impl Renewals {
    pub(super) fn from(now: Instant, lease: Duration) -> Self {
        Self { lease, unbroken: Mutex::new(Unbroken { since: now, until: now + lease }) }
    }

    fn unbroken(&self) -> MutexGuard<'_, Unbroken> {
        self.unbroken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a renewal. The database executed it at some time between `asked` and `answered`.
    pub(super) fn renewed(&self, asked: Instant, answered: Instant) {
        let mut unbroken = self.unbroken();
        if answered >= unbroken.until {
            unbroken.since = asked;
        }
        unbroken.until = asked + self.lease;
    }

    /// Whether leases may have run out since the last renewal, as after the process was stopped for a while.
    pub(super) fn are_overdue(&self, now: Instant) -> bool {
        now >= self.unbroken().until
    }
}

/// A lease on what is claimed or taken over after it was begun.
#[derive(Debug, Clone)]
pub struct Lease {
    begun: Instant,
    renewals: Arc<Renewals>,
}

impl Lease {
    pub(super) fn begin(now: Instant, renewals: &Arc<Renewals>) -> Self {
        Self { begun: now, renewals: Arc::clone(renewals) }
    }

    /// The time after which the process must not begin to send, as far as it is known now. It is a third of a lease
    /// before the lease runs out: that third is for what lies between this look at the clock and the sending, such as
    /// connecting. Where renewals come in time, it is never reached.
    pub fn send_until(&self) -> Instant {
        let lease = self.renewals.lease;
        let own = self.begun + lease;
        let Unbroken { since, until } = *self.renewals.unbroken();
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

    fn renewals() -> (Instant, Arc<Renewals>) {
        let now = Instant::now();
        (now, Arc::new(Renewals::from(now, 30 * SECOND)))
    }

    #[test]
    fn renewals_in_time_prolong_a_lease_that_began_before_them() {
        let (start, renewals) = renewals();
        let lease = Lease::begin(start + SECOND, &renewals);
        assert_eq!(lease.send_until(), start + 21 * SECOND);
        for asked in [10 * SECOND, 39 * SECOND, 68 * SECOND] {
            renewals.renewed(start + asked, start + asked + SECOND / 2);
            assert_eq!(lease.send_until(), start + asked + 20 * SECOND);
        }
    }

    #[test]
    fn a_renewal_that_is_answered_too_late_renews_no_older_lease() {
        let (start, renewals) = renewals();
        let lost = Lease::begin(start + SECOND, &renewals);
        renewals.renewed(start + 10 * SECOND, start + 11 * SECOND);
        // It was asked for in time. The database may have executed it after a takeover by another process.
        renewals.renewed(start + 39 * SECOND, start + 40 * SECOND);
        assert_eq!(lost.send_until(), start + 21 * SECOND);
        let new = Lease::begin(start + 41 * SECOND, &renewals);
        renewals.renewed(start + 50 * SECOND, start + 51 * SECOND);
        assert_eq!((lost.send_until(), new.send_until()), (start + 21 * SECOND, start + 70 * SECOND));
    }

    #[test]
    fn no_lease_is_renewed_for_longer_than_the_longest_attempt() {
        let (start, renewals) = renewals();
        let lease = Lease::begin(start, &renewals);
        for asked in (10..600).step_by(10) {
            renewals.renewed(start + asked * SECOND, start + asked * SECOND);
        }
        assert_eq!(lease.send_until(), start + LONGEST_ATTEMPT - 10 * SECOND);
    }

    #[test]
    fn renewals_are_overdue_once_leases_may_have_run_out() {
        let (start, renewals) = renewals();
        assert!(!renewals.are_overdue(start + 29 * SECOND));
        assert!(renewals.are_overdue(start + 30 * SECOND));
        renewals.renewed(start + 40 * SECOND, start + 41 * SECOND);
        assert!(!renewals.are_overdue(start + 69 * SECOND));
    }
}
