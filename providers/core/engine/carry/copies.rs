//! What the gateway keeps of a customer who is copied to another provider: what that provider cannot hold.

use super::{At, Change, field_changes, keeps_block};
use crate::model::{Address, Customer, CustomerFields, Field, LossPolicy, Operation, Patch, Rewritten};

/// What a copy adds to the parts that the gateway keeps. `source` is the customer as the client reads it at its home,
/// `target` is the record that the copy made or changed. Nothing is removed: the home still needs its own parts.
pub fn changes_of_copy(source: &Customer, target: &Customer, at: &At<'_>) -> Vec<Change> {
    let mut changes = field_changes(&fields_of(source), Operation::Create, LossPolicy::Carry, target, at);
    changes.retain(|change| !matches!(change, Change::Remove(_)));
    if source.blocked == Some(true) && keeps_block(at.manifest, Operation::Block, LossPolicy::Carry) {
        changes.push(Change::Put { field: Field::Blocked, value: Some(true.to_string()), native: None });
    }
    changes
}

/// The fields of a create that makes this customer.
fn fields_of(customer: &Customer) -> CustomerFields {
    let text = |value: &Option<_>| value.clone().map_or(Patch::Absent, Patch::Set);
    let Address { line1, line2, city, state, postal_code, country } = &customer.address;
    let has_parts = customer.first_name.is_some() || customer.last_name.is_some();
    CustomerFields {
        name: if has_parts { Patch::Absent } else { text(&customer.name) },
        first_name: text(&customer.first_name),
        last_name: text(&customer.last_name),
        email: text(&customer.email),
        phone: text(&customer.phone),
        whatsapp: text(&customer.whatsapp),
        address: Address {
            line1: text(line1),
            line2: text(line2),
            city: text(city),
            state: text(state),
            postal_code: text(postal_code),
            country: text(country),
        },
        kind: customer.kind.map_or(Patch::Absent, Patch::Set),
        did: text(&customer.did),
        balance: text(&customer.balance),
        metadata: if customer.metadata.is_empty() { Patch::Absent } else { Patch::Set(customer.metadata.clone()) },
        rewritten: Rewritten::default(),
    }
}
