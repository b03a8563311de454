//! The places of the requests that are being answered. The process has as many as its [`Controller`] allows, and refuses
//! further requests at once, before their bodies are read: a request that waits makes all others wait.
//!
//! One rule divides them: **with `n` merchants that have places, each has at most a part of `n + 1`**, and never fewer than
//! two. So one merchant with many requests has at most half of the places. When the number falls, a merchant below its part
//! is still served, also while others have more than theirs, for example because they wait for a provider that hangs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{
    TooMany,
    controller::{Controller, Use},
};
use crate::metrics::{Counter, Metrics};

/// How often it is measured how long a task waits for a core: ten times in a period of the controller. With fewer, all of them often
/// find a queue that is empty in between.
const INTERVAL: Duration = Duration::from_millis(10);

/// A merchant always has so many places.
const LEAST_OF_MERCHANT: usize = 2;

/// The places of the process.
#[derive(Debug)]
pub struct Places {
    limit: AtomicUsize,
    taken: AtomicUsize,
    /// How many were taken since this was last read.
    granted: AtomicUsize,
    /// How many merchants have places.
    merchants: AtomicUsize,
    /// The most that were taken at once, and whether a request was refused, since they were last read.
    peak: AtomicUsize,
    refused: AtomicBool,
}

/// The requests of a merchant. All clones are one.
#[derive(Debug, Clone, Default)]
pub struct OfMerchant(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// How many places they have taken.
    taken: AtomicUsize,
    /// How many were refused.
    refused: Counter,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    of_merchant: OfMerchant,
}

impl OfMerchant {
    /// A merchant without places, whose refused requests are counted here.
    pub fn new(refused: Counter) -> Self {
        Self(Arc::new(Counts { taken: AtomicUsize::default(), refused }))
    }

    /// Counts a request that was refused.
    pub(super) fn refuse(&self) {
        self.0.refused.inc();
    }
}

