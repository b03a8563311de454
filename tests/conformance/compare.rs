//! Whether two customers say the same, field by field. The structs are taken apart here once more: the model's own
//! lists of fields are what the laws judge, and cannot be their measure.

use std::collections::BTreeMap;

use passerelle_providers::{
    api::input,
    json::JsonObject,
    model::{Address, Customer, CustomerFields, CustomerType, Field, Patch},
    text::{Text, country::Region},
};
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

/// What each field says, as JSON: `null`, or `{}` for metadata, where it says nothing.
pub(crate) type Said = BTreeMap<Field, Value>;

/// What each field of a customer holds.
pub(crate) fn held(customer: &Customer) -> Said {
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
    let text = |held: &Option<Text>| json!(held.as_deref());
    let said: [(Field, Value); Field::ALL.len()] = [
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
    BTreeMap::from(said)
}

/// What a create or an update sets.
pub(crate) fn asked(fields: &CustomerFields) -> Said {
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
    } = fields;
    let text = |patch: &Patch<Text>| json!(patch.set().map(|text| &**text));
    let said: [(Field, Value); Field::WRITABLE.len()] = [
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
    BTreeMap::from(said)
}

fn object(object: &JsonObject) -> Value {
    serde_json::from_str(object.as_str()).expect("an object")
}

/// What both mean must be equal in these fields: names joined, phones in canonical form.
pub(crate) fn same(fields: &[Field], meant: &Said, read: &Said, region: Option<Region>) -> Result<(), TestCaseError> {
    for field in fields {
        let (one, other) = (&meant[field], &read[field]);
        let is_same = match field {
            Field::Name | Field::FirstName | Field::LastName => full_name(meant) == full_name(read),
            Field::Phone | Field::Whatsapp => number(one, region) == number(other, region),
            // A vendor that knows only one of the two types tells an unknown one as a person.
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
            return Err(TestCaseError::fail(format!("{}: meant {one}, read {other}", field.name())));
        }
    }
    Ok(())
}

fn full_name(said: &Said) -> String {
    let parts = || [Field::FirstName, Field::LastName].into_iter().filter_map(|part| said[&part].as_str());
    said[&Field::Name].as_str().map_or_else(|| parts().collect::<Vec<_>>().join(" "), str::to_owned)
}

fn number(said: &Value, region: Option<Region>) -> Option<Text> {
    said.as_str().map(|text| input::phone_query(&Text::from(text), region))
}

fn amount(said: &Value) -> Option<f64> {
    said.as_str().and_then(|text| text.parse().ok())
}
