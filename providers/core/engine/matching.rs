//! Whether a customer has the values that a write asked for. Reconciliation recognizes by it what a write has done.

use crate::{
    json::canonical::canonicalized,
    model::{Customer, CustomerFields, Field, FieldValue, Patch, manifest::Manifest},
    text::{country, email},
};

/// Whether a customer has the values of a command's fields. This ignores fields that the provider never returns.
pub(super) fn matches_fields(customer: &Customer, fields: &CustomerFields, manifest: &Manifest) -> bool {
    let is_returned = |field: Field| manifest.field(field).read.is_supported();
    let mut wanted = fields.clone();
    // A client of an imitated provider may have sent the country's name instead of its code.
    wanted.address.country = wanted.address.country.map(country::canonical);
    let has_the_name = match wanted.full_name() {
        Patch::Absent => true,
        Patch::Clear => customer.full_name().is_none(),
        Patch::Set(name) => customer.full_name().is_some_and(|current| *current == *name),
    };
    if !has_the_name {
        return false;
    }
    for field in Field::WRITABLE {
        let is_name = matches!(field, Field::Name | Field::FirstName | Field::LastName);
        if is_name || !is_returned(field) {
            wanted.forget(field);
        }
    }
    let mut after = customer.clone();
    wanted.apply_to(&mut after);
    let is_unchanged = |field: &Field| match (customer.held(*field), after.held(*field)) {
        (FieldValue::Text(Some(current)), FieldValue::Text(Some(wanted))) if *field == Field::Email => {
            email::same(current, wanted)
        }
        (FieldValue::Object(current), FieldValue::Object(wanted)) => {
            current == wanted || canonicalized(current.as_str()) == canonicalized(wanted.as_str())
        }
        (current, wanted) => current == wanted,
    };
    Field::WRITABLE.iter().all(is_unchanged)
}
