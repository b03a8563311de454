//! The parts of a name that the gateway keeps where the provider has one full name: it splits at its last space, and the
//! client may have split it elsewhere. They belong to the full name.

use std::borrow::Cow;

use super::{At, Change, Part};
use crate::{
    model::{Command, Customer, CustomerFields, Field, LossPolicy, Patch, UpdateCustomer, manifest::NameStyle},
    text::{Text, name},
};

/// The fields of a name. They belong to the full name.
pub(super) const NAMES: [Field; 3] = [Field::Name, Field::FirstName, Field::LastName];

/// Whether the gateway keeps a part of a name.
pub fn has_name_parts(parts: &[Part]) -> bool {
    parts.iter().any(|part| NAMES.contains(&part.field))
}

/// What a write changes about the parts of a name.
pub(super) fn name_changes(
    fields: &CustomerFields,
    lost: &[Field],
    on_loss: LossPolicy,
    customer: &Customer,
    at: &At<'_>,
) -> Vec<Change> {
    if NAMES.iter().all(|field| fields.state(*field).is_absent()) {
        return Vec::new();
    }
    let is_lost = NAMES.iter().any(|field| lost.contains(field));
    let full = customer.full_name();
    let (first, last) = customer.split_name();
    let shown = [full.as_deref(), first, last];
    let wanted = match (at.manifest.update.names, on_loss) {
        (NameStyle::Full, LossPolicy::Carry) => wanted_names(fields, full.as_deref()),
        _ => None,
    };
    let is_same_name = |wanted: Option<&str>| match (wanted, full.as_deref()) {
        (Some(wanted), Some(full)) => name::same_words(wanted, full),
        (wanted, full) => wanted == full,
    };
    // A provider that keeps another name than it was sent has altered it. That is reported, and nothing is carried.
    let wanted = wanted.filter(|wanted| is_lost || is_same_name(wanted[0].as_deref()));
    let Some(wanted) = wanted else { return NAMES.map(Change::Remove).to_vec() };
    let changes = NAMES.into_iter().zip(wanted).zip(shown).map(|((field, wanted), shown)| {
        let is_kept = wanted.as_deref() == shown || (field == Field::Name && is_same_name(wanted.as_deref()));
        match is_kept {
            true => Change::Remove(field),
            false => Change::Put { field, value: wanted, native: at.native(customer, field) },
        }
    });
    changes.collect()
}

/// The name, the first name and the last name that the client reads after its write. `full` is the name that the
/// provider shows. `None` if the client gave only a full name.
fn wanted_names(fields: &CustomerFields, full: Option<&str>) -> Option<[Option<String>; 3]> {
    let (first, last) = match (&fields.first_name, &fields.last_name) {
        (Patch::Absent, Patch::Absent) => return (fields.name == Patch::Clear).then_some([None, None, None]),
        (Patch::Absent, Patch::Set(last)) => (rest(full, |full| full.strip_suffix(&**last)), Some(last.to_string())),
        (Patch::Set(first), Patch::Absent) => (Some(first.to_string()), rest(full, |full| full.strip_prefix(&**first))),
        (Patch::Absent, Patch::Clear) => (full.and_then(|full| name::split(full).0).map(str::to_owned), None),
        (Patch::Clear, Patch::Absent) => (None, full.and_then(|full| name::split(full).1).map(str::to_owned)),
        (first, last) => (first.set().map(ToString::to_string), last.set().map(ToString::to_string)),
    };
    let joined = name::join(first.as_deref(), last.as_deref()).map(Cow::into_owned);
    Some([joined, first, last])
}

/// The other part of a full name.
fn rest<'n>(full: Option<&'n str>, without: impl Fn(&'n str) -> Option<&'n str>) -> Option<String> {
    full.and_then(without).map(str::trim).filter(|rest| !rest.is_empty()).map(str::to_owned)
}

/// Whether an update changes one part of a name, and the other part stays as the client reads it.
pub fn needs_name_parts(command: &Command) -> bool {
    let Command::Update(UpdateCustomer { fields, .. }) = command else { return false };
    fields.name.is_absent() && fields.first_name.is_absent() != fields.last_name.is_absent()
}

/// Gives such an update the other part of the name, from the customer as the client reads it.
pub fn complete_name(command: &mut Command, customer: &Customer) {
    let Command::Update(UpdateCustomer { fields, .. }) = command else { return };
    let part = |part: &Option<Text>| part.clone().map_or(Patch::Absent, Patch::Set);
    if fields.first_name.is_absent() {
        fields.first_name = part(&customer.first_name);
    } else if fields.last_name.is_absent() {
        fields.last_name = part(&customer.last_name);
    }
}
