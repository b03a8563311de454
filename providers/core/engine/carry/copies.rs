//! What the gateway keeps of a customer who is copied to another provider: what that provider cannot hold.

use super::{At, Change, NO_COUNTERPART, Part, after, field_changes, is_held, keeps_block, show};
use crate::model::{
    Address, Customer, CustomerFields, Entry, Field, LossPolicy, Operation, Outcome, Patch, Rewritten,
    manifest::{Manifest, Support},
};

/// Completes the record that a copy made or changed with the parts that the gateway then keeps for it, and returns what
/// changes about the parts. So the customer has the same values on both sides.
///
/// `source` is the customer as the client reads it at its home, whose provider has the manifest `home`. `parts` is what the
/// gateway keeps now. A part that the home needs stays: only what the home holds itself is removed.
pub fn complete_copy(
    source: &Customer,
    home: &Manifest,
    target: &mut Customer,
    parts: Vec<Part>,
    at: &At<'_>,
) -> Vec<Change> {
    let mut changes = field_changes(&fields_of(source), Operation::Create, LossPolicy::Carry, target, at);
    changes.retain(|change| !matches!(change, Change::Remove(_)) && is_own(source, change.field(), home));
    for change in &mut changes {
        // The copy has the whole metadata, and not a patch of what was kept before.
        if let Change::Merge { native, .. } = *change {
            let value = Some(source.metadata.as_str().to_owned());
            *change = Change::Put { field: Field::Metadata, value, native };
        }
    }
    if source.blocked == Some(true) && keeps_block(at.manifest, Operation::Block, LossPolicy::Carry) {
        changes.push(Change::Put { field: Field::Blocked, value: Some(true.to_string()), native: None });
    }
    // The home holds the field, and does not show what the part has: the part is of an older state.
    for part in parts.iter().filter(|part| is_held(part.field, part.value.is_some(), home)) {
        if changes.iter().all(|change| change.field() != part.field) {
            changes.push(Change::Remove(part.field));
        }
    }
    let parts = after(parts, &changes, at);
    show(target, &parts, at);
    changes
}

/// Reports the values that the client removed, and that the provider of the home never had. An answer need not show them,
/// but a copy removes them at the other side.
pub fn report_removed(source: &mut Customer, parts: &[Part]) {
    for part in parts.iter().filter(|part| part.value.is_none() && part.native.is_none()) {
        if !source.held(part.field).has_value() {
            let (field, outcome, rule) = (part.field, Outcome::Carried, NO_COUNTERPART);
            source.fidelity.push(Entry { field, outcome, rule, from: None });
        }
    }
}

/// Whether what the customer shows in a field was written, and is not derived from other fields.
fn is_own(source: &Customer, field: Field, home: &Manifest) -> bool {
    let is_carried = |entry: &Entry| entry.field == field && entry.outcome == Outcome::Carried;
    home.field(field).read == Support::Native || source.fidelity.entries().iter().any(is_carried)
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
