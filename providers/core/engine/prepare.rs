//! Prepares creates and updates for a provider: checks the fields that its manifest requires, removes the fields that
//! it cannot store, and completes objects that it accepts only whole.
//!
//! `execute` calls it before a vendor plans a write. The fidelity report of the plan lists every removed field.

use std::sync::Arc;

use crate::{
    json::JsonObject,
    kit::{CustomerProvider, Plan, Step},
    model::{
        CreateCustomer, Created, Customer, CustomerFields, Entry, Error, Fidelity, Field, FieldError, Operation,
        Outcome, Patch, UpdateCustomer,
        manifest::{Manifest, NameStyle},
    },
    text::{Text, name, phone},
};

/// The reason of a loss: the gateway sent `null` for a field, and the provider's answer still has a value.
const NOT_CLEARED: &str = "the provider did not clear it";

/// The plan of a create. Its fidelity report lists every field that the provider cannot store.
pub(super) fn create(provider: &dyn CustomerProvider, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
    let manifest = provider.manifest();
    let missing: Vec<FieldError> = manifest
        .requires
        .iter()
        .filter(|requirement| !requirement.any_of.iter().any(|field| is_given(&command.fields, *field)))
        .map(|requirement| FieldError::new(requirement.any_of[0].pointer(), requirement.message))
        .collect();
    if !missing.is_empty() {
        return Err(Error::invalid(missing));
    }
    let losses: Vec<_> = manifest.losses(&command.fields, Operation::Create).collect();
    if losses.is_empty() {
        let plan = provider.plan_create(command)?;
        return Ok(plan.reporting(|report| report_phones(&command.fields, provider, report)));
    }
    let mut command = command.clone();
    for (field, _) in &losses {
        command.fields.forget(*field);
    }
    let reported = losses.clone();
    let plan = provider.plan_create(&command)?.map(move |mut created| {
        created.customer.fidelity.lose(reported);
        Ok(created)
    });
    Ok(plan.reporting(|report| report_phones(&command.fields, provider, report)).losing(losses))
}

/// The plan of an update. Its fidelity report lists every field that the provider cannot store. If the provider accepts
/// an object only whole, the plan retrieves the customer first. If no field is left, the plan only retrieves it.
pub(super) fn update(provider: &Arc<dyn CustomerProvider>, command: &UpdateCustomer) -> Result<Plan<Customer>, Error> {
    let manifest = provider.manifest();
    let losses: Vec<_> = manifest.losses(&command.fields, Operation::Update).collect();
    let mut command = command.clone();
    for (field, _) in &losses {
        command.fields.forget(*field);
    }
    let plan = if command.fields.is_empty() {
        provider.plan_retrieve(&command.id)?
    } else if needs_current(&command.fields, manifest) {
        read_then_update(provider, &command)?
    } else {
        check_cleared(provider.plan_update(&command)?, &command.fields, manifest)
    };
    let plan = plan.reporting(|report| report_phones(&command.fields, &**provider, report));
    if losses.is_empty() {
        return Ok(plan);
    }
    let reported = losses.clone();
    let plan = plan.map(move |mut customer| {
        customer.fidelity.lose(reported);
        Ok(customer)
    });
    Ok(plan.losing(losses))
}

fn is_given(fields: &CustomerFields, field: Field) -> bool {
    match field {
        Field::Name if fields.name.is_absent() => [&fields.first_name, &fields.last_name]
            .into_iter()
            .any(|part| part.set().is_some_and(|part| !part.is_empty())),
        _ => matches!(fields.state(field), Patch::Set(())),
    }
}

/// Reports the phone numbers that go to the provider as they are written, because they are not valid in the merchant's
/// region.
fn report_phones(fields: &CustomerFields, provider: &dyn CustomerProvider, report: &mut Fidelity) {
    for (field, number) in [(Field::Phone, &fields.phone), (Field::Whatsapp, &fields.whatsapp)] {
        if let Some(number) = number.set().filter(|number| phone::is_not_of_region(number, provider.region())) {
            report.transformed(field, phone::NOT_OF_REGION, number);
        }
    }
}

