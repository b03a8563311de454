//! Prepares creates and updates for a provider: checks the fields that its manifest requires, removes the fields that
//! it cannot store, and completes objects that it accepts only whole.
//!
//! `execute` calls it before a vendor plans a write. The fidelity report of the plan lists every removed field.

use std::sync::Arc;

use super::{preview, required};
use crate::{
    engine::identity::Asked,
    kit::{CustomerProvider, Plan, Step, marker},
    model::{
        CreateCustomer, Created, Customer, CustomerFields, Entry, Error, Fidelity, Field, Operation, Outcome, Patch,
        UpdateCustomer,
        manifest::{Manifest, NameStyle},
    },
    text::{Text, name, phone},
};

/// The plan of a create. Its fidelity report lists every field that the provider cannot store.
pub(super) fn create(provider: &dyn CustomerProvider, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
    let manifest = provider.manifest();
    required::check_create(&command.fields, manifest)?;
    let losses: Vec<_> = manifest.losses(&command.fields, Operation::Create).collect();
    if losses.is_empty() {
        let plan = provider.plan_create(command)?;
        return Ok(plan.reporting(|report| report_phones(&command.fields, provider, report)));
    }
    let mut command = command.clone();
    for (field, _) in &losses {
        command.fields.forget(*field);
    }
    let plan = provider.plan_create(&command)?;
    Ok(plan.reporting(|report| report_phones(&command.fields, provider, report)).losing(losses))
}

/// The result of an update.
#[derive(Debug)]
pub(super) struct Updated {
    /// The customer that the provider answered.
    pub(super) customer: Box<Customer>,
    /// The record from which the update was completed. `None` if the update was sent without a read.
    pub(super) before: Option<Box<Customer>>,
}

impl Updated {
    /// The result of a plan that completed nothing.
    pub(super) fn without_read(customer: Box<Customer>) -> Result<Self, Error> {
        Ok(Self { customer, before: None })
    }
}

/// The plan of an update. Its fidelity report lists every field that the provider cannot store. If the provider accepts
/// an object only whole, the plan retrieves the customer first. If no field is left, the plan only retrieves it.
pub(super) fn update(provider: &Arc<dyn CustomerProvider>, command: &UpdateCustomer) -> Result<Plan<Updated>, Error> {
    let manifest = provider.manifest();
    let losses: Vec<_> = manifest.losses(&command.fields, Operation::Update).collect();
    let mut command = command.clone();
    for (field, _) in &losses {
        command.fields.forget(*field);
    }
    let may_break_requirement = required::check_update(&command.fields, manifest)?;
    let plan = if command.fields.is_empty() {
        provider.plan_retrieve(&command.id)?.map(Updated::without_read)
    } else if may_break_requirement || needs_current(&command.fields, manifest) {
        read_then_update(provider, &command)?
    } else {
        provider.plan_update(&command)?.map(Updated::without_read)
    };
    let plan = plan.reporting(|report| report_phones(&command.fields, &**provider, report));
    Ok(plan.losing(losses))
}

/// Reports the national phone numbers that go to the provider as they are written, because they are not valid in the
/// merchant's region, or the merchant has none.
fn report_phones(fields: &CustomerFields, provider: &dyn CustomerProvider, report: &mut Fidelity) {
    for (field, number) in [(Field::Phone, &fields.phone), (Field::Whatsapp, &fields.whatsapp)] {
        let completed = field == Field::Phone && fields.rewritten.has_dial_code_in_record();
        let Some(number) = number.set().filter(|_| !completed) else { continue };
        if let Some(rule) = phone::why_as_written(number, provider.region()) {
            report.transformed(field, rule, number);
        }
    }
}

/// Whether the update can be written only with the customer's current values at hand.
fn needs_current(fields: &CustomerFields, manifest: &Manifest) -> bool {
    let style = &manifest.update;
    let has_one_name_part = fields.name.is_absent() && fields.first_name.is_absent() != fields.last_name.is_absent();
    style.replaces_record
        || fields.rewritten.has_dial_code_in_record()
        || (style.names == NameStyle::Full && has_one_name_part)
        || !fields.metadata.is_absent()
        || (style.whole_address && fields.mentions_address())
}

/// Retrieves the customer first, then sends the patch completed from its current values.
fn read_then_update(provider: &Arc<dyn CustomerProvider>, command: &UpdateCustomer) -> Result<Plan<Updated>, Error> {
    // The patch is completed from this record, so it must be that customer's.
    let asked = Asked::new(&command.id, provider.manifest());
    let read = provider.plan_retrieve(&command.id)?;
    // What the patch alone changes on the way to the provider. A patch that cannot be sent at all fails here.
    let Plan { fidelity, .. } = update_of(&Customer::default(), &**provider, command)?;
    let (shared, patch) = (Arc::clone(provider), command.clone());
    let write = move |current: Box<Customer>| {
        let current = asked.checked(current)?;
        required::check_update_of(&current, &patch.fields, shared.manifest())?;
        let plan = update_of(&current, &*shared, &patch)?;
        let before = Some(current);
        Ok(Step::from(plan.map(|customer| Ok(Updated { customer, before }))))
    };
    let (shared, patch) = (Arc::clone(provider), command.clone());
    let preview = move || preview::requests(&patch, |record| update_of(record, &*shared, &patch));
    Ok(read.and_then(write).followed_by_preview(preview).reporting(|report| report.extend(&fidelity)))
}

