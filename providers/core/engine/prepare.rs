//! Commands made ready for a provider: checked against what its manifest requires, freed of what it
//! cannot hold (which is reported), and completed where it wants objects whole.

use std::sync::Arc;

use crate::{
    json::JsonObject,
    kit::{CustomerProvider, Plan, Step},
    model::{
        CreateCustomer, Created, Customer, CustomerFields, Entry, Error, Field, FieldError, Operation, Outcome, Patch,
        UpdateCustomer,
        manifest::{Manifest, NameStyle},
    },
    text::{Text, name},
};

/// Called for a field that was sent `null` and still stands in the answer.
const NOT_CLEARED: &str = "the provider did not clear it";

/// The plan of a create, with every loss reported.
pub(super) fn create(provider: &dyn CustomerProvider, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
    let manifest = provider.manifest();
    let missing: Vec<FieldError> = manifest
        .requires
        .iter()
        .filter(|requirement| !requirement.any_of.iter().any(|field| is_given(&command.fields, *field)))
        .map(|requirement| FieldError::new(requirement.any_of[0].pointer(), requirement.told))
        .collect();
    if !missing.is_empty() {
        return Err(Error::invalid(missing));
    }
    let losses: Vec<_> = manifest.losses(&command.fields, Operation::Create).collect();
    if losses.is_empty() {
        return provider.plan_create(command);
    }
    let mut command = command.clone();
    for (field, _) in &losses {
        command.fields.forget(*field);
    }
    let told = losses.clone();
    let plan = provider.plan_create(&command)?.map(move |mut created| {
        created.customer.fidelity.lose(told);
        Ok(created)
    });
    Ok(plan.losing(losses))
}

/// The plan of an update, with every loss reported. What the provider wants whole is read first; an
/// empty patch only reads.
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
        completed(provider, &command)?
    } else {
        checked(provider.plan_update(&command)?, &command.fields, manifest)
    };
    if losses.is_empty() {
        return Ok(plan);
    }
    let told = losses.clone();
    let plan = plan.map(move |mut customer| {
        customer.fidelity.lose(told);
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

/// Whether the record as it stands decides on what has to be sent.
fn needs_current(fields: &CustomerFields, manifest: &Manifest) -> bool {
    let style = &manifest.update;
    let one_part = fields.name.is_absent() && fields.first_name.is_absent() != fields.last_name.is_absent();
    style.replaces_record
        || (style.names == NameStyle::Full && one_part)
        || fields.metadata.set().is_some()
        || (style.whole_address && fields.mentions_address())
}

/// Reads the record first, then sends the patch completed from it.
fn completed(provider: &Arc<dyn CustomerProvider>, command: &UpdateCustomer) -> Result<Plan<Customer>, Error> {
    let read = provider.plan_retrieve(&command.id)?;
    let shared = Arc::clone(provider);
    let command = command.clone();
    let write = move |current: &Customer| {
        let fields = complete(&command.fields, current, shared.manifest());
        let plan = shared.plan_update(&UpdateCustomer { id: command.id.clone(), fields })?;
        Ok::<_, Error>(checked(plan, &command.fields, shared.manifest()))
    };
    // What can be told of the second request before the first is answered.
    let Plan { request, later, fidelity, .. } = write(&Customer::default())?;
    Ok(read
        .and_then(move |current| write(&current).map(Step::from))
        .followed_by(std::iter::once(request).chain(later))
        .reporting(|report| report.extend(&fidelity)))
}

/// The patch with everything in it that the provider wants whole.
fn complete(fields: &CustomerFields, current: &Customer, manifest: &Manifest) -> CustomerFields {
    let style = &manifest.update;
    let mut whole = fields.clone();
    let whole_record = style.replaces_record;
    if style.names == NameStyle::Full {
        if fields.name.is_absent() && (!fields.first_name.is_absent() || !fields.last_name.is_absent()) {
            let first = fields.first_name.apply(current.first_name.clone());
            let last = fields.last_name.apply(current.last_name.clone());
            let joined = name::join(first.as_deref(), last.as_deref());
            whole.name = joined.map_or(Patch::Clear, |joined| Patch::Set(Text::from(joined.into_owned())));
            whole.first_name = Patch::Absent;
            whole.last_name = Patch::Absent;
        }
    } else if whole_record {
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
    if whole_record || (style.whole_address && fields.mentions_address()) {
        for ((_, part), (_, held)) in whole.address.parts_mut().into_iter().zip(current.address.parts()) {
            *part = part.or_keep(held.as_ref());
        }
    }
    if whole_record {
        keep_the_rest(&mut whole, current, manifest);
    }
    whole
}

/// Sets again what an update takes and leaves alone, beside the names, the address and the metadata.
fn keep_the_rest(whole: &mut CustomerFields, current: &Customer, manifest: &Manifest) {
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
    let is_taken = |field| manifest.field(field).update.is_supported();
    for (field, text) in [
        (Field::Email, email),
        (Field::Phone, phone),
        (Field::Whatsapp, whatsapp),
        (Field::Did, did),
        (Field::Balance, balance),
    ] {
        if is_taken(field) {
            *text = text.or_keep(as_held(current, field));
        }
    }
    if is_taken(Field::Type) {
        *kind = kind.or_keep(current.kind.as_ref());
    }
}

/// What is sent again of a field that is left alone: a guess of ours is never written back as a fact.
fn as_held(current: &Customer, field: Field) -> Option<&Text> {
    let derived = |entry: &&Entry| entry.field == field && entry.outcome == Outcome::Derived;
    let told = current.fidelity.entries().iter().find(derived).and_then(|entry| entry.from.as_ref());
    told.or_else(|| current.text(field))
}

/// Checks the answer: a field that was to be cleared and still stands is a loss, and so is one key of the
/// metadata.
fn checked(plan: Plan<Customer>, asked: &CustomerFields, manifest: &Manifest) -> Plan<Customer> {
    // Where the parts of a name are held apart, a full name of one word clears the last name.
    let one_word = manifest.update.names == NameStyle::Split && asked.name.set().is_some();
    let one_word = one_word && asked.split_name().1 == Patch::Clear;
    let is_cleared = |field: &Field| asked.state(*field) == Patch::Clear || (one_word && *field == Field::LastName);
    let cleared: Vec<Field> = Field::WRITABLE.into_iter().filter(is_cleared).collect();
    let members = asked.metadata.set().map(JsonObject::members).unwrap_or_default();
    let removed = members.into_iter().filter(|(_, value)| value.get() == "null");
    let removed: Vec<String> = removed.map(|(key, _)| key.to_string()).collect();
    if cleared.is_empty() && removed.is_empty() {
        return plan;
    }
    plan.map(move |mut customer| {
        if removed.iter().any(|key| customer.metadata.get(key).is_some_and(|held| held.get() != "null")) {
            customer.fidelity.lost(Field::Metadata, NOT_CLEARED);
        }
        for field in cleared {
            if customer.held(field).is_there() {
                let entry = Entry { field, outcome: Outcome::Lost, rule: NOT_CLEARED, from: None };
                customer.fidelity.push(entry);
            }
        }
        Ok(customer)
    })
}
