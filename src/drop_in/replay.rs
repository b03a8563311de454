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
    /// Whether it was drawn afresh for this request.
    pub(super) has_nonce: bool,
    /// Whether the request changes nothing.
    pub(super) is_read: bool,
}

/// A signature without a nonce that was admitted: a client that tries again within the second sends it again.
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
    pub(super) fn admit(&self, once: Once, now: i64) -> Result<Option<Seen>, Error> {
        let Once { digest, has_nonce, is_read } = once;
        let seen = (!has_nonce).then_some(Seen(digest));
        let mut record = self.record();
        while let Some((oldest, at)) = record.order.front().copied().filter(|(_, at)| now.saturating_sub(*at) > KEPT) {
            record.order.pop_front();
            // One that was forgotten and came again has a later entry.
            if record.seen.get(&oldest) == Some(&at) {
                record.seen.remove(&oldest);
            }
        }
        if let Some(at) = record.seen.get(&digest) {
            return match is_read && !has_nonce && now.saturating_sub(*at) <= REPEATS {
                true => Ok(seen),
                false => Err(refused("the signature was used before")),
            };
        }
        if record.order.len() >= MOST {
            return Err(Error::new(Kind::Overloaded, "too many signatures are remembered; try again later"));
        }
        record.seen.insert(digest, now);
        record.order.push_back((digest, now));
        Ok(seen)
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

    fn once(number: u8, is_read: bool) -> Once {
        Once { digest: [number; 32], has_nonce: false, is_read }
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
        let drawn = || Once { has_nonce: true, ..once(2, true) };
        assert!(replays.admit(drawn(), 100).is_ok_and(|seen| seen.is_none()), "never to be forgotten before its time");
        assert!(replays.admit(drawn(), 100).is_err());
    }

    #[test]
    fn what_can_no_longer_hold_is_forgotten() {
        let replays = Replays::default();
        let seen = replays.admit(once(1, false), 100).expect("the first time");
        replays.forget(&seen.expect("it has no nonce"));
        assert!(replays.admit(once(1, false), 101).is_ok(), "after a failure of ours");
        assert!(replays.admit(once(2, false), 101 + KEPT).is_ok());
        assert!(replays.admit(once(1, false), 101 + KEPT).is_err(), "the later entry stays");
        assert!(replays.admit(once(3, false), 102 + KEPT).is_ok());
        assert_eq!(replays.record().seen.len(), 2);
    }
}
