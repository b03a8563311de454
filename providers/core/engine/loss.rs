//! Applies the loss policy to the fields that a provider cannot store.
//!
//! `execute` calls [`intended_fields`] before it plans a write and [`enforce_policy`] before it sends one, so that no
//! field is lost unless the policy allows it.

use std::borrow::Cow;

use super::carry;
use crate::{
    json::JsonObject,
    model::{
        CustomerFields, CustomerType, Error, Fidelity, Field, Kind, LossPolicy, Patch,
        manifest::{FieldSupport, Manifest, Support},
    },
};

/// The API in whose terms a command was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The merchants' API: the client intends every member of the command.
    Canonical,
    /// The API of an imitated provider: its clients send some members by habit, and ask for list entries by any offset.
    Imitated,
}

/// The conditions under which a command is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// What happens to fields that the provider cannot store.
    pub on_loss: LossPolicy,
    /// Whether the command came from the merchants' API or from a client of an imitated provider.
    pub language: Language,
}

impl Conditions {
    /// The conditions for a command of the merchants' API.
    pub const fn canonical(on_loss: LossPolicy) -> Self {
        Self { on_loss, language: Language::Canonical }
    }
}

/// The fields that the client intends to write. A client of an imitated provider may clear a field, or merge an empty
/// object into it, although the executing provider does not have the field. Nothing is lost then, because the field is
/// already empty: it is removed from the command.
pub(super) fn intended_fields<'f>(
    fields: &'f CustomerFields,
    conditions: Conditions,
    manifest: &Manifest,
) -> Cow<'f, CustomerFields> {
    let mut intended = Cow::Borrowed(fields);
    // The gateway may keep a value of the field that is cleared.
    if conditions.language == Language::Canonical || conditions.on_loss == LossPolicy::Carry {
        return intended;
    }
    for field in Field::WRITABLE {
        let FieldSupport { create, update, read, .. } = manifest.field(field);
        let is_absent_at_provider = [create, update, read].iter().all(|support| matches!(support, Support::No(_)));
        let asks_for_empty = match fields.state(field) {
            Patch::Clear => true,
            _ => field == Field::Metadata && fields.metadata.set().is_some_and(JsonObject::is_empty),
        };
        if is_absent_at_provider && asks_for_empty {
            intended.to_mut().forget(field);
        }
    }
    intended
}

/// Refuses a plan that loses fields, unless the loss policy accepts the loss. If the gateway keeps them, the report says so.
pub(super) fn enforce_policy(
    fidelity: &mut Fidelity,
    fields: &CustomerFields,
    conditions: Conditions,
    manifest: &Manifest,
) -> Result<(), Error> {
    match conditions.on_loss {
        LossPolicy::Drop => return Ok(()),
        LossPolicy::Carry => {
            carry::report_plan(fidelity, fields, manifest);
            return Ok(());
        }
        LossPolicy::Reject => {}
    }
    let mut lost = fidelity.loss_errors();
    // Clients of imitated providers send `individual` with every customer. It is also the default meaning of a customer
    // without a type, so its loss is reported but is not a reason to refuse.
    if conditions.language == Language::Imitated && fields.kind == Patch::Set(CustomerType::Individual) {
        lost.retain(|loss| loss.pointer != Field::Type.pointer());
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::FieldsNotSupported, describe(fidelity, fields, manifest)).with_fields(lost))
}

/// Says which values the provider cannot hold, and which values it cannot clear.
fn describe(fidelity: &Fidelity, fields: &CustomerFields, manifest: &Manifest) -> String {
    let is_clear = |field: Field| fields.state(field) == Patch::Clear && manifest.field(field).update.is_supported();
    let (cleared, held): (Vec<Field>, Vec<Field>) =
        fidelity.losses().map(|entry| entry.field).partition(|field| is_clear(*field));
    let held: Vec<&str> = held.into_iter().map(Field::name).collect();
    let cleared: Vec<&str> = cleared.into_iter().map(Field::noun).collect();
    let held = (!held.is_empty()).then(|| format!("cannot hold {}", held.join(", ")));
    let cleared = (!cleared.is_empty()).then(|| format!("cannot clear {}", cleared.join(", ")));
    let parts: Vec<String> = held.into_iter().chain(cleared).collect();
    format!("{} {}", manifest.name, parts.join(" and "))
}