/// The update of a customer with these current values.
fn update_of(
    current: &Customer,
    provider: &dyn CustomerProvider,
    command: &UpdateCustomer,
) -> Result<Plan<Box<Customer>>, Error> {
    let fields = Completed::of(&command.fields, current, provider).whole;
    provider.plan_update(&UpdateCustomer { id: command.id.clone(), fields })
}

/// An update that was completed from the customer's record.
pub(super) struct Completed<'c> {
    /// The patch.
    pub(super) patch: CustomerFields,
    /// The patch, with the current values added wherever the provider accepts an object only whole.
    pub(super) whole: CustomerFields,
    /// The record.
    pub(super) before: &'c Customer,
}

impl<'c> Completed<'c> {
    /// Completes a patch. A phone number without its dial code gets the one of the record first.
    pub(super) fn of(fields: &CustomerFields, before: &'c Customer, provider: &dyn CustomerProvider) -> Self {
        let mut patch = fields.clone();
        patch.phone = fields.phone_beside(before.phone.as_ref(), provider.region());
        let whole = complete(&patch, before, provider.manifest());
        Self { patch, whole, before }
    }

    /// Corrects the report of the way out where the dial code of the record does not complete the client's number.
    pub(super) fn correct(&self, sent: &mut Fidelity) {
        let number = self.patch.phone.set().filter(|number| phone::is_national(number));
        let has_code = self.before.phone.as_deref().and_then(phone::split).is_some();
        if let (Some(number), true, true) = (number, has_code, self.patch.rewritten.has_dial_code_in_record()) {
            let (field, rule) = (Field::Phone, phone::NOT_BESIDE_RECORD);
            sent.retain(|entry| entry.rule != phone::BESIDE_RECORD);
            sent.push(Entry { field, outcome: Outcome::Altered, rule, from: Some(number.clone()) });
        }
    }
}

/// The patch, with the current values added wherever the provider accepts an object only whole.
fn complete(fields: &CustomerFields, current: &Customer, manifest: &Manifest) -> CustomerFields {
    let style = &manifest.update;
    let mut whole = fields.clone();
    let replaces_record = style.replaces_record;
    if style.names == NameStyle::Full {
        if fields.name.is_absent() && (!fields.first_name.is_absent() || !fields.last_name.is_absent()) {
            let (first, last) = kept_name(fields, current, manifest);
            let first = fields.first_name.apply(first.map(Text::from));
            let last = fields.last_name.apply(last.map(Text::from));
            let joined = name::join(first.as_deref(), last.as_deref());
            whole.name = joined.map_or(Patch::Clear, |joined| Patch::Set(Text::from(joined.into_owned())));
            whole.first_name = Patch::Absent;
            whole.last_name = Patch::Absent;
        }
    } else if replaces_record {
        let (first, last) = fields.split_name();
        (whole.first_name, whole.last_name) =
            (first.map(|part| Text::from(&**part)), last.map(|part| Text::from(&**part)));
        whole.name = Patch::Absent;
        whole.first_name = whole.first_name.or_keep(current.first_name.as_ref());
        whole.last_name = whole.last_name.or_keep(current.last_name.as_ref());
    }
    whole.metadata = marker::kept_in(&fields.metadata, current);
    if replaces_record || (style.whole_address && fields.mentions_address()) {
        for ((_, part), (_, current)) in whole.address.parts_mut().into_iter().zip(current.address.parts()) {
            *part = part.or_keep(current.as_ref());
        }
    }
    if replaces_record {
        keep_other_fields(&mut whole, current, manifest);
    }
    whole
}

/// The parts of a customer's name, as an update of one part keeps the other one: those that reads show. Where the
/// provider stores one name, it may already be the result of this update, and split at another space. So a name that ends
/// with the new last name has it as its last name, and a name that is the new part has no other part. Otherwise words would
/// be added again when the update is sent again.
pub(super) fn kept_name<'c>(
    fields: &CustomerFields,
    current: &'c Customer,
    manifest: &Manifest,
) -> (Option<&'c str>, Option<&'c str>) {
    let split = current.split_name();
    let (NameStyle::Full, Some(full)) = (manifest.update.names, &current.name) else { return split };
    let full: &str = full;
    if let Some(last) = fields.last_name.set()
        && let Some(first) = full.strip_suffix(&**last)
        && (first.is_empty() || first.ends_with(char::is_whitespace))
    {
        let last = full.get(first.len()..);
        return (Some(first.trim()).filter(|first| !first.is_empty()), last);
    }
    match fields.first_name.set() {
        Some(first) if **first == *full => (Some(full), None),
        _ => split,
    }
}

