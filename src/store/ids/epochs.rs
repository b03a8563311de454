//! The highest epoch of every merchant that this process has read (R13). A store that tells a lower one is older than it was:
//! a restored backup, or a standby that was promoted without the last changes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// An epoch, compared with those that were read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is not lower.
    Current,
    /// It is lower.
    Lower {
        /// The highest one that was read.
        highest: u64,
        /// Whether it is the first lower one since the highest. It is logged once.
        is_first: bool,
    },
}

/// The highest epochs that were read.
#[derive(Debug, Default)]
pub struct Epochs(Mutex<HashMap<String, Highest>>);

#[derive(Debug, Clone, Copy, Default)]
struct Highest {
    epoch: u64,
    is_reported: bool,
}

impl Epochs {
    /// Compares an epoch that was read now.
    pub fn check(&self, merchant: &str, epoch: u64) -> Seen {
        let mut merchants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(highest) = merchants.get_mut(merchant) else {
            merchants.insert(merchant.to_owned(), Highest { epoch, is_reported: false });
            return Seen::Current;
        };
        if epoch < highest.epoch {
            let is_first = !std::mem::replace(&mut highest.is_reported, true);
            return Seen::Lower { highest: highest.epoch, is_first };
        }
        if epoch > highest.epoch {
            *highest = Highest { epoch, is_reported: false };
        }
        Seen::Current
    }

    /// The highest epoch of a merchant that was read. `None`: none was read.
    pub fn highest(&self, merchant: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(merchant).map(|highest| highest.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R13
    #[test]
    fn a_lower_epoch_is_refused_until_a_higher_one_is_read_and_reported_once() {
        let epochs = Epochs::default();
        assert_eq!(epochs.check("acme", 4), Seen::Current);
        assert_eq!(epochs.check("acme", 4), Seen::Current);
        assert_eq!(epochs.check("acme", 3), Seen::Lower { highest: 4, is_first: true });
        assert_eq!(epochs.check("acme", 3), Seen::Lower { highest: 4, is_first: false });
        assert_eq!(epochs.check("other", 0), Seen::Current);
        assert_eq!(epochs.check("acme", 5), Seen::Current);
        assert_eq!(epochs.check("acme", 4), Seen::Lower { highest: 5, is_first: true });
        assert_eq!((epochs.highest("acme"), epochs.highest("unknown")), (Some(5), None));
    }
}
