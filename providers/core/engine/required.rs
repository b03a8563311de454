//! The fields that a provider requires of every customer. A create must give them, and no update may remove them.
//!
//! `prepare` calls it before a vendor plans a write. Providers check their requirements at creates only, so an update
//! that clears a required field would leave a customer that no create can make.

use crate::model::{
    Customer, CustomerFields, Error, Field, FieldError, Patch,
    manifest::{Manifest, Requirement},
};

/// What a command does to a field that a provider requires.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The customer has it afterwards.
    Gives,
    /// The customer lacks it afterwards. The field is the member that clears it.
    Clears(Field),
    /// It removes one part of a name, so the other part decides.
    ClearsPart(Field),
    /// The customer has it afterwards as before.
    Keeps,
}

/// Refuses a create without a field that the provider requires.
pub(super) fn check_create(fields: &CustomerFields, manifest: &Manifest) -> Result<(), Error> {
    let is_given = |field: &Field| effect(fields, *field) == Effect::Gives;
    let missing = manifest.requires.iter().filter(|requirement| !requirement.any_of.iter().any(is_given));
    refuse(missing.map(|requirement| FieldError::new(requirement.any_of[0].pointer(), requirement.message)).collect())
}

/// Refuses an update that removes every field of a requirement. The result says whether only the customer's record
/// shows if every requirement stays met.
pub(super) fn check_update(fields: &CustomerFields, manifest: &Manifest) -> Result<bool, Error> {
    let touched =
        || manifest.requires.iter().filter_map(|requirement| Some((requirement, removed(fields, requirement)?)));
    let is_cleared = |field: &Field| matches!(effect(fields, *field), Effect::Clears(_));
    let broken = touched().filter(|(requirement, _)| requirement.any_of.iter().all(is_cleared));
    refuse(broken.map(|(requirement, removed)| FieldError::new(removed.pointer(), requirement.message)).collect())?;
    Ok(touched().next().is_some())
}

/// Refuses an update that leaves this customer without a field that the provider requires.
pub(super) fn check_update_of(current: &Customer, fields: &CustomerFields, manifest: &Manifest) -> Result<(), Error> {
    let has = |field: Field| current.held(field).has_value();
    let is_kept = |field: &Field| match effect(fields, *field) {
        Effect::Gives => true,
        Effect::Clears(_) => false,
        Effect::ClearsPart(Field::FirstName) => has(Field::LastName),
        Effect::ClearsPart(_) => has(Field::FirstName),
        Effect::Keeps => has(*field),
    };
    let broken = manifest.requires.iter().filter_map(|requirement| {
        let removed = removed(fields, requirement)?;
        let is_met = requirement.any_of.iter().any(is_kept);
        (!is_met).then(|| FieldError::new(removed.pointer(), requirement.message))
    });
    refuse(broken.collect())
}

/// The member of an update that removes a field of the requirement, unless the update gives another one.
fn removed(fields: &CustomerFields, requirement: &Requirement) -> Option<Field> {
    let mut removed = None;
    for field in requirement.any_of {
        match effect(fields, *field) {
            Effect::Gives => return None,
            Effect::Clears(member) | Effect::ClearsPart(member) => removed = removed.or(Some(member)),
            Effect::Keeps => {}
        }
    }
    removed
}

fn effect(fields: &CustomerFields, field: Field) -> Effect {
    let given = |part: &Patch<_>| part.set().is_some_and(|part: &crate::text::Text| !part.is_empty());
    match (fields.state(field), field) {
        (Patch::Set(()), _) => Effect::Gives,
        (Patch::Clear, _) => Effect::Clears(field),
        (Patch::Absent, Field::Name) => match (&fields.first_name, &fields.last_name) {
            (first, last) if given(first) || given(last) => Effect::Gives,
            (Patch::Absent, Patch::Absent) => Effect::Keeps,
            (Patch::Absent, _) => Effect::ClearsPart(Field::LastName),
            (_, Patch::Absent) => Effect::ClearsPart(Field::FirstName),
            _ => Effect::Clears(Field::FirstName),
        },
        (Patch::Absent, _) => Effect::Keeps,
    }
}

fn refuse(broken: Vec<FieldError>) -> Result<(), Error> {
    if broken.is_empty() { Ok(()) } else { Err(Error::invalid(broken)) }
}