/// Whether an update removes one part of a customer's name at a provider that stores one name. The result shows no such
/// removal, and a second one removes another word.
pub(super) fn removes_name_part(fields: &CustomerFields, manifest: &Manifest) -> bool {
    let CustomerFields { name, first_name, last_name, .. } = fields;
    let is_removed = |part: &Patch<Text>| match part {
        Patch::Absent => false,
        Patch::Clear => true,
        Patch::Set(text) => text.trim().is_empty(),
    };
    manifest.update.names == NameStyle::Full
        && name.is_absent()
        && first_name.is_absent() != last_name.is_absent()
        && (is_removed(first_name) || is_removed(last_name))
}

/// Adds the current values of the fields that the patch does not mention, because the provider would clear them. The
/// caller has already handled names, address and metadata.
fn keep_other_fields(whole: &mut CustomerFields, current: &Customer, manifest: &Manifest) {
    let CustomerFields {
        name: _,
        first_name: _,
        last_name: _,
        email,
        phone,
        whatsapp,
        address: _,
        kind,
        did,
        balance,
        metadata: _,
        rewritten: _,
    } = whole;
    let is_updatable = |field| manifest.field(field).update.is_supported();
    for (field, text) in [
        (Field::Email, email),
        (Field::Phone, phone),
        (Field::Whatsapp, whatsapp),
        (Field::Did, did),
        (Field::Balance, balance),
    ] {
        if is_updatable(field) {
            *text = text.or_keep(value_at_provider(current, field));
        }
    }
    if is_updatable(Field::Type) {
        *kind = kind.or_keep(current.kind.as_ref());
    }
}

/// The value to send again for a field that the patch does not mention. Where the gateway derived its value from the
/// provider's text, this is the provider's text: a derived value must not replace the original.
fn value_at_provider(current: &Customer, field: Field) -> Option<&Text> {
    let derived = |entry: &&Entry| entry.field == field && entry.outcome == Outcome::Derived;
    let original = current.fidelity.entries().iter().find(derived).and_then(|entry| entry.from.as_ref());
    original.or_else(|| current.text(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor;

    #[test]
    fn an_update_of_a_name_part_has_the_same_result_when_it_is_sent_again() {
        let fields = |first: &'static str, last: &'static str| {
            let part =
                |text: &'static str| if text.is_empty() { Patch::Absent } else { Patch::Set(Text::from_static(text)) };
            CustomerFields { first_name: part(first), last_name: part(last), ..CustomerFields::default() }
        };
        let updated = |provider: &str, name: &str, patch: &CustomerFields| {
            let (first_name, last_name) = name::split(name);
            let (first_name, last_name) = (first_name.map(Text::from), last_name.map(Text::from));
            let name = Some(Text::from(name)).filter(|name| !name.is_empty());
            let current = Customer { name, first_name, last_name, ..Customer::default() };
            let manifest = vendor(provider).expect("a provider").manifests[0];
            let (first, last) = kept_name(patch, &current, manifest);
            let first = patch.first_name.apply(first.map(Text::from));
            let last = patch.last_name.apply(last.map(Text::from));
            name::join(first.as_deref(), last.as_deref()).unwrap_or_default().into_owned()
        };
        for (provider, name, first, last, expected) in [
            ("modempay", "Awa Ndiaye Fall", "", "Sow", "Awa Ndiaye Sow"),
            ("modempay", "Awa Ndiaye Fall", "", "Fall", "Awa Ndiaye Fall"),
            ("modempay", "Awa Sow", "", "Ndiaye Fall", "Awa Ndiaye Fall"),
            ("modempay", "Awa Ndiaye Fall", "", "Ndiaye Fall", "Awa Ndiaye Fall"),
            ("modempay", "Awa Ndiaye Fall", "", "aye Fall", "Awa Ndiaye aye Fall"),
            ("modempay", "Awa", "", "Ndiaye Fall", "Awa Ndiaye Fall"),
            ("modempay", "", "", "Fall", "Fall"),
            ("modempay", "", "", "Ndiaye Fall", "Ndiaye Fall"),
            ("modempay", " Fall", "", "Fall", "Fall"),
            ("modempay", "Awa Ndiaye Fall", "Awa", "", "Awa Fall"),
            ("modempay", "Awa Fall", "Awa Ndiaye", "", "Awa Ndiaye Fall"),
            ("modempay", "Awa", "Awa Ndiaye", "", "Awa Ndiaye"),
            ("modempay", "", "Awa Ndiaye", "", "Awa Ndiaye"),
        ] {
            let patch = fields(first, last);
            let once = updated(provider, name, &patch);
            assert_eq!(once, expected, "{first}, {last} after {name}");
            assert_eq!(updated(provider, &once, &patch), once, "{first}, {last} after {name}, twice");
        }
        assert_eq!(updated("bitnob", "Awa Ndiaye Fall", &fields("", "Ndiaye Fall")), "Awa Ndiaye Ndiaye Fall");
    }
}
