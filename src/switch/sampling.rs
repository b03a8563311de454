//! What the metrics show of the open switches.

use std::collections::BTreeMap;

use super::{Switches, progress::Loaded};
use crate::{
    metrics::{Metrics, number},
    store::StoreError,
};

/// The most switches that are shown.
const MOST: usize = 100;

impl Switches {
    /// Reads where the open switches stand.
    pub async fn sample_metrics(&self, metrics: &Metrics) -> Result<(), StoreError> {
        let log = self.context.store.switches();
        for switch in log.open_ones(MOST).await? {
            let Loaded { switch, blocked_by, .. } = Loaded::try_from(switch)?;
            let blocked_by = blocked_by.map_or("", |blocked| blocked.code.as_str());
            metrics.switches(&switch.merchant, switch.state.as_str(), blocked_by).set(1.0);
            let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
            for counted in log.counts(&switch.id).await? {
                *outcomes.entry(counted.outcome).or_default() += counted.count;
            }
            for (outcome, count) in outcomes {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                metrics.switch_customers(&switch.merchant, &outcome).set(number(count));
            }
        }
        Ok(())
    }
}
