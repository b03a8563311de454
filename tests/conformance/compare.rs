//! Compares two customers field by field. This file lists the fields of the structs itself: the laws check the model's
//! own lists, so they must not rely on them.

use std::collections::BTreeMap;

use passerelle_providers::{
    api::input,
    json::JsonObject,
    model::{Address, Customer, CustomerFields, CustomerType, Field, Patch},
    text::{Text, country::Region},
};
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

/// The value of each field as JSON. An absent field is `null`, absent metadata `{}`.
pub(crate) type Values = BTreeMap<Field, Value>;

/// The values of a customer's fields.
pub(crate) fn stored(customer: &Customer) -> Values {
    let Customer {
        id,
        provider_id: _,
        name,
        first_name,
        last_name,
        email,
        phone,
        whatsapp,
        address: Address { line1, line2, city, state, postal_code, country },
        kind,
        did,
        balance,
        delinquent,
        blocked,
        livemode,
        metadata,
        marker: _,
        created_at,
        updated_at,
        extra: _,
        fidelity: _,
    } = customer;
    let text = |value: &Option<Text>| json!(value.as_deref());
    let values: [(Field, Value); Field::ALL.len()] = [
        (Field::Id, json!(&**id)),
        (Field::Name, text(name)),
        (Field::FirstName, text(first_name)),
        (Field::LastName, text(last_name)),
        (Field::Email, text(email)),
        (Field::Phone, text(phone)),
        (Field::Whatsapp, text(whatsapp)),
        (Field::Line1, text(line1)),
        (Field::Line2, text(line2)),
        (Field::City, text(city)),
        (Field::State, text(state)),
        (Field::PostalCode, text(postal_code)),
        (Field::Country, text(country)),
        (Field::Type, json!(kind.map(CustomerType::as_str))),
        (Field::Did, text(did)),
        (Field::Balance, text(balance)),
        (Field::Delinquent, json!(delinquent)),
        (Field::Blocked, json!(blocked)),
        (Field::Livemode, json!(livemode)),
        (Field::Metadata, object(metadata)),
        (Field::CreatedAt, text(created_at)),
        (Field::UpdatedAt, text(updated_at)),
    ];
    BTreeMap::from(values)
}

/// The values that a create or an update sets.
pub(crate) fn requested(fields: &CustomerFields) -> Values {
    let CustomerFields {
        name,
        first_name,
        last_name,
        email,
        phone,
        whatsapp,
        address: Address { line1, line2, city, state, postal_code, country },
        kind,
        did,
        balance,
        metadata,
        rewritten: _,
    } = fields;
    let text = |patch: &Patch<Text>| json!(patch.set().map(|text| &**text));
    let values: [(Field, Value); Field::WRITABLE.len()] = [
        (Field::Name, text(name)),
        (Field::FirstName, text(first_name)),
        (Field::LastName, text(last_name)),
        (Field::Email, text(email)),
        (Field::Phone, text(phone)),
        (Field::Whatsapp, text(whatsapp)),
        (Field::Line1, text(line1)),
        (Field::Line2, text(line2)),
        (Field::City, text(city)),
        (Field::State, text(state)),
        (Field::PostalCode, text(postal_code)),
        (Field::Country, text(country)),
        (Field::Type, json!(kind.set().map(|kind| kind.as_str()))),
        (Field::Did, text(did)),
        (Field::Balance, text(balance)),
        (Field::Metadata, metadata.set().map_or_else(|| json!({}), object)),
    ];
    BTreeMap::from(values)
}

fn object(object: &JsonObject) -> Value {
    serde_json::from_str(object.as_str()).expect("an object")
}

/// Fails if one of these fields differs. Names are compared joined, phones in canonical form, balances as numbers.
pub(crate) fn same(
    fields: &[Field],
    expected: &Values,
    decoded: &Values,
    region: Option<Region>,
) -> Result<(), TestCaseError> {
    for field in fields {
        let (one, other) = (&expected[field], &decoded[field]);
        let is_same = match field {
            Field::Name | Field::FirstName | Field::LastName => full_name(expected) == full_name(decoded),
            Field::Phone | Field::Whatsapp => number(one, region) == number(other, region),
            // A vendor without a value for "no type" answers an absent type as an individual.
            Field::Type => one.is_null() || one == other,
            Field::Balance => one.is_null() || amount(one) == amount(other),
            Field::Id
            | Field::Email
            | Field::Line1
            | Field::Line2
            | Field::City
            | Field::State
            | Field::PostalCode
            | Field::Country
            | Field::Did
            | Field::Delinquent
            | Field::Blocked
            | Field::Livemode
            | Field::Metadata
            | Field::CreatedAt
            | Field::UpdatedAt => one == other,
        };
        if !is_same {
            return Err(TestCaseError::fail(format!("{}: expected {one}, decoded {other}", field.name())));
        }
    }
    Ok(())
}

fn full_name(values: &Values) -> String {
    let parts = || [Field::FirstName, Field::LastName].into_iter().filter_map(|part| values[&part].as_str());
    values[&Field::Name].as_str().map_or_else(|| parts().collect::<Vec<_>>().join(" "), str::to_owned)
}

fn number(value: &Value, region: Option<Region>) -> Option<Text> {
    value.as_str().map(|text| input::phone_query(&Text::from(text), region))
}

fn amount(value: &Value) -> Option<f64> {
    value.as_str().and_then(|text| text.parse().ok())
}
