//! The values of a record in the form in which two values with the same meaning are equal texts, and which side holds a
//! field.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::{Hash, Side, metadata};
use crate::{
    model::{
        Customer, CustomerType, Field, FieldValue, Operation, Outcome,
        manifest::{NameStyle, Support},
    },
    text::{country, decimal, email, phone},
};

/// The fields that a copy is about, in the order of the API. The two parts of a name follow the name.
pub(super) fn copied_fields() -> impl Iterator<Item = Field> {
    Field::WRITABLE.into_iter().chain([Field::Blocked])
}

pub(super) const fn is_name(field: Field) -> bool {
    matches!(field, Field::Name | Field::FirstName | Field::LastName)
}

/// A field's value in its comparable form. `None`: the customer has no value.
pub(super) fn comparable(customer: &Customer, field: Field, side: &Side<'_>) -> Option<String> {
    let form = match customer.held(field) {
        FieldValue::Flag(flag) => flag.filter(|flag| *flag)?.to_string(),
        // A provider without a value for "no type" answers an individual.
        FieldValue::Type(kind) => kind.filter(|kind| *kind == CustomerType::Business)?.as_str().to_owned(),
        FieldValue::Object(object) => return metadata::comparable(object),
        // No balance is a balance of zero.
        FieldValue::Text(text) if field == Field::Balance => Some(number(text?)).filter(|number| number != "0")?,
        FieldValue::Text(text) => text_form(field, text?, side),
    };
    Some(form).filter(|form| !form.is_empty())
}

fn text_form(field: Field, text: &str, side: &Side<'_>) -> String {
    match field {
        Field::Email => email::comparable(text.trim()),
        Field::Phone | Field::Whatsapp => digits(text, side),
        Field::Country => country::to_alpha2(text.trim()).map_or_else(|| words(text), str::to_owned),
        Field::Did => text.to_owned(),
        _ => words(text),
    }
}

/// The full name in its comparable form.
pub(super) fn full_name(customer: &Customer) -> Option<String> {
    customer.full_name().map(|name| words(&name)).filter(|name| !name.is_empty())
}

/// The words of a text, apart from spaces and the case of letters, as `name::same_words` compares them.
fn words(text: &str) -> String {
    let letters = |word: &'_ str| word.nfc().flat_map(char::to_lowercase).collect::<String>();
    text.split_whitespace().map(letters).collect::<Vec<_>>().join(" ")
}

fn digits(text: &str, side: &Side<'_>) -> String {
    let canonical = phone::canonical(text, side.region());
    let number = canonical.as_ref().map_or(text, |canonical| &canonical.number);
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() { text.trim().to_owned() } else { digits }
}

/// A number without the zeros that do not change it.
fn number(text: &str) -> String {
    let plain = decimal::from_json_number(text).map_or(Cow::Borrowed(text), Cow::Owned);
    let short = match plain.contains('.') && decimal::is_plain(&plain) {
        true => plain.trim_end_matches('0').trim_end_matches('.'),
        false => &plain,
    };
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// The keyed hash of a field's value, for reports that must not contain the value.
pub fn value_hash(customer: &Customer, field: Field, side: &Side<'_>, hash: Hash<'_>) -> Option<[u8; 8]> {
    comparable(customer, field, side).map(|value| hash(format!("{}\n{value}", field.name()).as_bytes()))
}

/// Whether the gateway holds this value of the customer, because the provider cannot.
pub(super) fn is_carried(customer: &Customer, field: Field) -> bool {
    customer.fidelity.entries().iter().any(|entry| entry.field == field && entry.outcome == Outcome::Carried)
}

/// Whether what the side shows in a field says something about the customer. A field that the provider cannot hold, or that
/// is only computed from other fields, says nothing.
pub(super) fn is_known(customer: &Customer, field: Field, side: &Side<'_>) -> bool {
    if is_carried(customer, field) {
        return true;
    }
    let support = side.manifest().field(field);
    // A field that only the provider writes may be absent in some answers. Its absence says nothing.
    let is_kept = || holds(field, side) || customer.held(field).has_value();
    support.read == Support::Native && is_kept()
}

/// Whether a copy can give a side this field, so that later reads show it.
pub(super) fn holds(field: Field, side: &Side<'_>) -> bool {
    let manifest = side.manifest();
    let support = manifest.field(field);
    match field {
        Field::Blocked => support.read.is_supported() && manifest.operation(Operation::Block).is_supported(),
        _ => support.read.is_supported() && (support.create.is_supported() || support.update.is_supported()),
    }
}

/// Why a side cannot hold a field.
pub(super) fn why_not_held(field: Field, side: &Side<'_>) -> &'static str {
    let manifest = side.manifest();
    let support = manifest.field(field);
    let block = || manifest.operation(Operation::Block).reason().filter(|_| field == Field::Blocked);
    block()
        .or(support.read.reason())
        .or(support.create.reason())
        .or(support.update.reason())
        .unwrap_or("the provider does not keep it")
}

/// Whether a side stores the parts of a name, and this customer's parts are known.
pub(super) fn knows_name_parts(customer: &Customer, side: &Side<'_>) -> bool {
    is_known(customer, Field::FirstName, side) || is_known(customer, Field::LastName, side)
}

/// Whether a side stores one full name.
pub(super) fn has_one_name(side: &Side<'_>) -> bool {
    side.manifest().update.names == NameStyle::Full
}
