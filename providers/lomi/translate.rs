//! Pure translations between lomi's documents and the canonical customer.

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

/// lomi's names for our fields, where they differ, to translate errors.
pub(super) const WORDS: Words = Words(&[
    ("phone_number", Field::Phone),
    ("whatsapp_number", Field::Whatsapp),
    ("country", Field::Country),
    ("city", Field::City),
    ("address", Field::Line1),
    ("postal_code", Field::PostalCode),
    ("is_business", Field::Type),
]);

/// The request body of a create or an update.
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

/// Decodes an answer that holds one customer, with or without an envelope. `None`: an answer to PATCH without a
/// customer.
pub(super) fn one(source: &Source, region: Option<Region>) -> Result<Option<Box<Customer>>, Error> {
    let envelope: wire::One<'_> = parse(source.as_str())?;
    let received = match envelope.data {
        Some(received) => received,
        None => parse(source.as_str())?,
    };
    if received.customer_id.is_none() {
        return Ok(None);
    }
    Ok(Some(customer(received, region)?.into_owned(source).into()))
}

/// Decodes a customer. Unknown members go to `extra`.
pub(super) fn customer(received: wire::Customer<'_>, region: Option<Region>) -> Result<BorrowedCustomer<'_>, Error> {
    let mut customer = BorrowedCustomer {
        id: decode::id(received.customer_id, "customer_id")?,
        name: present(received.name),
        email: present(received.email),
        address: Address {
            line1: present(received.address),
            city: present(received.city),
            postal_code: present(received.postal_code),
            ..Address::default()
        },
        kind: received.is_business.map(|business| match business {
            true => CustomerType::Business,
            false => CustomerType::Individual,
        }),
        livemode: received.environment.as_deref().map(|environment| environment == "live"),
        extra: received.extra,
        ..BorrowedCustomer::default()
    };
    decode::metadata(&mut customer, received.metadata);
    customer.complete_names();
    decode::phone_number(&mut customer, Field::Phone, present(received.phone_number), region);
    decode::phone_number(&mut customer, Field::Whatsapp, present(received.whatsapp_number), region);
    decode::country(&mut customer, present(received.country));
    decode::times(&mut customer, present(received.created_at), present(received.updated_at));
    Ok(customer)
}

/// Decodes an error in any of lomi's three shapes. An unknown shape gives an error by its status alone.
pub(super) fn refusal(answer: &Answer) -> Error {
    let Some(wire::Failure { error }) = answer.error_body() else {
        return answer.refusal(None, None);
    };
    let message = error.message.as_deref();
    // The live host refuses a test key with 400. The key is wrong there, not the request.
    let is_about_the_key = answer.status() == 400 && message.is_some_and(|message| message.contains("API key"));
    if is_about_the_key {
        return answer.refusal_as(Kind::Unauthorized, error.code.clone(), message);
    }
    let by_field = error.details.as_ref().and_then(|details| details.as_object()).into_iter().flatten();
    let fields = by_field.filter_map(|(field, report)| {
        let message = report.get("_errors")?.as_array()?.first()?.as_str()?;
        Some((field.as_str(), message.to_owned()))
    });
    answer.refusal(error.code.clone(), message).with_fields(field_errors(fields, &WORDS))
}

/// The fields of a create or an update: the inverse of [`input`]. lomi ignores empty text.
pub(super) fn fields(input: &wire::CustomerInput<'_>, source: &Source) -> CustomerFields {
    let text = |patch: &Patch<Str<'_>>| patch_text(source, patch, Patch::Absent);
    let mut fields = CustomerFields {
        name: text(&input.name),
        email: text(&input.email),
        phone: text(&input.phone_number),
        whatsapp: text(&input.whatsapp_number),
        kind: input.is_business.map(|business| match business {
            true => CustomerType::Business,
            false => CustomerType::Individual,
        }),
        metadata: patch_object(source, &input.metadata),
        ..CustomerFields::default()
    };
    fields.address.line1 = text(&input.address);
    fields.address.city = text(&input.city);
    fields.address.postal_code = text(&input.postal_code);
    fields.address.country = text(&input.country);
    fields
}

/// The id for clients that accept only UUIDs: an id of another form is packed into a UUID where it fits.
pub(super) fn spelled_id(id: &Text) -> Str<'_> {
    packed::to_uuid(id).map_or_else(|| Str::new(id), |uuid| Str::from(String::from(uuid)))
}

/// The country as the client wrote it, because lomi stores any text: the report has the text before normalization.
fn country_as_written(customer: &Customer) -> Option<&Text> {
    let changed = customer.fidelity.entries().iter().find(|entry| entry.field == Field::Country);
    changed.and_then(|entry| entry.from.as_ref()).or(customer.address.country.as_ref())
}

/// Writes a customer as lomi does: the inverse of [`customer`].
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
