//! The records of gateways that were killed, and whether they agree with the log of the twin.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use passerelle::{
    store::{OperationId, Record, State},
    twin::log::Applied,
};

use super::{Gateway, Twin};

/// Kills all gateways of a store, and reads all its records.
pub(crate) async fn records_of(gateways: &[Arc<Gateway>]) -> BTreeMap<OperationId, Record> {
    for gateway in gateways {
        gateway.kill();
    }
    gateways[0].records().await
}

/// The number of writes in a state.
pub(crate) fn count(records: &BTreeMap<OperationId, Record>, state: State) -> usize {
    records.values().filter(|record| record.state == state).count()
}

/// Asserts that every effect has a record, every record that is done has its effect, and no two records share a
/// customer.
pub(crate) fn assert_agree(twin: &Twin, records: &BTreeMap<OperationId, Record>) {
    let created = twin.created();
    let created: Vec<&Applied> = created.values().flatten().collect();
    let mut owners: HashMap<&str, OperationId> = HashMap::new();
    for record in records.values().filter(|record| record.state == State::Done && record.operation == "create") {
        let customer = record.customer.as_deref().expect("the customer that it created");
        assert!(
            created.iter().any(|effect| effect.customer == customer),
            "{}: {customer} was never created",
            record.id
        );
        let other = owners.insert(customer, record.id);
        assert_eq!(other, None, "{customer} belongs to two writes, the other one is {}", record.id);
    }
    let unknown = count(records, State::Unknown);
    let orphans = created.iter().filter(|effect| !owners.contains_key(effect.customer.as_str())).count();
    assert!(
        orphans <= unknown,
        "{orphans} customers have no record that is done, and only {unknown} outcomes are unknown"
    );
    assert_eq!(count(records, State::Sending), 0, "every write has ended or is unknown");
}
