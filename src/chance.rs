//! What is drawn by chance and decides something: the ids by which writes are ordered, the names of processes, and how long
//! a pause is. It comes from here, so that a simulation can repeat a run. Keys and nonces do not: they decide nothing.

use tower::util::rng::{HasherRng, Rng};
use uuid::Uuid;

/// An id that is greater than those that were made before it.
pub fn later_id() -> Uuid {
    #[cfg(feature = "simulation")]
    if let Some(id) = simulated::later_id() {
        return id;
    }
    Uuid::now_v7()
}

/// An id without an order.
pub fn id() -> Uuid {
    #[cfg(feature = "simulation")]
    if let (Some(first), Some(second)) = (simulated::number(), simulated::number()) {
        return Uuid::from_u64_pair(first, second);
    }
    Uuid::new_v4()
}

/// Draws the lengths of pauses. Clones draw other numbers than their original, so that two requests that fail together are
/// not sent again together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jitter;

impl Rng for Jitter {
    fn next_u64(&mut self) -> u64 {
        #[cfg(feature = "simulation")]
        if let Some(number) = simulated::number() {
            return number;
        }
        HasherRng::default().next_u64()
    }
}

/// The numbers of a simulation.
#[cfg(feature = "simulation")]
pub mod simulated {
    use std::cell::Cell;

    use uuid::{Builder, Uuid};

    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
        /// How many ids were made.
        static COUNT: Cell<u32> = const { Cell::new(0) };
    }

    /// From now on, this thread draws the numbers that follow from a seed. `None`: those of the system again.
    pub fn follow(seed: Option<u64>) {
        STATE.set(seed);
        COUNT.set(0);
    }

    /// The next number (SplitMix64). `None` outside a simulation.
    pub fn number() -> Option<u64> {
        let state = STATE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }

    /// A secret of a simulated store.
    pub fn secret() -> Option<[u8; 32]> {
        let mut secret = [0; 32];
        for part in secret.chunks_exact_mut(8) {
            part.copy_from_slice(&number()?.to_le_bytes());
        }
        Some(secret)
    }

    pub(super) fn later_id() -> Option<Uuid> {
        let milliseconds = u64::try_from(crate::clock::now().as_millisecond()).ok()?;
        let count = COUNT.get().wrapping_add(1);
        COUNT.set(count);
        let mut random = [0; 10];
        // The number comes first, so that ids of one millisecond have the order in which they were made. Four bits of these
        // bytes are those of the version.
        random[1..5].copy_from_slice(&count.to_be_bytes());
        random[5..].copy_from_slice(&number()?.to_le_bytes()[..5]);
        Some(Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_draw_other_numbers() {
        let mut jitter = Jitter;
        let mut other = jitter;
        assert_ne!([jitter.next_u64(), jitter.next_u64()], [other.next_u64(), other.next_u64()]);
    }
}
