//! What the store of dead gateways holds, and whether it agrees with the log of the twin.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use passerelle::{
    store::{OperationId, Record, State},
    twin::log::Applied,
};

use super::{Gateway, Twin};

/// Kills all gateways of a store, and reads everything that they kept.
pub(crate) async fn kept_by(gateways: &[Arc<Gateway>]) -> BTreeMap<OperationId, Record> {
    for gateway in gateways {
        gateway.kill();
    }
    gateways[0].kept().await
}

/// How many writes are in each state.
pub(crate) fn count(kept: &BTreeMap<OperationId, Record>, state: State) -> usize {
    kept.values().filter(|record| record.state == state).count()
}

/// Every effect has a record, every record that is done has its effect, and no two records share a customer.
pub(crate) fn agree(twin: &Twin, kept: &BTreeMap<OperationId, Record>) {
    let made = twin.created();
    let made: Vec<&Applied> = made.values().flatten().collect();
    let mut owners: HashMap<&str, OperationId> = HashMap::new();
    for record in kept.values().filter(|record| record.state == State::Done && record.operation == "create") {
        let customer = record.customer.as_deref().expect("whom it made");
        assert!(made.iter().any(|effect| effect.customer == customer), "{}: {customer} was never made", record.id);
        let other = owners.insert(customer, record.id);
        assert_eq!(other, None, "{customer} is what came of two writes, the other one is {}", record.id);
    }
    let unknown = count(kept, State::Unknown);
    let orphans = made.iter().filter(|effect| !owners.contains_key(effect.customer.as_str())).count();
    assert!(orphans <= unknown, "{orphans} customers were made, and only {unknown} outcomes are unknown");
    assert_eq!(count(kept, State::Sending), 0, "a write is neither finished nor unknown");
}
