//! Signatures are taken once. What was seen is kept in the memory of this process for as long as a signature
//! can hold, so each replica behind a balancer keeps its own record, and a restart begins a new one.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use passerelle_providers::{
    error::{Error, Kind},
    sign::{WINDOW, refused},
};

/// How long a signature can hold, in seconds: its time may be as far ahead as behind.
const KEPT: i64 = 2 * WINDOW;
/// How many are kept. Beyond it, signed requests are refused until the oldest can be forgotten.
const MOST: usize = 1 << 18;
/// How long a read without a nonce may be seen again, in seconds: a client that asks twice within a second
/// signs twice alike.
const REPEATS: i64 = 5;

/// What must not be seen again.
pub(super) struct Once {
    /// The digest of what no two requests share.
    pub(super) digest: [u8; 32],
    /// Whether another request may rightly look alike for a moment.
    pub(super) may_repeat: bool,
}

/// A signature that was admitted.
pub(super) struct Seen([u8; 32]);

/// The signatures that were seen, and when.
#[derive(Default)]
pub struct Replays(Mutex<Record>);

#[derive(Default)]
struct Record {
    seen: HashMap<[u8; 32], i64>,
    order: VecDeque<([u8; 32], i64)>,
}

impl fmt::Debug for Replays {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Replays({})", self.record().seen.len())
    }
}

impl Replays {
    /// Takes a signature that was verified, unless it was seen before.
    pub(super) fn admit(&self, once: Once, now: i64) -> Result<Seen, Error> {
        let mut record = self.record();
        while let Some((digest, at)) = record.order.front().copied().filter(|(_, at)| now.saturating_sub(*at) > KEPT) {
            record.order.pop_front();
            // One that was forgotten and came again has a later entry.
            if record.seen.get(&digest) == Some(&at) {
                record.seen.remove(&digest);
            }
        }
        if let Some(at) = record.seen.get(&once.digest) {
            return match once.may_repeat && now.saturating_sub(*at) <= REPEATS {
                true => Ok(Seen(once.digest)),
                false => Err(refused("the signature was used before")),
            };
        }
        if record.order.len() >= MOST {
            return Err(Error::new(Kind::Overloaded, "too many signatures are remembered; try again later"));
        }
        record.seen.insert(once.digest, now);
        record.order.push_back((once.digest, now));
        Ok(Seen(once.digest))
    }

    /// Forgets a signature whose request failed on our side, so that its client can try again.
    pub(super) fn forget(&self, Seen(digest): &Seen) {
        self.record().seen.remove(digest);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(number: u8, may_repeat: bool) -> Once {
        Once { digest: [number; 32], may_repeat }
    }

    #[test]
    fn a_signature_is_taken_once() {
        let replays = Replays::default();
        assert!(replays.admit(once(1, false), 100).is_ok());
        assert!(replays.admit(once(2, false), 100).is_ok(), "another one");
        assert!(replays.admit(once(1, false), 100).is_err());
        assert!(replays.admit(once(1, false), 100 + KEPT).is_err(), "as long as it can hold");
    }

    #[test]
    fn a_read_that_looks_alike_is_taken_for_a_moment() {
        let replays = Replays::default();
        assert!(replays.admit(once(1, true), 100).is_ok());
        assert!(replays.admit(once(1, true), 100 + REPEATS).is_ok());
        assert!(replays.admit(once(1, true), 101 + REPEATS).is_err());
    }

    #[test]
    fn what_can_no_longer_hold_is_forgotten() {
        let replays = Replays::default();
        let seen = replays.admit(once(1, false), 100).expect("the first time");
        replays.forget(&seen);
        assert!(replays.admit(once(1, false), 101).is_ok(), "after a failure of ours");
        assert!(replays.admit(once(2, false), 101 + KEPT).is_ok());
        assert!(replays.admit(once(1, false), 101 + KEPT).is_err(), "the later entry stays");
        assert!(replays.admit(once(3, false), 102 + KEPT).is_ok());
        assert_eq!(replays.record().seen.len(), 2);
    }
}
