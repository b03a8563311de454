//! What a provider cannot hold: which of it the caller meant, and whether the loss policy lets the rest be sent.

use std::borrow::Cow;

use super::Conditions;
use crate::{
    json::JsonObject,
    model::{
        CustomerFields, CustomerType, Error, Fidelity, Field, Kind, LossPolicy, Patch,
        manifest::{FieldSupport, Manifest, Support},
    },
};

/// Whose language a command was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The merchants' API: every member of the command is meant.
    Canonical,
    /// Another provider's: its clients send members by habit, and count list entries in their own way.
    Imitated,
}

/// The fields that the caller means. A client of another provider clears, or merges nothing into, what the provider
/// does not have: the provider is as empty there as the client wants it.
pub(super) fn meant<'f>(
    fields: &'f CustomerFields,
    language: Language,
    manifest: &Manifest,
) -> Cow<'f, CustomerFields> {
    let mut meant = Cow::Borrowed(fields);
    if language == Language::Canonical {
        return meant;
    }
    for field in Field::WRITABLE {
        let FieldSupport { create, update, read, .. } = manifest.field(field);
        let is_unknown = [create, update, read].iter().all(|support| matches!(support, Support::No(_)));
        let is_empty = match fields.state(field) {
            Patch::Clear => true,
            _ => field == Field::Metadata && fields.metadata.set().is_some_and(JsonObject::is_empty),
        };
        if is_unknown && is_empty {
            meant.to_mut().forget(field);
        }
    }
    meant
}

/// Refuses a plan that loses fields, unless the loss policy accepts that.
pub(super) fn judge(
    fidelity: &Fidelity,
    fields: &CustomerFields,
    conditions: Conditions,
    manifest: &Manifest,
) -> Result<(), Error> {
    let is_accepted = match conditions.on_loss {
        LossPolicy::Drop => true,
        // Nothing keeps fields yet, so what would be carried would be lost.
        LossPolicy::Reject | LossPolicy::Carry => false,
    };
    if is_accepted {
        return Ok(());
    }
    let mut lost = fidelity.loss_errors();
    // Clients of another provider say of every customer that it is a person, which is what a customer is unless it is
    // said otherwise. The loss is reported, and is no reason to refuse.
    if conditions.language == Language::Imitated && fields.kind == Patch::Set(CustomerType::Individual) {
        lost.retain(|wrong| wrong.pointer != Field::Type.pointer());
    }
    if lost.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = fidelity.losses().map(|entry| entry.field.name()).collect();
    let detail = format!("{} cannot hold {}", manifest.name, names.join(", "));
    Err(Error::new(Kind::FieldsNotSupported, detail).with_fields(lost))
}
