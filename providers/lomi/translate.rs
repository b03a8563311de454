//! Between lomi's language and the canonical one.

use super::wire;
use crate::{
    kit::{
        Answer, Words,
        decode::{self, present},
        document::parse,
        field_errors,
        members::{patch_object, patch_text, raw_patch, str_of},
    },
    model::{Address, BorrowedCustomer, Customer, CustomerFields, CustomerType, Error, Field, Kind, Patch, str_patch},
    text::{Source, Str, Text, country::Region, packed},
};

/// lomi's words for the fields that it calls otherwise, for errors.
pub(super) const WORDS: Words = Words(&[
    ("phone_number", Field::Phone),
    ("whatsapp_number", Field::Whatsapp),
    ("country", Field::Country),
    ("city", Field::City),
    ("address", Field::Line1),
    ("postal_code", Field::PostalCode),
    ("is_business", Field::Type),
]);

/// What create and update send.
pub(super) fn input(fields: &CustomerFields) -> wire::CustomerInput<'_> {
    wire::CustomerInput {
        name: fields.full_name(),
        email: str_patch(&fields.email),
        phone_number: str_patch(&fields.phone),
        whatsapp_number: str_patch(&fields.whatsapp),
        country: str_patch(&fields.address.country),
        city: str_patch(&fields.address.city),
        address: str_patch(&fields.address.line1),
        postal_code: str_patch(&fields.address.postal_code),
        is_business: fields.kind.map(|kind| *kind == CustomerType::Business),
        metadata: raw_patch(&fields.metadata),
    }
}

/// The customer in an answer, enveloped or bare; `None` for the PATCH answer that lacks it.
pub(super) fn one(source: &Source, region: Option<Region>) -> Result<Option<Customer>, Error> {
    let envelope: wire::One<'_> = parse(source.as_str())?;
    let found = match envelope.data {
        Some(found) => found,
        None => parse(source.as_str())?,
    };
    if found.customer_id.is_none() {
        return Ok(None);
    }
    Ok(Some(customer(found, region)?.into_owned(source)))
}

/// A customer as lomi tells it.
pub(super) fn customer(told: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(told.customer_id, "customer_id")?,
        name: present(told.name),
        email: present(told.email),
        address: Address {
            line1: present(told.address),
            city: present(told.city),
            postal_code: present(told.postal_code),
            ..Address::default()
        },
        kind: told.is_business.map(|business| match business {
            true => CustomerType::Business,
            false => CustomerType::Individual,
        }),
        livemode: told.environment.as_deref().map(|environment| environment == "live"),
        extra: told.extra,
        ..BorrowedCustomer::default()
    };
    decode::metadata(&mut customer, told.metadata);
    customer.complete_names();
    decode::phone_number(&mut customer, Field::Phone, present(told.phone_number), region);
    decode::phone_number(&mut customer, Field::Whatsapp, present(told.whatsapp_number), region);
    decode::country(&mut customer, present(told.country));
    decode::times(&mut customer, present(told.created_at), present(told.updated_at));
    Ok(customer)
}

/// An error in any of lomi's three shapes, or in none.
pub(super) fn refusal(answer: &Answer) -> Error {
    let Some(wire::Failure { error: told }) = answer.error_body() else {
        return answer.refusal(None, None);
    };
    let message = told.message.as_deref();
    // A test key on the live host is refused with 400, which is about the key, not about the request.
    let about_the_key = answer.status() == 400 && message.is_some_and(|message| message.contains("API key"));
    if about_the_key {
        return answer.refusal_as(Kind::Unauthorized, told.code.clone(), message);
    }
    let by_field = told.details.as_ref().and_then(|details| details.as_object()).into_iter().flatten();
    let fields = by_field.filter_map(|(field, wrong)| {
        let said = wrong.get("_errors")?.as_array()?.first()?.as_str()?;
        Some((field.as_str(), said.to_owned()))
    });
    answer.refusal(told.code.clone(), message).with_fields(field_errors(fields, &WORDS))
}

/// What a client asks of a record: the inverse of [`input`]. lomi ignores empty text.
pub(super) fn fields(asked: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Absent);
    let mut fields = CustomerFields {
        name: text(&asked.name),
        email: text(&asked.email),
        phone: text(&asked.phone_number),
        whatsapp: text(&asked.whatsapp_number),
        kind: asked.is_business.map(|business| match business {
            true => CustomerType::Business,
            false => CustomerType::Individual,
        }),
        metadata: patch_object(source, &asked.metadata),
        ..CustomerFields::default()
    };
    fields.address.line1 = text(&asked.address);
    fields.address.city = text(&asked.city);
    fields.address.postal_code = text(&asked.postal_code);
    fields.address.country = text(&asked.country);
    fields
}

/// An id as a client that takes UUIDs only can read it.
pub(super) fn spelled_id(id: &Text) -> Str<'_> {
    packed::to_uuid(id).map_or_else(|| Str::new(id), |uuid| Str::from(String::from(uuid)))
}

/// A country as it was written: lomi's is any text.
fn country_as_written(customer: &Customer) -> Option<&Text> {
    let report = customer.fidelity.entries().iter().find(|entry| entry.field == Field::Country);
    report.and_then(|entry| entry.from.as_ref()).or(customer.address.country.as_ref())
}

/// A customer in lomi's words: the inverse of [`customer`].
pub(super) fn encode(customer: &Customer) -> wire::Customer<'_> {
    wire::Customer {
        customer_id: Some(spelled_id(&customer.id)),
        name: customer.full_name(),
        email: str_of(customer.email.as_ref()),
        phone_number: str_of(customer.phone.as_ref()),
        whatsapp_number: str_of(customer.whatsapp.as_ref()),
        country: str_of(country_as_written(customer)),
        city: str_of(customer.address.city.as_ref()),
        address: str_of(customer.address.line1.as_ref()),
        postal_code: str_of(customer.address.postal_code.as_ref()),
        is_business: customer.kind.map(|kind| kind == CustomerType::Business),
        metadata: (!customer.metadata.is_empty()).then(|| customer.metadata.raw()),
        environment: customer.livemode.map(|live| Str::new(if live { "live" } else { "test" })),
        created_at: str_of(customer.created_at.as_ref()),
        updated_at: str_of(customer.updated_at.as_ref()),
        extra: customer.extra.borrowed(),
    }
}
