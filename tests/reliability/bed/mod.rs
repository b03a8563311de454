//! A gateway and a sandbox vendor ("twin") as processes, and what they leave behind: the twin's log and the gateway's
//! store.

mod gateway;
mod process;
mod records;
mod twin;

use std::time::{Duration, Instant};

pub(crate) use self::{
    gateway::{Fleet, Gateway, Setup},
    records::{agree, count, kept_by},
    twin::Twin,
};

/// How long anything may take that is only waited for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A size: small, or with `RELIABILITY=full` what docs/reliability.md promises.
pub(crate) fn sized<T>(small: T, full: T) -> T {
    match std::env::var("RELIABILITY").is_ok_and(|size| size == "full") {
        true => full,
        false => small,
    }
}

/// Numbers that are the same in every run (SplitMix64).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
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

    pub(crate) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let one = usize::try_from(self.below(of.len() as u64)).expect("a place");
        &of[one]
    }

    pub(crate) fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

/// Asks again and again until there is an answer, or patience ends.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let ends = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < ends, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
