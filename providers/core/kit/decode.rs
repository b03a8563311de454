//! What every vendor's translation does with the same kinds of values: each helper puts a vendor's text
//! into the canonical customer, and reports it wherever the spelling changed.

use crate::{
    json::{self, JsonObject, Loose, Perhaps, Raw},
    kit::{NestedAddress, marker},
    model::{BorrowedCustomer, Error, Fidelity, Field},
    text::{
        Str,
        country::{self, Region},
        decimal, phone, time,
    },
};

/// A text that is there: vendors spell absence as `null`, as `""` and by leaving the member out.
#[inline]
pub fn present(member: Option<Str<'_>>) -> Option<Str<'_>> {
    member.filter(|text| !text.is_empty())
}

/// The same for a member that may be written as a number.
pub fn loose(member: Option<Loose<'_>>) -> Option<Str<'_>> {
    member.map(|Loose(text)| text).filter(|text| !text.is_empty())
}

/// An id, without which a record cannot be told from another.
#[inline]
pub fn id<'a>(member: Option<Str<'a>>, name: &'static str) -> Result<Str<'a>, Error> {
    present(member).ok_or_else(|| Error::bad_response(format_args!("a record without `{name}`")))
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
#[inline]
pub fn phone_number<'a>(
    customer: &mut BorrowedCustomer<'a>,
    field: Field,
    told: Option<Str<'a>>,
    region: Option<Region>,
) {
    if let Some(told) = told {
        let read = phone::canonical(&told, region);
        keep_phone(customer, field, read, told);
    }
}

/// A phone number in two texts. A dial code that explains nothing of the number is kept under its name among the extra
/// members.
pub fn phone_in_parts<'a>(
    customer: &mut BorrowedCustomer<'a>,
    (name, code): (&str, Option<Str<'a>>),
    national: Option<Str<'a>>,
    region: Option<Region>,
) {
    if let Some(national) = national {
        let read = match &code {
            Some(code) => phone::join(code, &national),
            None => phone::canonical(&national, region),
        };
        keep_phone(customer, Field::Phone, read, national);
    }
    if let Some(code) = code
        && !customer.phone.as_ref().is_some_and(|number| number.starts_with(&*code))
    {
        customer.extra.keep_text(name, &code);
    }
}

/// Puts a phone number in its place, and reports the rule that was used where it was told otherwise.
#[inline]
pub fn keep_phone<'a>(
    customer: &mut BorrowedCustomer<'a>,
    field: Field,
    read: Option<phone::Respelled>,
    told: Str<'a>,
) {
    let place = if field == Field::Whatsapp { &mut customer.whatsapp } else { &mut customer.phone };
    *place = Some(match read {
        Some(phone::Respelled { number, rule }) => {
            match rule {
                phone::FROM_REGION => customer.fidelity.derived_from(field, rule, &told),
                _ => customer.fidelity.transformed(field, rule, &told),
            }
            number.into()
        }
        None => told,
    });
}

/// A country in any spelling.
pub fn country<'a>(customer: &mut BorrowedCustomer<'a>, told: Option<Str<'a>>) {
    let Some(told) = told else { return };
    let code = if country::is_alpha2(&told) { None } else { country::to_alpha2(&told) };
    customer.address.country = Some(match code {
        Some(code) => {
            customer.fidelity.transformed(Field::Country, country::TO_ALPHA2, &told);
            Str::of_static(code)
        }
        None => told,
    });
}

/// When the record was created and last changed. Text that is no time stays as it is.
pub fn times<'a>(customer: &mut BorrowedCustomer<'a>, created: Option<Str<'a>>, updated: Option<Str<'a>>) {
    customer.created_at = moment(&mut customer.fidelity, Field::CreatedAt, created);
    customer.updated_at = moment(&mut customer.fidelity, Field::UpdatedAt, updated);
}

#[inline]
fn moment<'a>(fidelity: &mut Fidelity<Str<'a>>, field: Field, told: Option<Str<'a>>) -> Option<Str<'a>> {
    let Some(read) = told.as_deref().and_then(time::canonical) else { return told };
    if let Some(told) = &told {
        fidelity.transformed(field, time::TO_UTC, told);
    }
    Some(read.into())
}

/// A time of something else than a customer.
pub fn plain_time(told: Option<Str<'_>>) -> Option<Str<'_>> {
    told.map(|told| time::canonical(&told).map_or(told, Str::from))
}

/// An amount that a vendor writes as a JSON number or as a string, as a decimal string.
pub fn amount(member: Option<Loose<'_>>) -> Option<Str<'_>> {
    loose(member).map(|told| decimal::from_json_number(&told).map_or(told, Str::from))
}

/// Metadata: an object, or a string that holds one. Anything else stays among the extra members. The gateway's own
/// marker is taken out of it.
pub fn metadata<'a>(customer: &mut BorrowedCustomer<'a>, member: Option<Raw<'a>>) {
    let Some(raw) = member else { return };
    let in_string = || JsonObject::in_string(&json::from_str::<Str<'_>>(raw.get()).ok()?);
    match JsonObject::of(raw).or_else(in_string) {
        Some(object) => (customer.metadata, customer.marker) = marker::taken_out(object),
        None if matches!(raw.get(), "null" | "\"\"" | "[]") => {}
        None => customer.extra.keep("metadata", raw),
    }
}

/// An address in an object of its own. Its unknown members, or what stands in its place, are kept among the
/// customer's.
pub fn address<'a, V>(customer: &mut BorrowedCustomer<'a>, told: Option<Perhaps<'a, NestedAddress<'a, V>>>) {
    let told = match told {
        Some(Perhaps::Object(told)) => told,
        Some(Perhaps::Other(other)) if other.get() != "[]" => return customer.extra.keep("address", other),
        Some(Perhaps::Other(_)) | None => return,
    };
    customer.address = told.parts.map(|part| present(part.set().cloned()));
    let told_country = customer.address.country.take();
    country(customer, told_country);
    for (key, unknown) in told.extra.members() {
        customer.extra.keep(&format!("address.{}", &*key), unknown);
    }
}
