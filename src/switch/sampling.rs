//! What the metrics show of the open switches. Counting a million customers takes a second or more, so it is not done for every
//! scrape: a count is shown again until counting takes at most a part of the time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Switches, progress::Loaded, words::Outcome};
use crate::{
    metrics::{Metrics, number},
    store::{StoreError, SwitchLog},
};

/// The most switches that are shown.
const MOST: usize = 100;
/// A count that took a time is shown for so many times as long.
const SHOWN_FOR: u32 = 20;

/// The last counts of the open switches, by their ids.
pub(super) type LastCounts = Arc<Mutex<HashMap<String, Counted>>>;

/// How many customers of a switch have each outcome.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    at: Instant,
    took: Duration,
    outcomes: BTreeMap<String, u64>,
}

impl Counted {
    async fn read(log: &SwitchLog, id: &str) -> Result<Self, StoreError> {
        // An outcome that no customer has is shown as zero: an alert can only ask for series that exist.
        let mut outcomes: BTreeMap<String, u64> =
            Outcome::ALL.iter().map(|outcome| (outcome.as_str().to_owned(), 0)).collect();
        let begun = Instant::now();
        for counted in log.counts(id).await? {
            *outcomes.entry(counted.outcome).or_default() += counted.count;
        }
        Ok(Self { at: Instant::now(), took: begun.elapsed(), outcomes })
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now < self.at + self.took * SHOWN_FOR
    }
}

impl Switches {
    /// Reads where the open switches stand.
    pub async fn sample_metrics(&self, metrics: &Metrics) -> Result<(), StoreError> {
        let log = self.context.store.switches();
        let mut open = HashSet::new();
        for switch in log.open_ones(MOST).await? {
            let Loaded { switch, blocked_by, .. } = Loaded::try_from(switch)?;
            let blocked_by = blocked_by.map_or("", |blocked| blocked.code.as_str());
            metrics.switches(&switch.merchant, switch.state.as_str(), blocked_by).set(1.0);
            let last = self.last_counts().get(&switch.id).cloned();
            let counted = match last.filter(|counted| counted.is_fresh(Instant::now())) {
                Some(counted) => counted,
                None => Counted::read(log, &switch.id).await?,
            };
            for (outcome, count) in &counted.outcomes {
                let count = usize::try_from(*count).unwrap_or(usize::MAX);
                metrics.switch_customers(&switch.merchant, outcome).set(number(count));
            }
            self.last_counts().insert(switch.id.clone(), counted);
            open.insert(switch.id);
        }
        self.last_counts().retain(|id, _| open.contains(id));
        Ok(())
    }

    fn last_counts(&self) -> MutexGuard<'_, HashMap<String, Counted>> {
        self.last_counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_shown_for_twenty_times_as_long_as_it_took() {
        let (at, took) = (Instant::now(), Duration::from_secs(2));
        let counted = Counted { at, took, outcomes: BTreeMap::new() };
        assert!(counted.is_fresh(at + took * 19));
        assert!(!counted.is_fresh(at + took * 20));
    }
}
