//! Helpers that decode vendors' values: each one puts a vendor's value into the canonical customer, and reports it in
//! the fidelity report if the canonical form differs.
//!
//! The vendors' `translate.rs` call them while they read an answer.

use serde_json::Value;

use crate::{
    json::{self, JsonObject, Loose, ObjectOrOther, Raw},
    kit::{Answer, NestedAddress, answer, marker},
    model::{BorrowedCustomer, CustomerId, Error, Fidelity, Field},
    text::{
        Str,
        country::{self, Region},
        decimal, phone, time,
    },
};

/// A text that has a value. Vendors write absence as `null`, as `""`, or by omitting the member.
#[inline]
pub fn present(member: Option<Str<'_>>) -> Option<Str<'_>> {
    member.filter(|text| !text.is_empty())
}

/// The same for a member that may be written as a number.
pub fn loose(member: Option<Loose<'_>>) -> Option<Str<'_>> {
    member.map(|Loose(text)| text).filter(|text| !text.is_empty())
}

/// The id of a record. A record without an id is an unusable answer.
#[inline]
pub fn id<'a>(member: Option<Str<'a>>, name: &'static str) -> Result<Str<'a>, Error> {
    present(member).ok_or_else(|| Error::bad_response(format_args!("a record without `{name}`")))
}

/// A document that an envelope must contain.
pub fn required<T>(member: Option<T>, name: &'static str) -> Result<T, Error> {
    member.ok_or_else(|| Error::bad_response(format_args!("JSON without `{name}`")))
}

/// Checks that the answer to a deletion acknowledges it: it must say `"deleted": true`, of no other customer, and report no
/// failure. Vendors answer all else to deletions that they did not execute too, such as an empty body or a message. The
/// engine then reads the customer. `member` is the vendor's name of the id.
pub fn deletion(answer: &Answer, id: &CustomerId, member: &str) -> Result<(), Error> {
    let body: Value = answer.error_body().unwrap_or_default();
    let objects = [&body, &body["data"], &body["customer"]];
    let mut ids = objects.iter().filter_map(|object| object[member].as_str());
    if ids.any(|answered| !id.is_at_provider(answered)) {
        return Err(Error::bad_response("the deletion of another customer"));
    }
    if answer::reports_failure(&body) || objects.iter().any(|object| answer::is_negative(&object["deleted"])) {
        return Err(Error::bad_response("that the customer is not deleted"));
    }
    match objects.iter().any(|object| object["deleted"] == true) {
        true => Ok(()),
        false => Err(Error::bad_response("something that does not acknowledge the deletion")),
    }
}

/// Reads every record of a list that an envelope must contain.
pub fn each<W, T>(
    list: Option<Vec<W>>,
    name: &'static str,
    read: impl Fn(W) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let list = required(list, name)?;
    // `collect` into a `Result` does not reserve capacity.
    let mut records = Vec::with_capacity(list.len());
    for record in list {
        records.push(read(record)?);
    }
    Ok(records)
}

/// Decodes a phone number that the vendor writes as one text.
#[inline]
pub fn phone_number<'a>(
    customer: &mut BorrowedCustomer<'a>,
    field: Field,
    text: Option<Str<'a>>,
    region: Option<Region>,
) {
    if let Some(text) = text {
        let converted = phone::canonical(&text, region);
        store_phone(customer, field, converted, text, |text| phone::why_as_written(text, region));
    }
}

/// Decodes a phone number that the vendor writes as a dial code and national digits. A dial code that is not part of
/// the resulting number is kept among the extra members, under its name.
pub fn phone_in_parts<'a>(
    customer: &mut BorrowedCustomer<'a>,
    (name, code): (&str, Option<Str<'a>>),
    national: Option<Str<'a>>,
    region: Option<Region>,
) {
    if let Some(national) = national {
        let converted = match &code {
            Some(code) => phone::join(code, &national),
            None => phone::canonical(&national, region),
        };
        // A dial code decides alone, so the region explains nothing then.
        let why = |text: &str| if code.is_some() { None } else { phone::why_as_written(text, region) };
        store_phone(customer, Field::Phone, converted, national, why);
    }
    if let Some(code) = code
        && !customer.phone.as_ref().is_some_and(|number| number.starts_with(&*code))
    {
        customer.extra.add_text(name, &code);
    }
}

/// Stores a phone number in the customer: the converted form, with its rule in the fidelity report, or else the
/// vendor's text. The report says why a text stays, if `why_as_written` has a reason.
#[inline]
pub fn store_phone<'a>(
    customer: &mut BorrowedCustomer<'a>,
    field: Field,
    converted: Option<phone::Respelled>,
    text: Str<'a>,
    why_as_written: impl FnOnce(&str) -> Option<&'static str>,
) {
    let target = if field == Field::Whatsapp { &mut customer.whatsapp } else { &mut customer.phone };
    let Some(phone::Respelled { number, rule }) = converted else {
        if let Some(rule) = why_as_written(&text) {
            customer.fidelity.transformed(field, rule, &text);
        }
        *target = Some(text);
        return;
    };
    match rule {
        phone::FROM_REGION => customer.fidelity.derived_from(field, rule, &text),
        _ => customer.fidelity.transformed(field, rule, &text),
    }
    *target = Some(number.into());
}

