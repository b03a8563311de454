//! Compares how long the requests of a merchant take while the gateway is quiet and while it is loaded. Both are measured
//! alternately in one run, so that other work on the machine slows both alike, and their medians are compared.

use std::{fmt, time::Duration};

use crate::bed::{Gateway, is_full, retrieve_steadily};

/// The most that the p99 of others may grow, as a factor.
const MOST_GROWTH: f64 = 1.5;

/// How many rounds are measured, each first quiet and then loaded.
pub(crate) fn rounds() -> usize {
    if is_full() { 5 } else { 2 }
}

/// How long each half of a round takes.
fn duration() -> Duration {
    if is_full() { Duration::from_secs(2) } else { Duration::from_secs(1) }
}

/// How many requests are measured in a second.
const PER_SECOND: u32 = 200;

/// The p99 of each round.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    quiet: Vec<Duration>,
    loaded: Vec<Duration>,
    failed: usize,
}

impl Compared {
    /// Measures while the gateway is quiet.
    pub(crate) async fn quiet(&mut self, gateway: &Gateway, merchant: &str) {
        // What the round before left behind ends first.
        retrieve_steadily(gateway, merchant, PER_SECOND, duration() / 4).await;
        self.quiet.push(retrieve_steadily(gateway, merchant, PER_SECOND, duration()).await.p99());
    }

    /// Measures while the test loads the gateway.
    pub(crate) async fn loaded(&mut self, gateway: &Gateway, merchant: &str) {
        let mut seen = retrieve_steadily(gateway, merchant, PER_SECOND, duration()).await;
        self.failed += seen.failed;
        self.loaded.push(seen.p99());
    }

    /// How often as long the p99 is under load: the median of the rounds.
    fn growth(&self) -> f64 {
        median(&self.loaded).as_secs_f64() / median(&self.quiet).as_secs_f64()
    }

    /// Fails if others lost a request, or if their p99 grew by more than the limit. Times are judged only in full size and
    /// in a release build.
    pub(crate) fn judge(&self, name: &str) {
        assert_eq!(self.failed, 0, "{name}: others lose no request");
        if is_full() && !cfg!(debug_assertions) {
            assert!(self.growth() <= MOST_GROWTH, "{name}: {self}");
        }
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quiet, loaded, .. } = self;
        let (alone, beside) = (median(quiet), median(loaded));
        write!(
            formatter,
            "p99 of others {beside:?}, alone {alone:?} (medians; {:.2} times; rounds {loaded:?}, alone {quiet:?})",
            self.growth()
        )
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
