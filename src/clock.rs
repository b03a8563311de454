//! The time of day. Whatever decides by it asks here, so that a simulation, which has a time of its own, can repeat a run.
//! Tokio's clock, which measures how long something takes, is another one: a simulation pauses it.

use jiff::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    #[cfg(feature = "simulation")]
    if let Some(now) = simulated::now() {
        return now;
    }
    Timestamp::now()
}

/// The time of day of a simulated process.
#[cfg(feature = "simulation")]
pub mod simulated {
    use std::cell::Cell;

    use jiff::{SignedDuration, Timestamp};
    use tokio::time::Instant;

    thread_local! {
        static ORIGIN: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
    }

    /// From now on, the time of day on this thread follows tokio's clock, which showed `at` when it was `time`. `None`: it
    /// is the time of the system again.
    pub fn follow(origin: Option<(Timestamp, Instant)>) {
        ORIGIN.set(origin);
    }

    pub(super) fn now() -> Option<Timestamp> {
        let (time, at) = ORIGIN.get()?;
        let passed = SignedDuration::try_from(Instant::now().saturating_duration_since(at)).ok()?;
        time.checked_add(passed).ok()
    }
}
