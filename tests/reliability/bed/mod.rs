//! A gateway and a sandbox vendor ("twin") as processes, and what they leave behind: the twin's log and the gateway's
//! store.

mod disk;
mod gateway;
mod page;
mod process;
mod records;
mod store_fault;
mod twin;

use std::time::{Duration, Instant};

pub(crate) use self::{
    gateway::{Fleet, Gateway, Setup},
    page::Page,
    records::{assert_agree, count, records_of},
    store_fault::StoreFault,
    twin::Twin,
};

/// The limit for all waiting in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The size of a test: small, or with `RELIABILITY=full` the size that docs/reliability.md names.
pub(crate) fn sized<T>(small: T, full: T) -> T {
    match std::env::var("RELIABILITY").is_ok_and(|size| size == "full") {
        true => full,
        false => small,
    }
}

/// Pseudo-random numbers that are the same in every run (SplitMix64).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(salt: u64) -> Self {
        let seed = std::env::var("RELIABILITY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ salt)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(items.len() as u64)).expect("an index");
        &items[index]
    }

    pub(crate) fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// Polls until there is a value. Fails after `PATIENCE`.
pub(crate) async fn until<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let ends = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(Instant::now() < ends, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
