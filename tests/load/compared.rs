//! Compares how long the requests of a merchant take while the gateway is quiet and while it is loaded. Both are measured
//! alternately in one run, so that other work on the machine slows both alike, and their medians are compared.

use std::{fmt, net::IpAddr, time::Duration};

use crate::{
    bed::{Gateway, Seen, is_full, retrieve_steadily},
    machine,
};

/// The most that the p99 of others may grow, as a factor.
const MOST_GROWTH: f64 = 1.5;

/// How many rounds are measured, each first quiet and then loaded.
pub(crate) fn rounds() -> usize {
    if is_full() { 5 } else { 2 }
}

/// How long each half of a round takes.
pub(crate) fn duration() -> Duration {
    if is_full() { Duration::from_secs(2) } else { Duration::from_secs(1) }
}

/// How many requests are measured in a second.
const PER_SECOND: u32 = 200;

/// The p99 of each round.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    quiet: Half,
    loaded: Half,
    /// The address of the clients that measure, if it matters.
    from: Option<IpAddr>,
}

/// The rounds without a load, or those with it.
#[derive(Debug, Default)]
struct Half {
    rounds: Vec<Duration>,
    all: Seen,
}

impl Half {
    fn add(&mut self, mut seen: Seen) {
        self.rounds.push(seen.p99());
        self.all.add(seen);
    }

    fn median(&self) -> Duration {
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    }
}

impl Compared {
    /// The clients that measure have this address.
    pub(crate) fn from(from: IpAddr) -> Self {
        Self { from: Some(from), ..Self::default() }
    }

    /// Measures while the gateway is quiet.
    pub(crate) async fn quiet(&mut self, gateway: &Gateway, merchant: &str) {
        if is_full() {
            machine::watch();
        }
        // What the round before left behind ends first.
        retrieve_steadily(gateway, (merchant, self.from), PER_SECOND, duration() / 4).await;
        self.quiet.add(retrieve_steadily(gateway, (merchant, self.from), PER_SECOND, duration()).await);
    }

    /// Measures while the test loads the gateway.
    pub(crate) async fn loaded(&mut self, gateway: &Gateway, merchant: &str) {
        self.loaded.add(retrieve_steadily(gateway, (merchant, self.from), PER_SECOND, duration()).await);
    }

    /// The p99 under load: the median of the rounds.
    pub(crate) fn under_load(&self) -> Duration {
        self.loaded.median()
    }

    /// How often as long the p99 is under load: the median of the rounds.
    fn growth(&self) -> f64 {
        self.loaded.median().as_secs_f64() / self.quiet.median().as_secs_f64()
    }

    /// Fails if others lost a request, or if their p99 grew by more than the limit. Times are judged only in full size and
    /// in a release build.
    pub(crate) fn judge(&self, name: &str) {
        self.judge_within(name, MOST_GROWTH, Duration::ZERO);
    }

    /// Like `judge`, with another limit: the p99 alone, times a factor, and a time that does not depend on it.
    pub(crate) fn judge_within(&self, name: &str, factor: f64, more: Duration) {
        self.judge_at_most(name, self.quiet.median().mul_f64(factor) + more);
    }

    /// Like `judge_within`, compared with another gateway that the load does not reach: it was measured in turns with this one,
    /// beside the same load.
    pub(crate) fn judge_beside(&self, name: &str, other: &Self, more: Duration) {
        let Half { all: Seen { times, failed, not_judged }, .. } = &other.loaded;
        assert_eq!(*failed, 0, "{name}: the other gateway loses no request");
        assert!(times.len() >= *not_judged, "{name}: the machine was too slow for the other gateway");
        self.judge_at_most(name, other.loaded.median().mul_f64(MOST_GROWTH) + more);
    }

    fn judge_at_most(&self, name: &str, most: Duration) {
        assert_eq!(self.loaded.all.failed, 0, "{name}: others lose no request");
        if is_full() && !cfg!(debug_assertions) {
            for Seen { times, not_judged, .. } in [&self.quiet.all, &self.loaded.all] {
                assert!(times.len() >= *not_judged, "{name}: the machine was too slow; {self}");
            }
            assert!(self.loaded.median() <= most, "{name}: at most {most:?} is allowed; {self}");
        }
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quiet, loaded, .. } = self;
        let [beside, alone] = [loaded, quiet].map(|half| half.all.clone().p99());
        write!(
            formatter,
            "p99 of others {:?}, alone {:?} (medians of the rounds; {:.2} times), of all rounds together {beside:?}, alone \
             {alone:?}; {} of {} requests failed; {} not judged, because the machine was slow; rounds {:?}, alone {:?}",
            loaded.median(),
            quiet.median(),
            self.growth(),
            loaded.all.failed,
            loaded.all.times.len() + loaded.all.not_judged,
            loaded.all.not_judged,
            loaded.rounds,
            quiet.rounds
        )
    }
}