/// Decodes a country: a code, or a name that is converted to its code.
pub fn country<'a>(customer: &mut BorrowedCustomer<'a>, text: Option<Str<'a>>) {
    let Some(text) = text else { return };
    let code = if country::is_alpha2(&text) { None } else { country::to_alpha2(&text) };
    customer.address.country = Some(match code {
        Some(code) => {
            customer.fidelity.transformed(Field::Country, country::TO_ALPHA2, &text);
            Str::of_static(code)
        }
        None => text,
    });
}

/// Decodes the times at which the record was created and last changed. A text that is not a time stays as it is.
pub fn times<'a>(customer: &mut BorrowedCustomer<'a>, created: Option<Str<'a>>, updated: Option<Str<'a>>) {
    customer.created_at = decode_time(&mut customer.fidelity, Field::CreatedAt, created);
    customer.updated_at = decode_time(&mut customer.fidelity, Field::UpdatedAt, updated);
}

#[inline]
fn decode_time<'a>(fidelity: &mut Fidelity<Str<'a>>, field: Field, text: Option<Str<'a>>) -> Option<Str<'a>> {
    let Some(utc) = text.as_deref().and_then(time::canonical) else { return text };
    if let Some(original) = &text {
        fidelity.transformed(field, time::TO_UTC, original);
    }
    Some(utc.into())
}

/// A time of an object that has no fidelity report, such as a payment.
pub fn time_without_report(text: Option<Str<'_>>) -> Option<Str<'_>> {
    text.map(|text| time::canonical(&text).map_or(text, Str::from))
}

/// Converts an amount to a decimal string. Vendors write amounts as JSON numbers or as strings.
pub fn amount(member: Option<Loose<'_>>) -> Option<Str<'_>> {
    loose(member).map(|number| decimal::from_json_number(&number).map_or(number, Str::from))
}

/// Decodes metadata: an object, or a string that contains one. Any other value is kept among the extra members. The
/// gateway's idempotency marker is moved out of the metadata.
pub fn metadata<'a>(customer: &mut BorrowedCustomer<'a>, member: Option<Raw<'a>>) {
    let Some(raw) = member else { return };
    let in_string = || JsonObject::in_string(&json::from_str::<Str<'_>>(raw.get()).ok()?);
    match JsonObject::of(raw).or_else(in_string) {
        Some(object) => (customer.metadata, customer.marker) = marker::split_off(object),
        None if matches!(raw.get(), "null" | "\"\"" | "[]") => {}
        None => customer.extra.add("metadata", raw),
    }
}

/// Decodes an address object. Its unknown members, or a value that is not an object, are kept among the customer's
/// extra members.
pub fn address<'a, V>(customer: &mut BorrowedCustomer<'a>, member: Option<ObjectOrOther<'a, NestedAddress<'a, V>>>) {
    let address = match member {
        Some(ObjectOrOther::Object(address)) => address,
        Some(ObjectOrOther::Other(other)) if other.get() != "[]" => return customer.extra.add("address", other),
        Some(ObjectOrOther::Other(_)) | None => return,
    };
    customer.address = address.parts.map(|part| present(part.set().cloned()));
    let country_text = customer.address.country.take();
    country(customer, country_text);
    // The reader has read this text before, so it has no mistake.
    let _ = json::each_member(address.extra.as_str(), |key, unknown| {
        customer.extra.add(&format!("address.{}", &*key), unknown);
    });
}
