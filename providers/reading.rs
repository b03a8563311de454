//! What every vendor's translation does with the same kinds of values: each helper puts a vendor's text
//! into the canonical customer, and reports it wherever the spelling changed.

use crate::{
    error::Error,
    json::{self, Raw},
    marker,
    model::{Customer, Field},
    text::{
        Source, Text,
        country::{self, Region},
        decimal, phone, time,
    },
    wire::{JsonObject, Loose, NestedAddress, Perhaps, Str},
};

/// A text that is there: vendors spell absence as `null`, as `""` and by leaving the member out.
pub fn present(source: &Source, member: Option<&Str<'_>>) -> Option<Text> {
    member.filter(|text| !text.is_empty()).map(|text| source.text(&text.0))
}

/// The same for a member that may be written as a number.
pub fn loose(source: &Source, member: Option<&Loose<'_>>) -> Option<Text> {
    member.filter(|text| !text.0.is_empty()).map(|text| source.text(&text.0))
}

/// An id, without which a record cannot be told from another.
pub fn id(source: &Source, member: Option<&Str<'_>>, name: &'static str) -> Result<Text, Error> {
    present(source, member).ok_or_else(|| Error::bad_response(format_args!("a record without `{name}`")))
}

/// A document that an envelope must hold.
pub fn required<T>(member: Option<T>, name: &'static str) -> Result<T, Error> {
    member.ok_or_else(|| Error::bad_response(format_args!("JSON without `{name}`")))
}

/// Every record of a list that an envelope must hold.
pub fn each<W, T>(
    told: Option<Vec<W>>,
    name: &'static str,
    read: impl Fn(W) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let told = required(told, name)?;
    // Collecting results does not reserve the room.
    let mut records = Vec::with_capacity(told.len());
    for record in told {
        records.push(read(record)?);
    }
    Ok(records)
}

/// A phone number in one text.
pub fn phone_number(customer: &mut Customer, field: Field, told: Option<Text>, region: Option<Region>) {
    let Some(told) = told else { return };
    if phone::is_e164(&told) {
        *phone_place(customer, field) = Some(told);
        return;
    }
    let read = phone::canonical(&told, region);
    keep_phone(customer, field, read, &told);
}

/// A phone number in two texts. A dial code that explains nothing of the number is kept under its name among the extra
/// members.
pub fn phone_in_parts(
    customer: &mut Customer,
    (name, code): (&str, Option<Text>),
    national: Option<Text>,
    region: Option<Region>,
) {
    if let Some(national) = national {
        let read = match &code {
            Some(code) => phone::join(code, &national),
            None => phone::canonical(&national, region),
        };
        keep_phone(customer, Field::Phone, read, &national);
    }
    if let Some(code) = code
        && !customer.phone.as_ref().is_some_and(|number| number.starts_with(&*code))
    {
        customer.extra.keep_text(name, &code);
    }
}

fn phone_place(customer: &mut Customer, field: Field) -> &mut Option<Text> {
    if field == Field::Whatsapp { &mut customer.whatsapp } else { &mut customer.phone }
}

/// Puts a converted phone number in its place, and reports the rule that was used.
pub fn keep_phone(customer: &mut Customer, field: Field, read: phone::Canonical, told: &Text) {
    match read.rule {
        Some(phone::FROM_REGION) => customer.fidelity.derived_from(field, phone::FROM_REGION, told),
        Some(rule) => customer.fidelity.transformed(field, rule, told),
        None => {}
    }
    *phone_place(customer, field) = Some(read.text);
}

/// A country in any spelling.
pub fn country(customer: &mut Customer, told: Option<Text>) {
    let Some(told) = told else { return };
    let code = if country::is_alpha2(&told) { None } else { country::to_alpha2(&told) };
    customer.address.country = Some(match code {
        Some(code) => {
            customer.fidelity.transformed(Field::Country, country::TO_ALPHA2, &told);
            Text::from_static(code)
        }
        None => told,
    });
}

/// When the record was created and last changed. Text that is no time stays as it is.
pub fn times(customer: &mut Customer, created: Option<Text>, updated: Option<Text>) {
    customer.created_at = created.map(|told| moment(customer, Field::CreatedAt, told));
    customer.updated_at = updated.map(|told| moment(customer, Field::UpdatedAt, told));
}

fn moment(customer: &mut Customer, field: Field, told: Text) -> Text {
    if time::is_canonical(&told) {
        return told;
    }
    let Some(read) = time::canonical(&told) else { return told };
    customer.fidelity.transformed(field, time::TO_UTC, &told);
    read
}

/// A time of something else than a customer.
pub fn plain_time(told: Option<Text>) -> Option<Text> {
    told.map(|told| time::canonical(&told).unwrap_or(told))
}

/// An amount that a vendor writes as a JSON number or as a string, as a decimal string.
pub fn amount(source: &Source, member: Option<&Loose<'_>>) -> Option<Text> {
    let told = loose(source, member)?;
    Some(decimal::from_json_number(&told).unwrap_or(told))
}

/// Metadata: an object, or a string that holds one. Anything else stays among the extra members. The gateway's own
/// marker is taken out of it.
pub fn metadata(customer: &mut Customer, source: &Source, member: Option<Raw<'_>>) {
    let Some(raw) = member else { return };
    let in_string = |raw: Raw<'_>| {
        let text: Str<'_> = json::from_str(raw.get()).ok()?;
        JsonObject::in_string(source.text(&text.0))
    };
    match JsonObject::of(raw, source).or_else(|| in_string(raw)) {
        Some(object) => (customer.metadata, customer.marker) = marker::taken_out(object),
        None if matches!(raw.get(), "null" | "\"\"" | "[]") => {}
        None => customer.extra.keep("metadata", raw),
    }
}

/// An address in an object of its own. Its unknown members, or what stands in its place, are kept among the
/// customer's.
pub fn address<V>(customer: &mut Customer, told: Option<Perhaps<'_, NestedAddress<'_, V>>>, source: &Source) {
    let told = match told {
        Some(Perhaps::Object(told)) => told,
        Some(Perhaps::Other(other)) if other.get() != "[]" => return customer.extra.keep("address", other),
        Some(Perhaps::Other(_)) | None => return,
    };
    customer.address = told.parts.map(|part| present(source, part.set()));
    let told_country = customer.address.country.take();
    country(customer, told_country);
    for (key, unknown) in told.extra.members() {
        customer.extra.keep(&format!("address.{key}"), unknown);
    }
}