/// Whether the update can be written only with the customer's current values at hand.
fn needs_current(fields: &CustomerFields, manifest: &Manifest) -> bool {
    let style = &manifest.update;
    let has_one_name_part = fields.name.is_absent() && fields.first_name.is_absent() != fields.last_name.is_absent();
    style.replaces_record
        || (style.names == NameStyle::Full && has_one_name_part)
        || fields.metadata.set().is_some()
        || (style.whole_address && fields.mentions_address())
}

/// Retrieves the customer first, then sends the patch completed from its current values.
fn read_then_update(provider: &Arc<dyn CustomerProvider>, command: &UpdateCustomer) -> Result<Plan<Customer>, Error> {
    let read = provider.plan_retrieve(&command.id)?;
    let shared = Arc::clone(provider);
    let command = command.clone();
    let write = move |current: &Customer| {
        let fields = complete(&command.fields, current, shared.manifest());
        let plan = shared.plan_update(&UpdateCustomer { id: command.id.clone(), fields })?;
        Ok::<_, Error>(check_cleared(plan, &command.fields, shared.manifest()))
    };
    // A preview of the second request, as far as it is known before the provider answers the first one.
    let Plan { request, later, fidelity, .. } = write(&Customer::default())?;
    Ok(read
        .and_then(move |current| write(&current).map(Step::from))
        .followed_by(std::iter::once(request).chain(later))
        .reporting(|report| report.extend(&fidelity)))
}

/// The patch, with the current values added wherever the provider accepts an object only whole.
fn complete(fields: &CustomerFields, current: &Customer, manifest: &Manifest) -> CustomerFields {
    let style = &manifest.update;
    let mut whole = fields.clone();
    let replaces_record = style.replaces_record;
    if style.names == NameStyle::Full {
        if fields.name.is_absent() && (!fields.first_name.is_absent() || !fields.last_name.is_absent()) {
            let first = fields.first_name.apply(current.first_name.clone());
            let last = fields.last_name.apply(current.last_name.clone());
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
    if let Patch::Set(patch) = &fields.metadata {
        whole.metadata = Patch::Set(current.metadata.merged(patch));
    }
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

/// Checks the answer of an update. A field or a metadata key that the gateway asked to clear, and that the answer still
/// contains, is reported as a loss.
fn check_cleared(plan: Plan<Customer>, requested: &CustomerFields, manifest: &Manifest) -> Plan<Customer> {
    // At a provider with split names, a full name of one word clears the last name.
    let sets_split_name = manifest.update.names == NameStyle::Split && requested.name.set().is_some();
    let clears_last_name = sets_split_name && requested.split_name().1 == Patch::Clear;
    let is_cleared =
        |field: &Field| requested.state(*field) == Patch::Clear || (clears_last_name && *field == Field::LastName);
    let cleared: Vec<Field> = Field::WRITABLE.into_iter().filter(is_cleared).collect();
    let members = requested.metadata.set().map(JsonObject::members).unwrap_or_default();
    let removed = members.into_iter().filter(|(_, value)| value.get() == "null");
    let removed: Vec<String> = removed.map(|(key, _)| key.to_string()).collect();
    if cleared.is_empty() && removed.is_empty() {
        return plan;
    }
    plan.map(move |mut customer| {
        if removed.iter().any(|key| customer.metadata.get(key).is_some_and(|value| value.get() != "null")) {
            customer.fidelity.lost(Field::Metadata, NOT_CLEARED);
        }
        for field in cleared {
            if customer.held(field).has_value() {
                let entry = Entry { field, outcome: Outcome::Lost, rule: NOT_CLEARED, from: None };
                customer.fidelity.push(entry);
            }
        }
        Ok(customer)
    })
}