impl Places {
    /// So many places. Their number does not change until [`Self::keep_adapting`].
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            taken: AtomicUsize::default(),
            granted: AtomicUsize::default(),
            merchants: AtomicUsize::default(),
            peak: AtomicUsize::default(),
            refused: AtomicBool::default(),
        })
    }

    /// Takes a place for a request of a merchant.
    pub(super) fn take(self: &Arc<Self>, of_merchant: &OfMerchant) -> Result<Place, TooMany> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        let own = of_merchant.0.taken.fetch_add(1, Ordering::Relaxed) + 1;
        if own == 1 {
            self.merchants.fetch_add(1, Ordering::Relaxed);
        }
        // If the request is refused, this returns the place.
        let place = Place { places: Arc::clone(self), of_merchant: of_merchant.clone() };
        self.allow(of_merchant, own, self.merchants.load(Ordering::Relaxed))?;
        self.peak.fetch_max(taken, Ordering::Relaxed);
        self.granted.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    /// Whether a request was refused a short time ago. If none was, the next one is unlikely to be refused.
    pub fn are_short(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Refuses a request of a merchant that would get no place. One that is not refused has none yet.
    pub fn check(&self, of_merchant: &OfMerchant) -> Result<(), TooMany> {
        let own = of_merchant.0.taken.load(Ordering::Relaxed) + 1;
        let merchants = self.merchants.load(Ordering::Relaxed) + usize::from(own == 1);
        self.allow(of_merchant, own, merchants)
    }

    /// Refuses a request whose merchant would have so many places, if that is too many while so many merchants have some.
    fn allow(&self, of_merchant: &OfMerchant, own: usize, merchants: usize) -> Result<(), TooMany> {
        let most = self.limit.load(Ordering::Relaxed) / merchants.saturating_add(1);
        if own <= most.max(LEAST_OF_MERCHANT) {
            return Ok(());
        }
        self.refused.store(true, Ordering::Relaxed);
        of_merchant.refuse();
        Err(TooMany::InFlight)
    }

    /// What was used since this was last called, if so many places were taken a short time ago. Requests that have had a place for
    /// longer wait for their providers: those that need a core have it soon.
    fn used(&self, recently: usize) -> Use {
        let taken = self.taken.load(Ordering::Relaxed);
        Use {
            waiting: taken.saturating_sub(recently),
            peak: self.peak.swap(taken, Ordering::Relaxed).max(taken),
            refused: self.refused.swap(false, Ordering::Relaxed),
        }
    }

    /// Adapts the number of places to what the process can do, and begins with `limit`. Overload is that every task waits for a
    /// core for longer than `longest_wait`.
    pub async fn keep_adapting(&self, limit: usize, longest_wait: Duration, metrics: &Metrics) {
        let mut controller = Controller::new(limit, longest_wait);
        let (mut waits, mut granted) = (Waits::new(), [0; 4]);
        loop {
            self.limit.store(controller.limit(), Ordering::Relaxed);
            metrics.request_places().set(i64::try_from(controller.limit()).unwrap_or(i64::MAX));
            let wait = waits.next().await;
            granted = [self.granted.swap(0, Ordering::Relaxed), granted[0], granted[1], granted[2]];
            controller.waited(wait, Instant::now().into_std(), || self.used(granted.iter().sum()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.of_merchant.0.taken.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.places.merchants.fetch_sub(1, Ordering::Relaxed);
        }
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Measures how long a task that is ready to run waits for a core.
struct Waits {
    /// When the task was last to run.
    due: Instant,
    /// The least by which it ever ran late. The timers of the runtime count whole milliseconds, so each is late by up to one.
    least: Duration,
}

impl Waits {
    fn new() -> Self {
        Self { due: Instant::now(), least: Duration::MAX }
    }

    /// Sleeps for an interval, and returns how much later than that this task ran, behind all others that were ready.
    async fn next(&mut self) -> Duration {
        let now = Instant::now();
        while self.due <= now {
            self.due += INTERVAL;
        }
        sleep_until(self.due).await;
        yield_now().await;
        let late = self.due.elapsed();
        self.least = self.least.min(late);
        late.saturating_sub(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many places as the merchant gets.
    fn many(places: &Arc<Places>, merchant: &OfMerchant) -> Vec<Place> {
        std::iter::from_fn(|| places.take(merchant).ok()).collect()
    }

    #[test]
    fn a_merchant_has_at_most_its_part_of_the_places() {
        let (places, [noisy, other, quiet]) = (Places::new(60), std::array::from_fn(|_| OfMerchant::default()));
        let held = many(&places, &noisy);
        assert_eq!(held.len(), 30);
        let of_other = many(&places, &other);
        assert_eq!(of_other.len(), 20);
        assert!(places.take(&quiet).is_ok(), "a quiet merchant is served beside both");
        assert!(places.take(&noisy).is_err());
        drop(held);
        assert_eq!(many(&places, &quiet).len(), 20, "the places are returned");
        drop(of_other);
        assert_eq!(places.merchants.load(Ordering::Relaxed) + places.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_merchant_below_its_part_is_served_while_others_have_more_than_theirs() {
        let (places, [noisy, quiet]) = (Places::new(2048), std::array::from_fn(|_| OfMerchant::default()));
        let held = many(&places, &noisy);
        assert_eq!(held.len(), 1024);
        places.limit.store(48, Ordering::Relaxed);
        assert_eq!(many(&places, &quiet).len(), 16);
        assert!(places.take(&noisy).is_err());
        places.limit.store(1, Ordering::Relaxed);
        assert_eq!(many(&places, &quiet).len(), LEAST_OF_MERCHANT);
    }

    #[test]
    fn a_request_is_refused_in_the_same_cases_without_a_place() {
        let (places, [noisy, quiet]) = (Places::new(60), std::array::from_fn(|_| OfMerchant::default()));
        let held = many(&places, &noisy);
        places.used(0);
        assert!(!places.are_short() && places.check(&quiet).is_ok());
        assert_eq!(places.check(&noisy), Err(TooMany::InFlight));
        assert!(places.are_short());
        assert_eq!(
            (noisy.0.taken.load(Ordering::Relaxed), places.taken.load(Ordering::Relaxed)),
            (30, 30),
            "it takes none"
        );
        drop(held);
        assert_eq!(places.check(&noisy), Ok(()));
    }

    #[test]
    fn the_use_of_a_period_is_read_once() {
        let (places, merchant) = (Places::new(8), OfMerchant::default());
        let held = many(&places, &merchant);
        assert_eq!(held.len(), 4);
        let used = places.used(4);
        assert!(used.refused && used.peak == 4 && used.waiting == 0, "{used:?}");
        assert_eq!(places.used(1).waiting, 3, "three have had their places for longer");
        drop(held);
        let used = places.used(0);
        assert!(!used.refused && used.peak == 4, "they were still taken when the period began");
        assert_eq!(places.used(0).peak, 0);
    }
}
